"""How episodes are healed, by their rule: from where an episode is to what is left to do on its host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from maintenancebot.app import drift, llm
from maintenancebot.app.context import Context
from maintenancebot.app.remediation import cleanup_tasks
from maintenancebot.engine import drifting, episodes, samples
from maintenancebot.engine.episodes import Healed, Order, StoredSteps
from maintenancebot.engine.holding import Holding
from maintenancebot.model import Autonomy, Host, Reason, State
from maintenancebot.policy.autonomy import autonomy
from maintenancebot.policy.episodes import DISK, DRIFT, Episode, EpisodeState
from maintenancebot.policy.growth import Sample

GOES_ON = 2
"""Times that work which was broken off is gone on with; after that it is only measured, and a person looks at it."""


@dataclass(frozen=True)
class Piece:
    """One try to get an episode to its end, on a host that is held."""

    context: Context
    holding: Holding
    host: Host
    steps: StoredSteps
    tried: frozenset[str]  # changes that were made or tried before

    @property
    def subject(self) -> str:
        """What the episode is about."""
        return self.steps.episode.subject


class Healing(Protocol):
    """What a rule does about one episode."""

    autonomy: Autonomy

    def heal(self, before: Episode) -> Healed:
        """Go on from where the episode was when it was stored."""
        ...

    def samples(self) -> Sequence[Sample]:
        """What is known of how it grows; empty for what does not grow."""
        ...


class DiskHealing:
    """Frees space on a full file system."""

    def __init__(self, piece: Piece) -> None:
        tasks = cleanup_tasks(piece.context, piece.host)
        self.piece = piece
        self.autonomy = autonomy(piece.host, tasks, piece.context.settings)
        self._order = Order(piece.host, piece.subject, tasks, self.autonomy, piece.tried)

    def heal(self, before: Episode) -> Healed:
        """Free space, or only see how it is where all was done that is to be done."""
        if _is_done(before, self.piece):
            return self._see_only(before)
        ranking = llm.ranking(self.piece.context, self.piece.holding.store)
        return episodes.heal(self._order, self.piece.holding, self.piece.steps, ranking)

    def samples(self) -> Sequence[Sample]:
        """How full the mount was."""
        return samples.of(self.piece.host.name, self.piece.subject, self.piece.holding.work)

    def _see_only(self, episode: Episode) -> Healed:
        """How it is now, without doing anything again."""
        order, holding = replace(self._order, autonomy=Autonomy.OBSERVE), self.piece.holding
        judged = episodes.judge(order, holding.work, holding.store, self.piece.steps)
        found = episodes.report_of(self.piece.host, judged)
        if found.reason is Reason.OBSERVE_ONLY:
            reason = Reason.UNFINISHED if episode.state is EpisodeState.GATED else Reason.NOT_ENOUGH
            (task,) = found.tasks
            detail = f"{task.detail}; what was begun was not enough"
            task = replace(task, state=State.FAILED, reason=reason, detail=detail)
            found = replace(found, state=task.state, reason=task.reason, tasks=(task,))
        return Healed(found, judged)


class DriftHealing:
    """Corrects a host that differs from its declared state.

    What was made before is no reason to look only: earlier corrections are known by item, and none is made twice.
    """

    def __init__(self, piece: Piece) -> None:
        self.piece = piece
        store, work = piece.holding.store, piece.holding.work
        self._order = drifting.Order(piece.host, drift.task(piece.context, piece.host, store, work.now()))
        self.autonomy = self._order.task.approval

    def heal(self, before: Episode) -> Healed:
        """Correct what may be corrected."""
        return drifting.heal(self._order, self.piece.holding, self.piece.steps)

    def samples(self) -> Sequence[Sample]:
        """Drift does not grow."""
        return ()


HEALINGS: Mapping[str, Callable[[Piece], Healing]] = {DISK: DiskHealing, DRIFT: DriftHealing}
"""The rules that heal something."""


def _is_done(episode: Episode, piece: Piece) -> bool:
    """Whether all was done that is to be done: only how it is now is still to be seen."""
    if episode.state in (EpisodeState.ACTED, EpisodeState.VERIFIED):
        return True
    return bool(piece.tried) and len(episode.body.get("runs", ())) > GOES_ON and not episode.is_waiting
