"""Episodes: what is healed in one go, step by step, each step with its reason. Pure.

    opened -> measured -> diagnosed -> planned -> gated -> acted -> verified -> closed | escalated

Every open episode may be measured anew, as after a restart, and may end; an ended one never moves again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from maintenancebot.model import Json, Reason, State

DISK = "disk"
"""The rule that heals full file systems."""

DRIFT = "drift"
"""The rule that corrects hosts which differ from their declared state."""

DECLARED = "declared state"
"""What episodes of drift are about: the host as a whole."""

OTHER = "other"
"""The rule of what nobody heals: it is escalated where that is wanted, and nothing else."""


FIRING = "firing"
"""The status of an alert that is not over."""

OUR_OWN = "Maintenancebot"
"""How the names of alerts about the bot itself begin: it never heals itself, nor escalates its own escalation."""


class EpisodeState(StrEnum):
    """How far an episode is; each state is stored before what follows it is begun."""

    OPENED = "opened"  # an alert asks for it
    MEASURED = "measured"  # on the host: what the alert says is not believed
    DIAGNOSED = "diagnosed"  # what uses the space, or who wrote what, is kept before anything is touched
    PLANNED = "planned"  # what would be done
    GATED = "gated"  # what may be done; waiting for approval where that is its reason
    ACTED = "acted"  # what was done, or was tried
    VERIFIED = "verified"  # measured afterwards
    CLOSED = "closed"  # over
    ESCALATED = "escalated"  # over for the bot: given to a person, once


ENDED = frozenset({EpisodeState.CLOSED, EpisodeState.ESCALATED})
_ORDER = tuple(EpisodeState)

WAITING = frozenset({Reason.NEEDS_APPROVAL, Reason.BLAST_RADIUS})
"""Reasons of a gated episode that waits for a person's word."""

QUIET = frozenset({Reason.OBSERVE_ONLY, Reason.MAINTENANCE, Reason.UNKNOWN_MOUNT, Reason.OBSERVED, Reason.VERIFIED})
"""Reasons with which an episode is over without a person: it was healed, or nobody wants it healed."""


@dataclass(frozen=True)
class Episode:
    """One thing that is healed on one host, from the alert to its end."""

    id: str
    rule: str
    host: str
    subject: str  # the mount; the declared state; the alert's name for rule `other`
    opened_at: datetime
    changed_at: datetime
    state: EpisodeState = EpisodeState.OPENED
    reason: Reason = Reason.NONE
    detail: str = ""
    body: Mapping[str, Json] = field(default_factory=dict)  # what was found at each step
    run: str = ""  # the run that works on it, or did last
    closed_at: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens in it."""
        return self.state in ENDED

    @property
    def is_waiting(self) -> bool:
        """Whether a person's word is awaited."""
        return self.state is EpisodeState.GATED and self.reason in WAITING


@dataclass(frozen=True)
class Alert:
    """An alert as it was received and stored."""

    id: int
    key: str
    source: str
    name: str
    status: str
    received_at: datetime
    last_at: datetime  # when it was heard last
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What an alert comes to; it may open an episode, or belong to one."""

    alert: int
    reason: Reason
    detail: str = ""
    host: str = ""
    episode: str = ""
    opens: Episode | None = None


def may_move(before: EpisodeState, after: EpisodeState) -> bool:
    """Whether this step may be taken: the next one, the first one anew, an end; never out of an end."""
    if before in ENDED:
        return False
    if after in ENDED or after is EpisodeState.MEASURED:
        return True
    return _ORDER.index(after) - _ORDER.index(before) in (0, 1)


def moved(
    episode: Episode, state: EpisodeState, at: datetime, reason: Reason = Reason.NONE, detail: str = "", **facts: Json
) -> Episode:
    """The episode one step further, with what was found; raises ValueError for a step that may not be taken."""
    if not may_move(episode.state, state):
        raise ValueError(f"an episode does not go from {episode.state} to {state}")
    steps = [*episode.body.get("steps", ()), [state.value, reason.value, at.isoformat()]]
    return replace(
        episode,
        state=state,
        reason=reason,
        detail=detail,
        body={**episode.body, **facts, "steps": steps},
        changed_at=at,
        closed_at=at if state in ENDED else None,
    )


def conclusion(state: State, reason: Reason, *, acted: bool) -> tuple[EpisodeState, Reason]:
    """How an episode goes on from what its run came to: over, waiting for a person, or a person's."""
    if state is State.WAITING:
        return EpisodeState.GATED, reason if reason in WAITING else Reason.NEEDS_APPROVAL
    if state is State.DONE or (state is State.NOTHING and acted):
        return EpisodeState.CLOSED, Reason.VERIFIED
    if state is State.NOTHING:
        return EpisodeState.CLOSED, Reason.OBSERVED
    if reason is Reason.MISSING and not acted:
        return EpisodeState.CLOSED, Reason.UNKNOWN_MOUNT
    return (EpisodeState.CLOSED if reason in QUIET else EpisodeState.ESCALATED), reason


def is_broken_off(reason: Reason) -> bool:
    """Whether the work was ended by a signal or another's lease, so that the next start goes on with it."""
    return reason in (Reason.INTERRUPTED, Reason.FENCED)
