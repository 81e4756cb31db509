"""SSH sessions by Fabric: one factory makes every connection, with pinned keys and a limit on each wait."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko
from fabric import Config, Connection

from maintenancebot.errors import ConfigurationError, Fault, RemoteError
from maintenancebot.model import Host, Reason
from maintenancebot.remote import bundle, streamlocal
from maintenancebot.remote.host_keys import KnownHosts, PinnedKeys, fingerprint, server_name
from maintenancebot.remote.session import Stream
from maintenancebot.remote.tunnel import Tunnel, open_tunnel

TCP_USER_TIMEOUT_MS = 6000  # a cut cable ends within seconds instead of never
KEEPALIVE_SECONDS = 2
CONNECT_TRIES = 3  # sshd drops logins above MaxStartups; only connecting is ever tried again
RETRY_SECONDS = 0.5
DROPPED_SECONDS = 2.0


@dataclass(frozen=True)
class SshLimits:
    """Seconds for each wait of a connection."""

    connect: float
    login: float
    idle: float


class HostKeyUnknownError(paramiko.SSHException):
    """The server's key is not pinned."""


class DroppedError(RemoteError):
    """The server closed the connection at once, as sshd does above MaxStartups."""


class HostKeyRevokedError(paramiko.SSHException):
    """The server shows a key that is marked as revoked."""


class _Refuse(paramiko.MissingHostKeyPolicy):
    def __init__(self, revoked: tuple[paramiko.PKey, ...]) -> None:
        self._revoked = revoked

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        if key in self._revoked:
            raise HostKeyRevokedError(f"{key.get_name()} {fingerprint(key)}")
        raise HostKeyUnknownError(f"{key.get_name()} {fingerprint(key)}")


class SshExecution:
    """The helper on a channel: both outputs are drained in turns."""

    def __init__(self, channel: paramiko.Channel, timeout: float) -> None:
        self._channel = channel
        self._timeout = timeout
        self._wait_fd = channel.fileno()

    def send(self, data: bytes) -> None:
        """Write to the helper's standard input."""
        self._channel.settimeout(self._timeout)
        try:
            self._channel.sendall(data)
        except TimeoutError as error:
            raise RemoteError(Reason.HUNG, f"connected, then took no input for {self._timeout:.0f} s") from error
        except OSError:
            return  # it ended before reading all: what it said last is on its outputs

    def receive(self, timeout: float) -> tuple[bytes, bytes] | None:
        """What came on both outputs; None when both ended."""
        channel = self._channel
        poll = select.poll()  # select() fails above descriptor 1023
        poll.register(self._wait_fd, select.POLLIN)
        poll.poll(timeout * 1000)
        stdout = channel.recv(65536) if channel.recv_ready() else b""
        stderr = channel.recv_stderr(65536) if channel.recv_stderr_ready() else b""
        if not stdout and not stderr and (channel.eof_received or channel.closed):
            if channel.recv_ready() or channel.recv_stderr_ready():
                return b"", b""
            return None
        return stdout, stderr

    def exit_status(self) -> int | None:
        """Exit code; None after a signal or a dead link, which look the same."""
        if not self._channel.status_event.wait(2):
            return None
        status = self._channel.recv_exit_status()
        return status if status >= 0 else None

    def close(self) -> None:
        """Close the channel: the end of its input ends the helper."""
        self._channel.close()


class SshSession:
    """A `Session` over one Fabric connection."""

    def __init__(self, host: Host, connection: Connection, limits: SshLimits) -> None:
        self.host = host
        self._connection = connection
        self._limits = limits

    def start_helper(self) -> SshExecution:
        """Start the helper's fixed command line, by sudo or doas unless the login is root."""
        try:
            channel = self._transport().open_session(timeout=self._limits.login)
            self._execute(channel, (bundle.BECOME[self.host.become_method] if self._become() else "") + bundle.COMMAND)
        except TimeoutError as error:
            raise RemoteError(Reason.HUNG, "connected, but no channel was opened in time") from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise RemoteError(Reason.LINK_LOST, f"no command can be started: {error}") from error
        return SshExecution(channel, self._limits.idle)

    def _execute(self, channel: paramiko.Channel, command: str) -> None:
        """Start a command; paramiko waits for sshd's yes without a limit, so the limit ends the connection."""
        limit = threading.Timer(self._limits.login, self._transport().close)
        limit.daemon = True
        limit.start()
        try:
            channel.exec_command(command)
        finally:
            limit.cancel()

    def open_unix(self, path: str, timeout: float) -> Stream:
        """Connect to a unix socket of the host over the same transport; with sudo, by Docker's own relay."""
        try:
            return streamlocal.open_unix(self._transport(), path, timeout)
        except paramiko.ChannelException as error:
            if self._become():
                return streamlocal.open_dial_stdio(self._transport(), path, timeout)
            raise RemoteError(Reason.NOT_RESPONDING, f"{path}: refused by the host") from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise RemoteError(Reason.LINK_LOST, f"{path}: {error}") from error

    def close(self) -> None:
        """End the connection, whatever still waits on it."""
        self._connection.close()

    def _become(self) -> bool:
        return self.host.user != "root" if self.host.become is None else self.host.become

    def _transport(self) -> paramiko.Transport:
        transport: paramiko.Transport | None = self._connection.transport
        if transport is None or not transport.is_active():
            raise RemoteError(Reason.LINK_LOST, "the connection is gone")
        return transport


