"""An object of an object store as a stream of bytes that ends, or says why it does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from maintenancebot.model import Reason
from maintenancebot.remote.aws import AwsError, Service, translated

PIECE = 256 * 1024
RESUMES = 3
"""How often a broken stream is taken up where it broke: a long one may outlive a connection."""

DOING = "reading the object"
CHANGED = frozenset({"412", "PreconditionFailed", "404", "NoSuchKey", "NoSuchVersion"})
BROKEN = frozenset({Reason.TIMEOUT, Reason.UNREACHABLE})


@dataclass(frozen=True)
class Stored:
    """One object as it was looked at: what is read must be this one."""

    bucket: str
    key: str
    etag: str
    size: int


class ChangedError(AwsError):
    """Another object has that key now, or none."""


def chunks(service: Service, stored: Stored) -> Iterator[bytes]:
    """All bytes of the object in order. Raises ChangedError, or AwsError; DAMAGED where they are not those stored."""
    done, resumes = 0, 0
    while done < stored.size:
        try:
            for piece in _from(service, stored, done):
                done += len(piece)
                yield piece
        except AwsError as error:
            if error.reason not in BROKEN or resumes == RESUMES:
                raise
            resumes += 1
            continue
        break
    if done != stored.size:
        raise AwsError(Reason.DAMAGED, f"{DOING}: it gives {done} bytes of {stored.size}")


def _from(service: Service, stored: Stored, start: int) -> Iterator[bytes]:
    span = {"Range": f"bytes={start}-"} if start else {}
    try:
        said = service.call("get_object", DOING, Bucket=stored.bucket, Key=stored.key, IfMatch=stored.etag, **span)
    except AwsError as error:
        if error.code in CHANGED:
            raise ChangedError(Reason.BEING_WRITTEN, f"{stored.key} was replaced while it was looked at") from None
        raise
    with closing(said["Body"]) as body:
        pieces = body.iter_chunks(PIECE)
        while True:
            service.check_time(DOING)
            with translated(DOING):
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece
