"""What logrotate manages, with rotated names, is read from any of its configurations."""

import time
from pathlib import Path

import pytest

from maintenancebot.helper.cleanup import logrotate

CONFIG = """
# see "man logrotate" for details
weekly
rotate 4
create
include {base}/logrotate.d
/var/log/wtmp {{
    monthly
}}
"""

APP = """
/var/log/app/*.log
"/var/log/with blank/*.log" /var/log/single.log {
    daily
    postrotate
        # a brace } in a script { ends nothing
        kill -HUP $(cat /run/app.pid)
    endscript
    dateext
}
/var/log/other.log { rotate 2 }
"""

OLD = """
/srv/app/log/app.log {
    olddir archive
}
"""

STATE = """logrotate state -- version 2
"/srv/state/recent.log" {year}-{month}-{day}-6:25:1
"/srv/state/left[1].log" {year}-{month}-{day}-6:25:1
"/srv/state/ancient.log" 2019-1-1-6:0:0
"""


@pytest.fixture
def managed(tmp_path: Path) -> logrotate.Managed:
    folder = tmp_path / "logrotate.d"
    folder.mkdir()
    (tmp_path / "logrotate.conf").write_text(CONFIG.format(base=tmp_path))
    (folder / "app").write_text(APP)
    (folder / "old").write_text(OLD)
    (folder / "ignored.dpkg-old").write_text("/var/log/ignored.log {\n}\n")
    today = time.gmtime()
    state = tmp_path / "status"
    state.write_text(STATE.format(year=today.tm_year, month=today.tm_mon, day=today.tm_mday))
    return logrotate.read(str(tmp_path / "logrotate.conf"), [str(state)])


@pytest.mark.parametrize(
    "path",
    [
        "/var/log/app/web.log",
        "/var/log/app/web.log.1",
        "/var/log/app/web.log.2.gz",
        "/var/log/app/web.log-20260101",
        "/var/log/app/web.log-20260101.gz",
        "/var/log/app/web.log-20260101-0630.xz",
        "/var/log/app/web.log.2026-01-01.zst",
        "/var/log/app/web.1.log",
        "/var/log/app/web-20260101.log.gz",
        "/var/log/app/.hidden.log",
        "/var/log/with blank/a.log",
        "/var/log/single.log",
        "/var/log/single.log.1",
        "/var/log/other.log.2",
        "/var/log/wtmp.1",
        "/srv/app/log/app.log",
        "/srv/app/log/archive/app.log.3.gz",
        "/srv/state/recent.log.1",
        "/srv/state/left[1].log",
    ],
)
def test_managed_logs_and_their_rotated_names_are_known(managed: logrotate.Managed, path: str) -> None:
    assert managed.holds(path)


@pytest.mark.parametrize(
    "path",
    [
        "/var/log/app/deep/web.log",
        "/var/log/app/web.txt",
        "/var/log/app2/web.log",
        "/var/log/ignored.log",
        "/var/log/mine.log",
        "/srv/app/log/archive/other.log",
        "/srv/state/ancient.log",
        "/srv/state/left1.log",
    ],
)
def test_other_files_are_not(managed: logrotate.Managed, path: str) -> None:
    assert not managed.holds(path)


def test_a_link_in_the_configured_path_is_followed_as_logrotate_does(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "conf").write_text(f"{tmp_path}/link/*.log {{\n}}\n")
    managed = logrotate.read(str(tmp_path / "conf"), [])
    assert managed.holds(f"{tmp_path}/real/a.log")
    assert managed.holds(f"{tmp_path}/link/a.log.1")


def test_no_logrotate_manages_nothing_and_an_odd_file_is_told(tmp_path: Path) -> None:
    assert not logrotate.read(str(tmp_path / "none"), [str(tmp_path / "none")]).holds("/var/log/a.log")
    managed = logrotate.read(str(tmp_path), [])
    assert managed.problems == [f"{tmp_path} is not a file"]


def test_a_configuration_that_includes_itself_ends(tmp_path: Path) -> None:
    (tmp_path / "conf").write_text(f"include {tmp_path}/conf\n/srv/log/a.log {{\n}}\n")
    assert logrotate.read(str(tmp_path / "conf"), []).holds("/srv/log/a.log")


@pytest.mark.parametrize(
    ("block", "told"),
    [
        ("/srv/log/* {\n}", True),
        ("/srv/log/*.log* {\n rotate 3\n}", True),
        ("/srv/log/*.log {\n}", False),
        ("/srv/log/* {\n olddir /srv/old\n}", False),
        ("/srv/log/a.log {\n olddir old\n}\n/srv/log/* {\n}", True),
    ],
)
def test_a_pattern_that_matches_what_it_rotated_is_pointed_out(tmp_path: Path, block: str, told: bool) -> None:
    (tmp_path / "conf").write_text(block + "\n")
    problems = logrotate.read(str(tmp_path / "conf"), []).problems
    assert [line for line in problems if "matches the files that it rotated" in line] == problems
    assert bool(problems) is told
