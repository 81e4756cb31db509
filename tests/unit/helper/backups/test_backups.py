"""Good backups pass with the level that was reached; every kind of bad one is found."""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import shutil
import subprocess
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from maintenancebot.helper.backups import backup_files, backups, copies, streams, verdicts
from maintenancebot.helper.backups.wanted import Wanted
from maintenancebot.helper.host import tools

NOW = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC
HOUR = 3600
FIXTURES = Path(__file__).parents[3] / "fixtures" / "backups"
PG_DUMP = (
    b"--\n-- PostgreSQL database dump\n--\n\nSET client_encoding = 'UTF8';\n\nCREATE TABLE public.t (id integer);\n"
    b"\nCOPY public.t (id) FROM stdin;\n1\n\\.\n\n--\n-- PostgreSQL database dump complete\n--\n\n"
)
MYSQLDUMP = (
    b"-- MySQL dump 10.13  Distrib 8.0.36\n--\n-- Host: localhost    Database: shop\n\n"
    b"CREATE TABLE `t` (`id` int);\nINSERT INTO `t` VALUES (1);\n-- Dump completed on 2023-11-14 21:00:00\n"
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="without root, who has a file open is not known")


class Quiet:
    """Where findings go."""

    def __init__(self):
        self.found = []

    def finding(self, kind, subject, **data):
        self.found.append((kind, subject, data))

    def alive(self, doing):
        pass

    def flush(self):
        pass


def put(path: Path, data: bytes, age_hours: float = 3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (NOW - age_hours * HOUR,) * 2)
    return path


