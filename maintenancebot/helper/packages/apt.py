"""Asks apt without letting it write, and reads what it says, in the C locale of apt 2.2 to 3.0."""

import os
import pwd
import re
import stat

from .. import frames
from ..host import tools

CONFIGURATION = "/etc/apt"
LISTS = "/var/lib/apt/lists"
PARENTS = ("/etc", "/var", "/var/lib", "/var/lib/apt", "/var/lib/dpkg", "/var/lib/dpkg/status")
PRIVATE = frozenset(["auth.conf", "auth.conf.d", "keyrings", "trusted.gpg", "trusted.gpg.d", "lock", "partial"])
"""Names below these folders that apt does not need to read for looking."""

LIMIT = 120
NO_CACHE = ["-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="]
NO_LOCK = ["-o", "Debug::NoLocking=1"]
BATCH = 2000
"""Packages named on one command line."""

POLICY_NAME = re.compile(r"^(\S+):$")
POLICY_VERSION = re.compile(r"^ (\*\*\*|   ) (\S+) (-?\d+)(?: \(phased (\d+)%\))?$")
POLICY_SOURCE = re.compile(r"^ {5,}-?\d+ (\S.*)$")
STEP = re.compile(r"^(Inst|Remv|Purg) (\S+)(?: \[([^\]]*)\])?(?: \((\S+) (.*?) ?\[(\S+)\]\))?")
UNMET = re.compile(r"^ (\S+) : (\S+: .*)$")
UNMET_MORE = re.compile(r"^ {5,}([A-Z][A-Za-z-]+: .*)$")
CREDENTIALS = re.compile(r"//[^/@\s]*@")
LISTED = re.compile(r"^  +(\S.*)$")


class AptError(Exception):
    """apt gave no answer that can be read; the message is one line."""


class Apt:
    """apt's tools for looking. As root they would renew their caches, so they run as nobody if that can read all."""

    def __init__(self, out):
        self.out = out
        self.uid = None
        self.options = []
        if os.geteuid() == 0:
            self.options = NO_CACHE
            if readable_by_all():
                self.uid = nobody()
                self.options = [] if self.uid is not None else NO_CACHE

    def distrust_cache(self):
        """Build apt's cache in memory from now on: apt takes a cache for valid by whole seconds and file sizes."""
        self.options = NO_CACHE

    def ask(self, program, *words):
        """Run one of apt's tools; returns the Answer."""
        path = tools.find(program)
        if path is None:
            raise AptError("%s is not on the host" % program)
        argv = [path, *NO_LOCK, *self.options, *words]
        try:
            return tools.run(argv, out=self.out, limit=LIMIT, uid=self.uid, env=tools.environment(HOME="/"))
        except OSError as error:
            raise AptError("%s: %s" % (program, error)) from error

    def text(self, program, *words):
        """The same, for answers that are only good with exit code 0."""
        answer = self.ask(program, *words)
        if not answer.ok:
            raise AptError("%s %s: %s" % (program, words[0], without_credentials(answer.error())))
        return frames.text(answer.stdout)

    def policy(self, names):
        """Candidates and version tables of packages, see `parse_policy`."""
        found = {}
        for start in range(0, len(names), BATCH):
            found.update(parse_policy(self.text("apt-cache", "policy", *names[start : start + BATCH])))
        return found

    def sizes(self, wanted):
        """{(name, version): (bytes to download, bytes unpacked)} of `name=version` words."""
        found = {}
        for start in range(0, len(wanted), BATCH):
            found.update(parse_show(self.text("apt-cache", "show", *wanted[start : start + BATCH])))
        return found

    def simulate(self, wanted):
        """What installing exactly these `name=version` words would do, see `Simulation`."""
        return self._simulation("install", "--only-upgrade", *wanted)

    def simulate_all(self):
        """What upgrading everything would do without removing anything."""
        return self._simulation("upgrade", "--with-new-pkgs")

    def _simulation(self, *words):
        answer = self.ask("apt-get", "-q", "--simulate", *words)
        if answer.timed_out or answer.cut:
            raise AptError("apt-get --simulate: %s" % answer.error())
        return Simulation(answer.ok, frames.text(answer.stdout), frames.text(answer.stderr))


