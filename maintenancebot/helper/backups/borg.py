"""A repository of borg: which archives count, how old and whole the newest is, and whether its data can be read.

borg runs without lock; its cache, its configuration and whatever it writes into the repository are in memory only.
"""

import fnmatch
import json
import os
import re
import socket

from ..host import tools
from . import repository
from .repository import moment, shown
from .verdicts import FUTURE_SLACK, Verdict, bad, hours, said, too_old, unknown

LISTED = 10
LEAST_SECONDS = 5
CHECKPOINT = re.compile(r"\.checkpoint(\.\d+)?$")
KEYS = "/root/.config/borg/keys"
SSH = "ssh -oBatchMode=yes -oUpdateHostKeys=no -oConnectTimeout=20"
ANSWERED = "yes (from BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK)"
"""borg's word for a repository that needs no encryption: what it says besides is what is wrong."""

WARNING = 1
"""Exit code: of `list` a warning, of `check` and `extract` that something is wrong with the data."""


def check(source, now, max_age, budget, data):
    """Fill in `data` with what is known of the newest archive that counts; raises Verdict where it is not good."""
    data["path"] = shown(source["repository"])
    tool = Borg(source, budget)
    archives = _that_count(tool.archives(), source, data)
    newest = archives[0]
    began = newest["began"]
    data["level"] = "exists"
    data["evidence"] = {
        "id": newest["id"], "path": newest["name"], "time": int(began), "age_hours": hours(now - began),
        "time_from": "the start of its backup", "host": newest["hostname"],
        "series": newest["series"],
    }  # fmt: skip
    data["object"] = {"archive": newest["name"], "id": newest["id"]}
    archives = [one for one in archives if one["series"] == newest["series"]]
    data["count"] = len(archives)
    data["others"] = [said(one["name"], None, one["began"], now) for one in archives[1 : 1 + LISTED]]
    if newest["latest"] > now + FUTURE_SLACK:
        raise bad("future_dated", "archive %s claims a time in the future" % newest["name"])
    stale = too_old(began, now, max_age, "the start of its backup")
    if stale:
        raise bad("stale", stale)
    data["level"] = "fresh"
    _check_size(tool, archives, source.get("min_bytes", 1), data)
    data["level"] = "complete"
    _read(tool, newest, now, data)


class Borg:
    """borg with one repository; the passphrase comes from a file and goes in by a descriptor."""

    def __init__(self, source, budget):
        self._program = repository.program("borg")
        self._budget = budget
        self.repository = source["repository"]
        self.folder = self.repository if os.path.isdir(self.repository) else ""
        path = source.get("passphrase_file")
        repository.check_place(self.repository)
        self.stdin = repository.secret(path) if path else b""
        self.env = tools.environment(
            BORG_REPO=self.repository, BORG_BASE_DIR="/tmp/borg", BORG_KEYS_DIR=KEYS, BORG_RSH=SSH,  # noqa: S108
            BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK="no" if path else "yes", BORG_RELOCATED_REPO_ACCESS_IS_OK="no",
            BORG_DISPLAY_PASSPHRASE="no", TMPDIR="/tmp",  # noqa: S106, S108
        )  # fmt: skip
        self.env.update({"BORG_PASSPHRASE_FD": "0"} if path else {"BORG_PASSPHRASE": ""})

    def argv(self, *words):
        """The command line of a borg command that takes no lock."""
        return [self._program, "--bypass-lock", *words]

    def run(self, *words, folders=()):
        """What borg says, whatever its exit code; raises Verdict when it does not end in time."""
        seconds = self._budget.seconds()
        if seconds < LEAST_SECONDS:
            raise unknown("timeout", "the time for this source is used up")
        self._budget.spend(0)  # says that we are alive, which no single short run would
        answer = repository.run(
            self.argv(*words), seconds, self._budget.out, self.env, folders, self.stdin, repository.LOCAL_OUTPUT
        )
        if answer.timed_out:
            raise unknown("timeout", "borg %s did not end in %d seconds" % (words[0], seconds))
        return answer

    def archives(self):
        """All archives with name, id, host and the start of their backup; raises Verdict."""
        answer = self.run("list", "--json", "--format", "{hostname}{end}")
        if answer.code not in (0, WARNING):
            raise failure(answer, shown(self.repository))
        try:
            listed = json.loads(answer.stdout.decode("utf-8", "surrogateescape"))["archives"]
            return [_archive(one) for one in listed]
        except (ValueError, KeyError, TypeError):
            raise unknown("tool_failed", "borg's list of archives cannot be read") from None

    def measured(self, name):
        """Bytes and entries of an archive by its own list; raises Verdict when entries of it are broken."""
        answer = self.run("list", "--format", "{type} {health} {size}{NL}", "::" + name)
        if answer.code != 0 or answer.cut:
            raise failure(answer, shown(self.repository))
        size = entries = 0
        for line in answer.stdout.splitlines():
            kind, health, told = line.split(b" ")
            if health != b"healthy":
                raise bad("incomplete", "archive %s has files with missing parts" % name)
            entries += 1
            size += int(told) if kind == b"-" else 0
        return size, entries


