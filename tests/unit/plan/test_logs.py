"""Files that are due become changes with their whole identity, each once, and what stays is told."""

from typing import Any

import pytest

from maintenancebot.model import Action, Finding, Host, HostFacts, Json, Reason, Risk, State, Undo
from maintenancebot.plan import logs
from maintenancebot.plan.document import TaskPlan
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.settings import Keeping, Settings

HOST = Host("web-1", "192.0.2.1")
FACTS = HostFacts("m1", "b1", "web-1", "debian", "12", "6.1", "3.11.2", 0, 0.0, 0.0)
SETTINGS = Settings.model_validate(
    {"tasks": [{"name": "logs", "type": "cleanup", "patterns": [{"path": "/var/log/**/*.log", "retention_days": 30}]}]}
)


def candidate(path: str, *, compress: bool = False, ino: int = 1, **more: Json) -> Finding:
    numbers = {"dev": 1, "ino": ino, "size": 10, "mtime_ns": 2, "ctime_ns": 3, "mode": 33184, "uid": 0, "gid": 4}
    identity = {"path": path, "root": "/var/log", **numbers}
    data = {"identity": identity, "compress": compress, "allocated": 4096, "pattern": "p", **more}
    return Finding("logs", "candidate", path, data)


def plan(
    *findings: Finding, state: State = State.DONE, reason: Reason = Reason.NONE, keep: str = "here", **facts: Any
) -> TaskPlan:
    result = ProbeResult(state, reason, "", findings, facts)
    task = SETTINGS.tasks[0].model_copy(update={"keep": Keeping(keep)})
    return logs.plan(HOST, task, SETTINGS, FACTS, result)


def test_each_file_is_quarantined_or_compressed_and_can_be_undone() -> None:
    made = plan(candidate("/var/log/a.log"), candidate("/var/log/b.log", compress=True, ino=2), matched=2)
    assert (made.state, made.reason) == (State.PLANNED, Reason.NONE)
    assert [(change.name, change.action, change.undo) for change in made.changes] == [
        ("/var/log/a.log", Action.QUARANTINE_FILE, Undo.TRASH),
        ("/var/log/b.log", Action.COMPRESS_FILE, Undo.TRASH),
    ]
    assert made.changes[0].effect == {"freed_now": 0, "freed_at_purge": 4096}
    assert set(made.changes[0].object) == set(logs.IDENTITY)
    assert made.facts["bytes"] == 8192


def test_a_file_is_planned_once() -> None:
    made = plan(candidate("/var/log/a.log"), candidate("/var/log/a.log", compress=True), matched=1)
    assert [change.action for change in made.changes] == [Action.QUARANTINE_FILE]


