"""Backups in an object store: which object counts, whether it is whole, and what it holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from maintenancebot.model import Host, Json, Reason
from maintenancebot.probes import cloud_contents as contents
from maintenancebot.probes.cloud_copies import (
    MOST_TOLD,
    NAME_SAYS,
    Copy,
    Data,
    Pending,
    Seen,
    Verdict,
    bad,
    check_size,
    dates_in,
    newest,
    unknown,
)
from maintenancebot.probes.cloud_faults import Damaged, Empty, Unreadable
from maintenancebot.remote import objects
from maintenancebot.remote.aws import AwsError, Service
from maintenancebot.settings.sources import HOST, S3Source

LOOK_SECONDS = 120
READ_SECONDS = 900
READ_BYTES = 50 * 2**30
MOST_VERSIONS = 1000

FRESH_UPLOAD = timedelta(hours=1)
"""An upload that began a shorter time ago is probably still going on."""

UNFINISHED = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".filepart", ".inprogress", ".in-progress")
BESIDES = (".incomplete", ".writing", ".swp", ".lock", ".lck", ".pid", "~", ".log", ".asc", ".sig")
CHECKSUMS = (".md5", ".sha1", ".sha256", ".sha512", ".md5sum", ".sha1sum", ".sha256sum", ".sha512sum")
NOT_A_COPY = (*UNFINISHED, *BESIDES, *CHECKSUMS)
"""Ends of names of what is still being made, of locks and of checksums."""

ARCHIVE_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
STORED_CHECKSUMS = ("SHA256", "SHA1", "CRC64NVME", "CRC32C", "CRC32")
GLOB = re.compile(r"\*\*/|\*\*|\*|\?|\[!?\]?[^]]*\]|" + re.escape(HOST))
FITTING = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


class KeyPattern:
    """The glob of a source's keys for one host. `*` and `?` stay within a slash, `**` does not."""

    def __init__(self, glob: str, host: Host) -> None:
        parts, at, self.prefix = [], 0, ""
        for found in GLOB.finditer(glob):
            parts += [re.escape(glob[at : found.start()]), _fitting(found[0], host.name)]
            at = found.end()
        try:
            self._fits = re.compile("".join([*parts, re.escape(glob[at:])]), re.DOTALL)
        except re.error:
            raise unknown(Reason.NOT_CONFIGURED, f"the pattern {glob!r} cannot be read") from None
        self.shown = glob.replace(HOST, host.name)
        wild = next((found for found in GLOB.finditer(glob) if found[0] != HOST), None)
        self.prefix = (glob[: wild.start()] if wild else glob).replace(HOST, host.name)

    def fits(self, key: str) -> bool:
        """Whether an object of this key may be a backup."""
        return bool(self._fits.fullmatch(key))


def _fitting(part: str, host: str) -> str:
    if part == HOST:
        return re.escape(host)
    if part in FITTING:
        return FITTING[part]
    negated = part.startswith("[!")
    inner = part[2 if negated else 1 : -1].replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
    inner = "\\" + inner if inner.startswith("]") else inner
    return f"[{'^/' if negated else ''}{inner}]"


@dataclass(frozen=True)
class _Bucket:
    """What one look needs everywhere."""

    source: S3Source
    pattern: KeyPattern
    host: Host
    service: Service
    now: datetime
    data: Data

    def where(self, key: str) -> str:
        """The object as people write it."""
        return f"s3://{self.source.bucket}/{key}"


def look(source: S3Source, host: Host, now: datetime, limit: timedelta, data: Data) -> None:
    """Fill the data; ends without a Verdict when the newest copy is good. Raises Verdict, RemoteError."""
    pattern = KeyPattern(source.key, host)
    data["path"] = f"s3://{source.bucket}/{pattern.shown}"
    reads = source.read or bool(source.contains)
    service = Service("s3", source, LOOK_SECONDS + (READ_SECONDS if reads else 0))
    bucket = _Bucket(source, pattern, host, service, now, data)
    rows = _objects(bucket)
    pending = _uploads(bucket)
    copies = {row["Key"]: _copy(bucket, row) for row in rows}
    try:
        chosen = newest(Seen(list(copies.values()), pending or (), "no object fits"), now, limit, data)
    except Verdict as verdict:
        raise _with_deleted(bucket, verdict) from None
    row = next(row for row in rows if copies[row["Key"]] is chosen)
    _same_kind(bucket, rows, copies, row["Key"])
    stored, archived = _head(bucket, row)
    check_size(chosen, source.min_bytes)
    data["level"] = "complete" if pending is not None else "fresh"
    if reads:
        _read(bucket, stored, archived)


