"""The parser takes this run's frames out of whatever a host prints."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenancebot.errors import RemoteError
from maintenancebot.model import Reason
from maintenancebot.remote import frames

MARKER = "0123456789abcdef0123456789abcdef"


def stream(*payloads: dict[str, object], end: bool = True) -> bytes:
    data = b"".join(frames.encode(MARKER, i, "finding", payload) for i, payload in enumerate(payloads))
    return data + (frames.encode(MARKER, len(payloads), "end", {"frames": len(payloads)}) if end else b"")


def parse(data: bytes, size: int = 7) -> tuple[list[dict[str, object]], frames.Parser]:
    parser = frames.Parser(MARKER)
    found = []
    for start in range(0, len(data), size):
        found += [payload for kind, payload in parser.feed(data[start : start + size]) if kind == "finding"]
    return found, parser


def test_frames_come_through_noise_before_and_between_and_after_them() -> None:
    first, second = {"a": 1}, {"b": "\udcff"}
    data = b'Welcome!\n{"state": "ok"}' + stream(first, end=False)
    data += b"noise\n" + frames.encode(MARKER, 1, "finding", second)
    data += frames.encode(MARKER, 2, "end", {"frames": 2}) + b"bye"
    found, parser = parse(data)
    assert found == [first, second]
    assert parser.ended


@given(noise=st.binary(max_size=300), size=st.integers(1, 50))
def test_no_noise_before_the_first_frame_is_taken_for_one(noise: bytes, size: int) -> None:
    found, parser = parse(noise + stream({"x": 1}), size)
    assert found == [{"x": 1}]
    assert parser.ended


def test_a_frame_of_another_run_is_noise() -> None:
    other = frames.encode("f" * 32, 0, "finding", {"lie": True})
    found, _ = parse(other + stream({"truth": True}))
    assert found == [{"truth": True}]


def test_an_answer_without_its_end_has_not_ended() -> None:
    _, parser = parse(stream({"x": 1}, end=False))
    assert not parser.ended


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (frames.encode(MARKER, 1, "finding", {}), "frame 0 is missing"),
        (frames.encode(MARKER, 0, "finding", {"a": 1}).replace(b'"a"', b'"b"'), "frame 0 is damaged"),
        (frames.encode(MARKER, 0, "end", {"frames": 3}), "the number of frames does not fit"),
        (f"\n%MB1 {MARKER} 0 finding 99999999 00000000\n".encode(), "frame 0 claims 99999999 bytes"),
        (f"\n%MB1 {MARKER} zero finding 1 0\n".encode(), "a frame's head cannot be read"),
        (f"\n%MB1 {MARKER} ".encode() + b"x" * 500, "a frame's head has no end"),
        (frames.encode(MARKER, 0, "finding", [1]), "frame 0 is not an object"),
    ],
)
def test_damage_is_garbled_and_says_where(data: bytes, words: str) -> None:
    with pytest.raises(RemoteError) as caught:
        parse(data)
    assert (caught.value.reason, str(caught.value)) == (Reason.GARBLED, words)


def test_a_flood_of_noise_is_capped() -> None:
    parser = frames.Parser(MARKER)
    with pytest.raises(RemoteError, match="prints more than"):
        for _ in range(100):
            list(parser.feed(b"y\n" * 32768))
    assert parser.noise <= frames.NOISE_CAP + 70000


def test_newlines_after_payloads_do_not_count_as_noise() -> None:
    parser = frames.Parser(MARKER)
    list(parser.feed(stream(*({"n": n} for n in range(1000)))))
    assert parser.noise == 0
