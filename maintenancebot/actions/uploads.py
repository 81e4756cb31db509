"""Uploads to the object store: begun, signed for part by part, put together, compared, or left without a trace."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import threading
from dataclasses import dataclass, field

from maintenancebot.actions.object_keys import Answer, Asked, No, told
from maintenancebot.errors import RemoteError
from maintenancebot.model import Host, Json, Reason, Step
from maintenancebot.remote.object_store import MissingFeatureError, ObjectStore, Stored

PART_BYTES = 16 * 2**20
MOST_PARTS = 10_000
MOST_BYTES = 5 * 2**40
"""Limits of S3; every part but the last has at least 5 MiB."""

SHA256 = re.compile(r"[0-9a-f]{64}")
ETAG = re.compile(r'"?[A-Za-z0-9+/=_.:-]{0,200}"?')


@dataclass
class _Upload:
    """One upload in hand; nothing of it but its name travels through the host."""

    host: str
    step: str
    key: str
    size: int
    part_size: int
    store: ObjectStore
    exists: bool
    parts_id: str = ""  # the store's id of an upload in parts; empty: one request makes the object
    made: bool = False  # the object is there, and by this upload
    checksums: dict[int, str] = field(default_factory=dict)  # of the parts, in hex

    @property
    def parts(self) -> int:
        return max(1, -(-self.size // self.part_size))


class Uploads:
    """The uploads that hosts have in hand, by a name that cannot be guessed; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_name: dict[str, _Upload] = {}

    def add(self, upload: _Upload) -> str:
        """Keep it; returns its name."""
        name = secrets.token_hex(16)
        with self._lock:
            self._by_name[name] = upload
        return name

    def get(self, name: Json, host: Host, step: Step) -> _Upload:
        """The upload of that name, if this host began it in this step."""
        with self._lock:
            upload = self._by_name.get(str(name))
        if upload is None or (upload.host, upload.step) != (host.name, step.id):
            raise No(Reason.NOT_ALLOWED, "no upload of this step has that name")
        return upload

    def drop(self, name: Json) -> None:
        """It is over."""
        with self._lock:
            self._by_name.pop(str(name), None)

    def take(self, host: str) -> list[_Upload]:
        """All of a host, which are then over."""
        with self._lock:
            names = [name for name, upload in self._by_name.items() if upload.host == host]
            return [self._by_name.pop(name) for name in names]


UPLOADS = Uploads()


def give_up(host: Host) -> None:
    """Drop the parts of uploads that a host began and did not end. Objects that were made stay."""
    for upload in UPLOADS.take(host.name):
        try:
            _drop_parts(upload)
        except RemoteError:
            continue  # the bucket's lifecycle rule ends them


