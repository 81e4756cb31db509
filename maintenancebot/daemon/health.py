"""Health: whether the process answers, whether it could do its job now, and what it is doing.

`/health/live` and `/health/ready` tell no names of hosts and may be asked by anybody who reaches the server;
`/status` is for this machine, and for whoever has the webhook's token.
"""

from __future__ import annotations

import hmac
import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from maintenancebot import __version__
from maintenancebot.app.context import Context
from maintenancebot.daemon.vitals import BEAT_SECONDS, CONFIGURATION, INTAKE, SCHEDULE, Vitals
from maintenancebot.errors import MaintenanceError
from maintenancebot.model import Json
from maintenancebot.policy import budgets, slots
from maintenancebot.policy.breakers import BreakerState
from maintenancebot.policy.episodes import Episode
from maintenancebot.store import Store
from maintenancebot.store.slots import Slot

FRESH_SECONDS = 5.0
BAD_SECONDS = 1.0
"""How long an answer about readiness is given again: whoever asks a thousand times a second writes nothing more."""
LATE = timedelta(minutes=10)
"""A slot that nobody took up by then is overdue."""
LEAST_BYTES = 32 * 2**20
LEAST_INODES = 100
"""What must be free for the state: a run of a fleet writes some megabytes."""
LAST_SLOTS = 20
FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-real-ip")
"""Headers by which a proxy on this machine tells that the question came from elsewhere."""


@dataclass(frozen=True)
class Cause:
    """One thing that must be well for the daemon to do its job."""

    name: str
    ok: bool
    detail: str = ""


Causes = Callable[[], Sequence[Cause]]


def causes(context: Context, store: Store, vitals: Vitals, now: datetime) -> list[Cause]:
    """Everything that readiness depends on, each looked at now; never raises."""
    looked = (
        ("scheduler", lambda: _beat(vitals, SCHEDULE)),
        ("intake", lambda: _beat(vitals, INTAKE) if is_guarded(context) else (True, "off, see webhook")),
        ("work", lambda: _work(vitals)),
        ("store", lambda: _store(store)),
        ("audit", lambda: _audit(store)),
        ("disk", lambda: _disk(context.state)),
        ("inventory", lambda: (bool(context.inventory.hosts), f"{len(context.inventory.hosts)} hosts")),
        ("configuration", lambda: _configuration(vitals)),
        ("schedule", lambda: _kept(context, store, now)),
        ("webhook", lambda: _webhook(context)),
    )
    return [_cause(name, look) for name, look in looked]


def kept(look: Causes, seconds: float = FRESH_SECONDS, clock: Callable[[], float] = time.monotonic) -> Causes:
    """The same answer for a few seconds, one that is bad for less; looked for by one thread at a time."""
    lock = threading.Lock()
    last: list[tuple[float, Sequence[Cause]]] = []

    def ask() -> Sequence[Cause]:
        with lock:
            if not last or clock() >= last[0][0]:
                found = look()
                lasts = seconds if all(one.ok for one in found) else min(seconds, BAD_SECONDS)
                last[:] = [(clock() + lasts, found)]
            return last[0][1]

    return ask


def routes(ready: Causes, status: Callable[[], Json], may_see: Callable[[Request], bool]) -> list[Route]:
    """`/health/live`, `/health/ready` and `/status`; all but the first are worked out in a thread."""

    async def live(_: Request) -> Response:
        return _json({"live": True})

    def is_ready(_: Request) -> Response:
        found = ready()
        well = all(one.ok for one in found)
        return _json({"ready": well, "causes": [asdict(one) for one in found]}, 200 if well else 503)

    def tell(request: Request) -> Response:
        if not may_see(request):
            return _json({"error": "the status is for this machine, and for those with the webhook's token"}, 401)
        try:
            return _json(status())
        except MaintenanceError as error:
            return _json({"error": str(error)}, 503)

    return [
        Route("/health/live", live, methods=["GET"]),
        Route("/health/ready", is_ready, methods=["GET"]),
        Route("/status", tell, methods=["GET"]),
    ]


def permission(context: Callable[[], Context]) -> Callable[[Request], bool]:
    """Who may see the status: whoever may call the webhook, and this machine itself, but not through a proxy."""

    def may_see(request: Request) -> bool:
        known = context()
        tls, token = known.settings.http.tls, known.secrets.webhook_token.encode()
        if tls is not None and tls.client_ca is not None:
            return True  # TLS let nobody in without a certificate of this authority
        given = request.headers.get("authorization", "").encode("utf-8", "surrogateescape")
        return (bool(token) and hmac.compare_digest(given, b"Bearer " + token)) or _is_local(request)

    return may_see


