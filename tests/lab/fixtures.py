"""Fixtures by which tests get hosts; a conftest.py imports them by name.

`lab` and `fleet` live as long as the run, `make_fleet` as the module, everything else as the test.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lab.acme import Acme
from tests.lab.apt import Identity, Repository
from tests.lab.containers import Docker
from tests.lab.fleet import Fleet
from tests.lab.hosts import HostSpec, LabHost
from tests.lab.lab import Lab, missing
from tests.lab.wire import Wire

__all__ = [
    "fleet", "host", "lab", "make_acme", "make_docker", "make_fleet", "make_host", "make_repository", "make_wire",
    "own_fleet", "pytest_collection_modifyitems",
]  # fmt: skip

LAB = pytest.StashKey[Lab]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that uses the lab."""
    for item in items:
        if "lab" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.lab)


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Lab:
    """The run's lab; skips where it cannot run, unless LAB_REQUIRED=1 says that it must."""
    stash = request.config.stash
    if LAB not in stash:
        if reason := missing():
            required = os.environ.get("LAB_REQUIRED") == "1"
            pytest.fail(reason, pytrace=False) if required else pytest.skip(reason)
        stash[LAB] = Lab()
        request.config.add_cleanup(stash[LAB].close)
    return stash[LAB]


@pytest.fixture(scope="session")
def fleet(lab: Lab) -> Fleet:
    """Three shared hosts, one for each release, named bullseye, bookworm and trixie: leave them as they were."""
    return lab.releases


@pytest.fixture(scope="module")
def make_fleet(lab: Lab) -> Iterator[Callable[..., Fleet]]:
    """Boot a fleet out of HostSpecs that the tests of this module share."""
    made: list[Fleet] = []

    def make(*specs: HostSpec) -> Fleet:
        made.append(lab.fleet(*specs))
        return made[-1]

    yield make
    lab.end(*made)


@pytest.fixture
def own_fleet(lab: Lab) -> Iterator[Fleet]:
    """An empty fleet of this test alone, with its own inventory; `make_host` boots into it."""
    fleet = lab.fleet()
    yield fleet
    lab.end(fleet)


@pytest.fixture
def make_host(own_fleet: Fleet) -> Callable[..., LabHost]:
    """Boot one host for this test: `make_host("web-1", release="trixie", …)`, options as in HostSpec."""

    def make(name: str = "host", **options: Any) -> LabHost:
        return own_fleet.host(name, **options)

    return make


@pytest.fixture
def host(make_host: Callable[..., LabHost]) -> LabHost:
    """One Debian 12 host for this test alone."""
    return make_host()


@pytest.fixture
def make_repository(lab: Lab) -> Iterator[Callable[..., Repository]]:
    """Make an apt repository: `make_repository(apt.updates(), signed=True)`."""
    made: list[Repository] = []

    def make(identity: Identity | None = None, *, signed: bool = False) -> Repository:
        made.append(lab.repository(identity, signed=signed))
        return made[-1]

    yield make
    lab.end(*made)


@pytest.fixture
def make_docker(lab: Lab) -> Iterator[Callable[..., Docker]]:
    """Start a Docker daemon and show it in a host: `make_docker(host, disk_mib=200)`."""
    made: list[Docker] = []

    def make(host: LabHost | None = None, **options: Any) -> Docker:
        made.append(lab.docker(host, **options))
        return made[-1]

    yield make
    lab.end(*made)


@pytest.fixture
def make_acme(lab: Lab) -> Iterator[Callable[..., Acme]]:
    """Start an ACME authority: `make_acme(validity_days=6)`."""
    made: list[Acme] = []

    def make(**options: Any) -> Acme:
        made.append(lab.acme(**options))
        return made[-1]

    yield make
    lab.end(*made)


@pytest.fixture
def make_wire(lab: Lab) -> Iterator[Callable[[LabHost], Wire]]:
    """Put a line that can be cut before a host."""
    made: list[Wire] = []

    def make(host: LabHost) -> Wire:
        made.append(lab.wire(host))
        return made[-1]

    yield make
    lab.end(*made)
