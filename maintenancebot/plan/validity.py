"""One verdict for each certificate: its time, names, chain, key, trust, and whether ports serve what lies in files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from maintenancebot.model import Finding, Json, Reason
from maintenancebot.plan.certificates_seen import DAY, Judged, once, seen
from maintenancebot.plan.covering import covers

WORST_FIRST = (
    Reason.EXPIRED,
    Reason.NOT_YET_VALID,
    Reason.KEY_MISMATCH,
    Reason.NAME_MISMATCH,
    Reason.SERVED_DIFFERS,
    Reason.CHAIN_BROKEN,
    Reason.UNTRUSTED,
    Reason.EXPIRING,
)
"""Every bad verdict; a certificate with several faults is called by the first."""

SHORT_LIVED = timedelta(days=10)
MOST_GRACE = timedelta(days=3)
MOST_NAMES_TOLD = 5


Fault = tuple[Reason, str]
NONE: Fault = (Reason.VALID, "")


@dataclass(frozen=True)
class Standard:
    """By what is judged: the time, the days that must be left, the files, the lineages by fingerprint.

    `by_itself` says that something renews the lineages without a person.
    """

    at: datetime
    days: float
    files: Sequence[Judged]
    lineages: Mapping[str, Judged]
    by_itself: bool


def threshold(lifetime: timedelta, days: float) -> timedelta:
    """How much must be left: the configured days or a third of the lifetime, whichever is less; half of a short one."""
    share = lifetime / 2 if lifetime < SHORT_LIVED else lifetime / 3
    return min(timedelta(days=days), share)


def grace(limit: timedelta) -> timedelta:
    """How long after the due point what is renewed by itself may take: a third of the threshold, three days at most."""
    return min(MOST_GRACE, limit / 3)


def judge_all(findings: Sequence[Finding], now: datetime, days: float, *, by_itself: bool = False) -> list[Judged]:
    """Every certificate with its verdict; a port that serves one certificate for many names counts once.

    `by_itself` says that a timer, or this task, renews what certbot can renew.
    """
    read = [seen(one) for one in findings if one.kind == "certificate"]
    files = [one for one, _ in read if one.where == "file" and one.serial]
    lineages = {one.fingerprint: one for one in files if one.lineage and one.renewable}
    standard = Standard(now, days, files, lineages, by_itself)
    return [_judge(one, data, standard) for one, data in once(read)]


def _judge(one: Judged, data: Mapping[str, Json], standard: Standard) -> Judged:
    """The certificate with all its faults; one that could not be read keeps its reason."""
    if not one.serial:
        return one
    one = _timed(one, standard)
    faults = (
        _time_fault(one, standard.at),
        _key_fault(data),
        _name_fault(one, data),
        _chain_fault(data),
        _trust_fault(one, data, standard.at, one.fingerprint in standard.lineages),
        _file_fault(one, standard.files) if one.served else NONE,
    )
    for fault in faults:
        one = _with(one, *fault)
    return one


def _timed(one: Judged, standard: Standard) -> Judged:
    """The certificate with what is left, whether it renews itself, and whether that is overdue; valid so far."""
    lineage = standard.lineages.get(one.fingerprint)
    itself = one.renews_itself or (standard.by_itself and lineage is not None and _follows(one, lineage))
    limit = threshold(one.lifetime, standard.days)
    left = datetime.fromisoformat(one.not_after) - standard.at
    overdue = left <= limit - (grace(limit) if itself else timedelta())
    one = replace(one, verdict=Reason.VALID, left=left, limit=limit, overdue=overdue, renews_itself=itself)
    return replace(one, detail=_left_said(one))


def _follows(one: Judged, lineage: Judged) -> bool:
    """Whether a renewal of the lineage changes this too: the port that serves it, or a link to it; not a copy."""
    return one.served or one.place == lineage.place or bool(one.resolved and one.resolved == lineage.resolved)


def _left_said(one: Judged) -> str:
    said = f"{one.left / DAY:.1f} days left"
    if one.due and not one.overdue:
        until = datetime.fromisoformat(one.not_after) - one.limit + grace(one.limit)
        return f"{said}, due; renewed by itself, overdue from {until:%Y-%m-%d %H:%M} UTC"
    return said


def _with(one: Judged, reason: Reason, detail: str) -> Judged:
    """The same certificate with one more fault; the worst gives the verdict and its words."""
    if reason is Reason.VALID:
        return one
    first = one.verdict is Reason.VALID or WORST_FIRST.index(reason) < WORST_FIRST.index(one.verdict)
    verdict, said = (reason, detail) if first else (one.verdict, one.detail)
    return replace(one, verdict=verdict, detail=said, faults=(*one.faults, detail))


def _time_fault(one: Judged, now: datetime) -> Fault:
    start = datetime.fromisoformat(one.not_before)
    if one.left < timedelta():
        return Reason.EXPIRED, f"expired {-one.left / DAY:.1f} days ago"
    if now < start:
        return Reason.NOT_YET_VALID, f"valid only from {start:%Y-%m-%d %H:%M} UTC"
    if one.overdue:
        note = f"; {one.note}" if one.note else ""
        return Reason.EXPIRING, f"{one.left / DAY:.1f} days left, {one.limit / DAY:.1f} should be{note}"
    return NONE


def _key_fault(data: Mapping[str, Json]) -> Fault:
    if data.get("key") == "mismatch":
        return Reason.KEY_MISMATCH, "the private key does not belong to it"
    return NONE


def _name_fault(one: Judged, data: Mapping[str, Json]) -> Fault:
    """A name under which the configuration serves it, or asks for it, and for which it is not."""
    named = bool(data["certificate"].get("named", True))
    bare = [name for name in sorted(one.asked) if not (named and covers(one.names, name))]
    if not bare:
        return NONE
    whose = _few(one.names) if named else "nothing but a common name, which clients do not read"
    return Reason.NAME_MISMATCH, f"served as {_few(bare)}, but it is for {whose or 'no name'}"


def _few(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES_TOLD
    return ", ".join(names[:MOST_NAMES_TOLD]) + (f" and {more} more" if more > 0 else "")


def _chain_fault(data: Mapping[str, Json]) -> Fault:
    faults = data.get("chain", {}).get("faults")
    return (Reason.CHAIN_BROKEN, "; ".join(faults)) if faults else NONE


def _trust_fault(one: Judged, data: Mapping[str, Json], now: datetime, of_lineage: bool) -> Fault:
    """What the host's store says, where it should know the authority: public ones, and those that certbot asks.

    A private authority that the host does not know is a fact of the report and no fault. An intermediate that lies on
    the host and is not sent along is one whoever signed it.
    """
    chain, trust = data.get("chain", {}), data.get("trust", {})
    unsent, ends = chain.get("unsent"), chain.get("issuers_end")
    if one.trust == "issuer_unknown" and unsent:
        return Reason.CHAIN_BROKEN, f"the intermediate {unsent} is not sent"
    if one.trust == "out_of_time" and ends and now > datetime.fromisoformat(ends):
        return Reason.CHAIN_BROKEN, "a certificate of its chain has expired"
    if one.trust == "invalid":
        return Reason.UNTRUSTED, f"the host does not accept its chain: {trust.get('detail', '')}"
    if not (data["certificate"].get("public") or of_lineage):
        return NONE
    if one.trust == "issuer_unknown" and one.chain_whole and one.chain_length == 1:
        return Reason.CHAIN_BROKEN, f"no intermediate is sent, and the host does not know {one.issuer}"
    if one.trust in ("issuer_unknown", "private", "self_signed") and one.chain_whole:
        return Reason.UNTRUSTED, f"the host does not trust its authority: {trust.get('detail', '')}"
    return NONE


def _file_fault(one: Judged, files: Sequence[Judged]) -> Fault:
    """A served certificate beside the file that should be served.

    That is the newest of those that the configuration names for this place, else of those for the same names.
    """
    named = [file for file in files if file.path in one.expected and file.key_type == one.key_type]
    same = [file for file in files if file.kind == one.kind]
    if not (named or same):
        return NONE
    newest = max(
        named or same, key=lambda file: (datetime.fromisoformat(file.not_before), file.fingerprint == one.fingerprint)
    )
    if newest.fingerprint == one.fingerprint:
        fewer = one.chain_whole and one.chain_length < newest.chain_length
        return (Reason.CHAIN_BROKEN, f"serves fewer certificates than {newest.place} holds") if fewer else NONE
    if datetime.fromisoformat(one.not_before) > datetime.fromisoformat(newest.not_before):
        return NONE
    return Reason.SERVED_DIFFERS, f"serves {one.serial}, {newest.place} holds {newest.serial}"
