"""Drift of real hosts, from the scan to the end: reported, corrected once, waited for, never fought about."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.acceptance.command import Bot
from tests.acceptance.daemon import Daemon, daemon_for
from tests.lab.fleet import Fleet
from tests.lab.hosts import HostSpec, LabHost
from tests.lab.tools import wait_until
from tests.lab.watch import Watch, differences, manifest

TASKS = [{"name": "backups", "type": "verify", "check": "backup_completed_within_24h"}]
THEIRS = "server other.example\n"
OPPONENT = """\
[Unit]
Description=Puts its value back, as a tool for configurations does

[Service]
ExecStart=/bin/sh -c 'while sleep 1; do grep -q other /etc/fought.conf || cp /etc/theirs.conf /etc/fought.conf; done'
"""

WRITER = """\
[Service]
ExecStart=/bin/sh -c 'while sleep 0.1; do date +%%N >/etc/busy.conf; done'
"""


@pytest.fixture(scope="module")
def shared(make_fleet: Callable[..., Fleet]) -> Fleet:
    """Hosts for all tests of this module; each has its own files."""
    return make_fleet(HostSpec("web-1", release="bookworm"), HostSpec("web-2", release="trixie"))


@pytest.fixture
def host(shared: Fleet) -> LabHost:
    return shared["web-1"]


@pytest.fixture
def bot(tmp_path: Path, shared: Fleet) -> Bot:
    return Bot(tmp_path, shared, tasks=TASKS)


def declare(folder: Path, *files: dict[str, Any], hosts: tuple[str, ...] = ("all",), **sections: Any) -> None:
    (folder / "baselines").mkdir(exist_ok=True)
    document = {"hosts": list(hosts), "files": list(files), **sections}
    (folder / "baselines" / "all.yaml").write_text(yaml.safe_dump(document))


def messages(bot: Bot, kind: str) -> list[Any]:
    """What was put for people to be told."""
    with closing(sqlite3.connect(f"file:{bot.state / 'state.db'}?mode=ro", uri=True)) as store:
        return store.execute("SELECT key, body FROM messages WHERE kind = ?", (kind,)).fetchall()


def task(answer: Any, host: str = "web-1") -> dict[str, Any]:
    return dict(answer.task(host, "drift"))


def test_a_scan_writes_nothing_and_shows_the_odd_one_out_first(bot: Bot, shared: Fleet, tmp_path: Path) -> None:
    for one in shared:
        one.write("/etc/scan-a.conf", "as declared\n" if one.name == "web-1" else "other\n")
        one.write("/etc/scan-b.conf", "other\n")
    declare(tmp_path, *({"path": f"/etc/scan-{one}.conf", "content": "as declared\n"} for one in "ba"))
    before = {one.name: manifest(one) for one in shared}
    with Watch(shared["web-1"]) as watch:
        answer = bot("drift", "scan")
        assert watch.events() == []
    assert [differences(before[one.name], manifest(one)) for one in shared] == [[], []]
    assert not bot.state.exists()
    assert answer.code == 1, answer.err
    view = answer.out.split("the odd one out first:\n")[1].splitlines()
    assert view[0] == "  file:/etc/scan-a.conf: 1 of 2 hosts differ: web-2 (differs in sha256, size)"
    assert view[1].startswith("  file:/etc/scan-b.conf: 2 of 2 hosts differ: web-1, web-2 ")
    document = bot("drift", "scan", "--host", "web-1", "--json").document
    assert (document["command"], document["state"]) == ("drift scan", "failed")


def test_what_may_be_corrected_is_and_the_person_who_restores_it_is_not_fought(
    bot: Bot, host: LabHost, tmp_path: Path
) -> None:
    host.write("/etc/night.conf", "the fix of 3 AM\n", mode=0o600)
    host.write("/etc/kept.conf", "x\n")
    host.write("/etc/real.conf", "x\n")
    host.sh("ln -s real.conf /etc/linked.conf; systemctl disable --now cron.service 2>/dev/null || true")
    declare(
        tmp_path,
        {"path": "/etc/night.conf", "content": "declared\n", "mode": "0644", "correct": "safe"},
        {"path": "/etc/kept.conf", "content": "declared\n"},
        {"path": "/etc/linked.conf", "content": "declared\n", "correct": "safe"},
        hosts=("web-1",),
    )
    answer = bot("drift", "correct", "--json")
    assert answer.code == 1
    told = task(answer)
    assert (told["state"], told["reason"]) == ("failed", "drifted")
    (change,) = told["changes"]
    assert (change["object"], change["state"], change["reason"]) == ("file:/etc/night.conf", "done", "verified")
    assert host.read("/etc/night.conf") == b"declared\n"
    assert host.live_path("/etc/night.conf").stat().st_mode & 0o777 == 0o644
    assert {row["item"]: row["state"] for row in told["facts"]["drifted"]} == {
        "file:/etc/kept.conf": "differs",
        "file:/etc/linked.conf": "link",
    }
    assert (host.read("/etc/kept.conf"), host.read("/etc/real.conf")) == (b"x\n", b"x\n")
    listed = bot("trash", "list", "--host", "web-1", "--json").document["hosts"][0]["items"]
    (item,) = [one for one in listed if one["path"] == "/etc/night.conf"]
    host.sh("rm /etc/night.conf")
    assert bot("trash", "restore", "web-1", item["id"]).code == 0
    again = task(bot("drift", "correct", "--json"))
    assert again["changes"] == []
    assert again["facts"]["explained"][0]["explained"]["by"] == "own"
    assert host.read("/etc/night.conf") == b"the fix of 3 AM\n"


def test_an_item_that_asks_for_approval_waits_for_another_person(bot: Bot, host: LabHost, tmp_path: Path) -> None:
    host.write("/etc/asked.conf", "other\n")
    declare(tmp_path, {"path": "/etc/asked.conf", "content": "declared\n", "correct": "approval"}, hosts=("web-1",))
    answer = bot("drift", "correct", "--json")
    assert (answer.code, task(answer)["state"], task(answer)["reason"]) == (3, "waiting", "needs_approval")
    assert host.read("/etc/asked.conf") == b"other\n"
    (asked,) = bot("approvals", "list", "--json").document["approvals"]
    assert bot("approvals", "approve", asked["digest"], env={"SUDO_USER": "somebody-else"}).code == 0
    answer = bot("drift", "correct", "--json")
    assert (answer.code, task(answer)["state"]) == (0, "done")
    assert host.read("/etc/asked.conf") == b"declared\n"


def test_against_a_tool_that_puts_its_value_back_it_corrects_once_and_calls_a_person(
    bot: Bot, host: LabHost, tmp_path: Path
) -> None:
    host.write("/etc/systemd/system/opponent.service", OPPONENT)
    host.write("/etc/theirs.conf", THEIRS)
    host.write("/etc/fought.conf", THEIRS)
    host.sh("systemctl daemon-reload && systemctl start opponent.service")
    declare(
        tmp_path, {"path": "/etc/fought.conf", "content": "server ours.example\n", "correct": "safe"}, hosts=("web-1",)
    )
    try:
        first = task(bot("drift", "correct", "--json"))
        wait_until(lambda: b"other" in host.read("/etc/fought.conf"), "the opponent writes again", 20)
        second, third = bot("drift", "correct", "--json"), bot("drift", "correct", "--json")
    finally:
        host.sh("systemctl stop opponent.service")
    assert [(one["state"], one["reason"]) for one in first["changes"]] == [("done", "verified")]
    for answer in (second, third):
        assert answer.code == 1
        assert (task(answer)["state"], task(answer)["reason"], task(answer)["changes"]) == ("failed", "contested", [])
    (row,) = task(second)["facts"]["contested"]
    assert row["wanted"]["sha256"] != row["found"]["sha256"]
    assert "of opponent.service" in str(row["writers"]["processes"])
    ((_, body),) = messages(bot, "contested")
    assert row["wanted"]["sha256"] in body
    assert row["found"]["sha256"] in body
    assert host.read("/etc/fought.conf") == THEIRS.encode()


def test_a_secret_in_a_drifted_file_is_found_nowhere(bot: Bot, host: LabHost, tmp_path: Path) -> None:
    secret = secrets.token_urlsafe(30)
    host.write("/etc/with-secret.conf", f"listen 8080\npassword = {secret}\n", mode=0o600)
    for diff in (False, True):
        item = {"path": "/etc/with-secret.conf", "content": "listen 80\n", "correct": "safe", "diff": diff}
        declare(tmp_path, item, hosts=("web-1",))
        said = [bot("-v", "drift", "scan"), bot("drift", "scan", "--json")]
        assert ("listen 8080" in said[1].out) is diff
        assert all(secret not in one.out + one.err for one in said)
    done = bot("-v", "drift", "correct")
    assert host.read("/etc/with-secret.conf") == b"listen 80\n"
    assert secret not in done.out + done.err
    kept = [path for path in bot.state.rglob("*") if path.is_file()]
    assert kept
    assert [path for path in kept if secret.encode() in path.read_bytes()] == []


@pytest.fixture
def daemon(tmp_path: Path, shared: Fleet) -> Iterator[Daemon]:
    made = daemon_for(tmp_path, shared, tasks=TASKS)
    yield made
    made.close()


def test_a_drift_alert_is_healed_within_seconds_and_seen_again(daemon: Daemon, host: LabHost, tmp_path: Path) -> None:
    host.write("/etc/alerted.conf", "other\n")
    declare(tmp_path, {"path": "/etc/alerted.conf", "content": "declared\n", "correct": "safe"}, hosts=("web-1",))
    daemon.start()
    with daemon.sender() as sender:
        for _ in range(20):
            assert sender.post({"alerts": [{"name": "ConfigDrift", "host": "web-1"}]}) == 200
    (episode,) = daemon.wait_for_end()
    assert (episode["state"], episode["reason"], episode["subject"]) == ("closed", "verified", "declared state")
    assert [step[0] for step in episode["body"]["steps"]][-6:] == [
        "diagnosed",
        "planned",
        "gated",
        "acted",
        "verified",
        "closed",
    ]
    assert host.read("/etc/alerted.conf") == b"declared\n"
    assert (episode["closed_at"] - episode["opened_at"]) / 1e6 < 10
    assert daemon.bot("audit", "verify").code == 0


def test_a_declared_sshd_stays_only_where_it_is_valid_and_lets_a_login_in(
    bot: Bot, host: LabHost, tmp_path: Path
) -> None:
    path = "/etc/ssh/sshd_config"
    old = host.read(path).decode()
    own = f"ListenAddress {host.address}\n"
    declared = {
        "\nNoSuchWord yes\n": ("failed", "config_invalid"),
        f"\nPort {host.port}\nPort 2299\nAllowUsers nobody\n{own}": ("failed", "reverted"),
        "\nMaxAuthTries 5\n": ("done", "verified"),
    }
    for more, expected in declared.items():
        declare(tmp_path, {"path": path, "content": old + more, "correct": "safe"}, hosts=("web-1",))
        told = task(bot("drift", "correct", "--json"))
        assert [(one["state"], one["reason"]) for one in told["changes"]] == [expected], told
        assert host.ssh("sudo -n true", check=False).returncode == 0
        assert host.read(path).decode() == (old + more if expected[0] == "done" else old)
    again = task(bot("drift", "correct", "--json"))
    assert (again["state"], again["reason"]) == ("nothing", "as_declared")
    host.write(path, old)
    host.sh("systemctl reload ssh.service")


def test_what_is_immutable_or_written_all_the_time_is_left_alone_and_a_persons(
    bot: Bot, host: LabHost, tmp_path: Path
) -> None:
    host.write("/etc/fixed.conf", "other\n")
    host.sh("chattr +i /etc/fixed.conf")
    host.write("/etc/systemd/system/writer.service", WRITER)
    host.sh("systemctl start writer.service")
    declare(
        tmp_path,
        *({"path": f"/etc/{one}.conf", "content": "declared\n", "correct": "safe"} for one in ("fixed", "busy")),
        hosts=("web-1",),
    )
    answer = bot("drift", "correct", "--json")
    host.sh("systemctl stop writer.service; chattr -i /etc/fixed.conf")
    told = task(answer)
    assert (answer.code, told["state"], told["reason"]) == (1, "failed", "drifted")
    assert {one["object"]: one["reason"] for one in told["changes"]} == {
        "file:/etc/fixed.conf": "immutable",
        "file:/etc/busy.conf": "changed_since",
    }
    rows = {row["item"]: row["writers"]["processes"] for row in told["facts"]["corrected"]}
    assert any("writer.service" in one for one in rows["file:/etc/busy.conf"])
    assert host.read("/etc/fixed.conf") == b"other\n"
