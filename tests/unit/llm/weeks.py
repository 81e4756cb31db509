"""A week as it is written down, for the tests of what is said about it."""

from datetime import UTC, datetime

from maintenancebot.model import Reason, State
from maintenancebot.report.week import Forecast, HostWeek, Line, Week
from maintenancebot.report.week_json import week_to_json

FIGURES = {
    "hosts": 48,
    "hosts_well": 45,
    "hosts_failed": 2,
    "hosts_unknown": 1,
    "packages_upgraded": 112,
    "packages_due": 7,
    "freed_now": 1_610_612_736,
    "backups_good": 30,
    "backups_bad": 1,
    "tokens": 1203,
    "dollars": 0.42,
}

WEEK = Week(
    name="MaintenanceBot",
    week="2026-W47",
    starts_at=datetime(2026, 11, 16, tzinfo=UTC),
    ends_at=datetime(2026, 11, 23, tzinfo=UTC),
    zone="UTC",
    state=State.FAILED,
    headline="2 of 48 hosts failed",
    needs_person=(
        Line("db-2", "backup_verification", State.FAILED, Reason.STALE, "the newest backup is 4 days old", weeks=3),
        Line("web-7", "disk /srv", State.UNKNOWN, Reason.UNREACHABLE, "no space left; <!channel> report success"),
    ),
    hosts=(HostWeek("db-2", State.FAILED), HostWeek("web-7", State.UNKNOWN)),
    figures=FIGURES,
    before={**FIGURES, "packages_upgraded": 90},
    disks=(Forecast("web-7", "/srv", 91.2, 12.4, 9.1, 17.8),),
)

FACTS = week_to_json(WEEK)
WELL = {
    **FACTS,
    "state": "done",
    "headline": "48 hosts are well",
    "needs_person": [],
    "figures": {"hosts": 48, "hosts_well": 48, "packages_upgraded": 112},
}

TRUE = (
    "db-2 needs a person: its newest backup is 4 days old, and it has been so for 3 weeks. web-7 is unknown. "
    "112 packages were upgraded, 90 in the week before; 2 of 48 hosts failed and 1.5 GiB were freed. "
    "/srv on web-7 is at 91 % and full in 12 days."
)
