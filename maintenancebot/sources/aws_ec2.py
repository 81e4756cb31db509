"""The running instances of Amazon EC2, all regions at once; a region that does not answer makes the answer partial."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from maintenancebot.inventory_file import HostName
from maintenancebot.inventory_sources import Ec2Source
from maintenancebot.model import Json
from maintenancebot.remote.aws import AwsError, Service, within
from maintenancebot.settings.values import NAME
from maintenancebot.sources.listing import Listed, Listing, SourceError

MOST_AT_ONCE = 8
IMAGES_AT_ONCE = 100
ADDRESSES = {
    "private_ip": "PrivateIpAddress",
    "public_ip": "PublicIpAddress",
    "private_dns": "PrivateDnsName",
    "public_dns": "PublicDnsName",
}

Row = tuple[str, Mapping[str, Json]]
"""A region and one of its instances."""


def read(source: Ec2Source) -> Listing:
    """The instances of all regions; raises SourceError when no region answers."""
    regions = source.regions or ((source.region,) if source.region else (None,))
    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        answers = list(pool.map(lambda region: _region(source, region), regions))
    failed = [answer for answer in answers if isinstance(answer, str)]
    if len(failed) == len(answers):
        raise SourceError("; ".join(failed))
    rows = [row for answer in answers if not isinstance(answer, str) for row in answer]
    hosts, problems = _hosts(source, rows)
    return Listing(hosts, (*failed, *problems), partial=bool(failed))


def _region(source: Ec2Source, region: str | None) -> list[Row] | str:
    """The instances of a region, with the name of their image; or why it gave none."""
    doing = f"listing the instances of {region or 'the usual region'}"
    try:
        return within(source.timeout, lambda: _ask(source, region, doing))
    except AwsError as error:
        return str(error) if str(error).startswith(doing) else f"{doing}: {error}"


def _ask(source: Ec2Source, region: str | None, doing: str) -> list[Row]:
    service = Service("ec2", source, source.timeout, region=region)
    filters = [{"Name": name, "Values": list(values)} for name, values in source.filters.items()]
    running = {"Name": "instance-state-name", "Values": ["running"]}
    reservations = service.rows("describe_instances", "Reservations", doing, Filters=[*filters, running])
    instances = [dict(instance) for reservation in reservations for instance in reservation["Instances"]]
    images = _images(service, sorted({str(instance.get("ImageId")) for instance in instances}))
    return [(service.region, {**one, "image": images.get(str(one.get("ImageId")), "")}) for one in instances]


def _images(service: Service, ids: Sequence[str]) -> dict[str, str]:
    """Names of images by id; what cannot be told is left out, since they only inform."""
    found = {}
    for start in range(0, len(ids), IMAGES_AT_ONCE):
        wanted = {"Name": "image-id", "Values": list(ids[start : start + IMAGES_AT_ONCE])}
        try:
            answer = service.call("describe_images", "asking for images", Filters=[wanted])
        except AwsError:
            continue
        found.update({str(image["ImageId"]): str(image.get("Name", "")) for image in answer.get("Images") or ()})
    return found


def _hosts(source: Ec2Source, rows: Sequence[Row]) -> tuple[tuple[Listed, ...], list[str]]:
    names = Counter(_wanted_name(source, row) for _, row in rows)
    hosts: list[Listed] = []
    without: list[str] = []
    windows = 0
    for region, row in rows:
        if str(row.get("Platform", "")).lower() == "windows":
            windows += 1
            continue
        name, identity = _wanted_name(source, row), str(row["InstanceId"])
        listed = _listed(source, region, row, name if name and names[name] == 1 else identity)
        if listed is None:
            without.append(identity)
        else:
            hosts.append(listed)
    problems = [f"{windows} instances with Windows are left out"] if windows else []
    if without:
        more = f" and {len(without) - 5} more" if len(without) > 5 else ""
        problems.append(f"without a {source.address}, left out: {', '.join(without[:5])}{more}")
    return tuple(hosts), problems


def _listed(source: Ec2Source, region: str, row: Mapping[str, Json], name: str) -> Listed | None:
    address = row.get(ADDRESSES[source.address])
    if not address:
        return None
    tags = _tags(row)
    labels = {key: value for key, value in tags.items() if re.fullmatch(NAME, key)}
    labels |= {"region": region, "platform": str(row.get("PlatformDetails") or ""), "image": str(row["image"])}
    values: dict[str, Json] = {
        "address": str(address),
        "cloud": "aws",
        "cloud_id": str(row["InstanceId"]),
        "labels": {key: value for key, value in labels.items() if value},
    }
    values |= {"user": source.user} if source.user else {}
    return Listed(name, values, tuple(_groups(source, tags)))


def _groups(source: Ec2Source, tags: Mapping[str, str]) -> Iterator[str]:
    for tag in source.group_tags:
        if tags.get(tag):
            yield re.sub(r"[^A-Za-z0-9_.-]", "_", f"{tag}_{tags[tag]}")[:64]


def _wanted_name(source: Ec2Source, row: Mapping[str, Json]) -> str:
    """The value of the name's tag where it can be the name of a host."""
    name = _tags(row).get(source.name_tag, "")
    return name if _is_name(name) else ""


def _is_name(text: str) -> bool:
    from pydantic import TypeAdapter, ValidationError

    try:
        TypeAdapter(HostName).validate_python(text)
    except ValidationError:
        return False
    return text != "all"


def _tags(row: Mapping[str, Json]) -> dict[str, str]:
    return {str(tag["Key"]): str(tag["Value"]) for tag in row.get("Tags") or ()}
