"""A real Docker daemon reads the Dockerfile. Building it needs a registry, which tests do without."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.lab.lab import Lab

ROOT = Path(__file__).parents[2]
NO_STAGE = "no-such-stage"


def test_docker_reads_every_instruction(lab: Lab, tmp_path: Path) -> None:
    daemon = lab.docker(disk_mib=64)
    try:
        told = _build(daemon.socket, tmp_path, (ROOT / "Dockerfile").read_text("utf-8"))
        assert f"failed to reach build target {NO_STAGE}" in told
        broken = (ROOT / "Dockerfile").read_text("utf-8").replace("--start-period", "--start-perod")
        assert "dockerfile parse error" in _build(daemon.socket, tmp_path, broken)
    finally:
        lab.end(daemon)


def _build(socket: Path, folder: Path, dockerfile: str) -> str:
    """What the builder says when it is asked for a stage that does not exist: it reads all, and fetches nothing."""
    docker = shutil.which("docker")
    assert docker, "docker is there, since its daemon is"
    (folder / "Dockerfile").write_text(dockerfile)
    argv = [docker, "-H", f"unix://{socket}", "build", "--target", NO_STAGE, str(folder)]
    done = subprocess.run(argv, capture_output=True, text=True, env={"DOCKER_BUILDKIT": "0"}, check=False, timeout=60)
    assert done.returncode != 0
    return done.stdout + done.stderr
