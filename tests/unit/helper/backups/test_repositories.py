"""restic and borg: what their answers mean, whose turn it is, and that nothing hangs or gets at what it should not."""

import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest

from maintenancebot.helper.backups import backups, borg, repository, restic, streams, verdicts
from maintenancebot.helper.host import tools

NOW = 1_700_000_000.0
ID = "a" * 64
UNENCRYPTED = (
    "Warning: Attempting to access a previously unknown unencrypted repository!\n"
    "Do you want to continue? [yN] yes (from BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK)\n"
)


@pytest.fixture
def tmp_path():
    """Not below /tmp, which is covered while a tool runs."""
    path = Path(tempfile.mkdtemp(dir="/var/tmp"))
    yield path
    shutil.rmtree(path)


class Answer:
    def __init__(self, code, stderr="", stdout="", cut=False):
        self.code, self.stderr, self.stdout, self.cut = code, stderr.encode(), stdout.encode(), cut
        self.timed_out = False

    def error(self):
        return f"exit code {self.code}"


class Out:
    """Who hears that we are alive."""

    said = 0

    def alive(self, doing):
        self.said += 1


class Budget(streams.Budget):
    def __init__(self, seconds=60, out=None):
        streams.Budget.__init__(self, 10**9, seconds, out)


def verdict_of(function, *given):
    """Reason and detail of what it raises, None when it raises nothing."""
    try:
        function(*given)
    except verdicts.Verdict as verdict:
        return verdict.reason, verdict.detail
    return None


class TestMeaning:
    @pytest.mark.parametrize(
        ("code", "words", "verdict", "reason"),
        [
            (12, "Fatal: wrong password or no key found", "unknown", "credentials"),
            (1, "Fatal: wrong password or no key found", "unknown", "credentials"),
            (10, "Fatal: repository does not exist", "bad", "missing"),
            (1, "unable to open config file: stat /r/config: no such file or directory\nIs there", "bad", "missing"),
            (1, "unable to open config file: Stat: Access Denied\nIs there a repository at", "unknown", "credentials"),
            (11, "repository is already locked", "unknown", "busy"),
            (3, "Warning: at least one source file could not be read", "bad", "incomplete"),
            (1, "Fatal: dial tcp: connection refused", "unknown", "tool_failed"),
            (99, "", "unknown", "tool_failed"),
        ],
    )  # fmt: skip
    def test_of_restics_exit_codes(self, code, words, verdict, reason):
        found = restic.failure(Answer(code, words), "/r")
        assert (found.verdict, found.reason) == (verdict, reason)

    def test_of_restics_errors_as_json(self):
        found = restic.failure(Answer(1, "", '{"message_type":"exit_error","code":1,"message":"Fatal: odd"}'), "/r")
        assert found.detail == "Fatal: odd"

    @pytest.mark.parametrize(
        ("code", "words", "verdict", "reason"),
        [
            (2, "passphrase supplied in BORG_PASSPHRASE_FD is incorrect.", "unknown", "credentials"),
            (2, "Repository /r does not exist.", "bad", "missing"),
            (2, "Data integrity error: Segment entry checksum mismatch [segment 8, offset 8]", "bad", "damaged"),
            (2, "Connection closed by remote host", "unknown", "tool_failed"),
            (2, "Warning: Attempting to access a previously unknown unencrypted repository!", "bad", "wrong_content"),
            (2, UNENCRYPTED + "Data integrity error: Segment entry checksum mismatch", "bad", "damaged"),
            (2, UNENCRYPTED + 'CheckNeeded: Inconsistency detected. Please run "borg check"', "bad", "damaged"),
            (2, UNENCRYPTED + "Connection closed by remote host", "unknown", "tool_failed"),
            (77, "", "unknown", "tool_failed"),
        ],
    )
    def test_of_borgs_exit_codes(self, code, words, verdict, reason):
        found = borg.failure(Answer(code, words), "/r")
        assert (found.verdict, found.reason) == (verdict, reason)

    @pytest.mark.parametrize(
        ("words", "seconds"),
        [
            ("2023-11-14T22:13:20Z", 1_700_000_000),
            ("2023-11-14T22:13:20.5Z", 1_700_000_000.5),
            ("2023-11-14T23:13:20.000001+01:00", 1_700_000_000.000001),
            ("2023-11-14T17:43:20-04:30", 1_700_000_000),
            ("2023-11-14T22:13:20.000000", 1_700_000_000),
        ],
    )
    def test_of_times(self, words, seconds):
        assert repository.moment(words) == pytest.approx(seconds)

    @pytest.mark.parametrize("words", ["yesterday", None, 7, "2023-11-14", "2023-11-14T22:13:20Zx"])
    def test_of_no_time(self, words):
        with pytest.raises(verdicts.Verdict):
            repository.moment(words)


