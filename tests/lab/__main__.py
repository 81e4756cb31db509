"""`python -m tests.lab`: boot hosts and leave them running, for the bench and for trying things by hand."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from tests.lab import bases
from tests.lab.fleet import RELEASE_CYCLE, Fleet, specs
from tests.lab.tools import LabError, lab_home


def main() -> int:
    """Do what the command line asks; 1 with one clear line when it cannot be done."""
    words = _parser().parse_args()
    try:
        words.action(words)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


def up(words: argparse.Namespace) -> None:
    """Boot more hosts into the directory and say where its files are."""
    began = time.monotonic()
    fleet = Fleet.attach(words.dir) if (words.dir / "hosts").is_dir() else Fleet(words.dir)
    releases = words.release or RELEASE_CYCLE
    wanted = [spec for spec in specs(words.hosts, releases, variant=words.variant) if spec.name not in fleet.hosts]
    fleet.boot(*wanted)
    for host in fleet:
        host.start()
    print(f"{len(fleet)} hosts up in {time.monotonic() - began:.1f} s", file=sys.stderr)
    print(fleet.directory)


def down(words: argparse.Namespace) -> None:
    """Stop the hosts and remove the directory."""
    Fleet.attach(words.dir).stop()


def status(words: argparse.Namespace) -> None:
    """One line for each host."""
    for host in Fleet.attach(words.dir):
        print(f"{host.name:20} {host.spec.release:10} {host.address}:{host.port:<6} {'on' if host.is_on() else 'off'}")


def build_bases(words: argparse.Namespace) -> None:
    """Build the base trees only."""
    variants = words.variants or [""]
    for path in bases.build(bases.Base(release, variant) for release in bases.RELEASES for variant in variants):
        print(path)


def shell(words: argparse.Namespace) -> None:
    """A root shell, or a command, inside a host."""
    hosts = Fleet.attach(words.dir).hosts
    if words.name not in hosts:
        raise LabError(f"no host {words.name}; there are {', '.join(hosts)}")
    enter = ["nsenter", "-t", str(hosts[words.name].init_pid()), "-a"]
    os.execvp("nsenter", [*enter, *(words.command or ["bash", "-l"])])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    commands = parser.add_subparsers(required=True)
    table = {
        "up": (up, _up_words),
        "down": (down, None),
        "status": (status, None),
        "bases": (build_bases, _bases_words),
        "shell": (shell, _shell_words),
    }
    for name, (action, more) in table.items():
        command = commands.add_parser(name, help=action.__doc__)
        command.add_argument("--dir", type=Path, default=lab_home() / "up", help="directory of the fleet")
        command.set_defaults(action=action)
        if more:
            more(command)
    return parser


def _up_words(command: argparse.ArgumentParser) -> None:
    command.add_argument("--hosts", type=int, default=3)
    command.add_argument("--release", action="append", choices=list(bases.RELEASES), help="may be given several times")
    command.add_argument("--variant", default="", choices=list(bases.VARIANTS))


def _bases_words(command: argparse.ArgumentParser) -> None:
    command.add_argument("--variant", action="append", dest="variants", choices=list(bases.VARIANTS))


def _shell_words(command: argparse.ArgumentParser) -> None:
    command.add_argument("name")
    command.add_argument("command", nargs=argparse.REMAINDER)


if __name__ == "__main__":
    sys.exit(main())
