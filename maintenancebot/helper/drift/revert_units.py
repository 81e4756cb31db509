"""The timer that takes a correction back, and the unit that does so when the host boots before it fired."""

import os

from ..files import walk
from ..host import tools

NAME = "maintenancebot-revert-"
FOLDER = "/etc/systemd/system"
WANTS = FOLDER + "/sysinit.target.wants"
CODE = (
    "import sys;sys.path.insert(0,sys.argv[1]);from mb_helper.drift import revert;revert.main(sys.argv[2],sys.argv[3])"
)
PYTHON = ("/usr/bin/python3", "-I", "-S", "-B", "-c", CODE)
LIMIT = 30
AGAIN = ("Restart=on-failure", "RestartSec=15", "StartLimitIntervalSec=3600", "StartLimitBurst=60")
"""What could not be taken back is tried again for a quarter of an hour."""

BOOT = """\
# Written by maintenancebot while a correction of its is not confirmed; it goes away with that.
[Unit]
Description=maintenancebot: take back an unconfirmed correction
DefaultDependencies=no
RequiresMountsFor={path}
After=local-fs.target systemd-remount-fs.service
Before=sysinit.target network-pre.target
ConditionPathExists={path}/program.zip

[Service]
Type=oneshot
ExecStart={words} boot
"""


def arm(name, path, seconds):
    """Start the timer, and lay the unit for the next boot. Raises Refused when the host cannot do both."""
    if not os.path.isdir("/run/systemd/system") or tools.find("systemd-run") is None:
        raise walk.Refused("lacks", "no systemd, and so no timer that would take it back")
    words = [*PYTHON, path + "/program.zip", path]
    _lay(name, BOOT.format(path=path, words=" ".join('"%s"' % word if " " in word else word for word in words)))
    argv = [tools.find("systemd-run"), "--quiet", "--collect", "--no-ask-password", "--unit=" + NAME + name]
    argv += ["--description=maintenancebot: take back an unconfirmed correction", "--on-active=%d" % seconds]
    argv += ["--timer-property=AccuracySec=1s"] + ["--property=" + one for one in AGAIN]
    answer = tools.run([*argv, "--", *words, "timer"], limit=LIMIT)
    if not answer.ok or not is_waiting(name):
        raise walk.Refused("tool_failed", "the timer that would take it back does not start: %s" % answer.error())


def is_waiting(name):
    """Whether the timer, or what it has started, is at it."""
    units = [NAME + name + ".timer", NAME + name + ".service"]
    answer = tools.run([tools.find("systemctl"), "show", "--property=ActiveState", "--", *units], limit=LIMIT)
    states = answer.stdout.decode("ascii", "replace").split()
    return any(state in ("ActiveState=active", "ActiveState=activating") for state in states)


def disarm(name):
    """Stop the timer, and take the unit for the next boot away."""
    for path in (_link(name), _file(name)):
        if os.path.lexists(path):
            os.unlink(path)
    tools.run([tools.find("systemctl"), "--no-ask-password", "stop", "--", NAME + name + ".timer"], limit=LIMIT)


def reload_systemd():
    """Let systemd read its unit files again; why it would not."""
    answer = tools.run([tools.find("systemctl"), "--no-ask-password", "daemon-reload"], limit=90)
    return "" if answer.ok else "daemon-reload: %s" % answer.error()


def _lay(name, text):
    """systemd reads it when the host boots, so that it need not be told of it."""
    os.makedirs(WANTS, mode=0o755, exist_ok=True)
    for path in (_link(name), _file(name)):
        if os.path.lexists(path):
            os.unlink(path)
    descriptor = os.open(_file(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        os.fchmod(descriptor, 0o644)
        os.write(descriptor, text.encode("ascii"))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.symlink(_file(name), _link(name))
    for folder in (FOLDER, WANTS):
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(held)
        finally:
            os.close(held)


def _file(name):
    return "%s/%sboot-%s.service" % (FOLDER, NAME, name)


def _link(name):
    return "%s/%sboot-%s.service" % (WANTS, NAME, name)
