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
        rules = next((turn.rules for turn in self._waiting if turn.member.quorum not in self._course.down), None)
        if rules is not None and not is_over(self._course, rules):
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

    def _refusal(self, turn: Turn) -> tuple[Reason, str]:
        failed = ", ".join(sorted(self._course.failed))
        if turn.rules is not None and is_over(self._course, turn.rules):
            return Reason.WAVE_STOPPED, f"failed: {failed}; {turn.rules.max_failures} may fail"
        return Reason.QUORUM, f"another host of {turn.member.quorum} is not well"


def make(turns: Sequence[Turn], quorums_down: frozenset[str], work: Work, ledger: Ledger, brakes: Brakes) -> Made:
    """Make all jobs: what need not wait at once beside the first wave, then wave after wave."""
    line = Line(turns, quorums_down)
    at_once = [turn.job for turn in turns if turn.rules is None]
    made: Made = {}
    while wave := line.next():
        made.update(making.make([*at_once, *(turn.job for turn in wave)], work, ledger, brakes))
        at_once = []
        line.learn(made)
    left = line.left()
    rests = [job for job in (turn.rest() for turn, _, _ in left) if job.steps]
    if at_once or rests:
        made.update(making.make([*at_once, *rests], work, ledger, brakes))
    for turn, reason, detail in left:
        made[turn.name] = {**made.get(turn.name, {}), **_refused(turn, reason, detail)}
        work.progress.host(turn.name, State.SKIPPED, detail)
    return made


def in_words(turns: Sequence[Turn], quorums_down: frozenset[str]) -> str:
    """Who is first and how many follow, for a plan's reader; empty when nobody waits."""
    staged = [turn for turn in turns if turn.rules is not None]
    first = [turn.name for turn in Line(turns, quorums_down).next()]
    if not first or len(staged) == 1:
        return ""
    named = ", ".join(first[:5]) + (f" and {len(first) - 5} more" if len(first) > 5 else "")
    more = len(staged) - len(first)
    return f"upgrades begin with {named}" + (f"; {more} more follow in waves" if more else "")


def _refused(turn: Turn, reason: Reason, detail: str) -> dict[str, Outcome]:
    return {one.id: Outcome(one.id, State.SKIPPED, reason, detail, begun=False) for one in turn.staged}
