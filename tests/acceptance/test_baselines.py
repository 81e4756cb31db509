"""From a good host to a baseline, and from the baseline to every host: the installed command over real SSH."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.acceptance.command import Bot
from tests.lab.fleet import Fleet
from tests.lab.hosts import HostSpec
from tests.lab.watch import Watch, differences, manifest

TASK = {"name": "backups", "type": "verify", "check": "backup_completed_within_24h"}
SECRET = "hunter2-hunter2-hunter2-hunter2-hunter2-"
KEPT = ("files", "packages", "services", "sysctl", "users", "groups", "keys", "crontabs")
"""What two hosts of one making have in common; mounts and the kernel's command line are this machine's."""
OWN = {"file:/etc/hosts", "file:/etc/ssh/sshd_config.d/lab.conf"}
"""What the lab gives each host of its own: its name, and the port of its sshd."""


@pytest.fixture(scope="module")
def hosts(make_fleet: Callable[..., Fleet]) -> Fleet:
    fleet = make_fleet(*(HostSpec(name) for name in ("good", "other")))
    for host in fleet:
        host.write("/etc/app.conf", f"password = {SECRET}\n", 0o600)
        host.write("/etc/issue.net", f"This is {host.name}.\n")
    return fleet


@pytest.fixture
def bot(hosts: Fleet, tmp_path: Path) -> Bot:
    return Bot(tmp_path, hosts, tasks=[TASK])


def declare(bot: Bot, name: str, **content: Any) -> None:
    folder = bot.config.parent / "baselines"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(yaml.safe_dump(content))


def drift(bot: Bot) -> dict[str, dict[str, Any]]:
    """The comparison of each host for which something is declared."""
    answer = bot("dry-run", "--task", "drift", "--json")
    return {host["host"]: task for host in answer.document["hosts"] for task in host["tasks"]}


def verdicts(bot: Bot) -> dict[str, tuple[str, str]]:
    return {host: (task["state"], task["reason"]) for host, task in drift(bot).items()}


def test_a_good_host_becomes_a_baseline_that_holds_for_it_and_shows_what_others_differ_in(
    hosts: Fleet, bot: Bot
) -> None:
    hosts["good"].sh("rm -f /var/cache/apt/*.bin")  # which apt would write for a mere question
    before = manifest(hosts["good"])
    with Watch(hosts["good"]) as watch:
        answer = bot("drift", "capture", "good")
        assert answer.code == 0, answer.err
        assert watch.events() == []
    assert differences(before, manifest(hosts["good"])) == []
    assert SECRET not in answer.out + answer.err
    captured = yaml.safe_load(answer.out)
    assert captured.pop("hosts") == ["good"]
    assert "/etc/app.conf" in [one["path"] for one in captured["files"]]

    declare(bot, "all.yaml", hosts=["good"], **captured)
    assert verdicts(bot) == {"good": ("nothing", "as_declared")}

    common = {section: items for section, items in captured.items() if section in KEPT}
    declare(bot, "all.yaml", hosts=["all"], **common)
    found = drift(bot)
    assert found["good"]["reason"] == "as_declared", found["good"]
    rows = {row["item"]: row for row in found["other"]["facts"]["drifted"]}
    assert set(rows) == {"file:/etc/issue.net", *OWN}
    assert rows["file:/etc/issue.net"]["differs"] == ["sha256", "size"]


def test_each_host_is_held_against_its_own_values(hosts: Fleet, bot: Bot) -> None:
    content = {"path": "/etc/issue.net", "content": "This is {{ host.name }}.\n"}
    declare(bot, "issue.yaml", hosts=["all"], files=[content])
    assert verdicts(bot) == dict.fromkeys(("good", "other"), ("nothing", "as_declared"))
    hosts["other"].write("/etc/issue.net", "This is good.\n")
    try:
        assert verdicts(bot) == {"good": ("nothing", "as_declared"), "other": ("failed", "drifted")}
        words = ["--host", "other", "--item", "file:/etc/issue.net", "--until", "1d", "--reason", "being moved"]
        assert bot("drift", "accept", *words).code == 0
        assert verdicts(bot) == {"good": ("nothing", "as_declared"), "other": ("nothing", "explained")}
    finally:
        hosts["other"].write("/etc/issue.net", "This is other.\n")


def test_a_fault_in_a_baseline_ends_every_command_before_a_host_is_asked(bot: Bot) -> None:
    declare(bot, "issue.yaml", hosts=["all"], files=[{"path": "/etc/x", "content": "{{ labels.rack }}"}])
    for word in ("check", "run"):
        answer = bot(word)
        assert (answer.code, answer.out) == (2, "")
        assert "issue.yaml:2:3: the template cannot be filled in: the host has no label `rack`" in answer.err
    assert not bot.state.exists()
