"""The kinds of item in a baseline: what each may declare, and what of it can be corrected."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from maintenancebot.model import Json
from maintenancebot.settings import paths
from maintenancebot.settings.baseline_values import (
    Beside,
    Content,
    FilePath,
    KernelWord,
    KeyLine,
    Line,
    Mode,
    Owner,
    PackageName,
    PlainPath,
    Sha256,
    SysctlName,
    SysctlValue,
    Unit,
    UserName,
)
from maintenancebot.settings.declared import Correct, ItemKind
from maintenancebot.settings.values import Strict, refusal

Presence = Literal["present", "absent"]


class Declared(Strict):
    """What items of all kinds have in common."""

    KIND: ClassVar[ItemKind]
    NAMED: ClassVar[str] = "name"  # the key that names the item
    COMPARED: ClassVar[tuple[str, ...]]  # the keys that the host is held against; one that is left out is not compared

    correct: Correct = Field(default=Correct.NEVER, description="Whether it may be corrected.")

    @property
    def subject(self) -> str:
        """The name of the item."""
        return str(getattr(self, self.NAMED))

    @property
    def wanted(self) -> dict[str, Json]:
        """What is declared, as the host is held against it."""
        return self.model_dump(mode="json", include=set(self.COMPARED), exclude_none=True)

    @model_validator(mode="after")
    def _makes_sense(self) -> Declared:
        empty = next((key for key in sorted(self.model_fields_set) if getattr(self, key) is None), "")
        if empty:  # taken for a key that was left out, nobody would compare what somebody meant to declare
            raise refusal(f"`{empty}` has no value", "write one, or remove the key")
        if not self.wanted:
            raise refusal("nothing is declared of it", f"write at least one of: {', '.join(self.COMPARED)}")
        if self.wanted.get("state") == "absent" and len(self.wanted) > 1:
            more = next(key for key in self.wanted if key != "state")
            raise refusal(f"it is to be absent, and still has `{more}`", f"remove `{more}`, or `state: absent`")
        why = self.uncorrectable() if self.correct is not Correct.NEVER else None
        if why:
            raise refusal(*why)
        return self

    def uncorrectable(self) -> tuple[str, str] | None:
        """Why it cannot be corrected, and what to write instead; None where it can."""
        return None


_REPORT = "write `correct: never`, or leave `correct` out"


class Holding(Declared):
    """An item with the content of a file."""

    state: Presence = Field(default="present", description="Whether it is to be there.")
    content: Content | None = Field(default=None, description="Its content; a template.")
    source: Beside | None = Field(default=None, description="File below the baseline's folder with its content.")
    template: Beside | None = Field(default=None, description="File below the baseline's folder; a template.")
    sha256: Sha256 | None = Field(default=None, description="Hash of its content.")
    size: int | None = Field(default=None, ge=0, description="Bytes of its content.")
    diff: bool = Field(default=False, description="Whether the host may tell a redacted difference.")

    @property
    def holds_content(self) -> bool:
        """Whether its content itself is declared."""
        return any(one is not None for one in (self.content, self.source, self.template))

    @model_validator(mode="after")
    def _has_one_content(self) -> Holding:
        given = [key for key in ("content", "source", "template", "sha256") if getattr(self, key) is not None]
        if len(given) > 1:
            raise refusal(f"its content is declared twice, by `{given[0]}` and `{given[1]}`", "keep one of the two")
        if given and self.state == "absent":
            raise refusal(f"it is to be absent, and still has `{given[0]}`", f"remove `{given[0]}`, or `state: absent`")
        if self.size is not None and self.sha256 is None:
            raise refusal("`size` stands without `sha256`", "add `sha256`, or remove `size`")
        if self.diff and not self.holds_content:
            raise refusal("a difference needs a content to compare with", "write content, source or template")
        return self

    def uncorrectable(self) -> tuple[str, str] | None:
        if self.sha256 is not None:
            return "a hash alone cannot be installed", "write content, source or template, or `correct: never`"
        return None


class File(Holding):
    """A file."""

    KIND = ItemKind.FILE
    NAMED = "path"
    COMPARED = ("state", "sha256", "size", "mode", "owner", "group")

    path: FilePath = Field(description="Absolute path.")
    mode: Mode | None = Field(default=None, description='Permissions in octal, such as "0644".')
    owner: Owner | None = Field(default=None, description="User whose it is.")
    group: Owner | None = Field(default=None, description="Group whose it is.")
    reload: Unit | None = Field(default=None, description="Unit that is reloaded after a correction.")

    def uncorrectable(self) -> tuple[str, str] | None:
        for tree in NEVER_CORRECTED:
            if paths.is_within(_components(self.path), paths.components(tree)):
                return f"{self.path!r} is never corrected as a file: others write it", _REPORT
        declares = self.holds_content or self.state == "absent" or self.mode or self.owner or self.group
        return super().uncorrectable() or (
            None if declares else ("that a file is there cannot be corrected", f"declare its content, or {_REPORT}")
        )


class Package(Declared):
    """A package."""

    KIND = ItemKind.PACKAGE
    COMPARED = ("state", "version", "held")

    name: PackageName = Field(description="Its name.")
    state: Literal["installed", "absent"] = Field(default="installed", description="Whether it is to be installed.")
    version: Line | None = Field(default=None, description="Glob of its version.")
    held: bool | None = Field(default=None, description="Whether it is held at its version.")

    def uncorrectable(self) -> tuple[str, str] | None:
        if self.held is None or self.version is not None:
            return (
                "only the hold of a package is corrected, neither that it is installed nor its version",
                f"declare `held` alone, or {_REPORT}",
            )
        return None


class Service(Declared):
    """A unit of systemd."""

    KIND = ItemKind.SERVICE
    COMPARED = ("enabled", "active", "masked")

    name: Unit = Field(description="Its whole name.")
    enabled: bool | None = Field(default=None, description="Whether it is started at boot.")
    active: bool | None = Field(default=None, description="Whether it runs.")
    masked: bool | None = Field(default=None, description="Whether nothing can start it.")

    @model_validator(mode="after")
    def _can_be(self) -> Service:
        if self.masked and (self.enabled or self.active):
            raise refusal("a masked unit is neither enabled nor active", "remove `masked`, or the other key")
        return self


class Sysctl(Declared):
    """A value of the running kernel."""

    KIND = ItemKind.SYSCTL
    COMPARED = ("value",)

    name: SysctlName = Field(description='Its name, such as "net.ipv4.ip_forward".')
    value: SysctlValue = Field(description="Its value.")


class User(Declared):
    """An account."""

    KIND = ItemKind.USER
    COMPARED = ("state", "uid", "groups", "shell", "home", "locked")

    name: UserName = Field(description="Its name.")
    state: Presence = Field(default="present", description="Whether it is to be there.")
    uid: int | None = Field(default=None, ge=0, le=2**32 - 2, description="Its number.")
    groups: tuple[UserName, ...] | None = Field(default=None, description="Groups that it must be in.")
    shell: PlainPath | None = Field(default=None, description="Its shell.")
    home: PlainPath | None = Field(default=None, description="Its home.")
    locked: bool | None = Field(default=None, description="Whether its password is locked.")

    def uncorrectable(self) -> tuple[str, str] | None:
        return "accounts are reported, not corrected", f"{_REPORT}; its keys can be corrected, under `keys`"


class Group(Declared):
    """A group of accounts."""

    KIND = ItemKind.GROUP
    COMPARED = ("state", "gid", "members")

    name: UserName = Field(description="Its name.")
    state: Presence = Field(default="present", description="Whether it is to be there.")
    gid: int | None = Field(default=None, ge=0, le=2**32 - 2, description="Its number.")
    members: tuple[UserName, ...] | None = Field(default=None, description="Users that must be in it.")

    def uncorrectable(self) -> tuple[str, str] | None:
        return "groups are reported, not corrected", _REPORT


class Keys(Declared):
    """The keys by which one may log in as a user."""

    KIND = ItemKind.KEYS
    NAMED = "user"
    COMPARED = ("keys", "exclusive")

    user: UserName = Field(description="Whose keys.")
    keys: tuple[KeyLine, ...] = Field(description="Whole lines of public keys.")
    exclusive: bool = Field(default=False, description="Whether no other key may be there.")

    @model_validator(mode="after")
    def _says_something(self) -> Keys:
        if not self.keys and not self.exclusive:
            raise refusal("no key is declared", "write at least one, or `exclusive: true` for none at all")
        return self


class Crontab(Holding):
    """The crontab of a user; files below /etc/cron.d are files."""

    KIND = ItemKind.CRONTAB
    NAMED = "user"
    COMPARED = ("state", "sha256", "size")

    user: UserName = Field(description="Whose crontab.")

    def uncorrectable(self) -> tuple[str, str] | None:
        if self.state == "present" and not self.holds_content:
            return "what the crontab is to hold is not declared", f"write content, source or template, or {_REPORT}"
        return None


class Mount(Declared):
    """A mounted file system."""

    KIND = ItemKind.MOUNT
    NAMED = "path"
    COMPARED = ("state", "device", "fs_type", "options")

    path: PlainPath = Field(description="Mount point.")
    state: Presence = Field(default="present", description="Whether something is to be mounted there.")
    device: Line | None = Field(default=None, description="What is mounted.")
    fs_type: Line | None = Field(default=None, description="Its type.")
    options: tuple[Line, ...] | None = Field(default=None, description="Options that must be among its options.")

    def uncorrectable(self) -> tuple[str, str] | None:
        return "mounts are reported, not corrected", f"{_REPORT}; /etc/fstab can be declared as a file"


class Kernel(Declared):
    """A word of the kernel's command line."""

    KIND = ItemKind.KERNEL
    NAMED = "word"
    COMPARED = ("state",)

    word: KernelWord = Field(description='One word, such as "mitigations=auto".')
    state: Presence = Field(default="present", description="Whether it is to be there.")

    def uncorrectable(self) -> tuple[str, str] | None:
        return "the kernel's command line is reported, not corrected", f"{_REPORT}; declare the boot loader's file"


NEVER_CORRECTED = (
    "/dev",
    "/run",
    "/var/run",
    "/var/lib/maintenancebot",
    "/var/lib/dpkg",
    "/var/lib/rpm",
    "/etc/passwd",
    "/etc/group",
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/machine-id",
)
"""Files that accounts, packages and the system itself keep, and what is gone after a boot."""


def _components(path: str) -> paths.Components:
    return tuple(path.removesuffix("/").split("/")[1:])