class Simulation:
    """What apt would do: packages to install with both versions, removals, packages it names in its lists."""

    def __init__(self, ok, text, errors):
        self.ok = ok
        self.text = text
        self.errors = errors
        self.installs = []
        self.removals = []
        for line in text.splitlines():
            match = STEP.match(line)
            if match:
                self._add(*match.groups())

    def _add(self, verb, word, version, target, _origin, arch):
        name, _, foreign = word.partition(":")
        if verb == "Inst":
            self.installs.append({"name": name, "arch": foreign or arch, "from": version or "", "to": target})
        else:
            self.removals.append({"name": name, "arch": foreign, "version": version or ""})

    def deferred(self):
        """Packages that wait for their phase."""
        return set(self._names("deferred due to phasing"))

    def kept_back(self):
        """Packages that apt keeps back."""
        return set(self._names("have been kept back"))

    def unmet(self):
        """(package, what it needs) for each dependency that apt complains about."""
        found = []
        name = ""
        for line in (self.text + "\n" + self.errors).splitlines():
            match = UNMET.match(line)
            more = UNMET_MORE.match(line)
            if match:
                name = match.group(1)
                found.append((name, match.group(2)))
            elif more and name:
                found.append((name, more.group(1)))
        return found

    def error(self):
        """One line that says why apt refused."""
        lines = [line[3:] for line in self.errors.splitlines() if line.startswith("E: ")]
        return without_credentials(lines[0] if lines else "apt-get --simulate failed")[:300]

    def _names(self, heading):
        lines = iter(self.text.splitlines())
        for line in lines:
            if heading in line:
                for inner in lines:
                    match = LISTED.match(inner)
                    if not match:
                        break
                    for word in match.group(1).split():
                        yield word


def parse_policy(text):
    """{name: {"installed", "candidate", "versions": [...]}}; versions newest first as apt lists them.

    A version is {"version", "installed", "phased", "sources"}; a source is the words of a sources.list entry.
    """
    found = {}
    entry = None
    for line in text.splitlines():
        name = POLICY_NAME.match(line)
        version = POLICY_VERSION.match(line)
        source = POLICY_SOURCE.match(line)
        if name:
            entry = found[name.group(1)] = {"installed": "", "candidate": "", "versions": []}
        elif entry is None:
            continue
        elif line.startswith(("  Installed: ", "  Candidate: ")):
            key, _, value = line.strip().partition(": ")
            entry[key.lower()] = "" if value == "(none)" else value
        elif version:
            entry["versions"].append(_version(version))
        elif source and entry["versions"]:
            entry["versions"][-1]["sources"].append(source.group(1))
    return found


def _version(match):
    star, version, _priority, phased = match.groups()
    return {
        "version": version,
        "installed": star == "***",
        "phased": int(phased) if phased else None,
        "sources": [],
    }


def parse_show(text):
    """{(name, version): (Size, Installed-Size in bytes)}; the first source of a version counts."""
    found = {}
    for paragraph in text.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|Size|Installed-Size): (.*)$", paragraph, re.M))
        if "Package" in fields and "Version" in fields:
            size, unpacked = fields.get("Size", "0"), fields.get("Installed-Size", "0")
            key = (fields["Package"], fields["Version"])
            found.setdefault(key, (int(size), int(unpacked) * 1024))
    return found


def readable_by_all(parents=PARENTS, trees=(CONFIGURATION, LISTS)):
    """Whether any user can read all that apt looks at; what it cannot read it would leave out of the answer."""
    try:
        return all(_open_to_all(path) for path in parents) and all(_tree_open(tree) for tree in trees)
    except OSError:
        return False


def _tree_open(folder):
    if not _open_to_all(folder):
        return False
    for name in os.listdir(folder):
        path = folder + "/" + name
        if name in PRIVATE or (os.path.islink(path) and not os.path.exists(path)):
            continue
        if os.path.islink(path) and not _reached_by_all(os.path.realpath(path)):
            return False  # lists of `file:` repositories are links to them
        if not (_tree_open(path) if os.path.isdir(path) else _open_to_all(path)):
            return False
    return True


def _reached_by_all(path):
    """Whether any user may pass through all folders above a path."""
    while path != "/":
        path = os.path.dirname(path)
        if not os.stat(path).st_mode & stat.S_IXOTH:
            return False
    return True


def _open_to_all(path):
    mode = os.stat(path).st_mode
    needed = stat.S_IROTH | stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH
    return mode & needed == needed


def without_credentials(text):
    """Text without the `user:password@` of addresses."""
    return CREDENTIALS.sub("//", text)


def word(name, arch, native):
    """A package as apt names it on a command line."""
    return name if arch in (native, "all", "") else "%s:%s" % (name, arch)


def nobody():
    """The user that may write nothing, or None."""
    try:
        return pwd.getpwnam("nobody").pw_uid
    except KeyError:
        return None
