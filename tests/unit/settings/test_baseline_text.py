"""A captured baseline loads again and says what was found; what no baseline can say stands in a comment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from maintenancebot.settings import ItemKind
from maintenancebot.settings.baseline_text import Captured, write
from tests.unit.settings.baselines import Folder

FOUND = [
    Captured(ItemKind.FILE, "/etc/motd", {"state": "present", "sha256": "a" * 64, "size": 3, "mode": "0644"}),
    Captured(ItemKind.PACKAGE, "curl", {"state": "installed", "version": "8.14.1-2", "held": False}),
    Captured(ItemKind.SERVICE, "cron.service", {"enabled": True, "active": True}),
    Captured(ItemKind.SYSCTL, "net.ipv4.ip_forward", {"value": "0"}),
    Captured(ItemKind.KERNEL, "quiet", {"state": "present"}),
]


def test_a_baseline_of_a_good_host_reads_well() -> None:
    assert write("web-1", FOUND, ["What web-1 was."]) == (
        "# What web-1 was.\n"
        'hosts: ["web-1"]\n'
        "files:\n"
        f'  - {{path: "/etc/motd", sha256: "{"a" * 64}", size: 3, mode: "0644"}}\n'
        "packages:\n"
        '  - {name: "curl", version: "8.14.1-2", held: false}\n'
        "services:\n"
        '  - {name: "cron.service", enabled: true, active: true}\n'
        "sysctl:\n"
        '  - {name: "net.ipv4.ip_forward", value: "0"}\n'
        "kernel:\n"
        '  - {word: "quiet"}\n'
    )


def test_it_loads_again_and_says_the_same(folder: Folder) -> None:
    folder.write("web.yaml", write("web-1", FOUND, ["a remark"]))
    assert [(item.kind, item.name, dict(item.wanted)) for item in folder.items()] == [
        (one.kind, one.name, dict(one.wanted)) for one in FOUND
    ]


def test_what_reads_like_a_template_is_taken_as_it_stands(folder: Folder) -> None:
    names = ["/etc/{{ host.name }}", "/etc/${#list}", "/etc/{% raw %}x", "/etc/{% endraw %}"]
    text = write("web-1", [Captured(ItemKind.FILE, name, {"state": "present"}) for name in names], [])
    folder.write("web.yaml", text)
    assert [item.name for item in folder.items()] == names[:3]
    assert "  # left out: file:/etc/{% endraw %}: the text holds an end of {% raw %}" in text


def test_what_no_baseline_can_say_is_left_out_and_told() -> None:
    text = write("web-1", [Captured(ItemKind.FILE, "/etc/a\nfiles: [{path: /b}]", {"state": "present"})], [])
    assert text.splitlines()[1] == (
        "  # left out: file:/etc/a\\nfiles: [{path: /b}]: "
        "path: '/etc/a\\\\nfiles: [{path: /b}]' has blanks at an end, or control characters"
    )


@given(
    name=st.text(max_size=40),
    values=st.dictionaries(
        st.sampled_from(["version", "held", "state"]), st.one_of(st.text(max_size=20), st.booleans(), st.none())
    ),
    remark=st.text(max_size=40),
)
def test_whatever_a_host_tells_the_text_loads(
    tmp_path_factory: Any, name: str, values: dict[str, Any], remark: str
) -> None:
    told = [
        Captured(ItemKind.FILE, f"/{name}", {"state": "present"}),
        Captured(ItemKind.PACKAGE, name, values),
        Captured(ItemKind.PACKAGE, "curl", values),
        Captured(ItemKind.MOUNT, "/srv", {"state": "present", "device": name, "options": [name, "rw"]}),
    ]
    base: Path = tmp_path_factory.mktemp("text")
    folder = Folder(base / "baselines")
    folder.path.joinpath("web.yaml").write_text(write("web-1", told, [remark]), "utf-8")
    for item in folder.items():
        assert item.name in (f"/{name}", f"/{name}".rstrip("/"), name, "curl", "/srv")
        assert item.wanted.get("device", name) == name
