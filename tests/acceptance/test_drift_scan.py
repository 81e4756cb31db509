"""Real hosts held against what is declared of them: what is told, what explains it, and nothing written."""

from __future__ import annotations

import hashlib
import json
import secrets
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from maintenancebot.model import Autonomy, Host
from maintenancebot.probes import drift as probe
from maintenancebot.remote.client import HelperCall
from maintenancebot.settings import DriftTask, Item, ItemKind, Settings
from tests.acceptance.subjects import LIMITS, Controller
from tests.lab import apt, rpm
from tests.lab.fleet import Fleet
from tests.lab.hosts import HostSpec, LabHost
from tests.lab.tools import wait_until
from tests.lab.watch import Watch, differences, manifest

LOOP = "#!/bin/sh\nwhile :; do echo rewritten >/etc/fought-over; sleep 1; done\n"
SERVICES = {
    "fighter": "[Service]\nExecStart=/usr/local/sbin/fighter\n",
    "puppet": "[Service]\nType=oneshot\nExecStart=/bin/cp /etc/hostname /etc/kept-by-puppet\nRemainAfterExit=true\n",
}
SETTINGS = Settings.model_validate(
    {"name": "lab", "tasks": [{"name": "patches", "type": "package_update", "scope": "all"}]}
)
OLD, NEW = "level = 1\n", "level = 2\n"


def item(kind: ItemKind, name: str, content: str = "", *, diff: bool = False, **wanted: Any) -> Item:
    data = content.encode()
    hashed = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)} if content else {}
    return Item(kind, name, {**hashed, **wanted}, content=data if content else None, diff=diff)


def file(name: str, content: str = "", **more: Any) -> Item:
    return item(ItemKind.FILE, name, content, **{"state": "present", **more})


