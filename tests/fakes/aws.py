"""AWS on loopback: moto behind a front that can fail by service and region, and that lists recovery points itself.

`cloud.faults["rds"] = "throttled"` holds for every request of a service, `"acm/eu-west-1"` for those of one region.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from urllib.request import urlopen

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from moto.acm.models import acm_backends
from moto.server import ThreadedMotoServer

from maintenancebot.remote import aws as remote

KEY_ID, SECRET, REGION = "AKIAEXAMPLEOFATEST01", "s3cr3tOfAnotherTestNeverToBeSeen", "eu-west-1"
ACCOUNT = "123456789012"  # moto's
BALANCER = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/app/shop/1"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": KEY_ID,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""Where a controller finds the credentials."""

HOP = {"connection", "transfer-encoding", "content-length", "host"}
SCOPE = re.compile(r"Credential=(?P<key>[^/]*)/[0-9]{8}/(?P<region>[^/]*)/(?P<service>[^/]*)/")
WARMING = {
    "s3": "list_buckets",
    "rds": "describe_db_instances",
    "acm": "list_certificates",
    "ec2": "describe_volumes",
    "sts": "get_caller_identity",
}
CODES = {
    "throttled": {"s3": (503, "SlowDown"), "ec2": (503, "RequestLimitExceeded"), "": (400, "ThrottlingException")},
    "many": {"": (429, "TooManyRequestsException")},
    "expired": {"s3": (400, "ExpiredToken"), "ec2": (400, "RequestExpired"), "": (403, "ExpiredTokenException")},
    "denied": {"s3": (403, "AccessDenied"), "ec2": (403, "UnauthorizedOperation"), "": (400, "AccessDeniedException")},
    "500": {"": (500, "InternalFailure")},
}
"""Status and code by service, as each says it."""


