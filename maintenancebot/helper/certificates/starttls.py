"""Asks a server that begins in clear text to go on in TLS: SMTP, IMAP, PostgreSQL and LDAP, each within bounds."""

import socket
import struct
import time

MOST_BYTES = 64 * 1024
POSTGRES_REQUEST = struct.pack("!ii", 8, 80877103)
LDAP_REQUEST = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"
LDAP_RESPONSE = 0x78


class NotOffered(OSError):
    """The server speaks the protocol and does not go on in TLS."""


class Refused(OSError):
    """The server speaks the protocol and does not want to now."""


class Garbled(OSError):
    """What came is not the protocol, or does not end."""


class _Talk:
    """One connection's clear text: read up to a moment and a number of bytes."""

    def __init__(self, connection, limit):
        self._connection = connection
        self._end = time.monotonic() + limit
        self._left = MOST_BYTES
        self._ahead = b""

    def send(self, data):
        self._connection.settimeout(self._time())
        self._connection.sendall(data)

    def exactly(self, count):
        """So many bytes and none behind them."""
        while len(self._ahead) < count:
            self._more(count - len(self._ahead))
        data, self._ahead = self._ahead[:count], self._ahead[count:]
        return data

    def line(self):
        while b"\n" not in self._ahead:
            self._more(4096)
        line, _, self._ahead = self._ahead.partition(b"\n")
        return line.rstrip(b"\r")

    def nothing_ahead(self):
        """What a server says before the handshake and behind its yes would be taken for TLS."""
        if self._ahead:
            raise Garbled("said more than its answer")

    def _more(self, count):
        self._connection.settimeout(self._time())
        data = self._connection.recv(count)
        self._left -= len(data)
        if not data:
            raise ConnectionResetError("closed the connection")
        if self._left < 0:
            raise Garbled("said more than %d bytes" % MOST_BYTES)
        self._ahead += data

    def _time(self):
        left = self._end - time.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")
        return left


def ask(connection, protocol, limit):
    """Bring a connection to where TLS begins; `tls` begins at once.

    Raises NotOffered, Refused, Garbled or another OSError, socket.timeout among them, after `limit` seconds at most.
    """
    if protocol != "tls":
        talk = _Talk(connection, limit)
        PROTOCOLS[protocol](talk)
        talk.nothing_ahead()


def _smtp(talk):
    _smtp_answer(talk, b"220")
    talk.send(b"EHLO localhost\r\n")
    offered = _smtp_answer(talk, b"250")
    if not any(line.split()[:1] == [b"STARTTLS"] for line in offered):
        raise NotOffered("offers no STARTTLS")
    talk.send(b"STARTTLS\r\n")
    _smtp_answer(talk, b"220")


def _smtp_answer(talk, code):
    """The words of an answer of one or more lines, in capitals."""
    words = []
    while True:
        line = talk.line()
        if not line[:3].isdigit() or line[3:4] not in (b" ", b"-", b""):
            raise Garbled("does not speak SMTP")
        if line[:3] != code:
            raise Refused("answers %s" % line[:100].decode("ascii", "replace"))
        words.append(line[4:].upper())
        if line[3:4] != b"-":
            return words


def _imap(talk):
    greeting = talk.line()
    if greeting[:2] != b"* ":
        raise Garbled("does not speak IMAP")
    if greeting[2:4].upper() != b"OK":
        raise Refused("answers %s" % greeting[:100].decode("ascii", "replace"))
    talk.send(b"a1 STARTTLS\r\n")
    answer = talk.line()
    while answer[:2] == b"* ":
        answer = talk.line()
    if answer[:3] != b"a1 ":
        raise Garbled("does not speak IMAP")
    if answer[3:5].upper() != b"OK":
        raise NotOffered("offers no STARTTLS")


def _postgres(talk):
    talk.send(POSTGRES_REQUEST)
    answer = talk.exactly(1)
    if answer in (b"N", b"E"):
        raise NotOffered("offers no TLS")
    if answer != b"S":
        raise Garbled("does not speak PostgreSQL's protocol")


def _ldap(talk):
    """A message of BER: a sequence of the number 1 and an extended response that begins with the result."""
    talk.send(LDAP_REQUEST)
    body = _ber(talk, talk.exactly(2))
    if body[:3] != b"\x02\x01\x01" or body[3:4] != bytes([LDAP_RESPONSE]):
        raise Garbled("does not speak LDAP")
    start = 5 + (body[4] & 0x7F if body[4:5] and body[4] & 0x80 else 0)
    result = body[start : start + 3]
    if len(result) < 3 or result[:2] != b"\x0a\x01":
        raise Garbled("does not speak LDAP")
    if result[2] != 0:
        raise NotOffered("offers no StartTLS (result %d)" % result[2])


def _ber(talk, head):
    if head[0] != 0x30:
        raise Garbled("does not speak LDAP")
    length = head[1]
    if length & 0x80:
        digits = length & 0x7F
        if digits not in (1, 2, 3, 4):
            raise Garbled("does not speak LDAP")
        length = int.from_bytes(talk.exactly(digits), "big")
    if length > MOST_BYTES:
        raise Garbled("said more than %d bytes" % MOST_BYTES)
    return talk.exactly(length)


PROTOCOLS = {"smtp": _smtp, "imap": _imap, "postgres": _postgres, "ldap": _ldap}
