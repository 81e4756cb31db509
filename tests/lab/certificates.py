"""Certificates of any age, lifetime and chain, made here."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    issuers: tuple[Pair, ...] = ()  # next issuer first, the root last

    @property
    def pem(self) -> bytes:
        """The certificate alone."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def chain_pem(self) -> bytes:
        """The certificate and its intermediates, as a server shows them."""
        return b"".join(pair.pem for pair in (self, *self.issuers[:-1]))

    @property
    def key_pem(self) -> bytes:
        """The private key."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def authority(name: str = "Lab root", issuer: Pair | None = None) -> Pair:
    """A certificate authority: a root, or an intermediate below `issuer`."""
    now = datetime.now(UTC)
    constraint = x509.BasicConstraints(ca=True, path_length=None)
    return _sign(name, now - timedelta(days=400), now + timedelta(days=3650), issuer, [(constraint, True)])


def certificate(
    *names: str,
    days_left: float = 90,
    lifetime_days: float = 90,
    issuer: Pair | None = None,
) -> Pair:
    """A server certificate for host names and addresses; self-signed without an issuer; `days_left` may exceed
    the lifetime (not valid yet) or be negative (expired).
    """
    begins = datetime.now(UTC) + timedelta(days=days_left - lifetime_days)
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
    ends = begins + timedelta(days=lifetime_days)
    return _sign(names[0], begins, ends, issuer, [(alternatives, False)])


def _sign(
    name: str,
    begins: datetime,
    ends: datetime,
    issuer: Pair | None,
    extensions: list[tuple[x509.ExtensionType, bool]],
) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = issuer.certificate.subject if issuer else subject
    serial = x509.random_serial_number()
    builder = x509.CertificateBuilder(signer, subject, key.public_key(), serial, begins, ends)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    made = builder.sign(issuer.key if issuer else key, hashes.SHA256())
    return Pair(made, key, (issuer, *issuer.issuers) if issuer else ())


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
