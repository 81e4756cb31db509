"""Programs of a host may hang, flood or close their outputs: none of it lasts longer than its limit."""

import os
import time

import pytest

from maintenancebot.helper import main, results
from maintenancebot.helper.host import tools


class Heard:
    """Counts the signs of life."""

    def __init__(self):
        self.alive_for = []

    def alive(self, doing):
        self.alive_for.append(doing)


class Sent:
    """Takes the place of the frames' writer."""

    def __init__(self):
        self.frames = []

    def send(self, kind, payload):
        self.frames.append((kind, payload))


def shell(script, **options):
    began = time.monotonic()
    answer = tools.run(["/bin/sh", "-c", script], **options)
    return answer, time.monotonic() - began


@pytest.fixture(autouse=True)
def no_deadline():
    yield
    tools._end.clear()


def test_a_program_that_closes_its_outputs_and_stays_is_ended_and_signs_of_life_go_on(monkeypatch):
    monkeypatch.setattr(tools, "ALIVE_SECONDS", 0.2)
    out = Heard()
    answer, took = shell("exec >&- 2>&-; sleep 1000", out=out, limit=3)
    assert (answer.ok, answer.timed_out, answer.code) == (False, True, None)
    assert 2.5 < took < 6
    assert len(out.alive_for) >= 2


def test_a_program_that_prints_without_end_is_ended_at_the_cap():
    answer, took = shell("yes", limit=60, cap=100_000)
    assert (answer.ok, answer.cut, answer.timed_out) == (False, True, False)
    assert len(answer.stdout) == 100_000
    assert answer.error() == "printed without end"
    assert took < 10


def test_an_answer_of_just_the_cap_is_whole():
    answer, _ = shell("head -c 1000 /dev/zero", cap=1000)
    assert (answer.ok, len(answer.stdout)) == (True, 1000)


def test_a_child_that_keeps_the_outputs_open_does_not_outlast_the_limit():
    answer, took = shell("sleep 1000 & echo said", limit=1)
    assert (answer.timed_out, answer.stdout) == (True, b"said\n")
    assert took < 5


def test_no_program_gets_more_time_than_the_helper_has():
    tools.must_end_by(time.monotonic() + tools.MARGIN_SECONDS + 1)
    answer, took = shell("sleep 1000", limit=600)
    assert answer.timed_out
    assert took < 6


def test_what_took_all_the_time_does_not_spoil_what_the_others_found(monkeypatch):
    def probe(task, _writer):
        if task["op"] == "patches":
            raise main.Deadline()
        return results.Result(facts={"op": task["op"]})

    monkeypatch.setattr(main, "probe_one", probe)
    sent = Sent()
    main.probe_all([{"id": op, "op": op} for op in ("patches", "logs", "backups")], sent)
    assert [(payload["task"], payload["state"], payload["reason"]) for _, payload in sent.frames] == [
        ("logs", "ok", ""),
        ("backups", "ok", ""),
        ("patches", "unknown", "deadline"),
    ]


def test_the_rest_of_a_program_is_gone_after_its_limit(tmp_path):
    shell(f"echo $$ >{tmp_path}/pid; trap '' TERM; while :; do sleep 1; done", limit=0.5)
    pid = (tmp_path / "pid").read_text().strip()
    assert not os.path.exists(f"/proc/{pid}/cmdline")
