"""Sessions with Amazon's services and those that speak like them: the one place that makes them.

Credentials come from the environment, the AWS configuration or the controller's own role. Every call is bounded, and
what fails becomes an AwsError in our own words: those of a service may quote keys and signatures.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from maintenancebot.errors import RemoteError
from maintenancebot.model import Json, Reason
from maintenancebot.settings import AwsSession

if TYPE_CHECKING:
    from boto3.session import Session

T = TypeVar("T")

CONNECT_SECONDS = 10
READ_SECONDS = 30
ATTEMPTS = 3
ROLE_SESSION = "maintenancebot"
MOST_ROWS = 200_000
MOST_PAGES = 2_000
"""The most that one list may have: whoever answers may never come to an end."""

CREDENTIALS = {
    "AccessDenied": "access denied",
    "AccessDeniedException": "access denied",
    "UnauthorizedOperation": "access denied",
    "AllAccessDisabled": "access denied",
    "403": "access denied",
    "401": "access denied",
    "ExpiredToken": "the credentials have expired",
    "ExpiredTokenException": "the credentials have expired",
    "RequestExpired": "the credentials have expired",
    "InvalidAccessKeyId": "the credentials are not known there",
    "InvalidClientTokenId": "the credentials are not known there",
    "UnrecognizedClientException": "the credentials are not known there",
    "InvalidToken": "the credentials are not known there",
    "AuthFailure": "the credentials are not known there",
    "SignatureDoesNotMatch": "the credentials are wrong",
    "InvalidSignatureException": "the credentials are wrong",
    "OptInRequired": "the account has not switched this service or region on",
    "SubscriptionRequiredException": "the account has not switched this service or region on",
}
"""Codes by which a service refuses us, in our words."""

MAY_HAVE_CHANGED = frozenset({"the credentials have expired", "the credentials are not known there"})
THROTTLED = frozenset(
    {
        "429",
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
    }
)
SKEWED = frozenset({"RequestTimeTooSkewed", "RequestInTheFuture"})
_CODE = re.compile(r"[A-Za-z0-9_.]{1,60}")


class AwsError(RemoteError):
    """A call that failed; `code` is the service's own word for it, empty when no service answered."""

    def __init__(self, reason: Reason, message: str, code: str = "") -> None:
        self.code = code
        super().__init__(reason, message)


_making = threading.RLock()
_sessions: dict[tuple[str | None, ...], Session] = {}
_clients: dict[tuple[str | None, ...], Any] = {}


def client(service: str, place: AwsSession, *, region: str | None = None, **options: Any) -> Any:
    """A client of boto3 that all threads share; `options` replace those of its configuration. Raises AwsError."""
    where = (place.endpoint, region or place.region, place.profile, place.role)
    config = _config(place, options)
    key = (service, *where, repr(sorted(config.items())))
    with _making, translated("connecting"):  # sessions are not safe across threads, clients are
        if key not in _clients:
            _clients[key] = _made(_session(*where), service, place.endpoint, config)
        return _clients[key]


def forget() -> None:
    """Make all sessions anew when they are next used: what the environment holds may have changed."""
    with _making:
        _sessions.clear()
        _clients.clear()


def _made(session: Session, service: str, endpoint: str | None, config: Mapping[str, Any]) -> Any:
    from botocore.config import Config

    make: Callable[..., Any] = session.client
    return make(service, endpoint_url=endpoint, config=Config(**config))


def _config(place: AwsSession, options: Mapping[str, Any]) -> dict[str, Any]:
    usual = {
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": READ_SECONDS,
        "retries": {"mode": "standard", "total_max_attempts": ATTEMPTS},
        "s3": {"addressing_style": "path" if place.endpoint else "auto"},
    }
    return {**usual, **options}


def _session(endpoint: str | None, region: str | None, profile: str | None, role: str | None) -> Session:
    key = (endpoint, region, profile, role)
    if key not in _sessions:
        import boto3
        import botocore.session

        base = boto3.session.Session(profile_name=profile, region_name=region)
        _refuse_questions(base)
        if role:
            inner = botocore.session.Session()
            inner.register_component("credential_provider", _assumed(base, endpoint, role))
            base = boto3.session.Session(botocore_session=inner, region_name=base.region_name)
        _sessions[key] = base
    return _sessions[key]


def _refuse_questions(session: Session) -> None:
    """A profile that asks for a code of a device would wait for a person who is not there."""
    from botocore.exceptions import ProfileNotFound

    try:
        asks = session._session.get_scoped_config().get("mfa_serial")
    except ProfileNotFound:
        raise AwsError(Reason.CREDENTIALS, "the profile is not in the AWS configuration") from None
    if asks:
        raise AwsError(Reason.CREDENTIALS, "the profile asks for a code of a device, which nobody can type here")


def _assumed(base: Session, endpoint: str | None, role: str) -> Any:
    """The credentials of a role as a source of boto3's; they are renewed before they end."""
    from botocore.credentials import CredentialProvider, CredentialResolver, DeferredRefreshableCredentials

    sts = _made(base, "sts", endpoint, _config(AwsSession(endpoint=endpoint), {}))

    def assume() -> dict[str, str]:
        with translated("assuming the role"):
            said = sts.assume_role(RoleArn=role, RoleSessionName=ROLE_SESSION)["Credentials"]
            return {
                "access_key": said["AccessKeyId"],
                "secret_key": said["SecretAccessKey"],
                "token": said["SessionToken"],
                "expiry_time": said["Expiration"].isoformat(),
            }

    class Assumed(CredentialProvider):
        METHOD = "assume-role"

        def load(self) -> Any:
            return DeferredRefreshableCredentials(assume, self.METHOD)

    return CredentialResolver([Assumed()])