class TestSecrets:
    def test_an_environment_file_is_data(self):
        found = restic.environment_in(
            b"# keys\nAWS_ACCESS_KEY_ID=abc\nexport AWS_SECRET_ACCESS_KEY='a b=c'\nB2_ACCOUNT_ID=\"x\"\n"
            b"RESTIC_PASSWORD_COMMAND=touch /tmp/run\nLD_PRELOAD=/tmp/x.so\nPATH=/tmp\n"
            b"AWS_X=$(touch /tmp/run)\nhttps_proxy=p\n"
        )
        assert found == {
            "AWS_ACCESS_KEY_ID": "abc",
            "AWS_SECRET_ACCESS_KEY": "a b=c",
            "B2_ACCOUNT_ID": "x",
            "AWS_X": "$(touch /tmp/run)",
            "https_proxy": "p",
        }

    def test_neither_address_nor_password_stands_in_the_arguments(self, tmp_path, monkeypatch):
        monkeypatch.setattr(tools, "find", lambda name: "/usr/bin/" + name)
        (tmp_path / "p").write_text("hidden")
        source = {"repository": "rest:https://user:hidden@host/x", "password_file": str(tmp_path / "p")}
        tool = restic.Restic(source, Budget())
        assert "hidden" not in " ".join(tool.argv("snapshots"))
        assert "hidden" not in repository.shown(source["repository"])
        source = {"repository": "/r", "passphrase_file": str(tmp_path / "p")}
        tool = borg.Borg(source, Budget())
        assert "hidden" not in " ".join([*tool.argv("list"), *tool.env.values()])
        assert (tool.stdin, tool.env["BORG_PASSPHRASE_FD"]) == (b"hidden", "0")

    @pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, os.path.exists])
    def test_a_password_that_cannot_be_read_is_unknown(self, tmp_path, monkeypatch, make):
        monkeypatch.setattr(tools, "find", lambda name: "/usr/bin/" + name)
        make(tmp_path / "p")
        with pytest.raises(verdicts.Verdict) as caught:
            restic.Restic({"repository": "/r", "password_file": str(tmp_path / "p")}, Budget())
        assert (caught.value.verdict, caught.value.reason) == ("unknown", "credentials")


class TestTurns:
    @pytest.mark.parametrize("rhythm", [1, 2, 7, 14, 30])
    @pytest.mark.parametrize("count", [1, 3, 7, 14, 100, 101])
    def test_each_part_has_its_turn_whatever_the_rhythm(self, rhythm, count):
        turns = list(range(count))
        seen = {restic.turn(NOW + day * 86400, turns) for day in range(0, rhythm * count * 12, rhythm)}
        assert seen == set(turns)

    def test_only_parts_with_packs_are_read(self):
        class Tool:
            def lines(self, *words):
                assert words == ("list", "packs")
                return ["0a" + "0" * 62, "0b" + "0" * 62, "ff" + "0" * 62, "noise"]

        words, part = restic._part(Tool(), NOW, 1)
        assert words[0] == "--read-data-subset"
        assert words[1] in ("11/100", "12/100", "56/100")
        assert (part["packs"], part["all_packs"]) == (1, 3)
        assert restic._part(Tool(), NOW, 0) == ([], {})
        assert restic._part(Tool(), NOW, 100)[0] == ["--read-data"]


class Lister:
    """restic with locks."""

    def __init__(self, age, exclusive):
        self._lock = {"time": "2023-11-14T22:13:20Z", "exclusive": exclusive, "pid": 7, "hostname": "web"}
        self.now = NOW + age

    def lines(self, *words):
        return ["b" * 64]

    def ask(self, *words):
        return self._lock


