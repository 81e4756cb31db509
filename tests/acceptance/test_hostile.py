"""Hosts that lie, hang, swap and break: each result says what is so, and nothing outside is touched."""

from __future__ import annotations

import gzip
import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.acceptance.command import TASKS, Bot, wait_while_running
from tests.lab import apt, certificates
from tests.lab.disks import add_disk
from tests.lab.fleet import Fleet
from tests.lab.hosts import HostSpec, LabHost
from tests.lab.tools import wait_until
from tests.lab.watch import Entry, manifest
from tests.lab.wire import Wire

HELPER = "^/usr/bin/python3 .*[b]=sys.stdin"  # matches the helper alone, not the shell that looks for it
PATCHES, _, DOCKER, _, MONITOR = TASKS
ALL = {"caps": {"share": 1.0}}
ALL_AT_ONCE = {"waves": {"canaries": False, "growth": 10, "max_failures": 20}, "health": {"settle_seconds": 1}}

LOCK = "import fcntl,time; f=open('/var/lib/dpkg/lock-frontend','r+'); fcntl.lockf(f,fcntl.LOCK_EX); time.sleep(1e6)"
SILENT_SOCKET = """
import os, socket, time
server = socket.socket(socket.AF_UNIX)
server.bind("/run/docker.sock")
os.chmod("/run/docker.sock", 0o666)
server.listen(9)
time.sleep(1e6)
"""
BAD_TLS = """
import os, socket, threading, time
def serve(port, answer):
    server = socket.create_server((ADDRESS, port))
    while True:
        connection = server.accept()[0]
        threading.Thread(target=answer, args=(connection,), daemon=True).start()
def drip(connection):
    for byte in bytes.fromhex("1603034000020000") + bytes(9999):
        connection.sendall(bytes([byte]))
        time.sleep(1)
for port, answer in ((443, lambda c: time.sleep(1e6)), (8443, lambda c: c.sendall(os.urandom(99999))), (465, drip)):
    threading.Thread(target=serve, args=(port, answer)).start()
"""
SWAPPER = """
import os, time
base, end = "/srv/logs/app/", time.time() + 8
while time.time() < end:
    for n in range(4):
        here, aside, away = base + "d%d" % n, base + "aside%d" % n, "/srv/logs/away%d" % n
        try:
            os.rename(here, aside); os.symlink("/srv/victim", here); os.unlink(here)
            os.rename(aside, away + "/x"); os.symlink("/srv/victim", here); os.unlink(here)
            os.rename(away + "/x", here)
        except OSError:
            continue
    time.sleep(0.0005)
"""


def cleanup(path: str, compress: bool = True) -> dict[str, Any]:
    pattern = {"path": path, "retention_days": 30, "compress": compress}
    return {"name": "logs", "type": "cleanup", "patterns": [pattern]}


def instead_of(host: LabHost, program: str, script: str) -> None:
    """Another program in the place of one that root trusts; the real one stays beside it."""
    place = host.path(program)
    place.rename(f"{place}.real")
    host.write(program, f"#!/bin/sh\n{script}\n", mode=0o755)


def keep_running(host: LabHost, code: str) -> None:
    """Python code that runs in the host until it is switched off."""
    host.write("/root/kept.py", code)
    host.run(["systemd-run", "--quiet", "/usr/bin/python3", "/root/kept.py"])