def _archive(one):
    times = [moment(one[key]) for key in ("start", "time", "end") if one.get(key)]
    words = {key: str(one[key]) for key in ("name", "id", "hostname")}
    return dict(words, began=min(times), latest=max(times), series=re.sub(r"\d+", "0", words["name"]))


def failure(answer, name):
    """The verdict of an exit code that is not good; one that nobody knows is no success."""
    words = shown(answer.stderr.decode("utf-8", "replace")).strip()
    last = [line for line in words.splitlines() if line.strip()][-1:] or [answer.error()]
    if answer.cut:
        return unknown("over_cap", "borg's list is longer than one look may take")
    if re.search(r"passphrase supplied|passphrase.*incorrect|No key file", words):
        return unknown("credentials", "the repository does not open with this passphrase")
    if "previously unknown unencrypted repository" in words and ANSWERED not in words:
        return bad("wrong_content", "the repository is not encrypted, although it has a passphrase")
    broken = re.search(r"[^\n]*(?:ntegrity error|IntegrityError|Inconsistency detected)[^\n]*", words)
    if broken:
        return bad("damaged", broken.group(0)[:300])
    if re.search(r"does not exist|not a valid repository", words):
        return bad("missing", "no repository at %s" % name)
    return unknown("tool_failed", last[0][:300])


def _that_count(archives, source, data):
    """The archives of the wanted host that fit, newest first; raises Verdict when there is none."""
    host = source.get("host") or socket.gethostname()
    whole = [one for one in archives if not CHECKPOINT.search(one["name"])]
    fitting = [one for one in whole if fnmatch.fnmatchcase(one["name"], source.get("archives", "*"))]
    mine = [one for one in fitting if one["hostname"] == host]
    if len(whole) < len(archives):
        data["notes"].append("left aside: %d checkpoints of broken off backups" % (len(archives) - len(whole)))
    if mine:
        return sorted(mine, key=lambda one: (one["began"], one["name"]), reverse=True)
    if fitting:
        others = sorted({one["hostname"] for one in fitting})
        raise bad("wrong_host", "no archive is of %s, only of %s" % (host, ", ".join(others[:5])))
    if archives and not whole:
        raise bad("incomplete", "only checkpoints of backups that were broken off are there")
    raise bad("missing", "no archive fits")


def _check_size(tool, archives, least, data):
    size, entries = tool.measured(archives[0]["name"])
    data["evidence"].update(size=size, entries=entries)
    if size == 0:
        raise bad("empty", "the archive holds no data")
    if size < least:
        raise bad("too_small", "%d bytes, at least %d are asked for" % (size, least))
    for one, told in list(zip(archives[1:], data["others"]))[:1]:  # noqa: B905
        told["size"], told["entries"] = tool.measured(one["name"])


def _read(tool, newest, now, data):
    """Read all data of the newest archive, then the whole repository where it lies here; as far as time allows."""
    held = _lock(tool.folder, now)
    data["notes"] += [held] if held else []
    try:
        answer = tool.run("extract", "--dry-run", "::" + newest["name"])
        if answer.code == WARNING:
            raise bad("damaged", "borg extract: %s" % answer.error())
        if answer.code != 0:
            raise failure(answer, shown(tool.repository))
        data["evidence"]["check"] = "data"
        data["level"] = "readable"
        if tool.folder and not held:
            _check_repository(tool, data)
    except Verdict as error:
        if error.reason != "timeout" and (error.reason != "lacks" or data["level"] != "readable"):
            raise
        data["notes"].append("not all was read: %s" % error.detail)


def _check_repository(tool, data):
    """Read the whole repository, in a cover of memory: borg writes into what it checks."""
    if re.search(r"[:,\\]", tool.folder):
        data["notes"].append("the repository as a whole was not read: its path cannot be covered")
        return
    answer = tool.run("check", "--repository-only", folders=(tool.folder,))
    if answer.code == WARNING:
        words = answer.stderr.decode("utf-8", "replace").splitlines()
        raise bad("damaged", "borg check: %s" % (words[0] if words else "errors found")[:300])
    if answer.code != 0:
        raise failure(answer, shown(tool.repository))
    data["evidence"]["check"] = "repository"


def _lock(folder, now):
    """Since when another borg holds a repository that lies here; empty when none does."""
    try:
        facts = os.lstat(os.path.join(folder, "lock.exclusive")) if folder else None
    except OSError:
        facts = None
    if facts is None:
        return ""
    return "the repository is locked since %.1f hours; the lock is left alone" % hours(now - facts.st_mtime)
