"""Baselines say what hosts are to be; a folder of them loads as a whole, or is refused with every fault."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from maintenancebot.errors import ConfigurationError
from maintenancebot.model import Host
from maintenancebot.settings import Correct, Item, ItemKind, baseline_schema, load_settings
from maintenancebot.settings.baseline_file import SECTIONS
from maintenancebot.settings.baselines import faults_of, load
from tests.unit.settings.baselines import WEB, Folder

TASK = "tasks: [{name: patches, type: package_update, scope: all}]\n"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# What items say


def test_a_file_is_compared_by_the_hash_of_its_content_and_corrected_by_the_content(folder: Folder) -> None:
    text = """\
files:
  - path: /etc/motd
    content: |
      This is {{ host.name }}.
    mode: "644"
    owner: root
    group: root
    diff: true
    correct: safe
    reload: motd.service
"""
    content = b"This is web-1.\n"
    wanted = {
        "state": "present",
        "mode": "0644",
        "owner": "root",
        "group": "root",
        "sha256": sha256(content),
        "size": 15,
    }
    assert folder.item(text) == Item(
        kind=ItemKind.FILE,
        name="/etc/motd",
        wanted=wanted,
        correct=Correct.SAFE,
        content=content,
        diff=True,
        reload="motd.service",
        place="baselines/web.yaml:3",
    )


@pytest.mark.parametrize(
    ("line", "id", "wanted"),
    [
        ("files: [{path: /etc/old, state: absent}]", "file:/etc/old", {"state": "absent"}),
        ("packages: [{name: telnetd, state: absent}]", "package:telnetd", {"state": "absent"}),
        (
            'packages: [{name: "libc6:amd64", version: "2.*", held: true}]',
            "package:libc6:amd64",
            {"state": "installed", "version": "2.*", "held": True},
        ),
        ("services: [{name: cron.service, enabled: true}]", "service:cron.service", {"enabled": True}),
        ("services: [{name: apt-daily.timer, masked: true}]", "service:apt-daily.timer", {"masked": True}),
        ("sysctl: [{name: net.ipv4.ip_forward, value: 0}]", "sysctl:net.ipv4.ip_forward", {"value": "0"}),
        ("sysctl: [{name: net/ipv4/ip_forward, value: 0}]", "sysctl:net.ipv4.ip_forward", {"value": "0"}),
        (
            "sysctl: [{name: net/ipv4/conf/eth0.1/rp_filter, value: 1}]",
            "sysctl:net.ipv4.conf.eth0/1.rp_filter",
            {"value": "1"},
        ),
        (
            "users: [{name: ops, uid: 1000, groups: [sudo, adm], shell: /bin/bash, locked: true}]",
            "user:ops",
            {"state": "present", "uid": 1000, "groups": ["sudo", "adm"], "shell": "/bin/bash", "locked": True},
        ),
        ("groups: [{name: sudo, members: [ops]}]", "group:sudo", {"state": "present", "members": ["ops"]}),
        (
            'keys: [{user: ops, keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA ops@gate"], exclusive: true}]',
            "keys:ops",
            {"keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA ops@gate"], "exclusive": True},
        ),
        (
            'crontabs: [{user: root, content: "@daily true\\n"}]',
            "crontab:root",
            {"state": "present", "sha256": sha256(b"@daily true\n"), "size": 12},
        ),
        (
            "mounts: [{path: /srv, fs_type: ext4, options: [nosuid]}]",
            "mount:/srv",
            {"state": "present", "fs_type": "ext4", "options": ["nosuid"]},
        ),
        ('kernel: [{word: "mitigations=auto"}]', "kernel:mitigations=auto", {"state": "present"}),
    ],
)
def test_what_is_left_out_is_not_compared(folder: Folder, line: str, id: str, wanted: dict[str, object]) -> None:
    item = folder.item(line + "\n")
    assert (item.id, dict(item.wanted)) == (id, wanted)
    assert item.correct is Correct.NEVER


def test_a_content_may_lie_beside_the_baseline_byte_by_byte_or_as_a_template(folder: Folder) -> None:
    folder.write("files/raw", b"{{ not filled in }}\xff\r\n")
    folder.write("files/filled.conf", "{% for g in host.groups %}\n{{ g }} {{ labels.rack }}\n{% endfor %}\n")
    folder.baseline("files: [{path: /a, source: files/raw}, {path: /b, template: files/filled.conf}]\n")
    assert [item.content for item in folder.items()] == [b"{{ not filled in }}\xff\r\n", b"web a1\n"]


def test_line_ends_of_a_template_stay_as_they_are(folder: Folder) -> None:
    folder.write("files/dos", b"a {{ host.port }}\r\nb\r\n")
    folder.baseline("files: [{path: /a, template: files/dos}]\n")
    assert folder.items()[0].content == b"a 22\r\nb\r\n"
    folder.write("files/dos", b"a {{ host.port }}\r\nb\n")
    (fault,) = folder.faults()
    assert fault == (
        "web.yaml:2:9: 'files/dos': lines of the template end in different ways; "
        "let all end in the same way, or use `source`"
    )


def test_every_text_of_an_item_may_be_a_template(folder: Folder) -> None:
    text = 'files: [{path: "/etc/{{ labels.rack }}.conf", owner: "{{ labels.owner | default(\'root\') }}"}]\n'
    item = folder.item(text)
    assert (item.name, item.wanted["owner"]) == ("/etc/a1.conf", "root")


def test_the_same_item_in_two_baselines_is_one_and_the_first_place_is_told(folder: Folder) -> None:
    folder.baseline("packages: [{name: curl}]\n", "a.yaml")
    folder.baseline("packages: [{name: curl}]\n", "b.yml")
    assert [item.place for item in folder.items()] == ["baselines/a.yaml:2"]


def test_only_yaml_files_of_the_folder_itself_are_baselines(folder: Folder) -> None:
    folder.baseline("packages: [{name: curl}]\n")
    folder.write("files/other.yaml", "no baseline")
    folder.write(".hidden.yaml", "no baseline")
    folder.write("README.md", "no baseline")
    assert [one.name for one in folder.load().files] == ["web.yaml"]


# What is refused


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("files: [{path: etc/x}]", "2:16: files[0].path: 'etc/x' is not an absolute path; write the whole path"),
        ("files: [{path: /etc/../x}]", "2:16: files[0].path: '/etc/../x' contains '.' or '..'"),
        ("files: [{path: /proc/sys/x}]", "2:16: files[0].path: '/proc/sys/x' is the kernel's own; write values"),
        ("files: [{path: /x, mode: 0644}]", "2:26: `0644` is read as an octal number"),
        ("files: [{path: /x, mode: rwx}]", "2:26: files[0].mode: 'rwx' is not a mode; write it in octal"),
        ("files: [{path: /x, content: a, sha256: b}]", "2:40: files[0].sha256: 'b' is not a SHA-256"),
        (
            "files: [{path: /x, content: a, source: b}]",
            "2:9: files[0]: its content is declared twice, by `content` and `source`; keep one of the two",
        ),
        ("files: [{path: /x, state: absent, mode: '0644'}]", "2:9: files[0]: it is to be absent, and still has `mode`"),
        (
            "files: [{path: /x, state: absent, content: a}]",
            "2:9: files[0]: it is to be absent, and still has `content`",
        ),
        ("files: [{path: /x, diff: true}]", "2:9: files[0]: a difference needs a content to compare with"),
        ("files: [{path: /x, source: ../x}]", "2:28: files[0].source: '../x' may lead out of the folder"),
        ("files: [{path: /x, source: /etc/x}]", "2:28: files[0].source: '/etc/x' may lead out of the folder"),
        ("files: [{path: /x, source: no}]", "2:28: `no` is read as false"),
        ("files: [{path: /x, template: files/gone}]", "files/gone cannot be read: No such file or directory"),
        ("files: [{path: /x, source: '{{ host.name }}'}]", "2:28: files[0].source: a template cannot choose the file"),
        ("files: [{path: /x, content: '{% if %}'}]", "2:29: files[0].content: line 1 of the template: Expected an"),
        (
            "files: [{path: /x, password: a}]",
            "`password` looks like a secret, and secrets do not belong into this file",
        ),
        ("files: [{path: /x, contents: a}]", "2:20: `contents` is not known in `files[0]`; did you mean `content`?"),
        ("file: [{path: /x}]", "2:1: `file` is not known; did you mean `files`?"),
        ("services: [{name: cron}]", "2:19: services[0].name: 'cron' is not the name of a unit; write the whole name"),
        ("services: [{name: cron.service}]", "services[0]: nothing is declared of it; write at least one of: enabled,"),
        (
            "services: [{name: a.service, masked: true, active: true}]",
            "2:12: services[0]: a masked unit is neither enabled nor active",
        ),
        (
            'files: [{path: /x, owner: "4294967295"}]',
            "2:27: files[0].owner: '4294967295' is no number of a user or group; write one of at most 4294967294",
        ),
        ("files: [{path: /x, content: }]", "2:9: files[0]: `content` has no value; write one, or remove the key"),
        ("users: [{name: bob, uid: ~}]", "2:9: users[0]: `uid` has no value; write one, or remove the key"),
        ("packages: [{name: -o}]", "2:19: packages[0].name: '-o' is not the name of a package"),
        ("users: [{name: '-x'}]", "2:16: users[0].name: '-x' is not the name of a user or group"),
        ("sysctl: [{name: ../etc, value: 1}]", "2:17: sysctl[0].name: '../etc' is not a value of the kernel"),
        ("sysctl: [{name: a.b, value: true}]", "2:29: sysctl[0].value: true is not a text; write"),
        ("keys: [{user: ops, keys: []}]", "2:8: keys[0]: no key is declared; write at least one, or `exclusive: true`"),
        (
            "keys: [{user: ops, keys: ['# ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA ops']}]",
            "2:27: keys[0].keys[0]: '# ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA ops' is not the line of a public key",
        ),
        (
            "keys: [{user: ops, keys: ['no-pty, no-x ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA']}]",
            "2:27: keys[0].keys[0]: 'no-pty, no-x ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA' is not the line of a public",
        ),
        (
            "keys: [{user: ops, keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5A]}]",
            "2:27: keys[0].keys[0]: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5A' is not the line of a public key",
        ),
        ("keys: [{user: ops, keys: [AAAA]}]", "2:27: keys[0].keys[0]: 'AAAA' is not the line of a public key"),
        (
            "keys: [{user: ops, keys: ['-----BEGIN OPENSSH PRIVATE KEY-----']}]",
            "2:27: keys[0].keys[0]: this is a private key; write the line of the public one",
        ),
        ("kernel: [{word: 'a b'}]", "2:17: kernel[0].word: 'a b' is not one word of a command line"),
        ("packages: [{name: a}, {name: &x b}]", "the anchor &x is not understood here"),
    ],
)
def test_a_fault_says_where_it_is_and_what_to_write_instead(folder: Folder, text: str, fault: str) -> None:
    (found,) = folder.faults(text + "\n")
    assert found.startswith("web.yaml:2:")
    assert fault in found


NEVER = "write `correct: never`, or leave `correct` out"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            f"files: [{{path: /x, sha256: {'a' * 64}, correct: safe}}]",
            "a hash alone cannot be installed; write content",
        ),
        (
            "files: [{path: /x, correct: safe}]",
            f"that a file is there cannot be corrected; declare its content, or {NEVER}",
        ),
        ("files: [{path: /etc/shadow, mode: '0640', correct: safe}]", "'/etc/shadow' is never corrected as a file"),
        ("files: [{path: /run/x, state: absent, correct: safe}]", "'/run/x' is never corrected as a file"),
        ("packages: [{name: curl, correct: safe}]", "only the hold of a package is corrected"),
        ("packages: [{name: curl, held: true, version: '8*', correct: safe}]", "declare `held` alone, or"),
        ("users: [{name: ops, correct: approval}]", f"accounts are reported, not corrected; {NEVER}"),
        ("groups: [{name: ops, correct: safe}]", f"groups are reported, not corrected; {NEVER}"),
        ("crontabs: [{user: ops, correct: safe}]", "what the crontab is to hold is not declared"),
        ("mounts: [{path: /srv, correct: safe}]", f"mounts are reported, not corrected; {NEVER}"),
        ("kernel: [{word: quiet, correct: safe}]", "the kernel's command line is reported, not corrected"),
    ],
)
def test_what_cannot_be_corrected_is_said_when_it_is_declared(folder: Folder, text: str, why: str) -> None:
    (found,) = folder.faults(text + "\n")
    assert why in found


@pytest.mark.parametrize(
    "text",
    [
        "files: [{path: /x, content: a, correct: safe}]",
        "files: [{path: /x, state: absent, correct: approval}]",
        "files: [{path: /x, mode: '0600', correct: safe}]",
        "files: [{path: /etc/shadow.d/x, owner: root, correct: safe}]",
        "packages: [{name: curl, held: true, correct: safe}]",
        "services: [{name: cron.service, enabled: true, correct: safe}]",
        "sysctl: [{name: vm.swappiness, value: 10, correct: safe}]",
        "keys: [{user: ops, keys: [], exclusive: true, correct: safe}]",
        "crontabs: [{user: ops, state: absent, correct: safe}]",
    ],
)
def test_what_can_be_corrected_may_be(folder: Folder, text: str) -> None:
    assert folder.item(text + "\n").correct is not Correct.NEVER


def test_all_faults_of_all_baselines_are_told_at_once(folder: Folder) -> None:
    folder.baseline("files: [{path: x}, {path: y}]\n", "a.yaml")
    folder.baseline("packages: [{}]\n", "b.yaml")
    folder.write("c.yaml", "files: []\n")
    assert [fault.split(": ")[0] for fault in folder.faults()] == [
        "a.yaml:2:16",
        "a.yaml:2:27",
        "b.yaml:2:12",
        "c.yaml:1:1",
    ]


def test_a_link_that_leads_out_of_the_folder_is_not_followed(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (folder.path / "link").symlink_to(tmp_path / "secret")
    assert folder.faults("files: [{path: /x, source: link}]\n") == [
        "web.yaml:2:9: 'link' leads out of the folder of the baselines; put the file itself there"
    ]


def test_a_pipe_does_not_hold_up_the_loading(folder: Folder) -> None:
    os.mkfifo(folder.path / "pipe")
    assert folder.faults("files: [{path: /x, source: pipe}]\n") == [
        "web.yaml:2:9: 'pipe' is no regular file; name a file"
    ]


def test_a_pipe_among_the_baselines_does_not_hold_up_the_loading(folder: Folder) -> None:
    os.mkfifo(folder.path / "pipe.yaml")
    assert folder.faults() == ["pipe.yaml: this is no regular file; remove it, or give it another name"]


def test_a_content_of_more_than_a_mebibyte_is_refused(folder: Folder) -> None:
    folder.write("big", b"x" * (2**20 + 1))
    assert folder.faults("files: [{path: /x, source: big}]\n") == [
        "web.yaml:2:9: the content has more than 1 MiB; declare only its hash, by `sha256`"
    ]


# What is wrong for one host


def test_a_value_that_a_host_lacks_is_a_fault_with_its_place(folder: Folder) -> None:
    text = "files:\n  - path: /x\n    content: '{{ labels.zone }}'\n  - {path: /y, content: '{{ host.nmae }}'}\n"
    has = "this host has host.name, host.address, host.port, host.groups, host.cloud, host.timezone, labels.rack"
    default = "`| default(…)` stands for what a host may lack"
    start = "the template cannot be filled in"
    assert folder.host_faults(text) == [
        f"web.yaml:3:5: {start}: the host has no label `zone` (for web-1); {has}; {default}",
        f"web.yaml:5:5: {start}: there is no `host.nmae` (for web-1); {has}; {default}",
    ]


@pytest.mark.parametrize("rack", ["../../etc", "{{ host.name }}/../../etc"])
def test_what_is_filled_in_is_checked_as_if_it_stood_there(folder: Folder, rack: str) -> None:
    bad = Host("web-2", "10.0.0.12", labels=(("rack", rack),))
    text = 'files: [{path: "/srv/{{ labels.rack }}"}]\n'
    (fault,) = folder.host_faults(text, bad)
    assert fault.startswith(f"web.yaml:2:16: path: '/srv/{rack}' contains '.' or '..'")


def test_no_template_leads_around_what_is_never_corrected(folder: Folder) -> None:
    sly = Host("web-2", "10.0.0.12", labels=(("file", "shadow"),))
    text = 'files: [{path: "/etc/{{ labels.file }}", state: absent, correct: safe}]\n'
    (fault,) = folder.host_faults(text, sly)
    assert "'/etc/shadow' is never corrected as a file" in fault


def test_a_label_is_no_template(folder: Folder) -> None:
    sly = Host("web-2", "10.0.0.12", labels=(("rack", "{{ host.name }}"),))
    folder.baseline("files: [{path: /x, content: '{{ labels.rack }}'}]\n")
    assert [item.content for item in folder.items(sly)] == [b"{{ host.name }}"]


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ labels.__init__.__globals__ }}",
        "{% include '/etc/passwd' %}",
        "{{ labels.update({'a': 1}) }}",
        "{{ range(10 ** 9) | list }}",
        "{{ lipsum() }}",
    ],
)
def test_a_template_reaches_nothing_but_the_values_of_its_host(folder: Folder, template: str) -> None:
    folder.write("t", template)
    (fault,) = folder.host_faults("files: [{path: /x, template: t}]\n")
    assert fault.startswith("web.yaml:2:9: the template cannot be filled in: ")


def test_two_baselines_that_declare_one_item_differently_are_a_fault_that_names_both_places(folder: Folder) -> None:
    folder.baseline("packages: [{name: curl}]\n", "a.yaml")
    folder.baseline("\npackages:\n  - {name: curl, state: absent}\n", "b.yaml")
    (fault,) = folder.host_faults()
    assert fault == (
        "b.yaml:4:5: package:curl is declared otherwise in a.yaml:2 (for web-1); "
        "keep one of the two, or narrow their `hosts`"
    )


def test_a_fault_of_many_hosts_is_told_once(folder: Folder) -> None:
    folder.baseline("files: [{path: /x, content: '{{ labels.zone }}'}]\n")
    loaded = folder.load()
    states = {name: loaded.state(Host(name, name), ["web.yaml"]) for name in ("web-1", "web-2", "web-3")}
    (fault,) = faults_of(states)
    assert "has no label `zone` (for web-1 and 2 more)" in str(fault)


# The folder and the configuration


def test_without_a_folder_nothing_is_declared_but_a_folder_that_is_named_must_be_there(tmp_path: Path) -> None:
    assert load(tmp_path / "baselines").files == ()
    config = tmp_path / "c.yaml"
    config.write_text(TASK)
    assert load_settings(config, {}).baselines.files == ()
    config.write_text(TASK + "remediation: {drift: {baselines: declared}}\n")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(config, {})
    assert str(caught.value) == f"{tmp_path}/declared: there is no such folder; make it, or correct `baselines`"


def test_faults_of_baselines_come_with_those_of_the_configuration(folder: Folder, tmp_path: Path) -> None:
    folder.baseline("files: [{path: x}]\n")
    config = tmp_path / "c.yaml"
    config.write_text(TASK + "deletion: {allow: [/var/log], trash: {elsewhere: /var/log/trash}}\n")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(config, {})
    assert [Path(fault.file).name for fault in caught.value.faults] == ["web.yaml", "c.yaml"]


def test_the_digest_of_the_settings_holds_all_that_is_declared(folder: Folder, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(TASK)
    seen = [load_settings(config, {}).digest]
    folder.write("files/x", "one")
    folder.baseline("files: [{path: /x, source: files/x}]\n")
    seen.append(load_settings(config, {}).digest)
    folder.write("files/x", "two")
    seen.append(load_settings(config, {}).digest)
    folder.baseline("files: [{path: /y, source: files/x}]\n")
    seen.append(load_settings(config, {}).digest)
    assert len(set(seen)) == 4
    assert load_settings(config, {}).digest == seen[-1]


def test_a_state_is_worked_out_once_and_items_without_templates_are_shared(folder: Folder) -> None:
    folder.baseline("files: [{path: /x, content: '{{ host.name }}'}, {path: /y, content: plain}]\n")
    loaded = folder.load()
    first, other = (loaded.state(host, ["web.yaml"]) for host in (WEB, Host("web-2", "10.0.0.12")))
    assert loaded.state(WEB, ["web.yaml"]) is first
    assert first.items[0] != other.items[0]
    assert first.items[1] is other.items[1]


def test_the_schema_of_a_baseline_describes_every_key() -> None:
    schema = baseline_schema()
    assert set(schema["properties"]) == {"hosts", *SECTIONS}
    for name, section in [("BaselineFile", schema), *schema["$defs"].items()]:
        for key, value in section.get("properties", {}).items():
            assert value.get("description"), f"{name}.{key}"
        assert section.get("additionalProperties") is False or "enum" in section, name


def test_every_kind_of_item_has_its_section_and_stands_on_the_page() -> None:
    assert {model.KIND for model in SECTIONS.values()} == set(ItemKind)
    page = (Path(__file__).parents[3] / "docs" / "drift.md").read_text("utf-8")
    for section, model in SECTIONS.items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{section}` |")]
        keys = set(model.COMPARED) - {"sha256", "size"}
        assert [
            key for key in (model.NAMED, *keys) if f"`{key}`" not in row and model.KIND is not ItemKind.KERNEL
        ] == []
    told = {key for model in SECTIONS.values() for key in model.model_fields}
    assert [key for key in told if f"`{key}`" not in page] == []