def tar_of(*names: str, mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name in names:
            facts = tarfile.TarInfo(name)
            facts.size = 5000
            archive.addfile(facts, io.BytesIO(os.urandom(5000)))
    return buffer.getvalue()


def check(pattern, min_bytes=1, max_age_hours=24, contains=(), **limits):
    out = Quiet()
    source = {"type": "files", "name": "db", "path": str(pattern), "min_bytes": min_bytes, "contains": contains}
    result = backups.probe({"sources": [source], "max_age_hours": max_age_hours, "now": NOW, **limits}, out)
    assert result.state == "ok"
    return out.found[0][2]


def verdict(pattern, **more):
    data = check(pattern, **more)
    return data["verdict"], data["reason"]


class TestGoodCopies:
    def test_folders_of_any_depth_are_searched(self, tmp_path):
        os.chdir(tmp_path)
        try:
            for _ in range(1200):
                os.mkdir("d")
                os.chdir("d")
            put(Path("x.sql.gz"), gzip.compress(PG_DUMP))
            os.chdir("/")
            assert check(tmp_path / "**" / "*.gz")["verdict"] == "ok"
        finally:
            os.chdir("/")
            subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)  # too deep for pytest

    @pytest.mark.parametrize(
        ("name", "data", "content"),
        [
            ("x.sql", PG_DUMP, "pg_dump"),
            ("x.sql.gz", gzip.compress(PG_DUMP), "pg_dump"),
            ("x.sql.bz2", bz2.compress(MYSQLDUMP), "mysqldump"),
            ("x.sql.xz", lzma.compress(MYSQLDUMP), "mysqldump"),
            ("x.tar", tar_of("a", "b"), "tar"),
            ("x.tar.gz", gzip.compress(tar_of("a", "b")), "tar"),
            ("two-members.tar.gz", gzip.compress(tar_of("a")[:700]) + gzip.compress(tar_of("a")[700:]), "tar"),
        ],
    )
    def test_are_read_to_the_end(self, tmp_path, name, data, content):
        put(tmp_path / name, data)
        found = check(tmp_path / name)
        assert (found["verdict"], found["level"], found["evidence"]["content"]) == ("ok", "readable", content)

    def test_tar_entries_are_counted(self, tmp_path):
        put(tmp_path / "x.tar", tar_of("a", "b" * 180, "c"))
        evidence = check(tmp_path / "x.tar")["evidence"]
        assert (evidence["entries"], evidence["files"]) == (3, 3)

    def test_gnu_tar_with_a_sparse_file_and_long_names_is_read(self, tmp_path):
        tree = tmp_path / "tree" / ("long" * 40)
        tree.mkdir(parents=True)
        with (tree / "sparse").open("wb") as stream:
            for hole in range(40):
                stream.seek(hole * 1024 * 1024)
                stream.write(b"data")
        (tree / "link").symlink_to("sparse")
        (tree / "hard").hardlink_to(tree / "sparse")
        for form in ("gnu", "posix"):
            path = tmp_path / f"{form}.tar"
            subprocess.run(["tar", "-S", f"--format={form}", "-cf", path, "-C", tmp_path, "tree"], check=True)
            os.utime(path, (NOW - HOUR,) * 2)
            found = check(path)
            assert (found["verdict"], found["evidence"]["entries"]) == ("ok", 5), found

    def test_a_size_that_only_the_pax_header_tells_is_used(self, tmp_path):
        large = tarfile.TarInfo("large")
        large.pax_headers = {"size": "5000"}
        header = large.tobuf(tarfile.PAX_FORMAT)
        put(tmp_path / "x.tar", header + b"x" * 5120 + bytes(1024))
        found = check(tmp_path / "x.tar")
        assert (found["verdict"], found["evidence"]["entries"]) == ("ok", 1), found

    def test_zip_members_are_tested(self, tmp_path):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a", b"x" * 10000)
        put(tmp_path / "x.zip", buffer.getvalue())
        found = check(tmp_path / "x.zip")
        assert (found["verdict"], found["level"], found["evidence"]["bytes"]) == ("ok", "readable", 10000)

    @pytest.mark.skipif(shutil.which("zstd") is None, reason="no zstd here")
    def test_zstd_is_read_through_the_hosts_program(self, tmp_path):
        packed = subprocess.run(["zstd", "-qc"], input=PG_DUMP, stdout=subprocess.PIPE, check=True).stdout
        put(tmp_path / "x.sql.zst", packed)
        assert check(tmp_path / "x.sql.zst")["level"] == "readable"
        put(tmp_path / "x.sql.zst", packed[:-20])
        assert verdict(tmp_path / "x.sql.zst") == ("bad", "damaged")

    @as_root
    @pytest.mark.parametrize("body", ["sleep 100000", "exec >&- 2>&-; sleep 100000", "exec yes >&2"])
    def test_a_zstd_that_hangs_costs_its_time_and_no_more(self, tmp_path, body, monkeypatch):
        (tmp_path / "zstd").write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / "zstd").chmod(0o755)
        monkeypatch.setattr(streams, "_nobody", os.setsid)  # who could not enter this test's folder
        monkeypatch.setattr(tools, "find", lambda name: str(tmp_path / name))
        put(tmp_path / "x.sql.zst", b"\x28\xb5\x2f\xfd" + os.urandom(100000))
        began = time.monotonic()
        found = check(tmp_path / "x.sql.zst", source_seconds=1)
        assert time.monotonic() - began < 6
        assert found["level"] == "fresh"
        assert "needs more time" in found["notes"][0]

    @as_root
    def test_an_unknown_format_never_claims_more_than_its_size(self, tmp_path):
        put(tmp_path / "x.gpg", os.urandom(5000))
        found = check(tmp_path / "x.gpg")
        assert (found["verdict"], found["level"]) == ("ok", "complete")
        assert found["notes"] == ["no known format: only its size was checked"]

    @as_root
    def test_beyond_the_budget_its_end_was_not_seen(self, tmp_path):
        put(tmp_path / "x.tar.gz", gzip.compress(tar_of(*"abcdefghij" * 60)))
        found = check(tmp_path / "x.tar.gz", source_bytes=1_000_000)
        assert (found["verdict"], found["level"]) == ("ok", "fresh")
        assert found["notes"] == ["read only in part: the rest needs more bytes than one check may take"]

    def test_a_right_checksum_file_beside_it_is_said(self, tmp_path):
        path = put(tmp_path / "x.sql", PG_DUMP)
        put(tmp_path / "x.sql.sha256", hashlib.sha256(PG_DUMP).hexdigest().encode() + b"  x.sql\n", age_hours=0)
        assert check(str(path) + "*")["evidence"]["checksum"] == "sha256"