def test_stale_locks_are_told_and_a_live_one_keeps_the_data_unread():
    snapshot = {"id": ID, "paths": ["/srv"], "time": "2023-11-14T20:00:00Z", "hostname": "db-1"}
    stale, live = Lister(7200, False), Lister(60, True)
    data = verdicts.blank()
    restic._earlier(stale, [snapshot], snapshot, stale.now, data)
    assert data["notes"] == ["a stale lock of process 7 on web, 2.0 hours old"]
    data = verdicts.blank()
    restic._earlier(live, [snapshot], snapshot, live.now, data)
    restic._read(live, NOW, 100, Budget(), data)
    assert (data["level"], data["notes"]) == ("none", ["not read now: process 7 on web holds the repository"])


def test_the_oldest_of_the_wanted_paths_decides():
    def snapshot(day, *paths):
        return {"id": str(day) * 64, "paths": list(paths), "time": f"2023-11-{day}T00:00:00Z", "hostname": "db-1"}

    mine = [snapshot(14, "/srv"), snapshot(12, "/etc"), snapshot(11, "/etc")]
    assert restic._deciding(mine, [])["time"] == "2023-11-14T00:00:00Z"
    assert restic._deciding(mine, ["/srv/www", "/etc"])["time"] == "2023-11-12T00:00:00Z"
    with pytest.raises(verdicts.Verdict, match="no snapshot has /home"):
        restic._deciding(mine, ["/home"])


@pytest.mark.parametrize(
    ("start", "end", "status", "name", "is_bad"),
    [
        (-10, 5, 3, "restic-backup.service", True),
        (-10, 5, 0, "restic-backup.service", False),
        (1, 5, 3, "restic-backup.service", False),
        (-10, -1, 3, "restic-backup.service", False),
        (-10, None, 3, "restic-backup.service", False),
        (-10, 5, 3, "cups.service", False),
    ],
)
def test_the_unit_that_ran_when_the_snapshot_was_made_tells_of_holes(monkeypatch, start, end, status, name, is_bad):
    def stamp(seconds):
        return "0" if seconds is None else str(int((at + seconds) * 1e6))

    at = time.clock_gettime(time.CLOCK_MONOTONIC)
    block = (
        f"Id={name}\nExecStart={{ path=/usr/bin/x ; argv[]=x }}\nExecMainStatus={status}\n"
        f"ExecMainStartTimestampMonotonic={stamp(start)}\nExecMainExitTimestampMonotonic={stamp(end)}\n"
    )
    monkeypatch.setattr(tools, "find", lambda name: "/usr/bin/" + name)
    monkeypatch.setattr(tools, "run", lambda argv, limit: Answer(0, "", "Id=other.service\n\n" + block))
    data = verdicts.blank()
    found = verdict_of(repository.check_holes, time.time(), data)
    assert found == (
        ("incomplete", f"{name}, which made it, ended with exit code 3: files were left out") if is_bad else None
    )


@pytest.mark.parametrize(
    ("lines", "detail"),
    [
        (["/srv/www", "/srv/www/index.html"], ""),
        (["/srv/www"], "/srv/www is an empty folder in snapshot aaaaaaaa"),
        (["/srv"], "/srv/www is not in snapshot aaaaaaaa"),
    ],
)
def test_a_path_that_must_be_there_is_there_and_not_empty(lines, detail):
    class Tool:
        def lines(self, *words):
            folder = '{"struct_type":"node","path":"/srv/www","type":"dir"}'
            return [folder] if "--json" in words else lines

    found = verdict_of(restic._check_paths, Tool(), {"id": ID, "paths": ["/srv"]}, ["/srv/www", "/etc"])
    assert found == (("incomplete", detail) if detail else None)


@pytest.mark.parametrize("answer", ["{}", "null", '[{"id": 7}]', '[{"id": "x", "hostname": "h", "paths": []}]', "["])
def test_a_list_that_lies_is_never_a_backup(monkeypatch, tmp_path, answer):
    (tmp_path / "p").write_text("x")
    monkeypatch.setattr(tools, "find", lambda name: "/usr/bin/" + name)
    monkeypatch.setattr(repository, "run", lambda *given, **more: Answer(0, "", answer))
    source = {"type": "restic", "repository": "/r", "password_file": str(tmp_path / "p")}
    data = backups.check(source, NOW, 24, Budget())
    assert data["verdict"] in ("bad", "unknown")


