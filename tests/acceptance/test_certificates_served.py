"""What real servers serve, each fault by its name: nginx with an own authority, Postfix, Dovecot and slapd."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from maintenancebot.model import Json, Reason, State, TaskType
from maintenancebot.plan.document import TaskPlan
from maintenancebot.settings import MonitorTask, Protocol, TlsEndpoint
from tests.acceptance.subjects import Controller
from tests.lab.certificates import Pair, authority, certificate
from tests.lab.fleet import Fleet
from tests.lab.hosts import LabHost
from tests.lab.lab import Lab
from tests.lab.tools import wait_until
from tests.lab.watch import Watch

TASK = MonitorTask(name="c", type=TaskType.MONITOR, check="certificate_expiry_days > 30", ports=(443, 8443))
ROOT = authority("Lab authority")
MIDDLE = authority("Lab intermediate", ROOT)
SITE = """\
server {{ listen {address}:{port} ssl; server_name {names};
  ssl_certificate ssl/{name}.pem; ssl_certificate_key "ssl/{name}.key"; }}
"""

FLOOD = """\
import socket
server = socket.create_server(("{address}", {port}))
while True:
    client, _ = server.accept()
    try:
        while True:
            client.sendall(b"x" * 65536)
    except OSError:
        pass
"""
SILENT = """\
import socket, time
server = socket.create_server(("{address}", {port}))
time.sleep(600)
"""

Serve = Callable[..., None]


@pytest.fixture(scope="module")
def fleet(lab: Lab) -> Iterator[Fleet]:
    fleet = lab.fleet()
    yield fleet
    lab.end(fleet)


@pytest.fixture(scope="module")
def web(fleet: Fleet) -> LabHost:
    """A host that trusts the test's root; its nginx serves what the tests give it."""
    host = fleet.host("served", variant="web")
    host.write("/usr/local/share/ca-certificates/root.crt", ROOT.pem)
    host.run(["update-ca-certificates"])
    return host


@pytest.fixture
def serve(web: LabHost) -> Iterator[Serve]:
    """Let nginx serve a certificate under a name; `sent` is what it sends, `key` its key."""
    made: list[str] = []

    def serve(pair: Pair, names: str, *, name: str = "a", port: int = 443, sent: bytes = b"") -> None:
        web.write(f"/etc/nginx/ssl/{name}.pem", sent or pair.chain_pem, mode=0o600)
        web.write(f"/etc/nginx/ssl/{name}.key", pair.key_pem, mode=0o600)
        site = SITE.format(address=web.address, port=port, names=names, name=name)
        web.write(f"/etc/nginx/sites-enabled/{name}", site)
        made.append(name)
        web.run(["nginx", "-t"])
        web.run(["systemctl", "reload-or-restart", "nginx"])
        wait_until(lambda: listens(web, port), f"nginx listens on port {port}")

    yield serve
    for name in made:
        for path in (f"sites-enabled/{name}", f"ssl/{name}.pem", f"ssl/{name}.key"):
            web.path(f"/etc/nginx/{path}").unlink(missing_ok=True)
    web.run(["systemctl", "stop", "nginx"])


def listens(host: LabHost, port: int) -> bool:
    return bool(host.run(["ss", "-ltnH", f"src {host.address}:{port}"]).stdout)


def told(made: TaskPlan) -> dict[str, Json]:
    return {one["place"]: one for one in made.facts["certificates"]}


def test_a_good_chain_is_trusted_by_the_hosts_own_store(fleet: Fleet, web: LabHost, serve: Serve) -> None:
    serve(certificate("*.example.org", issuer=MIDDLE), "www.example.org _ ~^x$ *.example.org")
    with Watch(web) as watch:
        made = Controller(fleet).plan(web.name, TASK)
        assert [said for said in watch.events() if "/var/log" not in said] == []
    assert (made.state, made.reason) == (State.DONE, Reason.VALID), made.facts
    assert told(made)[f"{web.address}:443"]["trust"] == "trusted"