class TestPostgresCustomFormat:
    WHOLE = (FIXTURES / "pg_dump-15-custom.dump").read_bytes()

    def test_a_whole_dump_is_read_with_its_tables_and_database(self, tmp_path):
        put(tmp_path / "x.dump", self.WHOLE)
        found = check(tmp_path / "x.dump")
        assert (found["verdict"], found["level"]) == ("ok", "readable")
        assert (found["evidence"]["database"], found["evidence"]["filled"]) == ("small", 2)

    def test_a_dump_cut_off_anywhere_is_bad(self, tmp_path):
        for end in range(5, len(self.WHOLE), 37):
            put(tmp_path / "x.dump", self.WHOLE[:end])
            assert (end, *verdict(tmp_path / "x.dump")) == (end, "bad", "damaged")

    def test_a_dump_that_ends_between_two_tables_is_bad(self, tmp_path):
        ends = [end for end in range(len(self.WHOLE)) if self.WHOLE[end : end + 2] == b"\x03\x00"]
        assert ends
        for end in ends:
            put(tmp_path / "x.dump", self.WHOLE[:end])
            assert verdict(tmp_path / "x.dump") == ("bad", "damaged")

    def test_flipped_bytes_of_the_data_are_found_by_their_checksum(self, tmp_path):
        position = self.WHOLE.rindex(b"x\x9c") + 10
        put(tmp_path / "x.dump", self.WHOLE[:position] + b"\xff\xff" + self.WHOLE[position + 2 :])
        assert verdict(tmp_path / "x.dump") == ("bad", "damaged")

    def test_compressed_data_without_its_end_is_bad(self, tmp_path):
        start = self.WHOLE.rindex(b"x\x9c")
        length = int.from_bytes(self.WHOLE[start - 4 : start], "little")
        shorter = (length - 4).to_bytes(4, "little") + self.WHOLE[start : start + length - 4]
        put(tmp_path / "x.dump", self.WHOLE[: start - 4] + shorter + self.WHOLE[start + length :])
        assert "compressed data is cut off" in check(tmp_path / "x.dump")["detail"]

    def test_a_dump_without_a_table_is_empty(self, tmp_path):
        put(tmp_path / "x.dump", (FIXTURES / "pg_dump-15-custom-empty.dump").read_bytes())
        assert verdict(tmp_path / "x.dump") == ("bad", "empty")


class TestPostgresDirectoryFormat:
    WHOLE = FIXTURES / "pg_dump-15-directory"

    def put(self, path, left_out=""):
        path.mkdir()
        for one in self.WHOLE.iterdir():
            if one.name != left_out:
                put(path / one.name, one.read_bytes())
        return path

    def test_a_whole_folder_is_read_with_its_files_and_tables(self, tmp_path):
        self.put(tmp_path / "shop-1")
        found = check(tmp_path / "shop-*", contains=["small", "public.t", "u"])
        assert (found["verdict"], found["level"], found["evidence"]["filled"]) == ("ok", "readable", 4)
        assert found["evidence"]["size"] == sum(one.stat().st_size for one in self.WHOLE.iterdir())
        assert check(tmp_path / "shop-*", contains=["orders"])["reason"] == "wrong_content"

    @pytest.mark.parametrize("name", ["3346.dat.gz", "3348.dat.gz", "blob_16396.dat.gz", "blobs.toc"])
    def test_one_without_a_file_is_bad(self, tmp_path, name):
        self.put(tmp_path / "shop-1", left_out=name)
        found = check(tmp_path / "shop-*")
        assert (found["verdict"], found["reason"]) == ("bad", "damaged")
        assert name.split(".")[0] in found["detail"], found

    def test_cut_files_are_bad(self, tmp_path):
        for name in ("3346.dat.gz", "toc.dat", "blob_16396.dat.gz"):
            path = self.put(tmp_path / f"shop-{name}") / name
            put(path, path.read_bytes()[:-9])
            assert verdict(path.parent) == ("bad", "damaged")

    def test_other_folders_are_no_copies(self, tmp_path):
        self.put(tmp_path / "shop-1", left_out="toc.dat")
        assert check(tmp_path / "shop-*")["detail"] == "only folders match; name the files in them"


