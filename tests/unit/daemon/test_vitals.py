"""The watchdog is fed while every part beats and every piece of work gets on, and not a second longer."""

from __future__ import annotations

import math

from maintenancebot.daemon.vitals import BEAT_SECONDS, INTAKE, SCHEDULE, Vitals


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def vitals() -> tuple[Vitals, Clock]:
    clock = Clock()
    return Vitals(clock), clock


def test_a_part_that_never_beat_is_infinitely_silent_and_no_trouble() -> None:
    signs, _ = vitals()
    assert (signs.age(INTAKE), signs.trouble()) == (math.inf, "")


def test_a_part_that_stops_beating_is_trouble() -> None:
    signs, clock = vitals()
    signs.beat(SCHEDULE)
    clock.now += BEAT_SECONDS
    assert (signs.age(SCHEDULE), signs.trouble()) == (BEAT_SECONDS, "")
    clock.now += 1
    assert signs.trouble() == "the schedule does not beat"
    signs.beat(SCHEDULE)
    assert signs.trouble() == ""


def test_a_piece_may_last_as_long_as_it_likes_while_it_gets_on() -> None:
    signs, clock = vitals()
    token = signs.begin("cycle", 60)
    for _ in range(100):
        clock.now += 59
        signs.progress(token)
        assert signs.trouble() == ""
    (piece,) = signs.pieces()
    assert (piece.name, piece.age, piece.silent, piece.is_hung) == ("cycle", 5900, 0, False)


def test_a_piece_that_is_silent_past_its_deadline_is_trouble_until_it_ends() -> None:
    signs, clock = vitals()
    hung, other = signs.begin("cycle", 60), signs.begin("purge", 600)
    clock.now += 61
    assert signs.trouble() == "cycle is silent for 61 s"
    signs.progress(other)
    assert signs.trouble() == "cycle is silent for 61 s"
    signs.end(hung)
    signs.end(hung)
    assert (signs.trouble(), [piece.name for piece in signs.pieces()]) == ("", ["purge"])


def test_notes_are_there_until_they_are_over() -> None:
    signs, _ = vitals()
    signs.note("configuration", "a fault")
    signs.note("cycle", "waits")
    signs.note("cycle", "")
    assert signs.notes() == {"configuration": "a fault"}
