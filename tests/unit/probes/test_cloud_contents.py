"""A backup that comes as a stream is read to its end, and what is cut, padded or empty does not pass."""

import bz2
import gzip
import io
import lzma
import random
import shutil
import subprocess
import tarfile
from collections.abc import Iterator

import pytest

from maintenancebot.probes import cloud_contents as contents
from maintenancebot.probes.cloud_faults import Damaged, Empty, Unreadable

MIB = 2**20


def tar(*names: str, fmt: int = tarfile.GNU_FORMAT, data: bytes = b"data" * 300) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=fmt) as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return held.getvalue()


DUMP = (
    b"""-- PostgreSQL database dump
CREATE TABLE public.orders (id int);
COPY public.orders (id) FROM stdin;
1
\\.
"""
    + b"-- filler\n" * 1000
)
END = b"-- PostgreSQL database dump complete\n"
GOOD = tar("etc/passwd", "srv/data.bin")


def read(data: bytes, name: str, piece: int = 1000, most: int = 100 * MIB, seconds: float = 60) -> contents.Contents:
    chunks = (data[at : at + piece] for at in range(0, len(data), piece))
    return contents.read(chunks, name, most, seconds)


@pytest.mark.parametrize("piece", [1, 511, 1000, 10**6])
@pytest.mark.parametrize(
    ("data", "name", "kind"),
    [
        (GOOD, "a.tar", ""),
        (gzip.compress(GOOD), "a.tar.gz", "gzip"),
        (gzip.compress(GOOD[:700]) + gzip.compress(GOOD[700:]), "a.tgz", "gzip"),
        (bz2.compress(GOOD), "a.tar.bz2", "bzip2"),
        (lzma.compress(GOOD), "a.tar.xz", "xz"),
    ],
)
def test_a_whole_tar_is_proven_to_its_end_and_its_members_are_known(
    data: bytes, name: str, kind: str, piece: int
) -> None:
    seen = read(data, name, piece)
    assert (seen.format, seen.content, seen.entries, seen.proven) == (kind, "tar", 2, True)
    assert seen.names == {"etc/passwd", "srv/data.bin"}
    assert seen.lacks(["etc/*", "srv/*.bin", "*/shadow"]) == ["*/shadow"]


@pytest.mark.parametrize("fmt", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_too_long_for_a_header_are_known(fmt: int) -> None:
    long = "/".join(["folder"] * 60) + "/ä.sql"
    assert read(tar(long, "b", fmt=fmt), "a.tar").names == {long, "b"}


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        (gzip.compress(GOOD)[:-9], "a.tar.gz", "gzip data is cut off"),
        (gzip.compress(GOOD) + bytes(512), "a.tar.gz", "zero bytes follow the end of the gzip data"),
        (gzip.compress(GOOD) + b"more", "a.tar.gz", "other data follows the end of the gzip data"),
        (gzip.compress(GOOD)[:-6] + b"abcdef", "a.tar.gz", "gzip data is damaged"),
        (gzip.compress(GOOD[:512]), "a.tar.gz", "tar is cut off inside entry 1"),
        (gzip.compress(GOOD[:2048]), "a.tar.gz", "tar ends without its end marker after 1 entries"),
        (GOOD[:4608], "a.tar", "tar ends in its end marker after 2 entries"),
        (GOOD[:2048] + b"x" * 512 + GOOD[2560:], "a.tar", "tar header after 1 entries is damaged"),
        (GOOD + b"x", "a.tar", "data after tar's end marker"),
        (b"hello", "a.sql.gz", "its name says gzip, its content is not"),
        (gzip.compress(b"hello"), "a.tar.gz", "its name says tar, its content is not"),
        (gzip.compress(b"mysqldump: Got error: 1045\n"), "a.sql.gz", "its name says SQL, its first lines are none"),
        (bytes(5000) + b"hello", "a.bin", "begins with zero bytes"),
        (gzip.compress(DUMP), "a.sql.gz", "pg_dump's last line is missing: the dump was cut off"),
    ],
)
def test_what_is_not_whole_is_damaged(data: bytes, name: str, words: str) -> None:
    with pytest.raises(Damaged, match=words):
        read(data, name)


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        (gzip.compress(b""), "a.sql.gz", "nothing in it"),
        (bytes(100_000), "a.img", "only zero bytes"),
        (tar(), "a.bin", "only zero bytes"),
        (gzip.compress(b"-- MySQL dump\n-- Dump completed\n"), "a.sql.gz", "mysqldump of a database without tables"),
    ],
)
def test_what_holds_nothing_is_empty(data: bytes, name: str, words: str) -> None:
    with pytest.raises(Empty, match=words):
        read(data, name)


