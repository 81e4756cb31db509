"""Looks at what patches a host with dnf or zypper needs, as these would choose them; writes nothing unless asked."""

import glob
import os
import re
import time

from .. import frames, results
from ..host import overlaid, unit
from . import dnf, dpkg, known_bad, managers, restarts, rpm, rpm_history, space, zypper
from .updates import Updates

ROUNDS = 20
"""zypper names one blocked package at a time."""

KERNELS = ("kernel", "kernel-core", "kernel-default", "kernel-rt", "kernel-uek")
MODULES = "/etc/dnf/modules.d"
STREAM = re.compile(r"^(name|stream|state) ?= ?(\S+)$", re.M)
LISTED = 20


def probe(args, out):
    """Report each wanted update, held back or not, and the one transaction that would bring those that can be had."""
    if os.geteuid() != 0:
        return results.Result("skipped", "needs_root", "looking without writing needs root with this package manager")
    asker = asker_for(managers.choose().name, out)
    if args["refresh"]:
        reason, detail = asker.renew(args["lock_timeout"])
        if reason:
            return results.Result("unknown", reason, detail, {"refreshed": False})
    try:
        return Look(args, asker, out).result()
    except rpm.RpmError as error:
        return results.Result("unknown", error.reason, str(error))
    except overlaid.CannotCover as error:
        return results.Result(
            "skipped", "lacks", "%s cannot be asked without letting it write: %s" % (asker.name, error)
        )


def asker_for(name, out):
    """How a package manager is asked."""
    return zypper.Zypper(out) if name == "zypper" else dnf.Dnf(out)


