"""The report as one JSON document: what `--json` prints and the store keeps."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime

from maintenancebot.model import (
    Action,
    Change,
    ChangeReport,
    HostReport,
    Json,
    Reason,
    Report,
    Risk,
    State,
    TaskReport,
    TaskType,
    Undo,
)

SCHEMA = 1


def report_to_json(report: Report) -> dict[str, Json]:
    """The report in the form of `--json`."""
    return {
        "schema": SCHEMA,
        "command": report.command,
        "run_id": report.run_id,
        "started_at": report.started_at.isoformat(),
        "finished_at": report.finished_at.isoformat(),
        "state": report.state.value,
        "totals": dict(report.totals),
        "notes": list(report.notes),
        "hosts": [_host_to_json(host) for host in report.hosts],
    }


def report_from_json(document: Mapping[str, Json]) -> Report:
    """The report again.

    Raises ValueError, KeyError or TypeError when the document is no report of this version.
    """
    if document["schema"] != SCHEMA:
        raise ValueError(f"report format {document['schema']!r} is not {SCHEMA}")
    return Report(
        command=document["command"],
        run_id=document["run_id"],
        started_at=datetime.fromisoformat(document["started_at"]),
        finished_at=datetime.fromisoformat(document["finished_at"]),
        state=State(document["state"]),
        hosts=tuple(_host_from_json(host) for host in document["hosts"]),
        totals=document["totals"],
        notes=tuple(document["notes"]),
    )


def dump_json(document: Json) -> str:
    """The document as one line of ASCII that every JSON reader takes.

    Names of hosts and files may hold bytes that are not UTF-8: they travel as escaped lone surrogates.
    Numbers that JSON does not have (a host's infinity) become null.
    """
    try:
        return json.dumps(document, ensure_ascii=True, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(document), ensure_ascii=True, allow_nan=False)


def _finite(value: Json) -> Json:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _host_to_json(host: HostReport) -> dict[str, Json]:
    return {
        "host": host.host,
        "state": host.state.value,
        "reason": host.reason.value,
        "detail": host.detail,
        "tasks": [_task_to_json(task) for task in host.tasks],
        "facts": dict(host.facts),
    }


def _host_from_json(item: Mapping[str, Json]) -> HostReport:
    return HostReport(
        host=item["host"],
        state=State(item["state"]),
        reason=Reason(item["reason"]),
        detail=item["detail"],
        tasks=tuple(_task_from_json(task) for task in item["tasks"]),
        facts=item["facts"],
    )


def _task_to_json(task: TaskReport) -> dict[str, Json]:
    return {
        "task": task.task,
        "type": task.type.value,
        "state": task.state.value,
        "reason": task.reason.value,
        "detail": task.detail,
        "changes": [_change_to_json(change) for change in task.changes],
        "facts": dict(task.facts),
    }


def _task_from_json(item: Mapping[str, Json]) -> TaskReport:
    return TaskReport(
        task=item["task"],
        type=TaskType(item["type"]),
        state=State(item["state"]),
        reason=Reason(item["reason"]),
        detail=item["detail"],
        changes=tuple(_change_from_json(item["task"], change) for change in item["changes"]),
        facts=item["facts"],
    )


def _change_to_json(report: ChangeReport) -> dict[str, Json]:
    change = report.change
    return {
        "id": change.id,
        "action": change.action.value,
        "object": change.name,
        "identity": dict(change.object),
        "undo": change.undo.value,
        "risk": change.risk.value,
        "note": change.note,
        "effect": dict(change.effect),
        "state": report.state.value,
        "reason": report.reason.value,
        "detail": report.detail,
        "measured": dict(report.measured),
    }


def _change_from_json(task: str, item: Mapping[str, Json]) -> ChangeReport:
    change = Change(
        id=item["id"],
        task=task,
        action=Action(item["action"]),
        name=item["object"],
        object=item["identity"],
        undo=Undo(item["undo"]),
        risk=Risk(item["risk"]),
        effect=item["effect"],
        note=item["note"],
    )
    return ChangeReport(
        change=change,
        state=State(item["state"]),
        reason=Reason(item["reason"]),
        detail=item["detail"],
        measured=item["measured"],
    )