class Connector:
    """Makes all SSH connections of a process; bastions are connected once and shared."""

    def __init__(
        self,
        known_hosts: KnownHosts,
        limits: SshLimits,
        *,
        keys: tuple[Path, ...] = (),
        agent: bool = True,
        hosts: Mapping[str, Host] | None = None,
    ) -> None:
        self._known_hosts = known_hosts
        self._limits = limits
        self._hosts = hosts or {}
        self._config = Config(lazy=True, ssh_config=paramiko.SSHConfig())  # nothing of the operator's own files
        self._keys, self._agent = keys, agent
        self._credentials = {"": _credentials(keys, agent)}  # by the host's own key
        self._bastions: dict[str, Connection] = {}
        self._bastion_locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._making = threading.Lock()

    def connect(self, host: Host) -> SshSession:
        """Connect and log in; raises RemoteError with the reason."""
        return SshSession(host, self._open(host), self._limits)

    def server_key(self, host: Host) -> paramiko.PKey:
        """The key that the host shows, without logging in; raises RemoteError."""
        sock = self._socket(host)
        transport = paramiko.Transport(sock)
        transport.banner_timeout = self._limits.login
        try:
            transport.start_client(timeout=self._limits.login)
            return transport.get_remote_server_key()
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise RemoteError(Reason.UNREACHABLE, f"no SSH server answers: {error}") from error
        finally:
            transport.close()

    def pinned(self, host: Host) -> tuple[paramiko.PKey, ...]:
        """The keys that are pinned for a host."""
        return self._known_hosts.pinned(host.address, host.port).keys

    def close(self) -> None:
        """Close the shared bastion connections."""
        with self._lock:
            for connection in self._bastions.values():
                connection.close()
            self._bastions.clear()

    def _open(self, host: Host) -> Connection:
        for attempt in range(CONNECT_TRIES):
            try:
                return self._open_once(host)
            except DroppedError:
                if attempt == CONNECT_TRIES - 1:
                    raise
                time.sleep(RETRY_SECONDS * (attempt + 1))
        raise AssertionError("unreachable")

    def _open_once(self, host: Host) -> Connection:
        pinned = self._known_hosts.pinned(host.address, host.port)
        connection = self._new_connection(host, self._socket(host))
        self._pin(connection, host, pinned)
        started = time.monotonic()
        try:
            connection.open()
        except Exception as error:
            connection.client.close()  # Fabric's close() forgets a transport that never got through
            if isinstance(error, paramiko.BadHostKeyException) and error.key in pinned.revoked:
                error = HostKeyRevokedError(f"{error.key.get_name()} {fingerprint(error.key)}")
            raise _explain(error, host, self._limits, time.monotonic() - started) from error
        connection.transport.set_keepalive(KEEPALIVE_SECONDS)
        return connection

    def _new_connection(self, host: Host, sock: Any) -> Connection:
        login = self._limits.login
        waits = {"banner_timeout": login, "auth_timeout": login, "channel_timeout": login}
        with self._making:  # each one merges the shared configuration anew, which others must not see half done
            return Connection(
                host=host.address,
                user=host.user,
                port=host.port,
                config=self._config,
                connect_timeout=login
                + 1,  # of the handshake, after the greeting's own limit; the socket stands already
                forward_agent=False,
                connect_kwargs={**self._login_of(host), **waits, "sock": sock},
            )

    def _login_of(self, host: Host) -> dict[str, Any]:
        """The keys to try on a host; an own key that cannot be used is this host's trouble alone."""
        if host.key not in self._credentials:
            try:
                self._credentials[host.key] = _credentials((Path(host.key), *self._keys), self._agent)
            except ConfigurationError as error:
                raise RemoteError(Reason.LOGIN_REFUSED, str(error)) from error
        return self._credentials[host.key]

    def _pin(self, connection: Connection, host: Host, pinned: PinnedKeys) -> None:
        name = server_name(host.address, host.port)
        known = connection.client.get_host_keys()
        for key in pinned.keys:
            if key not in pinned.revoked:
                known.add(name, key.get_name(), key)
        connection.client.set_missing_host_key_policy(_Refuse(pinned.revoked))

    def _socket(self, host: Host) -> Any:
        if host.via:
            return self._through(self._hosts[host.via], host)
        try:
            sock = socket.create_connection((host.address, host.port), timeout=self._limits.connect)
        except TimeoutError as error:
            raise RemoteError(Reason.CONNECT_TIMEOUT, f"no answer within {self._limits.connect:.0f} s") from error
        except OSError as error:
            raise RemoteError(Reason.UNREACHABLE, error.strerror or str(error)) from error
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MS)
        return sock

    def _through(self, bastion: Host, host: Host) -> Tunnel:
        transport = self._bastion(bastion).transport
        try:
            return open_tunnel(transport, host.address, host.port, self._limits.connect)
        except paramiko.ChannelException as error:
            raise RemoteError(Reason.UNREACHABLE, f"{bastion.name} cannot reach it: {error.text}") from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise RemoteError(Reason.UNREACHABLE, f"through {bastion.name}: {error}") from error

    def _bastion(self, bastion: Host) -> Connection:
        with self._lock:
            lock = self._bastion_locks.setdefault(bastion.name, threading.Lock())
        with lock:
            connection = self._bastions.get(bastion.name)
            if connection is None or not connection.is_connected:
                try:
                    connection = self._open(bastion)
                except RemoteError as error:
                    raise RemoteError(error.reason, f"bastion {bastion.name}: {error}") from error
                with self._lock:
                    self._bastions[bastion.name] = connection
            return connection


