"""What a person lets hosts differ in, and a baseline from a good host, on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from maintenancebot import app
from maintenancebot.cli.drift import drift_group
from maintenancebot.cli.main import run
from maintenancebot.cli.options import Options
from maintenancebot.engine.capture import CaptureResult
from maintenancebot.errors import ConfigurationError
from maintenancebot.model import Reason, State
from maintenancebot.settings import ItemKind, load_settings
from maintenancebot.settings.baseline_text import Captured
from tests.unit.places import Place

EXAMPLE = Path(__file__).parents[3] / "config" / "baselines" / "base.yaml.example"
TASK = {"name": "backups", "type": "verify", "check": "backup_completed_within_24h"}


@pytest.fixture
def drift(place: Place) -> Any:
    """The command over two hosts for which a package is declared."""
    place.configure(TASK, timezone="Europe/Berlin")
    place.list_hosts("web-1", "web-2")
    folder = place.config.parent / "baselines"
    folder.mkdir()
    (folder / "base.yaml").write_text(yaml.safe_dump({"hosts": ["all"], "packages": [{"name": "curl"}]}))
    options = Options(place.config, place.inventory, place.state_dir, quiet=True)

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(drift_group, list(arguments), obj=options, standalone_mode=False)

    return call


def accept(drift: Any, *hosts: str, until: str = "7d") -> Result:
    names = [word for host in hosts for word in ("--host", host)]
    result = drift("accept", *names, "--item", "package:curl", "--until", until, "--reason", "a <b>test</b>")
    assert isinstance(result, Result)
    return result


def test_an_allowance_is_told_with_its_end(drift: Any) -> None:
    result = accept(drift, "web-1", "web-2", until="2027-01-04")
    assert result.exit_code == 0, result.exception
    assert result.stdout == (
        "web-1: package:curl may differ until Monday 2027-01-04 22:59 UTC\n"
        "web-2: package:curl may differ until Monday 2027-01-04 22:59 UTC\n"
    )


def test_allowances_are_listed_for_all_hosts_or_some(drift: Any) -> None:
    assert drift("allowances").stdout == "No allowance holds.\n"
    accept(drift, "web-1", "web-2", until="2027-01-04")
    lines = drift("allowances", "--host", "web-2").stdout.splitlines()
    assert lines[0].split() == ["HOST", "ITEM", "UNTIL", "BY", "REASON"]
    assert lines[1:] == [f"web-2  package:curl  2027-01-04 22:59 UTC  {app.person()}  a <b>test</b>"]
    document = json.loads(drift("allowances", "--json").stdout)
    assert [(one["host"], one["item"], one["until"]) for one in document["allowances"]] == [
        ("web-1", "package:curl", "2027-01-04T22:59:59+00:00"),
        ("web-2", "package:curl", "2027-01-04T22:59:59+00:00"),
    ]


def test_an_allowance_is_taken_back(drift: Any) -> None:
    accept(drift, "web-1", "web-2")
    assert drift("revoke", "--host", "web-1", "--item", "package:curl").stdout == (
        "web-1: package:curl may not differ any more\n"
    )
    assert [one["host"] for one in json.loads(drift("allowances", "--json").stdout)["allowances"]] == ["web-2"]


def test_a_mistake_ends_with_code_two_and_a_sentence(
    drift: Any, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ["--config", str(place.config), "--inventory", str(place.inventory), "--state-dir", str(place.state_dir)]
    code = run([*places, "drift", "accept", "--host", "web-1", "--item", "curl", "--until", "7d", "--reason", "x"])
    assert code == 2
    said = capsys.readouterr().err
    assert said == "maintenancebot: no item 'curl' is declared for web-1; did you mean 'package:curl'?\n"
    assert not place.state_dir.exists()


def test_check_says_what_baselines_are_for(drift: Any, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--config", str(place.config), "--inventory", str(place.inventory), "check"]) == 0
    assert "Baseline base.yaml: 1 item for all 2 hosts\n" in capsys.readouterr().out


# A baseline from a good host


FOUND = Captured(ItemKind.PACKAGE, "curl", {"state": "installed", "version": "8.1"})


@pytest.mark.parametrize(
    ("result", "code", "out", "err"),
    [
        (
            CaptureResult("web-1", State.DONE, captured=(FOUND,)),
            0,
            'hosts: ["web-1"]\npackages:\n  - {name: "curl", version: "8.1"}\n',
            "",
        ),
        (
            CaptureResult("web-1", State.DONE, detail="crontab: denied", captured=(FOUND,)),
            1,
            "# Not all could be seen: crontab: denied\n",
            "maintenancebot: web-1: not all could be seen: crontab: denied\n",
        ),
        (CaptureResult("web-1", State.UNKNOWN, Reason.UNREACHABLE, "refused"), 1, "", "web-1: unknown: "),
        (CaptureResult("web-1", State.UNKNOWN, Reason.NEEDS_ROOT, "", (FOUND,)), 1, "packages:\n", "web-1: unknown: "),
    ],
)
def test_a_captured_baseline_goes_to_standard_output_and_trouble_beside_it(
    drift: Any, monkeypatch: pytest.MonkeyPatch, result: CaptureResult, code: int, out: str, err: str
) -> None:
    monkeypatch.setattr("maintenancebot.app.capture.engine.capture", lambda host, work: result)
    found = drift("capture", "web-1")
    assert (found.return_value if isinstance(found.return_value, int) else found.exit_code) == code
    assert out in found.stdout
    assert err in found.stderr


def test_the_empty_file_that_a_shell_makes_among_the_baselines_is_no_fault_for_a_capture(
    drift: Any, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place.config.parent / "baselines" / "new.yaml").touch()
    captured = CaptureResult("web-1", State.DONE, captured=(FOUND,))
    monkeypatch.setattr("maintenancebot.app.capture.engine.capture", lambda host, work: captured)
    assert "packages:\n" in drift("capture", "web-1").stdout
    told = drift("allowances").exception
    assert isinstance(told, ConfigurationError)
    assert "new.yaml:1:1: the file is empty" in str(told)


def test_the_example_is_a_baseline(tmp_path: Path) -> None:
    (tmp_path / "baselines").mkdir()
    (tmp_path / "baselines" / "base.yaml").write_bytes(EXAMPLE.read_bytes())
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"tasks": [TASK]}))
    (found,) = load_settings(tmp_path / "config.yaml", {}).baselines.files
    assert [len(found.entries), found.hosts] == [7, ("all",)]
