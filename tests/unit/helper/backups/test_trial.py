"""A trial restore gives back what the backup lists, never leaves its folder, and leaves nothing behind."""

import bz2
import gzip
import io
import os
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from maintenancebot.helper.backups import backup_files, scratch, trial, unpack
from maintenancebot.helper.files import walk

DUMP = (
    b"-- PostgreSQL database dump\n\nCREATE TABLE public.t (id integer);\nCOPY public.t (id) FROM stdin;\n1\n\\.\n\n"
    b"-- PostgreSQL database dump complete\n"
)
PG_DUMP = Path(__file__).parents[3] / "fixtures" / "backups" / "pg_dump-15-custom.dump"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="trials are made by root")


class Quiet:
    def alive(self, doing):
        pass


@pytest.fixture(autouse=True)
def trials(tmp_path):
    (tmp_path / "trials").mkdir()
    return tmp_path / "trials"


def tar_of(*members: tuple[str, bytes], mode: str = "w:gz", **types: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, data in members:
            facts = tarfile.TarInfo(name)
            facts.size = len(data)
            archive.addfile(facts, io.BytesIO(data))
        for name, kind in types.items():
            facts = tarfile.TarInfo(name)
            facts.type, facts.linkname = kind, "/etc/passwd"
            archive.addfile(facts)
    return buffer.getvalue()


def zip_of(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


def attempt(path: Path, max_bytes: int = 10**8, **given):
    facts = path.stat()
    what = {
        "type": "files",
        "folder": str(path.parent / "trials"),
        **backup_files.identity(bytes(path), facts),
        **given,
    }
    step = {"changes": [{"id": "0123456789abcdef", "object": what}], "args": {"source": {}, "max_bytes": max_bytes}}
    (found,) = trial.try_restore(step, Quiet())
    return found


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


class TestGoodBackups:
    @pytest.mark.parametrize(
        ("name", "data", "entries"),
        [
            (
                "x.tar.gz",
                tar_of(("a", b"1" * 9000), ("deep/er/b", b""), link=tarfile.SYMTYPE, pipe=tarfile.FIFOTYPE),
                2,
            ),
            ("x.tar", tar_of(("a", b"1"), ("a", b"second of one name"), mode="w"), 2),
            ("x.zip", zip_of(("a", b"1" * 100), ("b/c", b"2")), 2),
            ("x.sql.bz2", bz2.compress(DUMP), 1),
            ("x.sql", DUMP, 1),
            ("x.dump", PG_DUMP.read_bytes(), 1),
        ],
    )
    def test_come_back_and_go_again(self, tmp_path, trials, name, data, entries):
        found = attempt(put(tmp_path / name, data))
        assert (found["state"], found["reason"]) == ("done", "verified"), found
        assert (found["measured"]["level"], found["measured"]["entries"]) == ("restored", entries)
        assert list(trials.iterdir()) == []

    def test_names_of_any_depth_and_of_no_encoding_come_back(self, tmp_path, trials):
        names = ["d/" * 1500 + "x", "odd\nname", "\udcff\udcfe", "<!channel>", "n" * 255]
        found = attempt(put(tmp_path / "x.tar", tar_of(*((name, b"data") for name in names), mode="w")))
        assert (found["state"], found["measured"].get("entries")) == ("done", 5), found
        assert list(trials.iterdir()) == []


class TestBadOnes:
    @pytest.mark.parametrize(
        ("name", "data"),
        [
            ("cut.tar.gz", tar_of(("a", os.urandom(9000)))[:-500]),
            ("out.tar.gz", tar_of(("../../out", b"x"))),
            ("cut.sql", DUMP[:-10]),
            ("long.tar.gz", tar_of(("n" * 256, b"x"))),
        ],
        ids=["cut archive", "out of its folder", "cut dump", "name too long"],
    )
    def test_fail_and_leave_nothing(self, tmp_path, trials, name, data):
        found = attempt(put(tmp_path / name, data))
        assert (found["state"], found["reason"]) == ("failed", "restore_failed")
        assert list(trials.iterdir()) == []
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "trials"])

    def test_a_link_in_an_archive_leads_nowhere(self, tmp_path, trials):
        (tmp_path / "outside").mkdir()
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            link = tarfile.TarInfo("way")
            link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "outside")
            archive.addfile(link)
            facts = tarfile.TarInfo("way/file")
            facts.size = 4
            archive.addfile(facts, io.BytesIO(b"data"))
        assert attempt(put(tmp_path / "x.tar", buffer.getvalue()))["state"] == "done"
        assert list((tmp_path / "outside").iterdir()) == []

    def test_a_file_that_comes_back_otherwise_is_found(self, tmp_path, monkeypatch):
        monkeypatch.setattr(unpack, "_tar_members", lambda feed: iter([([b"a"], [b"other"])]))
        found = attempt(put(tmp_path / "x.tar", tar_of(("a", b"1"), ("b", b"2"), mode="w")))
        assert (found["reason"], found["detail"]) == ("restore_failed", "1 of 2 files came back")


