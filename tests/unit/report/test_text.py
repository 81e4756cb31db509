"""What people read: the table, the changes, the headline, what needs them."""

from dataclasses import replace
from io import StringIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from maintenancebot.model import Action, ChangeReport, Reason, Report, Risk, State, Undo
from maintenancebot.report.figures import MADE, NOUNS, size
from maintenancebot.report.text import STYLES, markdown, plain, show
from tests.unit.report.examples import change, cleanup, host, package, patches, planned, report


def mixed() -> Report:
    return report(
        host(
            "web1", patches(package("openssl=3.0.2"), package("curl=8", State.FAILED, Reason.VERSION_DIFFERS, "is 7"))
        ),
        host("db1", state=State.UNKNOWN, reason=Reason.UNREACHABLE, detail="Connection refused"),
        host("db2", cleanup(state=State.NOTHING, reason=Reason.NO_MATCH)),
        command="run",
        notes=("the kill switch was on",),
    )


def test_a_run_with_trouble_reads_as_one_page() -> None:
    assert plain(mixed()) == (
        "run r1, 2026-11-22 03:00:00 UTC, 1 min 5 s\n"
        "\n"
        "HOST  TASK              STATE    REASON       WHAT\n"
        "web1  security_patches  failed                2 packages (1 done, 1 failed)\n"
        "db1   -                 unknown  unreachable  Connection refused\n"
        "db2   log_rotation      nothing  no_match\n"
        "\n"
        "web1, security_patches:\n"
        "  failed  upgrade_package  curl=8         version_differs: is 7; undo: downgrade; risk: medium\n"
        "  done    upgrade_package  openssl=3.0.2  verified; undo: downgrade; risk: medium\n"
        "\n"
        "failed: 3 hosts, 1 nothing, 1 failed, 1 unknown\n"
        "Changes: 1 done, 1 failed (1 package upgraded).\n"
        "Needs a person:\n"
        "  web1, security_patches: failed: installed afterwards is not the planned version (curl=8: is 7).\n"
        "  db1: unknown: no connection: Connection refused. To do: check address, network and sshd.\n"
        "Notes:\n"
        "  the kill switch was on\n"
    )


def test_a_dry_run_says_what_would_be_freed_when() -> None:
    text = plain(
        report(host("web1", cleanup(planned("/var/log/a.1.log", 3 << 20), planned("/var/log/b.1.log", 1 << 20))))
    )
    assert text == (
        "dry-run r1, 2026-11-22 03:00:00 UTC, 1 min 5 s\n"
        "\n"
        "HOST  TASK          STATE    REASON  WHAT\n"
        "web1  log_rotation  planned          2 files to trash; would free nothing now, 4.0 MiB at purge\n"
        "\n"
        "web1, log_rotation:\n"
        "  planned  quarantine_file  /var/log/a.1.log  would free nothing now, 3.0 MiB at purge; undo: trash restore\n"
        "  planned  quarantine_file  /var/log/b.1.log  would free nothing now, 1.0 MiB at purge; undo: trash restore\n"
        "\n"
        "planned: 1 host, 1 planned\n"
        "Changes: 2 planned (2 files to trash). Would free nothing now, 4.0 MiB at purge.\n"
    )


@pytest.mark.parametrize(
    ("now", "said"),
    [(4096, "freed 4.0 KiB now"), (0, "freed nothing now"), (-8192, "freed nothing now (8.0 KiB more in use)")],
)
def test_freed_space_is_told_as_measured(now: int, said: str) -> None:
    measured = {"freed_now": now, "freed_at_purge": 4096}
    done = ChangeReport(change("/a"), State.DONE, Reason.VERIFIED, measured=measured)
    text = plain(report(host("web1", cleanup(done)), command="run"))
    assert f"1 file moved to trash; {said}, 4.0 KiB at purge\n" in text


def test_an_empty_run_says_so() -> None:
    assert plain(report()).endswith("\n\nnothing: 0 hosts\nNo changes.\n")


def test_what_cannot_be_undone_is_said_beside_the_change() -> None:
    purge = ChangeReport(change("item-1", Action.PURGE_ITEM, undo=Undo.NONE, risk=Risk.HIGH), State.PLANNED)
    assert "  planned  purge_item  item-1  cannot be undone; risk: high\n" in plain(
        report(host("web1", cleanup(purge)))
    )


