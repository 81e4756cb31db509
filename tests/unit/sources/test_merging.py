"""One machine is one host, the file stands above sources, and every conflict is named."""

from __future__ import annotations

from typing import Any

from maintenancebot.inventory_file import InventoryFile
from maintenancebot.inventory_sources import CommandSource
from maintenancebot.sources.gathering import Gathered
from maintenancebot.sources.listing import Listed
from maintenancebot.sources.merging import Merged, merge


def file(**hosts: Any) -> InventoryFile:
    return InventoryFile.model_validate({"hosts": hosts or {"here": {"connection": "local"}}})


def gathered(*hosts: Listed, name: str = "aws", stale: str = "", groups: tuple[str, ...] = ()) -> Gathered:
    return Gathered(CommandSource(type="command", argv=("/x",), groups=groups), name, hosts, None, (), stale)


def host(name: str, *groups: str, **values: Any) -> Listed:
    return Listed(name, values, groups)


def said(merged: Merged, name: str) -> dict[str, Any]:
    return {key: value for key, value in merged.entries[name].model_dump(exclude_none=True).items() if value}


def test_the_file_stands_above_sources_and_a_source_above_later_ones() -> None:
    merged = merge(
        file(web={"address": "10.0.0.1", "user": "root", "groups": ["own"], "labels": {"a": "1"}}),
        [
            gathered(host("web", "first", user="admin", port=2222, labels={"a": "2", "b": "3"}), groups=("cloud",)),
            gathered(host("web", "second", port=99, cloud="x"), name="ansible"),
        ],
    )
    assert said(merged, "web") == {
        "address": "10.0.0.1", "user": "root", "port": 2222, "cloud": "x", "labels": {"a": "1", "b": "3"},
        "groups": ("own", "first", "cloud", "second"),
    }  # fmt: skip
    assert merged.sources == {"web": "the inventory file"}
    assert merged.notes == []


def test_one_machine_under_two_names_is_one_host_and_that_is_said() -> None:
    merged = merge(
        file(),
        [
            gathered(host("i-1", "role_web", address="10.0.0.1", cloud_id="i-1"), host("i-2", address="10.0.0.2")),
            gathered(
                host("web-1", "web", address="10.0.0.9", cloud_id="i-1"), host("web-2", address="10.0.0.2"), name="ini"
            ),
        ],
    )
    assert list(merged.entries) == ["here", "i-1", "i-2"]
    assert merged.entries["i-1"].groups == ("role_web", "web")
    assert merged.notes == [
        "web-1 of ini is i-1 of aws: one machine, one host",
        "web-2 of ini is i-2 of aws: one machine, one host",
    ]


def test_one_private_address_behind_two_bastions_is_two_machines() -> None:
    merged = merge(
        file(gate={}, **{"web-1": {"address": "10.0.0.1", "via": "gate"}}),
        [gathered(host("other", address="10.0.0.1"))],
    )
    assert "other" in merged.entries


def test_two_names_within_one_source_stay_two_as_in_the_file() -> None:
    merged = merge(file(), [gathered(host("a", address="10.0.0.1"), host("b", address="10.0.0.1"))])
    assert {"a", "b"} <= set(merged.entries)


def test_what_no_file_could_say_leaves_the_host_out_and_names_it() -> None:
    merged = merge(
        file(),
        [
            gathered(
                host("ok", address="10.0.0.1"),
                host("bad", port=99999),
                host("-oProxyCommand=x", address="10.0.0.2"),
                host("evil", address="10.0.0.3 -oProxyCommand=x"),
                host("su", become_method="su"),
                host("odd", more="than agreed"),
                host("new\nline"),
            )
        ],
    )
    assert list(merged.entries) == ["here", "ok"]
    assert len(merged.notes) == 6
    assert merged.notes[0].startswith("source aws: 'bad' is left out: port: ")


def test_a_chain_of_jumps_becomes_a_way_over_hosts() -> None:
    merged = merge(
        file(gate={"address": "192.0.2.1"}),
        [gathered(host("db", address="10.0.0.1", jump="gate,root@[10.0.0.254]:2200"), host("web", jump="192.0.2.1"))],
    )
    assert merged.entries["db"].via == "10.0.0.254"
    assert said(merged, "10.0.0.254") == {
        "address": "10.0.0.254", "user": "root", "port": 2200, "via": "gate", "groups": ("bastions",),
        "maintenance": True,
    }  # fmt: skip
    assert merged.entries["web"].via == "gate"


def test_a_way_of_the_file_counts_before_a_sources_jump() -> None:
    merged = merge(file(gate={}, web={"via": "gate"}), [gathered(host("web", jump="elsewhere"))])
    assert merged.entries["web"].via == "gate"
    assert "elsewhere" not in merged.entries


def test_a_host_of_the_file_stays_when_a_source_tells_a_way_that_cannot_be_read() -> None:
    merged = merge(file(web={}), [gathered(host("web", jump="a b"))])
    assert merged.entries["web"].via is None
    assert merged.notes == ["web: the way over 'a b' cannot be read in aws"]


def test_what_stops_changes_is_known_of_each_host() -> None:
    merged = merge(file(), [gathered(host("web"), stale="the list is old")])
    assert merged.stale == {"here": "", "web": "the list is old"}


def test_behind_different_bastions_one_address_is_two_machines_before_their_ways_are_known() -> None:
    merged = merge(
        file(db={"address": "10.0.0.5"}),
        [
            gathered(host("app", address="10.0.0.6", jump="gate-a"), host("other", address="10.0.0.5", jump="gate-a")),
            gathered(host("app-2", address="10.0.0.6", jump="gate-b"), name="second"),
        ],
    )
    assert {name: merged.entries[name].via for name in ("db", "app", "other", "app-2")} == {
        "db": None, "app": "gate-a", "other": "gate-a", "app-2": "gate-b",
    }  # fmt: skip


def test_a_bastion_of_the_file_is_known_with_its_usual_port_written_out() -> None:
    merged = merge(file(gate={"address": "gate.example.net"}), [gathered(host("app", jump="ops@gate.example.net:22"))])
    assert merged.entries["app"].via == "gate"
    assert said(merged, "gate") == {"address": "gate.example.net"}


def test_a_host_whose_way_cannot_be_read_is_left_out_and_spoils_no_other() -> None:
    ways = {"a": "gate:99999", "b": "ba$d@gate", "c": "gate$(id)"}
    merged = merge(file(), [gathered(*(host(name, address="10.0.0.1", jump=way) for name, way in ways.items()))])
    assert list(merged.entries) == ["here"]
    assert [note.partition(" is left out: the way over ")[0] for note in merged.notes] == [
        "source aws: 'a'", "source aws: 'b'", "source aws: 'c'",
    ]  # fmt: skip