def test_a_tar_of_folders_alone_is_empty() -> None:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        folder = tarfile.TarInfo("etc")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    with pytest.raises(Empty, match="tar holds 1 entries and no file"):
        read(held.getvalue(), "a.tar")


@pytest.mark.parametrize("piece", [7, 4096])
def test_tables_of_a_dump_are_known(piece: int) -> None:
    seen = read(gzip.compress(DUMP + END), "a.sql.gz", piece)
    assert (seen.content, seen.entries, seen.proven) == ("pg_dump", 1, True)
    assert seen.lacks(["orders", "public.orders", "customers"]) == ["customers"]


def test_a_line_without_end_takes_no_memory_and_its_table_is_known() -> None:
    data = b"-- MySQL dump\nINSERT INTO `t` VALUES (" + b"1," * MIB + b"1);\n-- Dump completed on 2026\n"
    assert read(data, "a.sql", 65536).lacks(["t"]) == []


def test_unknown_content_is_proven_by_its_compression_alone() -> None:
    assert read(gzip.compress(b"hello"), "a.bin.gz").proven
    assert not read(b"hello", "a.bin").proven


@pytest.mark.parametrize(
    ("limits", "words"), [({"most": 1000}, "more bytes than"), ({"seconds": -1}, "more time than")]
)
def test_what_is_too_much_is_read_in_part_and_said(limits: dict[str, float], words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        read(gzip.compress(bytes(10 * MIB) + GOOD), "a.gz", **limits)  # type: ignore[arg-type]


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-cq"], input=data, capture_output=True, check=True).stdout


@pytest.mark.skipif(shutil.which("zstd") is None, reason="needs zstd")
def test_zstd_is_read_by_its_program() -> None:
    large = zstd(tar("a", data=random.Random(1).randbytes(3 * MIB)))
    assert read(large, "a.tar.zst", 65536).names == {"a"}
    for damaged in (large[:-9], large + bytes(512), large[: len(large) // 2]):
        with pytest.raises(Damaged, match=r"zstd data is damaged or cut off|tar is cut off"):
            read(damaged, "a.tar.zst", 65536)
    with pytest.raises(Unreadable, match="more bytes"):
        read(large, "a.tar.zst", 65536, most=MIB)


@pytest.mark.skipif(shutil.which("zstd") is None, reason="needs zstd")
def test_a_stream_that_breaks_under_zstd_says_its_own_reason() -> None:
    def breaking() -> Iterator[bytes]:
        yield zstd(random.Random(1).randbytes(MIB))[:4096]
        raise ConnectionError("broken")

    with pytest.raises(ConnectionError, match="broken"):
        contents.read(breaking(), "a.zst", 100 * MIB, 60)


def test_without_the_program_zstd_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Unreadable, match="no program zstd"):
        read(b"\x28\xb5\x2f\xfd" + bytes(100), "a.zst")


def test_a_zip_is_not_read_as_a_stream() -> None:
    with pytest.raises(Unreadable, match="zip"):
        read(b"PK\x03\x04" + bytes(100), "a.zip")


def test_a_cluster_or_a_second_dump_that_was_cut_off_does_not_pass() -> None:
    cluster = b"-- PostgreSQL database cluster dump\n" + DUMP + END + b"CREATE DATABASE shop;\n"
    for data in (cluster, DUMP + END + DUMP[:200]):
        with pytest.raises(Damaged, match="last line is missing"):
            read(data, "a.sql")
    assert read(cluster + b"-- PostgreSQL database cluster dump complete\n", "a.sql").content == "pg_dumpall"


def test_a_line_break_in_a_name_tells_nothing() -> None:
    name = "a\n9 size=99999"
    assert read(tar(name, fmt=tarfile.PAX_FORMAT), "a.tar").names == {name}
