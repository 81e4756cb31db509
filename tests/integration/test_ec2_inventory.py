"""The installed command over an inventory of EC2, as a service that speaks like it answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fakes.aws import ENVIRONMENT, KEY_ID, SECRET, Cloud, aws

COMMAND = Path(sys.executable).parent / "maintenancebot"
REGIONS = ("eu-west-1", "us-east-1")


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with aws() as cloud:
        yield cloud


def hosts(cloud: Cloud, folder: Path) -> tuple[list[dict[str, Any]], list[str], str]:
    source = {"type": "aws_ec2", "endpoint": cloud.address, "regions": list(REGIONS), "group_tags": ["Role"]}
    (folder / "hosts.yaml").write_text(yaml.safe_dump({"sources": [{**source, "user": "admin"}]}))
    words = [COMMAND, "--inventory", folder / "hosts.yaml", "--state-dir", folder / "state", "hosts", "--json"]
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "MAINTENANCEBOT_"))}
    ended = subprocess.run(words, capture_output=True, text=True, env={**clean, **ENVIRONMENT}, timeout=120)
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    return document["hosts"], document["notes"], ended.stdout + ended.stderr


def test_instances_of_two_regions_are_hosts_and_a_region_that_fails_is_named(cloud: Cloud, tmp_path: Path) -> None:
    for region in REGIONS:
        tags = [{"Key": "Name", "Value": f"web-{region}"}, {"Key": "Role", "Value": "web"}]
        cloud.client("ec2", region).run_instances(
            ImageId="ami-04681a1dbd79675a5",
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
        )
    found, notes, _ = hosts(cloud, tmp_path)
    assert [(row["host"], row["groups"], row["cloud"], row["user"], row["source"]) for row in found] == [
        (f"web-{region}", ["Role_web"], "aws", "admin", "aws_ec2") for region in REGIONS
    ]
    assert notes == []
    cloud.faults["ec2/us-east-1"] = "expired"
    found, notes, said = hosts(cloud, tmp_path)
    assert [row["host"] for row in found] == ["web-eu-west-1"]
    assert notes == ["source aws_ec2: listing the instances of us-east-1: the credentials have expired"]
    assert KEY_ID not in said
    assert SECRET not in said
