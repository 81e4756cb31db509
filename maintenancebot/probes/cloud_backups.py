"""Backups that lie with a cloud, looked at from the controller: one finding for each source, as the helper's."""

from __future__ import annotations

from datetime import datetime, timedelta

from maintenancebot.errors import RemoteError
from maintenancebot.model import Finding, Host, Json, Reason
from maintenancebot.probes import cloud_objects, cloud_points, cloud_snapshots
from maintenancebot.probes.cloud_copies import Data, Verdict
from maintenancebot.remote import aws
from maintenancebot.settings.sources import AwsBackupSource, BackupSource, EbsSource, RdsSource, S3Source
from maintenancebot.settings.tasks import VerifyTask

LOOK_SECONDS = 240
"""The most that a look may take in which nothing is read to its end."""


def look(task: VerifyTask, number: int, source: BackupSource, host: Host, now: datetime) -> Finding:
    """The finding for one source of a task; whatever fails is `unknown` with its reason. `now` is the controller's."""
    assert isinstance(source, (S3Source, RdsSource, EbsSource, AwsBackupSource))
    limit = timedelta(hours=task.max_age_hours)
    reads = isinstance(source, S3Source) and (source.read or bool(source.contains))
    seconds = LOOK_SECONDS + (cloud_objects.READ_SECONDS if reads else 0)
    try:
        data = aws.within(seconds, lambda: _judged(source, host, now, limit))
    except RemoteError as error:
        data = {**_blank(), **_verdict("unknown", error.reason, str(error))}
    data["path"] = data["path"] or source.type
    return Finding(task.name, "backup", source.name or data["path"], {"source": number, **data})


def _blank() -> Data:
    return {"path": "", "level": "none", "evidence": {}, "others": [], "links": [], "notes": []}


def _verdict(verdict: str, reason: Reason, detail: str) -> dict[str, Json]:
    return {"verdict": verdict, "reason": reason.value, "detail": detail}


def _judged(
    source: S3Source | RdsSource | EbsSource | AwsBackupSource, host: Host, now: datetime, limit: timedelta
) -> Data:
    data = _blank()
    try:
        match source:
            case S3Source():
                cloud_objects.look(source, host, now, limit, data)
            case RdsSource():
                cloud_snapshots.look_at_database(source, host, now, limit, data)
            case EbsSource():
                cloud_snapshots.look_at_volumes(source, host, now, limit, data)
            case AwsBackupSource():
                cloud_points.look(source, host, now, limit, data)
        return {**data, **_verdict("ok", Reason.FRESH, "")}
    except Verdict as verdict:
        return {**data, **_verdict(verdict.verdict, verdict.reason, verdict.detail)}
    except RemoteError as error:
        return {**data, **_verdict("unknown", error.reason, str(error))}
    except (
        Exception
    ) as error:  # whatever a strange answer makes us stumble over: it spoils its own source, not the host
        return {**data, **_verdict("unknown", Reason.GARBLED, f"the answer cannot be read ({type(error).__name__})")}