class TestWhatMustBeInIt:
    MYSQL = (
        b"-- MySQL dump 10.13\n--\n-- Host: localhost    Database: shop\n\nCREATE TABLE `orders` (`id` int);\n"
        b"INSERT INTO `orders` VALUES (1);\n-- Dump completed on 2023-11-14\n"
    )
    ALL = (
        b"--\n-- PostgreSQL database cluster dump\n--\n\\connect shop\n\nCREATE TABLE public.orders (\n  id integer);\n"
        b"COPY public.orders (id) FROM stdin;\nCREATE TABLE secret.hoax (\n\\.\n\n"
        b"--\n-- PostgreSQL database cluster dump complete\n--\n"
    )

    @pytest.mark.parametrize(
        ("name", "data", "globs"),
        [
            ("x.sql", PG_DUMP, ["public.t", "t", "pub*"]),
            ("x.sql", MYSQL, ["shop", "orders", "shop.orders"]),
            ("x.sql", ALL, ["shop", "shop.public.orders", "orders"]),
            (
                "x.tar",
                tar_of("./etc/nginx/nginx.conf", "srv/" + "long" * 60 + "/end"),
                ["etc/nginx/*", "srv/long*/end"],
            ),
            ("x.dump", (FIXTURES / "pg_dump-15-custom.dump").read_bytes(), ["small", "public.*", "small.public.*"]),
        ],
    )
    def test_it_is_found(self, tmp_path, name, data, globs):
        put(tmp_path / name, data)
        found = check(tmp_path / name, contains=globs)
        assert (found["verdict"], found["detail"]) == ("ok", "")

    @pytest.mark.parametrize(
        ("name", "data", "glob"),
        [
            ("x.sql.gz", gzip.compress(PG_DUMP), "public.orders"),
            ("x.sql", MYSQL, "test"),
            ("x.sql", ALL, "*hoax*"),
            ("x.tar", tar_of("etc/passwd"), "etc/nginx/*"),
            ("x.dump", (FIXTURES / "pg_dump-15-custom.dump").read_bytes(), "shop"),
        ],
    )
    def test_another_database_or_tree_is_bad(self, tmp_path, name, data, glob):
        put(tmp_path / name, data)
        found = check(tmp_path / name, contains=[glob])
        assert (found["verdict"], found["reason"]) == ("bad", "wrong_content")
        assert found["detail"] == "nothing in it fits " + glob

    @pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
    def test_long_paths_are_whole_in_every_form_of_tar(self, tmp_path, form):
        name = "/".join(["n" * 90, "m" * 60, "end"])
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
        put(tmp_path / "x.tar", buffer.getvalue())
        assert check(tmp_path / "x.tar", contains=[name])["verdict"] == "ok"
        assert check(tmp_path / "x.tar", contains=[name + "?"])["verdict"] == "bad"

    def test_what_cannot_be_looked_into_is_unknown(self, tmp_path):
        put(tmp_path / "x.gpg", os.urandom(5000))
        assert check(tmp_path / "x.gpg", contains=["t"])["reason"] == "lacks"
        put(tmp_path / "x.tar.gz", gzip.compress(tar_of(*"abcdefghij" * 60)))
        found = check(tmp_path / "x.tar.gz", contains=["z"], source_bytes=1_000_000)
        assert (found["verdict"], found["reason"]) == ("unknown", "over_cap")

    def test_a_dump_without_rows_says_so(self, tmp_path):
        put(tmp_path / "x.sql", PG_DUMP.replace(b"\n1\n\\.", b"\n\\."))
        assert check(tmp_path / "x.sql")["notes"] == ["no table in it has a row"]


def header(size: bytes, kind: bytes = b"0") -> bytes:
    """A tar header with a right checksum and any size."""
    made = bytearray(tarfile.TarInfo("a").tobuf(tarfile.GNU_FORMAT))
    made[124:136], made[156:157], made[148:156] = size.ljust(12, b"\0"), kind, b" " * 8
    made[148:156] = b"%06o\0 " % sum(made)
    return bytes(made)