class Cloud(ThreadingHTTPServer):
    """What the controller knows as AWS."""

    daemon_threads = True

    def __init__(self, moto: tuple[str, int]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.moto = moto
        self.faults: dict[str, str] = {}
        self.seen: list[tuple[str, str, str, str]] = []  # service, region, access key, request line
        self.points: list[dict[str, Any]] = []  # recovery points of AWS Backup, with a `ResourceArn` of their own
        self.bodies: list[bytes] = []
        self.page = 2  # recovery points in one answer
        self.breaks: list[int] = []  # after so many bytes the next answers to GET with a body of more break off
        self.flips = False  # objects are answered with a changed bit
        self.upload_began: datetime | None = None  # moto says 2010 of every unfinished upload
        self.released = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def client(self, service: str, region: str = REGION) -> Any:
        """A client of the test's own, past the front."""
        session = boto3.session.Session(KEY_ID, SECRET, region_name=region)
        return session.client(service, endpoint_url=f"http://{self.moto[0]}:{self.moto[1]}")

    def reset(self) -> None:
        """As it was at the start."""
        urlopen(f"http://{self.moto[0]}:{self.moto[1]}/moto-api/reset", data=b"")
        self.faults, self.seen, self.bodies, self.points, self.breaks = {}, [], [], [], []
        self.upload_began, self.flips = None, False

    def count(self, service: str) -> int:
        return sum(1 for one, *_ in self.seen if one == service)

    def handle_error(self, request: object, client_address: object) -> None:
        """A broken connection is what many tests want."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Cloud

    def do_GET(self) -> None:
        scope = SCOPE.search(self.headers.get("Authorization", ""))
        service, region, key = (scope[name] for name in ("service", "region", "key")) if scope else ("", "", "")
        self.server.seen.append((service, region, key, f"{self.command} {self.path}"))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.bodies.append(body)
        fault = self.server.faults.get(f"{service}/{region}") or self.server.faults.get(service, "")
        if fault in CODES:
            self._refuse(service, *CODES[fault].get(service, CODES[fault].get("", (0, ""))))
        elif fault:
            getattr(self, f"_{fault}")()
        elif service == "backup":
            self._recovery_points()
        else:
            self._forward(body)

    do_PUT = do_HEAD = do_POST = do_DELETE = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""

    def _forward(self, body: bytes) -> None:
        connection = http.client.HTTPConnection(*self.server.moto, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        connection.request(self.command, self.path, body, headers)
        response = connection.getresponse()
        told = {name: value for name, value in response.getheaders() if name.lower() not in HOP}
        size = response.getheader("Content-Length") or "0"
        data = response.read()
        connection.close()
        if self.headers.get("X-Amz-Target", "").endswith(".ListCertificates") and b"keyTypes" not in body:
            data = self._without_large_keys(data)
        if self.server.upload_began:
            began = f"<Initiated>{self.server.upload_began:%Y-%m-%dT%H:%M:%S.000Z}</Initiated>".encode()
            data = re.sub(rb"<Initiated>[^<]*</Initiated>", began, data)
        self._answer(response.status, told, data, size if self.command == "HEAD" else str(len(data)))

    def _without_large_keys(self, data: bytes) -> bytes:
        """As ACM answers whoever does not ask for types of key; moto gives them all."""
        said = json.loads(data)
        usual = ("RSA_1024", "RSA_2048", "RSA-1024", "RSA-2048")
        rows = [row for row in said["CertificateSummaryList"] if row.get("KeyAlgorithm") in usual]
        return json.dumps({**said, "CertificateSummaryList": rows}).encode()

    def _answer(self, status: int, headers: dict[str, str], data: bytes, size: str = "") -> None:
        self.send_response_only(status)
        for name, value in {**headers, "Content-Length": size or str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET" and self.server.flips and "checksum" in str(headers).lower():
            data = data[:-1] + bytes([data[-1] ^ 1])
        if self.command == "GET" and self.server.breaks and len(data) > self.server.breaks[0]:
            data = data[: self.server.breaks.pop(0)]
            self.close_connection = True
        if self.command != "HEAD":
            self.wfile.write(data)

    def _refuse(self, service: str, status: int, code: str) -> None:
        """An error in the form of each service's protocol; its message quotes what must never be passed on."""
        told = f"{code} for {KEY_ID}, canonical string {SECRET}"
        if service in ("acm", "backup"):
            body = json.dumps({"__type": code, "message": told}).encode()
            self._answer(status, {"Content-Type": "application/x-amz-json-1.1", "x-amzn-ErrorType": code}, body)
            return
        inner = f"<Error><Code>{code}</Code><Message>{told}</Message></Error>"
        forms = {"s3": inner, "ec2": f"<Response><Errors>{inner}</Errors><RequestID>1</RequestID></Response>"}
        text = forms.get(service, f"<ErrorResponse>{inner}<RequestId>1</RequestId></ErrorResponse>")
        self._answer(status, {"Content-Type": "text/xml"}, text.encode())

    def _hang(self) -> None:
        self.close_connection = True
        self.server.released.wait(30)

    def _dribble(self) -> None:
        self.close_connection = True
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n<")
        for _ in range(300):
            if self.server.released.wait(0.1):
                return
            self.wfile.write(b" ")

    def _cut(self) -> None:
        self.close_connection = True
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n<")

    def _garbage(self) -> None:
        self._answer(200, {"Content-Type": "text/xml"}, b"\x00\xff<<&" + bytes(range(256)) * 16)

    def _page(self) -> None:
        """What a captive portal says."""
        self._answer(200, {"Content-Type": "text/html"}, b"<html><body>Please sign in</body></html>")

    def _flood(self) -> None:
        self._answer(200, {"Content-Type": "text/xml"}, b"<a>" + b"<b>c</b>" * 1_250_000 + b"</a>")

    def _recovery_points(self) -> None:
        """GET /resources/{arn}/recovery-points/, as the service answers it: page by page, times in seconds."""
        asked = urlsplit(self.path)
        found = re.fullmatch(r"/resources/(.+)/recovery-points/?", unquote(asked.path))
        if not found:
            self._refuse("backup", 404, "ResourceNotFoundException")
            return
        mine = [point for point in self.server.points if point["ResourceArn"] == found[1]]
        start = int(parse_qs(asked.query).get("nextToken", ["0"])[0])
        rows = [
            {k: v.timestamp() if isinstance(v, datetime) else v for k, v in point.items() if k != "ResourceArn"}
            for point in mine[start : start + self.server.page]
        ]
        more = {"NextToken": str(start + self.server.page)} if start + self.server.page < len(mine) else {}
        body = json.dumps({"RecoveryPoints": rows, **more}).encode()
        self._answer(200, {"Content-Type": "application/json"}, body)


def given(cloud: Cloud, patch: pytest.MonkeyPatch) -> Cloud:
    """The cloud as at its start, for a controller with credentials."""
    cloud.reset()
    for name, value in ENVIRONMENT.items():
        patch.setenv(name, value)
    patch.setattr(remote, "ATTEMPTS", 2)
    return cloud


def bring(cloud: Cloud, name: str, days: float = 80, region: str = REGION, used: bool = True, key: Any = None) -> str:
    """Import a certificate; a load balancer uses it."""
    now = datetime.now(UTC)
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 0xABC123)
        .not_valid_before(now - timedelta(days=10))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name), x509.DNSName(f"www.{name}")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    arn = cloud.client("acm", region).import_certificate(
        Certificate=made.public_bytes(serialization.Encoding.PEM), PrivateKey=pem
    )["CertificateArn"]
    if used:
        acm_backends[ACCOUNT][region].set_certificate_in_use_by(arn, BALANCER)
    return str(arn)


@contextmanager
def aws() -> Iterator[Cloud]:
    """A front with moto behind it."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    cloud = Cloud(moto.get_host_and_port())
    thread = threading.Thread(target=cloud.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    for service, call in WARMING.items():  # moto loads a service at its first question, which takes seconds
        getattr(cloud.client(service), call)()
    try:
        yield cloud
    finally:
        cloud.reset()
        cloud.released.set()
        cloud.shutdown()
        cloud.server_close()
        moto.stop()
