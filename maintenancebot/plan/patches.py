"""Chooses upgrades: the transaction that apt simulated, whole or not at all, and a reason for what stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from maintenancebot.model import Action, Change, Finding, Host, HostFacts, Json, Reason, Risk, State, Undo
from maintenancebot.plan.document import TaskPlan, make_change
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.settings import Settings, Task
from maintenancebot.settings.tasks import PackageUpdateTask

HIGH_RISK = (
    *("linux-image*", "linux-modules*", "grub*", "shim*", "initramfs-tools*", "libc6*", "libc-bin", "dpkg", "apt"),
    *("systemd*", "libsystemd*", "udev", "init", "dbus*", "openssh-server", "libpam*", "sudo", "netplan*", "ifupdown*"),
    *("docker*", "containerd*", "runc", "podman*", "libvirt*", "qemu*", "kubelet", "k3s*"),
    *("postgresql*", "mysql*", "mariadb*", "mongodb*", "redis*", "valkey*", "elasticsearch*", "slapd", "rabbitmq*"),
)
"""Packages whose upgrade restarts many things, can lock everybody out, wants a reboot, or carries data along."""

STAYS = {
    "held": Reason.HELD,
    "pinned": Reason.PINNED,
    "blocked": Reason.BLOCKED,
    "foreign_origin": Reason.FOREIGN_ORIGIN,
    "phased": Reason.PHASED,
    "would_downgrade": Reason.WOULD_DOWNGRADE,
}
"""What stands in the way of a single update, the most telling first."""

NO_WAY_BACK = "maintainer scripts do not downgrade"
NEWLY_INSTALLED = "newly installed as a dependency; removing it is left to a person"
NAMES_TOLD = 20


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
        return tuple(_words(update) for update in self.updates if update["status"] == status)


def plan(host: Host, task: Task, settings: Settings, facts: HostFacts, result: ProbeResult) -> TaskPlan:
    """One change for each package of the transaction; refused whole when it would do more than upgrade."""
    assert isinstance(task, PackageUpdateTask)
    try:
        seen = _read(result.findings)
        told = _facts(result, seen)
        state, reason, detail = _verdict(task, facts, result, seen)
        changes = tuple(_change(host, task, seen, item) for item in seen.packages) if state is State.PLANNED else ()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return TaskPlan(
            task.name, task.type, State.UNKNOWN, Reason.HELPER_ERROR, f"the answer is not as agreed: {error!r}"
        )
    return TaskPlan(task.name, task.type, state, reason, detail, changes, told)


def risk_of(package: str) -> Risk:
    """Any upgrade may restart a service; some restart many, or the machine."""
    return Risk.HIGH if any(fnmatchcase(package, pattern) for pattern in HIGH_RISK) else Risk.MEDIUM


def _verdict(task: PackageUpdateTask, facts: HostFacts, result: ProbeResult, seen: _Seen) -> tuple[State, Reason, str]:
    if result.state is not State.DONE:
        return result.state, result.reason, result.detail
    for state, reason, names in _objections(task, facts, result, seen):
        if names:
            return state, reason, _listed(names)
    stays = _stays(seen)
    if seen.packages:
        return State.PLANNED, Reason.NONE, "; ".join(f"stays, {r}: {_listed(names)}" for r, names in stays.items())
    for reason, names in stays.items():
        return State.SKIPPED, reason, _listed(names)
    return State.NOTHING, Reason.UP_TO_DATE, ""


def _objections(
    task: PackageUpdateTask, facts: HostFacts, result: ProbeResult, seen: _Seen
) -> tuple[tuple[State, Reason, Sequence[str]], ...]:
    """What forbids the transaction as a whole, in the order in which it is told, each with the names to tell."""
    broken = ["dpkg was interrupted"] * bool(result.facts["interrupted"]) + list(result.facts["broken"])
    new = seen.new if len(seen.new) > task.max_new_packages else ()
    user = [f"{len(seen.packages)} packages would be upgraded"] if seen.packages and not facts.is_root else []
    return (
        (State.FAILED, Reason.PACKAGES_BROKEN, broken),
        (State.SKIPPED, Reason.WOULD_REMOVE, seen.removals),
        (State.SKIPPED, Reason.WOULD_DOWNGRADE, seen.downgrades),
        (State.SKIPPED, Reason.FOREIGN_ORIGIN, seen.named("foreign_origin") + seen.foreign),
        (State.SKIPPED, Reason.OVER_CAP, new),
        (State.SKIPPED, Reason.NO_SPACE, list(result.facts["no_space"])),
        (State.SKIPPED, Reason.NEEDS_ROOT, user),
    )


def _stays(seen: _Seen) -> dict[Reason, tuple[str, ...]]:
    return {reason: seen.named(status) for status, reason in STAYS.items() if seen.named(status)}


def _change(host: Host, task: PackageUpdateTask, seen: _Seen, package: Mapping[str, Json]) -> Change:
    name, target, before = (str(package[key]) for key in ("name", "to", "from"))
    security = any(u["security"] for u in seen.updates if (u["name"], u["arch"]) == (name, package["arch"]))
    return make_change(
        host.name,
        task.name,
        Action.UPGRADE_PACKAGE,
        name=f"{name}={target}",
        identity={"package": name, "architecture": str(package["arch"]), "from": before, "to": target},
        undo=Undo.DOWNGRADE if before else Undo.NONE,
        risk=risk_of(name),
        effect={
            "security": security,
            "download_bytes": int(package["download"]),
            "disk_bytes": int(package["growth"]),
        },
        note=NO_WAY_BACK if before else NEWLY_INSTALLED,
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


def _facts(result: ProbeResult, seen: _Seen) -> dict[str, Json]:
    """For the report: what is due, what stays and why, how old the lists are, whether a reboot is due."""
    upgrades = len(seen.packages) - len(seen.new)
    told: dict[str, Json] = {
        "due": upgrades,
        "security": sum(1 for update in seen.updates if update["security"] and update["status"] == "due"),
        "new_packages": list(seen.new),
        "download_bytes": seen.download,
        "stays": {str(reason): list(names) for reason, names in _stays(seen).items()},
    }
    for key in ("lists_time", "lists_age_seconds", "refreshed", "other_updates", "reboot", "interrupted", "broken"):
        if key in result.facts:
            told[key] = result.facts[key]
    return told


def _words(update: Mapping[str, Json]) -> str:
    words = f"{update['name']} {update['installed']} -> {update['candidate']}"
    return words + (f" ({update['detail']})" if update["detail"] else "")


def _listed(names: Sequence[str]) -> str:
    more = len(names) - NAMES_TOLD
    return ", ".join(map(str, names[:NAMES_TOLD])) + (f" and {more} more" if more > 0 else "")
