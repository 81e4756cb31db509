"""What real certificates say when they are read on the controller."""

import base64
import subprocess
import sys
import types
from datetime import timedelta

import pytest

from maintenancebot.model import Finding, State, TaskType
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.probes import certificates
from maintenancebot.settings import AcmSource, MonitorTask, Protocol, Settings, TlsEndpoint
from tests.fakes.certificates import NOW, make

TASK = MonitorTask(name="t", type=TaskType.MONITOR, check="certificate_expiry_days > 30")
ROOT = make("Root", authority=True, days=3650)
MIDDLE = make("Middle", ROOT, authority=True, days=1000)
LEAF = make("www.example.org", MIDDLE, names=("www.example.org", "Example.org"))


def complete(*ders: bytes):
    chain = [base64.b64encode(der).decode() for der in ders]
    result = ProbeResult(State.DONE, findings=(Finding("t", "certificate", "/c", {"where": "file", "chain": chain}),))
    return certificates.complete(TASK, Settings(name="x", tasks=(TASK,)), result, session=None).findings[0].data


def test_a_certificate_is_described_exactly():
    seen = complete(LEAF.der, MIDDLE.der)["certificate"]
    start = NOW - timedelta(days=1)
    assert seen == {
        "serial": LEAF.serial,
        "names": ["example.org", "www.example.org"],
        "named": True,
        "issuer": "CN=Middle",
        "not_before": start.isoformat(),
        "not_after": (start + timedelta(days=90)).isoformat(),
        "fingerprint": seen["fingerprint"],
        "key_type": "ec",
        "self_signed": False,
        "authority": False,
        "public": False,
    }


@pytest.mark.parametrize(
    ("chain", "faults"),
    [
        ((LEAF,), []),
        ((LEAF, MIDDLE), []),
        ((LEAF, MIDDLE, ROOT), []),
        ((LEAF, ROOT), ["certificate 2 did not issue the one before it"]),
        ((LEAF, ROOT, MIDDLE), ["certificate 2 did not issue the one before it"]),
        ((LEAF, make("Middle", authority=True)), ["certificate 2 did not issue the one before it"]),
        ((MIDDLE, LEAF), ["the server's certificate does not come first"]),
        ((ROOT, make("Other", authority=True)), []),
    ],
)
def test_faults_of_chains(chain, faults):
    assert complete(*(one.der for one in chain))["chain"]["faults"] == faults


def test_what_is_no_certificate_is_an_error_of_its_own():
    for der in (b"", b"hello", LEAF.der[:-10]):
        data = complete(der)
        assert "certificate" not in data
        assert data["error"].startswith("not a certificate that can be read")


def look(*chains, trust="issuer_unknown"):
    """What becomes of several findings of one host, the first of them served."""
    findings = [
        Finding("t", "certificate", str(n), {"chain": [base64.b64encode(one.der).decode() for one in chain]})
        for n, chain in enumerate(chains)
    ]
    findings[0].data.update(where="served", trust={"verdict": trust})
    result = ProbeResult(State.DONE, findings=tuple(findings))
    return certificates.complete(TASK, Settings(name="x", tasks=(TASK,)), result, session=None).findings[0].data


def test_an_intermediate_that_cannot_be_read_spoils_no_other_certificate():
    names = bytes.fromhex("3004a3023000")  # an X.400 address, which cryptography raises an error of its own for
    strange = make("Strange", ROOT, extension=("2.5.29.17", names))
    unreadable = make("Middle", make("r\u00f6\u00f6t", authority=True)).der.replace(
        "\u00f6\u00f6".encode(), b"\xff" * 4
    )
    for second in (strange.der, unreadable):
        chain = [base64.b64encode(der).decode() for der in (LEAF.der, second)]
        served = Finding("t", "certificate", "1", {"chain": chain, "trust": {"verdict": "issuer_unknown"}})
        file = Finding("t", "certificate", "2", {"chain": [base64.b64encode(MIDDLE.der).decode()]})
        result = ProbeResult(State.DONE, findings=(served, file))
        seen = certificates.complete(TASK, Settings(name="x", tasks=(TASK,)), result, session=None).findings
        assert [one.data["certificate"]["serial"] for one in seen] == [LEAF.serial, MIDDLE.serial]


def test_the_marks_of_public_authorities_are_seen():
    assert look([make("www.example.org", public=True)])["certificate"]["public"] is True
    assert look([LEAF])["certificate"]["public"] is False


def test_an_intermediate_that_lies_on_the_host_and_is_not_sent_is_named():
    assert look([LEAF], [MIDDLE, ROOT])["chain"]["unsent"] == "CN=Middle"
    assert look([LEAF], [make("Middle", ROOT, authority=True)])["chain"]["unsent"] == ""  # another key
    assert look([LEAF], [ROOT])["chain"]["unsent"] == ""
    assert look([make("x", ROOT)], [ROOT])["chain"]["unsent"] == ""  # a root need not be sent
    assert look([LEAF], [MIDDLE], trust="trusted")["chain"]["unsent"] == ""


def test_the_first_end_of_the_issuers_is_told():
    assert look([LEAF, MIDDLE, ROOT])["chain"]["issuers_end"] == MIDDLE.certificate.not_valid_after_utc.isoformat()


def test_the_request_names_everything_to_look_at():
    task = TASK.model_copy(
        update={
            "endpoints": (
                TlsEndpoint(address="mail.example.org:25", name="mx.example.org", protocol=Protocol.SMTP),
                TlsEndpoint(address="[2001:db8::1]:443"),
            ),
            "ports": (443,),
        }
    )
    asked = certificates.request(task, Settings(name="x", tasks=(task,)), None, refresh=False)
    assert asked["ports"] == [443]
    assert asked["starttls_ports"] == {"smtp": [25, 587], "imap": [143], "postgres": [5432], "ldap": [389]}
    assert asked["endpoints"] == [
        {"address": "mail.example.org", "port": 25, "name": "mx.example.org", "protocol": "smtp"},
        {"address": "2001:db8::1", "port": 443, "name": "", "protocol": "tls"},
    ]


def test_the_cloud_is_asked_only_where_it_is_configured(monkeypatch):
    cloud = types.ModuleType("cloud_certificates")
    found = Finding("t", "certificate", "acm", {"where": "acm"})
    cloud.look = lambda source, task: ([found], ["eu-west-1: refused"])
    monkeypatch.setitem(sys.modules, "maintenancebot.probes.cloud_certificates", cloud)
    monkeypatch.setattr("maintenancebot.probes.cloud_certificates", cloud, raising=False)
    empty = ProbeResult(State.DONE)
    assert certificates.complete(TASK, Settings(name="x", tasks=(TASK,)), empty, session=None) == empty
    task = TASK.model_copy(update={"acm": AcmSource(regions=("eu-west-1",))})
    result = certificates.complete(task, Settings(name="x", tasks=(task,)), empty, session=None)
    assert (result.findings, result.facts["could_not_ask"]) == ((found,), ["eu-west-1: refused"])


def test_without_the_cloud_nothing_of_it_is_imported():
    code = (
        "import sys\nfrom maintenancebot.model import State, TaskType\n"
        "from maintenancebot.plan.inputs import ProbeResult\nfrom maintenancebot.probes import certificates\n"
        "from maintenancebot.settings import MonitorTask\n"
        "task = MonitorTask(name='t', type=TaskType.MONITOR, check='certificate_expiry_days > 30')\n"
        "certificates.complete(task, None, ProbeResult(State.DONE), None)\n"
        "sys.exit('boto3' in sys.modules or 'cryptography.x509' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
