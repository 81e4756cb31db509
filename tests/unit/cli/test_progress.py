"""Progress goes to standard error, in the form that fits it, and never breaks a run."""

import io
import threading

import pytest

from maintenancebot.cli.options import Options
from maintenancebot.cli.progress import Bar, Lines, make_progress
from maintenancebot.engine.progress import Progress, Silent
from maintenancebot.model import State


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Broken(io.StringIO):
    """A stream whose reader went away."""

    def write(self, text: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise BrokenPipeError


def work_through(progress: Progress) -> None:
    progress.start(2, "probe")
    progress.host("web1", None, "reading packages")
    progress.host("web1", State.DONE, "")
    progress.host("db\x1b1", State.UNKNOWN, "unreachable\n")
    progress.finish()
    progress.start(1, "apply")
    progress.step("web1", "openssl=3", State.DONE)
    progress.host("web1", State.DONE, "")
    progress.finish()
    progress.host("late", State.DONE, "")


def test_without_a_terminal_each_host_has_a_line_per_phase() -> None:
    stream = io.StringIO()
    work_through(Lines(stream))
    assert stream.getvalue() == (
        "probe web1: done\nprobe db\\x1b1: unknown (unreachable\\n)\napply web1: done\napply late: done\n"
    )


def test_with_v_each_change_has_a_line_too() -> None:
    stream = io.StringIO()
    work_through(Lines(stream, verbose=True))
    assert "apply web1: openssl=3: done\n" in stream.getvalue()


def test_on_a_terminal_a_bar_counts_hosts_and_leaves_the_screen_clean() -> None:
    stream = Terminal()
    work_through(Bar(stream))
    assert "\x1b1" not in stream.getvalue()
    assert "2/2" in stream.getvalue()
    assert "1 done, 1 unknown" in stream.getvalue()


@pytest.mark.parametrize("make", [Lines, Bar])
def test_a_reader_that_went_away_does_not_end_the_run(make: type[Lines] | type[Bar]) -> None:
    work_through(make(Broken()))


@pytest.mark.parametrize("make", [Lines, Bar])
def test_many_threads_may_tell_at_once(make: type[Lines] | type[Bar]) -> None:
    stream = io.StringIO()
    progress = make(stream)
    progress.start(40, "probe")
    threads = [threading.Thread(target=progress.host, args=(f"h{n}", State.DONE, "")) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    progress.finish()
    if make is Lines:
        assert sorted(stream.getvalue().splitlines()) == sorted(f"probe h{n}: done" for n in range(40))


def test_the_form_fits_standard_error_and_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert isinstance(make_progress(Options()), Lines)
    assert isinstance(make_progress(Options(quiet=True)), Silent)
    monkeypatch.setattr("sys.stderr", Terminal())
    assert isinstance(make_progress(Options()), Bar)
    assert isinstance(make_progress(Options(quiet=True)), Silent)


def test_what_a_host_waits_for_is_told_at_once_and_what_it_does_is_not() -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    lines.host("web-1", None, "probing")
    lines.host("web-1", None, "waits for changes of run a\nb (process 7)")
    assert stream.getvalue() == "web-1: waits for changes of run a\\nb (process 7)\n"
