"""Looks at what patches a host needs, as its package manager would choose them; writes nothing unless asked to."""

import importlib
import os
import time

from .. import results
from ..host import tools, unit
from . import apt, aptlists, dpkg, due, known_bad, managers, restarts, snapshot_hook, space, weights
from .updates import Updates

LOOKS = {"dnf": "rpm_look", "zypper": "rpm_look"}
UPGRADES = {"apt": "upgrade", "dnf": "rpm_upgrade", "zypper": "rpm_upgrade"}
"""Modules of this package for each package manager."""

ROUNDS = 8
"""How many packages may turn out to be blocked before apt's answer is called unreadable."""


def probe(args, out):
    """Report each wanted update, held back or not, and the one transaction that would bring those that can be had."""
    result = look(args, out)
    if args.get("snapshot_hook"):
        result.facts["snapshot_hook"] = snapshot_hook.objection(args["snapshot_hook"])
    return result


def look(args, out):
    """The same by the host's package manager."""
    choice = managers.choose()
    if not choice.name:
        return results.Result("skipped", "unsupported", choice.why)
    if choice.name in LOOKS:
        return importlib.import_module("." + LOOKS[choice.name], __package__).probe(args, out)
    if args["refresh"]:
        if os.geteuid() != 0:
            return results.Result("skipped", "needs_root", "renewing the package lists needs root")
        reason, detail = aptlists.renew(out, args["lock_timeout"])
        if reason:
            return results.Result("unknown", reason, detail, {"refreshed": False})
    try:
        return Look(args, out).result()
    except apt.AptError as error:
        return results.Result("unknown", "tool_failed", str(error))


