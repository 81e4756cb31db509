"""One verdict for each certificate: its time, its chain, its key, and whether ports serve what lies in files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from maintenancebot.model import Finding, Json, Reason

WORST_FIRST = (
    Reason.EXPIRED,
    Reason.NOT_YET_VALID,
    Reason.KEY_MISMATCH,
    Reason.SERVED_DIFFERS,
    Reason.CHAIN_BROKEN,
    Reason.EXPIRING,
)
"""Every bad verdict; a certificate with several faults is called by the first."""

SHORT_LIVED = timedelta(days=10)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Judged:
    """A certificate at one place with its verdict."""

    place: str
    verdict: Reason
    detail: str
    served: bool = False
    serial: str = ""
    fingerprint: str = ""
    names: tuple[str, ...] = ()
    key_type: str = ""
    issuer: str = ""
    not_before: str = ""
    not_after: str = ""
    days_left: float = 0.0
    threshold_days: float = 0.0
    chain_length: int = 0
    chain_whole: bool = True
    faults: tuple[str, ...] = ()
    lineage: str = ""
    renewable: bool = False
    address: str = ""
    port: int = 0
    sni: str = ""

    @property
    def kind(self) -> tuple[tuple[str, ...], str]:
        """What makes two certificates stand for the same thing: the names and the type of key."""
        return self.names, self.key_type

    def fact(self) -> dict[str, Json]:
        """For the report."""
        told: dict[str, Json] = {"place": self.place, "verdict": self.verdict.value, "detail": self.detail}
        if self.serial:
            told.update(
                served=self.served,
                names=list(self.names),
                issuer=self.issuer,
                serial=self.serial,
                not_before=self.not_before,
                not_after=self.not_after,
                days_left=round(self.days_left, 2),
                threshold_days=round(self.threshold_days, 2),
                faults=list(self.faults),
            )
        return told


def threshold(lifetime: timedelta, days: float) -> timedelta:
    """How much must be left: the configured days or a third of the lifetime, whichever is less; half of a short one."""
    share = lifetime / 2 if lifetime < SHORT_LIVED else lifetime / 3
    return min(timedelta(days=days), share)


def judge_all(findings: Sequence[Finding], now: datetime, days: float) -> list[Judged]:
    """Every certificate of a host with its verdict; a port that serves one certificate for many names counts once."""
    known = [_judge(finding, now, days) for finding in findings if finding.kind == "certificate"]
    files = [one for one in known if not one.served and one.serial]
    return [_against_files(one, files) if one.served and one.serial else one for one in _once(known)]


def _once(known: Sequence[Judged]) -> list[Judged]:
    """Without repeats: one certificate of a port once, and no refusal of a name where other names are answered."""
    answered = {(one.address, one.port) for one in known if one.served and one.serial}
    kept: dict[tuple[str, ...], Judged] = {}
    for one in known:
        if not one.served:
            kept[("file", one.place)] = one
        elif one.serial or (one.address, one.port) not in answered:
            kept.setdefault(("served", one.address, str(one.port), one.fingerprint), one)
    return list(kept.values())


def _judge(finding: Finding, now: datetime, days: float) -> Judged:
    data = finding.data
    served = data.get("where") == "served"
    place = Judged(
        place=finding.subject,
        verdict=Reason.NOT_RESPONDING if served else Reason.UNREADABLE,
        detail=str(data.get("error", "no certificate")),
        served=served,
        address=str(data.get("address", "")),
        port=int(data.get("port", 0)),
        sni=str(data.get("sni", "")),
    )
    certificate = data.get("certificate")
    return _by_itself(place, data, certificate, now, days) if certificate else place


def _by_itself(place: Judged, data: Mapping[str, Json], seen: Mapping[str, Json], now: datetime, days: float) -> Judged:
    start, end = datetime.fromisoformat(seen["not_before"]), datetime.fromisoformat(seen["not_after"])
    limit = threshold(end - start, days)
    one = replace(
        place,
        verdict=Reason.VALID,
        serial=seen["serial"],
        fingerprint=seen["fingerprint"],
        names=tuple(seen["names"]),
        key_type=seen["key_type"],
        issuer=seen["issuer"],
        not_before=seen["not_before"],
        not_after=seen["not_after"],
        days_left=(end - now) / DAY,
        threshold_days=limit / DAY,
        chain_length=data["chain"]["length"],
        chain_whole=bool(data.get("chain_whole", True)),
        lineage=str(data.get("lineage", "")),
        renewable=bool(data.get("renewable")),
        detail=f"{(end - now) / DAY:.1f} days left",
    )
    faults = [_time_fault(start, end, now, limit), _key_fault(data), _chain_fault(data)]
    for fault in faults:
        one = _with(one, *fault)
    return one


def _with(one: Judged, reason: Reason, detail: str) -> Judged:
    """The same certificate with one more fault; the worst gives the verdict and its words."""
    if reason is Reason.VALID:
        return one
    first = one.verdict is Reason.VALID or WORST_FIRST.index(reason) < WORST_FIRST.index(one.verdict)
    verdict, said = (reason, detail) if first else (one.verdict, one.detail)
    return replace(one, verdict=verdict, detail=said, faults=(*one.faults, detail))


def _time_fault(start: datetime, end: datetime, now: datetime, limit: timedelta) -> tuple[Reason, str]:
    if now > end:
        return Reason.EXPIRED, f"expired {(now - end) / DAY:.1f} days ago"
    if now < start:
        return Reason.NOT_YET_VALID, f"valid only from {start:%Y-%m-%d %H:%M} UTC"
    if end - now <= limit:
        return Reason.EXPIRING, f"{(end - now) / DAY:.1f} days left, {limit / DAY:.1f} should be"
    return Reason.VALID, ""


def _key_fault(data: Mapping[str, Json]) -> tuple[Reason, str]:
    if data.get("key") == "mismatch":
        return Reason.KEY_MISMATCH, "the private key does not belong to it"
    return Reason.VALID, ""


def _chain_fault(data: Mapping[str, Json]) -> tuple[Reason, str]:
    faults = data["chain"]["faults"]
    return (Reason.CHAIN_BROKEN, "; ".join(faults)) if faults else (Reason.VALID, "")


def _against_files(one: Judged, files: Sequence[Judged]) -> Judged:
    """A served certificate beside the files for the same names: the newest of them is what should be served."""
    same = [file for file in files if file.kind == one.kind]
    if not same:
        return one
    newest = max(same, key=lambda file: (datetime.fromisoformat(file.not_before), file.fingerprint == one.fingerprint))
    if newest.fingerprint == one.fingerprint:
        if one.chain_whole and one.chain_length < newest.chain_length:
            return _with(one, Reason.CHAIN_BROKEN, f"serves fewer certificates than {newest.place} holds")
        return one
    if datetime.fromisoformat(one.not_before) > datetime.fromisoformat(newest.not_before):
        return one
    return _with(one, Reason.SERVED_DIFFERS, f"serves {one.serial}, {newest.place} holds {newest.serial}")
