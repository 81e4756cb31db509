"""Docker's API through the socket of a host, over the session that is open already: no second login, no environment.

Only looking is offered: what is removed is removed by the helper, on the host.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from maintenancebot.errors import RemoteError
from maintenancebot.model import Json, Reason
from maintenancebot.remote.session import Session, Stream

NEWEST_API = (1, 51)  # from 1.53 on the daemon's disk usage no longer has its images
OLDEST_API = (1, 24)
TYPED_USAGE_API = (1, 42)  # older daemons walk all volumes to tell the size of the images
RECEIVED_CAP = 256 * 1024 * 1024

_T = TypeVar("_T")


class Docker:
    """A daemon whose identity was verified. Every method raises RemoteError, with the reason for the report."""

    def __init__(self, client: Any, version: Mapping[str, Json]) -> None:
        self._client = client  # docker.APIClient, of which more is used than its types tell
        self.engine = engine_of(version)
        self.version = str(version.get("Version", ""))
        self.api = _capped(str(version.get("ApiVersion", "")))
        client._version = ".".join(map(str, self.api))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def info(self) -> dict[str, Json]:
        """What the daemon says of itself: data root, storage driver, swarm."""
        return _mapping(asked(self._client.info))

    def images(self) -> list[dict[str, Json]]:
        """All images, intermediate ones too, since they are the parents of others."""
        return _rows(asked(lambda: self._client.images(all=True)))

    def image(self, name: str) -> dict[str, Json]:
        """One image by id or name; RemoteError(VANISHED) when there is none."""
        return _mapping(asked(lambda: self._client.inspect_image(name)))

    def containers(self) -> list[dict[str, Json]]:
        """All containers of any state."""
        return _rows(asked(lambda: self._client.containers(all=True)))

    def volumes(self) -> list[dict[str, Json]]:
        """All volumes."""
        return _rows(_mapping(asked(self._client.volumes)).get("Volumes"))

    def services(self) -> list[dict[str, Json]]:
        """The swarm's services; only a manager answers."""
        return _rows(asked(self._client.services))

    def stopped(self) -> list[dict[str, Json]]:
        """The containers that do not run, with the bytes of their own layers; this may take a while."""
        states = ["created", "exited", *(["dead"] if self.engine == "docker" else [])]  # podman does not know it
        return _rows(asked(lambda: self._client.containers(all=True, size=True, filters={"status": states})))

    def container(self, identity: str) -> dict[str, Json]:
        """One container by id; RemoteError(VANISHED) when there is none."""
        return _mapping(asked(lambda: self._client.inspect_container(identity)))

    def usage(self, *kinds: str) -> dict[str, Json]:
        """What objects of these kinds take on the disk; an old daemon tells of all kinds, and takes its time."""
        params = {"type": list(kinds)} if self.api >= TYPED_USAGE_API else {}
        address = self._client._url("/system/df")
        return _mapping(asked(lambda: self._client._result(self._client._get(address, params=params), True)))


def connect(session: Session, path: str, *, timeout: float = 20, deadline: float = 120) -> Docker:
    """Speak to the daemon behind a socket of the host and verify that it is one.

    `timeout` seconds for each answer, `deadline` for all of them. Raises RemoteError: NOT_RESPONDING when nobody
    answers, BECOME_REFUSED when the login may not open the socket, GARBLED when neither docker nor podman answers.
    """
    client = _client(lambda seconds: session.open_unix(path, seconds), timeout, deadline)
    try:
        version = _mapping(asked(lambda: client.version(api_version=False)))
        return Docker(client, version)
    except BaseException:
        client.close()
        raise


def engine_of(version: Mapping[str, Json]) -> str:
    """`docker` or `podman`; RemoteError(GARBLED) for anything else."""
    names = {str(part.get("Name", "")) for part in _rows(version.get("Components"))}
    if "Podman Engine" in names:
        return "podman"
    if "Engine" in names and version.get("Version"):
        return "docker"
    raise RemoteError(Reason.GARBLED, "what answers there is neither docker nor podman")


def asked(call: Callable[[], _T]) -> _T:
    """The result of a call of the SDK, its exceptions turned into RemoteError."""
    import docker.errors
    import requests

    try:
        return call()
    except docker.errors.APIError as error:
        raise RemoteError(_reason(error.status_code), _one_line(error.explanation or error)) from error
    except requests.Timeout as error:
        raise RemoteError(Reason.NOT_RESPONDING, "the daemon does not answer") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RemoteError(Reason.GARBLED, f"no answer of a daemon: {_one_line(error)}") from error
    except (requests.RequestException, docker.errors.DockerException, http.client.HTTPException, OSError) as error:
        raise RemoteError(*_broken(error)) from error


def _client(opener: Callable[[float], Stream], timeout: float, deadline: float) -> Any:
    import docker

    from maintenancebot.remote.docker_http import Limits, StreamAdapter

    # An http address with a version makes the SDK send nothing yet; it is never used.
    client: Any = docker.APIClient("http://127.0.0.1:1", version=".".join(map(str, OLDEST_API)))
    client.timeout = timeout
    client._general_configs = {}  # this machine's docker configuration is nobody's business on another host
    client.trust_env = False
    client._unmount("http://", "https://")
    client.mount("http+docker://", StreamAdapter(opener, Limits(deadline, RECEIVED_CAP), timeout))
    client.base_url = "http+docker://host"
    return client


def _capped(api: str) -> tuple[int, int]:
    try:
        major, minor = (int(part) for part in api.split("."))
    except ValueError as error:
        raise RemoteError(Reason.GARBLED, f"API version {api[:20]!r} is none") from error
    if (major, minor) < OLDEST_API:
        raise RemoteError(Reason.UNSUPPORTED, f"API version {api} is too old")
    return min((major, minor), NEWEST_API)


def _reason(status: int | None) -> Reason:
    known = {404: Reason.VANISHED, 409: Reason.IN_USE, 403: Reason.BECOME_REFUSED}
    return known.get(status or 0, Reason.TOOL_FAILED)


def _broken(error: BaseException) -> tuple[Reason, str]:
    """Silence, or something that is no HTTP, told apart by what lies below the SDK's exception."""
    below = list(_causes(error))
    if any(isinstance(cause, TimeoutError) or "timed out" in str(cause) for cause in below):
        return Reason.NOT_RESPONDING, "the daemon does not answer"
    http_faults = [cause for cause in below if isinstance(cause, http.client.HTTPException)]
    if any(not isinstance(cause, http.client.RemoteDisconnected) for cause in http_faults):
        return Reason.GARBLED, "what answers there does not speak HTTP"
    return Reason.NOT_RESPONDING, f"the daemon closed the connection: {_one_line(error)}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception, what it was raised from and what it wraps: urllib3 hands the fault on as an argument."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        current = waiting.pop()
        if id(current) not in seen:
            seen.add(id(current))
            yield current
            around = (current.__cause__, current.__context__, getattr(current, "reason", None), *current.args)
            waiting += [part for part in around if isinstance(part, BaseException)]


def _mapping(answer: Json) -> dict[str, Json]:
    if not isinstance(answer, dict):
        raise RemoteError(Reason.GARBLED, "the daemon's answer is not what its API says")
    return answer


def _rows(answer: Json) -> list[dict[str, Json]]:
    """A list of objects; any list of the API may be null."""
    if answer is None:
        return []
    if not isinstance(answer, list) or not all(isinstance(row, dict) for row in answer):
        raise RemoteError(Reason.GARBLED, "the daemon's answer is not what its API says")
    return answer


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:300]