def _objects(bucket: _Bucket) -> list[Mapping[str, Json]]:
    """The rows of all objects that may be copies; names of what is none are noted."""
    kept: list[Mapping[str, Json]] = []
    aside: list[Mapping[str, Json]] = []
    try:
        for row in bucket.service.rows(
            "list_objects_v2",
            "Contents",
            "listing the objects",
            proof="IsTruncated",
            Bucket=bucket.source.bucket,
            Prefix=bucket.pattern.prefix,
        ):
            key = str(row["Key"])
            if bucket.pattern.fits(key) and not key.endswith("/"):
                (aside if key.lower().endswith(NOT_A_COPY) else kept).append(row)
    except AwsError as error:
        if error.code == "NoSuchBucket":
            raise bad(Reason.MISSING, "there is no such bucket") from None
        raise
    if aside:
        names = ", ".join(row["Key"].rpartition("/")[2] for row in aside[:5])
        bucket.data["notes"].append(f"left aside: {names}")
    return kept


def _uploads(bucket: _Bucket) -> list[Pending] | None:
    """Uploads in parts that have not ended, invisible as objects; None when they cannot be listed."""
    try:
        rows = list(
            bucket.service.rows(
                "list_multipart_uploads",
                "Uploads",
                "listing the unfinished uploads",
                proof="IsTruncated",
                Bucket=bucket.source.bucket,
                Prefix=bucket.pattern.prefix,
            )
        )
    except AwsError as error:
        bucket.data["notes"].append(f"{error}: whether a newer copy is on its way is not known")
        return None
    return [_pending(bucket, row) for row in rows if bucket.pattern.fits(str(row["Key"]))]


def _pending(bucket: _Bucket, row: Mapping[str, Json]) -> Pending:
    began = row["Initiated"]
    age = bucket.now - began
    reason = Reason.BEING_WRITTEN if age < FRESH_UPLOAD else Reason.INCOMPLETE
    words = f"is an upload that began {age / timedelta(hours=1):.1f} hours ago and has not been completed"
    return Pending(bucket.where(row["Key"]), began, reason, words)


def _copy(bucket: _Bucket, row: Mapping[str, Json]) -> Copy:
    spans = dates_in(row["Key"].rpartition("/")[2], bucket.host)
    moments = [("the store's time", row["LastModified"]), *((NAME_SAYS, end) for _, end in spans)]
    starts = tuple(start for start, _ in spans)
    return Copy(bucket.where(row["Key"]), tuple(moments), starts, int(row["Size"]))


def _same_kind(bucket: _Bucket, rows: list[Mapping[str, Json]], copies: Mapping[str, Copy], chosen: str) -> None:
    """The other copies are those whose names differ in their digits alone."""
    series: dict[str, list[Copy]] = {}
    for row in rows:
        series.setdefault(_series(row["Key"]), []).append(copies[row["Key"]])
    same = sorted(series[_series(chosen)], key=lambda copy: copy.time, reverse=True)
    others = [copy for copy in same if copy is not copies[chosen]]
    bucket.data.update(others=[copy.said(bucket.now) for copy in others[:MOST_TOLD]], count=len(same))
    if len(series) > 1:
        bucket.data["notes"].append(f"{len(series)} kinds of names fit and only the newest copy of all is checked")


def _series(key: str) -> str:
    return re.sub(r"\d+", "0", key)


def _with_deleted(bucket: _Bucket, verdict: Verdict) -> Verdict:
    """The same verdict with what the bucket's versions say of copies that were deleted."""
    if verdict.reason not in (Reason.MISSING, Reason.STALE):
        return verdict
    try:
        said = bucket.service.call(
            "list_object_versions",
            "listing deleted objects",
            Bucket=bucket.source.bucket,
            Prefix=bucket.pattern.prefix,
            MaxKeys=MOST_VERSIONS,
        )
    except AwsError:
        return verdict
    rows = [row for row in said.get("DeleteMarkers", ()) if row.get("IsLatest") and bucket.pattern.fits(row["Key"])]
    if not rows:
        return verdict
    last = max(rows, key=lambda row: row["LastModified"])
    told = f"{verdict.detail}; {bucket.where(last['Key'])} was deleted at {last['LastModified']:%Y-%m-%d %H:%M} UTC"
    return bad(verdict.reason, f"{told}, its versions are still there")


