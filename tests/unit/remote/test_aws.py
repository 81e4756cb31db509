"""Sessions with AWS: credentials from the environment, roles that are renewed, calls that end, words of our own."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine

from maintenancebot.model import Reason
from maintenancebot.remote import aws as remote
from maintenancebot.remote.aws import AwsError, Service
from maintenancebot.settings import AwsSession
from tests.fakes.aws import KEY_ID, REGION, SECRET, Cloud, aws, given

ROLE = "arn:aws:iam::123456789012:role/backup-reader"


@pytest.fixture(scope="module")
def running() -> Iterator[Cloud]:
    with aws() as cloud:
        yield cloud


@pytest.fixture
def cloud(running: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    remote.forget()
    return given(running, monkeypatch)


def place(cloud: Cloud, **more: Any) -> AwsSession:
    return AwsSession(**{"endpoint": cloud.address, "region": REGION, **more})


def buckets(cloud: Cloud, **more: Any) -> list[str]:
    said = Service("s3", place(cloud, **more), 60).call("list_buckets", "listing the buckets")
    return [row["Name"] for row in said["Buckets"]]


def keys(cloud: Cloud, service: str = "s3") -> list[str]:
    return [key for one, _, key, _ in cloud.seen if one == service]


def test_credentials_of_the_environment_are_used_and_one_client_serves_all(cloud: Cloud) -> None:
    assert buckets(cloud) == []
    assert keys(cloud) == [KEY_ID]
    assert remote.client("s3", place(cloud)) is remote.client("s3", place(cloud))
    assert remote.client("s3", place(cloud)) is not remote.client("s3", place(cloud), region="us-east-2")


def test_many_threads_make_one_client(cloud: Cloud) -> None:
    made: list[Any] = []
    threads = [threading.Thread(target=lambda: made.append(remote.client("rds", place(cloud)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(made) == 8
    assert len(set(map(id, made))) == 1


def test_a_profile_is_used(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text("[reader]\naws_access_key_id = AKIAREADER\naws_secret_access_key = x\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    buckets(cloud, profile="reader")
    assert keys(cloud) == ["AKIAREADER"]


def test_a_role_is_assumed_once_for_all_services_and_renewed_before_it_ends(cloud: Cloud) -> None:
    with time_machine.travel(datetime.now(UTC), tick=True) as clock:
        buckets(cloud, role=ROLE)
        buckets(cloud, role=ROLE)
        Service("rds", place(cloud, role=ROLE), 60).call("describe_db_instances", "looking")
        assert keys(cloud, "sts") == [KEY_ID]
        first = keys(cloud)[0]
        assert first.startswith("ASIA")
        assert set(keys(cloud) + keys(cloud, "rds")) == {first}
        clock.shift(timedelta(minutes=52))
        buckets(cloud, role=ROLE)
        assert len(keys(cloud, "sts")) == 2
        assert keys(cloud)[-1] != first


def test_a_role_that_is_refused_is_said(cloud: Cloud) -> None:
    cloud.faults["sts"] = "denied"
    with pytest.raises(AwsError, match="assuming the role: access denied") as caught:
        buckets(cloud, role=ROLE)
    assert caught.value.reason is Reason.CREDENTIALS


@pytest.mark.parametrize(
    ("fault", "reason", "words"),
    [
        ("throttled", Reason.TOOL_FAILED, "listing the buckets: throttled: too many requests"),
        ("many", Reason.TOOL_FAILED, "listing the buckets: throttled: too many requests"),
        ("expired", Reason.CREDENTIALS, "listing the buckets: the credentials have expired"),
        ("denied", Reason.CREDENTIALS, "listing the buckets: access denied"),
        ("500", Reason.TOOL_FAILED, "listing the buckets: the service answers InternalFailure"),
        ("hang", Reason.TIMEOUT, "listing the buckets: no answer in time"),
    ],
)
def test_failures_in_our_own_words(
    cloud: Cloud, fault: str, reason: Reason, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.faults["s3"] = fault
    if fault == "hang":
        monkeypatch.setattr(remote, "READ_SECONDS", 1)
    with pytest.raises(AwsError) as caught:
        buckets(cloud)
    assert (caught.value.reason, str(caught.value)) == (reason, words)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_throttled_call_is_tried_again(cloud: Cloud) -> None:
    cloud.faults["s3"] = "throttled"
    with pytest.raises(AwsError):
        buckets(cloud)
    assert cloud.count("s3") == remote.ATTEMPTS


def test_a_service_that_is_not_there_is_unreachable(cloud: Cloud) -> None:
    with pytest.raises(AwsError, match="cannot be reached") as caught:
        buckets(cloud, endpoint="http://127.0.0.1:9")
    assert caught.value.reason is Reason.UNREACHABLE


@pytest.mark.parametrize(
    ("more", "reason", "words"),
    [
        ({"profile": "no-such"}, Reason.CREDENTIALS, "the profile is not in the AWS configuration"),
        ({"region": None}, Reason.NOT_CONFIGURED, "neither the source nor the environment names a region"),
    ],
)
def test_what_the_settings_lack_is_said(cloud: Cloud, more: dict[str, Any], reason: Reason, words: str) -> None:
    with pytest.raises(AwsError, match=words) as caught:
        Service("rds", place(cloud, **more), 60).call("describe_db_instances", "looking")
    assert caught.value.reason is reason


def test_a_controller_without_credentials_says_so(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(AwsError, match="the controller has no credentials for it") as caught:
        buckets(cloud)
    assert caught.value.reason is Reason.CREDENTIALS


def test_a_profile_that_would_ask_a_person_is_refused_at_once(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = ["[profile admin]", f"role_arn = {ROLE}", "source_profile = default", "mfa_serial = arn:aws:iam::1:mfa/me"]
    (tmp_path / "config").write_text("\n".join([*lines, "[default]", "region = eu-west-1", ""]))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with pytest.raises(AwsError, match="asks for a code of a device"):
        buckets(cloud, profile="admin")


def test_credentials_that_were_replaced_are_found_without_a_restart(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.faults["s3"] = "expired"
    with pytest.raises(AwsError):
        buckets(cloud)
    cloud.faults.clear()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANEW")
    buckets(cloud)
    assert keys(cloud)[-1] == "AKIANEW"


def test_a_list_without_end_is_cut(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.page = 0  # no rows, and always another page
    cloud.points = [{"ResourceArn": "arn:aws:ec2:::volume/v"}]
    monkeypatch.setattr(remote, "MOST_PAGES", 5)
    rows = Service("backup", place(cloud), 60).rows(
        "list_recovery_points_by_resource", "RecoveryPoints", "listing", ResourceArn="arn:aws:ec2:::volume/v"
    )
    with pytest.raises(AwsError) as caught:
        list(rows)
    assert caught.value.reason in (Reason.OVER_CAP, Reason.TOOL_FAILED)


def test_a_look_has_its_own_end(cloud: Cloud) -> None:
    with pytest.raises(AwsError, match="it took longer than one look may") as caught:
        Service("s3", place(cloud), -1).call("list_buckets", "listing")
    assert caught.value.reason is Reason.TIMEOUT


def test_boto3_is_loaded_only_when_something_of_the_cloud_is_asked() -> None:
    program = "import sys, maintenancebot.app, maintenancebot.catalog; print({'boto3', 'botocore'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_within_gives_what_the_work_gives_and_raises_what_it_raises() -> None:
    assert remote.within(10, lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        remote.within(10, lambda: 1 // 0)
    never = threading.Event()
    with pytest.raises(AwsError, match="no end after 0 seconds"):
        remote.within(0.01, never.wait)
    never.set()


def test_no_secret_is_in_any_error(cloud: Cloud) -> None:
    for fault in ("throttled", "expired", "denied", "500", "garbage"):
        cloud.faults["s3"] = fault
        with pytest.raises(AwsError) as caught:
            buckets(cloud)
        assert KEY_ID not in repr(caught.value)
        assert SECRET not in repr(caught.value)
