"""Which differences may be corrected, and the changes that do so. Pure."""

from __future__ import annotations

from maintenancebot.model import Action, Change, Host, Risk, Undo
from maintenancebot.plan import contested, trying
from maintenancebot.plan.differences import Difference, Seen
from maintenancebot.plan.document import make_change
from maintenancebot.plan.lockout import can_lock_out, is_shared
from maintenancebot.settings import Correct, ItemKind

ACTIONS = {
    ItemKind.FILE: Action.CORRECT_FILE,
    ItemKind.SERVICE: Action.CORRECT_SERVICE,
    ItemKind.SYSCTL: Action.CORRECT_SYSCTL,
    ItemKind.KEYS: Action.CORRECT_KEYS,
    ItemKind.CRONTAB: Action.CORRECT_CRONTAB,
    ItemKind.PACKAGE: Action.CORRECT_HOLD,
}
"""What can be corrected; the other kinds are reported only."""

METADATA = frozenset({"mode", "owner", "group"})
LOCKOUT_NOTE = "taken back by the host itself unless a new login works"


def objection(seen: Seen, host: Host) -> str:
    """Why this difference is only reported on this host, in words; empty when it may be corrected."""
    item, wanted = seen.item, seen.item.wanted
    if item.correct is Correct.NEVER:
        return "reported only"
    if item.kind not in ACTIONS:
        return f"a {item.kind.value} is never corrected"
    if seen.difference not in (Difference.MISSING, Difference.DIFFERS, Difference.UNEXPECTED):
        return "left alone"
    if seen.difference is Difference.UNEXPECTED and seen.error:
        return "only a plain file is moved away"
    if item.kind is ItemKind.SERVICE and seen.difference is Difference.MISSING and _must_be_there(seen):
        return "nothing to switch on"
    if item.kind is ItemKind.PACKAGE and set(seen.differs) != {"held"}:
        return "of a package only the hold is corrected"
    if _can_lock_out(seen, host) and (no := _no_login(host) or trying.objection(item)):
        return no
    if wanted.get("state") == "absent" or item.content is not None:
        return ""
    if item.kind is ItemKind.CRONTAB or (item.kind is ItemKind.FILE and not _only_metadata(seen)):
        return f"the baseline has {'a hash of it and ' if 'sha256' in wanted else ''}no content"
    return ""


def correction(host: Host, task: str, seen: Seen) -> Change:
    """The change that makes an item as declared."""
    item = seen.item
    lockout = _can_lock_out(seen, host)
    restarts = bool(item.reload) or item.kind is ItemKind.SERVICE
    return make_change(
        host.name,
        task,
        ACTIONS[item.kind],
        name=item.id,
        identity={
            "item": item.id,
            "kind": item.kind.value,
            "name": item.name,
            "wanted": dict(item.wanted),
            "found": dict(seen.found),
            "identity": dict(seen.identity),
            "correct": item.correct.value,
            "reload": item.reload,
            "lockout": lockout,
        },
        undo=Undo.TRASH if _replaces_a_file(seen) else Undo.SET_BACK,
        risk=Risk.HIGH if lockout else Risk.MEDIUM if restarts else Risk.LOW,
        effect=contested.effect(item.wanted, seen.found),
        note=LOCKOUT_NOTE if lockout else "",
    )


def _can_lock_out(seen: Seen, host: Host) -> bool:
    """Whether it may; of keys only the host knows in whose file they are."""
    path = seen.identity.get("path")
    is_of_others = seen.item.kind is ItemKind.KEYS and isinstance(path, str) and is_shared(path, seen.item.name)
    return is_of_others or can_lock_out(seen.item, host.user)


def _replaces_a_file(seen: Seen) -> bool:
    """Whether what lies there goes to the trash; of keys there may be a file though all of them are missing."""
    if seen.item.kind is ItemKind.KEYS:
        return "ino" in seen.identity
    is_there = seen.difference is not Difference.MISSING
    return seen.item.kind in (ItemKind.FILE, ItemKind.CRONTAB) and is_there and not _only_metadata(seen)


def _no_login(host: Host) -> str:
    return "" if host.connection == "ssh" else "it could lock everybody out, and no login can be tried here"


def _must_be_there(seen: Seen) -> bool:
    """Whether a unit must exist for what is declared of it; masked can be what is not there."""
    return bool(seen.item.wanted.get("enabled") or seen.item.wanted.get("active"))


def _only_metadata(seen: Seen) -> bool:
    return seen.difference is Difference.DIFFERS and bool(seen.differs) and set(seen.differs) <= METADATA
