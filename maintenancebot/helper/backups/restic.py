"""A repository of restic: whose snapshots are in it, how old, how whole, and whether its data can be read.

restic runs without lock and cache, and cannot write anywhere. Its data is read part by part: which part is its turn
follows from the day, so that every rhythm of looks comes to all of them.
"""

import json
import re
import socket

from ..host import tools
from . import repository
from .repository import moment, shown
from .verdicts import FUTURE_SLACK, Verdict, bad, hours, said, too_old, unknown

LISTED = 10
DAY = 86400
STALE_LOCK = 1800
LEAST_SECONDS = 5
GOLDEN = (5**0.5 - 1) / 2
MOST_PARTS = 256
PASSED_ON = re.compile(
    r"(?!RCLONE_.*(?:COMMAND|_SSH)$|GOOGLE_EXTERNAL_ACCOUNT_)"
    r"(?:AWS|AZURE|B2|GOOGLE|OS|ST|RCLONE|RESTIC_REST|RESTIC_FEATURES)_[A-Z0-9_]+|(?i:https?_proxy|no_proxy)"
)
"""Names of an environment file that reach restic; others could make it run a program, or another one."""

NAME = re.compile(r"[0-9a-f]{64}$")
NO_REPOSITORY, IS_LOCKED, WRONG_PASSWORD = 10, 11, 12
BROKEN = ("contains errors", "returned errors", "errors were found", "is damaged", "does not match")


def check(source, now, max_age, budget, data):
    """Fill in `data` with what is known of the newest snapshot that counts; raises Verdict where it is not good."""
    data["path"] = shown(source["repository"])
    tool = Restic(source, budget)
    mine = _of_host(tool.ask("snapshots"), source.get("host") or socket.gethostname())
    newest = _deciding(mine, source.get("paths", ()))
    began = _began(newest)
    data["level"] = "exists"
    data["evidence"] = {
        "id": newest["id"], "path": newest["id"][:8], "time": int(began), "age_hours": hours(now - began),
        "time_from": "the start of its backup", "paths": newest["paths"][:LISTED], "host": newest["hostname"],
        "series": "\n".join(newest["paths"]),
    }  # fmt: skip
    data["object"] = {"snapshot": newest["id"]}
    _earlier(tool, mine, newest, now, data)
    if max(_times(newest)) > now + FUTURE_SLACK:
        raise bad("future_dated", "snapshot %s claims a time in the future" % newest["id"][:8])
    stale = too_old(began, now, max_age, "the start of its backup")
    if stale:
        raise bad("stale", stale)
    data["level"] = "fresh"
    repository.check_holes(began, data)
    _check_paths(tool, newest, source.get("paths", ()))
    _check_size(tool, newest, source.get("min_bytes", 1), data)
    data["level"] = "complete"
    _read(tool, now, source.get("read_data_percent", 0), budget, data)


class Restic:
    """restic with one repository; what is secret comes from files and stays out of its arguments."""

    def __init__(self, source, budget):
        self._program = repository.program("restic")
        self._budget = budget
        self.repository = source["repository"]
        repository.check_place(self.repository, source["password_file"])
        repository.secret(source["password_file"])
        self.env = tools.environment(
            RESTIC_REPOSITORY=self.repository,
            RESTIC_PASSWORD_FILE=source["password_file"],
            TMPDIR="/tmp",  # noqa: S108
        )
        if source.get("environment_file"):
            self.env.update(environment_in(repository.secret(source["environment_file"])))

    def argv(self, *words):
        """The command line of a restic command that only reads the repository."""
        return [self._program, "--no-lock", "--no-cache", *words]

    def run(self, *words):
        """What restic says, whatever its exit code; raises Verdict when it does not end in time."""
        seconds = self._budget.seconds()
        if seconds < LEAST_SECONDS:
            raise unknown("timeout", "the time for this source is used up")
        self._budget.spend(0)  # says that we are alive, which no single short run would
        answer = repository.run(self.argv(*words), seconds, self._budget.out, self.env)
        if answer.timed_out:
            raise unknown("timeout", "restic %s did not end in %d seconds" % (words[0], seconds))
        return answer

    def ask(self, *words):
        """The one JSON document that a command prints; raises Verdict."""
        answer = self.run(*words, "--json")
        if answer.code != 0:
            raise failure(answer, shown(self.repository))
        try:
            return json.loads(answer.stdout.decode("utf-8", "replace") or "null") or []
        except ValueError:
            raise unknown("tool_failed", "restic %s gave no JSON" % words[0]) from None

    def lines(self, *words):
        """The lines that a command prints; raises Verdict."""
        answer = self.run(*words)
        if answer.code != 0 and not answer.cut:
            raise failure(answer, shown(self.repository))
        return answer.stdout.decode("utf-8", "surrogateescape").splitlines()


