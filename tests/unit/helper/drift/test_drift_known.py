"""What a host knows of a difference: what a package brought, what our own trash has, and who may have written it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from maintenancebot.helper.drift import drift, drift_explained, drift_writers, ran
from maintenancebot.helper.host import tools
from maintenancebot.helper.packages import dpkg, managers, owners, owners_dpkg, owners_rpm, rpm_history
from tests.lab.tools import wait_until

from ..conftest import SmallHost
from .test_drift_files import content, item, one

NEW = b"# the new default\n"


class Gathered:
    """Where findings go."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []

    def finding(self, _kind: str, _subject: str, **data: Any) -> None:
        self.found.append(data)

    def flush(self) -> None:
        pass

    def alive(self, _doing: str) -> None:
        pass


def scan(*items: dict[str, Any]) -> list[dict[str, Any]]:
    out = Gathered()
    drift.probe({"items": list(items)}, out)
    return out.found


class Debian:
    """dpkg's records in a folder: a package `demo` with one configuration file."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.conf = folder / "etc" / "demo.conf"
        self.conf.parent.mkdir()
        (folder / "info").mkdir()
        monkeypatch.setattr(managers, "choose", lambda: managers.Choice("apt"))
        monkeypatch.setattr(dpkg, "STATUS", str(folder / "status"))
        monkeypatch.setattr(owners_dpkg, "INFO", str(folder / "info"))
        monkeypatch.setattr(owners_dpkg, "LOGS", str(folder / "dpkg.log*"))
        for name in ("UCF_HASHES", "UCF_OWNERS"):
            monkeypatch.setattr(owners_dpkg, name, str(folder / name))

    def brought(self, data: bytes = NEW, line: str = "upgrade demo:all 1.0 1.1", ago: float = 0) -> None:
        """The package brought its file in version 1.1, by what dpkg's log says."""
        digest = hashlib.md5(data).hexdigest()
        (self.folder / "status").write_text(
            f"Package: other\nVersion: 9\nConffiles:\n {self.conf}x {digest}\n\nPackage: demo\n"
            f"Status: install ok installed\nArchitecture: all\nVersion: 1.1\nConffiles:\n {self.conf} {digest}\n\n"
        )
        self.conf.write_bytes(data)
        self.log(line, "status installed demo:all 1.1", ago=ago)

    def log(self, *lines: str, ago: float = 0) -> None:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() - ago))
        (self.folder / "dpkg.log").write_text("".join(f"{stamp} {line}\n" for line in lines))

    def explained(self, **wanted: Any) -> dict[str, Any]:
        (found,) = scan(item(self.conf, **(wanted or content(b"declared\n"))))
        return found["explained"]


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Debian:
    return Debian(tmp_path, monkeypatch)


def test_what_an_upgrade_brought_is_explained(debian: Debian) -> None:
    debian.brought()
    at = int(debian.conf.stat().st_ctime)
    assert debian.explained() == {"by": "package", "package": "demo", "version": "1.1", "at": at}
    assert debian.explained(state="absent")["package"] == "demo"


def test_what_an_upgrade_brought_is_explained_among_hundreds_of_others(debian: Debian) -> None:
    debian.brought()
    others = [item(f"/aaa/{number:03}", state="present") for number in range(300)]
    assert scan(*others, item(debian.conf, **content(b"declared\n")))[-1]["explained"]["package"] == "demo"