class TestHostileTars:
    @pytest.mark.parametrize("size", [b"-1000", b"-2000", b"many", b"\xff" * 12])
    def test_a_size_that_is_none_is_damage_and_no_endless_walk(self, tmp_path, size):
        put(tmp_path / "x.tar", header(size) + bytes(1024))
        assert verdict(tmp_path / "x.tar") == ("bad", "damaged")

    @pytest.mark.parametrize("kind", [b"K", b"X", b"L", b"x"])
    def test_what_is_told_of_the_next_entry_is_never_large(self, tmp_path, kind):
        put(tmp_path / "x.tar", header(b"%o" % 2_000_000, kind) + bytes(2_100_000))
        assert verdict(tmp_path / "x.tar") == ("bad", "damaged")

    @pytest.mark.parametrize("name", ["a\n9 size=99999", "a\n30 path=etc/shadow\n"])
    def test_a_line_break_in_a_name_tells_nothing(self, tmp_path, name):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
            facts = tarfile.TarInfo(name)
            facts.size = 5
            archive.addfile(facts, io.BytesIO(b"hello"))
        put(tmp_path / "x.tar", buffer.getvalue())
        assert verdict(tmp_path / "x.tar") == ("ok", "fresh")
        assert verdict(tmp_path / "x.tar", contains=["etc/shadow"]) == ("bad", "wrong_content")

    def test_a_zip_of_another_age_spoils_no_other_source(self, tmp_path):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("a", "b")
        data = bytearray(buffer.getvalue())
        at = data.find(b"PK\x01\x02") + 6
        data[at : at + 2] = b"\xff\xff"
        put(tmp_path / "x.zip", bytes(data))
        assert check(tmp_path / "x.zip")["level"] == "fresh"


class TestDumpsInDumps:
    ONE = PG_DUMP.replace(b"public.t", b"public.u")
    CLUSTER = (
        b"--\n-- PostgreSQL database cluster dump\n--\n\nCREATE ROLE postgres;\n\\connect template1\n\n"
        + PG_DUMP
        + b'--\n-- Database "shop" dump\n--\n\nCREATE DATABASE shop;\n\\connect shop\n'
    )

    def test_a_dump_of_a_cluster_that_was_cut_off_between_two_databases_is_damaged(self, tmp_path):
        put(tmp_path / "x.sql", self.CLUSTER)
        assert verdict(tmp_path / "x.sql") == ("bad", "damaged")
        put(tmp_path / "x.sql", self.CLUSTER + b"--\n-- PostgreSQL database cluster dump complete\n--\n\n")
        assert check(tmp_path / "x.sql")["evidence"]["content"] == "pg_dumpall"

    def test_a_second_dump_that_was_cut_off_behind_the_first_is_damaged(self, tmp_path):
        put(tmp_path / "x.sql", PG_DUMP + self.ONE[:150])
        assert verdict(tmp_path / "x.sql") == ("bad", "damaged")
        put(tmp_path / "x.sql", PG_DUMP + self.ONE + b"\\unrestrict abc\n\n")
        assert verdict(tmp_path / "x.sql") == ("ok", "fresh")


class TestDamagedCopies:
    WHOLE_TAR = tar_of("a", "b", "c")

    @pytest.mark.parametrize(
        ("name", "data"),
        [
            ("cut.sql.gz", gzip.compress(os.urandom(50000))[:-1000]),
            ("cut-in-the-trailer.gz", gzip.compress(PG_DUMP)[:-4]),
            ("padded.sql.gz", gzip.compress(PG_DUMP) + bytes(4096)),
            ("garbage.sql.gz", gzip.compress(PG_DUMP) + b"garbage"),
            ("one-odd-byte.sql.gz", gzip.compress(PG_DUMP) + b"x"),
            ("cut-before-compression.sql.gz", gzip.compress(PG_DUMP[:-60])),
            ("cut-before-compression.tar.gz", gzip.compress(WHOLE_TAR[:8000])),
            ("cut-between-members.tar", WHOLE_TAR[: 512 + 5120]),
            ("half-an-end.tar", WHOLE_TAR[: 3 * (512 + 5120) + 512]),
            ("data-after-the-end.tar", WHOLE_TAR + b"x" * 512),
            ("no-tar.tar", b"text" * 1000),
            ("no-gzip.sql.gz", PG_DUMP),
            ("cut.xz", lzma.compress(os.urandom(50000))[:-1000]),
            ("cut.bz2", bz2.compress(os.urandom(50000))[:-1000]),
            ("cut.sql", MYSQLDUMP[:-30]),
            ("flipped.gz", gzip.compress(PG_DUMP)[:40] + b"\xff\x00\xff" + gzip.compress(PG_DUMP)[43:]),
            ("lost-first-blocks.sql", bytes(8192) + PG_DUMP),
        ],
    )
    def test_are_bad(self, tmp_path, name, data):
        put(tmp_path / name, data)
        assert verdict(tmp_path / name) == ("bad", "damaged")

    def test_a_cut_zip_and_a_flipped_member_are_bad(self, tmp_path):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("a", b"x" * 10000)
        whole = buffer.getvalue()
        for data in (whole[:-30], whole[:5000] + b"y" + whole[5001:]):
            put(tmp_path / "x.zip", data)
            assert verdict(tmp_path / "x.zip") == ("bad", "damaged")

    def test_a_checksum_file_that_says_otherwise_makes_it_bad(self, tmp_path):
        put(tmp_path / "x.sql", PG_DUMP)
        put(tmp_path / "x.sql.md5", b"0" * 32 + b"  x.sql\n")
        assert verdict(tmp_path / "x.sql") == ("bad", "damaged")
        put(tmp_path / "x.sql.md5", b"")
        assert verdict(tmp_path / "x.sql") == ("bad", "damaged")


