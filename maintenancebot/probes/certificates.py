"""Certificates: what to ask the helper, and what the certificates that it sends say."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from maintenancebot.model import Finding, Host, Json
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.remote.session import Session
from maintenancebot.settings import MonitorTask, Settings, Task

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

OP = "certificates"


def request(task: Task, settings: Settings, host: Host, *, refresh: bool) -> Mapping[str, Json] | None:
    """The files and ports to look at, besides certbot's lineages and the web servers' configurations."""
    assert isinstance(task, MonitorTask)
    return {"files": list(task.files), "ports": list(task.ports)}


def complete(task: Task, settings: Settings, result: ProbeResult, session: Session) -> ProbeResult:
    """The same findings with the certificates read: `certificate` describes the first one, `chain` the whole."""
    return replace(result, findings=tuple(_read(f) if f.kind == "certificate" else f for f in result.findings))


def _read(finding: Finding) -> Finding:
    data = {key: value for key, value in finding.data.items() if key != "chain"}
    encoded = finding.data.get("chain") or []
    if encoded:
        try:
            certificates = _load(encoded)
            data["certificate"] = describe(certificates[0])
            data["chain"] = {"length": len(certificates), "faults": chain_faults(certificates)}
        except Exception as error:  # whatever a host sends: it spoils its own certificate, not the run
            data["error"] = f"not a certificate that can be read: {error}"
    return replace(finding, data=data)


def _load(encoded: Sequence[str]) -> list[Certificate]:
    from cryptography import x509  # late: only hosts with certificates need it

    return [x509.load_der_x509_certificate(base64.b64decode(text)) for text in encoded]


def describe(certificate: Certificate) -> dict[str, Json]:
    """What a certificate says of itself, as plain data; an exception of some kind when it cannot be read.

    Times are zone-aware and exact, the serial number is in hex as OpenSSL's without leading noughts.
    """
    from cryptography.hazmat.primitives.hashes import SHA256

    return {
        "serial": format(certificate.serial_number, "x"),
        "names": _names(certificate),
        "issuer": certificate.issuer.rfc4514_string(),
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "fingerprint": certificate.fingerprint(SHA256()).hex(),
        "key_type": _key_type(certificate),
        "self_signed": certificate.issuer == certificate.subject,
        "authority": _is_authority(certificate),
    }


def chain_faults(certificates: Sequence[Certificate]) -> list[str]:
    """What is wrong with the order and the issuers of the certificates after the first.

    Whether an authority that is not sent along is trusted is not judged here.
    """
    if _is_authority(certificates[0]):
        if all(_is_authority(one) for one in certificates):
            return []  # a collection of authorities, in any order
        return ["the server's certificate does not come first"]
    faults = []
    for number, certificate in enumerate(certificates[1:], 1):
        if not any(_issued(earlier, certificate) for earlier in certificates[:number]):
            faults.append(f"certificate {number + 1} did not issue the one before it")
    return faults


def _issued(certificate: Certificate, issuer: Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, InvalidSignature):
        return False
    except (TypeError, UnsupportedAlgorithm):
        return certificate.issuer == issuer.subject  # a kind of key that cannot be checked here
    return True


def _names(certificate: Certificate) -> list[str]:
    from cryptography import x509

    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension):
        common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return [str(common[0].value)] if common else []
    hosts = [name.lower() for name in extension.get_values_for_type(x509.DNSName)]
    return sorted(hosts) + sorted(str(address) for address in extension.get_values_for_type(x509.IPAddress))


def _key_type(certificate: Certificate) -> str:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return type(certificate.public_key()).__name__.removesuffix("PublicKey").lower()
    except (UnsupportedAlgorithm, ValueError):
        return "unknown"


def _is_authority(certificate: Certificate) -> bool:
    from cryptography import x509

    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False
