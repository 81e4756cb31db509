"""Whether a certificate is for a name, by the rules that clients follow."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence


def covers(names: Sequence[str], wanted: str) -> bool:
    """Whether one of a certificate's names is the wanted one, or a wildcard for it; addresses match exactly."""
    address = _address(wanted)
    if address is not None:
        return any(_address(name) == address for name in names)
    return any(_fits(name.lower().rstrip("."), wanted.lower().rstrip(".")) for name in names)


def _fits(name: str, wanted: str) -> bool:
    """`*` stands for exactly the first label, as a whole."""
    if name == wanted:
        return True
    first, _, rest = wanted.partition(".")
    return name.startswith("*.") and bool(first) and "." in rest and name[2:] == rest


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
