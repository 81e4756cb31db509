"""Phase two of a run: all hosts at once, but upgrades and reboots in waves; the rules are in `policy/waves.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from maintenancebot.engine import making
from maintenancebot.engine.brakes import Brakes
from maintenancebot.engine.ledger import Ledger
from maintenancebot.engine.making import Job
from maintenancebot.engine.work import Work
from maintenancebot.model import Action, Change, Outcome, Reason, State
from maintenancebot.policy.waves import Course, Member, is_over, next_wave, result
from maintenancebot.settings import Waves

STAGED = frozenset({Action.UPGRADE_PACKAGE, Action.REPAIR_PACKAGES, Action.REBOOT_HOST})
"""What can hurt a service, so that not all hosts have it at once."""

Made = dict[str, Mapping[str, Outcome]]


@dataclass(frozen=True)
class Turn:
    """A host's job, and by which rules it waits for its turn."""

    job: Job
    release: str  # of its operating system
    rules: Waves | None  # None: nothing of the job has to wait

    @property
    def name(self) -> str:
        """The host's name."""
        return self.job.host.name

    @property
    def member(self) -> Member:
        """The host as the rules see it."""
        host = self.job.host
        return Member(host.name, self.release, host.groups, host.quorum)

    @property
    def staged(self) -> list[Change]:
        """The changes that wait."""
        return [change for step in self.job.steps for change in step.changes if change.action in STAGED]

    def rest(self) -> Job:
        """The job without what waits."""
        left_out = {change.id for change in self.staged}
        steps = [step for step in self.job.steps if not left_out & {change.id for change in step.changes}]
        return replace(self.job, steps=steps)


class Line:
    """The hosts that wait, in the inventory's order; one failure budget for all of them."""

    def __init__(self, turns: Sequence[Turn], quorums_down: frozenset[str]) -> None:
        self._waiting = [turn for turn in turns if turn.rules is not None]
        self._course = Course(down=quorums_down)
        self._wave: list[Turn] = []
        self._canaries = False

    def next(self) -> list[Turn]:
        """The next wave; empty when nobody may go any more. Hosts of one set of rules go before those of the next."""
        self._wave = []
        rules = next((turn.rules for turn in self._waiting if self._may_go(turn)), None)
        if rules is not None:
            same = [turn for turn in self._waiting if turn.rules == rules]
            wave, self._canaries = next_wave([turn.member for turn in same], self._course, rules)
            names = {member.name for member in wave}
            self._wave = [turn for turn in same if turn.name in names]
            self._waiting = [turn for turn in self._waiting if turn.name not in names]
        return self._wave

    def learn(self, made: Made) -> None:
        """What became of the last wave."""
        results = {turn.name: result(made[turn.name][change.id] for change in turn.staged) for turn in self._wave}
        members = [turn.member for turn in self._wave]
        self._course = self._course.after(members, results, canaries=self._canaries)

    def left(self) -> list[tuple[Turn, Reason, str]]:
        """Those whose turn never came, and why."""
        return [(turn, *self._refusal(turn)) for turn in self._waiting]

    def _may_go(self, turn: Turn) -> bool:
        over = turn.rules is None or is_over(self._course, turn.rules)
        return not over and turn.member.quorum not in self._course.down

    def _refusal(self, turn: Turn) -> tuple[Reason, str]:
        failed = ", ".join(sorted(self._course.failed))
        if turn.rules is not None and is_over(self._course, turn.rules):
            return Reason.WAVE_STOPPED, f"failed: {failed}; {turn.rules.max_failures} may fail"
        return Reason.QUORUM, f"another host of {turn.member.quorum} is down, not well, or in maintenance"


def make(turns: Sequence[Turn], quorums_down: frozenset[str], work: Work, ledger: Ledger, brakes: Brakes) -> Made:
    """Make all jobs: what need not wait at once beside the first wave, then wave after wave."""
    line = Line(turns, quorums_down)
    at_once = [turn.job for turn in turns if turn.rules is None]
    made: Made = {}
    while wave := line.next():
        held = {turn.name: said for turn in wave if (said := brakes.objection(turn.job.host)) is not Reason.NONE}
        jobs = [*at_once, *(turn.job for turn in wave if turn.name not in held)]
        if jobs:
            made.update(making.make(jobs, work, ledger, brakes))
        made.update({turn.name: _held(turn, held[turn.name], work) for turn in wave if turn.name in held})
        at_once = []
        line.learn(made)
    left = line.left()
    rests = [job for job in (turn.rest() for turn, _, _ in left) if job.steps]
    if at_once or rests:
        made.update(making.make([*at_once, *rests], work, ledger, brakes))
    for turn, reason, detail in left:
        if work.stop.is_set():  # what was in hand is unknown for that alone, and did not fail
            reason, detail = Reason.INTERRUPTED, ""
        made[turn.name] = {**made.get(turn.name, {}), **_refused(turn, reason, detail)}
        work.progress.host(turn.name, State.SKIPPED, detail)
    return made


def in_words(turns: Sequence[Turn], quorums_down: frozenset[str]) -> str:
    """Who is first, how many follow, and who is left, for a plan's reader; empty when nobody waits."""
    staged = [turn for turn in turns if turn.rules is not None]
    left = [turn.name for turn in staged if turn.member.quorum in quorums_down]
    first = [turn.name for turn in Line(turns, quorums_down).next()]
    more = len(staged) - len(first) - len(left)
    parts = [f"upgrades begin with {_listed(first)}"] if first and len(staged) > 1 else []
    parts += [f"{more} more follow in waves"] if more else []
    parts += [f"{_listed(left)} left: another host of the quorum group is down or in maintenance"] if left else []
    return "; ".join(parts)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _held(turn: Turn, reason: Reason, work: Work) -> Mapping[str, Outcome]:
    """All of a job whose turn came when a brake was on: nobody even logs in."""
    work.progress.host(turn.name, State.SKIPPED, reason.value)
    ids = [change.id for step in turn.job.steps for change in step.changes]
    return {one: Outcome(one, State.SKIPPED, reason, begun=False) for one in ids}


def _refused(turn: Turn, reason: Reason, detail: str) -> dict[str, Outcome]:
    return {one.id: Outcome(one.id, State.SKIPPED, reason, detail, begun=False) for one in turn.staged}
