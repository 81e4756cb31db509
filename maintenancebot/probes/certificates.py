"""Certificates: what to ask the helper, and what the certificates that it sends say."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from maintenancebot.model import Finding, Host, Json
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.remote.session import Session
from maintenancebot.settings import MonitorTask, Settings, Task, TlsEndpoint

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509 import Certificate

OP = "certificates"
PUBLIC_LOGS = "1.3.6.1.4.1.11129.2.4.2"
PUBLIC_POLICIES = "2.23.140.1."


def request(task: Task, settings: Settings, host: Host, *, refresh: bool) -> Mapping[str, Json] | None:
    """The files, ports and endpoints to look at, besides certbot's lineages and the web servers' configurations."""
    assert isinstance(task, MonitorTask)
    return {
        "files": list(task.files),
        "ports": list(task.ports),
        "starttls_ports": {protocol.value: list(ports) for protocol, ports in task.starttls_ports.items()},
        "endpoints": [_endpoint(one) for one in task.endpoints],
    }


def _endpoint(one: TlsEndpoint) -> dict[str, Json]:
    address, _, port = one.address.rpartition(":")
    return {
        "address": address.strip("[]"),
        "port": int(port),
        "name": one.name or "",
        "protocol": one.protocol.value,
    }


def complete(task: Task, settings: Settings, result: ProbeResult, session: Session) -> ProbeResult:
    """The same findings with the certificates read, and those of the cloud.

    `certificate` describes the first of each, `chain` the whole.
    """
    assert isinstance(task, MonitorTask)
    read = [_read(finding) for finding in result.findings]
    issuers = {one.fingerprint(_sha256()): one for _, chain in read for one in chain if _is_between(one)}
    findings = tuple(_with_issuer(finding, chain, list(issuers.values())) for finding, chain in read)
    return _with_cloud(task, replace(result, findings=findings))


def _with_cloud(task: MonitorTask, result: ProbeResult) -> ProbeResult:
    if task.acm is None:
        return result
    from maintenancebot.probes import cloud_certificates  # late: it needs boto3

    findings, could_not_ask = cloud_certificates.look(task.acm, task.name)
    facts = {**result.facts, "could_not_ask": list(could_not_ask)}
    return replace(result, findings=(*result.findings, *findings), facts=facts)


def _read(finding: Finding) -> tuple[Finding, list[Certificate]]:
    data = {key: value for key, value in finding.data.items() if key != "chain"}
    encoded: Sequence[str] = finding.data.get("chain") or []
    certificates: list[Certificate] = []
    if encoded:
        try:
            certificates = _load(encoded)
            data["certificate"] = describe(certificates[0])
            ends = [certificate.not_valid_after_utc.isoformat() for certificate in certificates[1:]]
            data["chain"] = {
                "length": len(certificates),
                "faults": chain_faults(certificates),
                "issuers_end": min(ends, default=""),
                "unsent": "",
            }
        except Exception as error:  # whatever a host sends: it spoils its own certificate, not the run
            data["error"] = f"not a certificate that can be read: {error}"
            certificates = []
    return replace(finding, data=data), certificates


def _with_issuer(finding: Finding, chain: Sequence[Certificate], issuers: Sequence[Certificate]) -> Finding:
    """The finding, with the intermediate authority that is known on the host and not sent along."""
    if not chain or finding.data.get("trust", {}).get("verdict") != "issuer_unknown":
        return finding
    last = chain[-1]
    try:
        missing = next((one for one in issuers if one.subject == last.issuer and _issued(last, one)), None)
    except ValueError:  # nobody can say who issued it
        return finding
    if missing is None:
        return finding
    said = {**finding.data["chain"], "unsent": missing.subject.rfc4514_string()}
    return replace(finding, data={**finding.data, "chain": said})


def _load(encoded: Sequence[str]) -> list[Certificate]:
    from cryptography import x509  # late: only hosts with certificates need it

    return [x509.load_der_x509_certificate(base64.b64decode(text)) for text in encoded]


def describe(certificate: Certificate) -> dict[str, Json]:
    """What a certificate says of itself, as plain data; an exception of some kind when it cannot be read.

    Times are zone-aware and exact, the serial number is in hex as OpenSSL's without leading noughts.
    """
    names, from_extension = _names(certificate)
    return {
        "serial": format(certificate.serial_number, "x"),
        "names": names,
        "named": from_extension,
        "issuer": certificate.issuer.rfc4514_string(),
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "fingerprint": certificate.fingerprint(_sha256()).hex(),
        "key_type": _key_type(certificate),
        "self_signed": certificate.issuer == certificate.subject,
        "authority": _is_authority(certificate),
        "public": _is_public(certificate),
    }


def _sha256() -> SHA256:
    from cryptography.hazmat.primitives.hashes import SHA256

    return SHA256()


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


def _names(certificate: Certificate) -> tuple[list[str], bool]:
    """The names that it is for, and whether they stand where clients look; a common name alone they do not read."""
    from cryptography import x509

    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension):
        common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return ([str(common[0].value)] if common else []), False
    hosts = [name.lower() for name in extension.get_values_for_type(x509.DNSName)]
    return sorted(hosts) + sorted(str(address) for address in extension.get_values_for_type(x509.IPAddress)), True


def _is_public(certificate: Certificate) -> bool:
    """Whether it bears the marks of public authorities: their forum's policies, or entries of public logs."""
    from cryptography import x509

    found = {one.oid.dotted_string for one in certificate.extensions}
    if PUBLIC_LOGS in found:
        return True
    try:
        policies = certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
    except x509.ExtensionNotFound:
        return False
    return any(one.policy_identifier.dotted_string.startswith(PUBLIC_POLICIES) for one in policies)


def _is_between(certificate: Certificate) -> bool:
    """Whether it is an intermediate authority; what cannot be read is none."""
    try:
        return certificate.issuer != certificate.subject and _is_authority(certificate)
    except Exception:  # cryptography has several for what it cannot read, without a common type
        return False


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
