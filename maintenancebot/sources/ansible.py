"""An inventory of Ansible, read by Ansible's own program; a script by itself where Ansible is not installed."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from maintenancebot.inventory_sources import AnsibleSource, CommandSource
from maintenancebot.sources import ansible_json, programs
from maintenancebot.sources.listing import Listing, SourceError

PROGRAM = "ansible-inventory"


def read(source: AnsibleSource) -> Listing:
    """The hosts now; raises SourceError."""
    path = source.path
    if not path.exists():
        raise SourceError(f"{path} is not there")
    folder = path if path.is_dir() else path.parent
    beside = Path(sys.executable).parent  # an environment that was not activated
    program = shutil.which(PROGRAM, path=os.pathsep.join([str(beside), os.environ.get("PATH", os.defpath)]))
    if program:
        # From the inventory's own folder, since that is where Ansible looks for its configuration.
        argv = [program, "--inventory", str(path), "--list"]
        more = {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true", "ANSIBLE_NOCOLOR": "true"}
        return ansible_json.listing(programs.output(argv, timeout=source.timeout, cwd=folder, more=more))
    if path.is_file() and os.access(path, os.X_OK):
        return ansible_json.listing(programs.output([str(path), "--list"], timeout=source.timeout, cwd=folder))
    raise SourceError(f"reading {path} needs {PROGRAM}; install ansible-core beside this program")


def read_command(source: CommandSource) -> Listing:
    """What a program of the administrator's own lists; raises SourceError."""
    return ansible_json.listing(programs.output(source.argv, timeout=source.timeout))
