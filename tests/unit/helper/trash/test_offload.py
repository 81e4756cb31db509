"""Whatever the object store does, an item that is said to lie there does; addresses stay secret."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from maintenancebot.actions import offload, uploads
from maintenancebot.model import Action, Host, Step, Undo
from maintenancebot.plan.document import make_change
from maintenancebot.remote import aws
from maintenancebot.remote import object_store as object_store_client
from maintenancebot.settings import Settings
from tests.fakes.object_store import BUCKET, ENVIRONMENT, KEY_ID, REGION, SECRET, Front, object_store

from ..conftest import PYTHONS, ROOT

DRIVER = Path(__file__).parents[1] / "offload_driver.py"
MIB = 2**20
ITEM = "20261121T112210Z-107c80bf8280c106"
KEY = f"maintenancebot/web-1/{ITEM}"
OPS = {"upload": "trash.move", "fetch": "trash.restore", "forget": "trash.purge"}
SENT = {"offload": {"bucket": "ignored"}}


class Trashed:
    """An item of a host, the controller that answers it, and everything that either says."""

    def __init__(self, front: Front, base: Path, python: str = sys.executable) -> None:
        self.front, self.base, self.python = front, base, python
        self.path = base / "item"
        self.record: dict = {"id": ITEM}
        self.host = Host("web-1", "192.0.2.1")
        self.told: list[str] = []  # lines of the host but for questions, as they go to reports and records
        self.questions: list[str] = []
        self.missing: list[str] = []
        self.more: dict = {}
        self.constants: dict = {"offload.PAUSES": [0, 0, 0, 0], "transfer.SOCKET_SECONDS": 5}
        self.answer: Callable = offload.reply
        place = {"bucket": BUCKET, "endpoint": front.address, "region": REGION}
        self.settings = Settings.model_validate(
            {
                "tasks": [{"name": "c", "type": "monitor", "check": "certificate_expiry_days > 30"}],
                "deletion": {"trash": {"offload": place}},
            }
        )

    def holds(self, size: int) -> bytes:
        content = os.urandom(size)
        self.path.write_bytes(content)
        return content

    def step(self, function: str) -> Step:
        item = {} if function == "upload" else {"item": ITEM}
        change = make_change("web-1", "t", Action.QUARANTINE_FILE, name="/a", identity=item, undo=Undo.TRASH)
        return Step(f"{function}:1", "t", OPS[function], (change,))

    def run(self, function: str, path: Path | None = None, args: dict = SENT) -> dict:
        """Start the helper's function and answer its questions; returns its last word."""
        request = {"root": str(ROOT), "function": function, "path": str(path or self.path), "record": self.record}
        request |= {"args": args, "more": self.more}
        request |= {"constants": self.constants, "missing": self.missing}
        command = [self.python, "-B", str(DRIVER)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            assert child.stdin
            assert child.stdout
            assert child.stderr
            said = request
            while True:
                child.stdin.write(json.dumps(said).encode() + b"\n")
                child.stdin.flush()
                last = self._next(child.stdout)
                if "question" not in last:
                    errors = child.stderr.read().decode()
                    assert last, errors
                    self.told.append(errors)
                    return last
                said = self.answer(self.step(function), last["question"], self.host, self.settings)

    def _next(self, stream) -> dict:
        for line in stream:
            said = json.loads(line)
            if "question" in said:
                self.questions.append(line.decode())
                return said
            self.told.append(line.decode())
            if "alive" not in said:
                return said
        return {}

    def upload(self) -> dict:
        found = self.run("upload")
        if "result" in found:
            self.record["offload"] = found["result"]
        return found

    def fetched(self) -> bytes | dict:
        target = self.base / "back"
        found = self.run("fetch", target)
        return target.read_bytes() if "result" in found else found


@pytest.fixture(scope="module")
def running() -> Iterator[Front]:
    with object_store() as front, pytest.MonkeyPatch.context() as patch:
        patch.setattr(object_store_client, "READ_SECONDS", 5)
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        aws.forget()
        yield front


@pytest.fixture
def front(running: Front, monkeypatch: pytest.MonkeyPatch) -> Front:
    monkeypatch.setattr(uploads, "PART_BYTES", 5 * MIB)
    running.clear()
    return running


@pytest.fixture
def trashed(front: Front, tmp_path: Path) -> Trashed:
    return Trashed(front, tmp_path)


@pytest.fixture
def as_amazon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The front computes checksums, and is known to."""
    monkeypatch.setattr(object_store_client, "PROVING", ("127.0.0.1",))


def refused(found: dict, words: str) -> bool:
    assert found.get("refused") == "offload_failed", found
    assert words in found["detail"], found
    return True


@pytest.mark.parametrize("size", [0, 1, 5 * MIB, 5 * MIB + 1, 12 * MIB])
@pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS.keys())
def test_an_item_goes_comes_back_and_is_deleted(front: Front, tmp_path: Path, python: str, size: int) -> None:
    trashed = Trashed(front, tmp_path, python)
    content = trashed.holds(size)
    place = trashed.upload()["result"]
    assert {name: place[name] for name in ("bucket", "key", "endpoint", "region", "size", "sha256")} == {
        "bucket": BUCKET,
        "key": KEY,
        "endpoint": front.address,
        "region": REGION,
        "size": size,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    assert front.objects() == {KEY: content}
    assert trashed.fetched() == content
    assert "result" in trashed.run("forget")
    assert front.objects() == {}
    assert front.unfinished() == []


@pytest.mark.parametrize("size", [7, 12 * MIB])
def test_a_checksum_that_the_store_computed_is_proof_enough(trashed: Trashed, as_amazon: None, size: int) -> None:
    trashed.holds(size)
    assert "result" in trashed.upload()
    assert trashed.front.count("GET") == 0
    assert uploads.UPLOADS.take("web-1") == []


@pytest.mark.parametrize("size", [7, 12 * MIB])
def test_another_store_is_read_back(trashed: Trashed, size: int) -> None:
    trashed.holds(size)
    assert "result" in trashed.upload()
    assert trashed.front.count("GET") == 1


@pytest.mark.parametrize("size", [7, 12 * MIB])
def test_a_store_that_has_another_checksum_is_not_believed(trashed: Trashed, as_amazon: None, size: int) -> None:
    trashed.holds(size)
    trashed.front.plan["HEAD"] = ["", "checksum"]
    assert refused(trashed.upload(), "another checksum")
    assert trashed.front.objects() == {}


@pytest.mark.parametrize("fault", ["500", "close", "garbage", "hang", "dribble", "lost"])
def test_a_part_is_sent_again_until_it_arrives(trashed: Trashed, fault: str) -> None:
    content = trashed.holds(12 * MIB)
    trashed.constants.update({"transfer.SOCKET_SECONDS": 1, "transfer.BASE_SECONDS": 3, "transfer.BYTES_A_SECOND": MIB})
    trashed.front.plan["PUT"] = ["", fault, fault]
    assert "result" in trashed.upload()
    assert trashed.front.objects() == {KEY: content}
    assert trashed.front.count("PUT") == 5


@pytest.mark.parametrize("size", [7, 12 * MIB])
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("500", "500 InternalError"),
        ("403", "403 AccessDenied"),
        ("redirect", "redirects are not followed"),
        ("garbage", "not readable as HTTP"),
        ("hang", "no sign of life"),
        ("close", "part 1"),
    ],
)
def test_a_part_that_never_arrives_leaves_nothing(trashed: Trashed, fault: str, words: str, size: int) -> None:
    content = trashed.holds(size)
    trashed.constants["transfer.SOCKET_SECONDS"] = 1
    trashed.front.plan["PUT"] = [fault] * 9
    assert refused(trashed.upload(), words)
    assert trashed.front.count("PUT") == (1 if fault in ("403", "redirect") else 3)
    assert (trashed.front.objects(), trashed.front.unfinished()) == ({}, [])
    assert trashed.path.read_bytes() == content


@pytest.mark.parametrize("size", [7, 12 * MIB])
def test_a_store_that_keeps_other_bytes_is_found_out(trashed: Trashed, size: int) -> None:
    trashed.holds(size)
    trashed.front.plan["PUT"] = ["flip"]
    assert refused(trashed.upload(), "does not hold what was sent")
    assert (trashed.front.objects(), trashed.front.unfinished()) == ({}, [])


def test_bytes_that_change_on_the_way_are_refused_by_the_store_itself(trashed: Trashed) -> None:
    """The front recomputes each part's checksum, which is signed: no other content can use the address."""
    trashed.holds(7)

    def answer(step, question, host, settings):
        if question["ask"] == "offload_part":
            question = {**question, "sha256": hashlib.sha256(b"other").hexdigest()}
        return offload.reply(step, question, host, settings)

    trashed.answer = answer
    assert refused(trashed.upload(), "400 BadDigest")
    assert trashed.front.objects() == {}


def test_another_etag_of_a_part_ends_the_upload(trashed: Trashed) -> None:
    trashed.holds(12 * MIB)
    trashed.front.plan["PUT"] = ["", "etag"]
    assert refused(trashed.upload(), "completing the upload")
    assert (trashed.front.objects(), trashed.front.unfinished()) == ({}, [])


def test_an_answer_that_got_lost_is_no_second_object(trashed: Trashed) -> None:
    """The object was made, the answer lost, and the next try meets it: what is there is compared."""
    content = trashed.holds(7)
    trashed.front.plan["PUT"] = ["lost"]
    assert "result" in trashed.upload()
    assert trashed.front.objects() == {KEY: content}


def test_a_completion_whose_answer_got_lost_is_looked_up(trashed: Trashed) -> None:
    content = trashed.holds(12 * MIB)
    trashed.front.plan["POST"] = ["", "lost"]
    assert "result" in trashed.upload()
    assert trashed.front.objects() == {KEY: content}


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_store_that_lacks_our_headers_is_asked_without_them(trashed: Trashed, method: str) -> None:
    content = trashed.holds(7 if method == "PUT" else 12 * MIB)
    trashed.front.plan[method] = ["501"]
    assert "result" in trashed.upload()
    assert trashed.front.objects() == {KEY: content}


def test_an_address_that_ran_out_is_asked_for_anew(trashed: Trashed) -> None:
    trashed.holds(7)
    trashed.front.lifetime = timedelta(seconds=-1)
    found = trashed.upload()
    assert refused(found, "403 AccessDenied")
    assert trashed.front.count("PUT") == 3
    asked = [line for line in trashed.questions if "offload_part" in line]
    assert len(asked) == 3


def test_what_an_interrupted_try_has_stored_is_not_sent_again(trashed: Trashed) -> None:
    content = trashed.holds(12 * MIB)
    trashed.upload()
    assert trashed.upload()["result"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert trashed.front.count("PUT") == 3


@pytest.mark.parametrize("other", [b"another", b"longer than it"])
def test_an_object_that_is_there_is_never_overwritten(trashed: Trashed, other: bytes) -> None:
    trashed.holds(7)
    trashed.front.client.put_object(Bucket=BUCKET, Key=KEY, Body=other)
    assert trashed.upload()["refused"] in ("offload_failed", "target_exists")
    assert trashed.front.objects() == {KEY: other}


def test_an_object_that_appears_meanwhile_is_never_overwritten(trashed: Trashed) -> None:
    trashed.holds(7)

    def answer(step, question, host, settings):
        if question["ask"] == "offload_part":
            trashed.front.client.put_object(Bucket=BUCKET, Key=KEY, Body=b"foreign")
        return offload.reply(step, question, host, settings)

    trashed.answer = answer
    assert refused(trashed.upload(), "412 PreconditionFailed")
    assert trashed.front.objects() == {KEY: b"foreign"}


def test_a_file_that_changes_while_it_is_sent_does_not_go(trashed: Trashed) -> None:
    trashed.holds(12 * MIB)

    def answer(step, question, host, settings):
        if question["ask"] == "offload_part" and question["number"] == 2:
            with trashed.path.open("r+b") as stream:
                stream.seek(7 * MIB)
                stream.write(b"changed")
        return offload.reply(step, question, host, settings)

    trashed.answer = answer
    assert trashed.upload()["refused"] == "changed_since"
    assert (trashed.front.objects(), trashed.front.unfinished()) == ({}, [])


@pytest.mark.parametrize("fault", ["500", "close", "garbage", "hang", "cut", "lost"])
def test_a_reading_that_breaks_off_is_taken_up_again(trashed: Trashed, fault: str) -> None:
    content = trashed.holds(3 * MIB)
    trashed.upload()
    trashed.constants["transfer.SOCKET_SECONDS"] = 1
    trashed.front.seen.clear()
    trashed.front.plan["GET"] = [fault, fault]
    assert trashed.fetched() == content
    assert trashed.front.count("GET") == 3


@pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS.keys())
def test_holes_come_back_as_holes(front: Front, tmp_path: Path, python: str) -> None:
    trashed = Trashed(front, tmp_path, python)
    content = bytes(6 * MIB) + os.urandom(MIB) + bytes(9 * MIB)
    trashed.path.write_bytes(content)
    trashed.upload()
    trashed.more = {"holes": True}
    assert trashed.fetched() == content
    assert (tmp_path / "back").stat().st_blocks * 512 <= 2 * MIB


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("flip", "does not hold what was sent"),
        ("longer", "more than was stored"),
        ("403", "403 AccessDenied"),
        ("redirect", "redirects"),
        ("500", "500"),
        ("hang", "no sign of life"),
    ],
)
def test_what_does_not_come_back_whole_is_refused(trashed: Trashed, fault: str, words: str) -> None:
    trashed.holds(MIB)
    trashed.upload()
    trashed.constants["transfer.SOCKET_SECONDS"] = 1
    trashed.front.plan["GET"] = [fault] * 9
    assert refused(trashed.fetched(), words)


