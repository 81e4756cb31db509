"""A store with the runs of some weeks, and the week that they come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from maintenancebot.app import weekly
from maintenancebot.app.context import Context
from maintenancebot.inventory import load_both
from maintenancebot.model import HostReport, Reason, TaskReport, TaskType
from maintenancebot.policy import weeks
from maintenancebot.policy.episodes import ENDED, Alert, Episode, EpisodeState, Verdict
from maintenancebot.report.document import report_to_json
from maintenancebot.report.week import Line, Week
from maintenancebot.store import Received, Store
from tests.unit.places import Place
from tests.unit.report import examples

SUNDAY = datetime(2026, 11, 22, 3, tzinfo=UTC)
MONDAY = datetime(2026, 11, 23, 8, tzinfo=UTC)
WEEK = timedelta(weeks=1)
THIS = "2026-W47"

PATCHES = {"name": "security_patches", "type": "package_update", "scope": "security_only"}
BACKUPS = {"name": "backup_verification", "type": "verify", "check": "backup_completed_within_24h"}
CERTIFICATES = {"name": "certificate_check", "type": "monitor", "check": "certificate_expiry_days > 30"}


@dataclass
class Fleet:
    """A place with hosts, and its store."""

    place: Place
    store: Store

    def context(self, *hosts: str) -> Context:
        self.place.configure(PATCHES, BACKUPS, CERTIFICATES, timezone="Europe/Berlin")
        self.place.list_hosts(*hosts)
        return Context(*load_both(self.place.config, self.place.inventory), self.place.state_dir)

    def ran(self, *hosts: HostReport, at: datetime = SUNDAY, command: str = "run", run: str = "") -> str:
        """A run that ended a minute later."""
        run = run or f"run-{at:%m%dT%H%M}"
        report = replace(examples.report(*hosts, command=command), run_id=run, started_at=at)
        report = replace(report, finished_at=at + timedelta(minutes=1))
        self.store.runs.start(run, command, "c" * 64, at=at)
        document = report_to_json(report)
        self.store.runs.finish(run, report.state, report.totals, document, at=report.finished_at)
        return run

    def had(self, host: str, state: str, reason: str, at: datetime = SUNDAY) -> None:
        """An episode of a full disk that came to this."""
        ended = EpisodeState(state) in ENDED
        opened = Episode(f"episode-{at:%H%M}", "disk", host, "/srv", at, at)
        self.store.alerts.receive([Received(f"key-{at:%H%M}", "generic", "DiskFull", "firing", {}, at, {})])

        def judge(alerts: Sequence[Alert], _: Sequence[Episode]) -> list[Verdict]:
            return [Verdict(alerts[0].id, Reason.NONE, host=host, episode=opened.id, opens=opened)]

        self.store.episodes.take_up(1, judge, lambda _: None, since=at, at=at)
        last = replace(opened, state=EpisodeState(state), reason=Reason(reason), closed_at=at if ended else None)
        self.store.episodes.move(last)

    def week(self, *hosts: str, name: str = THIS, now: datetime = MONDAY) -> Week:
        """The facts of a week, for these hosts of the inventory."""
        return weekly.facts(self.context(*hosts), self.store, weeks.named(name, "Europe/Berlin"), now)


def backups(**given: object) -> TaskReport:
    return TaskReport("backup_verification", TaskType.VERIFY, **given)  # type: ignore[arg-type]


def certificates(**given: object) -> TaskReport:
    return TaskReport("certificate_check", TaskType.MONITOR, **given)  # type: ignore[arg-type]


def told(lines: tuple[Line, ...]) -> list[str]:
    """Lines in short."""
    return [f"{line.host} {line.subject}: {line.state} {line.reason}".strip() for line in lines]