def outcomes(host: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {
        change["object"]: (change["state"], change["reason"]) for task in host["tasks"] for change in task["changes"]
    }


def old_disk(host: LabHost, target: str, populate: Callable[[Path], list[str]], **options: Any) -> None:
    """A disk on which the named files are 90 days old."""
    add_disk(host, target, populate=lambda path: dict.fromkeys(populate(path), 90.0), **options)


def same_file(now: Entry | None, was: Entry) -> bool:
    fields = ("mode", "owner", "group", "size", "mtime_ns", "content")
    return now is not None and all(getattr(now, name) == getattr(was, name) for name in fields)


# Programs and ports that lie


@pytest.fixture(scope="module")
def liars(make_fleet: Callable[..., Fleet], tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Hosts with a security update waiting, each with something that does not do what it is for."""
    plain = ("installs-nothing", "renews-no-lists", "floods", "locked", "breaks", "good", "docker", "tls")
    fleet = make_fleet(*map(HostSpec, plain), HostSpec("certbot", variant="web"), HostSpec("openssl", variant="web"))
    for host in fleet:
        apt.install(host, apt.Package("demo", "1.0"), apt.Package("other", "1.0"))
        repository = apt.Repository(tmp_path_factory.mktemp("apt"), apt.security())
        scripts = {"postinst": "exit 1"} if host.name == "breaks" else {}
        repository.publish(apt.Package("demo", "1.1", scripts=scripts), apt.Package("other", "1.1"))
        repository.attach(host)
    words = 'case "$*" in {}) exec /usr/bin/apt-get.real "$@";; esac; {}'
    looking = "*--simulate*|*--print-uris*|*update"
    instead_of(fleet["installs-nothing"], "/usr/bin/apt-get", words.format(looking, "echo done; exit 0"))
    instead_of(fleet["renews-no-lists"], "/usr/bin/apt-get", words.format("*--simulate*|*--print-uris*", "exit 0"))
    instead_of(fleet["floods"], "/usr/bin/apt-get", words.format("*update", "exec yes"))
    keep_running(fleet["locked"], LOCK)
    keep_running(fleet["docker"], SILENT_SOCKET)
    keep_running(fleet["tls"], f"ADDRESS = {fleet['tls'].address!r}\n{BAD_TLS}")
    for number in range(8):
        made = certificates.certificate(f"{number}.example", days_left=60, lifetime_days=90)
        fleet["openssl"].write(f"/etc/nginx/ssl/{number}.pem", made.pem + made.key_pem)
    instead_of(fleet["openssl"], "/usr/bin/openssl", "exec sleep 1000000")
    old = certificates.certificate("www.example", days_left=3, lifetime_days=90)
    fleet["certbot"].write("/etc/letsencrypt/live/www.example/fullchain.pem", old.pem)
    fleet["certbot"].write("/etc/letsencrypt/live/www.example/privkey.pem", old.key_pem, mode=0o600)
    renewal = "[renewalparams]\nauthenticator = webroot\n"
    fleet["certbot"].write("/etc/letsencrypt/renewal/www.example.conf", renewal)
    instead_of(fleet["certbot"], "/usr/bin/certbot", "echo Congratulations, all renewals succeeded; exit 0")
    return fleet


def test_what_programs_and_ports_claim_is_never_taken_for_done(liars: Fleet, tmp_path: Path) -> None:
    bot = Bot(tmp_path, liars)
    bot.configure(**settings_of(bot), tasks=[{**PATCHES, **ALL_AT_ONCE, "lock_timeout_seconds": 5}, DOCKER, MONITOR])
    ran = bot("run", "--json")
    assert ran.code == 1
    hosts = {host["host"]: host for host in ran.document["hosts"]}
    assert set(hosts) == {host.name for host in liars}

    def said(name: str, task: str) -> tuple[str, str]:
        found = ran.task(name, task)
        return found["state"], found["reason"]

    updates = {host.name: said(host.name, "security_patches") for host in liars}
    assert updates == {
        **dict.fromkeys(("good", "docker", "tls", "certbot", "openssl"), ("done", "verified")),
        "installs-nothing": ("failed", "tool_failed"),
        "renews-no-lists": ("unknown", "lists_failed"),
        "floods": ("unknown", "tool_failed"),
        "locked": ("skipped", "busy"),
        "breaks": ("failed", "packages_broken"),
    }
    for host in liars:
        done = {name for name, state in outcomes(hosts[host.name]).items() if state == ("done", "verified")}
        for name in ("demo", "other"):
            status = host.run(["dpkg-query", "-W", "-f", "${Version} ${db:Status-Status}", name]).stdout
            assert (f"{name}=1.1" in done) == (status == "1.1 installed"), (host.name, name, status)
    assert said("floods", "certificate_check") == ("nothing", "no_match"), "one bad program spoils no other task"
    assert said("docker", "docker_cleanup") == ("unknown", "not_responding")
    assert said("tls", "certificate_check") == ("unknown", "not_responding")
    assert said("certbot", "certificate_check") == ("failed", "renewal_failed")
    assert said("openssl", "certificate_check") == ("done", "valid")
    assert "8 private keys could not be compared" in ran.task("openssl", "certificate_check")["detail"]


def settings_of(bot: Bot) -> dict[str, Any]:
    """What the configuration of a test has besides tasks."""
    return {key: value for key, value in yaml.safe_load(bot.config.read_text()).items() if key != "tasks"}


# A connection, an sshd and a dpkg in the middle


def test_an_upgrade_outlives_its_connection_and_the_next_run_tells_how_it_ended(
    make_host: Callable[..., LabHost],
    make_repository: Callable[..., apt.Repository],
    make_wire: Callable[[LabHost], Wire],
    own_fleet: Fleet,
    tmp_path: Path,
) -> None:
    host = make_host("web-1")
    apt.install(host, apt.Package("demo", "1.0"))
    repository = make_repository(apt.security())
    slow = {"postinst": "systemctl restart ssh.service; sleep 12"}
    repository.publish(apt.Package("demo", "1.1", scripts=slow))
    repository.attach(host)
    wire = make_wire(host)
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(wire.known_hosts_line())
    bot = Bot(tmp_path, own_fleet, ssh={"known_hosts": str(known_hosts)})
    bot.configure(**settings_of(bot), tasks=[PATCHES])
    entry = yaml.safe_load(own_fleet.inventory.read_text())
    entry["hosts"]["web-1"].update(address=wire.address, port=wire.port)
    bot.inventory = tmp_path / "inventory.yaml"
    bot.inventory.write_text(yaml.safe_dump(entry))

    running = bot.start("run", "--json")
    asleep = ["pgrep", "-fx", "sleep 12"]
    wait_while_running(running, lambda: host.run(asleep, check=False).stdout, "the maintainer script to sleep")
    wire.cut()
    out, err = running.communicate(timeout=60)
    assert running.returncode == 1, err
    assert outcomes(json.loads(out)["hosts"][0]) == {"demo=1.1": ("unknown", "link_lost")}

    meanwhile = bot("dry-run", "--json")
    found = meanwhile.task("web-1", "security_patches")
    assert (found["state"], found["reason"]) == ("unknown", "busy")
    wait_until(lambda: not host.run(asleep, check=False).stdout, "the upgrade to end", 60)
    wait_until(lambda: "ok installed" in host.run(["dpkg", "-s", "demo"]).stdout, "dpkg to end", 20)
    wait_until(lambda: not host.run(["pgrep", "-x", "apt-get"], check=False).stdout, "apt to end", 20)
    after = bot("run", "--json")
    assert (after.code, apt.installed(host, "demo")) == (0, "1.1"), after.out
    assert any("was unfinished; found: done" in note for note in after.document["notes"]), after.document["notes"]
    assert bot("audit", "verify").code == 0


# Files and folders that change under our hands


def test_a_user_who_swaps_folders_and_links_gets_nothing_outside_touched(
    make_host: Callable[..., LabHost], own_fleet: Fleet, tmp_path: Path
) -> None:
    host = make_host("web-1")
    names = [f"d{folder}/{number}.x.log" for folder in range(4) for number in range(80)]

    def populate(path: Path) -> list[str]:
        for name in names:
            (path / "app" / name).parent.mkdir(parents=True, exist_ok=True)
            (path / "app" / name).write_bytes(name.encode() * 50)
        for folder in range(4):
            (path / f"away{folder}").mkdir()
        for place in path.rglob("*"):
            if place.name != "lost+found":
                os.chown(place, *host.ids("plain"))
        return [f"app/{name}" for name in names]

    old_disk(host, "/srv/logs", populate)
    for number in range(80):
        host.write(f"/srv/victim/{number}.x.log", b"precious", mode=0o600)
    bot = Bot(tmp_path, own_fleet, deletion={"allow": ["/srv/logs/app"], **ALL})
    bot.configure(**settings_of(bot), tasks=[cleanup("/srv/logs/app/**/*.*.log")])
    plan = tmp_path / "plan.json"
    assert len(outcomes(bot("dry-run", "--json", "--out", str(plan)).host("web-1"))) == len(names)
    before = manifest(host)
    host.run(["systemd-run", "--quiet", "--uid=plain", "sh", "-c", f"exec python3 -c {shlex.quote(SWAPPER)}"])
    found = outcomes(bot("run", "--plan", str(plan), "--json").host("web-1"))
    assert set(found.values()) <= {
        ("done", "verified"), ("skipped", "changed_since"), ("skipped", "symlink"), ("nothing", "already_gone")
    }  # fmt: skip
    wait_until(lambda: not host.run(["pgrep", "-u", "plain"], check=False).stdout, "the user to stop", 30)
    after = manifest(host)
    outside = ("/srv/victim", "/etc", "/home", "/root", "/usr")
    touched = [path for path in before if path.startswith(outside) and before[path] != after.get(path)]
    assert touched == []
    held = {item["path"] for item in json.loads(bot("trash", "list", "--json").out)["hosts"][0]["items"]}
    assert held == {path for path, state in found.items() if state == ("done", "verified")}
    for name in names:
        packed = f"/srv/logs/app/{name}" in held
        folder, _, file = name.partition("/")
        folders = (f"app/{folder}", f"app/aside{folder[1]}", f"away{folder[1]}/x")
        places = [f"/srv/logs/{place}/{file}" for place in folders]
        (content,) = [host.read(place) for place in (p + ".gz" * packed for p in places) if place in after]
        assert (gzip.decompress(content) if packed else content) == name.encode() * 50


def test_odd_names_are_handled_and_all_but_plain_idle_files_stay(
    make_host: Callable[..., LabHost], own_fleet: Fleet, tmp_path: Path
) -> None:
    host = make_host("web-1")
    odd = [b"new\nline.1.log", b"\x1b[2J\x07.2.log", b"\xff\xfe.3.log", b"-rf.4.log", b"$(id).5.log", b" .6.log"]
    odd.append(b"c" * 245 + b".7.log")

    def populate(path: Path) -> list[Any]:
        names = ("hard", "taken", "linked", "open", "top/in")
        regular = [*odd, b"e" * 247 + b".8.log", *(f"{name}.1.log".encode() for name in names)]
        for name in regular:
            place = Path(os.fsdecode(os.path.join(os.fsencode(path), name)))
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(b"old line\n" * 100)
        os.link(path / "hard.1.log", path / "hard.2.log")
        (path / "taken.1.log.gz").write_bytes(b"mine")
        (path / "linked.1.log.gz").symlink_to("/etc/nothing")
        os.mkfifo(path / "fifo.1.log")
        os.mknod(path / "null.1.log", 0o020666, os.makedev(1, 3))
        (path / "passwd.1.log").symlink_to("/etc/passwd")
        (path / "etc").symlink_to("/etc")
        return [*regular, b"hard.2.log", b"fifo.1.log", b"null.1.log", b"passwd.1.log"]

    old_disk(host, "/srv/logs", populate)
    keep_running(host, "import time; f = open('/srv/logs/open.1.log'); time.sleep(1e6)")
    host.sh("mkdir /srv/logs/mounted /srv/outside && touch -d 2020-01-01 /srv/outside/a.1.log")
    host.sh("mount --bind /srv/outside /srv/logs/mounted")
    bot = Bot(tmp_path, own_fleet, deletion={"allow": ["/srv/logs"], **ALL})
    bot.configure(**settings_of(bot), tasks=[cleanup("/srv/logs/**/*.*.log")])
    before = manifest(host)
    ran = bot("run", "--json")
    assert ran.code == 0, ran.err
    expected = {f"/srv/logs/{os.fsdecode(name)}" for name in [*odd, b"top/in.1.log"]}
    assert outcomes(ran.host("web-1")) == dict.fromkeys(expected, ("done", "verified"))
    kept = ran.task("web-1", "logs")["facts"]["kept"]
    once = ("symlink", "name_too_long", "in_use", "other_file_system")
    assert kept == {**dict.fromkeys(once, 1), "special": 2, "hard_linked": 2, "target_exists": 2}
    after = manifest(host)
    ours = ("/srv/logs", "/var/log/journal", "/var/lib/maintenancebot")
    assert [path for path in before if before[path] != after.get(path) and not path.startswith(ours)] == []
    shown = bot("report", ran.document["run_id"]).out + bot("trash", "list").out
    assert "\x1b" not in shown


def test_what_was_swapped_between_plan_and_run_is_left_alone(
    make_host: Callable[..., LabHost], own_fleet: Fleet, tmp_path: Path
) -> None:
    host = make_host("web-1")
    names = [f"{name}.1.log" for name in ("same", "taken", "open", "hard", "link", "fifo", "a/x", "plain")]

    def populate(path: Path) -> list[str]:
        for name in names:
            (path / name).parent.mkdir(exist_ok=True)
            (path / name).write_bytes(b"old line\n" * 500)
        return names

    old_disk(host, "/srv/logs", populate)
    bot = Bot(tmp_path, own_fleet, deletion={"allow": ["/srv/logs"], **ALL})
    bot.configure(**settings_of(bot), tasks=[cleanup("/srv/logs/**/*.*.log")])
    plan = tmp_path / "plan.json"
    bot("dry-run", "--json", "--out", str(plan))
    host.sh(
        "cd /srv/logs; cp -p same.1.log x; mv x same.1.log; echo mine >taken.1.log.gz; ln hard.1.log second;"
        " ln -sf /etc/passwd link.1.log; rm fifo.1.log; mkfifo fifo.1.log; mv a b; ln -s /etc a"
    )
    keep_running(host, "import time; f = open('/srv/logs/open.1.log', 'a'); time.sleep(1e6)")
    before = manifest(host)
    found = outcomes(bot("run", "--plan", str(plan), "--json").host("web-1"))
    assert {path.removeprefix("/srv/logs/"): state for path, state in found.items()} == {
        "same.1.log": ("skipped", "changed_since"),
        "taken.1.log": ("skipped", "target_exists"),
        "open.1.log": ("skipped", "in_use"),
        "hard.1.log": ("skipped", "changed_since"),
        "link.1.log": ("skipped", "symlink"),
        "fifo.1.log": ("skipped", "special"),
        "a/x.1.log": ("skipped", "symlink"),
        "plain.1.log": ("done", "verified"),
    }
    after = manifest(host)
    left = [path for path in before if path.startswith("/srv/logs/") and not path.endswith("plain.1.log")]
    assert [path for path in left if before[path] != after.get(path)] == []


@pytest.mark.parametrize("trap", ["link", "folder"])
def test_a_trash_that_a_user_prepared_is_not_used(
    trap: str, make_host: Callable[..., LabHost], own_fleet: Fleet, tmp_path: Path
) -> None:
    host = make_host("web-1")

    def populate(path: Path) -> list[str]:
        (path / "a").mkdir()
        (path / "a" / "old.1.log").write_bytes(b"old line\n" * 500)
        if trap == "link":
            (path / ".maintenancebot").symlink_to("/etc")
        if trap == "folder":
            (path / ".maintenancebot" / "trash").mkdir(parents=True)
            os.chown(path / ".maintenancebot", *host.ids("plain"))
        return ["a/old.1.log"]

    old_disk(host, "/srv/logs", populate)
    bot = Bot(tmp_path, own_fleet, deletion={"allow": ["/srv/logs"], **ALL})
    bot.configure(**settings_of(bot), tasks=[cleanup("/srv/logs/**/*.*.log", compress=trap != "folder")])
    before = manifest(host)
    ran = bot("run", "--json")
    assert (ran.code, outcomes(ran.host("web-1"))) == (1, {"/srv/logs/a/old.1.log": ("failed", "write_error")})
    after = manifest(host)
    ours = ("/var/lib", "/var/log/journal")
    touched = [path for path in {*before, *after} if before.get(path) != after.get(path)]
    assert [path for path in touched if not path.startswith(ours)] == []


def test_the_owner_of_a_disk_cannot_move_the_trash_on_it_away(
    make_host: Callable[..., LabHost], own_fleet: Fleet, tmp_path: Path
) -> None:
    host = make_host("web-1")

    def populate(path: Path) -> list[str]:
        (path / "old.1.log").write_bytes(b"old line\n" * 500)
        os.chown(path, *host.ids("plain"))
        return ["old.1.log"]

    old_disk(host, "/srv/logs", populate)
    bot = Bot(tmp_path, own_fleet, deletion={"allow": ["/srv/logs"], **ALL})
    bot.configure(**settings_of(bot), tasks=[cleanup("/srv/logs/*.*.log", compress=False)])
    assert outcomes(bot("run", "--json").host("web-1")) == {"/srv/logs/old.1.log": ("done", "verified")}
    owner = ["runuser", "-u", "plain", "--"]
    for doing in (["mv", "/srv/logs/.maintenancebot", "/srv/logs/mine"], ["rm", "-rf", "/srv/logs/.maintenancebot"]):
        assert host.run([*owner, *doing], check=False).returncode != 0
    (item,) = bot("trash", "list", "--json").document["hosts"][0]["items"]
    assert bot("trash", "restore", "web-1", item["id"]).code == 0
    assert host.read("/srv/logs/old.1.log") == b"old line\n" * 500


def test_a_disk_without_room_keeps_every_file(
    make_host: Callable[..., LabHost], own_fleet: Fleet, tmp_path: Path
) -> None:
    host = make_host("web-1")
    big, small = os.urandom(6 << 20), b"a line of text\n" * 20000

    def populate(path: Path) -> list[str]:
        (path / "big.1.log").write_bytes(big)
        (path / "small.1.log").write_bytes(small)
        return ["big.1.log", "small.1.log"]

    disk = add_disk(host, "/srv/logs", size_mib=32, populate=lambda path: dict.fromkeys(populate(path), 90.0))
    disk.fill(leave_bytes=4 << 20)
    bot = Bot(tmp_path, own_fleet, deletion={"allow": ["/srv/logs"], **ALL})
    bot.configure(**settings_of(bot), tasks=[cleanup("/srv/logs/**/*.*.log")])
    found = outcomes(bot("run", "--json").host("web-1"))
    assert found == {"/srv/logs/big.1.log": ("failed", "no_space"), "/srv/logs/small.1.log": ("done", "verified")}
    assert host.read("/srv/logs/big.1.log") == big
    assert gzip.decompress(host.read("/srv/logs/small.1.log.gz")) == small


def test_a_helper_killed_again_and_again_leaves_every_file_in_place_or_restorable(
    make_host: Callable[..., LabHost], own_fleet: Fleet, tmp_path: Path
) -> None:
    host = make_host("web-1")
    files = {f"{number:04d}.x.log": os.urandom(300) * 40 for number in range(240)}

    def populate(path: Path) -> list[str]:
        for name, content in files.items():
            (path / name).write_bytes(content)
            (path / name).chmod(0o640)
            os.chown(path / name, *host.ids("plain"))
        return list(files)

    old_disk(host, "/srv/logs", populate)
    bot = Bot(tmp_path, own_fleet, deletion={"allow": ["/srv/logs"], **ALL}, guards={"breaker_failures": 100})
    bot.configure(**settings_of(bot), tasks=[cleanup("/srv/logs/**/*.*.log")])
    before, folder = manifest(host), host.live_path("/srv/logs")
    for _ in range(5):
        packed = len(list(folder.glob("*.gz")))
        running = bot.start("run", "--json")
        more = packed + 20
        wait_while_running(running, lambda: len(list(folder.glob("*.gz"))) > more, "some files to be compressed")  # noqa: B023
        host.sh(f"pkill -9 -f '{HELPER}'")
        running.communicate(timeout=90)
        for name, content in files.items():
            place = folder / name
            assert (place.exists() and place.read_bytes() == content) or gzip.decompress(
                (folder / f"{name}.gz").read_bytes()
            ) == content
    last = bot("run", "--json")
    assert last.code == 0, last.out
    assert {path.name for path in folder.iterdir() if path.name.endswith("log")} == set()
    items = json.loads(bot("trash", "list", "--json").out)["hosts"][0]["items"]
    assert sorted(item["path"] for item in items) == sorted(f"/srv/logs/{name}" for name in files)
    assert {item["state"] for item in items} == {"held"}
    for item in items[:3]:
        assert bot("trash", "restore", "web-1", item["id"]).code == 0
    after = manifest(host)
    assert all(same_file(after.get(item["path"]), before[item["path"]]) for item in items[:3])
    assert bot("audit", "verify").code == 0
