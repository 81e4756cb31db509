"""An explanation says what each rule says, and its verdict is the probe's, whatever the path is."""

import fcntl
import os
import subprocess

import pytest

from ..conftest import DAY, SmallHost


def explain(host: SmallHost, path: str | bytes, **more) -> dict:
    """The one explanation of a path, by the pattern that `probe` would be given."""
    pattern = more.pop("pattern", "**/*.log")
    spec = {"path": f"{host.logs}/{pattern}", "retention_days": 30, "task": "logs"}
    spec.update({key: more.pop(key) for key in ("compress", "links", "exclude") if key in more})
    name = os.fsencode(path).decode("utf-8", "surrogateescape")
    asked = {"path": name, "patterns": [spec], "allow": [str(host.logs)], "protect": [], "now": host.now, **more}
    (found,) = host.call("cleanup.explain.probe", asked)["findings"]
    return found["data"]


def row(told: dict, rule: str) -> tuple:
    (found,) = [one for one in told["rows"] if one["rule"] == rule]
    return found["passes"], found["reason"], found["detail"]


def test_a_file_that_goes_passes_every_rule(any_host: SmallHost) -> None:
    told = explain(any_host, any_host.file("app/a.log"))
    assert told["verdict"] == {
        "goes": True,
        "action": "quarantine_file",
        "pattern": f"{any_host.logs}/**/*.log",
        "reason": "",
    }
    assert {one["passes"] for one in told["rows"]} == {True}
    assert [one["rule"] for one in told["rows"] if one["rule"] != "way"] == [
        *("allowed_tree", "pattern", "exists", "kind", "sticky", "hard_links", "times", "age", "untouchable"),
        *("protect", "exclude", "logrotate", "restored", "compress", "use", "attributes"),
    ]
    assert row(told, "age")[2] == "modified 40.0 days ago, changed 40.0 days ago; 30 days are asked"


def test_the_way_is_told_folder_by_folder_and_ends_at_a_link(host: SmallHost) -> None:
    host.file("real/a.log")
    os.symlink("real", host.logs / "alias")
    told = explain(host, f"{host.logs}/alias/a.log")
    way = [one for one in told["rows"] if one["rule"] == "way"]
    assert [one["passes"] for one in way] == [True] * (len(way) - 1) + [False]
    assert way[-2]["detail"] == f"{host.logs} is a folder"
    assert (way[-1]["reason"], way[-1]["detail"]) == ("symlink", f"{host.logs}/alias: Not a directory")
    assert row(told, "use") == (None, "", "not reached")
    assert told["verdict"]["reason"] == "symlink"


def test_what_is_not_there_is_said(host: SmallHost) -> None:
    told = explain(host, f"{host.logs}/none.log")
    assert row(told, "exists") == (False, "vanished", "No such file or directory")
    assert explain(host, f"{host.logs}/none/a.log")["verdict"]["reason"] == "vanished"


def test_a_path_outside_the_allowed_trees_or_of_no_pattern_is_not_even_looked_at(host: SmallHost) -> None:
    told = explain(host, host.file("a.log"), allow=["/srv/other"])
    assert row(told, "allowed_tree")[:2] == (False, "not_allowed")
    assert row(explain(host, host.file("a.txt")), "pattern")[:2] == (False, "no_match")


def test_the_rule_that_protects_is_named(host: SmallHost) -> None:
    path = host.file("keep/a.log")
    assert row(explain(host, path, protect=["x", "keep"]), "protect") == (
        False,
        "protected",
        "deletion.protect has keep",
    )
    assert row(explain(host, path, exclude=["a.*"]), "exclude") == (False, "kept", "exclude has a.*")


def test_who_has_it_open_is_named(host: SmallHost) -> None:
    path = host.file("a.log")
    with open(path, "rb+") as stream:
        fcntl.lockf(stream, fcntl.LOCK_EX)
        passes, reason, detail = row(explain(host, path), "use")
    assert (passes, reason) == (False, "locked")
    assert f"({os.getpid()}) has it open" in detail
    assert f"({os.getpid()}) has it locked" in detail


def test_attributes_are_named(host: SmallHost) -> None:
    path = host.file("a.log")
    subprocess.run(["chattr", "+i", path], check=True)
    try:
        assert row(explain(host, path), "attributes") == (False, "immutable", "immutable")
    finally:
        subprocess.run(["chattr", "-i", path], check=True)


def test_names_are_bytes(host: SmallHost) -> None:
    assert explain(host, host.file(b"a\xff\n.log"))["verdict"]["goes"]


def test_every_rule_is_told_also_behind_the_first_that_keeps_it(host: SmallHost) -> None:
    path = host.file("a.log")
    told = explain(host, path, now=os.stat(path).st_mtime + 9 * DAY, protect=["a.*"])
    assert row(told, "age")[:2] == (False, "too_young")
    assert row(told, "protect")[:2] == (False, "protected")
    assert told["verdict"]["reason"] == "too_young"


@pytest.mark.parametrize("more", [{}, {"compress": True}, {"links": True}, {"exclude": ["b*"]}])
def test_the_verdict_is_that_of_the_probe(host: SmallHost, more: dict) -> None:
    """Over everything that a folder can hold."""
    for name in ("a.log", "b.log", "c.log", "c.log.gz", "d.log.gz", "wtmp", ".hidden", "s.log", "1.log", "n" * 254):
        host.file(name)
    os.chmod(host.logs / "s.log", 0o1644)
    os.symlink("a.log", host.logs / "link.log")
    os.link(host.logs / "1.log", host.logs / "2.log")
    os.mkfifo(host.logs / "fifo")
    (host.logs / "folder").mkdir()
    found = host.probe("*", **more)
    due = {one["subject"] for one in found["findings"]}
    kept = {path: reason for reason, paths in found["facts"]["examples"].items() for path in paths}
    assert len(due) + len(kept) == sum(found["facts"]["kept"].values()) + len(due)
    for name in os.listdir(host.logs):
        path = str(host.logs / name)
        verdict = explain(host, path, pattern="*", **more)["verdict"]
        assert verdict["goes"] is (path in due)
        if path in kept:
            assert verdict["reason"] == kept[path]
