"""Chooses upgrades: the simulated transaction, whole or not at all, and a reason for what stays; repair and reboot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from maintenancebot.model import Action, Change, Finding, Host, HostFacts, Json, Reason, Risk, State, Undo
from maintenancebot.plan import patch_words, reboots
from maintenancebot.plan.document import TaskPlan, make_change
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.plan.patch_words import listed, words
from maintenancebot.settings import Settings, Task
from maintenancebot.settings.tasks import PackageUpdateTask

HIGH_RISK = (
    *("linux-image*", "linux-modules*", "grub*", "shim*", "initramfs-tools*", "libc6*", "libc-bin", "dpkg", "apt"),
    *("kernel*", "glibc*", "dracut*", "rpm", "dnf*", "libdnf*", "zypper", "libzypp*", "libsolv*", "NetworkManager*"),
    *("systemd*", "libsystemd*", "udev", "init", "dbus*", "openssh*", "libpam*", "pam", "sudo", "netplan*"),
    *("ifupdown*", "docker*", "containerd*", "runc", "podman*", "libvirt*", "qemu*", "kubelet", "k3s*"),
    *("postgresql*", "mysql*", "mariadb*", "mongodb*", "redis*", "valkey*", "elasticsearch*", "slapd", "rabbitmq*"),
)
"""Packages whose upgrade restarts many things, can lock everybody out, wants a reboot, or carries data along."""

LOW_RISK = ("openssh-client*",)
"""Packages that only look as if they belonged to these."""

STAYS = {
    "no_errata": Reason.NO_ERRATA,
    "held": Reason.HELD,
    "pinned": Reason.PINNED,
    "blocked": Reason.BLOCKED,
    "known_bad": Reason.KNOWN_BAD,
    "foreign_origin": Reason.FOREIGN_ORIGIN,
    "phased": Reason.PHASED,
    "would_downgrade": Reason.WOULD_DOWNGRADE,
}
"""What stands in the way of a single update, the most telling first."""


@dataclass(frozen=True)
class _Seen:
    """What the probe told: wanted updates, and the one transaction for those that can be had."""

    updates: tuple[Mapping[str, Json], ...]
    packages: tuple[Mapping[str, Json], ...]
    removals: tuple[str, ...] = ()
    downgrades: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    download: int = 0

    @property
    def new(self) -> tuple[str, ...]:
        """Packages that were not installed before."""
        return tuple(str(package["name"]) for package in self.packages if not package["from"])

    def named(self, status: str) -> tuple[str, ...]:
        """The updates with a status, for people."""
        return tuple(words(update) for update in self.updates if update["status"] == status)

    def stays(self) -> dict[Reason, tuple[str, ...]]:
        """The updates that something stands in the way of, by its reason."""
        return {reason: self.named(status) for status, reason in STAYS.items() if self.named(status)}


def plan(host: Host, task: Task, settings: Settings, facts: HostFacts, result: ProbeResult) -> TaskPlan:
    """One change for each package of the transaction; refused whole when it would do more than upgrade.

    Where `repair` is set and packages are broken, the repair is planned alone. A reboot comes last.
    """
    assert isinstance(task, PackageUpdateTask)
    try:
        return _plan(host, task, facts, result, _read(result.findings))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return TaskPlan(
            task.name, task.type, State.UNKNOWN, Reason.HELPER_ERROR, f"the answer is not as agreed: {error!r}"
        )


def risk_of(package: str) -> Risk:
    """Any upgrade may restart a service; some restart many, or the machine."""
    high = any(fnmatchcase(package, pattern) for pattern in HIGH_RISK)
    return Risk.HIGH if high and not any(fnmatchcase(package, pattern) for pattern in LOW_RISK) else Risk.MEDIUM


def _plan(host: Host, task: PackageUpdateTask, facts: HostFacts, result: ProbeResult, seen: _Seen) -> TaskPlan:
    state, reason, detail = _refusal(task, facts, result, seen) or (State.PLANNED, Reason.NONE, "")
    changes: tuple[Change, ...] = ()
    if reason is Reason.PACKAGES_BROKEN and task.repair and facts.is_root and _manager(result) == "apt":
        changes = (_repair(host, task, result, detail),)
        state, reason, detail = State.PLANNED, Reason.NONE, f"{detail}; upgrades follow in the next run"
    elif state is State.PLANNED:
        upgrades = tuple(_change(host, task, seen, item, _manager(result)) for item in seen.packages)
        changes = upgrades + reboots.change(host, task, facts, result, seen.packages)
        state, reason, detail = _verdict(changes, seen)
    detail = "; ".join(filter(None, [detail, *patch_words.asides(task, result, seen.packages)]))
    return TaskPlan(task.name, task.type, state, reason, detail, changes, _facts(task, result, seen))


def _manager(result: ProbeResult) -> str:
    return str(result.facts.get("manager", "apt"))


def _refusal(
    task: PackageUpdateTask, facts: HostFacts, result: ProbeResult, seen: _Seen
) -> tuple[State, Reason, str] | None:
    """Why nothing at all is planned, None when there is no reason."""
    if result.state is not State.DONE:
        return result.state, result.reason, result.detail
    objections = _objections(task, facts, result, seen)
    return next(((state, reason, listed(names)) for state, reason, names in objections if names), None)


def _verdict(changes: Sequence[Change], seen: _Seen) -> tuple[State, Reason, str]:
    """What a plan without a refusal comes to."""
    stays = seen.stays()
    if changes:
        return State.PLANNED, Reason.NONE, "; ".join(f"stays, {r}: {listed(names)}" for r, names in stays.items())
    for reason, names in stays.items():
        return (State.UNKNOWN if reason is Reason.NO_ERRATA else State.SKIPPED), reason, listed(names)
    return State.NOTHING, Reason.UP_TO_DATE, ""


def _objections(
    task: PackageUpdateTask, facts: HostFacts, result: ProbeResult, seen: _Seen
) -> tuple[tuple[State, Reason, Sequence[str]], ...]:
    """What forbids the transaction as a whole, in the order in which it is told, each with the names to tell."""
    tool = {"apt": "dpkg"}.get(_manager(result), _manager(result))
    broken = [f"{tool} was interrupted"] * bool(result.facts["interrupted"]) + list(result.facts["broken"])
    new = seen.new if len(seen.new) > task.max_new_packages else ()
    hook = [str(told)] if (told := result.facts.get("snapshot_hook")) and seen.packages else []
    user = [f"{len(seen.packages)} packages would be upgraded"] if seen.packages and not facts.is_root else []
    return (
        (State.FAILED, Reason.PACKAGES_BROKEN, broken),
        (State.SKIPPED, Reason.WOULD_REMOVE, seen.removals),
        (State.SKIPPED, Reason.WOULD_DOWNGRADE, seen.downgrades),
        (State.SKIPPED, Reason.FOREIGN_ORIGIN, seen.named("foreign_origin") + seen.foreign),
        (State.SKIPPED, Reason.OVER_CAP, new),
        (State.SKIPPED, Reason.NO_SPACE, list(result.facts["no_space"])),
        (State.SKIPPED, Reason.NEEDS_ROOT, user),
        (State.SKIPPED, Reason.LACKS, hook),
    )


def _repair(host: Host, task: PackageUpdateTask, result: ProbeResult, what: str) -> Change:
    return make_change(
        host.name,
        task.name,
        Action.REPAIR_PACKAGES,
        name="dpkg",
        identity={"interrupted": bool(result.facts["interrupted"]), "broken": list(result.facts["broken"])},
        undo=Undo.NONE,
        risk=Risk.HIGH,
        note=f"finishes what was begun: {what}; upgrades follow in the next run",
    )


def _change(host: Host, task: PackageUpdateTask, seen: _Seen, package: Mapping[str, Json], manager: str) -> Change:
    name, target, before = (str(package[key]) for key in ("name", "to", "from"))
    mine = [u for u in seen.updates if (u["name"], u["arch"]) == (name, package["arch"])]
    effect: dict[str, Json] = {
        "security": any(u["security"] for u in mine),
        "download_bytes": int(package["download"]),
        "disk_bytes": int(package["growth"]),
    }
    for key in ("advisories", "cves"):
        found = sorted({str(one) for u in mine for one in u.get(key, ())})
        if found:
            effect[key] = found
    return make_change(
        host.name,
        task.name,
        Action.UPGRADE_PACKAGE,
        name=f"{name}={target}",
        identity={"package": name, "architecture": str(package["arch"]), "from": before, "to": target},
        undo=Undo.DOWNGRADE if before else Undo.NONE,
        risk=risk_of(name),
        effect=effect,
        note="; ".join(filter(None, [patch_words.source(mine), patch_words.way_back(task, package, manager)])),
    )


def _read(findings: Sequence[Finding]) -> _Seen:
    updates = tuple(finding.data for finding in findings if finding.kind == "package")
    for finding in findings:
        if finding.kind == "transaction":
            data = finding.data
            return _Seen(
                updates,
                packages=tuple(data["packages"]),
                removals=tuple(str(item["name"]) for item in data["removals"]),
                downgrades=tuple(map(str, data["downgrades"])),
                foreign=tuple(map(str, data["foreign"])),
                download=int(data["download"]),
            )
    return _Seen(updates, ())


def _facts(task: PackageUpdateTask, result: ProbeResult, seen: _Seen) -> dict[str, Json]:
    """For the report: what is due, what stays and why, how old the lists are, whether a reboot is due."""
    told: dict[str, Json] = {
        "due": len(seen.packages) - len(seen.new),
        "security": sum(1 for update in seen.updates if update["security"] and update["status"] == "due"),
        "new_packages": list(seen.new),
        "download_bytes": seen.download,
        "stays": {str(reason): list(names) for reason, names in seen.stays().items()},
        **patch_words.facts(task, result),
    }
    for key in ("advisories", "cves"):
        found = sorted({str(one) for update in seen.updates for one in update.get(key, ())})
        if found:
            told[key] = found
    return told
