"""Servers that begin in clear text: their certificates are read, and none of them can hold us up or mislead us."""

import base64
import os
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest

from maintenancebot.helper.certificates import certificates, handshake, knocks
from maintenancebot.helper.host import listeners
from tests.fakes import starttls as fakes
from tests.fakes.certificates import context_of, make
from tests.unit.helper.certificates.test_certificates import Quiet

LEAF = make("mail.example.org")
SECONDS = 0.6


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(knocks, "HANDSHAKE_SECONDS", SECONDS)
    monkeypatch.setattr(knocks, "ENDPOINT_SECONDS", 3 * SECONDS)


@pytest.fixture
def context(tmp_path: Path):
    return context_of(tmp_path, LEAF.pem, LEAF.key_pem)


def look(starttls=None, endpoints=(), ports=()):
    out = Quiet()
    asked = {"files": [], "ports": list(ports), "starttls_ports": starttls or {}, "endpoints": list(endpoints)}
    return out.found, certificates.probe(asked, out)


@pytest.mark.parametrize("protocol", fakes.HONEST)
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_certificate_behind_clear_text_is_read(context, protocol, address):
    with fakes.speaking(fakes.HONEST[protocol], context, address) as port:
        found, result = look({protocol: [port]})
    (one,) = found
    assert (one["address"], one["protocol"], base64.b64decode(one["chain"][0])) == (address, protocol, LEAF.der)
    assert one["trust"]["verdict"] == "self_signed"
    assert (result.facts["not_tls"], result.facts["no_starttls"]) == ([], [])