class TestEmptyCopies:
    def test_nothing_inside_is_bad(self, tmp_path):
        link_only = io.BytesIO()
        with tarfile.open(fileobj=link_only, mode="w") as archive:
            facts = tarfile.TarInfo("data")
            facts.type, facts.linkname = tarfile.SYMTYPE, "/srv/data"
            archive.addfile(facts)
        cases = {
            "zero.sql": b"",
            "twenty-bytes.sql.gz": gzip.compress(b""),
            "link.tar": link_only.getvalue(),
            "nothing.tar": bytes(10240),
            "preallocated.bin": bytes(100_000),
            "first-block-only.sql": b"-- PostgreSQL database dump\n-- PostgreSQL database dump complete\n",
            "no-tables.sql": PG_DUMP.replace(b"CREATE TABLE", b"SELECT").replace(b"COPY", b"--"),
        }
        for name, data in cases.items():
            put(tmp_path / name, data)
            assert (name, *verdict(tmp_path / name)) == (name, "bad", "empty")


class TestHugeCopies:
    def test_a_file_that_is_all_hole_is_empty_at_once(self, tmp_path):
        with (tmp_path / "x.img").open("wb") as stream:
            stream.truncate(20 * 1024**3)
        os.utime(tmp_path / "x.img", (NOW - HOUR,) * 2)
        began = time.monotonic()
        assert verdict(tmp_path / "x.img") == ("bad", "empty")
        assert time.monotonic() - began < 5

    def test_a_hole_behind_real_data_costs_the_budget_and_no_more(self, tmp_path):
        with (tmp_path / "x.tar").open("wb") as stream:
            stream.write(tar_of("a")[:3000])
            stream.truncate(20 * 1024**3)
        os.utime(tmp_path / "x.tar", (NOW - HOUR,) * 2)
        began = time.monotonic()
        found = check(tmp_path / "x.tar", source_seconds=2)
        assert time.monotonic() - began < 8
        assert (found["verdict"], found["level"]) in [("bad", "fresh"), ("ok", "fresh")]

    def test_a_bomb_costs_the_budget_and_no_more(self, tmp_path):
        put(tmp_path / "x.sql.gz", gzip.compress(bytes(50_000_000) + PG_DUMP))
        found = check(tmp_path / "x.sql.gz", source_bytes=10_000_000)
        assert (found["verdict"], found["level"]) == ("ok", "fresh")
        assert "needs more bytes" in found["notes"][0]


