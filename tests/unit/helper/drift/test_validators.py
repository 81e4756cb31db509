"""A program checks its configuration with the correction in its place, and nobody else sees it there."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from maintenancebot.helper.drift import validators
from maintenancebot.helper.files import walk
from maintenancebot.helper.host import tools

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts")


class Checks:
    """A folder of configuration, and a program that looks at it."""

    def __init__(self, base: Path) -> None:
        self.folder = base / "etc"
        self.folder.mkdir()
        self.program = base / "check"
        self.says('grep -h . "$1"/*')

    def says(self, script: str) -> None:
        self.program.write_text(f"#!/bin/sh\n{script}\n")
        self.program.chmod(0o755)

    def fault(self, name: str, content: bytes | None) -> str:
        way = SimpleNamespace(path=str(self.folder / name), content=content, dress=(0, 0, 0o640))
        return validators.fault("file", way, None)


@pytest.fixture
def checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Checks]:
    found = Checks(tmp_path)
    monkeypatch.setattr(validators, "PLACE", str(tmp_path / "place"))
    monkeypatch.setattr(validators, "RULES", ((f"{found.folder}/.+", ("check", str(found.folder))),))
    real = tools.find
    monkeypatch.setattr(tools, "find", lambda name: str(found.program) if name == "check" else real(name))
    yield found
    assert not (tmp_path / "place").exists()


def test_a_file_that_is_there_is_seen_as_it_would_be(checks: Checks) -> None:
    (checks.folder / "a").write_text("old\n")
    checks.says('[ "$(cat $1/a)" = new ] && [ "$(stat -c %a $1/a)" = 640 ]')
    assert checks.fault("a", b"new\n") == ""
    assert (checks.folder / "a").read_text() == "old\n"


@pytest.mark.parametrize(
    ("path", "program"),
    [
        ("/etc/ssh/sshd_config", "sshd"),
        ("/etc/ssh/sshd_config.d/x.conf", "sshd"),
        ("/etc/ssh/ours.conf", "sshd"),
        ("/etc/ssh/ssh_config.d/x.conf", None),
        ("/etc/ssh/ssh_host_rsa_key", None),
        ("/etc/sudoers.d/x", "visudo"),
        ("/etc/sudoers.local", "visudo"),
        ("/etc/motd", None),
    ],
)
def test_what_sshd_and_sudo_may_include_is_checked_by_them(path: str, program: str | None) -> None:
    words = validators._words(SimpleNamespace(path=path, content=b""))
    assert (words and words[0]) == program


def test_keys_are_no_configuration_wherever_they_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validators, "_checked", lambda *_: "checked")
    way = SimpleNamespace(path="/etc/ssh/keys/ops", content=b"")
    assert (validators.fault("keys", way, None), validators.fault("file", way, None)) == ("", "checked")


def test_a_new_file_is_seen_among_the_others(checks: Checks) -> None:
    (checks.folder / "a").write_text("one\n")
    (checks.folder / "sub").mkdir()
    (checks.folder / "sub" / "b").write_text("two\n")
    (checks.folder / "link").symlink_to("sub/b")
    checks.says('[ "$(cat $1/a $1/sub/b $1/link $1/new)" = "$(printf "one\\ntwo\\ntwo\\nthree")" ]')
    assert checks.fault("new", b"three\n") == ""
    assert sorted(os.listdir(checks.folder)) == ["a", "link", "sub"]


def test_a_removed_file_is_not_seen(checks: Checks) -> None:
    (checks.folder / "a").write_text("one\n")
    (checks.folder / "b").write_text("two\n")
    checks.says('[ "$(ls $1)" = b ]')
    assert checks.fault("a", None) == ""
    assert sorted(os.listdir(checks.folder)) == ["a", "b"]


def test_hostile_names_are_names(checks: Checks) -> None:
    name = "a\n$(touch x)\udcff"
    checks.says('cat "$1"/a*')
    assert checks.fault(name, b"new\n") == ""
    os.close(os.open(os.fsencode(str(checks.folder / name)), os.O_CREAT))
    assert checks.fault(name, b"new\n") == ""


def test_the_telling_line_is_told_without_secrets(checks: Checks) -> None:
    checks.says('echo "reading $1"; echo "error: password=hunter2hunter2hunter2 is unknown" >&2; exit 1')
    told = checks.fault("a", b"new\n")
    assert told.startswith("check: error: password=")
    assert "hunter2" not in told


def test_a_check_that_cannot_be_made_is_no_yes(checks: Checks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validators, "SCRIPT", "exit 98")
    with pytest.raises(walk.Refused) as refused:
        checks.fault("a", b"new\n")
    assert refused.value.reason == "tool_failed"
    monkeypatch.setattr(tools, "find", lambda name: None)
    with pytest.raises(walk.Refused) as refused:
        checks.fault("a", b"new\n")
    assert refused.value.reason == "lacks"
    assert checks.fault("a", None) == ""