def environment_in(data):
    """The variables of an environment file that may reach restic; lines are data and never run."""
    found = {}
    for line in data.decode("utf-8", "surrogateescape").splitlines():
        name, mark, value = re.sub(r"^\s*export\s+", "", line).strip().partition("=")
        if mark and PASSED_ON.fullmatch(name.strip()):
            value = value.strip()
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
            found[name.strip()] = value[1:-1] if quoted else value
    return found


def failure(answer, name):
    """The verdict of an exit code that is not 0; one that nobody knows is no success."""
    words = _words(answer)
    if answer.code == WRONG_PASSWORD or "wrong password" in words or "unable to open password" in words:
        return unknown("credentials", "the repository does not open with this password")
    if answer.code == IS_LOCKED or "already locked" in words:
        return unknown("busy", words[:300])
    if re.search(r"denied|forbidden|unauthorized|\b40[13]\b|credential", words, re.IGNORECASE):
        return unknown("credentials", words[:300])
    if answer.code == NO_REPOSITORY or re.search(r"no such file|does not exist|\b404\b|NoSuchKey", words):
        return bad("missing", "no repository at %s" % name)
    if answer.code == repository.HOLES:
        return bad("incomplete", words[:300])
    return unknown("tool_failed", words[:300] or answer.error())


def _words(answer):
    """What it complains of, as text, whether plain or as JSON; without addresses' passwords."""
    words = (answer.stderr + b"\n" + answer.stdout[-4096:]).decode("utf-8", "replace")
    lines = [line for line in words.splitlines() if line.strip()]
    told = [re.search(r'"message":"((?:[^"\\]|\\.)*)"', line) for line in lines]
    return shown(" ".join(found.group(1) if found else line for line, found in zip(lines, told)))  # noqa: B905


def _of_host(snapshots, host):
    if not isinstance(snapshots, list) or not all(_sane(one) for one in snapshots):
        raise unknown("tool_failed", "restic's list of snapshots cannot be read")
    mine = [one for one in snapshots if one["hostname"] == host]
    if not snapshots:
        raise bad("missing", "the repository has no snapshot")
    if not mine:
        others = sorted({one["hostname"] for one in snapshots})
        raise bad("wrong_host", "no snapshot is of %s, only of %s" % (host, ", ".join(others[:5])))
    return sorted(mine, key=_began, reverse=True)


def _sane(one):
    return (
        isinstance(one, dict)
        and isinstance(one.get("hostname"), str)
        and isinstance(one.get("paths"), list)
        and all(isinstance(path, str) for path in one["paths"])
        and isinstance(one.get("id"), str)
        and bool(NAME.match(one["id"]))
    )


def _began(snapshot):
    """The start of its backup: what changed after it may be missing."""
    return min(_times(snapshot))


def _times(snapshot):
    """What it claims; restic lets the one be set and measures the other."""
    summary = snapshot.get("summary")
    measured_start = summary.get("backup_start") if isinstance(summary, dict) else None
    return [moment(told) for told in (snapshot.get("time"), measured_start or snapshot.get("time"))]


def _deciding(mine, paths):
    """Of the newest snapshots that have the wanted paths the oldest: each path must be fresh."""
    found = []
    for path in paths:
        having = [one for one in mine if any(_holds(held, path) for held in one["paths"])]
        if not having:
            raise bad("missing", "no snapshot has %s" % path)
        found.append(having[0])
    return min(found, key=_began) if found else mine[0]


def _holds(held, path):
    return path == held or path.startswith(held.rstrip("/") + "/")


def _earlier(tool, mine, newest, now, data):
    """The copies before it, the locks, and what else a person should know."""
    same = [one for one in mine if one["paths"] == newest["paths"] and one is not newest]
    data["count"] = 1 + len(same)
    data["others"] = [said(one["id"][:8], None, _began(one), now) for one in same[:LISTED]]
    data["before"] = [one["id"] for one in same if _began(one) < _began(newest)][:1]
    for lock in _locks(tool):
        age = now - moment(lock.get("time"))
        who = "%s on %s" % (lock.get("pid"), lock.get("hostname"))
        kind = "exclusive lock" if lock.get("exclusive") else "lock"
        if age > STALE_LOCK:
            data["notes"].append("a stale %s of process %s, %.1f hours old" % (kind, who, hours(age)))
        elif lock.get("exclusive"):
            data["locked"] = "process %s holds the repository" % who