class TestLimits:
    def test_what_becomes_more_than_its_list_says_ends_before_the_disk_is_full(self, tmp_path, trials, monkeypatch):
        space = os.statvfs(tmp_path)
        monkeypatch.setattr(trial, "_check_room", lambda *_: None)
        monkeypatch.setattr(unpack, "SPARE_BYTES", space.f_bavail * space.f_frsize)
        found = attempt(put(tmp_path / "x.tar.gz", tar_of(("zeros", bytes(500_000)))))
        assert (found["state"], found["reason"]) == ("skipped", "no_space")
        assert list(trials.iterdir()) == []

    def test_another_copy_than_the_planned_one_is_left_alone(self, tmp_path):
        found = attempt(put(tmp_path / "x.sql", DUMP), ino=1)
        assert (found["state"], found["reason"]) == ("skipped", "changed_since")

    def test_what_unpacks_to_more_is_not_tried(self, tmp_path, trials):
        found = attempt(put(tmp_path / "x.tar.gz", tar_of(("zeros", bytes(5_000_000)))), max_bytes=1_000_000)
        assert (found["state"], found["reason"]) == ("skipped", "over_cap")
        assert list(trials.iterdir()) == []

    def test_what_a_repository_would_give_beyond_the_limit_is_not_tried(self, trials):
        with pytest.raises(walk.Refused, match="at most 1000 are tried"):
            trial._check_room(str(trials), 1001, 1, 1000)
        trial._check_room(str(trials), 1000, 1, 1000)

    @pytest.mark.parametrize("figure", ["f_bavail", "f_favail"])
    def test_it_does_not_fill_the_disk(self, tmp_path, monkeypatch, figure):
        real = os.statvfs(tmp_path)

        class Full:
            f_bavail = 1000 if figure == "f_bavail" else real.f_bavail
            f_favail = 1000 if figure == "f_favail" else 10**9
            f_frsize, f_files = real.f_frsize, 10**9

        path = put(tmp_path / "x.sql", DUMP)
        monkeypatch.setattr(os, "statvfs", lambda path: Full)
        found = attempt(path)
        assert (found["state"], found["reason"]) == ("skipped", "no_space")

    def test_a_folder_in_which_others_may_rename_is_refused(self, tmp_path, trials):
        trials.chmod(0o777)
        assert attempt(put(tmp_path / "x.sql", DUMP))["reason"] == "not_allowed"
        trials.chmod(0o1777)
        assert attempt(put(tmp_path / "x.sql", DUMP))["state"] == "done"
        trials.rmdir()
        trials.symlink_to("/tmp")
        assert attempt(put(tmp_path / "x.sql", DUMP))["state"] == "skipped"


class TestWhatWasLeft:
    def left(self, trials, mark="0123456789abcdef"):
        area = scratch.make(str(trials), mark)
        (Path(os.fsdecode(area.path)) / "inside").mkdir()
        (Path(os.fsdecode(area.path)) / "inside" / "link").symlink_to(trials.parent)
        for descriptor in (area.fd, area._own, area._parent):
            os.close(descriptor)
        return Path(os.fsdecode(area.beside))

    def test_a_folder_of_a_killed_trial_is_told_recalled_and_goes_with_the_next(self, tmp_path, trials):
        folder = self.left(trials)
        assert scratch.told(str(trials)) == [
            f"left by a trial restore that was broken off, goes with the next one: {folder}"
        ]
        change = {"id": "0123456789abcdef", "object": {"folder": str(trials)}}
        recalled = trial.recall(change)
        assert (recalled["state"], recalled["reason"]) == ("failed", "restore_failed")
        found = attempt(put(tmp_path / "x.sql", DUMP))
        assert (found["state"], found["measured"]["cleared"]) == ("done", [folder.name])
        assert list(trials.iterdir()) == []
        assert trial.recall(change)["reason"] == "not_started"

    def test_what_is_not_ours_stays(self, tmp_path, trials):
        for name in (".maintenancebot-trial-1", ".maintenancebot-trial-2", "mine"):
            (trials / name).mkdir(mode=0o700)
            (trials / name / "file").write_text("somebody's")
        (trials / ".maintenancebot-trial-2" / "maintenancebot-trial").symlink_to("/etc/passwd")
        (trials / ".maintenancebot-trial-3").symlink_to(tmp_path)
        assert attempt(put(tmp_path / "x.sql", DUMP))["state"] == "done"
        assert len(list(trials.iterdir())) == 4

    def test_another_file_system_in_it_is_not_entered(self, trials):
        folder = self.left(trials)
        subprocess.run(["mount", "-t", "tmpfs", "none", folder / "data"], check=True)
        try:
            (folder / "data" / "theirs").write_text("x")
            with pytest.raises(OSError, match="another file system"):
                scratch.clear(str(trials))
            assert (folder / "data" / "theirs").exists()
        finally:
            subprocess.run(["umount", folder / "data"], check=True)


def test_without_root_nothing_is_tried(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    (found,) = trial.try_restore({"changes": [{"id": "x"}], "args": {}}, Quiet())
    assert (found["state"], found["reason"]) == ("skipped", "needs_root")


def test_gzip_members_of_a_bomb_stop_at_the_limit(tmp_path):
    bomb = gzip.compress(bytes(30_000_000))
    assert len(bomb) < 100_000
    found = attempt(put(tmp_path / "x.sql.gz", bomb), max_bytes=1_000_000)
    assert found["state"] in ("skipped", "failed")