def ask(controller: Controller, name: str, op: str, args: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Data by subject, and how the probe ended; raises if that is not one answer in one execution."""
    with controller.session(name) as session:
        request = {"mode": "probe", "lock": "shared", "tasks": [{"id": "t", "op": op, "args": args}]}
        heard = list(HelperCall(session, request, LIMITS).frames())
    found = {one["subject"]: one["data"] for kind, told in heard if kind == "finding" for one in told["items"]}
    (ended,) = (told for kind, told in heard if kind == "task")
    return found, ended


def scan(controller: Controller, name: str, *items: Item) -> dict[str, dict[str, Any]]:
    """What is not as declared, by item."""
    task = DriftTask(items, Autonomy.OBSERVE)
    args = probe.request(task, SETTINGS, Host(name, "127.0.0.1"), refresh=False)
    found, ended = ask(controller, name, probe.OP, args)
    assert (ended["state"], ended["facts"]) == ("ok", {"items": len(items), "matches": len(items) - len(found)}), ended
    return found


def states(found: Mapping[str, Any]) -> dict[str, str]:
    return {name: told["state"] for name, told in found.items()}


@pytest.fixture(scope="module")
def at_work(make_fleet: Callable[..., Fleet]) -> tuple[Controller, LabHost]:
    """A host that tests change, each its own things."""
    fleet = make_fleet(HostSpec("web", release="bookworm"))
    return Controller(fleet), fleet["web"]


def test_each_kind_is_compared_with_the_real_thing_and_nothing_is_written(at_work: tuple[Controller, LabHost]) -> None:
    controller, host = at_work
    host.write("/etc/motd.d/declared", "welcome\n", mode=0o640)
    host.write("/var/spool/cron/crontabs/ops", "0 4 * * * true\n", mode=0o600)
    key = host.read("/home/ops/.ssh/authorized_keys").decode().strip()
    uid = host.ids("ops")[0]
    good = (
        file("/etc/motd.d/declared", "welcome\n", mode="0640", owner="root", group="root"),
        file("/etc/nologin", state="absent"),
        item(ItemKind.PACKAGE, "openssh-server", state="installed", version="1:9.*", held=False),
        item(ItemKind.PACKAGE, "telnetd", state="absent"),
        item(ItemKind.SERVICE, "ssh.service", enabled=True, active=True, masked=False),
        item(ItemKind.SERVICE, "systemd-journald.service", enabled=True, active=True),
        item(ItemKind.SYSCTL, "kernel.ostype", value="Linux"),
        item(ItemKind.USER, "ops", state="present", uid=uid, groups=["ops"], home="/home/ops"),
        item(ItemKind.GROUP, "ops", state="present", members=["ops"]),
        item(ItemKind.KEYS, "ops", keys=[key], exclusive=True),
        item(ItemKind.CRONTAB, "ops", "0 4 * * * true\n", state="present"),
        item(ItemKind.MOUNT, "/proc", state="present", fs_type="proc", options=["noexec"]),
    )
    before = manifest(host)
    with Watch(host) as watch:
        assert scan(controller, host.name, *good) == {}
        bad = scan(controller, host.name, *(Item(one.kind, one.name, _other(one)) for one in good))
        assert watch.events() == []
    assert differences(before, manifest(host)) == []
    assert set(bad) == {one.id for one in good}
    assert set(states(bad).values()) == {"differs", "missing", "unexpected"}


def _other(one: Item) -> dict[str, Any]:
    """What the item is not."""
    turned = {"present": "absent", "absent": "present", "installed": "absent"}
    if one.kind is ItemKind.PACKAGE and one.wanted["state"] == "absent":
        return {"state": "installed"}
    if "state" in one.wanted:
        return {"state": turned[one.wanted["state"]]}
    if one.kind is ItemKind.KEYS:
        return {"keys": [], "exclusive": True}
    return {key: not value if isinstance(value, bool) else f"{value} " + "x" for key, value in one.wanted.items()}


@contextmanager
def logged_in(host: LabHost) -> Iterator[None]:
    """Somebody has a terminal on the host meanwhile."""
    wtmp = host.write("/var/log/wtmp", "", mode=0o664)
    with subprocess.Popen(host.ssh_argv("ops", "-tt"), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as session:
        try:
            wait_until(lambda: b"ops" in wtmp.read_bytes(), "wtmp has the login")
            yield
        finally:
            session.kill()


def test_what_people_do_by_hand_is_told_with_who_was_there(at_work: tuple[Controller, LabHost]) -> None:
    controller, host = at_work
    good = host.read("/etc/ssh/sshd_config").decode()
    mine = host.read("/home/ops/.ssh/authorized_keys").decode().strip()
    other = mine.replace(mine.split()[1][-12:-4], "AAAAAAAA") + " intruder"
    secret = secrets.token_hex(20)
    host.write("/etc/real.conf", "x\n")
    with logged_in(host):
        host.write("/etc/ssh/sshd_config", good + f"PermitRootLogin yes\n# token {secret}\n", mode=0o600)
    host.sh(f"ln -sf /etc/real.conf /etc/linked.conf; echo '{other}' >>/home/ops/.ssh/authorized_keys")
    host.sh("systemctl mask --quiet fstrim.timer")
    found = scan(
        controller,
        host.name,
        file("/etc/ssh/sshd_config", good, diff=True, mode="0644"),
        file("/etc/linked.conf", "x\n"),
        item(ItemKind.KEYS, "ops", keys=[mine], exclusive=True),
        item(ItemKind.SERVICE, "fstrim.timer", masked=False),
    )
    assert states(found) == {
        "file:/etc/ssh/sshd_config": "differs",
        "file:/etc/linked.conf": "link",
        "keys:ops": "differs",
        "service:fstrim.timer": "differs",
    }
    changed = found["file:/etc/ssh/sshd_config"]
    assert changed["differs"] == ["mode", "sha256", "size"]
    assert "-PermitRootLogin yes" in changed["diff"]
    assert changed["explained"] == {}
    assert changed["writers"]["package"] == "openssh-server"
    assert changed["writers"]["logins"] == ["ops from 127.0.0.1"]
    assert found["keys:ops"]["found"]["extra"][0].endswith(" intruder")
    assert secret not in json.dumps(found)


def test_a_conffile_that_an_upgrade_brought_is_explained_until_somebody_touches_it(
    at_work: tuple[Controller, LabHost], make_repository: Callable[..., apt.Repository]
) -> None:
    controller, host = at_work
    repository = make_repository(apt.security())
    versions = [
        apt.Package("demo", version, conffiles={"/etc/demo.conf": text}, files={"/usr/lib/demo/data": text})
        for version, text in (("1.0", OLD), ("1.1", NEW))
    ]
    repository.publish(versions[0])
    repository.attach(host)
    host.run(["apt-get", "install", "-y", "-q", "demo"])
    declared = (file("/etc/demo.conf", OLD), file("/usr/lib/demo/data", OLD))
    assert scan(controller, host.name, *declared) == {}
    fresh = scan(controller, host.name, file("/etc/demo.conf", "level = 9\n"))
    assert fresh["file:/etc/demo.conf"]["explained"] == {}  # never brought to its declared state
    repository.publish(versions[1])
    host.sh("apt-get update -q; apt-get install -y -q demo")
    upgraded = scan(controller, host.name, *declared, item(ItemKind.PACKAGE, "demo", version="1.0"))
    told = {name: (one["explained"].get("package"), one["explained"].get("version")) for name, one in upgraded.items()}
    assert told == {
        "file:/etc/demo.conf": ("demo", "1.1"),
        "file:/usr/lib/demo/data": ("demo", "1.1"),
        "package:demo": (None, None),
    }
    host.write("/etc/demo.conf", NEW + "# by hand\n")
    touched = scan(controller, host.name, *declared)
    assert touched["file:/etc/demo.conf"]["explained"] == {}
    assert touched["file:/etc/demo.conf"]["writers"]["package"] == "demo"


def test_other_tools_that_write_are_named_with_their_units(at_work: tuple[Controller, LabHost]) -> None:
    controller, host = at_work
    host.write("/usr/local/sbin/fighter", LOOP, mode=0o755)
    for name, text in SERVICES.items():
        host.write(f"/etc/systemd/system/{name}.service", text)
    host.sh("systemctl daemon-reload; systemctl start fighter.service puppet.service")
    places = ("/etc/fought-over", "/etc/kept-by-puppet")
    try:
        wait_until(lambda: all(host.path(place).exists() for place in places), "the other tools write")
        found = scan(controller, host.name, *(file(place, "declared\n") for place in places))
    finally:
        host.sh("systemctl stop fighter.service")
    told = {name: " ".join(one["writers"]["processes"]) for name, one in found.items()}
    assert "of fighter.service, whose script names it" in told["file:/etc/fought-over"]
    assert "puppet.service, which ran then" in told["file:/etc/kept-by-puppet"]


def test_without_root_what_cannot_be_read_is_said_item_by_item(at_work: tuple[Controller, LabHost]) -> None:
    controller, host = at_work
    host.write("/etc/only-root", "x\n", mode=0o600)
    items = (
        file("/etc/only-root", "x\n"),
        file("/etc/hostname", mode="0644"),
        item(ItemKind.USER, "ops", locked=True),
        item(ItemKind.SERVICE, "ssh.service", active=True),
    )
    found = scan(Controller(controller.fleet, "plain"), host.name, *items)
    assert states(found) == {"file:/etc/only-root": "unreadable", "user:ops": "unreadable"}


def test_what_an_upgrade_of_an_rpm_brought_is_explained(own_fleet: Fleet) -> None:
    controller, host = Controller(own_fleet), own_fleet.host("rocky", variant="dnf")
    rpm.convert(host, "dnf")
    rpm.publish(host, "/srv/repository", *(rpm.Rpm("demo", version) for version in ("1.0", "1.1")))
    rpm.attach(host, "repository", "file:///srv/repository")
    declared = (
        file("/etc/demo.conf", "version = 1.0\n"),
        item(ItemKind.PACKAGE, "demo", state="installed", version="1.*", held=False),
    )
    host.sh("dnf -q -y install demo-1.0")
    fresh = scan(controller, host.name, *declared, file("/etc/demo.conf", "declared\n", mode="0644"))
    assert {name: told["explained"] for name, told in fresh.items()} == {"file:/etc/demo.conf": {}}
    host.sh("dnf -q -y upgrade demo")
    before = manifest(host)
    found = scan(controller, host.name, *declared)
    assert differences(before, manifest(host)) == []
    assert list(found) == ["file:/etc/demo.conf"]
    explained = found["file:/etc/demo.conf"]["explained"]
    assert (explained["by"], explained["package"], explained["version"]) == ("package", "demo", "1.1-1")


@pytest.mark.parametrize("name", ["bullseye", "bookworm", "trixie"])
def test_a_captured_host_is_as_it_was_captured(fleet: Fleet, name: str) -> None:
    controller = Controller(fleet)
    fleet[name].sh("rm -f /var/cache/apt/*.bin")  # which apt would write for a mere question
    before = manifest(fleet[name])
    captured, ended = ask(controller, name, "capture", {})
    assert (ended["state"], ended["detail"]) == ("ok", "")
    kinds = {subject.partition(":")[0] for subject in captured}
    assert {"file", "package", "service", "user", "keys"} <= kinds, kinds
    items = [_captured(subject, told["wanted"]) for subject, told in captured.items()]
    assert scan(controller, name, *items) == {}
    assert differences(before, manifest(fleet[name])) == []


def _captured(subject: str, wanted: Mapping[str, Any]) -> Item:
    kind, _, name = subject.partition(":")
    return Item(ItemKind(kind), name, wanted)


def many(host: LabHost, count: int) -> Sequence[Item]:
    """Files with different contents, declared as they are."""
    for number in range(count):
        host.write(f"/srv/many/{number % 20}/{number}", f"file {number}\n")
    return [file(f"/srv/many/{n % 20}/{n}", f"file {n}\n", mode="0644", owner="root") for n in range(count)]


def test_five_hundred_items_are_one_execution_and_all_can_differ_at_once(at_work: tuple[Controller, LabHost]) -> None:
    controller, host = at_work
    items = many(host, 500)
    assert scan(controller, host.name, *items) == {}
    host.sh("cd /srv/many; for f in */*; do echo drifted >$f; done")
    found = scan(controller, host.name, *items)
    assert len(found) == 500
    assert {tuple(told["differs"]) for told in found.values()} <= {("sha256",), ("sha256", "size")}