def test_a_request_is_ended_however_slowly_it_goes_on(trashed: Trashed) -> None:
    trashed.holds(7)
    trashed.constants.update({"transfer.BASE_SECONDS": 1, "walk.ALIVE_SECONDS": 0.3})
    trashed.front.plan["PUT"] = ["dribble"] * 9
    assert refused(trashed.upload(), "no end within 1 s")
    assert [line for line in trashed.told if "alive" in line]


def test_no_store_listens(trashed: Trashed) -> None:
    trashed.holds(7)
    trashed.constants["transfer.SOCKET_SECONDS"] = 1

    def answer(step, question, host, settings):
        said = dict(offload.reply(step, question, host, settings))
        if "url" in said:
            said["url"] = said["url"].replace(trashed.front.address, "http://127.0.0.1:9")
        return said

    trashed.answer = answer
    assert refused(trashed.upload(), "Connection refused")


def test_a_certificate_that_the_host_does_not_trust_ends_it(trashed: Trashed, untrusted: str) -> None:
    trashed.holds(7)

    def answer(step, question, host, settings):
        said = dict(offload.reply(step, question, host, settings))
        if "url" in said:
            said["url"] = said["url"].replace(trashed.front.address, untrusted)
        return said

    trashed.answer = answer
    assert refused(trashed.upload(), "does not trust the store's certificate")
    assert trashed.front.count("PUT") == 0


