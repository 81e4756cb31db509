"""The lab holds what its parts promise."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from tests.lab import apt, odd
from tests.lab.acme import Acme, served
from tests.lab.bases import RELEASES
from tests.lab.containers import Docker
from tests.lab.disks import DAY, add_disk
from tests.lab.fleet import Fleet
from tests.lab.hosts import LabHost
from tests.lab.tools import LabError, run, wait_until
from tests.lab.watch import Watch, differences, manifest
from tests.lab.wire import Wire

NOTHING = ["/usr/bin/python3", "-I", "-c", "print('here')"]


@pytest.mark.parametrize(("release", "python"), RELEASES.items())
def test_each_release_is_booted_with_its_own_python(fleet: Fleet, release: str, python: str) -> None:
    host = fleet[release]
    assert host.run(["systemctl", "is-system-running"]).stdout == "running\n"
    assert host.ssh("python3 --version").stdout.startswith(f"Python {python}.")
    assert host.ssh("hostname").stdout == f"{release}\n"


@pytest.mark.parametrize(
    ("user", "answer"),
    [("ops", "0"), ("asks", "password is required"), ("plain", "password is required"), ("root", "0")],
)
def test_users_differ_in_what_sudo_gives_them(fleet: Fleet, user: str, answer: str) -> None:
    done = fleet["bookworm"].ssh("sudo -n id -u 2>&1", user=user, check=False)
    assert answer in done.stdout


def test_inventory_names_every_host(fleet: Fleet) -> None:
    hosts = yaml.safe_load(fleet.inventory.read_text())["hosts"]
    assert hosts["trixie"] == {
        "address": fleet["trixie"].address, "port": fleet["trixie"].port, "user": "ops", "groups": ["lab", "trixie"],
    }  # fmt: skip
    assert len({host.machine_id for host in fleet}) == len(fleet)


def test_services_of_two_hosts_are_apart(fleet: Fleet) -> None:
    fleet["bullseye"].run(["systemctl", "restart", "ssh"])
    fleet["bullseye"].wait_up()
    assert fleet["bookworm"].run(["systemctl", "is-active", "ssh"]).stdout == "active\n"
    assert fleet["bookworm"].answers()


def test_host_goes_off_and_comes_back_with_another_boot_id(host: LabHost) -> None:
    before = host.boot_id()
    host.write("/etc/kept", "yes")
    host.power_off()
    assert not host.answers()
    assert host.ssh("true", check=False).returncode == 255
    assert host.start().ssh("cat /etc/kept").stdout == "yes"
    assert host.reboot().boot_id() != before


def test_frozen_host_hangs_and_thaws(host: LabHost) -> None:
    thaw = odd.hanging_greeting(host)
    assert not host.answers()
    thaw()
    assert host.answers()


def test_files_on_a_disk_are_old_in_every_time(host: LabHost) -> None:
    name = b"odd \xff\n'\"name"
    disk = add_disk(host, "/srv/data", {name: (b"x", 400), "new": (b"y", 0)})
    facts = os.lstat(disk.path(name))
    oldest = time.time() - 399 * DAY
    assert max(facts.st_mtime, facts.st_ctime, facts.st_atime) < oldest
    assert host.sh("find /srv/data -type f -ctime +30 | wc -l").strip() == "2"  # its name has a newline
    assert host.sh("find /srv/data -name new").strip() == "/srv/data/new"


def test_root_can_hold_old_files_and_be_full(make_host: Callable[..., LabHost]) -> None:
    def prepare(host: LabHost) -> None:
        host.write("/var/log/app/old.log", b"x")
        host.age({"/var/log/app/old.log": 90})

    host = make_host("small", disk_mib=48, prepare=prepare)
    assert host.sh("find /var/log/app -ctime +80").strip() == "/var/log/app/old.log"
    odd.full_root(host)
    assert "No space left" in host.run(["cp", "/etc/passwd", "/etc/x"], check=False).stderr
    assert host.ssh("echo still here").stdout == "still here\n"


def test_read_only_root_refuses_writes(host: LabHost) -> None:
    undo = odd.read_only_root(host)
    assert "Read-only file system" in host.ssh("sudo touch /etc/x", check=False).stderr
    undo()
    host.ssh("sudo touch /etc/x")


@pytest.mark.parametrize("release", RELEASES)
def test_update_is_offered_by_origin(
    make_host: Callable[..., LabHost], make_repository: Callable[..., apt.Repository], release: str
) -> None:
    host = make_host(release, release=release)
    repository = make_repository(apt.security(release), signed=True)
    apt.install(host, apt.Package("demo", "1.0", services={"demo.service": "/bin/sleep infinity"}))
    repository.publish(apt.Package("demo", "1.1", services={"demo.service": "/bin/sleep infinity"}))
    repository.attach(host, over_http=True)
    assert "Inst demo [1.0] (1.1 Debian-Security:stable-security [all])" in host.sh("apt-get -s upgrade")
    repository.go_down()
    with pytest.raises(LabError, match="Failed to fetch"):
        apt.update(host)
    repository.serve()
    host.run(["apt-get", "-y", "upgrade"])
    assert apt.installed(host, "demo") == "1.1"
    assert host.run(["systemctl", "is-active", "demo"]).stdout == "active\n"


def test_expired_archive_is_refused_by_apt(host: LabHost, make_repository: Callable[..., apt.Repository]) -> None:
    repository = make_repository(signed=True)
    repository.index(dated=datetime.now(UTC) - timedelta(days=9), valid_for=timedelta(days=7))
    with pytest.raises(LabError, match="expired"):
        repository.attach(host)


def test_docker_daemon_answers_in_the_host(host: LabHost, make_docker: Callable[..., Docker]) -> None:
    daemon = make_docker(host)
    image = daemon.image("app:1", built_days_ago=1000, arrived_days_ago=3)
    container = daemon.container(image, "echo began; exec sleep 1000")
    ask = (
        "import socket as s; c = s.socket(s.AF_UNIX); c.connect('/run/docker.sock')\n"
        "c.send(b'GET /images/json HTTP/1.0\\r\\n\\r\\n'); print(c.makefile().read())"
    )
    assert '"app:1"' in host.run(["python3", "-c", ask]).stdout
    wait_until(lambda: b"began" in container.logs(), "the container runs")
    volume = daemon.volume("data", {"table": b"rows"})
    assert host.sh(f"cat {volume.attrs['Mountpoint']}/table") == "rows"
    daemon.stop()
    assert "refused" in host.run(["python3", "-c", ask], check=False).stderr
    daemon.start()
    assert '"app:1"' in host.run(["python3", "-c", ask]).stdout


def test_acme_gives_and_renews_certificates(make_host: Callable[..., LabHost], make_acme: Callable[..., Acme]) -> None:
    host = make_host("web", variant="web")
    acme = make_acme(validity_days=6)
    acme.equip(host, "www.example.org")
    before = served(host.address, name="www.example.org")
    assert (before.not_valid_after_utc - before.not_valid_before_utc).days in (5, 6)
    renew = "certbot renew --non-interactive --no-random-sleep-on-renew --cert-name www.example.org"
    host.sh(f"{renew} --deploy-hook 'systemctl reload nginx'")
    wait_until(lambda: served(host.address).serial_number != before.serial_number, "the new certificate is served")


def test_watch_and_manifest_see_a_write_and_not_a_login(host: LabHost) -> None:
    host.ssh("sudo true")
    before = manifest(host)
    with Watch(host) as watch:
        host.ssh("sudo -n true; " + " ".join(NOTHING[:3]) + ' "print(1)"')
        assert differences(before, manifest(host)) == []
        assert watch.events() == []
        host.ssh("sudo sh -c 'echo 1 >/etc/x; chmod 600 /etc/hostname'")
        assert watch.events() == ["'/etc/x' created", "'/etc/x' modified", "'/etc/hostname' attributes"]
    changed = differences(before, manifest(host))
    assert [sentence.split()[0] for sentence in changed] == ["'/etc'", "'/etc/hostname'", "'/etc/x'"]


def test_odd_logins(make_host: Callable[..., LabHost]) -> None:
    host = make_host("odd")
    odd.noisy(host)
    assert '"state": "done"' in host.ssh("true").stdout
    odd.hanging_shell(host, "plain")
    with pytest.raises(LabError, match="did not end within"):
        host.ssh("true", user="plain", timeout=1)
    odd.hanging_command(host, "asks")
    with pytest.raises(LabError, match="did not end within"):
        host.ssh("true", user="asks", timeout=1)
    odd.wrong_host_key(host)
    assert "HOST IDENTIFICATION HAS CHANGED" in host.ssh("true", check=False).stderr


@pytest.mark.parametrize("release", RELEASES)
def test_minimal_python_lacks_what_debians_lacks(make_host: Callable[..., LabHost], release: str) -> None:
    host = make_host(release, release=release, prepare=odd.minimal_python)
    names = "('os', 'struct', 'json', 'gzip', 'ctypes')"
    script = f"import importlib.util as u; print([name for name in {names} if not u.find_spec(name)])"
    lacks = ["gzip", "ctypes"] if release == "trixie" else ["json", "gzip", "ctypes"]
    assert host.ssh(f'/usr/bin/python3 -I -c "{script}"').stdout == f"{lacks}\n"


def test_line_can_be_cut_in_the_middle(host: LabHost, make_wire: Callable[[LabHost], Wire], tmp_path: Path) -> None:
    wire = make_wire(host)
    known = tmp_path / "known_hosts"
    known.write_text(wire.known_hosts_line())
    through = ["-o", f"HostName={wire.address}", "-o", f"Port={wire.port}", "-o", f"UserKnownHostsFile={known}"]
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(_ssh_code, [*host.ssh_argv("ops", *through), "touch /tmp/began; sleep 60"])
        wait_until(lambda: (host.live_root / "tmp/began").exists(), "the session runs")
        wire.cut()
        assert running.result(10) == 255


def test_absolute_links_in_a_host_stay_in_the_host(host: LabHost) -> None:
    host.write("/var/run/lab-note", "inside")
    assert host.sh("cat /run/lab-note") == "inside"
    assert not Path("/run/lab-note").exists()


def _ssh_code(argv: list[str]) -> int:
    return run(argv, check=False).returncode
