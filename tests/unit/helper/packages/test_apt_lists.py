"""Package lists: which are there, what they are, how they fail."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest

from maintenancebot.helper.host.tools import Answer
from maintenancebot.helper.packages import apt, aptlists

URIS = """\
'http://user:secret@deb.example.org/debian/dists/bookworm/InRelease' deb_bookworm_InRelease 0
'http://deb.example.org/debian/dists/bookworm/main/binary-amd64/Packages.xz' deb_bookworm_main_binary-amd64_Packages 0
'http://sec.example.org/debian-security/dists/bookworm-security/updates/InRelease' sec_InRelease 0
'file:/srv/flat/./InRelease' _srv_flat_._InRelease 0
'http://flat.example.org/deb/InRelease' flat.example.org_deb_InRelease 0
"""
HEAD = """-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

Origin: Debian
Label: Debian-Security
Suite: stable-security
Codename: bookworm-security
Date: Fri, 20 Nov 2026 00:12:41 UTC
Valid-Until: Fri, 27 Nov 2026 00:12:41 UTC
"""


def survey(folder: Path, *names: str) -> aptlists.Lists:
    for name in names:
        (folder / name).write_text(HEAD)
    return aptlists.Lists(aptlists.configured(URIS, set(os.listdir(folder)), str(folder)))


def test_a_repository_that_was_never_loaded_is_missing_and_named_without_its_password(tmp_path: Path) -> None:
    lists = survey(tmp_path, "sec_InRelease", "sec_main_binary-amd64_Packages")

    assert lists.missing == [
        "http://deb.example.org/debian bookworm",
        "file:/srv/flat ./",
        "http://flat.example.org/deb /",
    ]


def test_a_release_file_without_packages_is_missing_too(tmp_path: Path) -> None:
    assert len(survey(tmp_path, "sec_InRelease").missing) == 4


def test_policy_lines_lead_to_their_repository(tmp_path: Path) -> None:
    lists = survey(tmp_path, "sec_InRelease", "sec_Packages.lz4")

    found = lists.of_source("http://sec.example.org/debian-security bookworm-security/updates/main amd64 Packages")
    assert (found.origin, found.label, found.archive) == ("Debian", "Debian-Security", "stable-security")
    assert lists.of_source("file:/srv/flat ./ Packages").dist == "./"
    assert lists.of_source("http://flat.example.org/deb  Packages").dist == "/"
    assert lists.of_source("http://deb.example.org/debian bookworm/main amd64 Packages").dist == "bookworm"
    assert lists.of_source("/var/lib/dpkg/status") is None


def test_security_is_told_by_origin_label_and_archive(tmp_path: Path) -> None:
    release = survey(tmp_path, "sec_InRelease").releases[1]

    assert release.is_security([["Ubuntu", "*", "*"], ["Debian", "Debian-Security", "*"]])
    assert not release.is_security([["Debian", "Debian", "*"]])
    assert not release.is_security([])


def test_lists_past_their_date_are_expired(tmp_path: Path) -> None:
    lists = survey(tmp_path, "sec_InRelease", "sec_Packages")
    end = aptlists.seconds("Fri, 27 Nov 2026 00:12:41 UTC")

    assert lists.expired(end - 1) == []
    assert lists.expired(end + 1) == ["http://sec.example.org/debian-security bookworm-security/updates"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Thu, 01 Jan 1970 00:01:00 UTC", 60),
        ("Fri, 20 Nov 2026 00:12:41 GMT", 1795133561),
        ("Fri,  2 Jan 1970 00:00:00 +0000", 86400),
        ("yesterday", None),
        ("", None),
    ],
)
def test_times_of_release_files(text: str, value: int | None) -> None:
    assert aptlists.seconds(text) == value


@pytest.mark.parametrize(
    ("code", "stdout", "stderr", "reason"),
    [
        (0, "Hit:1 http://a stable InRelease\n", "", ""),
        (0, "Hit:1 http://a\n", "W: Target Packages is configured multiple times\n", ""),
        (0, "Err:1 http://a stable InRelease\n", "W: Failed to fetch http://a  Could not connect\n", "lists_failed"),
        (0, "Err:1 http://a stable InRelease\n  Connection refused\n", "", "lists_failed"),
        (100, "", "E: Release file for http://a is expired (invalid since 2d).\n", "lists_failed"),
        (100, "", "E: Release file for http://a is not valid yet (invalid for another 5d).\n", "lists_failed"),
    ],
)
def test_a_renewal_is_good_only_if_every_repository_answered(code: int, stdout: str, stderr: str, reason: str) -> None:
    answer = Answer(code, stdout.encode(), stderr.encode(), False, False)

    assert aptlists.judge(answer, stderr)[0] == reason


def test_a_failed_renewal_names_the_repository_and_no_password() -> None:
    errors = "E: Failed to fetch http://user:secret@a/InRelease  Connection refused\n"
    answer = Answer(100, b"", errors.encode(), False, False)

    assert aptlists.judge(answer, errors)[1] == "Failed to fetch http://a/InRelease  Connection refused"


def test_apt_runs_as_nobody_only_where_nobody_can_read_everything(tmp_path: Path) -> None:
    tree = tmp_path / "apt"
    (tree / "sources.list.d").mkdir(parents=True)
    secret = tree / "sources.list.d/private.list"
    secret.write_text("deb https://user:secret@example.org/ stable main\n")
    (tree / "auth.conf").touch(0o600)
    for path in (tree, tree / "sources.list.d"):
        path.chmod(0o755)
    (tree / "dangling").symlink_to("/nowhere/at/all")

    secret.chmod(0o644)
    assert apt.readable_by_all(parents=(), trees=(str(tree),))
    secret.chmod(0o640)
    assert not apt.readable_by_all(parents=(), trees=(str(tree),))
    assert not apt.readable_by_all(parents=("/nowhere",), trees=())


def test_lists_that_are_links_count_only_if_all_can_follow_them() -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:  # pytest's own folders are closed to others
        base = Path(name)
        base.chmod(0o755)
        (base / "lists").mkdir(mode=0o755)
        (base / "mirror").mkdir(mode=0o755)
        (base / "mirror" / "Packages").write_text("")
        (base / "lists" / "x_Packages").symlink_to(base / "mirror" / "Packages")
        assert apt.readable_by_all(parents=(), trees=(str(base / "lists"),))
        (base / "mirror").chmod(0o700)
        assert not apt.readable_by_all(parents=(), trees=(str(base / "lists"),))


def test_a_renewal_that_does_nothing_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "partial").mkdir()
    looked_after = aptlists.looked_after
    monkeypatch.setattr(aptlists, "looked_after", lambda: looked_after(str(tmp_path)))
    (tmp_path / "apt-get").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setattr(aptlists.tools, "find", lambda name: str(tmp_path / name))
    assert aptlists.renew(None, 0)[0] == "lists_failed"
    (tmp_path / "apt-get").write_text(f"#!/bin/sh\ntouch {tmp_path}/partial\n")
    assert aptlists.renew(None, 0) == ("", "")


def test_the_age_counts_from_the_last_renewal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "LISTS", str(tmp_path))
    lists = survey(tmp_path, "sec_InRelease", "sec_Packages")
    (tmp_path / "partial").mkdir()
    later = time.time() + 500
    os.utime(tmp_path / "partial", (later, later))

    assert lists.renewed() == pytest.approx(later)
    assert aptlists.Lists([]).renewed() == pytest.approx(later)
    (tmp_path / "partial").rmdir()
    assert aptlists.Lists([]).renewed() is None