class Look:
    """One look at one host."""

    def __init__(self, args, asker, out):
        self.args = args
        self.out = out
        self.asker = asker
        self.facts = {"manager": asker.name, "refreshed": args["refresh"], "other_updates": 0}
        self.updates = Updates()
        self.weights = {}

    def result(self):
        """Stream the findings and return how the look ended."""
        at_work = installing()
        if at_work:
            return results.Result("unknown", "busy", at_work, self.facts)
        self.repositories = self.asker.repositories()
        self.caches = self.asker.caches(self.repositories)
        reason, detail = self.trust()
        if reason:
            return results.Result("unknown", reason, detail, self.facts)
        self.found = rpm.installed(self.out)
        self.facts.update(self.about_host())
        self.assess()
        self.report(self.simulate())
        return results.Result(facts=self.facts)

    def trust(self):
        """("", "") if the lists can tell what is due, else why they cannot."""
        times = [cache.renewed for cache in self.caches.values()]
        self.facts["lists_time"] = min(times) if times else None
        self.facts["lists_age_seconds"] = max(0, int(time.time() - min(times))) if times else None
        self.facts["without_errata"] = sorted(name for name, cache in self.caches.items() if not cache.errata)
        if not self.repositories:
            return "lists_missing", "no package repository is configured"
        missing = [name for name in self.repositories if name not in self.caches]
        return ("lists_missing", "never loaded: " + ", ".join(missing[:5])) if missing else ("", "")

    def about_host(self):
        """What stands in the way of any upgrade, and whether a reboot is due."""
        interrupted = rpm_history.interrupted()
        twice = ["%s: in two versions" % name for name in twofold(self.found)] if interrupted else []
        return {
            "installed": len(self.found),
            "interrupted": interrupted,
            "broken": twice[: dpkg.TOLD],
            "reboot": self.reboot(),
            "stale": restarts.outdated(),
            "module_streams": module_streams(),
            "known_bad": known_bad.pairs(),
        }

    def reboot(self):
        """The signals of any host, and what dnf's own tool says."""
        told = restarts.reboot()
        said = self.asker.needs_reboot()
        if said:
            told["signals"] = [*told["signals"], "%s: core packages were updated since the boot" % self.asker.name]
        if said is not None:
            told["required"] = bool(told["signals"])
        return told

    def assess(self):
        """Find the wanted updates among all installed packages."""
        advisories = self.asker.advisories() if self.args["scope"] != "all" or self.has_errata() else {}
        for key, versions in sorted(self.newer().items()):
            told = self.told(versions[0], self.found[key][0], advisories.get(key, []))
            wanted = told["security"] or self.args["scope"] == "all"
            if not wanted and not self.caches[self.weights[key, versions[0].evr][1]].errata:
                told["status"], wanted = "no_errata", True
            if wanted:
                self.updates.append(told)
            else:
                self.facts["other_updates"] += 1

    def has_errata(self):
        """Whether any repository says what its updates are for."""
        return any(cache.errata for cache in self.caches.values())

    def newer(self, **more):
        """{(name, architecture): versions above the installed one, newest first}."""
        rows = self.asker.available("--upgrades", **more)
        for package, download, repository in rows:
            self.weights[package.key, package.evr] = (download, repository, package.size)
        found = rpm.by_key([package for package, _download, _repository in rows if package.key in self.found])
        return {
            key: versions for key, versions in found.items() if rpm.compare(versions[0].evr, self.found[key][0].evr) > 0
        }

    def told(self, candidate, installed, advisories):
        """One update as a finding carries it; an advisory for any version up to the candidate counts."""
        mine = [
            row
            for row in advisories
            if rpm.compare(row["evr"], installed.evr) > 0 and rpm.compare(row["evr"], candidate.evr) <= 0
        ]
        repository = self.weights[candidate.key, candidate.evr][1]
        return {
            "name": candidate.name,
            "arch": candidate.arch,
            "installed": installed.evr,
            "candidate": candidate.evr,
            "security": bool(mine),
            "status": "due",
            "origins": [{"origin": repository, "version": candidate.evr}],
            "phase": None,
            "detail": "",
            "advisories": sorted({row["id"] for row in mine})[:LISTED],
            "severities": sorted({row["severity"] for row in mine}),
            "cves": sorted({cve for row in mine for cve in row["cves"]})[:LISTED],
        }

    def simulate(self):
        """What dnf would do for all updates that can be had; those that cannot be had get their status."""
        bad = known_bad.noted()
        known_bad.mark(self.updates, bad)
        for _round in range(ROUNDS):
            chosen = self.updates.free()
            if not chosen:
                return None
            simulation = self.asker.simulate([self.word(told) for told in chosen])
            if simulation.ok and not any((name, to) in bad for name, _arch, to in simulation.installs()):
                return simulation
            if simulation.ok:
                self.updates.mark(known_bad.draggers(chosen, self.alone, bad))
                continue
            unseen = [told for told in chosen if self.word(told) in simulation.unseen]
            names = {told["name"] for told in chosen}
            blocked, locked = simulation.blockers(names), simulation.locked(names)
            if not unseen and not blocked and not locked:
                raise rpm.RpmError(simulation.error())
            self.hidden(unseen)
            self.updates.mark(locked, "held")
            self.updates.mark(blocked)
        raise rpm.RpmError("too many updates are blocked: " + simulation.error())

    def word(self, told):
        """An update for the command line."""
        return self.asker.word(told["name"], told["candidate"], told["arch"])

    def alone(self, told):
        """[(name, version)] of what one update would install by itself."""
        return [(name, to) for name, _arch, to in self.asker.simulate([self.word(told)]).installs()]

    def hidden(self, unseen):
        """Updates that the repositories have and dnf will not take: excluded by its settings, or locked by a plugin."""
        visible = self.newer(excluded=False) if unseen else {}
        for told in unseen:
            versions = visible.get((told["name"], told["arch"]), [])
            if any(version.evr == told["candidate"] for version in versions):
                told["status"], told["detail"] = "held", "locked by versionlock or another plugin"
            else:
                told["status"], told["detail"] = "pinned", "excluded by the settings of %s" % self.asker.name

    def report(self, simulation):
        """Stream the findings."""
        self.updates.tell(self.out, self.facts)
        if simulation is None:
            return
        if simulation.others():
            raise rpm.RpmError("more than an upgrade: " + ", ".join(simulation.others()))
        installs = [self.weighed(*item) for item in simulation.installs()]
        download, growth = (sum(item[key] for item in installs) for key in ("download", "growth"))
        download, growth = simulation.download or download, simulation.growth or growth
        self.facts["no_space"] = shortage(installs, download, growth)
        self.out.finding(
            "transaction",
            "",
            packages=installs,
            removals=[{"name": name, "arch": "", "version": ""} for name in simulation.removals()],
            downgrades=simulation.downgrades(),
            foreign=[],
            download=download,
            growth=growth,
        )

    def weighed(self, name, arch, evr):
        """A package of the transaction with both versions and its weights."""
        if ((name, arch), evr) not in self.weights:
            for package, download, repository in self.asker.available(self.asker.word(name, evr, arch)):
                self.weights[package.key, package.evr] = (download, repository, package.size)
        download, _repository, size = self.weights.get(((name, arch), evr), (0, "", 0))
        before = self.found.get((name, arch), [])
        item = {"name": name, "arch": arch, "from": before[0].evr if before else "", "to": evr, "download": download}
        growth = size - (before[0].size if before else 0) if size else 0  # zypper tells no sizes of single packages
        return dict(item, growth=growth, unpacked=size)


def shortage(installs, download, growth):
    """Where room is short for a transaction's packages."""
    kernel = any(item["name"] in KERNELS for item in installs)
    largest = max(item["unpacked"] for item in installs)
    needs = [
        ("/var/cache", download),
        ("/usr", max(0, growth) + largest),
        ("/var/lib/rpm", space.SPARE_BYTES),
    ]
    return space.short(needs + [("/boot", space.KERNEL_BYTES)] * kernel)


def installing():
    """Who is installing packages right now, empty when nobody is."""
    for run in unit.runs():
        if run.alive():
            return "%s still runs, see %s" % (run.name, run.log)
    return next(("%s is at work" % who for who in map(dpkg.holder, filter(os.path.exists, rpm.LOCKS)) if who), "")


def twofold(found):
    """Packages that are installed in two versions and should not be, as an interrupted transaction leaves them."""
    return sorted(name for (name, _arch), versions in found.items() if len(versions) > 1 and "kernel" not in name)


def module_streams(folder=MODULES):
    """`name:stream` of the enabled module streams, which stay as they are."""
    found = []
    for path in glob.glob(folder + "/*.module"):
        with open(path, "rb") as stream:
            fields = dict(STREAM.findall(frames.text(stream.read(65536))))
        if fields.get("state") == "enabled":
            found.append("%s:%s" % (fields.get("name", ""), fields.get("stream", "")))
    return sorted(found)
