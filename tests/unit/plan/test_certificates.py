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
        **more,
    }


def chain(length=2, *faults):
    return {"length": length, "faults": list(faults)}


def in_file(seen, path="/c/site.pem", **more):
    data = {"where": "file", "path": path, "certificate": seen, "chain": chain(), "key": "match", **more}
    return Finding("t", "certificate", path, data)


def lineage(seen, name="www.example.org", **more):
    return in_file(seen, f"/etc/letsencrypt/live/{name}/fullchain.pem", lineage=name, renewable=True, **more)


def served(seen, port=443, sni="", length=2):
    data = {"where": "served", "address": "127.0.0.1", "port": port, "sni": sni, "chain_whole": True}
    more = {"certificate": seen, "chain": chain(length)} if seen else {"error": "timed out"}
    return Finding("t", "certificate", f"127.0.0.1:{port}" + (f" {sni}" if sni else ""), {**data, **more})


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
                {"address": "127.0.0.1", "port": 443, "sni": "", "serial": "a1"},
                {"address": "127.0.0.1", "port": 993, "sni": "", "serial": "a1"},
            ],
        }

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

    def test_what_could_not_be_looked_at_stays_unknown_beside_the_renewal(self):
        made = plan(lineage(self.DUE), served(None, 8443), auto_renew=True)
        assert (made.state, made.facts["verdict_state"]) == (State.PLANNED, "unknown")