def _head(bucket: _Bucket, row: Mapping[str, Json]) -> tuple[objects.Stored, str]:
    """The object as the store describes it, and why it cannot be read now ("" when it can)."""
    key, evidence = row["Key"], bucket.data["evidence"]
    try:
        said = bucket.service.call(
            "head_object", "looking at the object", Bucket=bucket.source.bucket, Key=key, ChecksumMode="ENABLED"
        )
    except AwsError as error:
        if error.code in objects.CHANGED:
            raise bad(Reason.BEING_WRITTEN, f"{bucket.where(key)} was removed while it was looked at") from None
        raise
    if said["ETag"].strip('"') != row["ETag"].strip('"') or said["ContentLength"] != row["Size"]:
        raise bad(Reason.BEING_WRITTEN, f"{bucket.where(key)} was replaced while it was looked at")
    stored = next((name for name in STORED_CHECKSUMS if said.get(f"Checksum{name}")), "")
    if stored:
        evidence["checksum"] = f"{stored}:{said[f'Checksum{stored}']}"  # of several parts it ends with their number
    evidence["storage_class"] = said.get("StorageClass") or "STANDARD"
    archived = _archived(said)
    if archived:
        bucket.data["notes"].append(archived)
    return objects.Stored(bucket.source.bucket, key, said["ETag"], said["ContentLength"]), archived


def _archived(said: Mapping[str, Json]) -> str:
    name = said.get("ArchiveStatus") or said.get("StorageClass") or ""
    if name not in ARCHIVE_CLASSES and not said.get("ArchiveStatus"):
        return ""
    restore = str(said.get("Restore", ""))
    if 'ongoing-request="false"' in restore:
        return ""
    return f"it lies in {name} and cannot be read " + (
        "until its restore has ended" if restore else "without a restore"
    )


def _read(bucket: _Bucket, stored: objects.Stored, archived: str) -> None:
    if archived:
        raise unknown(Reason.ARCHIVED, archived)
    try:
        seen = contents.read(objects.chunks(bucket.service, stored), stored.key, READ_BYTES, READ_SECONDS)
    except Unreadable as error:
        bucket.data["notes"].append(str(error))
        if bucket.source.contains:
            raise unknown(Reason.UNREADABLE, f"what it contains is not known: {error}") from None
        return
    except Damaged as error:
        raise bad(Reason.DAMAGED, f"{bucket.where(stored.key)}: {error}") from None
    except Empty as error:
        raise bad(Reason.EMPTY, f"{bucket.where(stored.key)}: {error}") from None
    except objects.ChangedError as error:
        raise bad(Reason.BEING_WRITTEN, str(error)) from None
    except AwsError as error:
        if error.reason is Reason.DAMAGED:
            raise bad(Reason.DAMAGED, f"{bucket.where(stored.key)}: {error}") from None
        raise
    _judge(bucket, seen)


def _judge(bucket: _Bucket, seen: contents.Contents) -> None:
    told = {"format": seen.format, "content": seen.content, "entries": seen.entries}
    bucket.data["evidence"].update((key, value) for key, value in told.items() if value not in ("", None))
    if lacks := seen.lacks(bucket.source.contains):
        if seen.content == "data":
            raise unknown(Reason.LACKS, f"its format does not show whether {', '.join(lacks[:5])} is in it")
        if len(seen.names) >= contents.MOST_NAMES:
            raise unknown(Reason.OVER_CAP, f"among its first {contents.MOST_NAMES} names nothing fits {lacks[0]}")
        raise bad(Reason.WRONG_CONTENT, f"nothing in it fits {', '.join(lacks[:5])}")
    if not seen.proven:
        bucket.data["notes"].append(
            "read to the end; whether that was the end of the backup, its content does not tell"
        )
    elif bucket.data["level"] == "complete":
        bucket.data["level"] = "readable"
