"""What certbot has on this host: its lineages, how each is renewed, and whether a timer of its own does it."""

import os
import re

from ..host import listeners, tools
from . import certificate_files
from .der import facts_of

LIVE = "/etc/letsencrypt/live"
RENEWAL = "/etc/letsencrypt/renewal"
PRE_HOOKS = "/etc/letsencrypt/renewal-hooks/pre"
DEFAULTS = "/etc/letsencrypt/cli.ini"
SNAP = "/snap/bin/certbot"
TIMERS = ("certbot.timer", "snap.certbot.renew.timer", "certbot-renew.timer")
TABLES = ("/etc/crontab", "/etc/cron.d", "/var/spool/cron/crontabs/root", "/var/spool/cron/root")
SCRIPTS = ("/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly")
CRONS = ("cron", "crond", "fcron", "anacron")
SYSTEMD = "/run/systemd/system"
MOST_BYTES = 65536
MOST_TABLES = 200
SETTING = re.compile(r"^\s*(authenticator|installer|pre_hook|http01_port|http01_address)\s*=\s*(.*?)\s*$", re.MULTILINE)
PRE_HOOK = re.compile(r"^\s*pre[-_]hook\s*=\s*\S", re.MULTILINE)
RENEWS = re.compile(r"^[^#\n]*\bcertbot\b[^#\n]*\brenew\b.*$", re.MULTILINE)


def program():
    """certbot's path, None without it."""
    return tools.find("certbot") or (SNAP if os.access(SNAP, os.X_OK) else None)


def lineage_file(lineage):
    """The certificates that programs use."""
    return os.path.join(LIVE, lineage, "fullchain.pem")


def lineages(looked):
    """The names of all lineages that have a certificate."""
    try:
        names = sorted(os.listdir(LIVE))
    except PermissionError:
        looked.unreadable.append(LIVE)
        return []
    except OSError:
        return []
    return [name for name in names if os.path.lexists(lineage_file(name))]


def present(lineage):
    """The facts of a lineage's present certificate, None when there is none to read."""
    try:
        chain, _ = certificate_files.read(lineage_file(lineage))
        return facts_of(chain[0])
    except (OSError, IndexError, ValueError):
        return None


def settings(lineage):
    """How a lineage is renewed, None when certbot does not renew it."""
    try:
        with open(os.path.join(RENEWAL, lineage + ".conf"), encoding="utf-8", errors="replace") as stream:
            return dict(SETTING.findall(stream.read(MOST_BYTES)))
    except OSError:
        return None


def conflict(lineage):
    """What holds the port that certbot's own server needs; empty when nothing does, or a hook is there to free it."""
    said = settings(lineage) or {}
    if said.get("authenticator") != "standalone" or said.get("pre_hook", "None") != "None" or _has_pre_hooks():
        return ""
    port, address = said.get("http01_port", "80"), said.get("http01_address", "")
    if not port.isdigit():
        return ""
    for one in listeners.listening({int(port)}):
        if one.everywhere or address in ("", one.address):
            holder = listeners.unit_of(one.pid) if one.seen else "another container"
            return "certbot's standalone server needs port %s, which %s holds" % (port, holder or "pid %d" % one.pid)
    return ""


def _has_pre_hooks():
    """Whether a hook runs before each renewal, by the folder of hooks or the defaults of all lineages."""
    if PRE_HOOK.search(_content(DEFAULTS)):
        return True
    try:
        return any(os.access(os.path.join(PRE_HOOKS, name), os.X_OK) for name in os.listdir(PRE_HOOKS))
    except OSError:
        return False


def renewed_by(out):
    """The timer or cron table that runs `certbot renew` on this host by itself, empty when nothing does."""
    return _timer(out) or (_cron() if _cron_runs() else "")


def _timer(out):
    """A timer that is active and will elapse; one that systemd does not know or that is masked is none."""
    systemctl = tools.find("systemctl")
    if systemctl is None or not os.path.isdir(SYSTEMD):
        return ""
    try:
        answer = tools.run([systemctl, "show", "--property=Id,ActiveState", "--", *TIMERS], out=out, limit=20)
    except OSError:
        return ""
    for block in answer.stdout.decode("utf-8", "replace").split("\n\n"):
        said = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if said.get("ActiveState") == "active" and said.get("Id") in TIMERS:
            return said["Id"]
    return ""


def _cron():
    """The first table with a line that renews; Debian's own line does nothing where systemd runs."""
    for path in _files(TABLES):
        for line in RENEWS.findall(_content(path)):
            if not (SYSTEMD in line and os.path.isdir(SYSTEMD)):
                return path
    return next((path for path in _files(SCRIPTS) if RENEWS.search(_content(path))), "")


def _files(places):
    found = []
    for place in places:
        try:
            found += [os.path.join(place, name) for name in sorted(os.listdir(place)) if not name.startswith(".")]
        except NotADirectoryError:
            found.append(place)
        except OSError:
            continue
    return found[:MOST_TABLES]


def _content(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read(MOST_BYTES) if os.path.isfile(path) else ""
    except OSError:
        return ""


def _cron_runs():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/comm" % pid) as stream:
                if stream.read().strip() in CRONS:
                    return True
        except OSError:
            continue
    return False
