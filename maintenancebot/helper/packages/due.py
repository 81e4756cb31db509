"""Which installed packages have an update that is wanted, and what stands in its way; pure."""

import fnmatch

from . import apt


def assess(package, policy, lists, args):
    """One package's update as a finding carries it, None when it is not wanted or there is none.

    A fix that a later version of another archive covers counts: every version above the installed one up to the
    candidate is looked at. A fix above the candidate is kept away by a pin.
    """
    versions = policy["versions"]
    here = next((number for number, version in enumerate(versions) if version["installed"]), None)
    chosen = next((n for n, version in enumerate(versions) if version["version"] == policy["candidate"]), None)
    if here is None:
        return None
    upgrade = versions[chosen:here] if chosen is not None and chosen < here else []
    hidden = versions[: chosen if upgrade else here]
    security = any(is_security(version, lists, args) for version in upgrade)
    told = {
        "name": package.name,
        "arch": package.arch,
        "installed": package.version,
        "candidate": policy["candidate"],
        "security": security,
        "origins": [origin for version in upgrade for origin in origins(version, lists)],
        "phase": upgrade[0]["phased"] if upgrade else None,
        "detail": "",
    }
    if chosen is not None and chosen > here and package.version != policy["candidate"]:
        told["status"] = "would_downgrade"
    elif upgrade and (security or args["scope"] == "all"):
        told["status"] = status(package, upgrade[0], lists, args)
    elif any(is_security(version, lists, args) for version in hidden):
        told.update(pinned(hidden, lists, args))
    else:
        return None
    return told


def status(package, candidate, lists, args):
    """What stands in the way of a wanted update, `due` when nothing does."""
    if package.held:
        return "held"
    if args["scope"] != "all" and is_foreign(candidate, lists, args):
        return "foreign_origin"
    return "due"


def pinned(hidden, lists, args):
    """A fix is there, but the host's preferences choose an older version."""
    fixes = [version for version in hidden if is_security(version, lists, args)]
    found = [origin for version in fixes for origin in origins(version, lists)]
    status = "pinned" if fixes[0]["phased"] is None else "phased"  # apt 2.2 lowers the priority until its phase comes
    return {"status": status, "security": True, "candidate": fixes[0]["version"], "origins": found}


def outside_scope(policy, told):
    """Whether a package has an update that is not wanted: no security fix in it."""
    return told is None and policy["candidate"] not in ("", policy["installed"])


def releases(version, lists):
    """The repositories that have a version."""
    return [release for release in map(lists.of_source, version["sources"]) if release is not None]


def is_security(version, lists, args):
    """Whether a version comes from a security archive."""
    return any(release.is_security(archives(args)) for release in releases(version, lists))


def is_foreign(version, lists, args):
    """Whether no repository of the distribution has a version, nor a further security archive."""
    return not any(is_own(release, args) for release in releases(version, lists))


def is_own(release, args):
    """Whether a repository is the distribution's, or one of the security archives that the configuration adds."""
    distribution = any(fnmatch.fnmatchcase(release.origin, pattern[0]) for pattern in args["origins"])
    return distribution or release.is_security(args.get("further", []))


def archives(args):
    """The patterns of all security archives."""
    return args["origins"] + args.get("further", [])


def has_source(package, policy, lists):
    """Whether a repository still has the installed version."""
    here = [version for version in policy["versions"] if version["version"] == package.version]
    return any(releases(version, lists) for version in here)


def origins(version, lists):
    """Where a version comes from, as a finding carries it."""
    return [dict(release.described(), version=version["version"]) for release in releases(version, lists)]


def blockers(simulation, names):
    """{package: what blocks it} of those in `names` that apt's complaints name."""
    found = {}
    for subject, need in simulation.unmet():
        name = subject.partition(":")[0]
        other = need.partition(": ")[2].split(" ")[0].partition(":")[0]
        if name in names:
            found.setdefault(name, need)
        elif other in names:
            found.setdefault(other, "%s %s" % (name, need))
    return found


def same(installs, changes):
    """Whether a simulation does exactly the changes."""
    planned = {(c["package"], c["architecture"], c["from"], c["to"]) for c in changes}
    return planned == {(i["name"], i["arch"], i["from"], i["to"]) for i in installs}


def words(changes, native):
    """The upgrades of a list of changes as `name=version`; new packages come in as dependencies."""
    return sorted(
        "%s=%s" % (apt.word(change["package"], change["architecture"], native), change["to"])
        for change in changes
        if change["from"]
    )