class TestTimes:
    def test_an_old_copy_is_stale(self, tmp_path):
        put(tmp_path / "x.sql", PG_DUMP, age_hours=24.1)
        found = check(tmp_path / "x.sql")
        assert (found["verdict"], found["reason"], found["level"]) == ("bad", "stale", "exists")
        assert found["detail"].startswith("the newest copy is 24.1 hours old by its modification time")

    def test_an_old_date_in_the_name_counts_although_the_file_was_touched(self, tmp_path):
        put(tmp_path / "db-2023-11-10.sql", PG_DUMP, age_hours=1)
        found = check(tmp_path / "*.sql")
        assert (found["verdict"], found["reason"]) == ("bad", "stale")
        assert "by the date in its name" in found["detail"]

    def test_a_date_in_the_name_allows_its_whole_day(self, tmp_path):
        put(tmp_path / "db-20231114.sql", PG_DUMP, age_hours=1)
        assert verdict(tmp_path / "*.sql") == ("ok", "fresh")

    def test_future_dates_are_bad_in_name_and_time(self, tmp_path):
        put(tmp_path / "a" / "db-2023-11-20.sql", PG_DUMP)
        put(tmp_path / "b" / "db.sql", PG_DUMP, age_hours=-2)
        assert verdict(tmp_path / "a" / "*") == verdict(tmp_path / "b" / "*") == ("bad", "future_dated")

    @pytest.mark.parametrize(
        ("name", "start"),
        [
            ("db_2023-11-14T03:30:00.sql", "2023-11-14 03:30:00"),
            ("db_20231114-0330.tar.gz", "2023-11-14 03:30:00"),
            ("db_20231114_033015.tar.gz", "2023-11-14 03:30:15"),
            ("2023.11.14-db", "2023-11-14 00:00:00"),
            ("db-1699932600.sql", ""),
            ("db-20231345.sql", ""),
            ("db-2023-02-30.sql", ""),
            ("v20231114001122334.sql", ""),
        ],
    )
    def test_dates_in_names(self, name, start):
        found = [time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(span[0])) for span in copies.dates_in(name)[:1]]
        assert found == ([start] if start else [])

    def test_of_two_zones_the_earlier_reading_counts(self, monkeypatch):
        monkeypatch.setenv("TZ", "Pacific/Auckland")
        time.tzset()
        try:
            spans = copies.dates_in("db-2023-11-14.sql")
        finally:
            monkeypatch.undo()
            time.tzset()
        assert spans[0][0] - spans[1][0] == 13 * HOUR


class TestChoice:
    def test_nothing_there_is_missing(self, tmp_path):
        assert verdict(tmp_path / "*.sql") == ("bad", "missing")
        assert verdict(tmp_path / "none" / "x.sql") == ("bad", "missing")

    def test_unfinished_and_checksum_files_are_no_copies(self, tmp_path):
        for name in ("db.sql.gz.part", "db.sql.tmp", "db.sql.sha256", "db.lock", ".db.sql.Xy12"):
            put(tmp_path / name, PG_DUMP)
        assert verdict(tmp_path / "*") == ("bad", "missing")

    def test_a_link_to_a_folder_of_pg_dump_is_resolved(self, tmp_path):
        shutil.copytree(FIXTURES / "pg_dump-15-directory", tmp_path / "db-1")
        os.utime(tmp_path / "db-1" / "toc.dat", (NOW - HOUR,) * 2)
        (tmp_path / "latest").symlink_to("db-1")
        assert verdict(tmp_path / "latest") == ("ok", "fresh")

    def test_only_the_newest_copy_is_judged(self, tmp_path):
        put(tmp_path / "db-1.sql", PG_DUMP, age_hours=30)
        put(tmp_path / "db-2.sql", PG_DUMP[:-50], age_hours=2)
        assert verdict(tmp_path / "*.sql") == ("bad", "damaged")

    def test_too_small_by_the_configured_size(self, tmp_path):
        put(tmp_path / "db-9.sql", PG_DUMP)
        assert verdict(tmp_path / "*.sql", min_bytes=10_000) == ("bad", "too_small")

    def test_the_copies_before_it_are_told_with_their_sizes(self, tmp_path):
        put(tmp_path / "db-9.sql", PG_DUMP)
        put(tmp_path / "db-8.sql", PG_DUMP * 20, age_hours=30)
        found = check(tmp_path / "*.sql")
        assert ([one["size"] for one in found["others"]], found["count"]) == ([len(PG_DUMP) * 20], 2)

    def test_the_very_bytes_of_the_copy_before_it_are_noted(self, tmp_path):
        put(tmp_path / "db-2.sql", PG_DUMP)
        put(tmp_path / "db-1.sql", PG_DUMP, age_hours=30)
        assert check(tmp_path / "*.sql")["notes"] == ["byte for byte the same as db-1.sql, the copy before it"]
        put(tmp_path / "db-1.sql", PG_DUMP.replace(b"\n1\n", b"\n2\n"), age_hours=30)
        assert check(tmp_path / "*.sql")["notes"] == []

    def test_another_series_is_said_but_is_no_history(self, tmp_path):
        put(tmp_path / "small-1.sql", PG_DUMP)
        put(tmp_path / "large-1.sql", PG_DUMP * 50, age_hours=30)
        found = check(tmp_path / "*.sql")
        assert found["verdict"] == "ok"
        assert len(found["series"]) == 2

    def test_a_latest_link_is_resolved(self, tmp_path):
        put(tmp_path / "db-1.sql", PG_DUMP)
        (tmp_path / "latest").symlink_to("db-1.sql")
        found = check(tmp_path / "latest")
        assert (found["verdict"], found["evidence"]["path"]) == ("ok", str(tmp_path / "db-1.sql"))
        assert found["links"][0]["target"] == str(tmp_path / "db-1.sql")

    def test_a_stale_or_dangling_latest_link_is_bad_beside_a_fresh_copy(self, tmp_path):
        put(tmp_path / "db-2.sql", PG_DUMP)
        put(tmp_path / "db-1.sql", PG_DUMP, age_hours=100)
        (tmp_path / "latest.sql").symlink_to("db-1.sql")
        assert verdict(tmp_path / "*.sql") == ("bad", "stale")
        (tmp_path / "db-1.sql").unlink()
        assert verdict(tmp_path / "*.sql") == ("bad", "missing")

    def test_no_link_is_followed_on_the_way_down(self, tmp_path):
        put(tmp_path / "real" / "x.sql", PG_DUMP)
        (tmp_path / "tree").mkdir()
        (tmp_path / "tree" / "away").symlink_to(tmp_path / "real")
        assert verdict(tmp_path / "tree" / "*" / "x.sql") == ("bad", "missing")
        assert verdict(tmp_path / "tree" / "**" / "x.sql") == ("bad", "missing")
        assert verdict(tmp_path / "**" / "x.sql") == ("ok", "fresh")

    def test_a_pipe_is_no_copy_and_does_not_hang_the_check(self, tmp_path):
        os.mkfifo(tmp_path / "db.sql")
        assert verdict(tmp_path / "db.sql") == ("bad", "missing")


