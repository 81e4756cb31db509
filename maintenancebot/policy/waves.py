"""In which order hosts are upgraded: canaries, then slowly more, and when the rest is left untouched. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from maintenancebot.model import Outcome, Reason, State

Kind = tuple[str, str]
"""A release and a group: what one canary can prove for others."""

UNREACHED = frozenset(
    {
        Reason.UNREACHABLE,
        Reason.CONNECT_TIMEOUT,
        Reason.HOST_KEY_UNKNOWN,
        Reason.HOST_KEY_CHANGED,
        Reason.LOGIN_REFUSED,
        Reason.BECOME_PASSWORD,
        Reason.BECOME_REFUSED,
        Reason.BECOME_TTY,
        Reason.BECOME_MISSING,
        Reason.UNSUPPORTED,
    }
)
"""No connection that could be worked over: no word on the upgrade, so it uses up nothing of the failure budget."""


class Rules(Protocol):
    """The waves of a task."""

    @property
    def canaries(self) -> bool: ...
    @property
    def growth(self) -> int: ...
    @property
    def cap(self) -> int: ...
    @property
    def max_failures(self) -> int: ...


@dataclass(frozen=True)
class Member:
    """A host that waits for its turn."""

    name: str
    release: str = ""
    groups: tuple[str, ...] = ()
    quorum: str = ""

    @property
    def kinds(self) -> frozenset[Kind]:
        """What it stands for as a canary."""
        return frozenset((self.release, group) for group in self.groups or ("",))


@dataclass(frozen=True)
class Course:
    """How far a run has come."""

    proven: frozenset[Kind] = frozenset()  # kinds of which a host was upgraded and is well
    grown: int = 0  # waves after the canaries that went well, the measure of the next one's size
    failed: frozenset[str] = frozenset()
    unreached: frozenset[str] = frozenset()
    down: frozenset[str] = field(default_factory=frozenset)  # quorum groups of which a host is not well

    def after(self, wave: Sequence[Member], results: dict[str, State | None], *, canaries: bool) -> Course:
        """The course after a wave: a result is None for a host that was not reached."""
        good = [member for member in wave if results[member.name] is State.DONE]
        failed = [member for member in wave if results[member.name] in (State.FAILED, State.UNKNOWN)]
        gone = [member for member in wave if results[member.name] is None]
        return Course(
            proven=self.proven.union(*(member.kinds for member in good)),
            grown=self.grown + (not canaries and bool(good)),
            failed=self.failed | {member.name for member in failed},
            unreached=self.unreached | {member.name for member in gone},
            down=self.down | {member.quorum for member in [*failed, *gone] if member.quorum},
        )


def next_wave(waiting: Sequence[Member], course: Course, rules: Rules) -> tuple[tuple[Member, ...], bool]:
    """The hosts that are next, in the inventory's order, and whether they are canaries; empty when none may go.

    Never two of one quorum group, none of a group that has a host down.
    """
    free = [member for member in waiting if member.quorum not in course.down]
    if rules.canaries:
        canaries = _canaries(free, course.proven, rules.cap)
        if canaries:
            return canaries, True
    size = min(rules.cap, rules.growth**course.grown)
    return tuple(_apart(free, size)), False


def is_over(course: Course, rules: Rules) -> bool:
    """Whether so many hosts failed that the rest is left."""
    return len(course.failed) > rules.max_failures


def result(outcomes: Iterable[Outcome]) -> State | None:
    """What the outcomes of a host's package changes say of it; None when it was not reached.

    A host that was left alone, because it was busy for instance, is `skipped`: it proves nothing and costs nothing.
    """
    states = list(outcomes)
    if states and all(not one.begun and one.reason in UNREACHED for one in states):
        return None
    bad = [one.state for one in states if one.state in (State.FAILED, State.UNKNOWN)]
    if bad:
        return max(bad, key=(State.UNKNOWN, State.FAILED).index)
    return State.DONE if any(one.state is State.DONE for one in states) else State.SKIPPED


def _canaries(free: Sequence[Member], proven: Collection[Kind], cap: int) -> tuple[Member, ...]:
    """As few hosts as cover every kind that is not proven yet, the ones that cover most first."""
    open_kinds = {kind for member in free for kind in member.kinds} - set(proven)
    chosen: list[Member] = []
    while open_kinds and len(chosen) < cap:
        taken = {member.quorum for member in chosen if member.quorum}
        left = [member for member in free if member not in chosen and member.quorum not in taken]
        best = max(left, key=lambda member: len(member.kinds & open_kinds), default=None)
        if best is None or not best.kinds & open_kinds:
            break
        chosen.append(best)
        open_kinds -= best.kinds
    return tuple(member for member in free if member in chosen)


def _apart(free: Sequence[Member], size: int) -> Iterable[Member]:
    taken: set[str] = set()
    for member in free:
        if size and member.quorum not in taken:
            size -= 1
            taken |= {member.quorum} - {""}
            yield member
