"""Baselines for tests: files in a folder, and what they declare of a host."""

from __future__ import annotations

from pathlib import Path

import pytest

from maintenancebot.errors import ConfigurationError
from maintenancebot.model import Host
from maintenancebot.settings import Item
from maintenancebot.settings.baselines import Baselines, State, faults_of, load

WEB = Host("web-1", "10.0.0.11", groups=("web",), labels=(("rack", "a1"),), cloud="hetzner", timezone="Europe/Berlin")


class Folder:
    """A folder of baselines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def write(self, name: str, content: str | bytes) -> Path:
        """Make a file in it, with the folders on the way."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        return file

    def baseline(self, items: str, name: str = "web.yaml", hosts: str = "[all]") -> Path:
        """Make a baseline with these items."""
        return self.write(name, f"hosts: {hosts}\n{items}")

    def load(self) -> Baselines:
        return load(self.path)

    def items(self, host: Host = WEB) -> list[Item]:
        """What all of its baselines declare of a host."""
        state = self._state(host)
        assert not state.faults, [str(fault) for fault in state.faults]
        return list(state.items)

    def item(self, text: str) -> Item:
        """The one item that this baseline declares."""
        self.baseline(text)
        (item,) = self.items()
        return item

    def faults(self, text: str = "") -> list[str]:
        """What is wrong when they are loaded."""
        if text:
            self.baseline(text)
        with pytest.raises(ConfigurationError) as caught:
            self.load()
        return [str(fault).replace(f"{self.path}/", "") for fault in caught.value.faults]

    def host_faults(self, text: str = "", host: Host = WEB) -> list[str]:
        """What is wrong for one host."""
        if text:
            self.baseline(text)
        found = faults_of({host.name: self._state(host)})
        return [str(fault).replace(f"{self.path}/", "") for fault in found]

    def _state(self, host: Host) -> State:
        loaded = self.load()
        return loaded.state(host, [one.name for one in loaded.files])