@pytest.fixture
def untrusted(tmp_path: Path) -> Iterator[str]:
    import socket
    import ssl
    import threading

    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    files = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "cert"), "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*made, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")

    def serve() -> None:
        while True:
            try:
                context.wrap_socket(listener.accept()[0], server_side=True).close()
            except ssl.SSLError:
                continue
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("module", ["ssl", "http.client"])
def test_a_python_without_tls_or_http_says_so(trashed: Trashed, module: str) -> None:
    trashed.holds(7)
    trashed.missing = [module]
    assert trashed.upload()["refused"] == "lacks"
    assert trashed.front.seen == []


def test_a_no_of_the_controller_in_the_middle_leaves_nothing(trashed: Trashed) -> None:
    trashed.holds(12 * MIB)

    def answer(step, question, host, settings):
        if (question["ask"], question.get("number")) in [("offload_part", 2), ("offload_abort", None)]:
            return {"refused": "stopped", "detail": ""}
        return offload.reply(step, question, host, settings)

    trashed.answer = answer
    assert trashed.upload()["refused"] == "stopped"
    assert trashed.front.unfinished() == [KEY]
    offload.give_up(trashed.host)
    assert trashed.front.unfinished() == []


def test_memory_does_not_grow_with_the_item(trashed: Trashed) -> None:
    trashed.holds(7)
    small = trashed.upload()["memory"]
    trashed.record["id"] = ITEM[:-1] + "0"
    trashed.holds(48 * MIB)
    assert trashed.upload()["memory"] < small + 8 * 1024


def test_addresses_and_credentials_are_told_to_nobody(trashed: Trashed, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="maintenancebot")
    trashed.holds(12 * MIB)
    for plan in ({"PUT": ["garbage", "500", "403"]}, {"PUT": ["", "etag"]}, {"PUT": ["flip"]}, {}):
        trashed.front.plan.update(plan)
        trashed.upload()
    for fault in ("403", "garbage", "redirect", "cut"):
        trashed.front.plan["GET"] = [fault] * 9
        trashed.fetched()
    trashed.front.plan["HEAD"] = ["403"] * 9
    trashed.run("forget")
    logged = [record.getMessage() for record in caplog.records if record.name != "werkzeug"]  # that is moto
    everything = "\n".join([*trashed.told, *trashed.questions, json.dumps(trashed.record), *logged])
    assert len(trashed.told) > 8
    for secret in ("X-Amz", "Signature=", SECRET, KEY_ID, "aws4_request", "http://127.0.0.1:9"):
        assert secret not in everything
    assert trashed.front.address + "/" not in everything
