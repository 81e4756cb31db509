"""Certificates of ACM: all pages, statuses and types of key, region by region, and what could not be asked is said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from moto.acm.models import acm_backends

from maintenancebot.model import Finding, Reason
from maintenancebot.plan.validity import judge_all
from maintenancebot.probes import cloud_certificates
from maintenancebot.remote import aws as remote
from maintenancebot.settings import AcmSource
from tests.fakes.aws import ACCOUNT, BALANCER, REGION, Cloud, aws, bring, given

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def running() -> Iterator[Cloud]:
    with aws() as cloud:
        yield cloud


@pytest.fixture
def cloud(running: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    return given(running, monkeypatch)


def look(cloud: Cloud, *regions: str, **more: Any) -> tuple[list[Finding], list[str]]:
    return cloud_certificates.look(
        AcmSource(**{"endpoint": cloud.address, "region": REGION, "regions": regions, **more}), "t"
    )


def names(found: list[Finding]) -> list[str]:
    return sorted(f"{one.data['region']} {one.data['certificate']['names'][0]}" for one in found)


def test_a_certificate_has_the_form_of_those_of_hosts(cloud: Cloud) -> None:
    began = datetime.now(UTC).replace(microsecond=0)  # certificates know whole seconds
    arn = bring(cloud, "shop.example")
    ended = datetime.now(UTC)
    (found,), missed = look(cloud)
    assert missed == []
    assert (found.task, found.kind) == ("t", "certificate")
    assert found.subject == f"acm {REGION} shop.example {arn.rpartition('/')[2]}"
    assert found.data["where"] == "acm"
    assert found.data["in_use"] == [BALANCER]
    certificate = found.data["certificate"]
    assert set(certificate) == {
        *("serial", "names", "issuer", "not_before", "not_after", "fingerprint", "key_type"),
        *("named", "self_signed", "authority", "public"),
    }
    assert certificate["names"] == ["shop.example", "www.shop.example"]
    assert began <= datetime.fromisoformat(certificate["not_after"]) - 80 * DAY <= ended
    assert json.loads(json.dumps(found.data)) == found.data


@pytest.mark.parametrize(("days", "verdict"), [(0, Reason.VALID), (75, Reason.EXPIRING), (81, Reason.EXPIRED)])
def test_it_is_judged_by_its_time(cloud: Cloud, days: float, verdict: Reason) -> None:
    bring(cloud, "shop.example")
    (judged,) = judge_all(look(cloud)[0], NOW + days * DAY, 30)
    assert judged.verdict is verdict


def test_keys_of_every_type_are_listed(cloud: Cloud) -> None:
    bring(cloud, "a.example", key=rsa.generate_private_key(65537, 4096))
    bring(cloud, "b.example", key=ec.generate_private_key(ec.SECP384R1()))
    assert names(look(cloud)[0]) == [f"{REGION} a.example", f"{REGION} b.example"]


def test_what_nothing_uses_and_what_was_never_granted_is_no_finding(cloud: Cloud) -> None:
    bring(cloud, "unused.example", days=1, used=False)
    arn = cloud.client("acm").request_certificate(DomainName="new.example", ValidationMethod="DNS")["CertificateArn"]
    acm_backends[ACCOUNT][REGION]._certificates[arn].cert = None
    bundle = acm_backends[ACCOUNT][REGION]._certificates[arn]
    assert bundle.status in ("PENDING_VALIDATION", "ISSUED")
    assert look(cloud) == ([], [])


def described(status: str = "ISSUED", **more: Any) -> dict[str, Any]:
    return {
        "CertificateArn": "arn:aws:acm:eu-west-1:123456789012:certificate/1",
        "DomainName": "shop.example",
        "SubjectAlternativeNames": ["Shop.example"],
        "Serial": "0a:bc",
        "Subject": "CN=shop.example",
        "Issuer": "Amazon",
        "CreatedAt": NOW - 100 * DAY,
        "NotBefore": NOW - 100 * DAY,
        "NotAfter": NOW + 10 * DAY,
        "KeyAlgorithm": "RSA-2048",
        "Status": status,
        "Type": "AMAZON_ISSUED",
        "InUseBy": [BALANCER],
        "RenewalEligibility": "ELIGIBLE",
        **more,
    }


PENDING = {
    "RenewalStatus": "PENDING_VALIDATION",
    "DomainValidationOptions": [
        {"DomainName": "shop.example", "ValidationStatus": "PENDING_VALIDATION"},
        {"DomainName": "www.shop.example", "ValidationStatus": "SUCCESS"},
    ],
}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, ""),
        ({"RenewalSummary": {"RenewalStatus": "SUCCESS"}}, ""),
        ({"RenewalSummary": {"RenewalStatus": "PENDING_AUTO_RENEWAL"}}, ""),
        ({"RenewalSummary": PENDING}, "AWS's renewal is PENDING_VALIDATION: shop.example"),
        (
            {"RenewalSummary": {"RenewalStatus": "FAILED", "RenewalStatusReason": "CAA_ERROR"}},
            "AWS's renewal is FAILED: CAA_ERROR",
        ),
        ({"Type": "IMPORTED", "RenewalEligibility": "INELIGIBLE"}, "imported: AWS does not renew it"),
        ({"RenewalEligibility": "INELIGIBLE"}, "AWS cannot renew it"),
    ],
)
def test_how_the_renewal_stands_is_told(more: dict[str, Any], words: str) -> None:
    assert cloud_certificates._finding(described(**more), REGION, "t").data["renewal"] == words


def test_serial_and_names_are_written_as_those_of_hosts() -> None:
    certificate = cloud_certificates._finding(described(), REGION, "t").data["certificate"]
    assert (certificate["serial"], certificate["names"], certificate["key_type"]) == ("abc", ["shop.example"], "rsa")


def test_a_failing_renewal_is_a_fault_only_when_it_is_overdue() -> None:
    early = described(NotAfter=NOW + 50 * DAY, RenewalSummary=PENDING)
    late = described(RenewalSummary=PENDING)
    judged = judge_all([cloud_certificates._finding(one, REGION, "t") for one in (early,)], NOW, 30)
    assert [one.verdict for one in judged] == [Reason.VALID]
    judged = judge_all([cloud_certificates._finding(one, REGION, "t") for one in (late,)], NOW, 30)
    assert [one.verdict for one in judged] == [Reason.EXPIRING]


@pytest.mark.parametrize(
    ("more", "matters"),
    [
        ({}, True),
        ({"Status": "EXPIRED"}, True),
        ({"Status": "REVOKED"}, True),
        ({"InUseBy": []}, False),
        ({"InUseBy": [], "Type": "PRIVATE"}, True),
        ({"InUseBy": [], "Options": {"Export": "ENABLED"}}, True),
        ({"NotAfter": None, "Status": "FAILED", "InUseBy": []}, False),
        ({"NotAfter": None, "Status": "PENDING_VALIDATION", "InUseBy": []}, False),
    ],
)
def test_which_certificates_matter(more: dict[str, Any], matters: bool) -> None:
    assert cloud_certificates._matters(described(**more)) is matters


def test_a_revoked_certificate_in_use_is_a_fault() -> None:
    found = cloud_certificates._finding(described("REVOKED", NotAfter=NOW + 80 * DAY), REGION, "t")
    (judged,) = judge_all([found], NOW, 30)
    assert judged.verdict is Reason.CHAIN_BROKEN
    assert "revoked" in judged.detail


def test_every_region_is_asked_and_one_that_fails_hides_no_other(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "READ_SECONDS", 2)
    for region in ("eu-west-1", "us-east-1", "ap-south-1"):
        bring(cloud, "shop.example", region=region)
    cloud.faults = {"acm/us-east-1": "hang", "acm/ap-south-1": "throttled"}
    found, missed = look(cloud, "eu-west-1", "us-east-1", "ap-south-1")
    assert names(found) == ["eu-west-1 shop.example"]
    assert missed == [
        "acm us-east-1: listing the certificates: no answer in time",
        "acm ap-south-1: listing the certificates: throttled: too many requests",
    ]


@pytest.mark.parametrize("fault", ["expired", "denied", "500", "garbage", "page", "flood", "cut"])
def test_an_answer_that_is_none_is_never_an_empty_list(cloud: Cloud, fault: str) -> None:
    cloud.faults["acm"] = fault
    found, missed = look(cloud)
    assert found == []
    assert len(missed) == 1


def test_a_certificate_that_cannot_be_looked_at_is_said_and_the_others_are_found(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bring(cloud, "a.example")
    bring(cloud, "b.example")
    true_call = remote.Service.call

    def call(self: Any, operation: str, doing: str, **params: Any) -> Any:
        if params.get("CertificateArn") == first:
            raise remote.AwsError(Reason.TOOL_FAILED, f"{doing}: throttled: too many requests", "Throttling")
        return true_call(self, operation, doing, **params)

    monkeypatch.setattr(remote.Service, "call", call)
    found, missed = look(cloud)
    assert names(found) == [f"{REGION} b.example"]
    assert missed == [
        f"acm {REGION}: {first.rpartition('/')[2]}: looking at a certificate: throttled: too many requests"
    ]


def test_without_a_region_it_is_said(cloud: Cloud) -> None:
    assert look(cloud, region=None) == (
        [],
        ["acm: connecting: neither the source nor the environment names a region"],
    )