def test_without_old_digests_the_host_is_compared_all_the_same(debian: Debian, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(name: str, data: bytes = b"") -> object:
        raise ValueError("[digital envelope routines] unsupported")

    debian.brought()
    monkeypatch.setattr(drift_explained.hashlib, "new", refused)
    assert debian.explained() == {}


def test_what_lies_there_since_the_first_installation_is_drift(debian: Debian) -> None:
    debian.brought(line="install demo:all <none> 1.1")
    assert debian.explained() == {}


def test_a_default_that_somebody_put_back_later_is_drift(debian: Debian) -> None:
    debian.brought(ago=3600)
    assert debian.explained() == {}


def test_another_content_or_mode_than_the_packages_is_drift(debian: Debian) -> None:
    debian.brought()
    assert debian.explained(mode="0600", **content(b"declared\n")) == {}
    debian.conf.write_bytes(NEW + b"more\n")
    assert debian.explained() == {}
    debian.brought(line="upgrade demo:all 1.1 1.2")  # an upgrade that was not finished
    assert debian.explained() == {}
    (debian.folder / "dpkg.log").unlink()
    assert debian.explained() == {}


def test_a_rotated_log_and_a_later_installation_count(debian: Debian) -> None:
    debian.brought()
    (debian.folder / "dpkg.log").rename(debian.folder / "dpkg.log.2")
    subprocess.run(["gzip", debian.folder / "dpkg.log.2"], check=True)
    assert debian.explained()["by"] == "package"
    debian.log("remove demo:all 1.1 <none>", "install demo:all <none> 1.1", "status installed demo:all 1.1")
    assert debian.explained() == {}


def test_files_that_scripts_keep_with_ucf_are_known(debian: Debian) -> None:
    debian.brought()
    kept = debian.folder / "etc" / "sshd_config"
    kept.write_bytes(NEW)
    (debian.folder / "UCF_OWNERS").write_text(f"demo\t{kept}\n")
    (debian.folder / "UCF_HASHES").write_text(f"{hashlib.md5(NEW).hexdigest()}  {kept}\n")
    (found,) = scan(item(kept, **content(b"declared\n")))
    assert (found["explained"]["package"], found["writers"]["package"]) == ("demo", "demo")


def test_plain_files_of_packages_have_an_owner_and_a_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/var/lib/dpkg/info").is_dir():
        pytest.skip("a machine without dpkg")
    paths = ["/usr/bin/dpkg-query", "/usr/share/nothing [*]?", "/etc/no\nsuch"]
    found = owners.of(paths)
    assert list(found) == ["/usr/bin/dpkg-query"]
    owner = found["/usr/bin/dpkg-query"]
    assert (owner.package, owner.algorithm) == ("dpkg", "md5")
    assert owner.digest == hashlib.md5(Path("/usr/bin/dpkg-query").read_bytes()).hexdigest()


def test_what_a_cleanup_of_ours_took_is_explained(any_host: SmallHost) -> None:
    path = any_host.file("old.log")
    assert any_host.move()[0]["state"] == "done"
    (item_id,) = [told["subject"] for told in any_host.trash()]
    found = one(any_host, path)
    assert (found["state"], found["explained"]["by"], found["explained"]["item"]) == ("missing", "trash", item_id)
    assert abs(found["explained"]["at"] - time.time()) < 600
    any_host.edit_record(item_id, action="correct_file")
    assert one(any_host, path)["explained"] == {}
    any_host.edit_record(item_id, action="quarantine_file", path="/other")
    assert one(any_host, path)["explained"] == {}


DNF4 = """
CREATE TABLE rpm (item_id, name, version, release); CREATE TABLE trans_item (item_id, action);
INSERT INTO rpm VALUES (1, 'demo', '1.1', '1'), (2, 'fresh', '1', '1'); INSERT INTO trans_item VALUES (1, 6), (2, 1);
"""
DNF5 = """
CREATE TABLE pkg_name (id, name); CREATE TABLE rpm (item_id, name_id, version, release);
CREATE TABLE trans_item (item_id, action_id); CREATE TABLE trans_item_action (id, name);
INSERT INTO pkg_name VALUES (5, 'demo'), (6, 'fresh'); INSERT INTO rpm VALUES (1, 5, '1.1', '1'), (2, 6, '1', '1');
INSERT INTO trans_item_action VALUES (1, 'Install'), (2, 'Upgrade'); INSERT INTO trans_item VALUES (1, 2), (2, 1);
"""


@pytest.mark.parametrize(("place", "tables"), [(0, DNF4), (1, DNF5)])
def test_upgrades_in_dnfs_journals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int, tables: str) -> None:
    import sqlite3

    path, question = str(tmp_path / "history"), rpm_history.UPGRADES[rpm_history.PLACES[place]]
    with sqlite3.connect(path) as journal:
        journal.executescript(tables)
    monkeypatch.setattr(rpm_history, "PLACES", (path,))
    monkeypatch.setattr(rpm_history, "UPGRADES", {path: question})
    assert [rpm_history.was_upgraded(*of) for of in (("demo", "1.1-1"), ("demo", "1.2-1"), ("fresh", "1-1"))] == [
        *(True, False, False)
    ]
    Path(path).write_bytes(b"not a database")
    assert rpm_history.was_upgraded("demo", "1.1-1") is False


@pytest.mark.parametrize(("versions", "is_upgrade"), [(("1.0-1", "1.1-1"), True), (("1.1-1",), False)])
def test_files_of_rpms_by_zyppers_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, versions: tuple[str, ...], is_upgrade: bool
) -> None:
    lines = ["# 2026-01-01 output", *(f"2026-01-01 10:00:00|install|demo|{one}|noarch||repo|x|" for one in versions)]
    (tmp_path / "history").write_text("\n".join(lines) + "\n")
    told = "demo|1.1-1|1000|aa|/etc/other\ndemo|1.1-1|1000|" + "b" * 64 + "|/etc/demo.conf\nfile /x is not owned\n"
    answer = tools.Answer(1, told.encode(), b"", False, False)
    monkeypatch.setattr(owners_rpm, "ZYPP_HISTORY", str(tmp_path / "history"))
    monkeypatch.setattr(owners_rpm.overlaid, "run", lambda *_, **__: answer)
    monkeypatch.setattr(tools, "find", lambda _: "/bin/rpm")
    monkeypatch.setattr(managers, "choose", lambda: managers.Choice("zypper"))
    ((path, owner),) = owners.of(["/etc/demo.conf", "/x"]).items()
    assert (path, owner.package, owner.version, owner.algorithm) == ("/etc/demo.conf", "demo", "1.1-1", "sha256")
    assert owner.upgraded == ((1000 - owners_rpm.BEFORE, 1000 + owners_rpm.AFTER) if is_upgrade else None)


