"""One place makes all sessions: SSH by the shared connector, this machine directly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maintenancebot.model import Host
from maintenancebot.remote.local import LocalSession
from maintenancebot.remote.session import Session
from maintenancebot.settings import Ssh

if TYPE_CHECKING:
    from maintenancebot.remote.ssh import Connector

KNOWN_HOSTS = "known_hosts"


def known_hosts_path(ssh: Ssh, state: Path) -> Path:
    """Where pinned host keys are kept."""
    return ssh.known_hosts or state / KNOWN_HOSTS


class Connections:
    """Opens sessions for a command; SSH is loaded only when a host needs it."""

    def __init__(self, ssh: Ssh, hosts: Sequence[Host], state: Path) -> None:
        self._ssh = ssh
        self._by_name = {host.name: host for host in hosts}
        self._state = state
        self._connector: Connector | None = None
        if any(host.connection == "ssh" for host in hosts):
            self._connector = self._make_connector()

    def connect(self, host: Host) -> Session:
        """An open session; raises RemoteError."""
        if host.connection == "local":
            return LocalSession(host, self._ssh.idle_timeout)
        return self.connector.connect(host)

    @property
    def connector(self) -> Connector:
        """The maker of SSH connections."""
        if self._connector is None:
            self._connector = self._make_connector()
        return self._connector

    def close(self) -> None:
        """Close what is shared between sessions."""
        if self._connector is not None:
            self._connector.close()

    def _make_connector(self) -> Connector:
        from maintenancebot.remote.host_keys import KnownHosts
        from maintenancebot.remote.ssh import Connector, SshLimits

        ssh = self._ssh
        return Connector(
            KnownHosts(known_hosts_path(ssh, self._state)),
            SshLimits(connect=ssh.connect_timeout, login=ssh.login_timeout, idle=ssh.idle_timeout),
            keys=ssh.keys,
            agent=ssh.agent,
            hosts=self._by_name,
        )
