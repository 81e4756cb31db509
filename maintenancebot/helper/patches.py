"""Looks at what patches a host needs, as apt would choose them; writes nothing unless asked to renew the lists."""

import os
import time

from . import apt, aptlists, dpkg, due, restarts, results, space, tools, unit, weights

OTHER_MANAGERS = ("dnf", "yum", "zypper")
ROUNDS = 8
"""How many packages may turn out to be blocked before apt's answer is called unreadable."""


def probe(args, out):
    """Report each wanted update, held back or not, and the one transaction that would bring those that can be had."""
    if not tools.find("apt-get"):
        other = next((name for name in OTHER_MANAGERS if tools.find(name)), None)
        detail = "not yet for %s" % other if other else "no apt-get, dnf or zypper on the host"
        return results.Result("skipped", "unsupported", detail)
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
        self.facts = {"refreshed": args["refresh"], "other_updates": 0}
        self.updates = []

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
        if self.args["scope"] != "all" and not any(r.is_security(self.args["origins"]) for r in self.lists.releases):
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
        }

    def assess(self):
        """Find the wanted updates among all installed packages."""
        names = {apt.word(p.name, p.arch, self.native): p for p in self.found.values() if p.whole}
        policies = self.policies(names)
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
        self.keep_back()
        for _round in range(ROUNDS):
            chosen = self.free()
            if not chosen:
                return None
            simulation = self.asker.simulate(self.words(chosen))
            if simulation.ok:
                return simulation
            found = due.blockers(simulation, {told["name"] for told in chosen})
            if not found:
                raise apt.AptError(simulation.error())
            self.mark(found, "blocked")
        raise apt.AptError("too many updates are blocked: " + simulation.error())

    def keep_back(self):
        """Leave out what apt itself would leave for later: phases, and in a full upgrade what needs removals."""
        everything = self.args["scope"] == "all"
        if not any(told["phase"] is not None or everything for told in self.free()):
            return
        simulation = self.asker.simulate_all()
        waiting = simulation.deferred() | simulation.kept_back()
        phased = {told["name"]: "" for told in self.free() if told["phase"] is not None and told["name"] in waiting}
        self.mark(phased, "phased")
        kept = [told for told in self.free() if told["name"] in waiting]
        if everything and kept:
            self.mark(self.explain(kept), "blocked")

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

    def free(self):
        """The updates that nothing stands in the way of."""
        return [told for told in self.updates if told["status"] == "due"]

    def mark(self, details, status):
        """Give updates a status, by package name."""
        for told in self.free():
            if told["name"] in details:
                told["status"], told["detail"] = status, details[told["name"]]

    def report(self, simulation):
        """Stream the findings."""
        for told in self.updates:
            self.out.finding("package", told["name"], **told)
        self.facts["due"] = len(self.free())
        self.facts["no_space"] = []
        if simulation is None:
            return
        installs = simulation.installs
        download, growth, largest = weights.weigh(self.asker, installs, self.found, self.native)
        kernel = any(item["name"].startswith("linux-image") for item in installs)
        self.facts["no_space"] = space.shortage(download, growth, largest, kernel)
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

    def foreign(self, installs):
        """Packages that come along from repositories that are not the distribution's."""
        chosen = {(told["name"], told["arch"]) for told in self.free()}
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
    """The step operation, see `upgrade.upgrade`; imported late, since looking does not need it."""
    from . import upgrade as upgrading

    return upgrading.upgrade(step, out)


def recall(change):
    """What became of a change, see `upgrade.recall`."""
    from . import upgrade as upgrading

    return upgrading.recall(change)