def _credentials(keys: tuple[Path, ...], agent: bool) -> dict[str, Any]:
    if not keys:
        return {"allow_agent": agent, "look_for_keys": True}
    loaded: dict[str, Any] = {"allow_agent": agent, "look_for_keys": False}
    for key in keys:
        if not key.is_file():
            raise ConfigurationError([Fault(str(key), 0, 0, "no such SSH key", "correct `ssh.keys`")])
    if len(keys) == 1:
        try:
            loaded["pkey"] = paramiko.PKey.from_path(str(keys[0]))  # once, not for each of a thousand hosts
        except (paramiko.SSHException, ValueError, OSError, TypeError) as error:
            raise ConfigurationError([Fault(str(keys[0]), 0, 0, f"cannot be used as SSH key: {error}")]) from error
    else:
        loaded["key_filename"] = [str(key) for key in keys]
    return loaded


def _explain(error: Exception, host: Host, limits: SshLimits, seconds: float) -> RemoteError:
    where = server_name(host.address, host.port)
    if isinstance(error, paramiko.BadHostKeyException):
        return RemoteError(
            Reason.HOST_KEY_CHANGED,
            f"{where} shows {fingerprint(error.key)}, pinned is another; if that is right: "
            f"maintenancebot hosts trust {host.name} --replace",
        )
    if isinstance(error, HostKeyRevokedError):
        return RemoteError(Reason.HOST_KEY_CHANGED, f"{where} shows {error}, which known_hosts marks as revoked")
    if isinstance(error, HostKeyUnknownError):
        return RemoteError(
            Reason.HOST_KEY_UNKNOWN, f"{where} shows {error}; look at it with: maintenancebot hosts trust {host.name}"
        )
    if isinstance(error, paramiko.AuthenticationException):
        return RemoteError(Reason.LOGIN_REFUSED, f"{host.user}@{where}: {str(error) or 'refused'}")
    if isinstance(error, TimeoutError):
        return RemoteError(Reason.CONNECT_TIMEOUT, f"no login within {limits.login:.0f} s")
    broke_off = (
        isinstance(error, (EOFError, ConnectionResetError))
        or "banner" in str(error)
        or "No existing session" in str(error)
    )
    if broke_off and seconds < min(DROPPED_SECONDS, limits.login * 0.9):
        return DroppedError(Reason.UNREACHABLE, f"{where}: the server closes the connection at once")
    if broke_off:
        return RemoteError(Reason.CONNECT_TIMEOUT, f"{where}: no SSH server spoke within {limits.login:.0f} s")
    return RemoteError(Reason.UNREACHABLE, f"{where}: {str(error) or type(error).__name__}")
