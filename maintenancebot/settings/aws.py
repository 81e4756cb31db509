"""How Amazon's services, and those that speak like them, are reached; credentials come from the environment alone."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from maintenancebot.settings.values import Endpoint, Strict, Text, matching

Region = Annotated[
    str, AfterValidator(matching(r"[a-z]{2}(-[a-z]+)+-[0-9]", "the name of a region", 'write it as "eu-central-1"'))
]
RoleArn = Annotated[
    str,
    AfterValidator(
        matching(
            r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,128}",
            "the ARN of a role",
            'write it as "arn:aws:iam::123456789012:role/backup-reader"',
        )
    ),
]


class Session(Strict):
    """Where and as whom; without any of it, what the environment says."""

    endpoint: Endpoint | None = Field(default=None, description="Address of the service; without it, AWS.")
    region: Text | None = Field(default=None, description="Region; without it, what the environment says.")
    profile: Text | None = Field(default=None, description="Profile of the AWS configuration.")
    role: RoleArn | None = Field(default=None, description="Role that is assumed first.")


class AcmSource(Session):
    """Certificates of the AWS Certificate Manager."""

    regions: tuple[Region, ...] = Field(default=(), description="Regions to look at; without them, `region` alone.")
