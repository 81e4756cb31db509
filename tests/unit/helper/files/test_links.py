"""Links that match go as links, where a pattern wants it: judged by their own times, never followed."""

import os

import pytest

from maintenancebot.helper import frames
from maintenancebot.helper.files import inodes, walk
from maintenancebot.helper.trash.source import Source

from ..conftest import DAY, SmallHost, identity_of


def link(host: SmallHost, name: str, target: str | bytes = "/etc/passwd") -> str:
    path = host.logs / name
    path.parent.mkdir(parents=True, exist_ok=True)
    os.symlink(os.fsencode(target), os.fsencode(path))
    return str(path)


def change(path: str, action: str = "quarantine_file") -> dict:
    return {"id": "c", "task": "logs", "action": action, "object": identity_of(os.fsencode(path))}


def rules(host: SmallHost) -> dict:
    return {"allow": [str(host.logs)], "protect": []}


def test_a_link_is_a_candidate_with_its_own_identity_and_target(any_host: SmallHost) -> None:
    path = link(any_host, "a.log", b"/no/\xff/where")
    (one,) = any_host.probe(links=True)["findings"]
    assert one["data"]["identity"] == {**identity_of(os.fsencode(path)), "root": str(any_host.logs)}
    assert frames.raw(one["data"]["link"]) == b"/no/\xff/where"


def test_links_stay_where_the_pattern_does_not_want_them_or_compresses(host: SmallHost) -> None:
    link(host, "a.log")
    for more in ({}, {"links": True, "compress": True}):
        found = host.probe(**more)
        assert (found["findings"], found["facts"]["kept"]) == ([], {"symlink": 1})


def test_the_other_rules_hold_for_links(host: SmallHost) -> None:
    os.utime(link(host, "young.log"), ns=(0, 0), follow_symlinks=False)
    os.utime(host.logs / "young.log", (host.now, host.now - DAY), follow_symlinks=False)
    for name in ("safe.log", "skip.log", "wtmp"):
        link(host, name)
    os.link(link(host, "one.log"), host.logs / "two.log", follow_symlinks=False)
    found = host.probe(links=True, pattern="*", protect=["safe.*"], exclude=["skip.*"])
    assert found["findings"] == []
    assert found["facts"]["kept"] == {"too_young": 1, "protected": 2, "kept": 1, "hard_linked": 2}


def test_a_link_to_a_folder_is_one_thing_and_never_entered(host: SmallHost) -> None:
    host.file("real/a.txt")
    link(host, "alias", str(host.logs / "real"))
    found = host.probe(links=True, pattern="**/*")
    assert sorted(os.path.basename(one["subject"]) for one in found["findings"]) == ["a.txt", "alias"]


def test_a_source_holds_the_link_itself(host: SmallHost) -> None:
    path = link(host, "a.log", "b.log")
    source = Source(change(path), rules(host))
    try:
        assert source.is_link
        assert os.path.samestat(os.fstat(source.fd), os.lstat(path))
        assert source.record(change(path), {})["link"] == "b.log"
        source.must_be_same()
        source.must_be_idle()
    finally:
        source.close()


def test_a_link_is_never_taken_for_a_file_nor_a_file_for_a_link(host: SmallHost) -> None:
    wanted_link, wanted_file = change(link(host, "a.log")), change(os.fsdecode(host.file("b.log")))
    (host.logs / "a.log").unlink()
    (host.logs / "b.log").unlink()
    host.file("a.log")
    link(host, "b.log")
    for wanted, reason in ((wanted_link, "changed_since"), (wanted_file, "symlink")):
        with pytest.raises(walk.Refused) as refused:
            Source(wanted, rules(host))
        assert refused.value.reason == reason


def test_another_link_of_the_same_name_is_refused(host: SmallHost) -> None:
    wanted = change(link(host, "a.log"))
    (host.logs / "a.log").unlink()
    link(host, "a.log")
    with pytest.raises(walk.Refused) as refused:
        inodes.check(os.lstat(host.logs / "a.log"), wanted["object"])
    assert refused.value.reason == "changed_since"


def test_a_link_can_only_be_moved(host: SmallHost) -> None:
    with pytest.raises(walk.Refused) as refused:
        Source(change(link(host, "a.log"), "compress_file"), rules(host))
    assert refused.value.reason == "symlink"
