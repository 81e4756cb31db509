"""Asks dnf 4 and 5 without letting it write, and reads what it says, in the C locale."""

import glob
import os
import re

from .. import frames
from ..host import overlaid, tools
from . import apt, dnf_texts, rpm

CACHES = ("/var/cache/dnf", "/var/cache/libdnf5")
LIMIT = 180
RENEW_LIMIT = 900
FORMAT = "%{name}|%{epoch}|%{version}|%{release}|%{arch}|%{installsize}|%{downloadsize}|%{repoid}\\n"
SETTINGS = (
    "skip_if_unavailable=0",
    "*.skip_if_unavailable=0",  # a repository that is down must be heard of
    "install_weak_deps=0",
    "clean_requirements_on_remove=0",
    "best=1",
    "color=never",
    "metadata_timer_sync=0",
)
CACHE_FOLDER = re.compile(r"^(.+)-[0-9a-f]{16}$")
LOCKED = re.compile(r"Waiting for process with pid|lock is already held|Failed to obtain.*lock", re.I)
LOCKED_CODE = 200


class Dnf:
    """dnf for looking: with its lists as they lie, all that it would write covered by memory."""

    name = "dnf"

    def __init__(self, out):
        self.out = out
        self.path = tools.find("dnf") or tools.find("dnf5")
        self.five = is_five(self.path)

    def ask(self, *words, **more):
        """Run dnf on its cache; returns the Answer."""
        return overlaid.run([self.path, "-C", *options("exit_on_lock=1"), *words], out=self.out, limit=LIMIT, **more)

    def text(self, *words):
        """The same, for answers that are only good with exit code 0."""
        answer = self.ask("-q", *words)
        if not answer.ok:
            raise rpm.RpmError(*complaint(words[0], answer))
        return frames.text(answer.stdout)

    def repositories(self):
        """The ids of the enabled repositories."""
        lines = [line.split() for line in self.text("repolist", "--enabled").splitlines()]
        return [words[0] for words in lines if words and words[:2] != ["repo", "id"]]

    def caches(self, repositories):
        """The lists that lie on the host, see `caches`."""
        return caches(repositories)

    def available(self, *words, excluded=True):
        """[(Package, bytes to download, repository)] of a query; `excluded`: whether what an exclude hides counts."""
        more = ([self._no_excludes()] if excluded else []) + ["--qf", FORMAT]
        return dnf_texts.parse_query(self.text("repoquery", *more, *words))

    def advisories(self):
        """{(name, architecture): [{"evr", "id", "severity", "cves"}]} of security advisories above the installed."""
        words = ["updateinfo", "list", "--updates", "--security", self._no_excludes()]
        found = dnf_texts.parse_advisories(self.text(*words))
        cves = {} if self.five else dnf_texts.parse_advisories(self.text(*words, "--with-cve"))
        for key, rows in found.items():
            for row in rows:
                row["cves"] = sorted({c["id"] for c in cves.get(key, ()) if c["evr"] == row["evr"]})
        return found

    def simulate(self, wanted):
        """What upgrading to exactly these `name-epoch:version-release.arch` words would do."""
        answer = self.ask("--assumeno", "upgrade", *wanted)
        if answer.timed_out or answer.cut or answer.code == LOCKED_CODE:
            raise rpm.RpmError(*complaint("upgrade", answer))
        return dnf_texts.Simulation(frames.text(answer.stdout), frames.text(answer.stderr))

    def needs_reboot(self):
        """What `needs-restarting` says: True, False, or None where it is not installed."""
        text = frames.text(self.ask("-q", "needs-restarting", "-r").stdout)
        return True if "Reboot is required" in text else False if "should not be necessary" in text else None

    def argv(self, words):
        """The command that upgrades to exactly these words; it runs outside, with everything writable."""
        return [self.path, "-y", *options(), "upgrade", *words]

    def renew(self, lock_timeout):
        """Run `dnf makecache` as root; ("", "") or (reason, detail)."""
        argv = [self.path, "-q", "--refresh", *options(), "makecache"]
        answer = tools.run(argv, out=self.out, limit=RENEW_LIMIT + lock_timeout)
        if answer.ok:
            return "", ""
        if answer.timed_out:
            held = LOCKED.search(frames.text(answer.stderr))
            return ("busy" if held else "timeout"), "dnf makecache did not end in time"
        return "lists_failed", complaint("makecache", answer)[0]

    @staticmethod
    def word(name, evr, arch):
        """A package in one version, always with its epoch, so that nothing else can be meant."""
        return "%s-%s%s.%s" % (name, "" if ":" in evr else "0:", evr, arch)

    def _no_excludes(self):
        return "--setopt=disable_excludes=*" if self.five else "--disableexcludes=all"


def options(*more):
    """The settings of every call."""
    return ["--setopt=" + setting for setting in (*SETTINGS, *more)]


def is_five(path):
    """Whether a program is dnf 5."""
    return os.path.basename(os.path.realpath(path or "")).startswith("dnf5")


def complaint(verb, answer):
    """(detail, reason) of a call that failed."""
    errors = frames.text(answer.stderr)
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    detail = "dnf %s: %s" % (verb, apt.without_credentials("; ".join(lines[-3:]) or answer.error()))
    if answer.code == LOCKED_CODE or LOCKED.search(errors):
        return detail, "busy"
    if "Cache-only enabled but no cache" in errors or "cache-only" in errors.lower():
        return detail, "lists_missing"
    return detail, "timeout" if answer.timed_out else "tool_failed"


class Cache:
    """The lists of one repository as they lie: when they were renewed, and whether they have advisories."""

    def __init__(self, repository, folder):
        self.repository = repository
        times, text = [], b""
        for path in glob.glob(glob.escape(folder) + "/repodata/*"):
            times.append(os.stat(path).st_mtime)
            if path.endswith("/repomd.xml"):
                with open(path, "rb") as stream:
                    text = stream.read(1 << 20)
        self.renewed = max(times) if times else None
        self.errata = b'type="updateinfo"' in text


def caches(repositories, folders=CACHES):
    """{repository: Cache} of those whose lists are there; of several folders for one, the newest counts."""
    found = {}
    for top in folders:
        for name in sorted(os.listdir(top)) if os.path.isdir(top) else []:
            match = CACHE_FOLDER.match(name)
            if not match or match.group(1) not in repositories:
                continue
            cache = Cache(match.group(1), top + "/" + name)
            other = found.get(cache.repository)
            if cache.renewed is not None and (other is None or cache.renewed > other.renewed):
                found[cache.repository] = cache
    return found