def status(context: Context, store: Store, vitals: Vitals, now: datetime) -> Json:
    """What the daemon is doing, what comes next, and what holds it back; raises StoreError."""
    figures = store.figures.at(now)
    stop = store.guard.stopped()
    return {
        "schema": 1,
        "name": context.settings.name,
        "version": __version__,
        "now": now.isoformat(),
        "hosts": len(context.inventory.hosts),
        "next_runs": [
            {"schedule": one.schedule, "at": one.at.isoformat(), "words": str(one), "hindrance": one.hindrance}
            for one in slots.coming(context.settings, now, 1)
        ],
        "last_slots": [_slot(one) for one in store.slots.recent(LAST_SLOTS)],
        "work": [
            {"name": one.name, "seconds": round(one.age, 1), "silent_seconds": round(one.silent, 1)}
            for one in vitals.pieces()
        ],
        "leases": [
            {"name": one.name, "doing": one.doing, "process": one.owner.pid, "since": one.since.isoformat()}
            for one in store.leases.all(at=now)
        ],
        "notes": vitals.notes(),
        "stopped": {"by": stop.by, "reason": stop.reason, "at": _when(stop.at)} if stop else None,
        "breakers": [
            {"scope": key.scope.value, "name": key.name, "state": one.state(now).value, "until": _when(one.open_until)}
            for key, one in store.breakers.all().items()
            if one.state(now) is not BreakerState.CLOSED
        ],
        "actions_left": actions_left(context, store, now),
        "episodes": [_episode(one) for one in store.episodes.open()],
        "alerts_waiting": figures.alerts_waiting,
        "messages_waiting": figures.messages_waiting,
        "approvals_waiting": figures.approvals_waiting,
    }


def actions_left(context: Context, store: Store, now: datetime) -> dict[str, int]:
    """How many changes the budgets still allow, by the hour and by the day; raises StoreError."""
    rules = context.settings.guards
    hour = store.audit.actions_since(now - timedelta(hours=1))
    day = store.audit.actions_since(now - timedelta(days=1))
    return {
        "hour": max(0, rules.actions_per_hour - hour),
        "day": max(0, rules.actions_per_day - day),
        "now": budgets.left(rules, last_hour=hour, last_day=day),
    }


def _cause(name: str, look: Callable[[], tuple[bool, str]]) -> Cause:
    try:
        return Cause(name, *look())
    except (MaintenanceError, OSError) as error:
        return Cause(name, False, str(error))


def _beat(vitals: Vitals, part: str) -> tuple[bool, str]:
    age = vitals.age(part)
    if age == float("inf"):
        return False, "it has not begun"
    return age <= BEAT_SECONDS, f"its last sign of life was {age:.0f} s ago"


def _work(vitals: Vitals) -> tuple[bool, str]:
    hung = [f"{one.name} has not got on for {one.silent:.0f} s" for one in vitals.pieces() if one.is_hung]
    return not hung, "; ".join(hung)


def _store(store: Store) -> tuple[bool, str]:
    store.runs.latest(1)
    return True, ""


def _audit(store: Store) -> tuple[bool, str]:
    well = store.audit.probe_writable()
    return well, "" if well else "the audit log cannot be written, so nothing is changed on any host"


def _disk(state: Path) -> tuple[bool, str]:
    found = os.statvfs(state)
    free = found.f_bavail * found.f_frsize
    if found.f_flag & os.ST_RDONLY:
        return False, "the file system of the state is read-only"
    if free < LEAST_BYTES or (found.f_files > 0 and found.f_favail < LEAST_INODES):
        return False, f"{free // 2**20} MiB and {found.f_favail} inodes are free for the state"
    return True, f"{free // 2**20} MiB are free for the state"


def _configuration(vitals: Vitals) -> tuple[bool, str]:
    """A reload that was refused leaves the daemon able to do its job, by the configuration that it had."""
    refused = vitals.notes().get(CONFIGURATION)
    return True, "the last reload was refused, the configuration before it holds; see the log" if refused else ""


def _kept(context: Context, store: Store, now: datetime) -> tuple[bool, str]:
    last = ((name, store.slots.last(name, at=now)) for name in slots.schedules(context.settings))
    recorded = {name: slot for name, slot in last if slot}
    waiting = [
        one
        for one in slots.passed(context.settings, recorded, now)
        if one.fate is not slots.Fate.PAST and datetime.fromtimestamp(one.at, UTC) + LATE < now
    ]
    told = [f"{one.schedule} of {datetime.fromtimestamp(one.at, UTC):%Y-%m-%d %H:%M} UTC" for one in waiting]
    return not told, f"nobody has taken up {', '.join(told[:3])}" if told else ""


def _webhook(context: Context) -> tuple[bool, str]:
    if is_guarded(context):
        return True, ""
    return False, "it is closed: give the secret `webhook_token`, or write http.tls.client_ca"


def is_guarded(context: Context) -> bool:
    """Whether the webhook knows who may call it; else it is not served."""
    tls = context.settings.http.tls
    return bool(context.secrets.webhook_token) or (tls is not None and tls.client_ca is not None)


def _slot(one: Slot) -> Json:
    return {
        "schedule": one.schedule,
        "at": datetime.fromtimestamp(one.slot, UTC).isoformat(),
        "run": one.run,
        "state": one.state.value if one.state else "running",
        "reason": one.reason.value if one.reason else "",
        "detail": one.detail,
        "finished_at": _when(one.finished_at),
    }


def _episode(one: Episode) -> Json:
    return {
        "id": one.id,
        "rule": one.rule,
        "host": one.host,
        "subject": one.subject,
        "state": one.state.value,
        "reason": one.reason.value,
        "opened_at": _when(one.opened_at),
    }


def _when(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _is_local(request: Request) -> bool:
    if request.client is None or any(name in request.headers for name in FORWARDED):
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def _json(content: Json, status_code: int = 200) -> Response:
    """ASCII, so that names of hosts with any bytes at all pass."""
    return Response(
        json.dumps(content, indent=1) + "\n", status_code, {"cache-control": "no-store"}, "application/json"
    )