def test_the_same_object_has_the_same_id_and_another_one_has_not() -> None:
    first, again, other = (plan(candidate("/var/log/a.log", ino=ino)).changes[0].id for ino in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(
    ("facts", "state", "reason"),
    [
        ({"matched": 0}, State.NOTHING, Reason.NO_MATCH),
        ({"matched": 5, "kept": {"too_young": 5}}, State.NOTHING, Reason.UP_TO_DATE),
        ({"matched": 0, "patterns": [{"path": "/x", "reason": "missing"}]}, State.NOTHING, Reason.NO_MATCH),
        ({"matched": 0, "patterns": [{"path": "/x", "reason": "symlink"}]}, State.UNKNOWN, Reason.SYMLINK),
        ({"matched": 0, "patterns": [{"path": "/x", "reason": "odd"}]}, State.UNKNOWN, Reason.HELPER_ERROR),
    ],
)
def test_without_files_it_says_why(facts: dict[str, Json], state: State, reason: Reason) -> None:
    made = plan(**facts)
    assert (made.state, made.reason, made.changes) == (state, reason, ())


def test_what_stays_is_told_with_counts() -> None:
    made = plan(candidate("/var/log/a.log"), matched=8, kept={"too_young": 2, "in_use": 5})
    assert made.detail == "8 matched; 5 in_use, 2 too_young stay"


@pytest.mark.parametrize("state", [State.SKIPPED, State.UNKNOWN])
def test_a_probe_that_could_not_look_plans_nothing(state: State) -> None:
    made = plan(candidate("/var/log/a.log"), state=state, reason=Reason.NEEDS_ROOT)
    assert (made.state, made.reason, made.changes) == (state, Reason.NEEDS_ROOT, ())


@pytest.mark.parametrize(
    ("keep", "effect", "note"),
    [
        ("compressed", {"freed_now": 0, "freed_at_purge": 4096}, "compressed in the trash"),
        ("elsewhere", {"freed_now": 4096, "freed_at_purge": 0}, "to the trash on another file system"),
        ("offloaded", {"freed_now": 4096, "freed_at_purge": 0}, "to the object store"),
    ],
)
def test_the_plan_says_where_a_file_goes_and_what_that_frees(keep: str, effect: dict[str, int], note: str) -> None:
    (here,), (away,) = plan(candidate("/a")).changes, plan(candidate("/a"), keep=keep).changes
    assert (away.object["keep"], away.effect, away.note, away.undo) == (keep, effect, note, Undo.TRASH)
    assert "keep" not in here.object
    assert here.id != away.id


def test_a_link_is_told_as_one() -> None:
    (change,) = plan(candidate("/a", link="/etc/passwd")).changes
    assert (change.object["link"], change.note) == ("/etc/passwd", "a link to /etc/passwd")


CACHE = Finding(
    "logs",
    "package_cache",
    "/var/cache/apt/archives",
    {
        "tool": "apt",
        "folder": "/var/cache/apt/archives",
        "dev": 1,
        "size": 5000,
        "allocated": 8192,
        "files": [["a.deb", 1, 5000, 2]],
    },
)
JOURNAL = Finding(
    "logs",
    "journal",
    "/var/log/journal/m",
    {
        "folder": "/var/log/journal/m",
        "dev": 1,
        "allocated": 9000,
        "files": [["system@a.journal", 1, "f", 9000, False], ["system.journal", 2, "e", 0, True]],
    },
)


def growing(*writers: str) -> Finding:
    identity = {"path": "/var/log/g.log", "root": "/var/log", "dev": 1, "ino": 9, "mode": 33184, "uid": 0, "gid": 4}
    data = {"identity": {**identity, "max_bytes": 10, "reload": "app.service"}, "size": 500, "writers": list(writers)}
    return Finding("logs", "growing_log", "/var/log/g.log", data)


def test_what_is_made_again_goes_first_and_logs_are_rotated_last() -> None:
    made = plan(growing(), candidate("/var/log/a.log"), JOURNAL, CACHE)
    assert [change.action for change in made.changes] == [
        Action.DROP_PACKAGE_CACHE,
        Action.VACUUM_JOURNAL,
        Action.QUARANTINE_FILE,
        Action.ROTATE_LOG,
    ]


def test_a_package_cache_frees_now_and_is_fetched_again() -> None:
    (change,) = plan(CACHE).changes
    assert (change.undo, change.effect) == (Undo.REFETCH, {"freed_now": 8192, "freed_at_purge": 0})
    assert change.object["files"] == [["a.deb", 1, 5000, 2]]


def test_a_journal_is_announced_as_what_cannot_be_undone() -> None:
    (change,) = plan(JOURNAL).changes
    assert (change.undo, change.risk, change.note) == (Undo.NONE, Risk.MEDIUM, "2 files; 1 of them rotated first")
    assert (change.effect["freed_now"], change.object["size"]) == (9000, 9000)


def test_a_rotation_frees_nothing_and_reloads_only_for_a_writer() -> None:
    (quiet,), (busy,) = plan(growing()).changes, plan(growing("app (7)")).changes
    assert (quiet.undo, quiet.risk, quiet.note) == (Undo.RENAME, Risk.LOW, "")
    assert (busy.risk, busy.note) == (Risk.MEDIUM, "reloads app.service")
    assert (quiet.effect["freed_now"], quiet.effect["freed_at_purge"]) == (0, 0)
    assert quiet.id == busy.id  # the same log, whoever writes it and however it has grown


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"logrotate_problems": ["a", "b", "c", "d", "e"]}, "a; b; c; and 2 more"),
        (
            {"journal": {"places": [{"folder": "/j", "bytes": 2**30, "archived_bytes": 2**20}]}},
            "journal 1.0 GiB, 1.0 MiB of it archived",
        ),
        (
            {
                "deleted_open": [
                    {"bytes": 3 * 2**30, "process": "nginx", "pid": 7, "path": "/var/log/x"},
                    {"bytes": 4096, "process": "small", "pid": 8, "path": "/tmp/y"},
                ],
                "deleted_open_totals": [{"bytes": 3 * 2**30 + 4096}],
            },
            "3.0 GiB held by deleted files that are open: nginx (7) /var/log/x",
        ),
        ({"package_cache": {"reason": "not_installed", "detail": "no apt"}}, "package_cache: not_installed no apt"),
        (
            {"rotate": {"stay": [{"path": "/l", "reason": "needs_reload", "detail": "open by a (1)"}]}},
            "/l: needs_reload (open by a (1))",
        ),
    ],
)
def test_what_is_wrong_is_told(facts: dict[str, Json], words: str) -> None:
    assert plan(**facts).detail == f"0 matched; {words}"


@pytest.mark.parametrize(
    ("facts", "state", "reason"),
    [
        ({"rotate": {"reason": "lacks"}}, State.UNKNOWN, Reason.LACKS),
        ({"rotate": {"stay": [{"path": "/l", "reason": "needs_reload"}]}}, State.SKIPPED, Reason.NEEDS_RELOAD),
        (
            {"rotate": {"matched": 1, "stay": [{"path": "/l", "reason": "logrotate_managed"}]}},
            State.NOTHING,
            Reason.UP_TO_DATE,
        ),
        ({"package_cache": {"reason": "not_installed"}}, State.NOTHING, Reason.NO_MATCH),
        ({"package_cache": {"reason": "tool_failed"}}, State.UNKNOWN, Reason.TOOL_FAILED),
        ({"package_cache": {"files": 0}}, State.NOTHING, Reason.UP_TO_DATE),
        ({"journal": {"places": [{"folder": "/j", "reason": "protected"}]}}, State.UNKNOWN, Reason.PROTECTED),
    ],
)
def test_parts_that_could_not_be_looked_at_are_no_success(facts: dict[str, Json], state: State, reason: Reason) -> None:
    made = plan(**facts)
    assert (made.state, made.reason) == (state, reason)
