"""Certificates as they were seen, each at its place, before anybody judges them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from maintenancebot.model import Finding, Json, Reason

DAY = timedelta(days=1)
REASONS = {
    "unreachable": Reason.UNREACHABLE,
    "garbled": Reason.GARBLED,
    "not_tls": Reason.GARBLED,
}
"""Kinds of failed handshakes that have a reason of their own; the others are a service that does not answer."""


@dataclass(frozen=True)
class Judged:
    """A certificate at one place with its verdict."""

    place: str
    verdict: Reason
    detail: str
    where: str = "file"  # or served, endpoint, acm
    serial: str = ""
    fingerprint: str = ""
    names: tuple[str, ...] = ()
    key_type: str = ""
    issuer: str = ""
    not_before: str = ""
    not_after: str = ""
    left: timedelta = timedelta()
    lifetime: timedelta = timedelta()
    limit: timedelta = timedelta()
    overdue: bool = False
    trust: str = ""
    chain_length: int = 0
    chain_whole: bool = True
    faults: tuple[str, ...] = ()
    lineage: str = ""
    renewable: bool = False
    renews_itself: bool = False
    conflict: str = ""
    note: str = ""  # of who renews it
    path: str = ""
    resolved: str = ""
    address: str = ""
    port: int = 0
    protocol: str = "tls"
    sni: str = ""
    expected: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()  # names that the configuration has for this place

    @property
    def served(self) -> bool:
        """Whether a local port serves it."""
        return self.where == "served"

    @property
    def kind(self) -> tuple[tuple[str, ...], str]:
        """What makes two certificates stand for the same thing: the names and the type of key."""
        return self.names, self.key_type

    @property
    def due(self) -> bool:
        """Whether it should be renewed by now."""
        return bool(self.serial) and self.left <= self.limit

    def fact(self) -> dict[str, Json]:
        """For the report."""
        told: dict[str, Json] = {"place": self.place, "verdict": self.verdict.value, "detail": self.detail}
        if self.serial:
            told.update(
                served=self.served,
                where=self.where,
                names=list(self.names),
                issuer=self.issuer,
                serial=self.serial,
                not_before=self.not_before,
                not_after=self.not_after,
                days_left=round(self.left / DAY, 2),
                share_left=round(self.left / self.lifetime, 3) if self.lifetime else 0.0,
                threshold_days=round(self.limit / DAY, 2),
                trust=self.trust,
                faults=list(self.faults),
            )
        return told


def seen(finding: Finding) -> tuple[Judged, Mapping[str, Json]]:
    """What a finding says, not judged yet."""
    data = finding.data
    where = str(data.get("where", "file"))
    failed = Reason.UNREADABLE if where == "file" else REASONS.get(str(data.get("fault", "")), Reason.NOT_RESPONDING)
    sni = str(data.get("sni", ""))
    one = Judged(
        place=finding.subject,
        verdict=failed,
        detail=str(data.get("error", "no certificate")),
        where=where,
        address=str(data.get("address", "")),
        port=int(data.get("port", 0)),
        protocol=str(data.get("protocol", "tls")),
        sni=sni,
        asked=frozenset([sni] if sni and data.get("configured") else []),
        expected=frozenset(map(str, data.get("expected", ()))),
        lineage=str(data.get("lineage", "")),
        renewable=bool(data.get("renewable")),
        conflict=str(data.get("conflict", "")),
        path=str(data.get("path", "")),
        resolved=str(data.get("resolved", "")),
    )
    described = data.get("certificate")
    return (_described(one, data, described) if described else one), data


def _described(one: Judged, data: Mapping[str, Json], seen: Mapping[str, Json]) -> Judged:
    start, end = datetime.fromisoformat(seen["not_before"]), datetime.fromisoformat(seen["not_after"])
    chain = data.get("chain", {})
    return replace(
        one,
        serial=seen["serial"],
        fingerprint=seen["fingerprint"],
        names=tuple(seen["names"]),
        key_type=seen["key_type"],
        issuer=seen["issuer"],
        not_before=seen["not_before"],
        not_after=seen["not_after"],
        lifetime=end - start,
        trust=str(data.get("trust", {}).get("verdict", "")),
        chain_length=int(chain.get("length", 1)),
        chain_whole=bool(data.get("chain_whole", True)),
        renews_itself=one.where == "acm" and not (data.get("imported") or data.get("renewal")),
        note=str(data.get("renewal", "")),
    )


def once(read: Sequence[tuple[Judged, Mapping[str, Json]]]) -> list[tuple[Judged, Mapping[str, Json]]]:
    """Without repeats: one certificate of a port once, with all names under which the configuration has it there.

    A port that answers some names and refuses others is judged by those it answers, unless it should answer that one.
    """
    answered = {(one.address, one.port) for one, _ in read if one.served and one.serial}
    kept: dict[tuple[str, ...], tuple[Judged, Mapping[str, Json]]] = {}
    for one, data in read:
        key: tuple[str, ...] = ("", one.place)
        if one.served and one.serial:
            key = (one.address, str(one.port), one.fingerprint)
        elif one.served and (one.address, one.port) in answered and not one.asked:
            continue
        elif one.served:
            key = (one.address, str(one.port), "", one.sni if (one.address, one.port) in answered else "")
        before = kept.get(key)
        if before is not None:
            joined = replace(before[0], asked=before[0].asked | one.asked, expected=before[0].expected | one.expected)
            kept[key] = (joined, before[1])
        else:
            kept[key] = (one, data)
    return list(kept.values())
