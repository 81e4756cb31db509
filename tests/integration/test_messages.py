"""What the installed daemon tells people: by Slack, through its outages, a kill, and two daemons; once."""

from __future__ import annotations

import json
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import slack
from tests.fakes.slack import Slack
from tests.integration.daemon import Daemon
from tests.integration.test_daemon import TOKEN, Site
from tests.lab.tools import wait_until
from tests.unit.store.examples import request


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    for daemon in made.daemons:
        daemon.discard()


@pytest.fixture
def there() -> Iterator[Slack]:
    with slack.serving() as server:
        yield server


def start(site: Site, there: Slack, **more: Any) -> Daemon:
    by_bot = {"channel": slack.CHANNEL, "base_url": there.base_url, "approvers": {"U0001": "anna"}}
    site.configure(remediation={"alerts": {"escalate_others": True}}, slack=by_bot, **more)
    return site.start(MAINTENANCEBOT_SLACK_TOKEN=slack.TOKEN, MAINTENANCEBOT_SLACK_SIGNING_SECRET=slack.SIGNING)


def alert(daemon: Daemon, name: str) -> None:
    body = json.dumps({"alerts": [{"name": name, "host": "this"}]}).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
    request = urllib.request.Request(f"http://127.0.0.1:{daemon.port}/webhooks/generic", body, headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 200


def test_an_escalation_arrives_in_slack_once(site: Site, there: Slack) -> None:
    daemon = start(site, there)
    alert(daemon, "<!channel> on fire")
    daemon.wait_for("message_sent", target="slack", kind="escalated")
    (posted,) = there.posted
    assert "this" in posted.words
    assert "&lt;!channel&gt; on fire" in posted.words
    assert "<!channel>" not in posted.words
    assert daemon.end() == 0
    second = start(site, there)
    second.wait_for("started")
    wait_until(lambda: second.get("/status")[1]["messages_waiting"] == 0, "nothing waits")
    assert second.end() == 0
    assert len(there.posted) == 1
    assert slack.TOKEN not in "\n".join([*daemon.lines, *second.lines])


@pytest.mark.parametrize("bad", [slack.HANG, slack.KEEP_AND_HANG])
def test_a_daemon_that_is_killed_while_slack_hangs_tells_it_once(site: Site, there: Slack, bad: str) -> None:
    daemon = start(site, there)
    there.next = [bad]
    alert(daemon, "DiskOnFire")
    wait_until(lambda: "chat.postMessage" in there.calls, "the message is on its way")
    daemon.end(signal.SIGKILL)
    second = start(site, there)
    second.wait_for("message_sent", target="slack")
    assert len(there.posted) == 1
    assert second.end() == 0


def test_two_daemons_on_one_store_tell_it_once(site: Site, there: Slack) -> None:
    with site.store() as store:
        for number in range(10):
            store.messages.put(f"key {number}", "escalated", {"host": f"web-{number}"}, at=datetime.now(UTC))
    both = [start(site, there), start(site, there)]
    wait_until(lambda: len(there.posted) >= 10, "all were told")
    for daemon in both:
        wait_until(lambda daemon=daemon: daemon.get("/status")[1]["messages_waiting"] == 0, "nothing waits")
        assert daemon.end() == 0
    assert len(there.posted) == 10
    assert sum(len(daemon.told("escalated")) for daemon in both) == 10


def test_a_slack_that_is_not_there_holds_up_neither_alerts_nor_the_end(site: Site, there: Slack) -> None:
    there.next = [slack.HANG] * 10
    daemon = start(site, there)
    alert(daemon, "DiskOnFire")
    wait_until(lambda: "chat.postMessage" in there.calls, "the message is on its way")
    began = time.monotonic()
    alert(daemon, "Another")
    daemon.wait_for("escalated", 2)
    assert daemon.get("/health/ready")[0] == 200
    assert time.monotonic() - began < 5
    there.released.set()
    assert daemon.end() == 0


def press(daemon: Daemon, body: bytes, headers: dict[str, str]) -> int:
    asked = urllib.request.Request(f"http://127.0.0.1:{daemon.port}/slack/actions", body, headers)
    try:
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def test_a_plan_is_approved_by_its_button(site: Site, there: Slack) -> None:
    with site.store() as store:
        digest = request(store, 1, 2, at=datetime.now(UTC))
    daemon = start(site, there)
    body = slack.pressed("approve", digest, slack=there)
    assert press(daemon, body, slack.signed(body, time.time(), "not the secret")) == 401
    began = time.monotonic()
    assert press(daemon, body, slack.signed(body, time.time())) == 200
    assert time.monotonic() - began < 3
    daemon.wait_for("button_pressed", button="approve")
    assert daemon.end() == 0
    with site.store() as store:
        found = store.approvals.get(digest)
        assert found is not None
        assert (found.state, found.decided_by) == ("approved", "anna")
        assert store.audit.verify().ok