# Who wrote it


def test_processes_that_write_it_or_name_it_are_told(host: SmallHost) -> None:
    path = os.fsdecode(host.file("conf", b"x"))
    hold = "import sys,time; f=open(sys.argv[1],'a'); print(1,flush=True); time.sleep(60)"
    name = "import sys,time; print(1,flush=True); time.sleep(60)"
    with (
        subprocess.Popen([sys.executable, "-c", hold, path], stdout=subprocess.PIPE) as holder,
        subprocess.Popen([sys.executable, "-c", name, path + "x"], stdout=subprocess.PIPE) as namer,
    ):
        for process in (holder, namer):
            assert process.stdout is not None
            process.stdout.readline()
        told = one(host, path, **content(b"y"))["writers"]["processes"]
        other = one(host, path + "x")["writers"]["processes"]
        holder.kill()
        namer.kill()
    mine = sorted(words.partition(")")[2] for words in told if f"({holder.pid})" in words)
    assert len(mine) == 2  # it has it open, and names it
    assert mine[1].endswith(", whose command line names it")
    assert not any(f"({namer.pid})" in words for words in told)
    assert [f"({namer.pid})" in words for words in other] == [True]


def test_a_process_whose_script_names_it_is_told(host: SmallHost) -> None:
    path = os.fsdecode(host.file("conf", b"x"))
    script = host.base / "rewriter"
    script.write_text(f"#!/bin/sh\necho\nread wait\necho x >{path}\n")
    with subprocess.Popen(["/bin/sh", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        told = one(host, path, **content(b"y"))["writers"]["processes"]
        process.kill()
    assert [words for words in told if words.endswith(f"({process.pid}), whose script names it")]


def test_a_time_that_systemd_does_not_tell_spoils_nothing() -> None:
    told = "ExecMainStartTimestampMonotonic=%s\nExecMainExitTimestampMonotonic=3000000\n"
    text = "Id=a.service\n" + told % "[not set]" + "\n" + told % 1000000 + "\nId=c.service\n" + told % 2000000
    assert ran.spans(text, 1000) == [(1002.0, 1003.0, "c.service")]


def test_services_that_ran_when_it_was_changed() -> None:
    rows = [("a.service", 100, 103), ("b.service", 200, 0), ("c.service", 0, 0), ("d.service", 101, 102)]
    text = "\n".join(
        f"Id={name}\nExecMainStartTimestampMonotonic={begin}000000\nExecMainExitTimestampMonotonic={end}000000\n"
        for name, begin, end in rows
    )
    told = ran.Ran()
    told._spans = ran.spans(text, 1000.0)
    assert {moment: told.at(moment) for moment in (None, 1098, 1099, 1102, 1103, 1104, 1203)} == {
        None: [],
        1098: [],
        1099: ["a.service"],
        1102: ["d.service", "a.service"],  # the shorter run first
        1103: ["a.service"],
        1104: [],
        1203: [],  # it still runs: who is at work is seen by open files and names
    }


def test_a_packages_last_change_is_when_it_was_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift_writers, "INFO", str(tmp_path))
    (tmp_path / "demo:amd64.list").touch()
    os.utime(tmp_path / "demo:amd64.list", (5, 7))
    asked = [({"kind": "package", "name": name}, drift.held_against.Found("differs")) for name in ("demo", "none")]
    assert [told["at"] for told in drift_writers.of(asked, {})] == [7, None]


def test_a_list_of_files_that_goes_away_meanwhile_spoils_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift_writers, "INFO", str(tmp_path))
    (tmp_path / "demo.list").symlink_to("gone")
    asked = [({"kind": "package", "name": "demo"}, drift.held_against.Found("differs"))]
    assert drift_writers.of(asked, {})[0]["at"] is None


def test_five_hundred_items_cost_little(host: SmallHost) -> None:
    paths = [host.file(f"d{n % 20}/conf{n}", b"line\n" * 50) for n in range(500)]
    wanted = {**content(b"line\n" * 50), "mode": "0640", "owner": "root", "group": "root"}
    items = [item(path, **wanted) for path in paths]
    wait_until(lambda: _cpu(items) < 0.5, "a scan costs less than half a second of CPU", 20)


def _cpu(items: list[dict[str, Any]]) -> float:
    began = time.process_time()
    assert scan(*items) == []
    return time.process_time() - began
