"""TCP ports that processes of this host listen on, and the certificates that they serve."""

import contextlib
import os
import socket
import struct

LISTEN = "0A"
ANY = {
    socket.AF_INET: ("0.0.0.0", "127.0.0.1"),  # noqa: S104  compared, never bound
    socket.AF_INET6: ("::", "::1"),
}
"""Where everything is listened on, and where to knock then."""


class Listener:
    """A listening socket: the family, the address to knock at, the port, and whether its process was seen."""

    def __init__(self, family, address, port, inode):
        self.family = family
        self.address = address
        self.port = port
        self.inode = inode
        self.seen = False


def listening(ports):
    """The listeners on these ports; `seen` is set for those of processes of this host that we may see.

    The kernel lists all sockets of the network namespace; a container that shares it has processes of its own.
    """
    found = _table("/proc/net/tcp", socket.AF_INET, ports) + _table("/proc/net/tcp6", socket.AF_INET6, ports)
    if found:
        owned = _owned({listener.inode for listener in found})
        for listener in found:
            listener.seen = listener.inode in owned
    return found


def _table(path, family, ports):
    found, known = [], set()
    try:
        with open(path) as stream:
            lines = stream.readlines()[1:]
    except OSError:
        return found
    for line in lines:
        fields = line.split()
        address, _, port = fields[1].partition(":")
        if fields[3] == LISTEN and int(port, 16) in ports and (address, port, fields[9]) not in known:
            known.add((address, port, fields[9]))
            found.append(Listener(family, _address(address, family), int(port, 16), fields[9]))
    return found


def _address(text, family):
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    address = socket.inet_ntop(family, struct.pack("=%dI" % len(words), *words))
    anywhere, here = ANY[family]
    return here if address == anywhere else address


def _owned(inodes):
    """Those of the socket inodes that a visible process holds."""
    wanted = {"socket:[%s]" % inode: inode for inode in inodes}
    owned = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            numbers = os.listdir("/proc/%s/fd" % pid)
        except OSError:
            continue
        for number in numbers:
            try:
                inode = wanted.get(os.readlink("/proc/%s/fd/%s" % (pid, number)))
            except OSError:
                continue
            if inode is not None:
                owned.add(inode)
        if len(owned) == len(wanted):
            break
    return owned


def handshake(address, port, name, limit):
    """The certificates that a port serves for a name, as DER, leaf first: (certificates, whole chain or only the leaf).

    Nothing is verified here: an expired or unknown certificate is what we are looking for. OSError (ssl.SSLError among
    them) when the port does not speak TLS, refuses, or takes longer than `limit` seconds.
    """
    context = _context()
    with contextlib.closing(socket.create_connection((address, port), timeout=limit)) as connection:
        tls = context.wrap_socket(connection, server_hostname=name or None)
        with contextlib.closing(tls):
            leaf, chain = tls.getpeercert(True), _chain(tls)
    if not leaf:
        raise OSError("no certificate served")
    return (chain, True) if chain and chain[0] == leaf else ([leaf], False)


def _context():
    import ssl  # late: it costs time and memory, and most hosts have no such port
    import warnings

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:  # look at old servers as well; this is no connection that carries data
            context.minimum_version = ssl.TLSVersion.TLSv1  # novm: from 3.7 on, before that there is nothing to lower
            context.set_ciphers("ALL:@SECLEVEL=0")
        except (AttributeError, ValueError, ssl.SSLError):
            pass
    return context


def _chain(tls):
    """All certificates as served; Python offers them from 3.10, publicly from 3.13."""
    get = getattr(tls, "get_unverified_chain", None) or getattr(tls._sslobj, "get_unverified_chain", None)
    if get is None:
        return []
    return [item if isinstance(item, bytes) else _der(item) for item in get() or []]


def _der(certificate):
    import _ssl

    return certificate.public_bytes(_ssl.ENCODING_DER)
