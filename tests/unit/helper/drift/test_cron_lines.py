"""What cron would not understand is seen before it is installed; what it does understand passes."""

from pathlib import Path

import pytest

from maintenancebot.helper.drift import cron_lines
from maintenancebot.helper.host import accounts

USER = "*/5 0-6,22 1 jan-mar mon-fri /usr/bin/true with words\n"


@pytest.fixture(autouse=True)
def known_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "users", lambda: {"root": None})
    monkeypatch.setattr(accounts, "others", lambda database: [])


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
        ("² * * * * true\n", "line 1: ² is no minute"),
        ("*/² * * * * true\n", "line 1: */² is no minute"),
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


@pytest.mark.parametrize(("is_debian", "fault"), [(False, ""), (True, "line 1: -*/15 is no minute")])
def test_a_line_that_is_not_logged_is_one_where_cron_knows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_debian: bool, fault: str
) -> None:
    folder = tmp_path if is_debian else tmp_path / "none"
    monkeypatch.setattr(cron_lines.drift_crontabs, "FOLDERS", (str(folder),))
    assert cron_lines.fault("file", "/etc/crontab", b"-*/15 * * * *  root  test -x /usr/lib/cron/run-crons\n") == fault


def test_a_user_whom_another_service_may_know_is_none_of_crons_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "others", lambda database: ["sss"])
    assert cron_lines.fault("file", "/etc/cron.d/job", b"@daily deploy true\n") == ""


def test_other_files_are_none_of_its_business() -> None:
    assert cron_lines.fault("file", "/etc/cron.daily/job", b"#!/bin/sh") == ""
    assert cron_lines.fault("crontab", "/var/spool/cron/crontabs/ops", None) == ""