class Service:
    """One service at one place, for one look that must end: every method raises AwsError."""

    def __init__(self, service: str, place: AwsSession, seconds: float, *, region: str | None = None) -> None:
        self.end = time.monotonic() + seconds
        self._client = client(service, place, region=region)

    @property
    def region(self) -> str:
        """The region that it asks."""
        return str(self._client.meta.region_name)

    def call(self, operation: str, doing: str, **params: Json) -> dict[str, Json]:
        """One answer."""
        self.check_time(doing)
        with translated(doing):
            return dict(getattr(self._client, operation)(**params))

    def rows(self, operation: str, key: str, doing: str, *, proof: str = "", **params: Json) -> Iterator[Json]:
        """The rows of all pages. `proof` is what every answer has, where a list without rows is left out.

        An answer without it is not the one that was asked for, whatever its status says.
        """
        with translated(doing):
            pages = iter(self._client.get_paginator(operation).paginate(**params))
        rows = 0
        for _ in range(MOST_PAGES):
            self.check_time(doing)
            with translated(doing):
                page = next(pages, None)
            if page is None:
                return
            if (proof or key) not in page:
                raise AwsError(Reason.GARBLED, f"{doing}: what came is no answer to it")
            rows += len(page.get(key) or ())
            if rows > MOST_ROWS:
                break
            yield from page.get(key) or ()
        raise AwsError(Reason.OVER_CAP, f"{doing}: the list has no end after {rows} rows")

    def check_time(self, doing: str) -> None:
        """Raise AwsError(TIMEOUT) when the look has lasted too long."""
        if time.monotonic() > self.end:
            raise AwsError(Reason.TIMEOUT, f"{doing}: it took longer than one look may")


def within(seconds: float, work: Callable[[], T]) -> T:
    """What the work gives; AwsError(TIMEOUT) when it does not end, as with a service that sends byte after byte.

    The thread that hangs then is left to itself; it can hold up no one.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # it belongs to whoever waits
            future.set_exception(error)

    threading.Thread(target=run, name="aws", daemon=True).start()
    try:
        return future.result(seconds)
    except TimeoutError:
        raise AwsError(Reason.TIMEOUT, f"no end after {seconds:.0f} seconds") from None


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn all that boto3 can raise into an AwsError; `doing` begins its message."""
    try:
        yield
    except AwsError:
        raise
    except Exception as error:  # boto3 raises whatever a strange answer makes it stumble over
        failed = _read(error)
        if failed.reason is Reason.CREDENTIALS and str(failed) in MAY_HAVE_CHANGED:
            forget()
        raise AwsError(failed.reason, f"{doing}: {failed}", failed.code) from None


def _read(error: Exception) -> AwsError:
    from botocore import exceptions as theirs

    if isinstance(error, theirs.ClientError):
        return _refused(error.response)
    kind = type(error).__name__
    if isinstance(error, (theirs.NoCredentialsError, theirs.PartialCredentialsError)):
        return AwsError(Reason.CREDENTIALS, "the controller has no credentials for it")
    if isinstance(error, theirs.ProfileNotFound):
        return AwsError(Reason.CREDENTIALS, "the profile is not in the AWS configuration")
    if isinstance(error, (theirs.CredentialRetrievalError, theirs.SSOError)):
        return AwsError(Reason.CREDENTIALS, "the AWS configuration gave no credentials")
    if isinstance(error, theirs.NoRegionError):
        return AwsError(Reason.NOT_CONFIGURED, "neither the source nor the environment names a region")
    if isinstance(error, theirs.IncompleteReadError):
        return AwsError(Reason.UNREACHABLE, "the answer broke off")
    if isinstance(error, (theirs.ConnectTimeoutError, theirs.ReadTimeoutError)):
        return AwsError(Reason.TIMEOUT, "no answer in time")
    if isinstance(error, (theirs.ConnectionError, theirs.HTTPClientError)):
        return AwsError(Reason.UNREACHABLE, f"cannot be reached ({kind.removesuffix('Error')})")
    if isinstance(error, theirs.FlexibleChecksumError):
        return AwsError(Reason.DAMAGED, "the bytes are not those of the stored checksum")
    if isinstance(error, theirs.BotoCoreError):
        return AwsError(Reason.TOOL_FAILED, kind.removesuffix("Error"))
    return AwsError(Reason.GARBLED, f"what came is no answer ({kind})")


def _refused(response: Mapping[str, Json]) -> AwsError:
    """An answer that says no; its code is told only when it looks like one, its message never."""
    told = str(response.get("Error", {}).get("Code", ""))
    status = str(response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    code = told if _CODE.fullmatch(told) else status
    if code in CREDENTIALS:
        return AwsError(Reason.CREDENTIALS, CREDENTIALS[code], code)
    if code in THROTTLED or status == "429":
        return AwsError(Reason.TOOL_FAILED, "throttled: too many requests", code)
    if code in SKEWED:
        return AwsError(Reason.CLOCK_SKEW, "the controller's clock is off", code)
    return AwsError(Reason.TOOL_FAILED, f"the service answers {code}", code)