def test_each_fault_of_what_is_served_has_its_name(fleet: Fleet, web: LabHost, serve: Serve) -> None:
    serve(certificate("a.example.org", issuer=MIDDLE), "a.example.org b.a.example.org", name="a", port=443)
    bare = certificate("m.example.org", issuer=MIDDLE)
    serve(bare, "m.example.org", name="m", port=8443, sent=bare.pem)
    stranger = authority("Lab intermediate", authority("Stranger"))
    wrong = certificate("w.example.org", issuer=MIDDLE)
    serve(wrong, "w.example.org", name="w", port=9443, sent=wrong.pem + stranger.pem)
    task = TASK.model_copy(update={"ports": (443, 8443, 9443)})
    made = Controller(fleet).plan(web.name, task)
    verdicts = {place: one["verdict"] for place, one in told(made).items() if one["served"]}
    assert verdicts == {
        f"{web.address}:443": "name_mismatch",
        f"{web.address}:8443": "chain_broken",
        f"{web.address}:9443": "chain_broken",
    }
    assert "served as b.a.example.org, but it is for a.example.org" in made.detail
    assert "the intermediate CN=Lab intermediate is not sent" in made.detail
    assert "certificate 2 did not issue the one before it" in made.detail
    assert (made.state, made.reason) == (State.FAILED, Reason.NAME_MISMATCH)


def test_a_private_authority_that_the_host_does_not_know_is_told_and_no_fault(
    fleet: Fleet, web: LabHost, serve: Serve
) -> None:
    stranger = authority("Private root")
    private, own = certificate("p.example.org", issuer=stranger), certificate("s.example.org")
    serve(private, "p.example.org", name="p", port=443, sent=private.pem + stranger.pem)
    serve(own, "s.example.org", name="s", port=8443)
    made = Controller(fleet).plan(web.name, TASK)
    assert (made.state, made.reason) == (State.DONE, Reason.VALID), made.facts
    trust = [one["trust"] for place, one in sorted(told(made).items()) if one["served"]]
    assert trust == ["private", "self_signed"]


def test_a_served_certificate_that_is_older_than_the_file_is_seen(fleet: Fleet, web: LabHost, serve: Serve) -> None:
    old, new = (certificate("o.example.org", days_left=left, issuer=MIDDLE) for left in (50, 89))
    serve(old, "o.example.org", name="o")
    wider = certificate("o.example.org", "more.example.org", days_left=89, issuer=MIDDLE)
    for renewed in (new, wider):  # with the same names, and with more: the configuration says what belongs there
        web.write("/etc/nginx/ssl/o.pem", renewed.chain_pem)
        web.write("/etc/nginx/ssl/o.key", renewed.key_pem)
        made = Controller(fleet).plan(web.name, TASK)
        assert (made.state, made.reason) == (State.FAILED, Reason.SERVED_DIFFERS), made.facts
        assert f"{renewed.certificate.serial_number:x}" in made.detail


def test_three_hundred_names_are_all_asked_for(fleet: Fleet, web: LabHost, serve: Serve) -> None:
    names = [f"n{number}.example.org" for number in range(300)]
    serve(certificate(*names[:299], issuer=MIDDLE), " ".join(names))
    made = Controller(fleet).plan(web.name, TASK)
    assert (made.state, made.reason) == (State.FAILED, Reason.NAME_MISMATCH)
    assert "served as n299.example.org, but it is for n0.example.org, n1.example.org" in made.detail
    assert "left_out" not in made.facts


def test_hostile_files_and_listeners_spoil_themselves_alone(fleet: Fleet, web: LabHost, serve: Serve) -> None:
    good = certificate("g.example.org", issuer=MIDDLE)
    serve(good, "g.example.org", name="g")
    broken = b"-----BEGIN CERTIFICATE-----\nMIIB" + b"A" * 400 + b"\n-----END CERTIFICATE-----\n"
    for name in ("a\nb <!channel>.pem", "caf\udce9.pem", "x" * 250 + ".pem"):
        web.write(f"/etc/nginx/ssl/{name}", broken)
    for unit, port, script in (("flood", 8443, FLOOD), ("silent", 9443, SILENT)):
        web.run(["systemd-run", f"--unit={unit}", "python3", "-c", script.format(address=web.address, port=port)])
        wait_until(lambda port=port: listens(web, port), f"port {port} is listened on")
    try:
        made = Controller(fleet).plan(web.name, TASK.model_copy(update={"ports": (443, 8443, 9443)}))
    finally:
        web.run(["systemctl", "stop", "flood", "silent"])
        web.sh("rm -f /etc/nginx/ssl/*.pem")
    verdicts = {place: one["verdict"] for place, one in told(made).items()}
    assert verdicts.pop(f"{web.address}:443") == verdicts.pop("/etc/nginx/ssl/g.pem") == "valid"
    assert verdicts.pop(f"{web.address}:9443") == "not_responding"
    assert set(verdicts.values()) == {"unreadable"}
    assert made.facts["not_tls"] == [8443]
    assert made.state is State.UNKNOWN


