"""Servers that begin in clear text, in the true form of SMTP, IMAP, PostgreSQL and LDAP, and go on in TLS."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator

Talk = Callable[[socket.socket], bool]
"""Speaks to one client; whether TLS begins then."""


def smtp(connection: socket.socket) -> bool:
    """Postfix's words, a greeting and an answer of several lines among them."""
    connection.sendall(b"220-mail.example.org\r\n220 ESMTP Postfix\r\n")
    assert _line(connection).startswith(b"EHLO ")
    connection.sendall(b"250-mail.example.org\r\n250-SIZE 10240000\r\n250-STARTTLS\r\n250 SMTPUTF8\r\n")
    assert _line(connection) == b"STARTTLS\r\n"
    connection.sendall(b"220 2.0.0 Ready to start TLS\r\n")
    return True


def imap(connection: socket.socket) -> bool:
    """Dovecot's words."""
    connection.sendall(b"* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] Dovecot ready.\r\n")
    tag, word = _line(connection).split()
    while word == b"CAPABILITY":
        connection.sendall(b"* CAPABILITY IMAP4rev1 STARTTLS\r\n" + tag + b" OK done.\r\n")
        tag, word = _line(connection).split()
    assert word == b"STARTTLS"
    connection.sendall(b"* CAPABILITY IMAP4rev1\r\n" + tag + b" OK Begin TLS negotiation now.\r\n")
    return True


def postgres(connection: socket.socket) -> bool:
    """SSLRequest and its one byte."""
    assert struct.unpack("!ii", connection.recv(8)) == (8, 80877103)
    connection.sendall(b"S")
    return True


def ldap(connection: socket.socket) -> bool:
    """An extended request for StartTLS and its success, as slapd writes it."""
    asked = connection.recv(100)
    assert asked[5:7] == b"\x77\x18", asked
    assert asked[9:] == b"1.3.6.1.4.1.1466.20037"
    connection.sendall(b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00")
    return True


HONEST: dict[str, Talk] = {"smtp": smtp, "imap": imap, "postgres": postgres, "ldap": ldap}


def says(*parts: bytes) -> Talk:
    """A server that says these things, one after each thing that it hears, and never begins TLS."""

    def talk(connection: socket.socket) -> bool:
        for part in parts:
            connection.sendall(part)
            connection.recv(4096)
        return False

    return talk


def hangs(connection: socket.socket) -> bool:
    """A server that takes the connection and says nothing."""
    connection.recv(1 << 20)
    while connection.recv(1 << 20):
        pass
    return False


def floods(connection: socket.socket) -> bool:
    """A server that never ends its line."""
    with contextlib.suppress(OSError):
        while True:
            connection.sendall(b"220-" + b"x" * 65536)
    return False


def drips(connection: socket.socket) -> bool:
    """A server that says a byte now and then, so that no single wait is long."""
    with contextlib.suppress(OSError):
        while True:
            connection.sendall(b"2")
            connection.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                connection.recv(1)
    return False


@contextlib.contextmanager
def speaking(talk: Talk, context: ssl.SSLContext | None = None, address: str = "127.0.0.1") -> Iterator[int]:
    """A server of that kind on a free port, whose number this gives."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = socket.create_server((address, 0), family=family)
    port: int = server.getsockname()[1]
    thread = threading.Thread(target=_serve, args=(server, talk, context), daemon=True)
    thread.start()
    try:
        yield port
    finally:
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(10)


def _serve(server: socket.socket, talk: Talk, context: ssl.SSLContext | None) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = server.accept()
            threading.Thread(target=_one, args=(connection, talk, context), daemon=True).start()


def _one(connection: socket.socket, talk: Talk, context: ssl.SSLContext | None) -> None:
    with contextlib.suppress(OSError), connection:
        connection.settimeout(5)
        if talk(connection) and context is not None:
            tls = context.wrap_socket(connection, server_side=True)
            tls.recv(1)


def _line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        data = connection.recv(1)
        if not data:
            raise OSError("the client went away")
        line += data
    return line
