"""TCP ports that processes of this host listen on, and which systemd unit each belongs to."""

import os
import re
import socket
import struct

LISTEN = "0A"
ANY = {
    socket.AF_INET: ("0.0.0.0", "127.0.0.1"),  # noqa: S104  compared, never bound
    socket.AF_INET6: ("::", "::1"),
}
"""Where everything is listened on, and where to knock then."""
UNIT = re.compile(r"/([A-Za-z0-9:_.@\\-]+\.service)(?:/|$)", re.MULTILINE)


class Listener:
    """A listening socket: what it is bound to, the address to knock at, the port, and the process that holds it."""

    def __init__(self, family, bound, port, inode):
        anywhere, here = ANY[family]
        self.family = family
        self.everywhere = bound == anywhere
        self.address = here if self.everywhere else bound
        self.port = port
        self.inode = inode
        self.pid = 0  # of a process that we may see

    @property
    def seen(self):
        """Whether a process of this host holds it, as far as we may see."""
        return self.pid != 0


def listening(ports):
    """The listeners on these ports; `pid` is set for those of processes of this host that we may see.

    The kernel lists all sockets of the network namespace; a container that shares it has processes of its own.
    """
    found = _table("/proc/net/tcp", socket.AF_INET, ports) + _table("/proc/net/tcp6", socket.AF_INET6, ports)
    if found:
        owners = _owners({listener.inode for listener in found})
        for listener in found:
            listener.pid = owners.get(listener.inode, 0)
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
    return socket.inet_ntop(family, struct.pack("=%dI" % len(words), *words))


def _owners(inodes):
    """A visible process for each of the socket inodes that one holds."""
    wanted = {"socket:[%s]" % inode: inode for inode in inodes}
    owners = {}
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
                owners[inode] = int(pid)
        if len(owners) == len(wanted):
            break
    return owners


def is_address(text):
    """Whether it is an address of IPv4 or IPv6, and no name."""
    for family in ANY:
        try:
            socket.inet_pton(family, text)
            return True
        except (OSError, ValueError):
            continue
    return False


def is_here(address):
    """Whether an address is this host's own now: one that may move lies with one of several hosts.

    No packet is sent; to its own address a host speaks from that address, in 127.0.0.0/8 from any.
    """
    if address.startswith("127."):
        return True
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as one:
            one.connect((address, 9))
            return bool(one.getsockname()[0] == address)
    except OSError:
        return False


def unit_of(pid):
    """The systemd unit that a process belongs to, empty when it belongs to none."""
    try:
        with open("/proc/%d/cgroup" % pid) as stream:
            found = UNIT.findall(stream.read(8192))
    except OSError:
        return ""
    return found[-1] if found else ""


def units_at(places):
    """The units that listen at these (address, port) pairs."""
    found = listening({port for _, port in places})
    serving = [one for one in found if one.seen and any(_serves(one, *place) for place in places)]
    return {unit_of(one.pid) for one in serving} - {""}


def _serves(listener, address, port):
    """Whether what comes to an address and port reaches this listener."""
    if listener.port != port:
        return False
    return listener.address == address or (listener.everywhere and (":" in address) == (":" in listener.address))
