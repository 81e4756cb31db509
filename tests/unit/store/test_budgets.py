"""Budgets hold across processes: what is about to be made counts before it is made."""

import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from maintenancebot.model import State
from maintenancebot.store import Store
from tests.unit.store.examples import DIGEST, NOON, RUN, done, later, steps

SPENDING = """
import sys
from pathlib import Path
from maintenancebot.model import Reason, State
from maintenancebot.store import Store
from tests.unit.store.examples import DIGEST, NOON, done, later, steps
from tests.unit.store.test_budgets import Limits
host = sys.argv[2]
with Store.open(Path(sys.argv[1]), create=False) as store:
    sys.stdin.readline()
    for number, one in enumerate(steps(host, 30)):
        if store.intents.record(host, host, DIGEST, [one], at=NOON, limits=Limits()):
            store.intents.close(host, [done(one)], host=host, at=later(seconds=number))
"""


@dataclass(frozen=True)
class Limits:
    actions_per_hour: int = 40
    actions_per_day: int = 60


def spend(store: Store, count: int, run: str = RUN, **span: float) -> int:
    granted = store.intents.record(run, "web-1", DIGEST, steps("web-1", count), at=later(**span), limits=Limits())
    return len(granted)


def test_only_so_many_are_intended_as_are_left_and_the_rest_is_not(store: Store) -> None:
    assert spend(store, 50) == 40
    assert len(store.intents.unfinished()) == 40
    assert spend(store, 1) == 0


def test_what_was_left_alone_is_given_back_and_what_was_tried_is_not(store: Store) -> None:
    assert spend(store, 40) == 40
    every = steps("web-1", 40)
    store.intents.close(RUN, [done(one, State.SKIPPED) for one in every[:10]], host="web-1", at=NOON)
    store.intents.close(RUN, [done(one, State.FAILED) for one in every[10:]], host="web-1", at=NOON)
    assert store.intents.left(Limits(), at=NOON) == 10


@pytest.mark.parametrize(("later_by", "granted"), [({"minutes": 59}, 0), ({"minutes": 61}, 20), ({"hours": 25}, 40)])
def test_hour_and_day_pass_over_restarts(state: Path, later_by: dict[str, float], granted: int) -> None:
    with Store.open(state, create=True) as store:
        spend(store, 40)
    with Store.open(state, create=True) as store:
        store.intents.close(RUN, [done(one) for one in steps("web-1", 40)], host="web-1", at=NOON)
    with Store.open(state, create=True) as store:
        assert spend(store, 50, "next", **later_by) == granted


def test_a_killed_run_keeps_what_it_may_have_done_until_the_hosts_were_asked(state: Path) -> None:
    with Store.open(state, create=True) as store:
        spend(store, 30)
    with Store.open(state, create=True) as store:
        assert store.intents.left(Limits(), at=later(hours=2)) == 10
        store.intents.close(RUN, [done(one, State.SKIPPED) for one in steps("web-1", 30)], host="web-1", at=NOON)
        assert store.intents.left(Limits(), at=later(hours=2)) == 40


def test_a_step_of_several_changes_is_made_whole_or_not(store: Store) -> None:
    from dataclasses import replace

    whole = steps("web-1", 41)
    changes = tuple(one.changes[0] for one in whole[1:])
    granted = store.intents.record(
        RUN, "web-1", DIGEST, [whole[0], replace(whole[1], changes=changes)], at=NOON, limits=Limits()
    )
    assert granted == whole[:1]


def test_two_processes_together_never_exceed_it(state: Path, store: Store) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", SPENDING, str(state), host],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        for host in ("web-1", "web-2")
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    assert [child.communicate(timeout=120)[1] for child in children] == ["", ""]
    assert store.audit.actions_since(NOON - timedelta(hours=1)) == 40
    assert store.intents.unfinished() == []
