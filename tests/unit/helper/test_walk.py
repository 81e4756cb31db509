"""Descending never follows a link, never enters a mount below the allowed tree, and says why it stopped."""

import os
from pathlib import Path

import pytest

from maintenancebot.helper import globs, walk


def parts(path: Path) -> list[bytes]:
    return [os.fsencode(part) for part in path.parts[1:]]


def test_descend_opens_the_folder_and_tells_whose_folders_it_passed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o750)
    fd, passed = walk.descend(parts(tmp_path / "a"), 1)
    assert os.path.samestat(os.fstat(fd), os.stat(tmp_path / "a"))
    assert walk.located_at(fd, os.fsencode(tmp_path / "a"))
    assert passed[-1]["uid"] == os.geteuid()
    assert passed[-1]["mode"] == 0o750
    os.rename(tmp_path / "a", tmp_path / "b")
    assert not walk.located_at(fd, os.fsencode(tmp_path / "a"))
    os.close(fd)


def test_descend_follows_no_link_at_any_place(tmp_path: Path) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for path in ("link", "link/deep"):
        with pytest.raises(walk.Refused) as refused:
            walk.descend(parts(tmp_path / path), 1)
        assert refused.value.reason == "symlink"


def test_descend_says_what_is_missing_or_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name, reason in (("none", "vanished"), ("file", "changed_since")):
        with pytest.raises(walk.Refused) as refused:
            walk.descend(parts(tmp_path / name), 1)
        assert refused.value.reason == reason


def test_descend_crosses_mounts_only_above_the_anchor() -> None:
    with pytest.raises(walk.Refused) as refused:
        walk.descend([b"proc", b"sys"], 0)
    assert refused.value.reason == "other_file_system"
    fd, _ = walk.descend([b"proc", b"sys"], 1)
    os.close(fd)


def test_a_mount_that_the_table_did_not_show_is_not_entered_either() -> None:
    tree = walk.Tree(globs.Glob("/dev/**/ptmx"), 1, frozenset())
    assert [path for _, path, _, _ in tree.matches()] in ([b"/dev"], [])
    assert b"/dev/pts" in tree.mounts


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    for number in range(20):
        folder = tmp_path / f"a{number}" / "b"
        folder.mkdir(parents=True)
        (folder / "f.log").write_text("")
    before = len(os.listdir("/proc/self/fd"))
    tree = walk.Tree(globs.Glob(f"{tmp_path}/**/*.log"), 1, frozenset())
    assert len([name for _, _, name, _ in tree.matches()]) == 20
    for _ in walk.Tree(globs.Glob(f"{tmp_path}/**/*.log"), 1, frozenset()).matches():
        break  # a walk that is given up closes all as well
    for path in ("none", "none/deep"):
        with pytest.raises(walk.Refused):
            walk.descend(parts(tmp_path / path), 1)
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_walk_counts_what_it_passes(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"x" * 5000)
    (tmp_path / "b.txt").write_bytes(b"x")
    tree = walk.Tree(globs.Glob(f"{tmp_path}/*.log"), 1, frozenset())
    found = [os.path.join(path, name) for _, path, name, _ in tree.matches()]
    assert found == [os.fsencode(tmp_path / "a.log")]
    assert tree.files == 2
