"""A package outside can add a kind of source; what it gives is checked, and its faults are its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from maintenancebot.inventory_sources import PluginSource
from maintenancebot.sources.gathering import gather
from maintenancebot.sources.listing import Listed, SourceError
from maintenancebot.sources.reading import read
from tests.unit.sources.test_gathering import NOON

MODULE = """\
from maintenancebot.sources.listing import Listed, Listing

def servers(options, timeout):
    return Listing((Listed(options["name"], {"address": "10.0.0.1", "timeout": timeout}),))

def wrong(options, timeout):
    return ["web-1"]

def odd(options, timeout):
    return Listing((Listed("web-1", {}, options["groups"]),))

def hung(options, timeout):
    import time
    time.sleep(30)

def broken(options, timeout):
    raise KeyError("token")
"""


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package with three entry points."""
    (tmp_path / "our_servers.py").write_text(MODULE)
    about = tmp_path / "our_servers-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: our-servers\nVersion: 1.0\n")
    points = "".join(f"{name} = our_servers:{name}\n" for name in ("servers", "wrong", "odd", "hung", "broken"))
    (about / "entry_points.txt").write_text(f"[maintenancebot.inventory]\n{points}")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("our_servers", None)


def source(name: str) -> PluginSource:
    return PluginSource(type="plugin", plugin=name, options={"name": "web-1"}, timeout=7)


def test_an_entry_point_is_handed_its_options_and_the_limit() -> None:
    assert read(source("servers")).hosts == (Listed("web-1", {"address": "10.0.0.1", "timeout": 7.0}),)


def test_a_plugin_that_is_not_installed_or_answers_otherwise_is_told() -> None:
    with pytest.raises(SourceError, match="has the entry point 'none' in"):
        read(source("none"))
    with pytest.raises(SourceError, match="the plugin 'wrong' gave no Listing"):
        read(source("wrong"))


@pytest.mark.parametrize("groups", ["web", None, ({1, 2},)])
def test_groups_that_are_no_list_of_names_are_refused(groups: object) -> None:
    with pytest.raises(SourceError, match="the plugin 'odd' gave"):
        read(PluginSource(type="plugin", plugin="odd", options={"groups": groups}))


def test_a_plugin_that_hangs_is_left_to_itself() -> None:
    with pytest.raises(SourceError, match="no end after 1 seconds"):
        read(PluginSource(type="plugin", plugin="hung", timeout=1))


def test_a_fault_of_a_plugin_spoils_its_own_source_alone() -> None:
    answers = gather([source("broken"), source("servers")], read, {}, NOON)
    broken, servers = answers.gathered
    assert broken.problems == ("source plugin: a fault of its reader: KeyError; there is no earlier answer",)
    assert len(servers.hosts) == 1
