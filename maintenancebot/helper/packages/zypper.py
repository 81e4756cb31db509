"""Asks zypper without letting it write, and reads the XML that it says."""

import glob
import re
from xml.etree import ElementTree

from .. import frames
from ..host import overlaid, tools
from . import apt, dnf, dnf_texts, rpm, updateinfo

RAW = "/var/cache/zypp/raw"
LIMIT = 180
RENEW_LIMIT = 900
FINE = (0, 100, 101, 102, 103)
"""Exit codes of an answer: 100 and 101 mean that patches are needed, 102 a reboot, 103 a newer zypper first."""

SKIPPED = 106
LOCKED_CODE = 7
NO_REPOSITORIES = 6
PROBLEM = re.compile(r"Problem: (?:\d+: )?")
NO_MATCH = re.compile(r"No provider of '([^']+)' found|'([^']+)' not found")
REBOOT_CODE = 102


class Zypper:
    """zypper for looking: with its lists as they lie, all that it would write covered by memory."""

    name = "zypper"

    def __init__(self, out):
        self.out = out
        self.path = tools.find("zypper")
        self._caches = {}

    def ask(self, *words):
        """Run zypper on its cache; returns the Answer."""
        argv = [self.path, "--xmlout", "--non-interactive", "--no-refresh", *words]
        return overlaid.run(argv, out=self.out, limit=LIMIT)

    def tree(self, *words):
        """The same as a tree of XML, for answers that are only good with a fine exit code."""
        answer = self.ask(*words)
        if answer.code not in FINE or answer.timed_out or answer.cut:
            raise rpm.RpmError(*complaint(words[0], answer))
        return parse(answer.stdout)

    def repositories(self):
        """The aliases of the enabled repositories."""
        return [repo.get("alias", "") for repo in self.tree("repos").iter("repo") if repo.get("enabled") == "1"]

    def caches(self, repositories):
        """{alias: dnf.Cache} of the repositories whose lists are there."""
        found = {alias: dnf.Cache(alias, RAW + "/" + alias.replace("/", "_")) for alias in repositories}
        self._caches = {alias: cache for alias, cache in found.items() if cache.renewed is not None}
        return self._caches

    def available(self, *words, excluded=True):
        """[(Package, 0, repository)] of all updates; zypper tells sizes only for a whole transaction."""
        rows = self.tree("list-updates", "--all").iter("update") if words == ("--upgrades",) else ()
        return [
            (rpm.Package(row.get("name"), dnf_texts.plain(row.get("edition")), row.get("arch")), 0, source(row))
            for row in rows
            if row.get("kind") == "package"
        ]

    def advisories(self):
        """{(name, architecture): [{"evr", "id", "severity", "cves"}]} of the repositories' security patches."""
        found = {}
        for alias, cache in self._caches.items():
            folder = glob.escape(RAW + "/" + alias.replace("/", "_"))
            for path in glob.glob(folder + "/repodata/*updateinfo*") if cache.errata else []:
                for key, rows in updateinfo.read(path).items():
                    found.setdefault(key, []).extend(rows)
        return found

    def simulate(self, wanted):
        """What installing exactly these `name.arch=edition` words would do."""
        answer = self.ask("install", "--dry-run", *INSTALL, *wanted)
        if answer.timed_out or answer.cut or answer.code == LOCKED_CODE:
            raise rpm.RpmError(*complaint("install", answer))
        return Simulation(parse(answer.stdout))

    def needs_reboot(self):
        """What `zypper needs-rebooting` says: True, False, or None where it does not know that question."""
        code = self.ask("needs-rebooting").code
        return {0: False, REBOOT_CODE: True}.get(code)

    def argv(self, words):
        """The command that upgrades to exactly these words; it runs outside, with everything writable."""
        return [self.path, "--non-interactive", "--no-refresh", "install", *INSTALL, *words]

    def renew(self, _lock_timeout):
        """Run `zypper refresh` as root; ("", "") or (reason, detail). Skipped repositories count as failed."""
        argv = [self.path, "--xmlout", "--non-interactive", "refresh", "--force"]
        answer = tools.run(argv, out=self.out, limit=RENEW_LIMIT)
        if answer.ok:
            return "", ""
        detail, reason = complaint("refresh", answer)
        return ("busy" if reason == "busy" else "timeout" if answer.timed_out else "lists_failed"), detail

    @staticmethod
    def word(name, evr, arch):
        """A package in one version."""
        return "%s.%s=%s" % (name, arch, evr)


