"""An inventory of Ansible gives the hosts, groups and ways that Ansible itself sees."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from maintenancebot.inventory_sources import AnsibleSource, CommandSource
from maintenancebot.sources import ansible, ansible_json
from maintenancebot.sources.listing import Listed, SourceError

INVENTORY = Path(sys.executable).parent / "ansible-inventory"

FILES = {
    "10-static.ini": """\
[web]
web[1:3].example.net ansible_host=10.0.0.11
[db]
db-1 ansible_host=10.0.1.1 ansible_port=2222 ansible_user=admin
[prod:children]
web
db
[berlin:children]
prod
[berlin:vars]
ansible_ssh_common_args='-o ProxyJump=jump@gate.example.net:2200 -o Compression=yes'
""",
    "20-more.yaml": """\
all:
  children:
    mail:
      hosts:
        mx-1: {ansible_host: 2001:db8::25, ansible_become: "yes", ansible_become_method: doas}
        here: {ansible_connection: local}
  hosts:
    alone:
""",
    "30-script": """\
#!/bin/sh
printf '{"dynamic": {"hosts": ["vm-1"]}, "_meta": {"hostvars": {"vm-1": {"ansible_host": "10.9.9.9"}}}}'
""",
    "group_vars/web.yaml": "ansible_user: deploy\nansible_become: true\n",
    "group_vars/all/main.yaml": "ansible_ssh_private_key_file: /keys/fleet\n",
    "host_vars/web2.example.net.yaml": "ansible_host: 10.0.0.12\nnested: {deep: [1, 2]}\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "inventory" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "inventory" / "30-script").chmod(0o755)
    return tmp_path / "inventory"


def read(path: Path) -> dict[str, Listed]:
    found = ansible.read(AnsibleSource(type="ansible", path=path))
    assert found.problems == ()
    return {host.name: host for host in found.hosts}


def test_hosts_and_groups_are_those_of_ansibles_graph(folder: Path) -> None:
    graph = subprocess.run(
        [INVENTORY, "-i", folder, "--graph"], capture_output=True, text=True, check=True, cwd=folder
    ).stdout
    expected: dict[str, set[str]] = {}
    above: list[tuple[int, str]] = []
    for line in graph.splitlines():
        depth, name = len(line) - len(line.lstrip(" |-@")), line.strip(" |-:").lstrip("@")
        above = [one for one in above if one[0] < depth]
        if "@" in line:
            above.append((depth, name))
        else:
            expected.setdefault(name, set()).update(group for _, group in above)
    hosts = read(folder)
    assert {name: set(host.groups) for name, host in hosts.items()} == {
        name: groups - {"all", "ungrouped"} for name, groups in expected.items()
    }
    assert len(hosts) == 8


def test_values_of_groups_hosts_and_scripts_are_read_in_our_words(folder: Path) -> None:
    hosts = read(folder)
    jump = "jump@gate.example.net:2200"
    assert dict(hosts["web2.example.net"].values) == {
        "address": "10.0.0.12", "user": "deploy", "become": True, "key": "/keys/fleet", "jump": jump,
    }  # fmt: skip
    assert dict(hosts["db-1"].values) == {
        "address": "10.0.1.1", "port": 2222, "user": "admin", "key": "/keys/fleet", "jump": jump,
    }  # fmt: skip
    assert dict(hosts["mx-1"].values) == {
        "address": "2001:db8::25", "become": True, "become_method": "doas", "key": "/keys/fleet",
    }  # fmt: skip
    assert hosts["here"].values["connection"] == "local"
    assert hosts["vm-1"].values["address"] == "10.9.9.9"
    assert hosts["vm-1"].groups == ("dynamic",)


def test_a_template_or_a_vault_leaves_the_host_out_and_says_so() -> None:
    hostvars = {
        "a": {"ansible_host": "{{ lookup('x') }}"},
        "b": {"ansible_user": {"__ansible_vault": "$ANSIBLE_VAULT;1.1"}},
        "c": {"other": "{{ harmless }}"},
    }
    found = ansible_json.listing(
        json.dumps({"_meta": {"hostvars": hostvars}, "g": {"hosts": ["a", "b", "c"]}}).encode()
    )
    assert [host.name for host in found.hosts] == ["c"]
    assert found.problems == (
        "a is left out: ansible_host holds a template or a vault, which only Ansible opens",
        "b is left out: ansible_user holds a template or a vault, which only Ansible opens",
    )


def test_circles_odd_names_and_old_forms_do_no_harm() -> None:
    document: dict[str, Any] = {
        "a": {"children": ["b"], "hosts": ["x"]}, "b": {"children": ["a"]}, "c": ["x", "y"], "bad name": ["x"],
    }  # fmt: skip
    found = ansible_json.listing(json.dumps(document).encode())
    assert {host.name: host.groups for host in found.hosts} == {"x": ("a", "b", "c"), "y": ("c",)}
    assert found.problems == ("groups with names that cannot be selected are left out: bad name",)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"null", b"{", b'{"g": 5}', b'{"_meta": []}', b'{"g": {"hosts": 3}}', b"[" * 100_000]
)
def test_what_is_no_inventory_is_an_error_of_the_source(data: bytes) -> None:
    with pytest.raises(SourceError):
        ansible_json.listing(data)


def command(tmp_path: Path, script: str, timeout: int = 20) -> CommandSource:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return CommandSource(type="command", argv=(str(program), "--list"), timeout=timeout)


def test_a_command_is_given_its_arguments_and_no_secret_of_ours(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("MAINTENANCEBOT_WEBHOOK_TOKEN", "hunter2x")
    source = command(tmp_path, 'env >"$0.env"; printf \'{"g": {"hosts": ["%s"]}}\' "${1#--}"')
    assert [host.name for host in ansible.read_command(source).hosts] == ["list"]
    assert "hunter2x" not in Path(f"{source.argv[0]}.env").read_text()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo no such project >&2; exit 3", "program ended with 3: no such project"),
        ("exec sleep 60", "program did not end within 1 s"),
        ("sleep 60 & exec sleep 60", "program did not end within 1 s"),
        ("exec yes", "program printed more than 64 MiB"),
        (
            "echo hello",
            "this is not the JSON of an inventory: JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
        ),
    ],
)
def test_a_command_that_fails_hangs_or_floods_is_ended_and_told(tmp_path: Path, script: str, said: str) -> None:
    with pytest.raises(SourceError, match=re.escape(said)):
        ansible.read_command(command(tmp_path, script, timeout=1 if "sleep" in script else 20))


def test_without_ansible_a_script_is_run_by_itself_and_the_rest_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ansible, "PROGRAM", "no-such-program")
    assert [host.name for host in ansible.read(AnsibleSource(type="ansible", path=folder / "30-script")).hosts] == [
        "vm-1"
    ]
    with pytest.raises(SourceError, match="needs no-such-program"):
        ansible.read(AnsibleSource(type="ansible", path=folder))
    assert os.access(folder / "30-script", os.X_OK)


def test_a_path_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is not there"):
        ansible.read(AnsibleSource(type="ansible", path=tmp_path / "none"))


def test_a_host_that_is_not_reached_by_ssh_is_left_out_and_named() -> None:
    variables = {
        "a": {"ansible_connection": "ansible.builtin.ssh"},
        "b": {"ansible_connection": "community.docker.docker", "ansible_host": "10.0.0.1"},
        "c": {"ansible_connection": "winrm"},
    }
    found = ansible_json.listing(json.dumps({"web": {"hosts": [*"abc"]}, "_meta": {"hostvars": variables}}).encode())
    assert [one.name for one in found.hosts] == ["a"]
    assert [problem.partition(":")[0] for problem in found.problems] == ["b is left out", "c is left out"]


def test_a_port_that_is_none_spoils_its_own_host_alone() -> None:
    variables = {"a": {"ansible_port": "many"}, "b": {"ansible_port": "2222"}}
    found = ansible_json.listing(json.dumps({"web": {"hosts": [*"ab"]}, "_meta": {"hostvars": variables}}).encode())
    assert [one.values.get("port") for one in found.hosts] == ["many", 2222]


@pytest.mark.parametrize("document", [b'{"web": {"hosts": "web-1"}}', b'{"web": "web-1"}'])
def test_a_text_is_no_list_of_hosts(document: bytes) -> None:
    with pytest.raises(SourceError, match="no list"):
        ansible_json.listing(document)


def test_a_long_chain_of_groups_comes_to_an_end() -> None:
    document = {f"g{i}": {"hosts": [f"h{i}"], "children": [f"g{i + 1}"]} for i in range(1500)}
    began = time.monotonic()
    assert len(ansible_json.listing(json.dumps(document).encode()).hosts) == 1500
    assert time.monotonic() - began < 4


def test_a_program_whose_children_hold_its_output_open_ends_in_time() -> None:
    began = time.monotonic()
    with pytest.raises(SourceError, match="did not end within 1 s"):
        ansible.read_command(CommandSource(type="command", argv=("/bin/sh", "-c", "sleep 30 & echo '{}'"), timeout=1))
    assert time.monotonic() - began < 10
