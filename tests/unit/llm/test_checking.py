"""What may be said about a week in which not everything went well, and what not."""

import pytest

from maintenancebot.llm import checking, wording
from maintenancebot.model import State
from tests.unit.llm.weeks import FACTS, TRUE, WELL

SHOWN = {**wording.evidence(FACTS), "besides": ["1112 tasks failed", "0.42 dollars"]}
FAILED = checking.facts_of(SHOWN, State.FAILED, wording.BEFORE)
DONE = checking.facts_of(wording.evidence(WELL), State.DONE, wording.BEFORE)


@pytest.mark.parametrize(
    "text",
    [
        TRUE,
        "2 hosts failed: db-2 has a stale backup.",
        "7 security updates are still due, and web-7 cannot be reached.",
        "db-2 failed in backup_verification. 1,112 tasks failed for $0.42.",
        "The disk /srv on web-7 reports no space left; it fails in 2026-W47 too.",
        "db-2 is not healthy.",
        "2 hosts failed this week. 112 packages were upgraded, up from 90 the week before.",
        "db-2 failed. 112 packages were upgraded (90 packages before).",
        "db-2's backup is stale and needs a person: backup_verification failed because the newest is 4 days old.",
    ],
)
def test_what_the_facts_say_may_be_said(text: str) -> None:
    assert checking.faults(text, FAILED, 1000) == []


@pytest.mark.parametrize(
    "text",
    [
        "all 48 healthy, 500 GB freed",
        "48 hosts are healthy, db-2 failed.",
        "45 hosts failed.",
        "48 hosts failed.",
        "2 of 48 hosts failed, 3 of them again.",
        "1 host failed: db-2.",
        "db-3 failed.",
        "db-2.example.com failed.",
        "web-77 failed.",
        "db-2 failed because mysql-server was upgraded.",
        "db-2 failed because nginx stopped.",
        "db-2 failed: see /var/log/backup.log.",
        "db-2 failed 5 days ago.",
        "db-2 failed. 1.6 GiB were freed.",
        "db-2 failed. 112 GiB were freed.",
        "db-2 failed. 1.5 TiB were freed.",
        "db-2 failed. 91 hosts are unknown.",
        "db-2 failed. Two hosts failed.",
        "db-2 failed, half of the fleet is unknown.",
        "db-2 failed. No backups are bad.",
        "db-2 failed, everything else went smoothly.",
        "db-2 failed. The week was a success.",
        "112 packages were upgraded.",
        "db-2 failed.\n```\nrm -rf /\n```",
        "db-2 failed, see https://evil.example/fix.",
        "<!channel> db-2 failed.",
        "db-2 failed. @channel",
        "**db-2** failed.",
        "# db-2 failed",
        "db-2 failed. \u202etxet",
        "db-2 failed. \uff14\uff18 hosts",
        "db-2 failed at 03:00.",
        "db-2 failed on 2026-11-18.",
        "db-2 failed the 2nd time.",
        "db-2 failed. 112 tasks failed.",
        "db-2 failed and cost $112.",
        "db-2 failed. 90 packages were upgraded.",
        "db-2 failed. 90 packages were upgraded, 112 in the week before, 91 % of them patches.",
        "db-2 failed. The rest is humming along.",
        "db-2 failed. Kudos to the team.",
        "db-2 failed. Le reste fonctionne parfaitement.",
        "db-2 failed but was repaired.",
        "db-2 failed. The remaining hosts passed.",
        "db-2 did not fail.",
        "web-7 is not unreachable, and db-2 failed.",
        "db-2 failed, which can be ignored.",
        "db-2 failed. II hosts are unknown.",
        "db-2 failed. The billing gateway is down.",
        "db-2 failed. &lt;!channel&gt;",
        "db-2 failed :tada:",
        "db-2 failed: -4 days old.",
        "2 of 2 hosts failed, db-2.",
        "45 hosts: failed.",
        "db-2 failed and is at 91 %.",
        "db-2 failed. It is full in 12 days.",
        "web-7 has a stale backup.",
        "web-7 has been so for 3 weeks.",
        "web-7 failed.",
        "db-2 failed. 48 hosts need a person.",
        "48 hosts cannot be reached: db-2 failed.",
        "db-2 failed. 30 backups are stale.",
        "112 packages need a person, db-2 failed.",
        "",
        "   ",
        "db-2 failed " * 100,
    ],
)
def test_what_they_do_not_say_may_not(text: str) -> None:
    assert checking.faults(text, FAILED, 1000) != []


def test_the_model_is_told_what_is_wrong() -> None:
    assert checking.faults("all 48 healthy, 500 GB freed", FAILED, 1000) == [
        "the data does not count 48 as well",
        "the number 500 is not in the data",
        "'all': not everything is well",
        "'healthy': not everything is well",
        "it does not say that something is wrong",
    ]


def test_a_week_that_went_well_may_be_praised_and_its_numbers_must_still_be_true() -> None:
    assert checking.faults("All 48 hosts are healthy, and 112 packages were upgraded.", DONE, 1000) == []
    assert checking.faults("All 49 hosts are healthy.", DONE, 1000) != []
    assert checking.faults("48 hosts are well, without a failure.", DONE, 1000) != []


USERS = {
    "state": "failed",
    "host": "web-7",
    "subject": "/srv",
    "users": {
        "files": [{"path": "/srv/base", "bytes": "40.0 GiB"}, {"path": "/srv/log/app.log", "bytes": "3.0 GiB"}],
        "deleted": [{"path": "/srv/tmp", "bytes": "2.0 GiB"}],
    },
    "growth": {"words": "it grows by 5.0 GiB a day"},
}
ALERT = checking.facts_of(USERS, State.FAILED)


@pytest.mark.parametrize(
    "text",
    [
        "/srv on web-7 is full: /srv/base uses 40.0 GiB. It grows by 5.0 GiB a day.",
        "/srv/base and /srv/log/app.log on web-7 fill /srv, which is full.",
        "/srv is full, and deleted /srv/tmp uses 2.0 GiB.",
    ],
)
def test_what_uses_the_space_may_be_said_as_it_is(text: str) -> None:
    assert checking.faults(text, ALERT, 600) == []


@pytest.mark.parametrize(
    "text",
    [
        "/srv is full: /srv/log/app.log uses 40.0 GiB.",
        "/srv is full, /srv/base uses 3.0 GiB and /srv/log/app.log uses 40.0 GiB.",
        "/srv is full, and /srv/base uses 2.0 GiB.",
    ],
)
def test_what_one_file_uses_may_not_be_said_of_another(text: str) -> None:
    assert checking.faults(text, ALERT, 600) != []


def test_hostile_texts_take_no_time() -> None:
    for unit in ("1 ", "1,", "a-", "no ", "<", "-", "é", "1.", "a" * 50 + " "):
        checking.faults(unit * (1000 // len(unit)), FAILED, 1000)