@pytest.mark.skipif(os.geteuid() != 0, reason="a tool is kept from writing by root alone")
class TestTools:
    SOURCES = (
        {"type": "restic", "repository": "/r", "password_file": "{}/p"},
        {"type": "borg", "repository": "/r", "passphrase_file": "{}/p"},
    )

    def program(self, monkeypatch, tmp_path, body):
        (tmp_path / "tool").write_text("#!/bin/sh\n" + body)
        (tmp_path / "tool").chmod(0o755)
        (tmp_path / "p").write_text("x")
        real = tools.find
        monkeypatch.setattr(
            tools, "find", lambda name: str(tmp_path / "tool") if name in ("restic", "borg") else real(name)
        )
        return [
            {key: value.format(tmp_path) if isinstance(value, str) else value for key, value in source.items()}
            for source in self.SOURCES
        ]

    def test_one_that_hangs_is_ended_and_unknown(self, monkeypatch, tmp_path):
        for source in self.program(monkeypatch, tmp_path, "sleep 1000\n"):
            began, out = time.monotonic(), Out()
            data = backups.check(source, NOW, 24, Budget(7, out))
            assert (data["verdict"], data["reason"], out.said > 0) == ("unknown", "timeout", True)
            assert time.monotonic() - began < 20

    def test_one_that_writes_writes_nowhere(self, monkeypatch, tmp_path):
        body = f'echo x > "{tmp_path}/left"; echo x > /tmp/mb-left; echo x > /root/mb-left; exit 1\n'
        for source in self.program(monkeypatch, tmp_path, body):
            backups.check(source, NOW, 24, Budget())
        assert not (tmp_path / "left").exists()
        assert not os.path.exists("/tmp/mb-left")
        assert not os.path.exists("/root/mb-left")

    def test_one_that_asks_gets_no_answer(self, monkeypatch, tmp_path):
        for source in self.program(monkeypatch, tmp_path, "cat >/dev/null; read -r answer; echo asked >&2; exit 2\n"):
            assert backups.check(source, NOW, 24, Budget())["reason"] == "tool_failed"


def test_what_lies_in_the_covered_folder_is_unknown_and_not_missing(monkeypatch):
    monkeypatch.setattr(tools, "find", lambda name: "/usr/bin/" + name)
    for kind in ("restic", "borg"):
        source = {"type": kind, "repository": "/tmp/r", "password_file": "/root/p"}
        assert backups.check(source, NOW, 24, Budget())["reason"] == "lacks"


def test_many_short_runs_are_no_silence(monkeypatch, tmp_path):
    (tmp_path / "p").write_text("x")
    monkeypatch.setattr(tools, "find", lambda name: "/usr/bin/" + name)
    monkeypatch.setattr(tools, "ALIVE_SECONDS", -1)
    monkeypatch.setattr(repository, "run", lambda *given, **more: Answer(0, "", "[]"))
    for kind in (restic.Restic, borg.Borg):
        out = Out()
        source = {"repository": "/r", "password_file": str(tmp_path / "p")}
        tool = kind(source, streams.Budget(1, 60, out))
        tool.run("list")
        tool.run("list")
        assert out.said == 2


def test_what_a_host_does_not_have_is_unknown(monkeypatch):
    monkeypatch.setattr(tools, "find", lambda name: None)
    for kind in ("restic", "borg"):
        data = backups.check({"type": kind, "repository": "/r", "password_file": "/p"}, NOW, 24, Budget())
        assert (data["verdict"], data["reason"]) == ("unknown", "lacks")


def test_nothing_of_an_environment_file_runs_a_program():
    lines = b"RCLONE_PASSWORD_COMMAND=id\nRCLONE_SFTP_SSH=id\nRCLONE_CONFIG_A_BEARER_TOKEN_COMMAND=id\n"
    lines += b"GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1\nRCLONE_CONFIG_A_TYPE=s3\n"
    assert restic.environment_in(lines) == {"RCLONE_CONFIG_A_TYPE": "s3"}


@pytest.mark.parametrize("password", ["pass", "p@ss", "p@@s:s"])
def test_an_address_is_shown_without_its_password(password):
    assert repository.shown(f"rest:https://user:{password}@store/x") == "rest:https://store/x"
