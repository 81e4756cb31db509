"""Recovery points of AWS Backup: which of a resource's points count."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from maintenancebot.model import Host, Json, Reason
from maintenancebot.probes.cloud_copies import Copy, Data, Pending, Seen, check_size, newest
from maintenancebot.remote.aws import Service
from maintenancebot.settings.sources import HOST, AwsBackupSource

LOOK_SECONDS = 120
GOOD = frozenset({"COMPLETED", "AVAILABLE"})
UNDER_WAY = frozenset({"CREATING"})
MADE = "the time of the recovery point"


def look(source: AwsBackupSource, host: Host, now: datetime, limit: timedelta, data: Data) -> None:
    """Fill the data; ends without a Verdict when there is a good point. Raises Verdict, RemoteError.

    PARTIAL, EXPIRED, STOPPED and DELETING points are none.
    """
    resource = source.resource.replace(HOST, host.name)
    vault = (source.vault or "").replace(HOST, host.name)
    data["path"] = resource
    service = Service("backup", source, LOOK_SECONDS)
    rows = [
        row
        for row in service.rows(
            "list_recovery_points_by_resource", "RecoveryPoints", "listing the recovery points", ResourceArn=resource
        )
        if vault in ("", row["BackupVaultName"])
    ]
    copies = [_copy(row) for row in rows if row["Status"] in GOOD]
    pending = [_pending(row) for row in rows if row["Status"] not in GOOD]
    nothing = f"there is no recovery point in {vault}" if vault else "there is no recovery point"
    chosen = newest(Seen(copies, pending, nothing), now, limit, data)
    check_size(chosen, source.min_bytes)
    data["level"] = "complete"


def _copy(row: Mapping[str, Json]) -> Copy:
    """Many kinds of resource tell no size, which is said as 0."""
    more = {"vault": str(row["BackupVaultName"]), "encrypted": bool(row.get("EncryptionKeyArn"))}
    size = row.get("BackupSizeBytes") or None
    return Copy(str(row["RecoveryPointArn"]), ((MADE, row["CreationDate"]),), size=size, more=more)


def _pending(row: Mapping[str, Json]) -> Pending:
    status = str(row["Status"])
    reason = Reason.BEING_WRITTEN if status in UNDER_WAY else Reason.INCOMPLETE
    return Pending(str(row["RecoveryPointArn"]), row["CreationDate"], reason, f"is {status}, not complete")
