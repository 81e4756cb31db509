"""An object store on loopback: moto behind a front that checks signatures and checksums as S3 does, and can fail.

moto alone believes every signature and every checksum. `front.plan["PUT"] = ["500", "", "flip"]` says what happens to
the next requests of a method; an empty word, or none, means that nothing does.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit
from urllib.request import urlopen

import boto3
from moto.server import ThreadedMotoServer

KEY_ID, SECRET, REGION, BUCKET = "AKIAEXAMPLEOFATEST00", "s3cr3tOfATestNeverToBeSeen", "eu-west-1", "trash-of-a-test"
CHECKSUM = "x-amz-checksum-sha256"
HOP = {"connection", "transfer-encoding", "content-length", "host"}


class Front(ThreadingHTTPServer):
    """What the hosts and the controller know as the object store."""

    daemon_threads = True

    def __init__(self, moto: tuple[str, int]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.moto = moto
        self.plan: dict[str, list[str]] = {}
        self.seen: list[tuple[str, str, str]] = []  # method, address, what happened
        self.checksums: dict[str, str] = {}
        self.released = threading.Event()
        self.client: Any = boto3.session.Session(KEY_ID, SECRET, region_name=REGION).client(
            "s3", endpoint_url=f"http://{moto[0]}:{moto[1]}"
        )  # past the front
        self.lifetime: timedelta | None = None  # how long addresses really last; None: as signed

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def clear(self) -> None:
        """As it was at the start."""
        for key in self.objects():
            self.client.delete_object(Bucket=BUCKET, Key=key)
        for row in self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []):
            self.client.abort_multipart_upload(Bucket=BUCKET, Key=row["Key"], UploadId=row["UploadId"])
        self.plan, self.seen, self.checksums, self.lifetime = {}, [], {}, None

    def objects(self) -> dict[str, bytes]:
        """All that is stored, by key."""
        rows = self.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return {row["Key"]: self.client.get_object(Bucket=BUCKET, Key=row["Key"])["Body"].read() for row in rows}

    def unfinished(self) -> list[str]:
        """The keys of uploads whose parts still lie there."""
        return [row["Key"] for row in self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])]

    def count(self, method: str) -> int:
        return sum(1 for one, _, _ in self.seen if one == method)

    def handle_error(self, request: object, client_address: object) -> None:
        """A broken connection is what many tests want."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Front

    def do_PUT(self) -> None:
        self._any()

    do_GET = do_HEAD = do_POST = do_DELETE = do_PUT  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""

    def _any(self) -> None:
        planned = self.server.plan.get(self.command, [])
        fault = planned.pop(0) if planned else ""
        self.server.seen.append((self.command, self.path, fault))
        early = getattr(self, f"_early_{fault}", None)
        if early is not None:
            self.close_connection = True
            early()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        objection = self._objection(body)
        if objection:
            self._say(*objection)
            return
        if fault == "flip" and self.command == "PUT":
            body = flipped(body)
        self._answer(fault, *self._forward(body))

    def _objection(self, body: bytes) -> tuple[int, str, str] | None:
        if "X-Amz-Signature" not in self.path:
            return None
        if not self._signed_rightly():
            return 403, "SignatureDoesNotMatch", "The request signature does not match"
        if self._expired():
            return 403, "AccessDenied", "Request has expired"
        claimed = self.headers.get(CHECKSUM)
        if claimed is not None and claimed != base64.b64encode(hashlib.sha256(body).digest()).decode():
            return 400, "BadDigest", "The checksum did not match"
        if claimed is not None and "partNumber" not in self.path:
            self.server.checksums[urlsplit(self.path).path] = claimed
        return None

    def _signed_rightly(self) -> bool:
        query = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        signature, scope = query.pop("X-Amz-Signature"), query["X-Amz-Credential"].split("/")[1:]
        names = query["X-Amz-SignedHeaders"].split(";")
        sent = {name.lower() for name in self.headers if name.lower().startswith("x-amz-")}
        parts = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in query.items())
        canonical = "\n".join(
            [
                self.command,
                urlsplit(self.path).path,
                "&".join(f"{name}={value}" for name, value in parts),
                *(f"{name}:{self.headers.get(name, '')}" for name in names),
                "",
                ";".join(names),
                "UNSIGNED-PAYLOAD",
            ]
        )
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        told = "\n".join(["AWS4-HMAC-SHA256", query["X-Amz-Date"], "/".join(scope), digest])
        key = b"AWS4" + SECRET.encode()
        for word in scope:
            key = hmac.digest(key, word.encode(), "sha256")
        return sent <= set(names) and hmac.digest(key, told.encode(), "sha256").hex() == signature

    def _expired(self) -> bool:
        query = dict(parse_qsl(urlsplit(self.path).query))
        made = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        lifetime = self.server.lifetime or timedelta(seconds=int(query["X-Amz-Expires"]))
        return datetime.now(UTC) > made + lifetime

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(*self.server.moto, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        connection.request(self.command, self.path, body, headers)
        response = connection.getresponse()
        told = {name.lower(): value for name, value in response.getheaders() if name.lower() not in HOP}
        size = response.getheader("Content-Length") or "0"
        data = response.read()
        connection.close()
        checksum = self.server.checksums.get(urlsplit(self.path).path)
        if self.command == "HEAD" and response.status == 200:
            told["content-length"] = size
            if checksum is not None:
                told[CHECKSUM] = checksum
        return response.status, told, data

    def _answer(self, fault: str, status: int, headers: dict[str, str], data: bytes) -> None:
        if fault == "lost":
            self.close_connection = True
            return
        if fault == "etag":
            headers["etag"] = '"0123456789abcdef0123456789abcdef"'
        if fault == "checksum":
            headers[CHECKSUM] = base64.b64encode(bytes(32)).decode()
        if fault == "flip" and self.command == "GET":
            data = flipped(data)
        if fault == "longer":
            data += b"more"
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "content-length" not in headers:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if fault == "cut":
            data = data[: len(data) // 2]
            self.close_connection = True
        if self.command != "HEAD":
            self.wfile.write(data)

    def _say(self, status: int, code: str, message: str) -> None:
        body = (
            f"<Error><Code>{code}</Code><Message>{message} {self.path.replace('&', '&amp;')}</Message></Error>".encode()
        )
        self._answer("", status, {"content-type": "application/xml"}, body)

    def _early_500(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._say(500, "InternalError", "We encountered an internal error")

    def _early_501(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._say(501, "NotImplemented", "A header you provided implies functionality that is not implemented")

    def _early_403(self) -> None:
        self._say(403, "AccessDenied", "Access Denied")

    def _early_redirect(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer("", 307, {"location": "http://127.0.0.1:9/elsewhere"}, b"")

    def _early_hang(self) -> None:
        self.server.released.wait(30)

    def _early_garbage(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.wfile.write(self.path.encode() + b"\n" + bytes(range(256)) * 64)

    def _early_close(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0) // 2)

    def _early_dribble(self) -> None:
        for _ in range(300):
            if self.server.released.wait(0.1):
                return
            self.wfile.write(b"H")


def flipped(data: bytes) -> bytes:
    """One bit is another."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :] if data else data


ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": KEY_ID,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""Where a controller finds the credentials."""


@contextmanager
def object_store() -> Iterator[Front]:
    """A front with moto behind it, and the bucket in it."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    front = Front((host, port))
    front.client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    thread = threading.Thread(target=front.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield front
    finally:
        urlopen(f"http://{host}:{port}/moto-api/reset", data=b"")
        front.released.set()
        front.shutdown()
        front.server_close()
        moto.stop()
