"""What dnf 4 and 5 say, in the C locale: tables of transactions, updates, advisories; pure."""

import re

from . import apt, rpm

KINDS = ("security", "bugfix", "enhancement", "newpackage", "unspecified")
SECTION = re.compile(r"^(\S.*):$")
ROW = re.compile(r"^ (\S.*)$")
MORE = re.compile(r"^ {2,}(\S.*)$")
INSTALLS = ("Upgrading", "Installing", "Installing dependencies", "Installing weak dependencies")
REMOVES = ("Removing", "Removing dependent packages", "Removing unused dependencies", "Removing dependencies")
NO_MATCH = re.compile(r"^No match for argument: (\S+)$", re.M)
PROBLEM = re.compile(r"^ ?Problem(?: \d+)?: ", re.M)


class Simulation:
    """What dnf would do: packages by section, packages that it does not see, complaints."""

    download = growth = None  # summed from the packages

    def __init__(self, text, errors):
        self.errors = errors
        self.unseen = set(NO_MATCH.findall(text + "\n" + errors))
        self.sections = sections(text)
        self.replaced = [row[1] for rows in self.sections.values() for row in rows if row[0] == "replacing"]
        self.problems = [part.strip() for part in PROBLEM.split(errors)[1:]]

    @property
    def ok(self):
        """Whether all that was asked for can be done."""
        return bool(self.sections) and not self.problems and not self.unseen

    def installs(self):
        """(name, architecture, evr) of what would be installed."""
        return [(row[0], row[1], plain(row[2])) for row in self._rows(INSTALLS)]

    def downgrades(self):
        """Names of what would be downgraded."""
        return [row[0] for row in self._rows(["Downgrading"])]

    def removals(self):
        """Names of what would go: removed, or replaced by a package of another name."""
        gone = [row[0] for row in self._rows(REMOVES)]
        names = {row[0] for row in self._rows(INSTALLS)}
        others = [(rpm.split(word) or (word,))[0] for word in self.replaced]
        return sorted(set(gone) | {name for name in others if name not in names})

    def others(self):
        """Sections that are neither: module streams that would be switched, groups."""
        known = (*INSTALLS, *REMOVES, "Downgrading", "Reinstalling")
        return sorted(name for name in self.sections if name not in known)

    def blockers(self, names):
        """{package: why} of the names that the complaints are about."""
        found = {}
        for problem in self.problems:
            lines = [line.strip(" -") for line in problem.splitlines() if not line.startswith("(")]
            told = [(rpm.split(word) or ("",))[0] for word in re.findall(r"[^\s,]+", problem)]
            for name in [name for name in told if name in names][:1]:
                found.setdefault(name, "; ".join(lines[1:3] or lines[:1])[:300])
        return found

    def locked(self, _names):
        """{package: why} of locks that the complaints name: dnf does not see what is locked."""
        return {}

    def error(self):
        """One line that says why dnf refused."""
        lines = [line.strip() for line in self.errors.splitlines() if line.strip() and line.strip() != "Error:"]
        return apt.without_credentials(lines[-1] if lines else "dnf upgrade --assumeno said nothing")[:300]

    def _rows(self, names):
        return [row for name in names for row in self.sections.get(name, ()) if row[0] != "replacing"]


def sections(text):
    """{heading: rows of words} of dnf's table; a row too wide for its columns goes on in deeper lines."""
    found = {}
    rows = None
    for line in text.splitlines():
        heading, row, more = SECTION.match(line), ROW.match(line), MORE.match(line)
        if line.startswith("Transaction Summary"):
            break
        if heading:
            rows = found.setdefault(heading.group(1), [])
        elif rows is None or not line.strip():
            continue
        elif more and more.group(1).startswith("replacing "):
            rows.append(replaced(more.group(1).split()))
        elif row and not more:
            rows.append(row.group(1).split())
        elif more and rows:
            rows[-1] += more.group(1).split()
    return {heading: rows for heading, rows in found.items() if rows}


def replaced(words):
    """A row that names a replaced package: dnf 4 tells it as `name.arch version`, dnf 5 in columns."""
    name, _, arch = words[1].rpartition(".")
    if name and len(words) == 3:
        return ["replacing", "%s-%s.%s" % (name, words[2], arch)]
    return ["replacing", "%s-%s.%s" % (words[1], words[3], words[2]) if len(words) > 3 else words[1]]


def parse_query(text):
    """[(Package, bytes to download, repository)] from the lines of a repoquery."""
    found = []
    for line in text.splitlines():
        fields = line.split("|")
        if len(fields) == 8:
            (package,) = rpm.parse(line) or (None,)
            if package is not None:
                found.append((package, int(fields[6]) if fields[6].isdigit() else 0, fields[7]))
    return found


def parse_advisories(text):
    """Rows of `updateinfo list`: dnf 4 tells `id severity/Sec. package`, dnf 5 `id kind severity package date`."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[1].endswith("/Sec."):
            severity, nevra = words[1][: -len("/Sec.")], words[2]
        elif len(words) >= 4 and words[1] in KINDS:
            severity, nevra = words[2], words[3]
        else:
            continue
        parts = rpm.split(nevra)
        if parts:
            name, evr, arch = parts
            found.setdefault((name, arch), []).append({"id": words[0], "severity": severity, "evr": evr})
    return found


def plain(evr):
    """A version without an epoch of 0."""
    return evr[2:] if evr.startswith("0:") else evr
