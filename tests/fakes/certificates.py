"""Makes real authorities, certificates and TLS servers for tests."""

import contextlib
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socketserver import BaseRequestHandler, TCPServer, ThreadingMixIn

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

NOW = datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True)
class Made:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def serial(self) -> str:
        return format(self.certificate.serial_number, "x")


def make(
    name: str,
    issuer: Made | None = None,
    *,
    days: float = 90,
    age: float = 1,
    authority: bool = False,
    names: tuple[str, ...] = (),
    now: datetime = NOW,
    public: bool = False,
    extension: tuple[str, bytes] | None = None,
) -> Made:
    """A certificate for `names` (or `name`) made `age` days ago for `days` days; self-signed without an issuer.

    `public` gives it the policy by which public authorities mark theirs; `extension` stands for its names.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    start = now - timedelta(days=age)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if extension is not None:
        strange = x509.UnrecognizedExtension(x509.ObjectIdentifier(extension[0]), extension[1])
        builder = builder.add_extension(strange, critical=False)
    elif not authority:
        hosts = [x509.DNSName(host) for host in names or (name,)]
        builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
    if public:
        policy = x509.PolicyInformation(x509.ObjectIdentifier("2.23.140.1.2.1"), None)
        builder = builder.add_extension(x509.CertificatePolicies([policy]), critical=False)
    return Made(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


class _Server(ThreadingMixIn, TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    context: ssl.SSLContext

    def get_request(self):
        connection, address = self.socket.accept()
        connection.settimeout(5)
        return connection, address


class _Handler(BaseRequestHandler):
    def handle(self):
        with contextlib.suppress(OSError):
            tls = self.server.context.wrap_socket(self.request, server_side=True)
            tls.recv(1)
            tls.close()


def context_of(folder: Path, chain: bytes, key: bytes, label: str = "server") -> ssl.SSLContext:
    """A server's context for a chain and its key."""
    (folder / f"{label}.pem").write_bytes(chain)
    (folder / f"{label}.key").write_bytes(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{label}.pem", folder / f"{label}.key")
    return context


@contextlib.contextmanager
def serving(context: ssl.SSLContext, address: str = "127.0.0.1") -> Iterator[_Server]:
    """A TLS server on a free port; `server.context` may be exchanged while it runs."""
    server = _Server((address, 0), _Handler)
    server.context = context
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
