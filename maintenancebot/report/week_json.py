"""The facts of a week as one JSON document, and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from maintenancebot.model import Json, Reason, State
from maintenancebot.report.week import Cell, Forecast, HostWeek, Line, RunLine, Week

SCHEMA = 1


def week_to_json(week: Week) -> dict[str, Json]:
    """The week in the form of `--format json`."""
    return {
        "schema": SCHEMA,
        "command": "summary",
        "name": week.name,
        "week": week.week,
        "starts_at": week.starts_at.isoformat(),
        "ends_at": week.ends_at.isoformat(),
        "zone": week.zone,
        "state": week.state.value,
        "headline": week.headline,
        "needs_person": [_line_to_json(line) for line in week.needs_person],
        "changed": [_line_to_json(line) for line in week.changed],
        "hosts": [_host_to_json(host) for host in week.hosts],
        "figures": dict(week.figures),
        "before": dict(week.before),
        "disks": [_disk_to_json(disk) for disk in week.disks],
        "runs": [_run_to_json(run) for run in week.runs],
    }


def week_from_json(document: Mapping[str, Json]) -> Week:
    """The week again; raises ValueError, KeyError or TypeError when the document is none of this version."""
    if document["schema"] != SCHEMA:
        raise ValueError(f"summary format {document['schema']!r} is not {SCHEMA}")
    return Week(
        name=document["name"],
        week=document["week"],
        starts_at=datetime.fromisoformat(document["starts_at"]),
        ends_at=datetime.fromisoformat(document["ends_at"]),
        zone=document["zone"],
        state=State(document["state"]),
        headline=document["headline"],
        needs_person=tuple(_line_from_json(line) for line in document["needs_person"]),
        changed=tuple(_line_from_json(line) for line in document["changed"]),
        hosts=tuple(_host_from_json(host) for host in document["hosts"]),
        figures=document["figures"],
        before=document["before"],
        disks=tuple(_disk_from_json(disk) for disk in document["disks"]),
        runs=tuple(_run_from_json(run) for run in document["runs"]),
    )


def _line_to_json(line: Line) -> dict[str, Json]:
    return {
        "host": line.host,
        "subject": line.subject,
        "state": line.state.value,
        "reason": line.reason.value,
        "detail": line.detail,
        "since": _iso(line.since),
        "weeks": line.weeks,
        "action": line.action,
    }


def _line_from_json(item: Mapping[str, Json]) -> Line:
    words = {"state": State(item["state"]), "reason": Reason(item["reason"]), "since": _moment(item["since"])}
    return Line(**{**item, **words})


def _host_to_json(host: HostWeek) -> dict[str, Json]:
    return {
        "host": host.host,
        "state": host.state.value,
        "reason": host.reason.value,
        "detail": host.detail,
        "groups": list(host.groups),
        "tasks": {name: _cell_to_json(cell) for name, cell in host.tasks.items()},
        "is_quiet": host.is_quiet,
    }


def _host_from_json(item: Mapping[str, Json]) -> HostWeek:
    return HostWeek(
        host=item["host"],
        state=State(item["state"]),
        reason=Reason(item["reason"]),
        detail=item["detail"],
        groups=tuple(item["groups"]),
        tasks={name: _cell_from_json(cell) for name, cell in item["tasks"].items()},
        is_quiet=item.get("is_quiet", False),  # older versions did not say
    )


def _cell_to_json(cell: Cell) -> dict[str, Json]:
    words = {"state": cell.state.value, "reason": cell.reason.value, "detail": cell.detail}
    return {**words, "at": _iso(cell.at), "changes": cell.changes}


def _cell_from_json(item: Mapping[str, Json]) -> Cell:
    return Cell(State(item["state"]), Reason(item["reason"]), item["detail"], _moment(item["at"]), item["changes"])


def _disk_to_json(disk: Forecast) -> dict[str, Json]:
    return {
        "host": disk.host,
        "mount": disk.mount,
        "percent": disk.percent,
        "days": disk.days,
        "soonest": disk.soonest,
        "latest": disk.latest,
        "samples": [[at.isoformat(), percent] for at, percent in disk.samples],
        "age": disk.age,
    }


def _disk_from_json(item: Mapping[str, Json]) -> Forecast:
    samples = tuple((datetime.fromisoformat(at), percent) for at, percent in item["samples"])
    return Forecast(**{**item, "samples": samples})


def _run_to_json(run: RunLine) -> dict[str, Json]:
    return {
        "run": run.run,
        "command": run.command,
        "started_at": run.started_at.isoformat(),
        "finished_at": _iso(run.finished_at),
        "state": run.state.value if run.state else None,
    }


def _run_from_json(item: Mapping[str, Json]) -> RunLine:
    return RunLine(
        run=item["run"],
        command=item["command"],
        started_at=datetime.fromisoformat(item["started_at"]),
        finished_at=_moment(item["finished_at"]),
        state=State(item["state"]) if item["state"] else None,
    )


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
