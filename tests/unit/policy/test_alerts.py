"""What an alert comes to: by exact look-up, and by what happened before."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenancebot.model import Host, Reason
from maintenancebot.policy.alerts import FLAPS, Surroundings, judge
from maintenancebot.policy.episodes import Alert, Episode, EpisodeState, Verdict, moved
from tests.unit.engine.boxes import cleanup, settings

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HOSTS = (
    Host("web-1", "192.0.2.1"),
    Host("web-2", "2001:db8::2"),
    Host("shared-1", "192.0.2.9"),
    Host("shared-2", "192.0.2.9"),
    Host("down", "192.0.2.4", maintenance=True),
)


def alert(number: int = 1, name: str = "DiskFull", at: datetime = NOON, **more: Any) -> Alert:
    labels = more.pop("labels", {"host": "web-1", "mountpoint": "/var"})
    values = {"status": "firing", "received_at": at, "last_at": at, **more}
    return Alert(number, f"{number:064x}", "generic", name, labels=labels, **values)


def around(at: datetime = NOON, **alerts: Any) -> Surroundings:
    return Surroundings(settings(cleanup(), remediation={"alerts": alerts}), HOSTS, at)


def one(given: Alert, *history: Episode, at: datetime = NOON, **alerts: Any) -> Verdict:
    (verdict,) = judge([given], history, around(at, **alerts))
    return verdict


def past(hours: float, reason: Reason = Reason.VERIFIED, mount: str = "/var", host: str = "web-1") -> Episode:
    """An episode that ended so many hours before noon."""
    at = NOON - timedelta(hours=hours)
    state = EpisodeState.CLOSED if reason is Reason.VERIFIED else EpisodeState.ESCALATED
    return moved(Episode(f"{host}{mount}{hours}", "disk", host, mount, at, at), state, at, reason)


def test_a_full_disk_of_a_known_host_opens_an_episode() -> None:
    verdict = one(alert())
    assert (verdict.reason, verdict.host, verdict.opens is not None) == (Reason.NONE, "web-1", True)
    assert verdict.opens is not None
    assert (verdict.opens.rule, verdict.opens.subject, verdict.opens.state) == ("disk", "/var", EpisodeState.OPENED)
    assert verdict.episode == verdict.opens.id


@pytest.mark.parametrize(
    ("labels", "host"),
    [
        ({"instance": "web-1:9100"}, "web-1"),
        ({"instance": "192.0.2.1:9100"}, "web-1"),
        ({"instance": "192.0.2.1"}, "web-1"),
        ({"instance": "[2001:db8::2]:9100"}, "web-2"),
        ({"instance": "2001:db8::2"}, "web-2"),
        ({"nodename": "web-2", "instance": "other:9100"}, "web-2"),
        ({"host": "web-1", "instance": "web-2:9100"}, "web-1"),
    ],
)
def test_a_host_is_found_by_its_name_or_address(labels: dict[str, str], host: str) -> None:
    assert one(alert(labels={**labels, "mountpoint": "/"})).host == host


@pytest.mark.parametrize(
    "name",
    [
        "web-*",
        "WEB-1",
        "web-1.example.com",
        "web",
        "../web-1",
        "web-1 ",
        "",
        "all",
        "192.0.2.9",
        "web-1:http",
        "; reboot",
    ],
)
def test_a_host_is_found_exactly_or_not_at_all(name: str) -> None:
    verdict = one(alert(labels={"host": name, "mountpoint": "/"}))
    assert (verdict.reason, verdict.host, verdict.opens) == (Reason.UNKNOWN_HOST, "", None)


@pytest.mark.parametrize("mount", ["", "var", "\0", "/va\0r", "/" + "x" * 4096])
def test_a_mount_is_an_absolute_path(mount: str) -> None:
    assert one(alert(labels={"host": "web-1", "mountpoint": mount})).reason is Reason.UNKNOWN_MOUNT


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (alert(status="resolved"), Reason.RESOLVED),
        (alert(at=NOON - timedelta(minutes=61)), Reason.STALE),
        (alert(name="HighLoad"), Reason.NO_RULE),
        (alert(name="MaintenancebotDiskFull"), Reason.NO_RULE),
        (alert(labels={"host": "down", "mountpoint": "/"}), Reason.MAINTENANCE),
        (alert(labels={}), Reason.UNKNOWN_HOST),
    ],
)
def test_what_is_only_recorded(given: Alert, reason: Reason) -> None:
    verdict = one(given)
    assert (verdict.reason, verdict.opens) == (reason, None)


def test_an_alert_that_was_heard_again_is_not_stale() -> None:
    given = replace(alert(at=NOON - timedelta(hours=9)), last_at=NOON - timedelta(minutes=1))
    assert one(given).opens is not None


def test_one_thing_has_one_episode_at_a_time() -> None:
    verdicts = judge([alert(number) for number in range(1, 6)], [], around())
    assert [verdict.reason for verdict in verdicts] == [Reason.NONE, *[Reason.SAME_EPISODE] * 4]
    assert {verdict.episode for verdict in verdicts} == {verdicts[0].episode}


def test_after_its_end_it_has_a_cooldown() -> None:
    assert one(alert(), past(0.9)).reason is Reason.COOLDOWN
    assert one(alert(), past(0.9, Reason.NOT_ENOUGH)).reason is Reason.COOLDOWN
    assert one(alert(), past(1.1)).opens is not None
    assert one(alert(), past(0.9, mount="/srv")).opens is not None
    assert one(alert(), past(0.9, host="web-2")).opens is not None


def test_what_comes_back_again_and_again_is_escalated_once() -> None:
    healed = [past(2 + number) for number in range(FLAPS)]
    verdict = one(alert(), *healed)
    assert (verdict.reason, verdict.opens is not None) == (Reason.FLAPPING, True)
    assert verdict.opens is not None
    assert verdict.opens.state is EpisodeState.ESCALATED
    told = replace(verdict.opens, closed_at=NOON - timedelta(hours=1.5), opened_at=NOON - timedelta(hours=1.5))
    again = one(alert(2), *healed, told)
    assert (again.reason, again.opens) == (Reason.FLAPPING, None)
    assert one(alert(3), *healed, told, at=NOON + timedelta(days=1, hours=3)).reason is Reason.STALE


def test_a_host_has_so_many_episodes_a_day_and_a_person_is_told_once() -> None:
    history = [past(2 + number, mount=f"/m{number}") for number in range(4)]
    first = one(alert(), *history)
    assert (first.reason, first.opens is not None) == (Reason.CAP_REACHED, True)
    assert first.opens is not None
    other = alert(2, labels={"host": "web-1", "mountpoint": "/other"})
    second = one(other, *history, first.opens)
    assert (second.reason, second.opens) == (Reason.CAP_REACHED, None)
    assert one(replace(other, labels={"host": "web-2", "mountpoint": "/"}), *history).opens is not None


def test_a_rule_has_so_many_episodes_an_hour_over_all_hosts() -> None:
    fleet = [Host(f"h{number}", f"10.0.0.{number}") for number in range(30)]
    many = [alert(n + 1, labels={"host": f"h{n}", "mountpoint": "/"}) for n in range(30)]
    verdicts = judge(many, [], replace(around(), hosts=fleet))
    opened = [one for one in verdicts if one.opens and one.opens.state is EpisodeState.OPENED]
    told = [one for one in verdicts if one.opens and one.opens.state is EpisodeState.ESCALATED]
    assert (len(opened), len(told)) == (20, 1)
    assert {one.reason for one in verdicts[20:]} == {Reason.CAP_REACHED}


def test_what_nobody_heals_is_told_where_that_is_wanted() -> None:
    verdict = one(alert(name="HighLoad", labels={}), escalate_others=True)
    assert verdict.opens is not None
    assert (verdict.opens.rule, verdict.opens.subject, verdict.opens.state) == (
        "other",
        "HighLoad",
        EpisodeState.ESCALATED,
    )
    assert one(alert(name="MaintenancebotDown"), escalate_others=True).opens is None


LABELS = st.dictionaries(st.sampled_from(["host", "instance", "mountpoint", "path", "x"]), st.text(max_size=20))


@given(st.lists(st.tuples(LABELS, st.sampled_from(["firing", "resolved"]), st.text(max_size=12)), max_size=12))
def test_hostile_alerts_open_nothing_on_hosts_that_are_not_there(rows: list[tuple[dict[str, str], str, str]]) -> None:
    many = [alert(n, name=name, labels=labels, status=status) for n, (labels, status, name) in enumerate(rows, 1)]
    verdicts = judge(many, [], around(disk=["*"]))
    assert [verdict.alert for verdict in verdicts] == [one.id for one in many]
    known = {host.name for host in HOSTS} | {""}
    assert all(verdict.host in known for verdict in verdicts)
    assert all(verdict.opens.subject.startswith("/") for verdict in verdicts if verdict.opens)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.floats(0, 3)), max_size=60))
def test_whatever_comes_one_host_has_at_most_so_many_episodes_a_day(rows: list[tuple[int, int, float]]) -> None:
    """Time goes on between the alerts, and each episode is healed at once."""
    at, history = NOON, list[Episode]()
    for number, (host, mount, hours) in enumerate(rows, 1):
        at += timedelta(hours=hours)
        labels = {"host": f"web-{host}", "mountpoint": f"/m{mount}"}
        recent = [past for past in history if at - past.opened_at <= timedelta(days=1)]
        (verdict,) = judge([alert(number, at=at, labels=labels)], recent, around(at))
        if verdict.opens and not verdict.opens.is_over:
            history.append(moved(verdict.opens, EpisodeState.CLOSED, at, Reason.VERIFIED))
        elif verdict.opens:
            history.append(verdict.opens)
    worked = [past for past in history if past.reason is Reason.VERIFIED]
    for first in worked:
        day = [past for past in worked if past.host == first.host]
        day = [past for past in day if timedelta(0) <= past.opened_at - first.opened_at < timedelta(days=1)]
        assert len(day) <= 4
        same = [past for past in day if past.subject == first.subject and past is not first]
        assert all(past.opened_at - first.opened_at >= timedelta(minutes=60) for past in same)
        assert len(same) < FLAPS


def drift(number: int = 1, **more: Any) -> Alert:
    return alert(number, "ConfigDrift", **{"labels": {"instance": "web-1:9100"}, **more})


def test_drift_of_a_known_host_opens_an_episode_about_the_host_as_a_whole() -> None:
    verdict = one(drift())
    assert verdict.opens is not None
    assert (verdict.reason, verdict.opens.rule, verdict.opens.subject) == (Reason.NONE, "drift", "declared state")


def test_two_drift_alerts_of_one_host_are_one_episode_and_a_full_disk_is_another() -> None:
    around_noon = around()
    verdicts = judge([drift(1), replace(drift(2), name="ConfigurationDriftDetected"), alert(3)], [], around_noon)
    assert [verdict.reason for verdict in verdicts] == [Reason.NONE, Reason.SAME_EPISODE, Reason.NONE]


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({"instance": "elsewhere"}, Reason.UNKNOWN_HOST),
        ({}, Reason.UNKNOWN_HOST),
        ({"host": "down"}, Reason.MAINTENANCE),
    ],
)
def test_drift_of_who_is_not_there_or_in_maintenance_is_recorded_only(labels: dict[str, str], reason: Reason) -> None:
    verdict = one(drift(labels=labels))
    assert (verdict.reason, verdict.opens) == (reason, None)


def test_drift_has_its_cooldown_and_its_caps() -> None:
    before = replace(past(0.5, mount="declared state"), rule="drift")
    assert one(drift(), before).reason is Reason.COOLDOWN
    others = [replace(past(2 + n, mount="declared state", reason=Reason.DRIFTED), rule="drift") for n in range(4)]
    assert one(drift(), *others).reason is Reason.CAP_REACHED
    assert one(alert(), *others).reason is Reason.NONE


def test_which_alerts_mean_drift_is_configured() -> None:
    assert one(drift(), drift=["Puppet*"]).reason is Reason.NO_RULE
