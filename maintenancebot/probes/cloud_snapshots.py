"""Snapshots of databases of RDS and of volumes of EBS: which of them count, and what they are worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from maintenancebot.model import Host, Json, Reason
from maintenancebot.probes.cloud_copies import Copy, Data, Pending, Seen, Verdict, bad, check_size, newest
from maintenancebot.remote.aws import AwsError, Service
from maintenancebot.settings.sources import HOST, EbsSource, RdsSource

LOOK_SECONDS = 120
GIB = 2**30
BATCH = 100
MOST_VOLUMES = 1000

RESTORABLE = "its latest restorable time"
MADE = "the time of the snapshot"


@dataclass(frozen=True)
class _Kind:
    """The words of RDS's interface for an instance or a cluster."""

    word: str
    database: str  # what the interface calls one of them
    identifier: str
    own_id: str  # the identity that a new database of an old name does not share
    snapshot: str  # what it calls one of their snapshots
    absent: str

    @property
    def ask(self) -> tuple[str, str]:
        """The operations for database and snapshots."""
        return f"describe_db_{self.word}s", f"describe_db_{'cluster_' if self.word == 'cluster' else ''}snapshots"


INSTANCE = _Kind("instance", "DBInstances", "DBInstanceIdentifier", "DbiResourceId", "DBSnapshot", "DBInstanceNotFound")
CLUSTER = _Kind(
    "cluster", "DBClusters", "DBClusterIdentifier", "DbClusterResourceId", "DBClusterSnapshot", "DBClusterNotFoundFault"
)


def look_at_database(source: RdsSource, host: Host, now: datetime, limit: timedelta, data: Data) -> None:
    """Fill the data; ends without a Verdict when there is a good backup. Raises Verdict, RemoteError."""
    kind = INSTANCE if source.instance else CLUSTER
    name = str(source.instance or source.cluster).replace(HOST, host.name)
    data["path"] = f"rds {kind.word} {name}"
    service = Service("rds", source, LOOK_SECONDS)
    rows = list(service.rows(kind.ask[1], f"{kind.snapshot}s", "listing the snapshots", **{kind.identifier: name}))
    database = _database(service, kind, name, len(rows))
    mine = [row for row in rows if _is_of(row, database, kind, name)]
    if len(mine) < len(rows):
        data["notes"].append(f"{len(rows) - len(mine)} snapshots are of an earlier {kind.word} of that name")
    copies = [_of_database(row, kind) for row in mine if row["Status"] == "available"]
    pending = [one for row in mine if (one := _pending(_path(row, kind), row, "Status", "SnapshotCreateTime", now))]
    restorable = _restorable(database, name) if copies else None
    seen = Seen([*copies, *([restorable] if restorable else [])], pending, "there is no snapshot")
    chosen = newest(seen, now, limit, data)
    if chosen is restorable:
        last = max(copies, key=lambda copy: copy.time)
        data["evidence"]["snapshot"] = last.said(now)
    data["evidence"]["encrypted"] = bool(database.get("StorageEncrypted"))
    if source.min_bytes > 1:
        data["notes"].append("RDS does not tell how many bytes a snapshot has")
    data["level"] = "complete"


def _database(service: Service, kind: _Kind, name: str, snapshots: int) -> Mapping[str, Json]:
    doing = f"looking at the {kind.word}"
    try:
        rows = list(service.rows(kind.ask[0], kind.database, doing, **{kind.identifier: name}))
    except AwsError as error:
        if error.code == kind.absent:
            rows = []
        else:
            raise
    if not rows:
        raise bad(Reason.MISSING, f"there is no {kind.word} {name}; {snapshots} snapshots of that name are left")
    found: Mapping[str, Json] = rows[0]
    return found


def _is_of(row: Mapping[str, Json], database: Mapping[str, Json], kind: _Kind, name: str) -> bool:
    """Whether a snapshot is of this very database, not of another, nor of an earlier one of the same name."""
    own, its = database.get(kind.own_id), row.get(kind.own_id)
    return str(row[kind.identifier]).lower() == name.lower() and (not own or not its or own == its)


def _path(row: Mapping[str, Json], kind: _Kind) -> str:
    return str(row[f"{kind.snapshot}Identifier"])


def _of_database(row: Mapping[str, Json], kind: _Kind) -> Copy:
    """A copied snapshot has the time of its copying too; the older one is that of its content."""
    times = [row[name] for name in ("SnapshotCreateTime", "OriginalSnapshotCreateTime") if row.get(name)]
    more = {
        "type": str(row.get("SnapshotType", "")),
        "encrypted": bool(row.get("Encrypted", row.get("StorageEncrypted"))),
    }
    return Copy(_path(row, kind), tuple((MADE, moment) for moment in times), more=more)


def _restorable(database: Mapping[str, Json], name: str) -> Copy | None:
    """Snapshots and logs together give back any moment up to this one."""
    latest = database.get("LatestRestorableTime")
    return Copy(name, ((RESTORABLE, latest),)) if latest and database.get("BackupRetentionPeriod") else None


UNDER_WAY = frozenset({"creating", "copying", "pending", "recovering"})
GOOD = frozenset({"available", "completed"})


def _pending(path: str, row: Mapping[str, Json], state: str, time: str, now: datetime) -> Pending | None:
    """What a snapshot that is no copy is; one that was asked for a moment ago may have no time yet."""
    word = str(row[state])
    if word in GOOD:
        return None
    reason = Reason.BEING_WRITTEN if word in UNDER_WAY else Reason.INCOMPLETE
    return Pending(path, row.get(time) or now, reason, f"is {word!r}, not complete")