class Look:
    """One look at one host."""

    def __init__(self, args, out):
        self.args = args
        self.out = out
        self.asker = apt.Apt(out)
        self.found = dpkg.packages()
        self.native = dpkg.native_architecture(self.found)
        self.lists = aptlists.survey(self.asker)
        self.facts = {"manager": "apt", "refreshed": args["refresh"], "other_updates": 0}
        self.updates = Updates()
        self.known = {}

    def result(self):
        """Stream the findings and return how the look ended."""
        at_work = installing(self.found)
        if at_work:
            return results.Result("unknown", "busy", at_work, self.facts)
        reason, detail = self.trust()
        self.facts.update(self.about_host())
        if reason == "lists_missing" and not any(release.present for release in self.lists.releases):
            return results.Result("unknown", reason, detail, self.facts)
        self.assess()
        self.report(self.simulate())
        if reason:
            return results.Result("unknown", reason, detail, self.facts)
        return results.Result(facts=self.facts)

    def trust(self):
        """("", "") if the lists can tell what is due, else why they cannot."""
        now = time.time()
        renewed = self.lists.renewed()
        self.facts["lists_time"] = renewed
        self.facts["lists_age_seconds"] = None if renewed is None else max(0, int(now - renewed))
        if not self.lists.releases:
            return "lists_missing", "no package repository is configured"
        if self.lists.missing:
            return "lists_missing", "never loaded: " + ", ".join(self.lists.missing[:5])
        if self.args["scope"] != "all" and not any(r.is_security(due.archives(self.args)) for r in self.lists.releases):
            return "lists_missing", "no configured repository is a security archive"
        expired = self.lists.expired(now)
        if expired and aptlists.checks_expiry(self.asker):
            return "lists_failed", "past their Valid-Until: " + ", ".join(expired[:5])
        return "", ""

    def about_host(self):
        """What stands in the way of any upgrade, and whether a reboot is due."""
        return {
            "installed": len(self.found),
            "interrupted": dpkg.interrupted(),
            "broken": dpkg.broken(self.found)[: dpkg.TOLD],
            "reboot": restarts.reboot(),
            "stale": restarts.outdated(),
            "known_bad": known_bad.pairs(),
        }

    def assess(self):
        """Find the wanted updates among all installed packages."""
        names = {apt.word(p.name, p.arch, self.native): p for p in self.found.values() if p.whole}
        policies = self.known = self.policies(names)
        for name, package in sorted(names.items()):
            told = due.assess(package, policies[name], self.lists, self.args)
            if told:
                self.updates.append(told)
            elif due.outside_scope(policies[name], told):
                self.facts["other_updates"] += 1

    def policies(self, names):
        """What apt says of the packages, once it agrees with dpkg on what is installed."""
        for _attempt in range(2):
            policies = self.asker.policy(sorted(names))
            odd = sorted(n for n, p in names.items() if policies.get(n, {}).get("installed") != p.version)
            if not odd:
                return policies
            self.asker.distrust_cache()
        raise apt.AptError("apt and dpkg do not agree on %s; is somebody installing it now?" % ", ".join(odd[:5]))

    def simulate(self):
        """What apt would do for all updates that can be had; updates that cannot be had get their status."""
        bad = known_bad.noted()
        known_bad.mark(self.updates, bad)
        self.keep_back()
        for _round in range(ROUNDS):
            chosen = self.updates.free()
            if not chosen:
                return None
            simulation = self.asker.simulate(self.words(chosen))
            if simulation.ok and not any((item["name"], item["to"]) in bad for item in simulation.installs):
                return simulation
            if simulation.ok:
                self.updates.mark(known_bad.draggers(chosen, self.alone, bad))
                continue
            found = due.blockers(simulation, {told["name"] for told in chosen})
            if not found:
                raise apt.AptError(simulation.error())
            self.updates.mark(found)
        raise apt.AptError("too many updates are blocked: " + simulation.error())

    def alone(self, told):
        """[(name, version)] of what one update would install by itself."""
        return [(item["name"], item["to"]) for item in self.asker.simulate(self.words([told])).installs]

    def keep_back(self):
        """Leave out what apt itself would leave for later: phases, and in a full upgrade what needs removals."""
        everything = self.args["scope"] == "all"
        if not any(told["phase"] is not None or everything for told in self.updates.free()):
            return
        simulation = self.asker.simulate_all()
        waiting = simulation.deferred() | simulation.kept_back()
        phases = [told for told in self.updates.free() if told["phase"] is not None]
        phased = {told["name"]: "" for told in phases if told["name"] in waiting}
        self.updates.mark(phased, "phased")
        kept = [told for told in self.updates.free() if told["name"] in waiting]
        if everything and kept:
            self.updates.mark(self.explain(kept))

    def explain(self, kept):
        """{package: why apt keeps it back} for some updates."""
        why = {}
        for _round in range(ROUNDS):
            left = [told for told in kept if told["name"] not in why]
            simulation = self.asker.simulate(self.words(left))
            found = due.blockers(simulation, {told["name"] for told in left})
            why.update(found)
            if not found or len(found) == len(left):
                break
        removed = ", ".join(item["name"] for item in simulation.removals)
        words = "would remove " + removed if removed else "apt keeps it back"
        return {told["name"]: why.get(told["name"], words) for told in kept}

    def words(self, updates):
        """Updates as `name=version`."""
        return ["%s=%s" % (apt.word(told["name"], told["arch"], self.native), told["candidate"]) for told in updates]

    def report(self, simulation):
        """Stream the findings."""
        self.updates.tell(self.out, self.facts)
        if simulation is None:
            return
        installs = simulation.installs
        download, growth, largest = weights.weigh(self.asker, installs, self.found, self.native)
        kernel = any(item["name"].startswith("linux-image") for item in installs)
        self.facts["no_space"] = space.shortage(download, growth, largest, kernel)
        for item in installs:
            item["way_back"] = self.way_back(item)
        self.out.finding(
            "transaction",
            "",
            packages=installs,
            removals=simulation.removals,
            downgrades=[i["name"] for i in installs if i["from"] and dpkg.compare(i["from"], i["to"]) > 0],
            foreign=self.foreign(installs),
            download=download,
            growth=growth,
        )

    def way_back(self, item):
        """Where the installed version could be had again: a repository, apt's cache, the host itself; else empty."""
        package = weights.installed(item["name"], item["arch"], self.found)
        if package is None:
            return ""
        policy = self.known.get(apt.word(package.name, package.arch, self.native))
        if policy and due.has_source(package, policy, self.lists):
            return "repository"
        name = "%s_%s_%s.deb" % (package.name, package.version.replace(":", "%3a"), package.arch)
        if os.path.exists(space.ARCHIVES + "/" + name):
            return "cache"
        return "repacked" if tools.find("dpkg-repack") else ""

    def foreign(self, installs):
        """Packages that come along from repositories that are not the distribution's."""
        chosen = {(told["name"], told["arch"]) for told in self.updates.free()}
        along = [item for item in installs if (item["name"], item["arch"]) not in chosen]
        if self.args["scope"] == "all" or not along:
            return []
        words = {apt.word(item["name"], item["arch"], self.native): item for item in along}
        policies = self.asker.policy(sorted(words))
        return sorted(item["name"] for name, item in words.items() if self.comes_from_afar(policies.get(name), item))

    def comes_from_afar(self, policy, item):
        """Whether a version is not the distribution's own, or nobody knows whose it is."""
        for version in policy["versions"] if policy else []:
            if version["version"] == item["to"]:
                return due.is_foreign(version, self.lists, self.args)
        return True


def installing(found):
    """Who is installing packages right now, empty when nobody is: half-done packages are then no fault."""
    if os.geteuid() != 0:
        return ""
    for run in unit.runs():
        if run.alive():
            return "%s still runs, see %s" % (run.name, run.log)
    if dpkg.broken(found) or dpkg.interrupted():
        return next(("%s is at work" % who for who in map(dpkg.holder, dpkg.LOCKS) if who), "")
    return ""


def upgrade(step, out):
    """The step operation of the host's package manager; imported late, since looking does not need it."""
    return upgrading().upgrade(step, out)


def recall(change):
    """What became of a change, as the host's package manager tells."""
    return upgrading().recall(change)


def upgrading():
    """The module that upgrades with the host's package manager."""
    return importlib.import_module("." + UPGRADES[managers.choose().name or "apt"], __package__)
