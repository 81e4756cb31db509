"""What cron would not understand is seen before it is installed; what it does understand passes."""

import pytest

from maintenancebot.helper.drift import cron_lines
from maintenancebot.helper.host import accounts

USER = "*/5 0-6,22 1 jan-mar mon-fri /usr/bin/true with words\n"


@pytest.fixture(autouse=True)
def known_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "users", lambda: {"root": None})


@pytest.mark.parametrize(
    "text",
    ["", "\n# words\n\nMAILTO=ops\n", USER, "@daily true\n", "  @reboot\ttrue\n", "0 0 * * 7 x\n", "0~30 3 * * * x\n"],
)
def test_a_good_crontab(text: str) -> None:
    assert cron_lines.fault("crontab", "/var/spool/cron/crontabs/ops", text.encode()) == ""


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("60 * * * * true\n", "line 1: 60 is no minute"),
        ("\n* 24 * * * true\n", "line 2: 24 is no hour"),
        ("* * 0 * * true\n", "line 1: 0 is no day"),
        ("* * * feb-jan * true\n", "line 1: feb-jan is no month"),
        ("*/0 * * * * true\n", "line 1: */0 is no minute"),
        ("* * * * someday true\n", "line 1: someday is no weekday"),
        ("* * * true\n", "line 1: a time has five fields"),
        ("* * * * *\n", "line 1: there is no command"),
        ("@sometimes true\n", "line 1: @sometimes is no time"),
        ("* * * * * true", "the last line does not end, so that cron would leave it out"),
    ],
)
def test_a_bad_crontab(text: str, fault: str) -> None:
    assert cron_lines.fault("crontab", "/var/spool/cron/crontabs/ops", text.encode()) == fault


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("* * * * * root true\n", ""),
        ("@daily root true\n", ""),
        ("* * * * * nobody-here true\n", "line 1: there is no user nobody-here"),
        ("* * * * * root\n", "line 1: there is no command"),
    ],
)
def test_the_systems_own_have_a_user_on_each_line(line: str, fault: str) -> None:
    assert cron_lines.fault("file", "/etc/cron.d/job", line.encode()) == fault


def test_other_files_are_none_of_its_business() -> None:
    assert cron_lines.fault("file", "/etc/cron.daily/job", b"#!/bin/sh") == ""
    assert cron_lines.fault("crontab", "/var/spool/cron/crontabs/ops", None) == ""
