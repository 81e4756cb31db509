"""A full disk on a real host, told of in Slack: a button heals it; what stays full is told with what was tried."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.daemon import Daemon, daemon_for
from tests.acceptance.test_disk import TARGET, fill, log, old_disk, used
from tests.fakes import slack
from tests.fakes.slack import Slack
from tests.lab.alerting import HOST
from tests.lab.fleet import Fleet
from tests.lab.hosts import HostSpec, LabHost
from tests.lab.tools import wait_until

MIB = 2**20


@pytest.fixture(scope="module")
def shared(make_fleet: Callable[..., Fleet]) -> Fleet:
    return make_fleet(HostSpec("web-1", release="bookworm"))


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slack]:
    """A Slack whose secrets the daemon is given as systemd gives them."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "slack_token").write_text(slack.TOKEN + "\n")
    (folder / "slack_signing_secret").write_text(slack.SIGNING + "\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    with slack.serving() as server:
        yield server


@pytest.fixture
def alerted(shared: Fleet, there: Slack, tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Starts a daemon that is told of a full disk."""
    made: list[Daemon] = []

    def start(mount: str, logs: int, **more: Any) -> Daemon:
        host: LabHost = shared["web-1"]
        fill(old_disk(host, mount, {f"logs/{number:04}.log": log(6 * MIB) for number in range(logs)}))
        pattern = {"path": f"{mount}/logs/*.log", "retention_days": 30}
        daemon = daemon_for(
            tmp_path,
            shared,
            tasks=[{"name": "logs", "type": "cleanup", "patterns": [pattern], **more}],
            deletion={"allow": [f"{mount}/logs"], "caps": {"share": 1.0}},
            remediation={"disk": {"target_percent": TARGET, "ways": ["compressed"]}},
            slack={"channel": slack.CHANNEL, "base_url": there.base_url, "approvers": {"U0001": "anna"}},
        )
        made.append(daemon.start())
        with daemon.sender() as sender:
            assert sender.post({"alerts": [{"name": "DiskFull", "host": "web-1", "mount": mount}]}) == 200
        return daemon

    yield start
    for daemon in made:
        daemon.close()


def press(daemon: Daemon, body: bytes) -> int:
    connection = HTTPConnection(HOST, daemon.port, timeout=20)
    connection.request("POST", "/slack/actions", body, slack.signed(body, time.time()))
    status = connection.getresponse().status
    connection.close()
    return status


def test_a_disk_is_healed_after_its_button_was_pressed(
    alerted: Callable[..., Daemon], there: Slack, shared: Fleet
) -> None:
    mount = "/srv/asked"
    daemon = alerted(mount, 20, approval="required")
    wait_until(lambda: there.posted, "a person is asked")
    (asked,) = there.posted
    (row,) = [block for block in asked.blocks if block["type"] == "actions"]
    digest = next(button["value"] for button in row["elements"] if button["action_id"] == "approve")
    assert mount in asked.words
    assert used(shared["web-1"], mount) > TARGET
    assert press(daemon, slack.pressed("approve", digest, slack=there)) == 200
    (episode,) = daemon.wait_for_end()
    assert (episode["state"], episode["reason"]) == ("closed", "verified")
    assert used(shared["web-1"], mount) < TARGET
    wait_until(lambda: there.answered, "Slack is told")
    assert "Approved by anna" in json.dumps(there.answered[0][1])
    assert len(there.posted) == 1
    assert daemon.bot("audit", "verify").code == 0


def test_what_cannot_be_healed_is_told_once_with_what_was_tried(alerted: Callable[..., Daemon], there: Slack) -> None:
    mount = "/srv/hopeless"
    there.next = [slack.KEEP_AND_HANG]
    daemon = alerted(mount, 1)
    (episode,) = daemon.wait_for_end()
    assert episode["state"] == "escalated"
    wait_until(lambda: there.posted, "it is told")
    daemon.kill()
    daemon.start()
    wait_until(lambda: daemon.told("message_sent"), "it is found")
    (told,) = there.posted
    assert all(words in told.words for words in ("web-1", mount, f"{mount}/logs/0000.log", f"{mount}/db/table"))
    assert slack.TOKEN not in daemon.log.read_text()
