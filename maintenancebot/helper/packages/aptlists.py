"""apt's package lists: which repositories are configured, what they are, how old the lists are; and renewing them."""

import calendar
import fnmatch
import os
import re
import time

from .. import frames
from ..host import tools
from . import apt, dpkg

URI = re.compile(r"^'([^']*)' (\S+) ")
FIELD = re.compile(rb"^(Origin|Label|Suite|Codename|Date|Valid-Until): *(.*?) *$", re.M)
TIME = re.compile(r"^\w+, +(\d+) (\w+) (\d+) (\d+):(\d+):(\d+) (?:UTC|GMT|\+0000|Z)$")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
HEAD_BYTES = 16384
RENEW_LIMIT = 900
LOCKED = re.compile(r"Could not get lock (/\S*?)\.? ")
FAULT = re.compile(r"^(?:E: |W: (?=Failed to fetch|Some index files|GPG error|An error occurred))(.*)$")


class Release:
    """A configured repository and what its Release file says; `present` is false while it has never been loaded."""

    def __init__(self, site, dist, present, fields=None):
        fields = fields or {}
        self.site = apt.without_credentials(site)
        self.dist = dist
        self.present = present
        self.origin = fields.get("Origin", "")
        self.label = fields.get("Label", "")
        self.archive = fields.get("Suite", "")
        self.codename = fields.get("Codename", "")
        self.date = seconds(fields.get("Date", ""))
        self.valid_until = seconds(fields.get("Valid-Until", ""))
        self.changed = fields.get("changed", 0)

    @property
    def name(self):
        """For people: the words of sources.list."""
        return "%s %s" % (self.site, self.dist)

    def is_security(self, patterns):
        """Whether one of the [origin, label, archive] patterns fits."""
        mine = (self.origin, self.label, self.archive)
        return any(all(map(fnmatch.fnmatchcase, mine, pattern)) for pattern in patterns)

    def described(self):
        """As a finding carries it."""
        return {"origin": self.origin, "label": self.label, "archive": self.archive, "codename": self.codename}


class Lists:
    """All configured repositories."""

    def __init__(self, releases):
        self.releases = releases
        self._by_source = {}

    @property
    def missing(self):
        """Repositories that are configured, but whose lists are not there."""
        return [release.name for release in self.releases if not release.present]

    def expired(self, now):
        """Repositories whose lists are past their Valid-Until."""
        return [r.name for r in self.releases if r.valid_until is not None and r.valid_until < now]

    def renewed(self):
        """When the lists were last renewed, or None; a renewal that found nothing new touches only `partial`."""
        times = [release.changed for release in self.releases if release.present]
        try:
            times.append(os.stat(apt.LISTS + "/partial").st_mtime)
        except OSError:
            pass
        return max(times) if times else None

    def of_source(self, words):
        """The repository of a line of `apt-cache policy`, None for dpkg's own status or an unknown one."""
        if words not in self._by_source:
            self._by_source[words] = self._find(words)
        return self._by_source[words]

    def _find(self, words):
        parts = words.split(" ")
        if len(parts) < 2:
            return None
        site = apt.without_credentials(parts[0]).rstrip("/")
        dists = (parts[1] or "/", parts[1].rpartition("/")[0])
        for release in self.releases:
            if release.site == site and release.dist in dists:
                return release
        return None


def survey(asker):
    """The configured repositories as apt itself names them, joined with the lists that lie on the host."""
    text = asker.text("apt-get", "update", "--print-uris")
    there = set(os.listdir(apt.LISTS))
    return Lists(configured(text, there, apt.LISTS))


def configured(text, there, folder):
    """Releases from the output of `apt-get update --print-uris` and the names in the folder of lists."""
    rows = [match.groups() for match in map(URI.match, text.splitlines()) if match]
    releases = []
    for uri, name in rows:
        if not uri.endswith("/InRelease"):
            continue
        prefix = name[: -len("InRelease")]
        site, dist = place(uri[: -len("/InRelease")])
        head = next((prefix + kind for kind in ("InRelease", "Release") if prefix + kind in there), None)
        indexed = any(n.startswith(prefix) and ("Packages" in n or "Sources" in n) for n in there)
        fields = read_release(folder + "/" + head) if head else None
        releases.append(Release(site, dist, head is not None and indexed, fields))
    return releases


def place(base):
    """Site and distribution of a Release file's folder, as `apt-cache policy` writes them."""
    site, found, dist = base.partition("/dists/")
    if found:
        return site, dist
    if base.endswith("/."):
        return base[:-2], "./"
    return base, "/"


def read_release(path):
    """The fields of a Release file that matter here."""
    with open(path, "rb") as stream:
        head = stream.read(HEAD_BYTES)
        changed = os.fstat(stream.fileno()).st_ctime
    fields = {frames.text(key): frames.text(value) for key, value in FIELD.findall(head)}
    fields["changed"] = changed
    return fields


def seconds(text):
    """A Release file's time as epoch seconds, None when there is none or it cannot be read."""
    match = TIME.match(text)
    if not match or match.group(2) not in MONTHS:
        return None
    day, month, year, hour, minute, second = match.groups()
    return calendar.timegm((int(year), MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second)))


def checks_expiry(asker):
    """Whether apt on this host looks at Valid-Until at all; its administrator may have switched that off."""
    answer = asker.ask("apt-config", "dump", "--format", "%v%n", "Acquire::Check-Valid-Until")
    return frames.text(answer.stdout).strip().lower() not in ("false", "no", "0", "off", "without", "disable")


def renew(out, lock_timeout):
    """Run `apt-get update` as root; ("", "") or (reason, detail). Exit code 0 with a mirror down counts as failed."""
    argv = [tools.find("apt-get"), "-q", "-o", "APT::Update::Error-Mode=any", "-o", "Acquire::Retries=2", "update"]
    end = time.monotonic() + tools.time_for(lock_timeout)
    while True:
        before = looked_after()
        answer = tools.run(argv, out=out, limit=RENEW_LIMIT)
        errors = frames.text(answer.stderr)
        lock = LOCKED.search(errors)
        if not lock:
            reason, detail = judge(answer, errors)
            if not reason and looked_after() == before:
                return "lists_failed", "apt-get update ended well without looking after its lists"
            return reason, detail
        left = end - time.monotonic()
        if left <= 0:
            return "busy", "%s is held by %s" % (lock.group(1), dpkg.holder(lock.group(1)) or "another process")
        dpkg.wait_for_locks(left, out, [lock.group(1)])


def looked_after(folder=apt.LISTS):
    """What any renewal changes, by which one that did nothing is told: the times of the lists and of `partial`."""
    times = []
    for place in (folder, folder + "/partial"):
        try:
            found = os.stat(place)
            times.append((found.st_mtime_ns, found.st_ctime_ns))
        except OSError:
            times.append(None)
    return times


def judge(answer, errors):
    """("", "") for a renewal in which every repository answered, else (reason, detail)."""
    faults = [match.group(1).strip() for match in map(FAULT.match, errors.splitlines()) if match]
    failed = [line for line in frames.text(answer.stdout).splitlines() if line.startswith("Err:")]
    if answer.timed_out:
        return "timeout", "apt-get update did not end in time"
    if answer.ok and not faults and not failed:
        return "", ""
    return "lists_failed", apt.without_credentials("; ".join(faults[:3] or failed[:3]) or answer.error())
