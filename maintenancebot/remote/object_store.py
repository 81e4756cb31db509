"""An S3-compatible object store: a few calls of our own, and addresses that allow one request each.

Whoever holds a signed address needs no credential, so an address is a secret itself. What fails becomes a RemoteError
in our own words: those of the store may quote keys and signatures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from maintenancebot.errors import RemoteError
from maintenancebot.model import Reason
from maintenancebot.remote import aws
from maintenancebot.settings import Offload

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

READ_SECONDS = 60
SIGNED_SECONDS = 900
"""How long an address may be used: it must begin within this time, and a new one is always to be had."""

SHA256 = "x-amz-checksum-sha256"
PROVING = ("amazonaws.com", "amazonaws.com.cn")
"""Stores of these domains compute each checksum from the bytes; others may repeat what the sender claimed."""

ABSENT = frozenset({"404", "NoSuchKey"})
LACKING = frozenset({"NotImplemented", "501"})
WORDS: Mapping[str, str] = {
    "NoSuchBucket": "there is no such bucket",
    "403": "access denied; it needs s3:ListBucket too, to tell missing from forbidden",
    "PreconditionFailed": "an object of that key is there already",
}

Headers = dict[str, str]


@dataclass(frozen=True)
class Signed:
    """An address for one request, and the headers that must go with it."""

    url: str
    headers: Headers


@dataclass(frozen=True)
class Stored:
    """What the store says of an object."""

    size: int
    etag: str
    checksum: str  # SHA-256 in base64, of the content or of its parts' checksums; empty when it does not tell


class MissingFeatureError(RemoteError):
    """The store does not know a header that we use where it is known."""


def connect(place: Offload) -> ObjectStore:
    """The store of these settings; one client serves all threads. Raises RemoteError(OFFLOAD_FAILED)."""
    try:
        client = aws.client(
            "s3",
            place,
            signature_version="s3v4",
            read_timeout=READ_SECONDS,
            request_checksum_calculation="when_required",  # else a checksum of its own joins the signed headers
            response_checksum_validation="when_required",
        )
    except aws.AwsError as error:
        raise RemoteError(Reason.OFFLOAD_FAILED, str(error)) from None
    return ObjectStore(client, place.bucket)


class ObjectStore:
    """One bucket. Each method raises RemoteError(OFFLOAD_FAILED), or MissingFeatureError where a header is unknown."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    @property
    def endpoint(self) -> str:
        """Its address."""
        return self._client.meta.endpoint_url

    @property
    def region(self) -> str:
        """Its region as requests are signed for it."""
        return self._client.meta.region_name

    @property
    def proves(self) -> bool:
        """Whether a checksum that it returns was computed from the bytes that it holds."""
        host = urlsplit(self.endpoint).hostname or ""
        return any(host == domain or host.endswith(f".{domain}") for domain in PROVING)

    def look(self, key: str) -> Stored | None:
        """What is stored under a key, None when there is surely nothing."""
        with _translated("looking at the object", ABSENT) as asked:
            said = self._client.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED")
        if asked.absent:
            return None
        return Stored(said["ContentLength"], said.get("ETag", ""), said.get("ChecksumSHA256", ""))

    def sign_put(self, key: str, checksum: str, *, plain: bool) -> Signed:
        """An address that makes an object; not `plain`: of this content only, and only where there is none yet."""
        more = {} if plain else {"IfNoneMatch": "*", "ChecksumSHA256": checksum}
        headers = {} if plain else {"If-None-Match": "*", SHA256: checksum}
        return self._sign("put_object", headers, Key=key, **more)

    def sign_part(self, key: str, upload: str, number: int, checksum: str, *, plain: bool) -> Signed:
        """An address that takes one part of an upload; not `plain`: of this content only."""
        more = {} if plain else {"ChecksumSHA256": checksum}
        headers = {} if plain else {SHA256: checksum}
        return self._sign("upload_part", headers, Key=key, UploadId=upload, PartNumber=number, **more)

    def sign_get(self, key: str) -> Signed:
        """An address that gives an object."""
        return self._sign("get_object", {}, Key=key)

    def begin(self, key: str, *, plain: bool) -> str:
        """Begin an upload in parts; returns its id."""
        more: dict[str, Any] = {} if plain else {"ChecksumAlgorithm": "SHA256"}
        with _translated("beginning the upload"):
            return self._client.create_multipart_upload(Bucket=self._bucket, Key=key, **more)["UploadId"]

    def complete(self, key: str, upload: str, parts: Sequence[tuple[str, str]], *, plain: bool) -> None:
        """Make the object of its parts, each (etag, checksum); not `plain`: only where there is none yet."""
        rows = [
            {"PartNumber": number, "ETag": etag} | ({} if plain else {"ChecksumSHA256": checksum})
            for number, (etag, checksum) in enumerate(parts, 1)
        ]
        more: dict[str, Any] = {} if plain else {"IfNoneMatch": "*"}
        wanted: Any = {"Parts": rows}
        with _translated("completing the upload"):
            self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=key, UploadId=upload, MultipartUpload=wanted, **more
            )

    def abort(self, key: str, upload: str) -> None:
        """Drop the parts of an upload; one that is gone is no error."""
        with _translated("dropping the upload", frozenset({"NoSuchUpload"})):
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload)

    def delete(self, key: str) -> None:
        """Ask for an object's end; whether it came is to be looked up."""
        with _translated("deleting the object"):
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def _sign(self, operation: str, headers: Headers, **params: Any) -> Signed:
        with _translated("signing"):
            sign: Callable[..., str] = self._client.generate_presigned_url
            params["Bucket"] = self._bucket
            return Signed(sign(operation, Params=params, ExpiresIn=SIGNED_SECONDS), headers)


class _Asked:
    absent = False


@contextmanager
def _translated(doing: str, absent: frozenset[str] = frozenset()) -> Iterator[_Asked]:
    asked = _Asked()
    try:
        with aws.translated(doing):
            yield asked
    except aws.AwsError as error:
        if error.code in absent:
            asked.absent = True
            return
        told = f"{doing}: {WORDS[error.code]}" if error.code in WORDS else str(error)
        raise (MissingFeatureError if error.code in LACKING else RemoteError)(Reason.OFFLOAD_FAILED, told) from None
