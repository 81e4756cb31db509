"""Descending never follows a link, never enters a mount below the allowed tree, and says why it stopped."""

import errno
import os
from pathlib import Path

import pytest

from maintenancebot.helper.files import globs, inodes, openat2, tree, walk

from ..ways import WAYS


@pytest.fixture(params=WAYS, autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Everything holds with openat2 and without it."""
    if request.param != "openat2":
        monkeypatch.setattr(openat2, "_found", [None])
    elif openat2.opener() is None:
        pytest.skip("this kernel or container does not have it")
    return str(request.param)


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
    found = tree.Tree(globs.Glob("/dev/**/ptmx"), 1, frozenset())
    assert [path for _, path, _, _ in found.matches()] in ([b"/dev"], [])
    assert b"/dev/pts" in found.mounts


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    for number in range(20):
        folder = tmp_path / f"a{number}" / "b"
        folder.mkdir(parents=True)
        (folder / "f.log").write_text("")
    before = len(os.listdir("/proc/self/fd"))
    found = tree.Tree(globs.Glob(f"{tmp_path}/**/*.log"), 1, frozenset())
    assert len([name for _, _, name, _ in found.matches()]) == 20
    for _ in tree.Tree(globs.Glob(f"{tmp_path}/**/*.log"), 1, frozenset()).matches():
        break  # a walk that is given up closes all as well
    for path in ("none", "none/deep"):
        with pytest.raises(walk.Refused):
            walk.descend(parts(tmp_path / path), 1)
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_walk_counts_what_it_passes(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"x" * 5000)
    (tmp_path / "b.txt").write_bytes(b"x")
    found = tree.Tree(globs.Glob(f"{tmp_path}/*.log"), 1, frozenset())
    paths = [os.path.join(path, name) for _, path, name, _ in found.matches()]
    assert paths == [os.fsencode(tmp_path / "a.log")]
    assert found.files == 2


def test_what_is_swapped_to_a_link_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    folder = walk.open_folder(os.fsencode(tmp_path))
    try:
        os.close(walk.open_inside(b"real", folder))
        with pytest.raises(OSError, match=r"levels|Not a directory") as refused:
            walk.open_inside(b"link", folder)
        assert refused.value.errno in (errno.ELOOP, errno.ENOTDIR)
        with pytest.raises(FileNotFoundError):
            walk.open_inside(b"none", folder)
    finally:
        os.close(folder)


def test_a_link_is_opened_as_itself(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    folder = walk.open_folder(os.fsencode(tmp_path))
    fd = walk.open_inside(b"link", folder, inodes.LOOK)
    assert os.path.samestat(os.fstat(fd), (tmp_path / "link").lstat())
    assert inodes.target(fd) == b"/etc/passwd"
    os.close(fd)
    os.close(folder)


def test_folders_beyond_what_may_be_remembered_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "PENDING_BYTES", 200)
    for number in range(20):
        (tmp_path / f"a{number}").mkdir()
        (tmp_path / f"a{number}" / "f.log").touch()
    found = tree.Tree(globs.Glob(f"{tmp_path}/**/*.log"), 1, frozenset())
    entered = len(list(found.matches()))
    assert 0 < entered < 20
    assert found.troubles == {"over_cap": 20 - entered}


def test_a_mount_point_of_the_table_is_not_even_looked_at(tmp_path: Path) -> None:
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f.log").touch()
    found = tree.Tree(globs.Glob(f"{tmp_path}/**/*.log"), 1, frozenset([os.fsencode(tmp_path / "out")]))
    assert [path for _, path, _, _ in found.matches()] == [os.fsencode(tmp_path / "in")]
    assert found.mounts == [os.fsencode(tmp_path / "out")]