MAIL_NAME = "mail.example.org"
POSTFIX = """\
compatibility_level = 3.6
inet_interfaces = 127.0.0.1
smtpd_tls_cert_file = /etc/ssl/mail.pem
smtpd_tls_key_file = /etc/ssl/mail.key
smtpd_tls_security_level = may
"""
DOVECOT = """\
protocols = imap
listen = {address}
ssl = yes
ssl_cert = </etc/ssl/mail.pem
ssl_key = </etc/ssl/mail.key
passdb {{
  driver = static
  args = nopassword=y
}}
"""
SLAPD = """\
pidfile /run/slapd/slapd.pid
TLSCertificateFile /etc/ldap/mail.pem
TLSCertificateKeyFile /etc/ldap/mail.key
"""
SLAPD_STARTS = """\
SLAPD_CONF=/etc/ldap/slapd.conf
SLAPD_USER=openldap
SLAPD_GROUP=openldap
SLAPD_SERVICES="ldap://{address}/"
"""


@pytest.fixture(scope="module")
def mail(fleet: Fleet) -> LabHost:
    """Postfix, Dovecot and slapd with one certificate."""
    pair = certificate(MAIL_NAME, days_left=20, issuer=MIDDLE)

    def prepare(host: LabHost) -> None:
        for folder, owner in (("/etc/ssl", "root"), ("/etc/ldap", "openldap")):
            host.write(f"{folder}/mail.pem", pair.chain_pem, owner=owner)
            host.write(f"{folder}/mail.key", pair.key_pem, mode=0o600, owner=owner)
        host.write("/usr/local/share/ca-certificates/root.crt", ROOT.pem)
        services = host.read("/etc/postfix/master.cf").decode()
        host.write("/etc/postfix/master.cf", services.replace("\nsmtp      inet", f"\n{host.address}:smtp inet", 1))
        host.write("/etc/postfix/main.cf", POSTFIX)
        host.write("/etc/dovecot/dovecot.conf", DOVECOT.format(address=host.address))
        host.write("/etc/ldap/slapd.conf", SLAPD)
        host.write("/etc/default/slapd", SLAPD_STARTS.format(address=host.address))

    host = fleet.host("mail", variant="mail", prepare=prepare)
    host.run(["update-ca-certificates"])
    for port in (25, 143, 389):
        wait_until(lambda port=port: listens(host, port), f"port {port} is listened on")
    return host


def test_real_servers_that_begin_in_clear_text_are_read(fleet: Fleet, mail: LabHost) -> None:
    made = Controller(fleet).plan(mail.name, TASK)
    verdicts = {place: (one["verdict"], one["trust"]) for place, one in told(made).items()}
    assert verdicts == {f"{mail.address}:{port}": ("expiring", "trusted") for port in (25, 143, 389)}


def test_configured_endpoints_are_looked_at_from_the_host(fleet: Fleet, web: LabHost, mail: LabHost) -> None:
    where = {Protocol.SMTP: 25, Protocol.IMAP: 143, Protocol.LDAP: 389}
    endpoints = [
        TlsEndpoint(address=f"{mail.address}:{port}", name=MAIL_NAME, protocol=protocol)
        for protocol, port in where.items()
    ]
    endpoints += [
        TlsEndpoint(address=f"{mail.address}:25", name="other.example.org", protocol=Protocol.SMTP),
        TlsEndpoint(address=f"{mail.address}:25"),
        TlsEndpoint(address=f"{mail.address}:1"),
    ]
    made = Controller(fleet).plan(web.name, TASK.model_copy(update={"ports": (), "endpoints": tuple(endpoints)}))
    verdicts = {place: one["verdict"] for place, one in told(made).items() if place.startswith(mail.address)}
    assert verdicts == {
        **{f"{mail.address}:{port} {MAIL_NAME}": "expiring" for port in where.values()},
        f"{mail.address}:25 other.example.org": "name_mismatch",
        f"{mail.address}:25": "garbled",
        f"{mail.address}:1": "unreachable",
    }
    assert (made.state, made.reason) == (State.FAILED, Reason.NAME_MISMATCH)