def _locks(tool):
    """What the locks say of their owners; one that is gone by the time it is read says nothing."""
    for name in [line for line in tool.lines("list", "locks") if NAME.match(line)][:LISTED]:
        try:
            lock = tool.ask("cat", "lock", name)
        except Verdict as verdict:
            if verdict.reason == "timeout":
                raise
            continue
        if isinstance(lock, dict) and lock.get("time"):
            yield lock


def _check_paths(tool, newest, paths):
    """What must be in the snapshot is in it, and is not an empty folder, as of a disk that was not mounted."""
    for path in paths:
        if not any(_holds(held, path) for held in newest["paths"]):
            continue
        inside = [line for line in tool.lines("ls", newest["id"], path) if _holds(path, line)]
        if not inside:
            raise bad("incomplete", "%s is not in snapshot %s" % (path, newest["id"][:8]))
        if len(inside) == 1 and _is_folder(tool, newest, path):
            raise bad("incomplete", "%s is an empty folder in snapshot %s" % (path, newest["id"][:8]))


def _is_folder(tool, newest, path):
    lines = [line for line in tool.lines("ls", "--json", newest["id"], path) if '"node"' in line]
    nodes = [json.loads(line) for line in lines]
    return any(node.get("path") == path and node.get("type") == "dir" for node in nodes)


def _check_size(tool, newest, least, data):
    size, entries = measured(tool, newest["id"])
    data["evidence"].update(size=size, entries=entries)
    for before in data.pop("before", ()):
        data["others"][0]["size"], data["others"][0]["entries"] = measured(tool, before)
    if size == 0:
        raise bad("empty", "the snapshot holds no data")
    if size < least:
        raise bad("too_small", "%d bytes, at least %d are asked for" % (size, least))


def measured(tool, snapshot):
    """Bytes and entries that a restore would give; raises Verdict."""
    told = tool.ask("stats", "--mode", "restore-size", snapshot)
    figures = [told.get(key) for key in ("total_size", "total_file_count")] if isinstance(told, dict) else [None]
    if not all(isinstance(figure, int) for figure in figures):
        raise unknown("tool_failed", "restic's figures cannot be read")
    return tuple(figures)


def _read(tool, now, percent, budget, data):
    """Read a part of the data, the one whose turn it is; without time for it the level stays."""
    if data.get("locked"):
        data["notes"].append("not read now: %s" % data["locked"])
        return
    try:
        words, part = _part(tool, now, percent)
        answer = tool.run("check", *words)
    except Verdict as error:
        if error.reason != "timeout":
            raise
        data["notes"].append("its data was not read: %s" % error.detail)
        return
    if answer.code != 0:
        words = _words(answer)
        if answer.code == 1 and any(mark in words for mark in BROKEN):
            raise bad("damaged", "restic check: %s" % _complaint(words))
        raise failure(answer, shown(tool.repository))
    data["evidence"]["check"] = "structure"
    if part:
        data["evidence"].update(check="data", part=part)
        data["level"] = "readable"


def _complaint(words):
    """The line of restic's check that says what is wrong."""
    found = re.search(r"(error: [^\n]{1,200}|pack \S+[^\n]{1,200}|Pack ID[^\n]{1,200})", words)
    return (found.group(1) if found else words)[:240]


def _part(tool, now, percent):
    """restic's words for the part of the data to read, and the part itself; none for 0 percent.

    Packs are told apart by the first byte of their names. Only parts with packs have their turn.
    """
    if percent <= 0:
        return [], {}
    packs = [name[:2] for name in tool.lines("list", "packs") if NAME.match(name)]
    if not packs:
        raise bad("empty", "the repository holds no data")
    if percent >= 100:
        return ["--read-data"], {"number": 1, "of": 1, "packs": len(packs), "all_packs": len(packs)}
    parts = min(MOST_PARTS, -(-100 // percent))
    turns = sorted({int(name, 16) % parts for name in packs})
    number = turn(now, turns)
    read = sum(int(name, 16) % parts == number for name in packs)
    words = ["--read-data-subset", "%d/%d" % (number + 1, parts)]
    return words, {"number": number + 1, "of": parts, "packs": read, "all_packs": len(packs)}


def turn(now, turns):
    """Whose turn it is on a day: steps of the golden ratio come to all of them in any rhythm of days."""
    return turns[int(len(turns) * (now // DAY * GOLDEN % 1))]