def begin(asked: Asked) -> Answer:
    """Begin an upload; `exists` when an earlier one, whose end was not recorded, made the object already."""
    size, key, store = int(asked.question["size"]), asked.key, asked.store
    if not 0 <= size <= min(MOST_BYTES, _most_bytes(asked.step)):
        raise No(Reason.OVER_CAP, "the item is larger than what the plan lists, or than an object can be")
    give_up(asked.host)
    found = store.look(key)
    if found is not None and found.size != size:
        raise No(Reason.TARGET_EXISTS, "another object has the item's key")
    part_size = max(PART_BYTES, -(-size // MOST_PARTS))
    upload = _Upload(asked.host.name, asked.step.id, key, size, part_size, store, exists=found is not None)
    if upload.parts > 1 and not upload.exists:
        upload.parts_id = _begin_parts(store, key)
    return {"upload": UPLOADS.add(upload), "part_size": part_size, "parts": upload.parts, "exists": upload.exists}


def _mine(asked: Asked) -> _Upload:
    return UPLOADS.get(asked.question["upload"], asked.host, asked.step)


def _most_bytes(step: Step) -> int:
    """The largest object that the step's changes can lead to; a little more, since gzip may add to what is dense."""
    sizes = [int(change.object["size"]) for change in step.changes if "size" in change.object]
    return max(sizes) + max(sizes) // 100 + 2**16 if sizes else MOST_BYTES


def _begin_parts(store: ObjectStore, key: str) -> str:
    try:
        return store.begin(key, plain=False)
    except MissingFeatureError:
        return store.begin(key, plain=True)


def part(asked: Asked) -> Answer:
    """An address for one part."""
    upload, number, sha256 = _mine(asked), int(asked.question["number"]), str(asked.question["sha256"])
    if not 1 <= number <= upload.parts or not SHA256.fullmatch(sha256) or upload.exists:
        raise No(Reason.NOT_ALLOWED, "the upload has no such part")
    upload.checksums[number] = sha256
    plain, checksum = asked.question["plain"] is True, _base64(sha256)
    if not upload.parts_id:
        return told(upload.store.sign_put(upload.key, checksum, plain=plain))
    return told(upload.store.sign_part(upload.key, upload.parts_id, number, checksum, plain=plain))


def complete(asked: Asked) -> Answer:
    """Make the object of its parts, look at it, and say whether its checksum proves what it holds."""
    upload, sha256 = _mine(asked), str(asked.question["sha256"])
    if not SHA256.fullmatch(sha256):
        raise No(Reason.GARBLED, "no checksum")
    if upload.parts_id:
        _join(upload, [str(etag) for etag in asked.question["etags"]])
    found = upload.store.look(upload.key)
    if found is None or found.size != upload.size:
        raise No(Reason.OFFLOAD_FAILED, "the store does not hold what was sent: nothing there, or of another size")
    verified = _proven(upload, found)
    if verified:
        UPLOADS.drop(asked.question["upload"])
    return {"verified": verified, "place": _place(asked, upload, found, sha256)}


def _join(upload: _Upload, etags: list[str]) -> None:
    if len(etags) != upload.parts or len(upload.checksums) != upload.parts or not all(map(ETAG.fullmatch, etags)):
        raise No(Reason.GARBLED, "not all parts were sent")
    parts = [(etag, _base64(upload.checksums[number])) for number, etag in enumerate(etags, 1)]
    try:
        upload.store.complete(upload.key, upload.parts_id, parts, plain=False)
        upload.made = True
    except MissingFeatureError:
        upload.store.complete(upload.key, upload.parts_id, parts, plain=True)
        upload.made = True
    except RemoteError:
        if upload.store.look(upload.key) is None:  # else it was made and only the answer got lost; it is compared
            raise
    upload.parts_id = ""


def _proven(upload: _Upload, found: Stored) -> bool:
    """Whether the store itself computed the checksum that the content must have. Raises No when it is another."""
    if upload.exists or not upload.store.proves or not found.checksum:
        return False
    if found.checksum not in _checksums(upload):
        raise No(Reason.OFFLOAD_FAILED, "the store has another checksum than what was sent")
    return True


def _checksums(upload: _Upload) -> set[str]:
    """What the store may call the content: its checksum, or of several parts the checksum of theirs."""
    if upload.parts == 1:
        return {_base64(upload.checksums[1])}
    joined = b"".join(bytes.fromhex(upload.checksums[number]) for number in range(1, upload.parts + 1))
    composite = base64.b64encode(hashlib.sha256(joined).digest()).decode("ascii")
    return {composite, f"{composite}-{upload.parts}"}


def _place(asked: Asked, upload: _Upload, found: Stored, sha256: str) -> Answer:
    place = asked.place
    return {
        "bucket": place.bucket,
        "key": upload.key,
        "endpoint": place.endpoint or "",
        "region": upload.store.region,
        "size": upload.size,
        "sha256": sha256,
        "etag": found.etag,
    }


def read(asked: Asked) -> Answer:
    """An address to read back what was sent."""
    upload = _mine(asked)
    return told(upload.store.sign_get(upload.key))


def abort(asked: Asked) -> Answer:
    """Leave nothing of an upload that failed; an object goes only when this upload made it."""
    upload, sent = _mine(asked), asked.question["sent"] is True
    UPLOADS.drop(asked.question["upload"])
    _drop_parts(upload)
    if upload.made or (sent and upload.parts == 1 and not upload.exists):
        upload.store.delete(upload.key)
    return {}


def _drop_parts(upload: _Upload) -> None:
    if upload.parts_id:
        upload.store.abort(upload.key, upload.parts_id)


def _base64(sha256: str) -> str:
    return base64.b64encode(bytes.fromhex(sha256)).decode("ascii")