CLEAR = {
    "smtp": fakes.says(b"220 ready\r\n", b"250-mail\r\n250 SIZE\r\n"),
    "imap": fakes.says(b"* OK ready\r\n", b"a1 BAD unknown command\r\n"),
    "postgres": fakes.says(b"N"),
    "ldap": fakes.says(b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x02\x04\x00\x04\x00"),
}


@pytest.mark.parametrize("protocol", CLEAR)
def test_a_server_that_stays_with_clear_text_is_listed_and_no_fault(protocol):
    with fakes.speaking(CLEAR[protocol]) as port:
        found, result = look({protocol: [port]})
        assert (found, result.facts["no_starttls"], result.facts["not_tls"]) == ([], [port], [])


REFUSALS = {
    "554 go away": ("smtp", fakes.says(b"554 go away\r\n")),
    "454 no TLS": ("smtp", fakes.says(b"220 ready\r\n", b"250-mail\r\n250 STARTTLS\r\n", b"454 no TLS\r\n")),
    "* BYE too many": ("imap", fakes.says(b"* BYE too many\r\n")),
}


@pytest.mark.parametrize("said", REFUSALS)
def test_a_server_that_does_not_want_to_now_is_a_finding_with_its_words(said):
    protocol, talk = REFUSALS[said]
    with fakes.speaking(talk) as port:
        found, result = look({protocol: [port]})
        assert [(one["fault"], one["error"]) for one in found] == [("refused", f"{protocol}: answers {said}")]
        assert result.facts["no_starttls"] == []


HOSTILE = {
    "SSH": fakes.says(b"SSH-2.0-OpenSSH_9.2p1\r\n"),
    "noise": fakes.says(bytes(range(256))),
    "ends": lambda connection: False,
    "long length": fakes.says(b"\x30\x84\x7f\xff\xff\xff"),
    "no length": fakes.says(b"\x30\x80\x00\x00"),
    "short message": fakes.says(b"\x30\x05\x02\x01\x01\x78\x00"),
    "flood": fakes.floods,
}


@pytest.mark.parametrize("protocol", fakes.HONEST)
@pytest.mark.parametrize("talk", HOSTILE.values(), ids=HOSTILE)
def test_what_speaks_something_else_is_listed_at_once_or_given_up_in_time(protocol, talk):
    began = time.monotonic()
    with fakes.speaking(talk) as port:
        found, result = look({protocol: [port]})
        assert [one.get("fault") for one in found] in ([], ["hung"], ["refused"])  # the latter two ended or went silent
        assert bool(found) != (result.facts["not_tls"] == [port])
    assert time.monotonic() - began < 5 * SECONDS


@pytest.mark.parametrize(
    ("protocol", "talk"),
    [*((protocol, fakes.hangs) for protocol in fakes.HONEST), ("smtp", fakes.drips), ("imap", fakes.drips)],
)
def test_a_server_that_hangs_is_given_up_in_time_and_named(protocol, talk):
    began = time.monotonic()
    with fakes.speaking(talk) as port:
        found, _ = look({protocol: [port]})
        assert [(one["fault"], one["chain"]) for one in found] == [("hung", [])]
    assert time.monotonic() - began < 4 * SECONDS


def test_words_smuggled_in_before_the_handshake_are_not_taken_for_tls(context):
    def smuggle(connection: socket.socket) -> bool:
        fakes.says(b"* OK ready\r\n", b"a1 OK go on\r\na2 OK logged in\r\n")(connection)
        return False

    with fakes.speaking(smuggle) as port:
        assert look({"imap": [port]})[1].facts["not_tls"] == [port]


class TestEndpoints:
    def endpoint(self, port, protocol="tls", name="", address="127.0.0.1"):
        return {"address": address, "port": port, "name": name, "protocol": protocol}

    @pytest.mark.parametrize("protocol", fakes.HONEST)
    def test_a_configured_server_is_asked_by_its_name(self, context, protocol):
        with fakes.speaking(fakes.HONEST[protocol], context) as port:
            found, _ = look(endpoints=[self.endpoint(port, protocol, "mail.example.org")])
        (one,) = found
        assert (one["where"], one["sni"], one["configured"]) == ("endpoint", "mail.example.org", True)
        assert base64.b64decode(one["chain"][0]) == LEAF.der

    @pytest.mark.parametrize(
        ("talk", "protocol", "fault"),
        [
            pytest.param(fakes.hangs, "tls", "hung", id="hangs"),
            pytest.param(fakes.says(b"SSH-2.0-x\r\n"), "tls", "not_tls", id="speaks SSH"),
            pytest.param(fakes.says(b"SSH-2.0-x\r\n"), "imap", "garbled", id="speaks no IMAP"),
            pytest.param(fakes.floods, "smtp", "garbled", id="floods"),
            pytest.param(fakes.says(b"N"), "postgres", "not_offered", id="stays with clear text"),
            pytest.param(lambda connection: False, "tls", "refused", id="closes"),
        ],
    )
    def test_each_failure_has_its_name(self, talk, protocol, fault):
        with fakes.speaking(talk) as port:
            found, _ = look(endpoints=[self.endpoint(port, protocol)])
            assert [(one["fault"], one["chain"]) for one in found] == [(fault, [])]

    def test_nobody_there_and_a_name_that_is_none(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        found, _ = look(endpoints=[self.endpoint(port), self.endpoint(port, address="no.such.host.invalid")])
        assert {one["fault"] for one in found} <= {"unreachable", "hung"}
        found, _ = look(endpoints=[self.endpoint(port, address="x" * 300), self.endpoint(port, address="a..b")])
        assert [one["chain"] for one in found] == [[], []]

    def test_a_name_service_that_never_answers_is_left_behind(self, monkeypatch):
        for_ever = threading.Event()

        def stuck(*_, **__):
            for_ever.wait(30)
            raise OSError("too late")

        monkeypatch.setattr(socket, "create_connection", stuck)
        began = time.monotonic()
        found, _ = look(endpoints=[self.endpoint(443, address="www.example.org")])
        for_ever.set()
        assert [one["fault"] for one in found] == ["hung"]
        assert time.monotonic() - began < 10

    def test_many_that_hang_cost_the_time_of_one(self):
        began = time.monotonic()
        with fakes.speaking(fakes.hangs) as port:
            found, result = look(endpoints=[self.endpoint(port, name=f"n{n}.example.org") for n in range(20)])
        assert ([one["fault"] for one in found], result.facts["left_out"]) == (["hung"] * 20, 0)
        assert time.monotonic() - began < 10 * SECONDS


def test_a_process_tells_its_unit(monkeypatch, tmp_path):
    lines = {"0::/system.slice/nginx.service\n": "nginx.service"}
    lines["0::/system.slice/system-postfix.slice/postfix@-.service\n"] = "postfix@-.service"
    lines["1:name=systemd:/system.slice/apache2.service\n2:cpu:/\n"] = "apache2.service"
    lines["0::/user.slice/user-0.slice/session-1.scope\n"] = ""
    lines["0::/\n"] = ""
    for text, unit in lines.items():
        assert (listeners.UNIT.findall(text) or [""])[-1] == unit
    assert listeners.unit_of(2**22 + 7) == ""


@pytest.mark.skipif(os.system("command -v openssl >/dev/null") != 0, reason="no openssl here")
def test_our_fakes_are_as_openssl_expects_them(context):
    """The same fakes satisfy another client of these protocols."""
    for protocol in fakes.HONEST:
        with fakes.speaking(fakes.HONEST[protocol], context) as port:
            asked = ["openssl", "s_client", "-starttls", protocol, "-connect", f"127.0.0.1:{port}"]
            done = subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
        assert "CN = mail.example.org" in done.stdout or "CN=mail.example.org" in done.stdout, protocol


def test_the_request_of_postgres_is_as_documented():
    assert struct.pack("!ihh", 8, 1234, 5679) == handshake.starttls.POSTGRES_REQUEST