INSTALL = ("--no-recommends", "--no-force-resolution", "--no-confirm")


class Simulation:
    """What zypper would do: packages by section, or the first problem that it found."""

    def __init__(self, tree):
        texts = [text for tag in ("description", "message") for text in (e.text for e in tree.iter(tag)) if text]
        self.problems = [text for text in texts if PROBLEM.match(text)]
        self.messages = [text.strip() for text in texts if not PROBLEM.match(text)]
        found = [match for match in map(NO_MATCH.search, self.messages) if match]
        self.unseen = {match.group(1) or match.group(2) for match in found}
        self.summary = tree.find("install-summary")
        self.download, self.growth = self._number("download-size"), self._number("space-usage-diff")

    @property
    def ok(self):
        """Whether all that was asked for can be done."""
        return self.summary is not None and not self.problems and not self.unseen

    def installs(self):
        """(name, architecture, evr) of what would be installed."""
        rows = self._rows("to-upgrade", "to-install", "to-upgrade-change-arch", "to-change-arch", "to-change-vendor")
        return [(row.get("name"), row.get("arch"), dnf_texts.plain(row.get("edition"))) for row in rows]

    def downgrades(self):
        """Names of what would be downgraded."""
        return [row.get("name") for row in self._rows("to-downgrade")]

    def removals(self):
        """Names of what would be removed."""
        return sorted(row.get("name") for row in self._rows("to-remove"))

    def others(self):
        """Packages that would change their vendor or architecture."""
        return sorted(row.get("name") for row in self._rows("to-change-vendor", "to-change-arch", "to-reinstall"))

    def blockers(self, names):
        """{package: why} of the names that the problem is about, without locks."""
        return {} if self._locks() else self._about(names)

    def locked(self, names):
        """{package: why} of the names that a lock keeps."""
        return dict.fromkeys(self._about(names), "locked with `zypper addlock`") if self._locks() else {}

    def error(self):
        """One line that says why zypper refused."""
        lines = self.problems or self.messages
        return apt.without_credentials(" ".join(lines[-1].split()) if lines else "zypper said nothing")[:300]

    def _locks(self):
        return any("remove lock to allow" in problem for problem in self.problems)

    def _about(self, names):
        found = {}
        for problem in self.problems:
            why = PROBLEM.sub("", problem.splitlines()[0])
            told = [(rpm.split(word.partition("[")[0]) or ("",))[0] for word in re.findall(r"[^\s,']+", problem)]
            for name in [name for name in told if name in names][:1]:
                found.setdefault(name, why[:300])
        return found

    def _rows(self, *sections):
        if self.summary is None:
            return []
        rows = [row for name in sections for part in self.summary.iter(name) for row in part.iter("solvable")]
        return [row for row in rows if row.get("type") == "package"]

    def _number(self, name):
        text = self.summary.get(name, "") if self.summary is not None else ""
        return int(text) if text.lstrip("-").isdigit() else 0


def parse(output):
    """zypper's XML as a tree; rpm.RpmError when it is none."""
    try:
        return ElementTree.fromstring(output.lstrip())  # noqa: S314  the output of a program of the host
    except ElementTree.ParseError as error:
        raise rpm.RpmError("zypper's answer cannot be read: %s" % error) from error


def source(row):
    """Which repository an update comes from."""
    found = row.find("source")
    return found.get("alias", "") if found is not None else ""


def complaint(verb, answer):
    """(detail, reason) of a call that failed."""
    lines = re.findall(r'<message type="error">([^<]*)</message>', frames.text(answer.stdout))
    said = "; ".join(" ".join(line.split()) for line in lines[:3]) or answer.error()
    detail = "zypper %s: %s" % (verb, apt.without_credentials(said)[:300])
    if answer.code == NO_REPOSITORIES:
        return "no package repository is configured", "lists_missing"
    if answer.code == LOCKED_CODE:
        return detail, "busy"
    return detail, "lists_failed" if answer.code == SKIPPED else "timeout" if answer.timed_out else "tool_failed"