def test_only_the_first_changes_are_listed_and_trouble_is_never_cut_off() -> None:
    changes = [planned(f"/var/log/{number}.log") for number in range(12_000)]
    changes.append(ChangeReport(change("/var/log/bad.log"), State.FAILED, Reason.WRITE_ERROR))
    told = report(host("web1", cleanup(*changes)))
    short, everything = plain(told), plain(told, verbose=True)
    assert "  … and 11,991 more; -v lists all\n" in short
    assert "/var/log/bad.log" in short
    assert short.count("quarantine_file") == 10
    assert everything.count("quarantine_file") == 12_001


def test_thousands_of_notes_do_not_bury_the_report() -> None:
    told = report(host("web1", cleanup(state=State.NOTHING)), notes=tuple(f"note {n}" for n in range(5000)))
    assert plain(told).endswith("  note 19\n  … and 4,980 more; -v lists all\n")
    assert plain(told, verbose=True).endswith("  note 4999\n")


def test_tasks_that_are_not_for_a_host_are_listed_with_v_only() -> None:
    told = report(host("web1", cleanup(state=State.SKIPPED, reason=Reason.NOT_SELECTED)))
    assert "not_selected" not in plain(told)
    assert "not_selected" in plain(told, verbose=True)


def test_hosts_that_were_not_selected_do_not_make_a_good_run_look_skipped() -> None:
    left_out = host("db1", state=State.SKIPPED, reason=Reason.NOT_SELECTED)
    told = report(host("web1", patches(package("curl=8"))), left_out, command="run")
    text = plain(replace(told, state=State.DONE))
    assert "\ndone: 2 hosts, 1 done, 1 not selected\n" in text


def test_a_detail_that_ends_with_a_full_stop_gets_no_second_one() -> None:
    refused = host("web1", state=State.UNKNOWN, reason=Reason.LOGIN_REFUSED, detail="Authentication failed.")
    assert "the host refuses the login: Authentication failed. To do: check" in plain(report(refused))


def test_the_same_trouble_on_many_hosts_is_one_line() -> None:
    waiting = ChangeReport(change("openssl=3"), State.WAITING, Reason.NEEDS_APPROVAL)
    text = plain(report(*(host(f"web{number}", cleanup(waiting, waiting)) for number in range(7))))
    assert text.split("Needs a person:\n")[1] == (
        "  web0, web1, web2, web3, web4 and 2 more hosts, log_rotation: waiting: a person must approve it first "
        "(14 changes, first openssl=3). To do: look with `maintenancebot approvals list`, then "
        "`approvals approve PLAN` or `deny PLAN`.\n"
    )


def test_old_package_lists_and_due_reboots_are_told() -> None:
    kernel = {"required": True, "signals": ["kernel 6.1.0-40 is installed, 6.1.0-18 runs"]}
    due = patches(
        state=State.NOTHING,
        reason=Reason.UP_TO_DATE,
        facts={"lists_age_seconds": 864000, "reboot": kernel, "stale": ["nginx (pid 3)"]},
    )
    fresh = patches(state=State.NOTHING, facts={"lists_age_seconds": 7200, "reboot": {"required": False}})
    text = plain(report(host("web1", due), host("web2", fresh)))
    assert "package lists 10 days old\n" in text
    assert "package lists 2 h old\n" in text
    assert text.split("Notes:\n")[1] == (
        "  Package lists older than 7 days, more may be due (--refresh renews them): web1\n  A reboot is due: web1\n"
        "  Patched, but programs still run the old version until they are restarted: web1\n"
    )


@pytest.mark.parametrize("facts", [{"lists_age_seconds": "old", "reboot": "yes"}, {"reboot": {"required": "x"}}, {}])
def test_facts_that_are_not_understood_are_not_told(facts: dict[str, object]) -> None:
    lying = plain(report(host("web1", patches(state=State.NOTHING, facts=facts))))
    assert lying == plain(report(host("web1", patches(state=State.NOTHING))))


