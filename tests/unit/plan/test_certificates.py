"""Verdicts over certificates in files and on ports, and the renewals that follow from them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from maintenancebot.model import Action, Finding, Host, HostFacts, Reason, State, TaskType, Undo
from maintenancebot.plan import certificates
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.plan.validity import threshold
from maintenancebot.settings import MonitorTask, Settings

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HOST = Host("web-1", "192.0.2.1")


def certificate(left=60.0, lifetime=90.0, serial="a1", names=("www.example.org",), **more):
    end = NOW + timedelta(days=left)
    return {
        "serial": serial,
        "fingerprint": f"f-{serial}",
        "names": list(names),
        "issuer": "CN=Root",
        "not_before": (end - timedelta(days=lifetime)).isoformat(),
        "not_after": end.isoformat(),
        "key_type": "rsa",
        "self_signed": False,
        "authority": False,
        "named": True,
        "public": False,
        **more,
    }


def chain(length=2, *faults, unsent="", issuers_end=""):
    return {"length": length, "faults": list(faults), "unsent": unsent, "issuers_end": issuers_end}


def in_file(seen, path="/c/site.pem", **more):
    data = {"where": "file", "path": path, "certificate": seen, "chain": chain(), "key": "match", **more}
    return Finding("t", "certificate", path, data)


def lineage(seen, name="www.example.org", **more):
    return in_file(seen, f"/etc/letsencrypt/live/{name}/fullchain.pem", lineage=name, renewable=True, **more)


def served(seen, port=443, sni="", length=2, trust="trusted", **more):
    data = {"where": "served", "address": "127.0.0.1", "port": port, "sni": sni, "chain_whole": True}
    found = {"certificate": seen, "chain": chain(length), "trust": {"verdict": trust, "detail": "words"}}
    found = found if seen else {"error": "timed out", "fault": "hung"}
    return Finding("t", "certificate", f"127.0.0.1:{port}" + (f" {sni}" if sni else ""), {**data, **found, **more})


def plan(*findings, auto_renew=False, result=None, uid=0, offset=0.0, **facts):
    task = MonitorTask(
        name="t",
        type=TaskType.MONITOR,
        check="certificate_expiry_days > 30",
        alert_threshold=30,
        auto_renew=auto_renew,
    )
    host = HostFacts("m", "b", "web-1", "debian", "12", "6.1", "3.11.2", uid, NOW.timestamp() + offset, offset)
    given = replace(result or ProbeResult(State.DONE), findings=findings, facts={"certbot": True, **facts})
    return certificates.plan(HOST, task, Settings(name="x", tasks=(task,)), host, given)


def verdict(*findings, **more):
    made = plan(*findings, **more)
    return made.state, made.reason


@pytest.mark.parametrize(
    ("lifetime", "days", "expected"),
    [(365, 30, 30), (90, 30, 30), (60, 30, 20), (47, 30, 47 / 3), (10, 30, 10 / 3), (6, 30, 3), (90, 7, 7), (6, 1, 1)],
)
def test_the_threshold_is_the_lesser_of_days_and_share_of_the_lifetime(lifetime, days, expected):
    assert threshold(timedelta(days=lifetime), days) / timedelta(days=1) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("finding", "state", "reason"),
    [
        (in_file(certificate(left=60)), State.DONE, Reason.VALID),
        (in_file(certificate(left=30.001)), State.DONE, Reason.VALID),
        (in_file(certificate(left=30)), State.FAILED, Reason.EXPIRING),
        (in_file(certificate(left=4, lifetime=6)), State.DONE, Reason.VALID),
        (in_file(certificate(left=2.9, lifetime=6)), State.FAILED, Reason.EXPIRING),
        (served(certificate(left=-0.001)), State.FAILED, Reason.EXPIRED),
        (in_file(certificate(left=91)), State.FAILED, Reason.NOT_YET_VALID),
        (in_file(certificate(), key="mismatch"), State.FAILED, Reason.KEY_MISMATCH),
        (in_file(certificate(), key="unknown"), State.DONE, Reason.VALID),
        (in_file(certificate(), chain=chain(2, "certificate 2 did not issue")), State.FAILED, Reason.CHAIN_BROKEN),
        (served(None), State.UNKNOWN, Reason.NOT_RESPONDING),
    ],
)
def test_each_fault_has_its_name(finding, state, reason):
    assert verdict(finding) == (state, reason)


def test_the_worst_verdict_decides_and_all_are_told():
    made = plan(
        in_file(certificate(left=5), "/c/a.pem"), in_file(certificate(left=-5, serial="b"), "/c/b.pem", key="mismatch")
    )
    assert (made.state, made.reason) == (State.FAILED, Reason.EXPIRED)
    assert made.facts["failed"] == ["/c/a.pem: expiring", "/c/b.pem: expired"]
    assert made.facts["certificates"][1]["faults"] == ["expired 5.0 days ago", "the private key does not belong to it"]


def test_the_controllers_clock_judges():
    assert verdict(in_file(certificate(left=60)), offset=-40 * 86400.0) == (State.DONE, Reason.VALID)


class TestServedAgainstFiles:
    OLD, NEW = certificate(left=40, serial="0d"), certificate(left=89, serial="e1")

    def test_the_same_certificate_is_valid(self):
        assert verdict(lineage(self.NEW), served(self.NEW)) == (State.DONE, Reason.VALID)

    def test_an_older_one_on_the_port_differs(self):
        made = plan(lineage(self.NEW), served(self.OLD))
        assert (made.state, made.reason) == (State.FAILED, Reason.SERVED_DIFFERS)
        assert made.detail == "127.0.0.1:443: serves 0d, /etc/letsencrypt/live/www.example.org/fullchain.pem holds e1"

    def test_an_old_copy_in_another_file_is_no_excuse(self):
        assert verdict(lineage(self.NEW), in_file(self.OLD), served(self.OLD)) == (State.FAILED, Reason.SERVED_DIFFERS)

    def test_a_newer_one_on_the_port_or_one_for_other_names_is_no_fault(self):
        other = certificate(names=("mail.example.org",), serial="9")
        assert verdict(lineage(self.OLD), served(self.NEW), served(other, 993)) == (State.DONE, Reason.VALID)

    def test_two_kinds_of_key_for_one_name_do_not_fight(self):
        ecc = {**self.OLD, "key_type": "ec"}
        assert verdict(lineage(self.NEW), in_file(ecc), served(ecc)) == (State.DONE, Reason.VALID)

    def test_an_intermediate_that_is_not_served_breaks_the_chain(self):
        assert verdict(lineage(self.NEW), served(self.NEW, length=1)) == (State.FAILED, Reason.CHAIN_BROKEN)

    def test_one_certificate_for_many_names_counts_once(self):
        made = plan(served(self.NEW), served(self.NEW, sni="a.example.org"), served(None, sni="b.example.org"))
        assert [one["place"] for one in made.facts["certificates"]] == ["127.0.0.1:443"]


class TestWhatWasNotLookedAt:
    def test_nothing_at_all_is_nothing(self):
        assert verdict() == (State.NOTHING, Reason.NO_MATCH)

    def test_without_root_the_rest_is_skipped_but_a_fault_stays_a_fault(self):
        partly = ProbeResult(State.DONE, Reason.NEEDS_ROOT, "not looked at")
        assert verdict(result=partly, uid=1000) == (State.SKIPPED, Reason.NEEDS_ROOT)
        assert verdict(in_file(certificate()), result=partly) == (State.SKIPPED, Reason.NEEDS_ROOT)
        assert verdict(in_file(certificate(left=-1)), result=partly) == (State.FAILED, Reason.EXPIRED)

    def test_a_failed_probe_or_a_cut_one_is_unknown(self):
        assert verdict(result=ProbeResult(State.UNKNOWN, Reason.LACKS)) == (State.UNKNOWN, Reason.LACKS)
        assert verdict(in_file(certificate()), left_out=3) == (State.UNKNOWN, Reason.OVER_CAP)


class TestRenewal:
    DUE = certificate(left=20)

    def test_a_due_lineage_is_planned_with_all_that_identifies_it(self):
        made = plan(lineage(self.DUE), served(self.DUE), served(self.DUE, 993), auto_renew=True)
        (change,) = made.changes
        assert (made.state, made.facts.get("verdict_state")) == (State.PLANNED, None)
        assert (change.action, change.undo, change.name) == (Action.RENEW_CERTIFICATE, Undo.NONE, "www.example.org")
        assert change.object == {
            "lineage": "www.example.org",
            "serial": "a1",
            "not_after": self.DUE["not_after"],
            "names": ["www.example.org"],
            "served": [
                {"address": "127.0.0.1", "port": 443, "sni": "", "protocol": "tls", "serial": "a1"},
                {"address": "127.0.0.1", "port": 993, "sni": "", "protocol": "tls", "serial": "a1"},
            ],
        }

    def test_a_port_that_serves_another_lineage_for_the_same_names_is_not_waited_for(self):
        other = certificate(left=60, serial="b2")
        made = plan(
            lineage(self.DUE),
            lineage(other, "www.example.org-0001"),
            served(other),
            served(self.DUE, 993),
            served(certificate(left=10, serial="old"), 8443),
            auto_renew=True,
        )
        (change,) = made.changes
        assert [place["port"] for place in change.object["served"]] == [993, 8443]

    @pytest.mark.parametrize(
        ("finding", "more"),
        [
            (lineage(DUE), {"auto_renew": False}),
            (lineage(DUE), {"certbot": False}),
            (lineage(DUE), {"uid": 1000}),
            (in_file(DUE), {}),
            (lineage(certificate(left=60)), {}),
            (lineage(certificate(left=60), key="mismatch"), {}),
            (in_file(DUE, lineage="x", renewable=False), {}),
        ],
    )
    def test_nothing_else_is_renewed(self, finding, more):
        assert plan(finding, **{"auto_renew": True, **more}).changes == ()

    def test_other_faults_keep_the_task_failed_beside_the_renewal(self):
        copy = in_file(self.DUE, "/etc/nginx/ssl/copy.pem")
        made = plan(lineage(self.DUE), served(self.DUE), copy, auto_renew=True)
        assert (made.state, made.facts["verdict_state"]) == (State.PLANNED, "failed")
        assert made.facts["failed"] == ["/etc/nginx/ssl/copy.pem: expiring"]

    def test_what_the_renewal_cures_is_a_failure_where_it_is_not_made(self):
        made = plan(lineage(self.DUE), served(self.DUE), auto_renew=True)
        assert made.facts["failed_unless_done"]["reason"] == "expiring"
        assert "days left" in made.facts["failed_unless_done"]["detail"]

    def test_what_could_not_be_looked_at_stays_unknown_beside_the_renewal(self):
        made = plan(lineage(self.DUE), served(None, 8443), auto_renew=True)
        assert (made.state, made.facts["verdict_state"]) == (State.PLANNED, "unknown")


class TestWhatIsOverdue:
    """Due is when the threshold is reached; what is renewed by itself has a third of it, at most three days, more."""

    @pytest.mark.parametrize(
        ("left", "lifetime", "timer", "reason"),
        [
            (30, 90, "", Reason.EXPIRING),  # nobody renews it: due is overdue
            (30, 90, "certbot.timer", Reason.VALID),
            (27.001, 90, "certbot.timer", Reason.VALID),
            (27, 90, "certbot.timer", Reason.EXPIRING),
            (3, 6, "certbot.timer", Reason.VALID),
            (2.001, 6, "certbot.timer", Reason.VALID),
            (2, 6, "certbot.timer", Reason.EXPIRING),
            (-0.001, 6, "certbot.timer", Reason.EXPIRED),
        ],
    )
    def test_a_lineage_with_and_without_a_timer(self, left, lifetime, timer, reason):
        seen = certificate(left=left, lifetime=lifetime)
        for findings in ([lineage(seen)], [lineage(seen), served(seen)]):
            assert plan(*findings, renewed_by=timer).reason is reason

    def test_a_copy_beside_it_is_renewed_by_nobody(self):
        seen = certificate(left=29)
        assert plan(lineage(seen), in_file(seen, "/c/copy.pem"), renewed_by="x").reason is Reason.EXPIRING
        link = in_file(seen, "/c/link.pem", resolved="/archive/1.pem")
        assert plan(lineage(seen, resolved="/archive/1.pem"), link, renewed_by="x").reason is Reason.VALID

    @pytest.mark.parametrize(
        ("left", "more", "reason"),
        [
            (29, {}, Reason.VALID),
            (29, {"imported": True, "renewal": "imported: AWS does not renew it"}, Reason.EXPIRING),
            (29, {"renewal": "AWS's renewal is FAILED"}, Reason.EXPIRING),
            (27, {}, Reason.EXPIRING),
        ],
    )
    def test_certificates_of_the_cloud(self, left, more, reason):
        data = {"where": "acm", "certificate": certificate(left=left, fingerprint=""), "chain": chain(1), **more}
        made = plan(Finding("t", "certificate", "acm eu-central-1 www", data))
        assert made.reason is reason
        assert (more.get("renewal", "") in made.detail) or reason is Reason.VALID

    def test_what_could_not_be_asked_is_unknown(self):
        made = plan(lineage(certificate()), could_not_ask=["acm eu-central-1: refused"])
        assert (made.state, made.detail) == (State.UNKNOWN, "acm eu-central-1: refused")


class TestNames:
    def test_a_configured_name_that_is_not_covered(self):
        seen = certificate(names=("www.example.org",))
        made = plan(served(seen), served(seen, sni="shop.example.org", configured=True))
        assert (made.state, made.reason) == (State.FAILED, Reason.NAME_MISMATCH)
        assert made.detail == "127.0.0.1:443: served as shop.example.org, but it is for www.example.org"

    def test_a_name_that_nobody_configured_there_is_none_of_our_business(self):
        seen = certificate(names=("www.example.org",))
        assert verdict(served(seen, sni="shop.example.org")) == (State.DONE, Reason.VALID)

    def test_a_common_name_alone_does_not_count(self):
        made = plan(served(certificate(named=False), sni="www.example.org", configured=True))
        assert "nothing but a common name" in made.detail

    def test_a_configured_name_that_is_refused_is_unknown_and_another_is_not_told(self):
        seen, refusal = certificate(), {"fault": "refused", "error": "unrecognized name"}
        assert verdict(served(seen), served(None, sni="x.example.org", **refusal)) == (State.DONE, Reason.VALID)
        made = plan(served(seen), served(None, sni="x.example.org", configured=True, **refusal))
        assert (made.state, made.reason) == (State.UNKNOWN, Reason.NOT_RESPONDING)


class TestTrust:
    @pytest.mark.parametrize("trust", ["trusted", "unknown", "self_signed", "private", "issuer_unknown", "out_of_time"])
    def test_an_authority_that_the_host_need_not_know_is_a_fact(self, trust):
        made = plan(served(certificate(), trust=trust))
        assert (made.reason, made.facts["certificates"][0]["trust"]) == (Reason.VALID, trust)
        told = "1 served of authorities that the host does not know" in made.detail
        assert told == (trust in ("self_signed", "private", "issuer_unknown"))

    @pytest.mark.parametrize("trust", ["self_signed", "private", "issuer_unknown"])
    @pytest.mark.parametrize("known", ["public", "lineage"])
    def test_one_that_it_should_know_is_a_fault(self, trust, known):
        seen = certificate(public=known == "public")
        findings = [served(seen, trust=trust), *([lineage(seen)] if known == "lineage" else [])]
        assert plan(*findings).reason is Reason.UNTRUSTED

    def test_an_intermediate_that_is_not_sent_breaks_the_chain(self):
        alone = served(certificate(public=True), trust="issuer_unknown", length=1)
        assert plan(alone).reason is Reason.CHAIN_BROKEN
        known = served(certificate(), trust="issuer_unknown", chain=chain(1, unsent="CN=Middle"))
        assert plan(known).detail == "127.0.0.1:443: the intermediate CN=Middle is not sent"

    def test_before_python_3_10_only_the_first_is_seen_and_no_chain_is_blamed(self):
        leaf = served(certificate(public=True), trust="issuer_unknown", length=1, chain_whole=False)
        assert plan(leaf).reason is Reason.VALID

    def test_an_expired_intermediate_breaks_the_chain_and_the_hosts_wrong_clock_does_not(self):
        for end, reason in ((-1, Reason.CHAIN_BROKEN), (1, Reason.VALID)):
            ends = chain(2, issuers_end=(NOW + timedelta(days=end)).isoformat())
            assert plan(served(certificate(), trust="out_of_time", chain=ends)).reason is reason

    def test_what_openssl_rejects_otherwise_is_named(self):
        assert "words" in plan(served(certificate(), trust="invalid")).detail


def test_the_configured_file_counts_although_the_new_certificate_has_other_names():
    old, new = certificate(left=40, serial="0d"), certificate(left=89, serial="e1", names=("a.example.org", "b"))
    there = served(old, sni="www.example.org", configured=True, expected=["/c/site.pem"])
    made = plan(in_file(new), served(old), there)
    assert (made.reason, made.detail) == (Reason.SERVED_DIFFERS, "127.0.0.1:443: serves 0d, /c/site.pem holds e1")


def test_a_newer_certificate_in_a_file_that_this_place_does_not_use_is_no_difference():
    used, newer = certificate(left=60, serial="0d"), certificate(left=89, serial="e1")
    there = served(used, sni="www.example.org", configured=True, expected=["/c/site.pem"])
    assert verdict(in_file(used), in_file(newer, "/c/other.pem"), there) == (State.DONE, Reason.VALID)


class TestBackingOff:
    DUE = certificate(left=29)

    def looked(self, *hours_ago, serial="a1", left=29.0, **more):
        seen = certificate(left=left)
        row = {"serial": serial, "tries": [NOW.timestamp() - hours * 3600 for hours in sorted(hours_ago, reverse=True)]}
        known = {"www.example.org": row} if hours_ago else {}
        return plan(lineage(seen), auto_renew=True, remembered=known, **more)

    @pytest.mark.parametrize("tries", [(), (1,), (6, 8), (24, 40, 50), (24, 30, 60, 70, 80)])
    def test_after_the_wait_it_is_tried_again(self, tries):
        assert [change.name for change in self.looked(*tries).changes] == ["www.example.org"]

    @pytest.mark.parametrize("tries", [(0.9,), (5.9, 8), (23.9, 40, 50), (1, 2, 3, 4, 5)])
    def test_within_the_wait_it_is_left_and_said_until_when(self, tries):
        made = self.looked(*tries)
        assert (made.changes, made.state, made.reason) == ((), State.SKIPPED, Reason.BACKING_OFF)
        assert "next try from 2026-11-2" in made.detail

    def test_when_it_is_overdue_it_is_a_fault_and_still_not_tried(self):
        made = self.looked(0.5, left=20.0)
        assert (made.changes, made.state, made.reason) == ((), State.FAILED, Reason.EXPIRING)
        assert "next try from" in made.detail

    def test_tries_with_another_certificate_do_not_count(self):
        assert len(self.looked(0.5, serial="other").changes) == 1

    def test_rows_are_kept_while_the_lineage_has_the_certificate(self):
        rows = {"www.example.org": {"serial": "a1", "tries": [1.0]}}

        def learned(*findings, state=State.DONE):
            return certificates.learned(None, ProbeResult(state, findings=findings), rows, NOW.timestamp())

        assert learned(lineage(self.DUE)) == rows
        assert learned(lineage(certificate(serial="new"))) == {}
        assert learned(in_file(self.DUE)) == {}
        broken = {"where": "file", "lineage": "www.example.org", "error": "unreadable"}
        assert learned(Finding("t", "certificate", "/x", broken)) == rows
        assert learned(state=State.UNKNOWN) == rows


class TestWhoRenews:
    def test_an_active_timer_is_left_to_it_until_overdue(self):
        made = plan(lineage(certificate(left=28)), auto_renew=True, renewed_by="certbot.timer")
        assert (made.state, made.reason, made.changes) == (State.DONE, Reason.VALID, ())
        assert made.detail.endswith("; due and left to certbot.timer: www.example.org")
        said = "28.0 days left, due; renewed by itself, overdue from 2026-11-22 12:00 UTC"
        assert made.facts["left_to_timer"] == [f"www.example.org: {said}"]
        made = plan(lineage(certificate(left=27)), auto_renew=True, renewed_by="certbot.timer")
        assert [change.name for change in made.changes] == ["www.example.org"]

    def test_a_conflict_is_told_and_nothing_is_planned(self):
        made = plan(lineage(certificate(left=29), conflict="port 80 is taken"), auto_renew=True)
        assert (made.changes, made.state, made.reason) == ((), State.FAILED, Reason.RENEWAL_FAILED)
        assert made.detail == "www.example.org: port 80 is taken"

    def test_one_that_is_not_valid_yet_is_not_renewed(self):
        assert plan(lineage(certificate(left=100, lifetime=6)), auto_renew=True).changes == ()
