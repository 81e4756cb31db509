"""Ways to make a host odd; each takes a host, running or (where it makes sense) about to boot."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.lab.bases import RELEASES
from tests.lab.hosts import LabHost
from tests.lab.tools import run

HOMES = {"root": "/root"}
NOISE = """\
echo 'Welcome! Your password expires in 3 days.'
echo '{fake}'
printf '\\0\\0\\0\\052{fake}\\n\\377\\376\\033[2J\\033]0;owned\\007'
printf 'Content-Length: 2\\r\\n\\r\\n{{}}\\n'
echo 'bash: warning: setlocale: LC_ALL: cannot change locale (xx_XX)' >&2
"""
FAKE_ANSWER = {"schema": 1, "ok": True, "state": "done", "hosts": [], "findings": [], "changes": []}


def noisy(host: LabHost, user: str = "ops", fake_frames: bytes = b"") -> None:
    """Fill the start-up file with greetings, valid JSON, control bytes and, if given, frames of the real protocol."""
    home = HOMES.get(user, f"/home/{user}")
    script = NOISE.format(fake=json.dumps(FAKE_ANSWER))
    if fake_frames:
        host.write(f"{home}/.frames", fake_frames, owner=user)
        script += f"cat {home}/.frames\n"
    for name in (".bashrc", ".profile"):
        host.write(f"{home}/{name}", script, owner=user)
    host.write(f"{home}/.ssh/rc", script, owner=user)


def flooding(host: LabHost, user: str = "ops") -> None:
    """Write without end to both outputs at each login, instead of running the command."""
    _start_up(host, user, 'yes \'{"state": "done"}\' | tee /dev/stderr\n')


def hanging_shell(host: LabHost, user: str = "ops", seconds: float | None = None) -> None:
    """Let the login shell sleep after a good login: for ever, or for a time and then go on."""
    rest = "" if seconds is None else '; exec /bin/bash "$@"'
    shell = f"#!/bin/sh\nsleep {'infinity' if seconds is None else seconds}{rest}\n"
    _login_shell(host, user, "/usr/local/bin/slow-shell", shell)


def hanging_command(host: LabHost, user: str = "ops") -> None:
    """Force a command that sleeps in place of what was asked."""
    forced_command(host, "/bin/sleep infinity", user)


def forced_command(host: LabHost, command: str, user: str = "ops") -> None:
    """Run `command` whatever is asked, by sshd's ForceCommand."""
    host.write("/etc/ssh/sshd_config.d/zz-forced.conf", f"Match User {user}\n    ForceCommand {command}\n")
    reload_sshd(host)


def unusual_shell(host: LabHost, user: str = "ops", shell: str = "/usr/sbin/nologin") -> None:
    """Give the user another login shell: nologin, /bin/false, /bin/dash, /usr/bin/python3."""
    _set_shell(host, user, shell)


def hanging_greeting(host: LabHost) -> Callable[[], None]:
    """Freeze the whole host: TCP connects, and no SSH greeting comes; returns what thaws it."""
    host.freeze()
    return host.thaw


def lying_shell(host: LabHost, answer: bytes, user: str = "ops") -> None:
    """Swallow the input and answer with the given bytes, exit 0, whatever was asked."""
    host.write("/usr/local/share/lie", answer)
    forced_command(host, "/bin/sh -c 'cat >/dev/null; cat /usr/local/share/lie'", user)


def minimal_python(host: LabHost) -> None:
    """Leave what Debian's python3-minimal offers: no gzip, tarfile, shutil, ctypes, …; json only in Debian 13."""
    version = RELEASES[host.spec.release]
    packages = ["python3", f"python{version}", "libpython3-stdlib", f"libpython{version}-stdlib"]
    remove = ["dpkg", "--purge", "--force-depends", *packages]
    if host.is_on():
        host.run(remove)
    else:
        run(["chroot", host.root, *remove])


def without_python(host: LabHost) -> None:
    """Take python3 away altogether (the name, so that it can come back)."""
    host.path("/usr/bin/python3").unlink()


def wrong_host_key(host: LabHost) -> None:
    """Let the host show another key than the one in known_hosts."""
    key = host.path("/etc/ssh/ssh_host_ed25519_key")
    for part in (key, key.with_suffix(".pub")):
        part.unlink()
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "another", "-f", key])
    reload_sshd(host)


def another_machine(host: LabHost, machine_id: str = "f" * 32) -> None:
    """Let another machine answer at the address: same keys, another machine-id."""
    host.path("/etc/machine-id").chmod(0o644)
    host.write("/etc/machine-id", machine_id + "\n", mode=0o444)


def read_only_root(host: LabHost) -> Callable[[], None]:
    """Remount the host's root read-only; returns what makes it writable again."""
    host.run(["journalctl", "--relinquish-var"])
    host.run(["mount", "-o", "remount,ro,bind", "/"])

    def undo() -> None:
        host.sh("mount -o remount,rw,bind /; journalctl --flush")

    return undo


def full_root(host: LabHost, leave_bytes: int = 0) -> None:
    """Fill the root of a host that was booted with `disk_mib`."""
    script = f'free=$(stat -f -c "%a * %S" /); size=$(( $free - {leave_bytes} )); fallocate -l $size /var/filler || :'
    host.sh(script)
    if not leave_bytes:
        host.sh("cat /dev/zero >>/var/filler 2>/dev/null || :")


def no_sudo(host: LabHost) -> None:
    """Remove sudo itself; the users `asks` and `plain` show sudo with a password and no right to it."""
    host.path("/usr/bin/sudo").rename(host.path("/usr/bin/sudo.away"))


def sudo_wants_terminal(host: LabHost, user: str = "ops") -> None:
    """Let sudo refuse sessions without a terminal."""
    host.write(f"/etc/sudoers.d/zz-{user}", f"Defaults:{user} requiretty\n", mode=0o440)


def expired_password(host: LabHost, user: str = "ops") -> None:
    """Expire the password, so that PAM wants a new one before anything runs."""
    host.run(["chage", "-d", "0", user])


def expired_account(host: LabHost, user: str = "ops") -> None:
    """Expire the account."""
    host.run(["chage", "-E", "1", user])


def reload_sshd(host: LabHost) -> None:
    """Let a running sshd read its configuration again."""
    if host.is_on():
        host.run(["systemctl", "restart", "ssh.service"])
        host.wait_up()


def _start_up(host: LabHost, user: str, script: str) -> None:
    home = HOMES.get(user, f"/home/{user}")
    for name in (".bashrc", ".profile"):
        host.write(f"{home}/{name}", script, owner=user)


def _login_shell(host: LabHost, user: str, path: str, script: str) -> None:
    host.write(path, script, mode=0o755)
    _set_shell(host, user, path)


def _set_shell(host: LabHost, user: str, shell: str) -> None:
    lines = host.read("/etc/passwd").decode().splitlines()
    changed = [line.rpartition(":")[0] + ":" + shell if line.startswith(user + ":") else line for line in lines]
    host.write("/etc/passwd", "\n".join(changed) + "\n")
