"""Backups with a cloud: what is fresh and whole passes with its level, nothing else does, and what fails is unknown."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moto.ec2.models import ec2_backends
from moto.rds.models import rds_backends

from maintenancebot.model import Finding, Host
from maintenancebot.probes import cloud_backups, cloud_objects
from maintenancebot.remote import aws as remote
from maintenancebot.settings import Settings
from maintenancebot.settings.tasks import VerifyTask
from tests.fakes.aws import ACCOUNT, KEY_ID, REGION, SECRET, Cloud, aws, given

BUCKET = "backups-of-a-test"
HOST = Host("db-1", "192.0.2.1")
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
VOLUME = "arn:aws:ec2:eu-west-1:123456789012:volume/vol-1"
DUMP = b"-- MySQL dump\nCREATE TABLE `orders` (id int);\nINSERT INTO `orders` VALUES (1);\n-- Dump completed\n"


@pytest.fixture(scope="module")
def running() -> Iterator[Cloud]:
    with aws() as cloud:
        yield cloud


@pytest.fixture
def cloud(running: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    return given(running, monkeypatch)


@pytest.fixture
def s3(cloud: Cloud) -> Any:
    client = cloud.client("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    return client


def look(cloud: Cloud, later: timedelta = timedelta(), host: Host = HOST, **source: Any) -> Finding:
    """The finding for a source, `later` than now."""
    place = {"endpoint": cloud.address, "region": REGION}
    task = {"name": "b", "type": "verify", "check": "backup_completed_within_24h", "sources": [{**place, **source}]}
    (loaded,) = Settings.model_validate({"tasks": [task]}).tasks
    assert isinstance(loaded, VerifyTask)
    return cloud_backups.look(loaded, 0, loaded.sources[0], host, datetime.now(UTC) + later)


def look_s3(cloud: Cloud, later: timedelta = timedelta(), host: Host = HOST, **source: Any) -> dict[str, Any]:
    given = {"type": "s3", "bucket": BUCKET, "key": "{host}/*.sql.gz", **source}
    return dict(look(cloud, later, host, **given).data)


def put(s3: Any, key: str = "db-1/a.sql.gz", body: bytes = gzip.compress(DUMP), **more: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key=key, Body=body, **more)


def said(data: dict[str, Any]) -> tuple[str, str, str]:
    return data["verdict"], data["reason"], data["level"]


OK = ("ok", "fresh", "complete")


def test_a_good_object_passes_with_its_level_and_evidence(cloud: Cloud, s3: Any) -> None:
    body = gzip.compress(DUMP)
    put(s3, body=body, ChecksumAlgorithm="SHA256")
    found = look(cloud, type="s3", bucket=BUCKET, key="{host}/*.sql.gz")
    assert (found.task, found.kind, found.subject) == ("b", "backup", f"s3://{BUCKET}/db-1/*.sql.gz")
    assert set(found.data) == {
        *("source", "path", "verdict", "reason", "detail", "level", "evidence", "others", "links", "notes", "count"),
    }
    assert said(dict(found.data)) == OK
    evidence = found.data["evidence"]
    assert (evidence["path"], evidence["size"], evidence["age_hours"]) == (
        f"s3://{BUCKET}/db-1/a.sql.gz",
        len(body),
        0.0,
    )
    assert evidence["checksum"] == "SHA256:" + base64.b64encode(hashlib.sha256(body).digest()).decode()
    assert json.loads(json.dumps(found.data)) == found.data


def test_what_is_read_to_its_end_is_readable(cloud: Cloud, s3: Any) -> None:
    put(s3)
    data = look_s3(cloud, read=True, contains=["orders"])
    assert said(data) == ("ok", "fresh", "readable")
    assert (data["evidence"]["content"], data["evidence"]["entries"]) == ("mysqldump", 1)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (gzip.compress(b""), "empty"),
        (gzip.compress(DUMP)[:-8], "damaged"),
        (gzip.compress(DUMP[:-20]), "damaged"),
        (gzip.compress(DUMP) + bytes(4096), "damaged"),
        (b"not gzip at all", "damaged"),
    ],
)
def test_what_is_not_whole_does_not_pass(cloud: Cloud, s3: Any, body: bytes, reason: str) -> None:
    put(s3, body=body)
    data = look_s3(cloud, read=True)
    assert (data["verdict"], data["reason"]) == ("bad", reason)


def test_what_must_be_in_it_is_looked_for(cloud: Cloud, s3: Any) -> None:
    put(s3)
    data = look_s3(cloud, contains=["orders", "customers"])
    assert said(data) == ("bad", "wrong_content", "complete")
    assert data["detail"] == "nothing in it fits customers"


def test_what_a_format_does_not_show_is_not_known(cloud: Cloud, s3: Any) -> None:
    put(s3, body=gzip.compress(b"PGDMP\1\xe0" + bytes(range(200))))
    assert said(look_s3(cloud, contains=["orders"])) == ("unknown", "lacks", "complete")


def test_members_of_a_tar_are_looked_for(cloud: Cloud, s3: Any) -> None:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        member = tarfile.TarInfo("./etc/passwd")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"root"))
    put(s3, "db-1/etc.tar.gz", held.getvalue())
    assert look_s3(cloud, key="{host}/*.tar.gz", contains=["etc/passwd"])["level"] == "readable"


def test_content_that_does_not_tell_its_end_stays_complete(cloud: Cloud, s3: Any) -> None:
    put(s3, "db-1/a.gpg", b"\x85\x02\x0c\x03 encrypted")
    data = look_s3(cloud, key="{host}/*.gpg", read=True)
    assert said(data) == OK
    assert "whether that was the end" in data["notes"][0]


def test_more_than_one_check_may_read_is_told(cloud: Cloud, s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud_objects, "READ_BYTES", 20)
    put(s3)
    assert said(look_s3(cloud, read=True)) == OK
    assert said(look_s3(cloud, contains=["orders"])) == ("unknown", "unreadable", "complete")


def test_an_upload_that_never_completed_does_not_pass(cloud: Cloud, s3: Any) -> None:
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="db-1/b.sql.gz")["UploadId"]
    s3.upload_part(Bucket=BUCKET, Key="db-1/b.sql.gz", PartNumber=1, UploadId=upload, Body=b"half")
    cloud.upload_began = datetime.now(UTC) - 5 * HOUR
    data = look_s3(cloud)
    assert said(data) == ("bad", "incomplete", "none")
    assert "b.sql.gz is an upload that began 5.0 hours ago and has not been completed" in data["detail"]


def test_an_upload_beside_an_old_copy_does_not_pass(cloud: Cloud, s3: Any) -> None:
    put(s3)
    s3.create_multipart_upload(Bucket=BUCKET, Key="db-1/b.sql.gz")
    cloud.upload_began = datetime.now(UTC) + 20 * HOUR
    assert said(look_s3(cloud, 30 * HOUR)) == ("bad", "incomplete", "exists")
    assert said(look_s3(cloud, 20.5 * HOUR)) == OK
    cloud.upload_began = datetime.now(UTC) + 29.5 * HOUR
    assert said(look_s3(cloud, 30 * HOUR)) == ("bad", "being_written", "exists")


def test_an_upload_of_another_key_means_nothing(cloud: Cloud, s3: Any) -> None:
    put(s3)
    s3.create_multipart_upload(Bucket=BUCKET, Key="db-1/video.mp4")
    cloud.upload_began = datetime.now(UTC) + HOUR
    assert look_s3(cloud)["notes"] == []


def test_a_completed_upload_in_parts_passes_although_its_etag_is_no_digest(cloud: Cloud, s3: Any) -> None:
    half = [gzip.compress(DUMP) * 60_000, gzip.compress(DUMP)]
    assert len(half[0]) > 5 * 2**20
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="db-1/a.sql.gz")["UploadId"]
    more = {"Bucket": BUCKET, "Key": "db-1/a.sql.gz", "UploadId": upload}
    parts = [
        {"PartNumber": n, "ETag": s3.upload_part(PartNumber=n, Body=body, **more)["ETag"]}
        for n, body in enumerate(half, 1)
    ]
    s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **more)
    data = look_s3(cloud, read=True)
    assert said(data) == ("ok", "fresh", "readable")
    assert data["evidence"]["size"] == sum(map(len, half))


@pytest.mark.parametrize("suffix", [".part", ".tmp", ".md5", ".sha256", ".PARTIAL"])
def test_names_of_what_is_no_copy_are_left_aside(cloud: Cloud, s3: Any, suffix: str) -> None:
    put(s3, f"db-1/a.sql.gz{suffix}")
    data = look_s3(cloud, key="{host}/*")
    assert said(data) == ("bad", "missing", "none")
    assert data["notes"] == [f"left aside: a.sql.gz{suffix}"]


@pytest.mark.parametrize(
    ("key", "later", "reason"),
    [
        ("db-1/a.sql.gz", 2 * DAY, "stale"),
        ("db-1/a-2020-01-01.sql.gz", timedelta(), "stale"),  # copied today, made long ago
        ("db-1/a-2099-01-01.sql.gz", timedelta(), "future_dated"),
        ("db-1/a.sql.gz", -DAY, "future_dated"),
    ],
)
def test_the_most_pessimistic_time_counts(cloud: Cloud, s3: Any, key: str, later: timedelta, reason: str) -> None:
    put(s3, key)
    data = look_s3(cloud, later)
    assert (data["verdict"], data["reason"]) == ("bad", reason)


def test_a_date_in_a_name_is_read_in_utc_and_on_the_hosts_clock(cloud: Cloud, s3: Any) -> None:
    made = datetime.now(UTC).replace(minute=30) - 22 * HOUR
    put(s3, f"db-1/a-{made:%Y%m%d-%H%M}.sql.gz")
    east = Host("db-1", "192.0.2.1", timezone="Asia/Tokyo")
    assert look_s3(cloud)["verdict"] == "ok"
    assert look_s3(cloud, host=east)["reason"] == "stale"


def test_a_backup_of_today_dated_today_passes(cloud: Cloud, s3: Any) -> None:
    put(s3, f"db-1/a-{datetime.now(UTC):%Y-%m-%d}.sql.gz")
    assert said(look_s3(cloud)) == OK


@pytest.mark.parametrize(
    ("glob", "fitting", "others"),
    [
        ("{host}/*.sql.gz", "db-1/a.sql.gz", ["db-2/a.sql.gz", "db-1/x/a.sql.gz", "db-11/a.sql.gz", "xdb-1/a.sql.gz"]),
        ("**/{host}-*.gz", "y/z/db-1-a.gz", ["db-2-a.gz", "y/xdb-1-a.gz"]),
        ("x/[ab]?.gz", "x/a1.gz", ["x/c1.gz", "x/a11.gz", "x/a/.gz"]),
        ("x/[!a].gz", "x/b.gz", ["x/a.gz"]),
        ("a+(b)/c.gz", "a+(b)/c.gz", ["aab/c.gz"]),
        ("{host}/*.gz", "db-1/<!channel>\n\r\u2028 \udcff.gz", ["db-1/a.gz\n"]),
    ],
)
def test_globs_of_keys(glob: str, fitting: str, others: list[str]) -> None:
    pattern = cloud_objects.KeyPattern(glob, HOST)
    assert pattern.fits(fitting)
    assert fitting.startswith(pattern.prefix)
    assert [key for key in others if pattern.fits(key)] == []


@pytest.mark.parametrize("name", ["db.1", "db*", "db[12]", "db\\1", "d?"])
def test_nothing_of_a_hosts_name_is_a_pattern(name: str) -> None:
    pattern = cloud_objects.KeyPattern("{host}/*.gz", Host(name, "192.0.2.1"))
    assert pattern.fits(f"{name}/a.gz")
    assert not any(pattern.fits(f"{other}/a.gz") for other in ("dbx1", "dbx", "db1", "dx", "db"))
    assert pattern.prefix == f"{name}/"


def test_another_hosts_backup_does_not_count(cloud: Cloud, s3: Any) -> None:
    put(s3, "db-11/a.sql.gz")
    assert said(look_s3(cloud)) == ("bad", "missing", "none")


def test_keys_of_more_than_one_page_and_odd_names_are_all_seen(
    cloud: Cloud, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "10")
    for number in range(25):
        put(s3, f"db-1/a-{number:04}.sql.gz", b"x")
    put(s3, "db-1/<!channel> %00 \u2028.sql.gz")
    data = look_s3(cloud)
    assert said(data) == OK
    assert len(data["others"]) <= 10
    assert "kinds of names fit" in data["notes"][0]


def test_more_objects_than_one_look_may_list_are_unknown(
    cloud: Cloud, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "MOST_ROWS", 1)
    put(s3)
    put(s3, "db-1/b.sql.gz")
    assert said(look_s3(cloud)) == ("unknown", "over_cap", "none")


def test_a_small_object_is_no_backup(cloud: Cloud, s3: Any) -> None:
    put(s3)
    assert said(look_s3(cloud, min_bytes="1 MiB")) == ("bad", "too_small", "fresh")


@pytest.mark.parametrize("storage", ["GLACIER", "DEEP_ARCHIVE"])
def test_an_archived_object_is_told_and_never_claimed_to_be_read(cloud: Cloud, s3: Any, storage: str) -> None:
    put(s3, StorageClass=storage)
    data = look_s3(cloud)
    assert said(data) == OK
    assert data["notes"] == [f"it lies in {storage} and cannot be read without a restore"]
    assert said(look_s3(cloud, read=True)) == ("unknown", "archived", "complete")


def test_an_archived_object_that_was_restored_is_read(cloud: Cloud, s3: Any) -> None:
    put(s3, StorageClass="GLACIER")
    s3.restore_object(Bucket=BUCKET, Key="db-1/a.sql.gz", RestoreRequest={"Days": 1})
    assert said(look_s3(cloud, read=True)) == ("ok", "fresh", "readable")


def test_a_deleted_copy_is_told(cloud: Cloud, s3: Any) -> None:
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    put(s3)
    s3.delete_object(Bucket=BUCKET, Key="db-1/a.sql.gz")
    data = look_s3(cloud)
    assert said(data) == ("bad", "missing", "none")
    assert "was deleted at" in data["detail"]


def test_a_missing_bucket_is_missing(cloud: Cloud) -> None:
    assert look_s3(cloud)["detail"] == "there is no such bucket"


def test_an_object_that_is_replaced_while_it_is_read_is_being_written(
    cloud: Cloud, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(s3)
    true_head = cloud_objects._head

    def head(bucket: Any, row: Any) -> Any:
        answer = true_head(bucket, row)
        put(s3, body=b"another")
        return answer

    monkeypatch.setattr(cloud_objects, "_head", head)
    assert said(look_s3(cloud, read=True)) == ("bad", "being_written", "complete")


# RDS


def drop_automated() -> None:
    """moto makes an automated snapshot of each new database, also where none are kept."""
    snapshots = rds_backends[ACCOUNT][REGION].database_snapshots
    for name in [name for name in snapshots if name.startswith("rds:")]:
        del snapshots[name]


@pytest.fixture
def rds(cloud: Cloud) -> Any:
    client = cloud.client("rds")
    more = {"MasterUsername": "admin", "MasterUserPassword": "not-a-secret"}
    client.create_db_instance(
        DBInstanceIdentifier="orders",
        DBInstanceClass="db.t3.micro",
        Engine="postgres",
        AllocatedStorage=20,
        StorageEncrypted=True,
        BackupRetentionPeriod=0,
        **more,
    )
    client.create_db_cluster(DBClusterIdentifier="shop", Engine="aurora-postgresql", BackupRetentionPeriod=1, **more)
    drop_automated()
    return client


def test_a_snapshot_of_a_database_passes(cloud: Cloud, rds: Any) -> None:
    rds.create_db_snapshot(DBInstanceIdentifier="orders", DBSnapshotIdentifier="manual-1")
    data = dict(look(cloud, type="rds", instance="orders").data)
    assert said(data) == OK
    assert data["evidence"]["encrypted"] is True
    assert said(dict(look(cloud, 2 * DAY, type="rds", instance="orders").data)) == ("bad", "stale", "exists")


def test_the_latest_restorable_time_counts_where_backups_are_kept(cloud: Cloud, rds: Any) -> None:
    rds.modify_db_instance(DBInstanceIdentifier="orders", BackupRetentionPeriod=7, ApplyImmediately=True)
    rds.create_db_snapshot(DBInstanceIdentifier="orders", DBSnapshotIdentifier="manual-1")
    evidence = look(cloud, type="rds", instance="orders").data["evidence"]
    assert evidence["time_from"] == "its latest restorable time"
    assert evidence["snapshot"]["path"].startswith(("manual-1", "rds:orders"))


def test_a_database_of_another_name_does_not_count(cloud: Cloud, rds: Any) -> None:
    rds.create_db_snapshot(DBInstanceIdentifier="orders", DBSnapshotIdentifier="manual-1")
    data = dict(look(cloud, type="rds", instance="orders-2").data)
    assert said(data) == ("bad", "missing", "none")
    assert data["detail"] == "there is no instance orders-2; 0 snapshots of that name are left"


def test_a_snapshot_of_an_earlier_database_of_the_same_name_does_not_count(cloud: Cloud, rds: Any) -> None:
    rds.create_db_snapshot(DBInstanceIdentifier="orders", DBSnapshotIdentifier="manual-1")
    rds.delete_db_instance(DBInstanceIdentifier="orders", SkipFinalSnapshot=True)
    assert "1 snapshots of that name" in look(cloud, type="rds", instance="orders").data["detail"]
    rds.create_db_instance(
        DBInstanceIdentifier="orders", DBInstanceClass="db.t3.micro", Engine="postgres", BackupRetentionPeriod=0
    )
    drop_automated()
    rds_backends[ACCOUNT][REGION].databases["orders"].dbi_resource_id = "db-ANOTHER"
    data = dict(look(cloud, type="rds", instance="orders").data)
    assert said(data) == ("bad", "missing", "none")
    assert data["notes"] == ["1 snapshots are of an earlier instance of that name"]


def test_a_cluster_and_the_hosts_name_in_its_identifier(cloud: Cloud, rds: Any) -> None:
    rds.create_db_cluster_snapshot(DBClusterIdentifier="shop", DBClusterSnapshotIdentifier="manual-1")
    data = dict(look(cloud, host=Host("shop", "192.0.2.1"), type="rds", cluster="{host}").data)
    assert said(data) == OK
    assert data["path"] == "rds cluster shop"


@pytest.mark.parametrize(("status", "reason"), [("creating", "being_written"), ("failed", "incomplete")])
def test_a_snapshot_that_is_not_available_is_none(
    cloud: Cloud, rds: Any, status: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rds.create_db_snapshot(DBInstanceIdentifier="orders", DBSnapshotIdentifier="manual-1")
    snapshot = rds_backends[ACCOUNT][REGION].database_snapshots["manual-1"]
    monkeypatch.setattr(snapshot, "status", status)
    data = dict(look(cloud, type="rds", instance="orders").data)
    assert said(data) == ("bad", reason, "none")
    assert data["detail"] == f"there is no snapshot; manual-1 is '{status}', not complete"


# EBS


@pytest.fixture
def ec2(cloud: Cloud) -> Any:
    return cloud.client("ec2")


def volume(ec2: Any, **tags: str) -> str:
    rows = [{"Key": key, "Value": value} for key, value in tags.items()]
    specified = [{"ResourceType": "volume", "Tags": rows}] if rows else []
    return str(ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=1, TagSpecifications=specified)["VolumeId"])


def test_every_volume_must_have_its_snapshot(cloud: Cloud, ec2: Any) -> None:
    first, second = volume(ec2), volume(ec2)
    ec2.create_snapshot(VolumeId=first)
    data = dict(look(cloud, type="ebs", volumes=[first, second]).data)
    assert said(data) == ("bad", "missing", "none")
    assert data["detail"] == f"{second}: there is no snapshot"
    ec2.create_snapshot(VolumeId=second)
    data = dict(look(cloud, type="ebs", volumes=[first, second]).data)
    assert said(data) == OK
    assert set(data["evidence"]["volumes"]) == {first, second}
    assert look(cloud, 2 * DAY, type="ebs", volumes=[first, second]).data["reason"] == "stale"


def test_a_snapshot_of_another_account_does_not_count(cloud: Cloud, ec2: Any) -> None:
    only = volume(ec2)
    ec2.create_snapshot(VolumeId=only)
    look(cloud, type="ebs", volumes=[only])
    assert any(b"Action=DescribeSnapshots" in body and b"Owner.1=self" in body for body in cloud.bodies)  # moto has one


def test_volumes_by_their_tags_without_wildcards(cloud: Cloud, ec2: Any) -> None:
    mine, other = volume(ec2, host="db-1", role="a*"), volume(ec2, host="db-1", role="abc")
    ec2.create_snapshot(VolumeId=mine)
    data = dict(look(cloud, type="ebs", tags={"host": "{host}", "role": "a*"}).data)
    assert said(data) == OK
    assert other not in data["evidence"]["volumes"]
    assert look(cloud, type="ebs", tags={"host": "db-2"}).data["detail"] == "no volume has these tags"


def test_a_volume_that_is_gone_is_missing(cloud: Cloud, ec2: Any) -> None:
    assert look(cloud, type="ebs", volumes=["vol-12345678"]).data["detail"] == "there is no volume vol-12345678"


@pytest.mark.parametrize(("state", "reason"), [("pending", "being_written"), ("error", "incomplete")])
def test_a_snapshot_that_is_not_completed_is_none(cloud: Cloud, ec2: Any, state: str, reason: str) -> None:
    only = volume(ec2)
    snapshot = ec2.create_snapshot(VolumeId=only)["SnapshotId"]
    ec2_backends[ACCOUNT][REGION].snapshots[snapshot].status = state
    assert said(dict(look(cloud, type="ebs", volumes=[only]).data)) == ("bad", reason, "none")


# AWS Backup


def points(cloud: Cloud, *rows: tuple[str, float, str]) -> None:
    """Recovery points: status, age in hours, vault."""
    cloud.points = [
        {
            "ResourceArn": VOLUME,
            "RecoveryPointArn": f"arn:aws:ec2:eu-west-1::snapshot/snap-{number}",
            "CreationDate": datetime.now(UTC) - age * HOUR,
            "Status": status,
            "BackupVaultName": vault,
            "BackupSizeBytes": 4096,
            "IsParent": False,
        }
        for number, (status, age, vault) in enumerate(rows)
    ]


def look_points(cloud: Cloud, **source: Any) -> dict[str, Any]:
    return dict(look(cloud, type="aws_backup", resource=VOLUME, **source).data)


def test_a_recovery_point_passes(cloud: Cloud) -> None:
    points(cloud, *[("COMPLETED", 80 - age, "daily") for age in range(0, 79, 10)])
    data = look_points(cloud)
    assert said(data) == OK
    assert data["evidence"]["age_hours"] == 10.0
    assert data["evidence"]["size"] == 4096


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("PARTIAL", "incomplete"),
        ("EXPIRED", "incomplete"),
        ("STOPPED", "incomplete"),
        ("DELETING", "incomplete"),
        ("CREATING", "being_written"),
        ("A_NEW_WORD", "incomplete"),
    ],
)
def test_a_point_of_another_status_is_none(cloud: Cloud, status: str, reason: str) -> None:
    points(cloud, (status, 1, "daily"), ("COMPLETED", 30, "daily"))
    assert said(look_points(cloud)) == ("bad", reason, "exists")


def test_only_the_vault_counts_that_is_named(cloud: Cloud) -> None:
    points(cloud, ("COMPLETED", 1, "daily"), ("COMPLETED", 40, "far"))
    assert look_points(cloud, vault="daily")["verdict"] == "ok"
    assert look_points(cloud, vault="far")["reason"] == "stale"
    assert look_points(cloud, vault="none")["detail"] == "there is no recovery point in none"


# what fails is unknown


def test_an_answer_that_makes_us_stumble_spoils_its_own_source_alone(
    cloud: Cloud, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(s3)
    monkeypatch.setattr(remote.Service, "call", lambda *_, **__: {"ETag": None})
    assert said(look_s3(cloud)) == ("unknown", "garbled", "fresh")


SOURCES: list[tuple[str, dict[str, Any]]] = [
    ("s3", {"type": "s3", "bucket": BUCKET, "key": "a*"}),
    ("rds", {"type": "rds", "instance": "orders"}),
    ("ec2", {"type": "ebs", "volumes": ["vol-12345678"]}),
    ("backup", {"type": "aws_backup", "resource": VOLUME}),
]


@pytest.mark.parametrize(
    ("fault", "reasons"),
    [
        ("throttled", {"tool_failed"}),
        ("many", {"tool_failed"}),
        ("expired", {"credentials"}),
        ("denied", {"credentials"}),
        ("500", {"tool_failed"}),
        ("hang", {"timeout"}),
        ("cut", {"unreachable", "garbled", "tool_failed"}),
        ("garbage", {"garbled", "tool_failed"}),  # of a strange answer of S3, boto3 makes a 500
        ("page", {"garbled"}),
    ],
)
@pytest.mark.parametrize(("service", "source"), SOURCES, ids=[one for one, _ in SOURCES])
def test_what_fails_is_unknown_with_its_reason(
    cloud: Cloud, service: str, source: dict[str, Any], fault: str, reasons: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.faults[service] = fault
    if fault == "hang":
        monkeypatch.setattr(remote, "READ_SECONDS", 1)
    data = look(cloud, **source).data
    assert (data["verdict"], data["level"]) == ("unknown", "none")
    assert data["reason"] in reasons, data
    assert KEY_ID not in str(data)
    assert SECRET not in str(data)


def test_ten_megabytes_of_something_else_are_no_answer(cloud: Cloud) -> None:
    cloud.faults["rds"] = "flood"
    data = look(cloud, type="rds", instance="orders").data
    assert (data["verdict"], data["reason"]) == ("unknown", "garbled")


def test_bytes_that_differ_from_the_stored_checksum_are_damaged(cloud: Cloud, s3: Any) -> None:
    put(s3, "db-1/a.bin", b"encrypted, so that nothing else would tell")
    cloud.flips = True
    data = look_s3(cloud, key="{host}/*.bin", read=True)
    assert said(data) == ("bad", "damaged", "complete")
    assert "the bytes are not those of the stored checksum" in data["detail"]


@pytest.mark.parametrize(("service", "source"), SOURCES, ids=[one for one, _ in SOURCES])
def test_an_answer_that_comes_byte_by_byte_ends(
    cloud: Cloud, service: str, source: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.faults[service] = "dribble"
    monkeypatch.setattr(cloud_backups, "LOOK_SECONDS", 1)
    data = look(cloud, **source).data
    assert (data["verdict"], data["reason"], data["detail"]) == ("unknown", "timeout", "no end after 1 seconds")


def test_uploads_that_cannot_be_listed_leave_the_level_at_fresh(
    cloud: Cloud, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(s3)
    true_rows = remote.Service.rows

    def rows(self: Any, operation: str, *words: Any, **more: Any) -> Any:
        if operation == "list_multipart_uploads":
            cloud.faults["s3"] = "denied"
        yield from true_rows(self, operation, *words, **more)

    def uploads(bucket: Any) -> Any:
        try:
            return true_uploads(bucket)
        finally:
            cloud.faults.clear()

    true_uploads = cloud_objects._uploads
    monkeypatch.setattr(remote.Service, "rows", rows)
    monkeypatch.setattr(cloud_objects, "_uploads", uploads)
    data = look_s3(cloud)
    assert said(data) == ("ok", "fresh", "fresh")
    assert "access denied: whether a newer copy is on its way is not known" in data["notes"][0]


def test_a_broken_stream_is_taken_up_where_it_broke(cloud: Cloud, s3: Any) -> None:
    noise = b"".join(hashlib.sha256(bytes([n % 256, n // 256])).digest() for n in range(20_000))
    body = gzip.compress(b"-- noise\n" + noise)
    put(s3, body=body)
    cloud.breaks = [100_000, 300_000]
    assert said(look_s3(cloud, read=True)) == ("ok", "fresh", "readable")
    assert cloud.breaks == []
    cloud.breaks = [100_000] * 9
    assert said(look_s3(cloud, read=True)) == ("unknown", "unreachable", "complete")
