"""Each prompt as it is sent, byte by byte: a changed word is a new version."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from maintenancebot.llm import prompting, wording
from maintenancebot.llm.asking import Asker
from maintenancebot.llm.client import Failure, Reply, Request
from maintenancebot.llm.ranking import ModelRanking
from maintenancebot.policy.spending import Call, Silence
from maintenancebot.settings import Llm, Way
from tests.unit.llm.test_ranking import DISK
from tests.unit.llm.weeks import FACTS, TRUE
from tests.unit.store.examples import NOON

GOLDEN = Path(__file__).parents[2] / "fixtures" / "prompts"

VERSIONS = {
    "summary.v2": "31dfd48a95c28dc1",
    "diagnosis.v2": "1d3291bf9b9377b5",
    "ranking.v1": "3799948e0f4e5723",
    "repair.v1": "b0c07361d9754141",
}
"""A prompt that is changed gets a new version, and a new line here: answers are kept by version."""

ESCALATED: Mapping[str, Any] = {
    "host": "db-2",
    "rule": "disk",
    "subject": "/srv",
    "alert": "DiskFull",
    "reason": "not_enough",
    "detail": "/srv: 95 % -> 93 %, 20.0 MiB freed; most is in /srv/data 1.5 GiB; password=hunter22",
    "before": {"percent": 95, "inode_percent": 3},
    "after": {"percent": 93, "inode_percent": 3},
    "users": {"directory": [{"path": "/srv/data/<!channel>", "bytes": 1_610_612_736}]},
    "tried": {"counts": {"done": 4}, "changes": []},
}


class Recorder:
    """Answers, and keeps what it was sent."""

    def __init__(self, *texts: str) -> None:
        self.texts, self.requests = list(texts), list[Request]()

    def send(self, request: Request, seconds: float) -> Reply | Failure:
        self.requests.append(request)
        return Reply(self.texts.pop(0), 1, 1)


class Free:
    """A book without limits."""

    def reserve(self, call: Call, caps: Any, *, at: Any) -> int:
        return 1

    def settle(self, *_: Any, **__: Any) -> None: ...

    lose = remember = settle

    def answer(self, digest: str) -> None: ...


def sent(name: str) -> Request:
    """The last request of a conversation of this kind."""
    answers = {"repair": ['{"text": "all 48 healthy, 500 GB freed"}', json.dumps({"text": TRUE})]}
    recorder = Recorder(*answers.get(name, ['{"text": "db-2 is full."}'] * 2))
    asker = Asker(Llm(), recorder, Free(), ("known-secret",), lambda: NOON, lambda _: None)
    match name:
        case "diagnosis":
            wording.diagnosis(ESCALATED, asker)
        case "ranking":
            ModelRanking(asker).order(tuple(Way), DISK)
        case _:
            wording.word(FACTS, asker)
    return recorder.requests[-1 if name == "repair" else 0]


def written(request: Request) -> str:
    roles = ("user", "assistant")
    turns = [f"--- {roles[at % 2]}\n{text}\n" for at, text in enumerate(request.turns)]
    schema = json.dumps(request.schema, indent=1)
    return "".join([f"--- system\n{request.system}\n", *turns, f"--- schema\n{schema}\n"])


@pytest.mark.parametrize("name", ["summary", "diagnosis", "ranking", "repair"])
def test_what_is_sent_is_what_was_looked_at(name: str) -> None:
    assert written(sent(name)) == (GOLDEN / f"{name}.txt").read_text("utf-8")


@pytest.mark.parametrize("name", ["summary", "diagnosis", "ranking", "repair"])
def test_no_more_tokens_are_needed_than_are_foreseen(name: str) -> None:
    request = sent(name)
    assert request.most_input >= len(written(request).encode())
    assert request.most_input + Llm().max_tokens <= Llm().caps.tokens_per_call


def test_a_changed_prompt_has_a_new_version() -> None:
    found = {path.stem: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in prompting.FOLDER.glob("*.txt")}
    assert found == VERSIONS


def test_an_empty_answer_is_repaired_by_words() -> None:
    recorder = Recorder("", "{}")
    asker = Asker(Llm(), recorder, Free(), (), lambda: NOON, lambda _: None)
    assert wording.word(FACTS, asker).reason is Silence.NOT_TRUE
    assert recorder.requests[1].turns[1] == "-"  # an empty turn would be refused