def test_one_line_stands_for_hosts_whose_trouble_differs_in_detail_only() -> None:
    down = (host(f"db{n}", state=State.UNKNOWN, reason=Reason.UNREACHABLE, detail=f"10.0.0.{n}") for n in (1, 2))
    assert plain(report(*down)).split("Needs a person:\n")[1] == (
        "  db1, db2: unknown: no connection (first: 10.0.0.1). To do: check address, network and sshd.\n"
    )


def test_a_bad_verdict_beside_good_changes_is_told() -> None:
    expired = cleanup(planned("/a"), state=State.FAILED, detail="one certificate expired")
    assert "  web1, log_rotation: failed: one certificate expired.\n" in plain(report(host("web1", expired)))


def test_the_worst_state_makes_the_headline_even_if_the_sum_is_kinder() -> None:
    assert "\nunknown: 1 host, 1 unknown\n" in plain(
        Report("run", "r1", mixed().started_at, mixed().finished_at, State.DONE, (host("a", state=State.UNKNOWN),))
    )


def test_a_run_that_failed_as_a_whole_says_so_in_the_headline() -> None:
    assert "\nfailed: 1 host, 1 nothing\n" in plain(replace(report(host("web1")), state=State.FAILED))


HOSTILE = "x\x1b[2J\n\u202eweb9  done\r\udcff[red]:smile:[/red]"


@given(st.text(st.characters()))
@settings(max_examples=50)
def test_no_text_of_a_host_adds_a_line_or_an_escape(text: str) -> None:
    def pages(said: str) -> list[str]:
        bad = ChangeReport(change(said, note=said), State.FAILED, Reason.WRITE_ERROR, said)
        told = report(host(said, cleanup(bad, detail=said)), notes=(said,))
        return [plain(told), markdown(told)]

    for shown, harmless in zip(pages(text), pages("harmless"), strict=True):
        assert len(shown.splitlines()) == len(harmless.splitlines())
        assert all(line.isprintable() for line in shown.split("\n"))


def test_a_terminal_gets_no_escape_from_a_host() -> None:
    told = report(host(HOSTILE, cleanup(ChangeReport(change(HOSTILE), State.FAILED, detail=HOSTILE), detail=HOSTILE)))
    stream = StringIO()
    show(told, Console(file=stream, force_terminal=True, color_system=None, width=400))
    shown = stream.getvalue()
    assert "\x1b" not in shown
    assert "\r" not in shown
    assert "\\x1b[2J\\n\\u202eweb9  done\\r\\xff[red]:smile:[/red]" in shown
    assert "HOST" in shown
    assert "Needs a person:" in shown


def test_markdown_has_the_same_content_with_host_text_as_text() -> None:
    assert markdown(mixed()) == (
        "# run r1, 2026-11-22 03:00:00 UTC, 1 min 5 s\n"
        "\n"
        "**failed: 3 hosts, 1 nothing, 1 failed, 1 unknown**\n"
        "\n"
        "Changes: 1 done, 1 failed \\(1 package upgraded\\).\n"
        "\n"
        "## Needs a person\n"
        "\n"
        "- web1, security\\_patches: failed: installed afterwards is not the planned version \\(curl=8: is 7\\).\n"
        "- db1: unknown: no connection: Connection refused. To do: check address, network and sshd.\n"
        "\n"
        "## Notes\n"
        "\n"
        "- the kill switch was on\n"
        "\n"
        "| Host | Task | State | Reason | What |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| web1 | security\\_patches | failed |  | 2 packages \\(1 done, 1 failed\\) |\n"
        "| db1 | - | unknown | unreachable | Connection refused |\n"
        "| db2 | log\\_rotation | nothing | no\\_match |  |\n"
        "\n"
        "## web1, security\\_patches\n"
        "\n"
        "- failed upgrade\\_package curl=8 (version\\_differs: is 7; undo: downgrade; risk: medium)\n"
        "- done upgrade\\_package openssl=3.0.2 (verified; undo: downgrade; risk: medium)\n"
    )


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (5 << 30, "5.0 GiB"),
        (3 << 50, "3,072.0 TiB"),
    ],
)
def test_sizes_are_told_in_the_unit_that_fits(count: int, words: str) -> None:
    assert size(count) == words


def test_every_action_has_a_noun_and_every_state_a_style() -> None:
    assert set(NOUNS) == set(MADE) == set(Action)
    assert set(STYLES) == set(State)
