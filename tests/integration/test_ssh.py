"""SSH sessions against a real sshd, and against servers that are none: every way to fail has its own reason."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import paramiko
import pytest
from invoke.config import Config as InvokeConfig

from maintenancebot.errors import RemoteError
from maintenancebot.model import Host, Reason
from maintenancebot.remote.client import HelperCall, Limits
from maintenancebot.remote.host_keys import KnownHosts, fingerprint
from maintenancebot.remote.session import Session
from maintenancebot.remote.ssh import Connector, SshLimits
from tests.integration.sshd import Sshd, free_port, make_key, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

LIMITS = SshLimits(connect=5, login=10, idle=10)
LOOK = "look at it with: maintenancebot hosts trust"
ANOTHER = "pinned is another; if that is right: maintenancebot hosts trust"
PROBE = {"mode": "probe", "now": 0, "lock": "none", "lock_wait": 0, "machine_id": "", "tasks": []}


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("client") / "id_ed25519"
    make_key(path)
    return path


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory, key: Path) -> Iterator[Sshd]:
    """A server for all tests that leave it as it was."""
    server = Sshd(tmp_path_factory.mktemp("sshd"), key)
    yield server
    server.stop()


@pytest.fixture
def make_sshd(tmp_path: Path, key: Path) -> Iterator[Callable[..., Sshd]]:
    made: list[Sshd] = []

    def make(**options: str) -> Sshd:
        (tmp_path / f"sshd-{len(made)}").mkdir()
        made.append(Sshd(tmp_path / f"sshd-{len(made)}", key, **options))
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def make_connector(tmp_path: Path, key: Path) -> Iterator[Callable[..., Connector]]:
    """A connector that knows these lines of known_hosts."""
    made: list[Connector] = []

    def make(*lines: str, hosts: tuple[Host, ...] = (), limits: SshLimits = LIMITS, **more: Any) -> Connector:
        (tmp_path / "known_hosts").write_text("".join(f"{line}\n" for line in lines))
        by_name = {host.name: host for host in hosts}
        options: dict[str, Any] = {"keys": (key,), "agent": False, "hosts": by_name, **more}
        made.append(Connector(KnownHosts(tmp_path / "known_hosts"), limits, **options))
        return made[-1]

    yield make
    for connector in made:
        connector.close()


def host_of(server: Sshd, **more: Any) -> Host:
    return replace(Host("web-1", "127.0.0.1", port=server.port), **more)


def refusal(connector: Connector, host: Host) -> tuple[Reason, str]:
    with pytest.raises(RemoteError) as caught:
        connector.connect(host)
    return caught.value.reason, str(caught.value)


def facts(session: Session) -> dict[str, Any]:
    """Who the helper says that it is."""
    ((kind, told),) = HelperCall(session, PROBE, Limits(idle=10, deadline=20)).frames()
    assert kind == "facts"
    return told


# Logging in


def test_the_helper_answers_over_ssh(sshd: Sshd, make_connector: Callable[..., Connector]) -> None:
    session = make_connector(sshd.known_hosts_line).connect(host_of(sshd))
    told = facts(session)
    session.close()
    assert (told["uid"], told["machine_id"]) == (0, Path("/etc/machine-id").read_text().strip())


def test_one_connection_serves_several_executions(sshd: Sshd, make_connector: Callable[..., Connector]) -> None:
    before = sshd.logged("^Accepted publickey")
    session = make_connector(sshd.known_hosts_line).connect(host_of(sshd))
    assert facts(session)["boot_id"] == facts(session)["boot_id"]
    session.close()
    assert sshd.logged("^Accepted publickey") == before + 1


@pytest.mark.parametrize(
    ("user", "become", "uid"),
    [
        ("root", None, 0),
        ("root", False, 0),
        ("ops", None, 0),
        ("ops", True, 0),
        ("ops", False, 64001),
        ("plain", False, 64003),
    ],
)
def test_root_is_root_and_others_by_sudo(
    user: str, become: bool | None, uid: int, sshd: Sshd, make_connector: Callable[..., Connector]
) -> None:
    session = make_connector(sshd.known_hosts_line).connect(host_of(sshd, user=user, become=become))
    told = facts(session)
    session.close()
    assert told["uid"] == uid


@pytest.mark.parametrize("user", ["asks", "plain"])
def test_sudo_that_asks_for_a_password_says_so(user: str, sshd: Sshd, make_connector: Callable[..., Connector]) -> None:
    session = make_connector(sshd.known_hosts_line).connect(host_of(sshd, user=user))
    with pytest.raises(RemoteError) as caught:
        facts(session)
    session.close()
    assert caught.value.reason is Reason.BECOME_PASSWORD
    assert str(caught.value) == (
        "sudo asks for a password; allow NOPASSWD for this login: sudo: a password is required"
    )


def test_a_refused_login_names_who_and_where(
    sshd: Sshd, make_connector: Callable[..., Connector], tmp_path: Path
) -> None:
    make_key(tmp_path / "stranger")
    connector = make_connector(sshd.known_hosts_line, keys=(tmp_path / "stranger",))
    assert refusal(connector, host_of(sshd, user="ops")) == (
        Reason.LOGIN_REFUSED,
        f"ops@[127.0.0.1]:{sshd.port}: Authentication failed.",
    )


def test_a_user_that_is_not_there_is_refused(sshd: Sshd, make_connector: Callable[..., Connector]) -> None:
    assert refusal(make_connector(sshd.known_hosts_line), host_of(sshd, user="nobody-here"))[0] is Reason.LOGIN_REFUSED


def test_a_refused_login_is_tried_once(sshd: Sshd, make_connector: Callable[..., Connector], tmp_path: Path) -> None:
    make_key(tmp_path / "stranger")
    before = sshd.logged("^Connection from")
    refusal(make_connector(sshd.known_hosts_line, keys=(tmp_path / "stranger",)), host_of(sshd))
    assert sshd.logged("^Connection from") == before + 1


def test_one_of_several_keys_is_enough(
    sshd: Sshd, make_connector: Callable[..., Connector], tmp_path: Path, key: Path
) -> None:
    make_key(tmp_path / "stranger")
    session = make_connector(sshd.known_hosts_line, keys=(tmp_path / "stranger", key)).connect(host_of(sshd))
    session.close()


# Host keys


def test_an_unknown_key_is_refused_with_its_fingerprint(
    sshd: Sshd, make_connector: Callable[..., Connector], tmp_path: Path
) -> None:
    reason, words = refusal(make_connector(), host_of(sshd))
    assert (reason, words) == (
        Reason.HOST_KEY_UNKNOWN,
        f"[127.0.0.1]:{sshd.port} shows ssh-ed25519 {fingerprint(sshd.host_key)}; {LOOK} web-1",
    )
    assert (tmp_path / "known_hosts").read_text() == "", "nothing is pinned but by a person"


def test_a_key_that_is_pinned_for_the_usual_port_is_not_known_on_another(
    sshd: Sshd, make_connector: Callable[..., Connector]
) -> None:
    line = f"127.0.0.1 {sshd.host_key.get_name()} {sshd.host_key.get_base64()}"
    assert refusal(make_connector(line), host_of(sshd))[0] is Reason.HOST_KEY_UNKNOWN


def test_a_changed_key_is_refused_and_nothing_is_sent(
    make_sshd: Callable[..., Sshd], make_connector: Callable[..., Connector], tmp_path: Path
) -> None:
    server = make_sshd()
    pinned = server.known_hosts_line
    server.change_key()
    assert refusal(make_connector(pinned), host_of(server)) == (
        Reason.HOST_KEY_CHANGED,
        f"[127.0.0.1]:{server.port} shows {fingerprint(server.host_key)}, {ANOTHER} web-1 --replace",
    )
    assert server.logged("publickey") == 0
    assert (tmp_path / "known_hosts").read_text() == pinned + "\n"


def test_a_key_of_another_kind_than_the_pinned_one_is_changed(
    sshd: Sshd, make_connector: Callable[..., Connector]
) -> None:
    other = paramiko.ECDSAKey.generate()
    line = f"[127.0.0.1]:{sshd.port} {other.get_name()} {other.get_base64()}"
    assert refusal(make_connector(line), host_of(sshd))[0] in (Reason.HOST_KEY_CHANGED, Reason.HOST_KEY_UNKNOWN)


def revoked(server: Sshd) -> str:
    return f"@revoked * {server.host_key.get_name()} {server.host_key.get_base64()}"


def test_a_revoked_key_is_refused_though_it_is_pinned(sshd: Sshd, make_connector: Callable[..., Connector]) -> None:
    reason, _ = refusal(make_connector(sshd.known_hosts_line, revoked(sshd)), host_of(sshd))
    assert reason in (Reason.HOST_KEY_CHANGED, Reason.HOST_KEY_UNKNOWN)


def test_nobody_is_told_to_trust_a_revoked_key(sshd: Sshd, make_connector: Callable[..., Connector]) -> None:
    _, words = refusal(make_connector(sshd.known_hosts_line, revoked(sshd)), host_of(sshd))
    assert "revoked" in words
    assert "hosts trust" not in words


def test_nobody_is_told_to_trust_a_revoked_key_in_place_of_a_newer_one(
    sshd: Sshd, make_connector: Callable[..., Connector], tmp_path: Path
) -> None:
    newer = make_key(tmp_path / "newer")
    line = f"[127.0.0.1]:{sshd.port} {newer.get_name()} {newer.get_base64()}"
    reason, words = refusal(make_connector(sshd.known_hosts_line, line, revoked(sshd)), host_of(sshd))
    assert reason is Reason.HOST_KEY_CHANGED
    assert "revoked" in words
    assert "hosts trust" not in words


def test_the_key_of_a_server_is_shown_without_logging_in(sshd: Sshd, make_connector: Callable[..., Connector]) -> None:
    before = sshd.logged("publickey")
    connector = make_connector()
    assert connector.server_key(host_of(sshd)) == sshd.host_key
    assert sshd.logged("publickey") == before


def test_the_operators_own_files_are_not_read(
    sshd: Sshd, make_connector: Callable[..., Connector], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "known_hosts").write_text(sshd.known_hosts_line + "\n")
    (home / ".ssh" / "config").write_text("Host *\n  User somebody\n  ProxyCommand /bin/false\n")
    monkeypatch.setenv("HOME", str(home))
    assert refusal(make_connector(), host_of(sshd))[0] is Reason.HOST_KEY_UNKNOWN
    make_connector(sshd.known_hosts_line).connect(host_of(sshd)).close()


def test_the_operators_own_keys_are_not_tried(
    sshd: Sshd, make_connector: Callable[..., Connector], tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    (tmp_path / "home" / ".ssh" / "id_ed25519").write_text(key.read_text())
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    make_key(tmp_path / "stranger")
    connector = make_connector(sshd.known_hosts_line, keys=(tmp_path / "stranger",))
    assert refusal(connector, host_of(sshd))[0] is Reason.LOGIN_REFUSED


# Servers that are none


class Listener:
    """Accepts and does with each connection what it is told."""

    def __init__(self, act: Callable[[socket.socket], object]) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.accepted: list[socket.socket] = []
        self._act = act
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                self.accepted.append(connection)
                self._act(connection)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        for one in (self._server, *self.accepted):
            one.close()


@pytest.fixture
def listen() -> Iterator[Callable[[Callable[[socket.socket], object]], Listener]]:
    made: list[Listener] = []

    def make(act: Callable[[socket.socket], object]) -> Listener:
        made.append(Listener(act))
        return made[-1]

    yield make
    for one in made:
        one.close()


Listen = Callable[[Callable[[socket.socket], object]], Listener]
SHORT = SshLimits(connect=2, login=3, idle=2)


def at(port: int) -> Host:
    return Host("web-1", "127.0.0.1", port=port)


def test_a_closed_port_is_unreachable(make_connector: Callable[..., Connector]) -> None:
    assert refusal(make_connector(), at(free_port())) == (Reason.UNREACHABLE, "Connection refused")


def test_a_name_that_nobody_knows_is_unreachable(make_connector: Callable[..., Connector]) -> None:
    assert refusal(make_connector(), Host("web-1", "web-1.invalid"))[0] is Reason.UNREACHABLE


def test_a_server_that_takes_no_connection_in_time(make_connector: Callable[..., Connector]) -> None:
    with socket.socket() as full, contextlib.ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):  # what the kernel still takes on; the next one it leaves alone
            guest = waiting.enter_context(socket.socket())
            guest.setblocking(False)
            guest.connect_ex(full.getsockname())
        time.sleep(0.2)
        started = time.monotonic()
        assert refusal(make_connector(limits=SHORT), at(full.getsockname()[1])) == (
            Reason.CONNECT_TIMEOUT,
            "no answer within 2 s",
        )
        assert time.monotonic() - started < 4


@pytest.mark.parametrize(
    ("connect", "login"),
    [
        (5, 3),
        (2, 3),
        (1, 1),
    ],
)
def test_a_server_that_accepts_and_says_nothing_ends_at_the_login_limit(
    connect: float, login: float, listen: Listen, make_connector: Callable[..., Connector]
) -> None:
    server = listen(lambda connection: None)
    started = time.monotonic()
    limits = SshLimits(connect=connect, login=login, idle=2)
    assert refusal(make_connector(limits=limits), at(server.port)) == (
        Reason.CONNECT_TIMEOUT,
        f"[127.0.0.1]:{server.port}: no SSH server spoke within {login} s",
    )
    assert login <= time.monotonic() - started < login + 3
    assert len(server.accepted) == 1


def test_a_server_that_greets_and_then_says_nothing_ends_in_time(
    listen: Listen, make_connector: Callable[..., Connector]
) -> None:
    server = listen(lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"))
    started = time.monotonic()
    reason, _ = refusal(make_connector(limits=SHORT), at(server.port))
    assert reason in (Reason.CONNECT_TIMEOUT, Reason.UNREACHABLE)
    assert time.monotonic() - started < 8


def test_a_server_that_hangs_up_is_tried_again_a_few_times(
    listen: Listen, make_connector: Callable[..., Connector]
) -> None:
    server = listen(lambda connection: connection.close())
    assert refusal(make_connector(limits=SHORT), at(server.port)) == (
        Reason.UNREACHABLE,
        f"[127.0.0.1]:{server.port}: the server closes the connection at once",
    )
    assert len(server.accepted) >= 3


@pytest.mark.parametrize(
    "greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"220 mail ESMTP\r\n" * 200, b"\0\xff" * 5000]
)
def test_a_server_of_something_else_is_no_ssh_server(
    greeting: bytes, listen: Listen, make_connector: Callable[..., Connector]
) -> None:
    def greet(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.sendall(greeting)
            connection.shutdown(socket.SHUT_WR)

    reason, _ = refusal(make_connector(limits=SHORT), at(listen(greet).port))
    assert reason in (Reason.UNREACHABLE, Reason.CONNECT_TIMEOUT)


def test_what_failed_leaves_no_thread_and_no_descriptor(
    sshd: Sshd, listen: Listen, make_connector: Callable[..., Connector]
) -> None:
    mute = listen(lambda connection: None)
    connector = make_connector(limits=SHORT)
    threads, open_files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for host in (host_of(sshd), at(mute.port), at(free_port())):
        refusal(connector, host)
    end = time.monotonic() + 5
    while threading.active_count() > threads and time.monotonic() < end:
        time.sleep(0.05)
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) <= open_files + len(mute.accepted)


# Connections that end


def test_a_connection_that_is_cut_in_the_middle_is_a_lost_link(
    make_sshd: Callable[..., Sshd], make_connector: Callable[..., Connector]
) -> None:
    server = make_sshd()
    session = make_connector(server.known_hosts_line).connect(host_of(server))
    steps = [{"id": "s1", "task": "t", "op": "none", "changes": [], "args": {}}]
    call = HelperCall(session, {**PROBE, "mode": "apply", "steps": steps}, Limits(idle=10, deadline=20))
    started = time.monotonic()
    frames = call.frames()
    assert [next(frames)[0], next(frames)[0]] == ["facts", "step"]
    server.cut()
    with pytest.raises(RemoteError) as caught:
        next(frames)
    session.close()
    assert caught.value.reason is Reason.LINK_LOST
    assert time.monotonic() - started < 10


def test_a_connection_that_was_cut_starts_nothing_more(
    make_sshd: Callable[..., Sshd], make_connector: Callable[..., Connector]
) -> None:
    server = make_sshd()
    session = make_connector(server.known_hosts_line).connect(host_of(server))
    server.cut()
    time.sleep(0.5)
    with pytest.raises(RemoteError) as caught:
        session.start_helper()
    session.close()
    assert caught.value.reason is Reason.LINK_LOST


# Bastions


def test_hosts_behind_a_bastion_share_one_connection_to_it(
    make_sshd: Callable[..., Sshd], sshd: Sshd, make_connector: Callable[..., Connector]
) -> None:
    gate_server = make_sshd()
    gate = host_of(gate_server, name="gate")
    inside = [host_of(sshd, name=f"web-{number}", via="gate") for number in range(6)]
    connector = make_connector(gate_server.known_hosts_line, sshd.known_hosts_line, hosts=(gate, *inside))
    before = sshd.logged("^Accepted publickey")
    with ThreadPoolExecutor(6) as pool:
        sessions = list(pool.map(connector.connect, inside))
    assert [facts(session)["uid"] for session in sessions] == [0] * 6
    for session in sessions:
        session.close()
    assert gate_server.logged("^Accepted publickey") == 1
    assert sshd.logged("^Accepted publickey") == before + 6


def test_a_bastion_that_was_lost_is_connected_to_again(
    make_sshd: Callable[..., Sshd], sshd: Sshd, make_connector: Callable[..., Connector]
) -> None:
    gate_server = make_sshd()
    gate, inside = host_of(gate_server, name="gate"), host_of(sshd, via="gate")
    connector = make_connector(gate_server.known_hosts_line, sshd.known_hosts_line, hosts=(gate, inside))
    connector.connect(inside).close()
    gate_server.cut()
    time.sleep(0.5)
    connector.connect(inside).close()
    assert gate_server.logged("^Accepted publickey") == 2


def test_the_keys_of_bastion_and_host_are_both_checked(
    make_sshd: Callable[..., Sshd], sshd: Sshd, make_connector: Callable[..., Connector]
) -> None:
    gate_server = make_sshd()
    gate, inside = host_of(gate_server, name="gate"), host_of(sshd, via="gate")
    hosts = (gate, inside)
    reason, words = refusal(make_connector(sshd.known_hosts_line, hosts=hosts), inside)
    assert reason is Reason.HOST_KEY_UNKNOWN
    assert words.startswith(f"bastion gate: [127.0.0.1]:{gate_server.port} shows ssh-ed25519 SHA256:")
    assert words.endswith("look at it with: maintenancebot hosts trust gate")
    reason, words = refusal(make_connector(gate_server.known_hosts_line, hosts=hosts), inside)
    assert (reason, words[:12]) == (Reason.HOST_KEY_UNKNOWN, f"[127.0.0.1]:{sshd.port}"[:12])


def test_what_a_bastion_cannot_reach_is_unreachable(sshd: Sshd, make_connector: Callable[..., Connector]) -> None:
    gate, inside = host_of(sshd, name="gate"), replace(at(free_port()), via="gate")
    connector = make_connector(sshd.known_hosts_line, hosts=(gate, inside))
    assert refusal(connector, inside) == (Reason.UNREACHABLE, "gate cannot reach it: Connect failed")


def test_a_bastion_that_is_down_is_named(make_connector: Callable[..., Connector]) -> None:
    gate, inside = replace(at(free_port()), name="gate"), replace(at(22), via="gate")
    assert refusal(make_connector(hosts=(gate, inside)), inside) == (
        Reason.UNREACHABLE,
        "bastion gate: Connection refused",
    )


# Many at once


def test_connections_that_are_made_at_the_same_moment_do_not_disturb_each_other(
    sshd: Sshd, make_connector: Callable[..., Connector], monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = make_connector(sshd.known_hosts_line)
    merge = InvokeConfig.merge

    def slow(config: Any) -> None:
        config._set(_config={})  # as the original begins; then the thread has to wait for its turn
        time.sleep(0.02)
        merge(config)

    monkeypatch.setattr(InvokeConfig, "merge", slow)
    with ThreadPoolExecutor(6) as pool:
        waiting = [pool.submit(connector.connect, host_of(sshd, name=f"web-{number}")) for number in range(6)]
    errors = [repr(one.exception()) for one in waiting if one.exception() is not None]
    for one in waiting:
        if one.exception() is None:
            one.result().close()
    assert errors == []


def test_sixty_logins_at_once_all_succeed_though_sshd_drops_some(
    make_sshd: Callable[..., Sshd], make_connector: Callable[..., Connector]
) -> None:
    server = make_sshd(MaxStartups="10:30:60")
    connector = make_connector(server.known_hosts_line, limits=SshLimits(connect=20, login=40, idle=20))
    hosts = [host_of(server, name=f"web-{number}") for number in range(60)]

    def log_in(host: Host) -> Session | RemoteError:
        try:
            return connector.connect(host)
        except RemoteError as error:
            return error

    with ThreadPoolExecutor(60) as pool:
        results = list(pool.map(log_in, hosts))
    for result in results:
        if not isinstance(result, RemoteError):
            result.close()
    assert [str(result) for result in results if isinstance(result, RemoteError)] == []
    assert server.logged("^Accepted publickey") == 60
