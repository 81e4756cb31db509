"""Servers as other lists know them: root by doas, a key of their own, hosts from an Ansible inventory."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import yaml

from tests.acceptance.command import Bot
from tests.lab.fleet import Fleet
from tests.lab.hosts import LabHost


def test_an_ansible_inventory_with_doas_and_an_own_key_is_worked_with_like_any_other(
    make_host: Callable[..., LabHost], own_fleet: Fleet, tmp_path: Path
) -> None:
    host = make_host("web-1", release="bookworm")
    host.sh("apt-get -q update && apt-get -q -y install --no-install-recommends opendoas")
    host.write("/etc/doas.conf", "permit nopass ops\n", mode=0o600)
    host.run(["rm", "-rf", "/etc/sudoers.d"])
    key = tmp_path / "own"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    host.write("/home/ops/.ssh/authorized_keys", key.with_suffix(".pub").read_text(), mode=0o600, owner="ops")
    (tmp_path / "ansible.ini").write_text(
        f"[web]\nweb-1 ansible_host={host.address} ansible_port={host.port} ansible_user=ops\n"
        f"[web:vars]\nansible_become_method=doas\nansible_ssh_private_key_file={key}\n"
    )
    bot = Bot(tmp_path, own_fleet)
    bot.configure(ssh={"known_hosts": str(own_fleet.known_hosts), "agent": False, "keys": [str(own_fleet.key)]})
    sources = [{"type": "ansible", "path": str(tmp_path / "ansible.ini")}]
    bot.inventory.write_text(yaml.safe_dump({"sources": sources}))

    answer = bot("dry-run", "--group", "web", "--json")

    assert answer.host("web-1")["facts"]["root"] is True, answer.out
    assert answer.host("web-1")["state"] in ("nothing", "planned", "skipped", "done"), answer.out
    host.write("/etc/doas.conf", "permit ops\n", mode=0o600)
    assert bot("dry-run", "--json").host("web-1")["reason"] == "become_password"
    host.write("/etc/doas.conf", "permit nopass root\n", mode=0o600)
    assert bot("dry-run", "--json").host("web-1")["reason"] == "become_refused"
