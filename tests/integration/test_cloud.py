"""The installed command looks at what lies with AWS, through a host of the inventory that is this machine."""

from __future__ import annotations

import gzip
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.acceptance.command import COMMAND, Answer
from tests.fakes.aws import ENVIRONMENT, KEY_ID, REGION, SECRET, Cloud, aws, bring

BUCKET = "backups-of-a-test"
DUMP = b"-- MySQL dump\nCREATE TABLE `orders` (id int);\nINSERT INTO `orders` VALUES (1);\n-- Dump completed\n"
VOLUME = "arn:aws:ec2:eu-west-1:123456789012:volume/vol-1"


@pytest.fixture(scope="module")
def running() -> Iterator[Cloud]:
    with aws() as cloud:
        yield cloud


@pytest.fixture
def cloud(running: Cloud) -> Cloud:
    """A bucket with a good copy and an upload that never ended, a database, a volume, a recovery point."""
    running.reset()
    s3 = running.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket=BUCKET, Key="clouds/orders.sql.gz", Body=gzip.compress(DUMP))
    s3.create_multipart_upload(Bucket=BUCKET, Key="clouds/huge.sql.gz")
    running.upload_began = datetime.now(UTC) - timedelta(hours=3)
    running.client("rds").create_db_instance(
        DBInstanceIdentifier="orders", DBInstanceClass="db.t3.micro", Engine="postgres", BackupRetentionPeriod=7
    )
    running.points = [
        {
            "ResourceArn": VOLUME,
            "RecoveryPointArn": "arn:aws:ec2:eu-west-1::snapshot/snap-1",
            "CreationDate": datetime.now(UTC) - timedelta(hours=2),
            "Status": "COMPLETED",
            "BackupVaultName": "daily",
        }
    ]
    return running


def dry_run(cloud: Cloud, folder: Path, *tasks: dict[str, Any]) -> Answer:
    """A dry run with these tasks on a host that stands for the clouds."""
    (folder / "config.yaml").write_text(yaml.safe_dump({"tasks": tasks}))
    (folder / "hosts.yaml").write_text(yaml.safe_dump({"hosts": {"clouds": {"connection": "local"}}}))
    argv = [COMMAND, "--config", folder / "config.yaml", "--inventory", folder / "hosts.yaml"]
    argv += ["--state-dir", folder / "state", "dry-run", "--json"]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MAINTENANCEBOT_"))}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, env={**env, **ENVIRONMENT})
    assert SECRET not in done.stdout + done.stderr
    assert KEY_ID not in done.stdout + done.stderr
    return Answer(done.returncode, done.stdout, done.stderr)


def verify(cloud: Cloud, *sources: dict[str, Any]) -> dict[str, Any]:
    place = {"endpoint": cloud.address, "region": REGION}
    check = "backup_completed_within_24h"
    return {"name": "backups", "type": "verify", "check": check, "sources": [{**place, **one} for one in sources]}


GOOD = {"type": "s3", "name": "orders", "bucket": BUCKET, "key": "{host}/orders*.gz", "read": True}
HUGE = {"type": "s3", "name": "huge", "bucket": BUCKET, "key": "{host}/huge*.gz"}
DATABASE = {"type": "rds", "name": "database", "instance": "orders"}
POINT = {"type": "aws_backup", "name": "point", "resource": VOLUME}


def sources(answer: Answer) -> dict[str, tuple[str, str, str]]:
    rows = answer.task("clouds", "backups")["facts"]["sources"]
    return {row["source"]: (row["state"], row["reason"], row["level"]) for row in rows}


def test_good_backups_pass_with_their_levels(cloud: Cloud, tmp_path: Path) -> None:
    answer = dry_run(cloud, tmp_path, verify(cloud, GOOD, DATABASE, POINT))
    assert sources(answer) == {
        "orders": ("done", "fresh", "readable"),
        "database": ("done", "fresh", "complete"),
        "point": ("done", "fresh", "complete"),
    }
    assert (answer.code, answer.task("clouds", "backups")["state"]) == (0, "done")


def test_an_upload_that_never_ended_fails_the_task(cloud: Cloud, tmp_path: Path) -> None:
    answer = dry_run(cloud, tmp_path, verify(cloud, GOOD, HUGE))
    assert sources(answer) == {"orders": ("done", "fresh", "readable"), "huge": ("failed", "incomplete", "none")}
    assert (answer.code, answer.task("clouds", "backups")["reason"]) == (1, "incomplete")


def test_a_service_that_cannot_be_asked_is_unknown_beside_what_can(cloud: Cloud, tmp_path: Path) -> None:
    cloud.faults = {"rds": "throttled", "backup": "expired"}
    answer = dry_run(cloud, tmp_path, verify(cloud, GOOD, DATABASE, POINT))
    assert sources(answer) == {
        "orders": ("done", "fresh", "readable"),
        "database": ("unknown", "tool_failed", "none"),
        "point": ("unknown", "credentials", "none"),
    }
    assert (answer.code, answer.task("clouds", "backups")["state"]) == (1, "unknown")


def monitor(cloud: Cloud, *regions: str) -> dict[str, Any]:
    place = {"endpoint": cloud.address, "region": REGION, "regions": list(regions)}
    quiet: dict[str, Any] = {"files": [], "ports": [], "starttls_ports": {}}
    return {"name": "certs", "type": "monitor", "check": "certificate_expiry_days > 30", "acm": place, **quiet}


def test_certificates_of_the_cloud_are_judged_and_a_dead_region_is_said(cloud: Cloud, tmp_path: Path) -> None:
    bring(cloud, "shop.example", days=80)
    bring(cloud, "old.example", days=3, region="us-east-1")
    task = dry_run(cloud, tmp_path, monitor(cloud, REGION)).task("clouds", "certs")
    assert (task["state"], task["reason"]) == ("done", "valid"), task
    task = dry_run(cloud, tmp_path, monitor(cloud, REGION, "us-east-1")).task("clouds", "certs")
    assert (task["state"], task["reason"]) == ("failed", "expiring")
    cloud.faults = {"acm/us-east-1": "throttled"}
    task = dry_run(cloud, tmp_path, monitor(cloud, REGION, "us-east-1")).task("clouds", "certs")
    assert task["state"] == "unknown"
    assert "acm us-east-1: listing the certificates: throttled" in task["detail"]
    assert [one["names"] for one in task["facts"]["certificates"]] == [["shop.example", "www.shop.example"]]