def look_at_volumes(source: EbsSource, host: Host, now: datetime, limit: timedelta, data: Data) -> None:
    """Every volume must have a good snapshot; the worst one's verdict is the source's. Raises Verdict, RemoteError."""
    data["path"] = "ebs " + ", ".join(source.volumes or [f"{key}={value}" for key, value in source.tags.items()])
    data["path"] = data["path"].replace(HOST, host.name)
    service = Service("ec2", source, LOOK_SECONDS)
    volumes = _volumes(service, source, host)
    rows: dict[str, list[Mapping[str, Json]]] = {volume: [] for volume in volumes}
    for row in _filtered(service, "describe_snapshots", "Snapshots", "volume-id", volumes, OwnerIds=["self"]):
        if row["VolumeId"] in rows:
            rows[row["VolumeId"]].append(row)
    seen = [(volume, *_volume(volume, rows[volume], source, now, limit)) for volume in volumes]
    _merge(seen, data)


def _volumes(service: Service, source: EbsSource, host: Host) -> list[str]:
    """The ids of all volumes; one that is not there any more cannot be said to be backed up."""
    doing = "looking at the volumes"
    if source.volumes:
        wanted = [volume.replace(HOST, host.name) for volume in source.volumes]
        there = {str(row["VolumeId"]) for row in _filtered(service, "describe_volumes", "Volumes", "volume-id", wanted)}
        if lost := [volume for volume in wanted if volume not in there]:
            raise bad(Reason.MISSING, f"there is no volume {', '.join(lost[:5])}")
        return wanted
    tags = {key: value.replace(HOST, host.name) for key, value in source.tags.items()}
    filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in tags.items()]
    rows = service.rows("describe_volumes", "Volumes", doing, Filters=filters)
    found = sorted(row["VolumeId"] for row in rows if tags.items() <= _tags(row).items())  # a filter takes wildcards
    if not found:
        raise bad(Reason.MISSING, "no volume has these tags")
    if len(found) > MOST_VOLUMES:
        raise AwsError(Reason.OVER_CAP, f"{len(found)} volumes have these tags")
    return found


def _tags(row: Mapping[str, Json]) -> dict[str, str]:
    return {str(tag["Key"]): str(tag["Value"]) for tag in row.get("Tags") or ()}


def _filtered(
    service: Service, operation: str, key: str, name: str, values: Sequence[str], **params: Json
) -> list[Mapping[str, Json]]:
    """All rows whose field is one of many values, which a filter takes in parts only."""
    found: list[Mapping[str, Json]] = []
    doing = f"listing the {key.lower()}"
    for at in range(0, len(values), BATCH):
        filters = [{"Name": name, "Values": list(values[at : at + BATCH])}]
        found += service.rows(operation, key, doing, Filters=filters, **params)
    return found


def _volume(
    volume: str, rows: Sequence[Mapping[str, Json]], source: EbsSource, now: datetime, limit: timedelta
) -> tuple[Data, Verdict | None]:
    data: Data = {"level": "none", "evidence": {}, "others": [], "notes": []}
    copies = [_of_volume(row) for row in rows if row["State"] == "completed"]
    pending = [one for row in rows if (one := _pending(row["SnapshotId"], row, "State", "StartTime", now))]
    try:
        chosen = newest(Seen(copies, pending, "there is no snapshot"), now, limit, data)
        check_size(chosen, source.min_bytes)
        data["level"] = "complete"
        if chosen.more["tier"] == "archive":
            data["notes"].append(f"{chosen.path} lies in the archive tier and must be restored before it can be used")
    except Verdict as verdict:
        return data, bad(verdict.reason, f"{volume}: {verdict.detail}")
    return data, None


def _of_volume(row: Mapping[str, Json]) -> Copy:
    """The content is that of the start, whenever the copying ended."""
    more = {"encrypted": bool(row.get("Encrypted")), "tier": str(row.get("StorageTier") or "standard")}
    return Copy(
        row["SnapshotId"], ((MADE, row["StartTime"]),), size=row.get("FullSnapshotSizeInBytes") or None, more=more
    )


LEVELS = ("none", "exists", "fresh", "complete")


def _merge(seen: Sequence[tuple[str, Data, Verdict | None]], data: Data) -> None:
    """One answer for all volumes: the lowest level, the oldest snapshot as evidence, the first fault as verdict."""
    age: Callable[[Data], float] = lambda one: one["evidence"].get("age_hours", float("inf"))  # noqa: E731
    worst = max((one for _, one, _ in seen), key=age)
    data["level"] = min((one["level"] for _, one, _ in seen), key=LEVELS.index)
    data.update(others=worst["others"], count=min(one.get("count", 0) for _, one, _ in seen))
    data["notes"] += [f"{volume}: {note}" for volume, one, _ in seen for note in one["notes"]][:20]
    sizes = [one["evidence"].get("size") for _, one, _ in seen]
    whole = {} if None in sizes else {"size": sum(sizes)}
    each = {volume: one["evidence"] for volume, one, _ in seen}
    data["evidence"] = {**worst["evidence"], **whole, "entries": len(seen), "volumes": each}
    faults = [verdict for _, _, verdict in seen if verdict]
    if faults:
        first = faults[0]
        raise bad(first.reason, "; ".join(verdict.detail for verdict in faults[:5]))
