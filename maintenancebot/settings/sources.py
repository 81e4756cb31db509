"""Where backups lie: on the host, in a repository, with a cloud. `{host}` in a name is the host's name."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from maintenancebot.settings.aws import Session
from maintenancebot.settings.values import (
    Bucket,
    Glob,
    Size,
    SocketPath,
    Strict,
    Text,
    matching,
    refusal,
)

HOST = "{host}"
"""Stands for the name of the host in keys and identifiers."""

HostFile = SocketPath
"""The absolute path of a file on the host."""

ObjectPattern = Annotated[
    str,
    AfterValidator(
        matching(r"[^/\x00-\x1f][^\x00-\x1f]{0,1000}", "a pattern of keys", 'write it as "backups/{host}/db-*.sql.gz"')
    ),
]
Identifier = Annotated[
    str, AfterValidator(matching(r"[A-Za-z0-9{][A-Za-z0-9:/{}_.-]{0,254}", "an identifier", 'such as "orders-db"'))
]
Arn = Annotated[
    str,
    AfterValidator(matching(r"arn:aws[a-z-]*:[a-z0-9-]+:[^\x00-\x20]{1,1000}", "an ARN", "copy it from the console")),
]


class TrialRestore(Strict):
    """A restore into a fresh folder, which goes again; its own rhythm."""

    every_days: int = Field(default=30, ge=1, le=3650, description="Days between two trials that went well.")
    max_bytes: Size = Field(default=20 * 2**30, description="A backup that unpacks to more is not tried.")
    folder: HostFile = Field(default="/var/tmp", description="Where on the host the fresh folder is made.")  # noqa: S108


class Source(Strict):
    """What every source has."""

    name: str = Field(default="", max_length=120, description="Name in reports; empty means what it looks at.")
    min_bytes: Size = Field(default=1, description="A smaller one is no backup.")


class FileSource(Source):
    """Backups that lie as files on the host, dumps of databases among them."""

    type: Literal["files"]
    path: Glob = Field(description="Absolute glob of the backup files.")
    contains: tuple[Text, ...] = Field(
        default=(), description="Globs of which each must fit a path, table or database in it."
    )
    restore: TrialRestore | None = Field(default=None, description="Whether a restore is tried now and then.")


class ResticSource(Source):
    """A repository of restic, as the host reaches it."""

    type: Literal["restic"]
    repository: Text = Field(description='Path or address, as "restic -r" takes it; no password in it.')
    password_file: HostFile = Field(description="File on the host with the repository's password.")
    environment_file: HostFile | None = Field(
        default=None, description="File on the host with NAME=value lines, such as keys of an object store."
    )
    host: Text | None = Field(default=None, description="Whose snapshots count; without it, the host's own.")
    paths: tuple[Text, ...] = Field(default=(), description="Paths that a snapshot must have.")
    read_data_percent: int = Field(default=1, ge=0, le=100, description="Share of the data that each run reads.")
    restore: TrialRestore | None = Field(default=None, description="Whether a restore is tried now and then.")


class BorgSource(Source):
    """A repository of borg, as the host reaches it."""

    type: Literal["borg"]
    repository: Text = Field(description="Path or address of the repository.")
    passphrase_file: HostFile | None = Field(default=None, description="File on the host with the passphrase.")
    archives: Text = Field(default="*", description="Glob of the archives that count.")
    host: Text | None = Field(default=None, description="Whose archives count; without it, the host's own.")
    restore: TrialRestore | None = Field(default=None, description="Whether a restore is tried now and then.")


class S3Source(Source, Session):
    """Backups in an object store, looked at from the controller."""

    type: Literal["s3"]
    bucket: Bucket = Field(description="Bucket.")
    key: ObjectPattern = Field(description='Glob of the keys; "{host}" is the host\'s name.')
    contains: tuple[Text, ...] = Field(
        default=(), description="Globs of which each must fit a path, table or database in it."
    )
    read: bool = Field(default=False, description="Whether the newest copy is read to its end.")


class RdsSource(Source, Session):
    """Snapshots of a database of Amazon RDS, looked at from the controller."""

    type: Literal["rds"]
    instance: Identifier | None = Field(default=None, description="Identifier of the instance.")
    cluster: Identifier | None = Field(default=None, description="Identifier of the cluster.")

    @model_validator(mode="after")
    def _names_one(self) -> RdsSource:
        if (self.instance is None) == (self.cluster is None):
            raise refusal("a source in RDS is one instance or one cluster", "write `instance` or `cluster`")
        return self


class EbsSource(Source, Session):
    """Snapshots of volumes of Amazon EBS, looked at from the controller."""

    type: Literal["ebs"]
    volumes: tuple[Identifier, ...] = Field(default=(), description="Ids of volumes.")
    tags: dict[str, str] = Field(default={}, description="Tags of the volumes, all of them.")

    @model_validator(mode="after")
    def _names_some(self) -> EbsSource:
        if bool(self.volumes) == bool(self.tags):
            raise refusal("a source in EBS is a list of volumes or their tags", "write `volumes` or `tags`")
        return self


class AwsBackupSource(Source, Session):
    """Recovery points of AWS Backup, looked at from the controller."""

    type: Literal["aws_backup"]
    resource: Arn = Field(description="ARN of what is backed up.")
    vault: Identifier | None = Field(default=None, description="Vault; without it, any.")


BackupSource = Annotated[
    FileSource | ResticSource | BorgSource | S3Source | RdsSource | EbsSource | AwsBackupSource,
    Field(discriminator="type"),
]

HOST_SOURCES = (FileSource, ResticSource, BorgSource)
"""What the helper looks at; the rest is looked at from the controller."""
