"""Who is upgraded when: canaries, growth, quorum groups, the failure budget."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from maintenancebot.model import Outcome, Reason, State
from maintenancebot.policy.waves import Course, Member, is_over, next_wave, result


@dataclass(frozen=True)
class Rules:
    canaries: bool = True
    growth: int = 2
    cap: int = 10
    max_failures: int = 0


def course_of(members: list[Member], rules: Rules, bad: dict[str, State | None] | None = None):
    """All waves of a run, by name, and the course at its end."""
    waiting, course, waves = list(members), Course(), []
    while waiting and not is_over(course, rules):
        wave, canaries = next_wave(waiting, course, rules)
        if not wave:
            break
        waves.append([member.name for member in wave])
        results = {member.name: (bad or {}).get(member.name, State.DONE) for member in wave}
        course = course.after(wave, results, canaries=canaries)
        waiting = [member for member in waiting if member not in wave]
    return waves, course


def hosts(count: int, **more) -> list[Member]:
    return [Member(f"h{n:02d}", **{"release": "debian 12", "groups": ("web",), **more}) for n in range(count)]


def test_one_canary_then_one_two_four_up_to_the_cap():
    waves, _ = course_of(hosts(30), Rules(cap=8))
    assert [len(wave) for wave in waves] == [1, 1, 2, 4, 8, 8, 6]


def test_each_release_and_group_has_its_canary_with_as_few_hosts_as_can_be():
    members = [
        Member("a", "debian 11", ("web",)),
        Member("b", "debian 12", ("web",)),
        Member("c", "debian 12", ("db",)),
        Member("d", "debian 12", ("web", "db")),
        Member("e", "debian 12", ("web",)),
    ]
    assert course_of(members, Rules())[0][0] == ["a", "d"]


def test_a_canary_that_was_not_reached_is_replaced_before_anything_grows():
    waves, course = course_of(hosts(4), Rules(), {"h00": None})
    assert waves[:3] == [["h00"], ["h01"], ["h02"]]
    assert course.unreached == {"h00"}
    assert not course.failed


def test_a_canary_that_was_left_alone_proves_nothing():
    assert course_of(hosts(3), Rules(), {"h00": State.SKIPPED})[0] == [["h00"], ["h01"], ["h02"]]
    assert len(course_of(hosts(9), Rules(), {"h00": State.SKIPPED, "h01": State.SKIPPED})[0][2]) == 1


def test_a_failed_canary_leaves_all_others_alone():
    assert course_of(hosts(5), Rules(), {"h00": State.FAILED})[0] == [["h00"]]


def test_an_unknown_end_is_a_failure():
    assert course_of(hosts(5), Rules(), {"h00": State.UNKNOWN})[0] == [["h00"]]


def test_the_failure_budget_is_one_for_the_whole_run():
    waves, course = course_of(hosts(20), Rules(max_failures=2), {"h01": State.FAILED, "h03": State.FAILED})
    assert [name for wave in waves for name in wave] == [f"h{n:02d}" for n in range(20)]
    assert course.failed == {"h01", "h03"}
    waves, _ = course_of(hosts(20), Rules(max_failures=1), {"h01": State.FAILED, "h03": State.FAILED})
    assert "h05" not in [name for wave in waves for name in wave]


def test_after_a_failure_within_the_budget_the_kind_is_still_not_proven():
    waves, _ = course_of(hosts(4), Rules(max_failures=1), {"h00": State.FAILED})
    assert waves[:2] == [["h00"], ["h01"]]


def test_two_of_a_quorum_group_are_never_in_one_wave():
    members = [*hosts(6, quorum="etcd"), Member("x", "debian 12", ("web",))]
    waves, _ = course_of(members, Rules(cap=5))
    for wave in waves:
        assert len([name for name in wave if name.startswith("h")]) <= 1


def test_a_quorum_group_with_a_host_down_is_left_and_others_go_on():
    members = [*hosts(3, quorum="etcd"), *[Member(f"x{n}", "debian 12", ("web",)) for n in range(3)]]
    waves, course = course_of(members, Rules(max_failures=5), {"h00": None})
    assert course.down == {"etcd"}
    assert [name for wave in waves for name in wave] == ["h00", "x0", "x1", "x2"]


def test_without_canaries_it_starts_with_one():
    assert [len(wave) for wave in course_of(hosts(8), Rules(canaries=False))[0]] == [1, 2, 4, 1]


def test_a_host_is_bad_if_any_of_its_packages_is_and_unreached_only_if_nothing_was_begun():
    done = Outcome("a", State.DONE)
    assert result([done, Outcome("b", State.FAILED)]) is State.FAILED
    assert result([done, Outcome("b", State.UNKNOWN)]) is State.UNKNOWN
    assert result([done, Outcome("b", State.SKIPPED, Reason.BUSY)]) is State.DONE
    assert result([Outcome("b", State.SKIPPED, Reason.BUSY)]) is State.SKIPPED
    assert result([Outcome("a", State.FAILED, Reason.UNREACHABLE, begun=False)]) is None
    assert result([Outcome("a", State.UNKNOWN, Reason.LINK_LOST)]) is State.UNKNOWN


members_of_all_kinds = st.lists(
    st.tuples(st.sampled_from("12"), st.sets(st.sampled_from("abc"), max_size=2), st.sampled_from(["", "q", "r"])),
    max_size=25,
).map(lambda rows: [Member(f"m{n}", release, tuple(sorted(groups)), q) for n, (release, groups, q) in enumerate(rows)])


@given(members_of_all_kinds, st.integers(1, 6), st.booleans(), st.integers(1, 3))
def test_every_host_gets_its_turn_exactly_once_when_all_goes_well(members, cap, canaries, growth):
    waves, _ = course_of(members, Rules(canaries=canaries, growth=growth, cap=cap))
    assert sorted(name for wave in waves for name in wave) == sorted(member.name for member in members)
    assert all(1 <= len(wave) <= cap for wave in waves)
    quorum = {member.name: member.quorum for member in members}
    for wave in waves:
        busy = [quorum[name] for name in wave if quorum[name]]
        assert len(busy) == len(set(busy))


@given(members_of_all_kinds, st.data())
def test_no_host_goes_before_its_kind_is_proven(members, data):
    rules = Rules(max_failures=100)
    bad = {m.name: data.draw(st.sampled_from([State.DONE, State.FAILED, State.SKIPPED, None])) for m in members}
    waiting, course = list(members), Course()
    while waiting:
        wave, canaries = next_wave(waiting, course, rules)
        if not wave:
            break
        if not canaries:
            assert all(member.kinds <= course.proven for member in wave)
        course = course.after(wave, {m.name: bad[m.name] for m in wave}, canaries=canaries)
        waiting = [member for member in waiting if member not in wave]
