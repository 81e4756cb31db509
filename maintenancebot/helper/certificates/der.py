"""Reads serial number, end and names out of a certificate, which the standard library cannot."""

import socket

VERSION, EXTENSIONS, OCTETS, UTC_TIME = 0xA0, 0xA3, 0x04, 0x17
DNS_NAME, ADDRESS = 0x82, 0x87
ALTERNATIVE_NAMES = b"\x55\x1d\x11"


class Facts:
    """What must be better, and what the same, after a renewal: times as sortable text, names as a set."""

    def __init__(self, serial, not_after, names):
        self.serial = serial
        self.not_after = not_after
        self.names = names


def serial_of(der):
    """The serial number of a certificate in hex; ValueError when it is none."""
    return facts_of(der).serial


def facts_of(der):
    """The facts of a certificate; ValueError when it is none."""
    try:
        fields = _elements(_elements(_elements(der)[0][1])[0][1])
        if fields[0][0] == VERSION:
            fields = fields[1:]
        serial = format(int.from_bytes(fields[0][1], "big", signed=True), "x")
        return Facts(serial, _time(*_elements(fields[3][1])[1]), _names(fields[6:]))
    except IndexError:
        raise ValueError("not a certificate") from None


def _elements(data):
    """All elements of a constructed value, each with its tag; ValueError when one is cut."""
    found = []
    while data:
        length, start = data[1], 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(data[2:start], "big")
        if start + length > len(data):
            raise ValueError("not a whole certificate")
        found.append((data[0], data[start : start + length]))
        data = data[start + length :]
    return found


def _time(tag, value):
    said = value.decode("ascii", "replace")
    return ("20" if said[:2] < "50" else "19") + said if tag == UTC_TIME else said


def _names(fields):
    """The alternative names, lower case, addresses as text."""
    for tag, value in fields:
        for _, extension in _elements(_elements(value)[0][1]) if tag == EXTENSIONS else ():
            parts = _elements(extension)
            if parts[0][1] == ALTERNATIVE_NAMES and parts[-1][0] == OCTETS:
                return {_name(*one) for one in _elements(_elements(parts[-1][1])[0][1])}
    return set()


def _name(tag, value):
    if tag == ADDRESS and len(value) in (4, 16):
        return socket.inet_ntop(socket.AF_INET if len(value) == 4 else socket.AF_INET6, value)
    return value.decode("utf-8", "replace").lower() if tag == DNS_NAME else repr((tag, value))
