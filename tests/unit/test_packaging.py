"""The unit and the image: hardened, explained line by line, and in step with the code."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from maintenancebot.cli.main import COMMANDS, commands
from maintenancebot.settings import Http
from maintenancebot.settings.secrets import NAMES

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "systemd").glob("*.service"))
DAEMON = (ROOT / "systemd" / "maintenancebot.service").read_text("utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
PAGE = (ROOT / "docs" / "daemon.md").read_text("utf-8")
BY_NATURE = {"Description", "Wants", "After", "WantedBy", "Type", "ExecStart", "User", "Group"}
"""Lines of a unit that need no word: they say what every unit says."""


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continued lines joined."""
    text = re.sub(r"\\\n", " ", DOCKERFILE)
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines]


def of(name: str) -> list[str]:
    return [rest for word, rest in instructions() if word == name]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_every_line_of_a_unit_is_explained(unit: Path) -> None:
    explained = False
    for line in unit.read_text("utf-8").splitlines():
        if line.startswith("#"):
            explained = True
        elif not line.strip() or line.startswith("["):
            explained = False
        else:
            assert explained or line.split("=")[0] in BY_NATURE, line


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_command_of_a_unit_exists(unit: Path) -> None:
    (line,) = re.findall(r"^ExecStart=(.*)$", unit.read_text("utf-8"), re.MULTILINE)
    words = shlex.split(line)
    known = {option for one in commands.params for option in one.opts}
    assert {word for word in words if word.startswith("--")} <= known
    assert words[-1] in COMMANDS


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze rates units")
def test_the_daemon_has_little_to_lose() -> None:
    found = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", ROOT / "systemd" / "maintenancebot.service"],
        capture_output=True,
        text=True,
        check=False,
    )
    if "offline" in found.stderr:
        pytest.skip("this systemd-analyze looks at running units only")
    (score,) = re.findall(r"Overall exposure level for maintenancebot.service: ([0-9.]+)", found.stdout)
    assert float(score) < 2.0
    assert re.search(r"says ([0-9.]+), OK", PAGE)[1] == "1.2"  # type: ignore[index]


def test_the_credentials_of_the_unit_are_those_of_the_code_and_of_the_page() -> None:
    named = set(re.findall(r"^#?LoadCredential=([a-z_]+):", DAEMON, re.MULTILINE))
    assert set(NAMES) <= named
    assert [name for name in named if f"| `{name}` |" not in PAGE] == []


def test_the_image_runs_as_nobody_special_and_serves_the_daemon() -> None:
    (build, final) = DOCKERFILE.split("\nFROM ")
    assert "USER" not in build
    user = re.search(r"^USER (\w+)$", final, re.MULTILINE)
    assert user
    assert "useradd --uid 10001" in final
    assert user[1] == "maintenancebot"
    assert (json.loads(of("ENTRYPOINT")[0])[0], json.loads(of("CMD")[0])) == ("maintenancebot", ["daemon"])
    assert "daemon" in COMMANDS


def test_the_image_asks_its_own_server_whether_it_is_ready() -> None:
    (check,) = of("HEALTHCHECK")
    assert json.loads(check.split(" CMD ")[1])[0] == "python"
    default = Http()
    assert f"READY_URL=http://{default.host}:{default.port}/health/ready" in DOCKERFILE


def test_the_image_is_built_from_what_the_project_has_and_a_python_that_it_supports() -> None:
    copied = {word for line in of("COPY") if not line.startswith("--from") for word in line.split()[:-1]}
    assert {path for path in copied if not (ROOT / path).exists()} == set()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert {project["readme"], *project["license-files"], "pyproject.toml", "maintenancebot"} == copied
    lowest = tuple(map(int, project["requires-python"].removeprefix(">=").split(".")))
    for line in of("FROM"):
        image = re.match(r"python:(\d+)\.(\d+)-slim", line)
        assert image
        assert tuple(map(int, image.groups())) >= lowest


def test_every_variable_of_the_image_is_one_that_the_command_takes() -> None:
    named = set(re.findall(r"\b(MAINTENANCEBOT_[A-Z_]+)=", DOCKERFILE))
    assert named <= {str(one.envvar) for one in commands.params if getattr(one, "envvar", None)}