class TestBeingWritten:
    def test_a_copy_that_is_open_for_writing_is_no_copy(self, tmp_path):
        path = put(tmp_path / "db.sql", PG_DUMP)
        with path.open("ab"):
            assert verdict(path) == ("bad", "being_written")
        with path.open("rb"):
            assert verdict(path) == ("ok", "fresh")

    def test_the_finished_copy_before_it_counts_while_it_is_fresh(self, tmp_path):
        put(tmp_path / "db-1.sql", PG_DUMP, age_hours=20)
        path = put(tmp_path / "db-2.sql", PG_DUMP[:100], age_hours=0.1)
        with path.open("ab"):
            found = check(tmp_path / "*.sql")
            assert (found["verdict"], found["evidence"]["path"]) == ("ok", str(tmp_path / "db-1.sql"))
            assert verdict(tmp_path / "*.sql", max_age_hours=19) == ("bad", "being_written")

    def test_a_copy_that_changes_under_the_check_is_no_copy(self, tmp_path):
        path = put(tmp_path / "db.sql", PG_DUMP)
        copy = copies.find(str(path)).copies[0]
        put(path, PG_DUMP + b"more")
        with pytest.raises(verdicts.Verdict) as caught:
            backup_files._read(copy, streams.Budget(10**9, 10), {"notes": [], "evidence": {}}, Wanted())
        assert caught.value.reason == "being_written"


class TestWithoutPermission:
    @as_root
    def test_what_cannot_be_read_is_unknown_and_never_ok(self, tmp_path):
        put(tmp_path / "secret" / "db.sql", PG_DUMP)
        put(tmp_path / "db.sql", PG_DUMP)
        (tmp_path / "secret").chmod(0o700)
        (tmp_path / "db.sql").chmod(0o600)
        for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
            parent.chmod(0o755)
        answers = as_nobody(lambda: [verdict(tmp_path / p) for p in ("secret/*.sql", "secret/db.sql", "db.sql")])
        assert answers == str([("unknown", "unreadable")] * 3)


def as_nobody(work):
    """What `work` returns, as text, when a user without rights does it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            os.write(writing, str(work()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        answer = stream.read()
    os.waitpid(child, 0)
    return answer
