"""Certificates of the AWS Certificate Manager, looked at from the controller, in the form of those of hosts.

A certificate that nothing uses harms no one when it ends, and AWS does not renew it; a request that was never granted
is no certificate. Neither is a finding.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from maintenancebot.errors import RemoteError
from maintenancebot.model import Finding, Json
from maintenancebot.remote import aws
from maintenancebot.remote.aws import AwsError, Service
from maintenancebot.settings import AcmSource

LOOK_SECONDS = 120
HANG_SECONDS = 240
MOST_CERTIFICATES = 1000
AT_ONCE = 8

STATUSES = (
    "PENDING_VALIDATION",
    "ISSUED",
    "INACTIVE",
    "EXPIRED",
    "VALIDATION_TIMED_OUT",
    "REVOKED",
    "FAILED",
)
KEY_TYPES = (
    "RSA_1024",
    "RSA_2048",
    "RSA_3072",
    "RSA_4096",
    "EC_prime256v1",
    "EC_secp384r1",
    "EC_secp521r1",
)
"""All of them: without being asked, ACM lists certificates of RSA up to 2048 bits alone."""


def look(acm: AcmSource, task: str) -> tuple[list[Finding], list[str]]:
    """Findings of kind "certificate" with where="acm", and what could not be asked, in words; never raises for AWS.

    Further keys of the data: `region`, `arn`, `status`, `in_use` (what uses it), `renewal` (empty, or in words how
    AWS's own renewal stands), `imported` (AWS renews it never).
    """
    regions = acm.regions or (acm.region or "",)
    with ThreadPoolExecutor(min(AT_ONCE, len(regions)), "acm") as pool:
        answers = list(pool.map(lambda region: _region(acm, region, task), regions))
    return [one for found, _ in answers for one in found], [one for _, missed in answers for one in missed]


def _region(acm: AcmSource, region: str, task: str) -> tuple[list[Finding], list[str]]:
    place = f"acm {region}".strip()
    try:
        return aws.within(HANG_SECONDS, lambda: _asked(acm, region, place, task))
    except RemoteError as error:
        return [], [f"{place}: {error}"]


def _asked(acm: AcmSource, region: str, place: str, task: str) -> tuple[list[Finding], list[str]]:
    """What was answered, also when the rest was not."""
    found: list[Finding] = []
    missed: list[str] = []
    try:
        service = Service("acm", acm, LOOK_SECONDS, region=region or None)
        for number, row in enumerate(_listed(service)):
            if number == MOST_CERTIFICATES:
                missed.append(f"{place}: more than {MOST_CERTIFICATES} certificates")
                break
            _add(service, str(row["CertificateArn"]), place, task, found, missed)
    except AwsError as error:
        missed.append(f"{place}: {error}")
    except (KeyError, TypeError, ValueError, AttributeError) as error:  # an answer that lacks its parts
        missed.append(f"{place}: the answer cannot be read ({type(error).__name__})")
    return found, missed


def _listed(service: Service) -> list[Mapping[str, Json]]:
    rows = service.rows(
        "list_certificates",
        "CertificateSummaryList",
        "listing the certificates",
        CertificateStatuses=list(STATUSES),
        Includes={"keyTypes": list(KEY_TYPES)},
    )
    return list(rows)


def _add(service: Service, arn: str, place: str, task: str, found: list[Finding], missed: list[str]) -> None:
    try:
        said = service.call("describe_certificate", "looking at a certificate", CertificateArn=arn)["Certificate"]
    except AwsError as error:
        if error.code == "ResourceNotFoundException":  # deleted since it was listed
            return
        if error.code == "RequestInProgressException":  # requested a moment ago
            return
        missed.append(f"{place}: {arn.rpartition('/')[2]}: {error}")
        return
    if _matters(said):
        found.append(_finding(said, service.region, task))


def _matters(said: Mapping[str, Json]) -> bool:
    """Whether it is a certificate at all, and one that may be in use, by AWS or outside of it."""
    outside = said.get("Type") == "PRIVATE" or (said.get("Options") or {}).get("Export") == "ENABLED"
    return bool(said.get("NotAfter")) and bool(outside or said.get("InUseBy"))


def _finding(said: Mapping[str, Json], region: str, task: str) -> Finding:
    arn, name = str(said["CertificateArn"]), str(said["DomainName"])
    data = {
        "where": "acm",
        "region": region,
        "arn": arn,
        "status": str(said["Status"]),
        "in_use": [str(user) for user in said.get("InUseBy") or ()],
        "imported": said.get("Type") == "IMPORTED",
        "renewal": _renewal(said),
        "certificate": _described(said, name),
        "chain": {"length": 1, "faults": _faults(said), "issuers_end": "", "unsent": ""},
    }
    return Finding(task, "certificate", f"acm {region} {name} {arn.rpartition('/')[2]}", data)


def _described(said: Mapping[str, Json], name: str) -> dict[str, Json]:
    """As certificates of hosts are described; AWS checked chain and key when it took or made it."""
    names = {str(one).lower() for one in said.get("SubjectAlternativeNames") or (name,)}
    issuer, subject = str(said.get("Issuer", "")), str(said.get("Subject", ""))
    return {
        "serial": str(said.get("Serial", "")).replace(":", "").lower().lstrip("0") or "0",
        "names": sorted(names),
        "named": True,
        "issuer": issuer,
        "not_before": _time(said.get("NotBefore") or said["CreatedAt"]),
        "not_after": _time(said["NotAfter"]),
        "fingerprint": "",
        "key_type": "rsa" if str(said.get("KeyAlgorithm", "")).startswith("RSA") else "ellipticcurve",
        "self_signed": bool(issuer) and issuer == subject,
        "authority": False,
        "public": False,  # told by marks in the certificate itself, which is not asked for
    }


def _time(moment: datetime) -> str:
    return moment.isoformat()


def _faults(said: Mapping[str, Json]) -> list[str]:
    if said["Status"] != "REVOKED":
        return []
    return [f"revoked: {said.get('RevocationReason', 'without a reason')}, and still in use"]


def _renewal(said: Mapping[str, Json]) -> str:
    """How AWS's renewal stands; whether that is a fault is told by the time that is left."""
    summary = said.get("RenewalSummary") or {}
    if summary.get("RenewalStatus") in ("FAILED", "PENDING_VALIDATION"):
        waiting = [
            str(one["DomainName"])
            for one in summary.get("DomainValidationOptions") or ()
            if one.get("ValidationStatus") != "SUCCESS"
        ]
        why = summary.get("RenewalStatusReason") or ", ".join(waiting[:5])
        return f"AWS's renewal is {summary['RenewalStatus']}" + (f": {why}" if why else "")
    if said.get("Type") == "IMPORTED":
        return "imported: AWS does not renew it"
    if said.get("RenewalEligibility") == "INELIGIBLE":
        return "AWS cannot renew it"
    return ""
