"""Instances of EC2 become hosts; what a region does not tell makes the answer partial, never shorter in silence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from maintenancebot.inventory_sources import Ec2Source
from maintenancebot.remote import aws as remote
from maintenancebot.sources import aws_ec2
from maintenancebot.sources.listing import SourceError
from tests.fakes.aws import Cloud, aws, given

IMAGE, WINDOWS = "ami-04681a1dbd79675a5", "ami-12c6146b"  # such that moto knows
REGIONS = ("eu-central-1", "eu-west-1", "us-east-1")


@pytest.fixture(scope="module")
def moto() -> Iterator[Cloud]:
    with aws() as cloud:
        yield cloud


@pytest.fixture
def cloud(moto: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    cloud = given(moto, monkeypatch)
    monkeypatch.setattr(remote, "READ_SECONDS", 15)  # moto needs a while for hundreds of instances
    return cloud


def launch(cloud: Cloud, region: str, count: int = 1, image: str = IMAGE, **tags: str) -> list[dict[str, Any]]:
    ec2 = cloud.client("ec2", region)
    tags = tags or {"made": "here"}
    specification = [{"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}]
    made = ec2.run_instances(ImageId=image, MinCount=count, MaxCount=count, TagSpecifications=specification)
    return list(made["Instances"])


def source(cloud: Cloud, **more: Any) -> Ec2Source:
    return Ec2Source(type="aws_ec2", endpoint=cloud.address, **{"regions": REGIONS, "timeout": 20, **more})


def test_five_hundred_instances_over_three_regions_are_five_hundred_hosts(cloud: Cloud) -> None:
    for region, count in zip(REGIONS, (200, 200, 100), strict=True):
        launch(cloud, region, count, Role="web")
    found = aws_ec2.read(source(cloud, group_tags=["Role"]))
    assert len({host.name for host in found.hosts}) == 500
    assert {host.groups for host in found.hosts} == {("Role_web",)}
    assert (found.problems, found.partial) == ((), False)


def test_a_host_has_its_names_tag_address_labels_and_identity(cloud: Cloud) -> None:
    (made,) = launch(cloud, "eu-west-1", Name="web-1", Role="shop front", odd="x")
    (host,) = aws_ec2.read(source(cloud, group_tags=["Role", "none"], user="admin")).hosts
    assert (host.name, host.groups) == ("web-1", ("Role_shop_front",))
    labels = host.values["labels"]
    assert (labels["region"], labels["Role"], labels["odd"]) == ("eu-west-1", "shop front", "x")
    assert labels["image"]
    assert {key: value for key, value in host.values.items() if key != "labels"} == {
        "address": made["PrivateIpAddress"], "cloud": "aws", "cloud_id": made["InstanceId"], "user": "admin",
    }  # fmt: skip


def test_only_running_instances_that_fit_the_filters_are_hosts(cloud: Cloud) -> None:
    launch(cloud, "eu-west-1", Name="prod", env="prod")
    launch(cloud, "eu-west-1", Name="test", env="test")
    (stopped,) = launch(cloud, "eu-west-1", Name="off", env="prod")
    cloud.client("ec2", "eu-west-1").stop_instances(InstanceIds=[stopped["InstanceId"]])
    found = aws_ec2.read(source(cloud, filters={"tag:env": ("prod",)}))
    assert [host.name for host in found.hosts] == ["prod"]


def test_a_name_that_repeats_or_is_none_gives_way_to_the_id(cloud: Cloud) -> None:
    made = launch(cloud, "eu-west-1", 2, Name="web") + launch(cloud, "eu-west-1", Name="not a name!")
    found = aws_ec2.read(source(cloud))
    assert {host.name for host in found.hosts} == {one["InstanceId"] for one in made}


def test_an_instance_without_the_wanted_address_is_left_out_and_named(cloud: Cloud, monkeypatch: Any) -> None:
    (made,) = launch(cloud, "eu-west-1", Name="web-1")
    asked = aws_ec2._ask

    def without(*words: Any) -> list[aws_ec2.Row]:
        return [(region, {**row, "PublicIpAddress": None}) for region, row in asked(*words)]

    monkeypatch.setattr(aws_ec2, "_ask", without)
    found = aws_ec2.read(source(cloud, address="public_ip"))
    assert found.hosts == ()
    assert found.problems == (f"without a public_ip, left out: {made['InstanceId']}",)


def test_windows_is_left_out_and_counted(cloud: Cloud) -> None:
    launch(cloud, "eu-west-1", 2, image=WINDOWS)
    found = aws_ec2.read(source(cloud))
    assert (found.hosts, found.problems) == ((), ("2 instances with Windows are left out",))


FAULTS = {
    "throttled": "throttled: too many requests",
    "expired": "the credentials have expired",
    "denied": "access denied",
    "garbage": "what came is no answer",
    "hang": "no end after 8 seconds",
}


def test_a_region_that_fails_makes_the_answer_partial(cloud: Cloud, subtests: Any) -> None:
    for region in REGIONS:
        launch(cloud, region)
    for fault, said in FAULTS.items():
        with subtests.test(fault):
            cloud.faults["ec2/us-east-1"] = fault
            found = aws_ec2.read(source(cloud, timeout=8))
            assert (len(found.hosts), found.partial) == (2, True)
            assert len(found.problems) == 1
            assert found.problems[0].startswith("listing the instances of us-east-1: ")
            assert said in found.problems[0]


def test_no_region_at_all_is_an_error_of_the_source(cloud: Cloud) -> None:
    cloud.faults["ec2"] = "expired"
    with pytest.raises(SourceError, match=r"eu-central-1: the credentials have expired; .*us-east-1"):
        aws_ec2.read(source(cloud))
