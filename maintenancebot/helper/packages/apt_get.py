"""The one way in which apt changes packages here: no prompts, no restarts of its own, local configuration stays."""

from ..host import tools
from . import apt

OPTIONS = (
    "Dpkg::Options::=--force-confdef",
    "Dpkg::Options::=--force-confold",
    "Dpkg::Use-Pty=0",
    "APT::Get::AllowUnauthenticated=false",
    "APT::Get::allow-change-held-packages=false",
    "APT::Get::allow-remove-essential=false",
    "APT::Get::AutomaticRemove=false",
    "APT::Color=0",
    "Acquire::Retries=3",
)
QUIET = {
    "NEEDRESTART_SUSPEND": "1",  # one transaction without restarts of its own; what needs one is reported
    "APT_LISTCHANGES_FRONTEND": "none",
    "APT_LISTBUGS_FRONTEND": "none",
    "UCF_FORCE_CONFFOLD": "1",
    "DEBIAN_PRIORITY": "critical",
}
LOCK_SECONDS = 60
"""apt itself waits at least this long for dpkg's lock, should somebody take it between our look and its start."""


def upgrade(lock_timeout, words):
    """The command line that upgrades to exactly the `name=version` words."""
    options = ["APT::Get::allow-downgrades=false"]
    return [*command(lock_timeout, options), "--only-upgrade", "install", *words]


def downgrade(lock_timeout, files):
    """The command line that installs exactly these files, older than what is installed."""
    options = ["APT::Get::allow-downgrades=true", "APT::Install-Recommends=false", "APT::Sandbox::User=root"]
    return [*command(lock_timeout, options), "install", *files]


def command(lock_timeout, more):
    """What both have in common."""
    argv = [tools.find("apt-get"), "-q", "-y", "--no-remove", *apt.NO_CACHE]
    for option in (*OPTIONS, *more, "DPkg::Lock::Timeout=%d" % max(LOCK_SECONDS, int(lock_timeout))):
        argv += ["-o", option]
    return argv


def environment():
    """The environment of both."""
    return tools.environment(**QUIET)
