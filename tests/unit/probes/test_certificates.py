"""What real certificates say when they are read on the controller."""

import base64
from datetime import timedelta

import pytest

from maintenancebot.model import Finding, State, TaskType
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.probes import certificates
from maintenancebot.settings import MonitorTask, Settings
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
        "issuer": "CN=Middle",
        "not_before": start.isoformat(),
        "not_after": (start + timedelta(days=90)).isoformat(),
        "fingerprint": seen["fingerprint"],
        "key_type": "ec",
        "self_signed": False,
        "authority": False,
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
    assert complete(*(one.der for one in chain))["chain"] == {"length": len(chain), "faults": faults}


def test_what_is_no_certificate_is_an_error_of_its_own():
    for der in (b"", b"hello", LEAF.der[:-10]):
        data = complete(der)
        assert "certificate" not in data
        assert data["error"].startswith("not a certificate that can be read")
