"""Types of single values in a baseline. A template is checked once it is filled in for a host."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ValidationInfo, WithJsonSchema

from maintenancebot.settings import paths, templates
from maintenancebot.settings.refused import RefusedError
from maintenancebot.settings.values import refusal

FILLED_IN = {"filled_in": True}
"""The context of a validation in which a template is a text like any other."""

Rule = Callable[[str], str]


def _rule(check: Rule, *, filled_in: bool = True) -> AfterValidator:
    """A rule for texts; for a template, before it is filled in, only that it is one."""

    def validate(text: str, info: ValidationInfo) -> str:
        try:
            if filled_in and templates.is_template(text) and not info.context:
                templates.check(text)
                return text
            return check(text)
        except RefusedError as refused:
            raise refusal(refused.problem, refused.instead) from None

    return AfterValidator(validate)


def _matching(pattern: str, what: str, instead: str) -> Rule:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise RefusedError(f"{text!r} is not {what}", instead)
        return text

    return check


def _anything(text: str) -> str:
    return text


def _path(text: str) -> str:
    path = paths.clean(text)
    if path == "/":
        raise RefusedError("'/' is no file", "name a file or folder below it")
    return path


def _file_path(text: str) -> str:
    path = _path(text)
    for tree in ("/proc", "/sys"):
        if paths.is_within(paths.components(path), paths.components(tree)):
            raise RefusedError(f"{text!r} is the kernel's own", "write values of the kernel under `sysctl`")
    return path


def _mode(text: str) -> str:
    if not re.fullmatch(r"[0-7]{3,4}", text):
        raise RefusedError(f"{text!r} is not a mode", 'write it in octal and in quotes, such as "0644"')
    return text.rjust(4, "0")


def _line(text: str) -> str:
    if not text.strip() or not text.isprintable() or text != text.strip():
        raise RefusedError(
            "the text is empty, or has control characters or blanks at an end", "write one line of visible characters"
        )
    return text


def _key_line(text: str) -> str:
    if "PRIVATE KEY" in text:
        raise RefusedError("this is a private key", "write the line of the public one, as in its .pub file")
    match = None if text.startswith("#") else KEY.match(text)
    if match is None or not re.fullmatch(r"[A-Za-z0-9+/]{16,}={0,3}", match["key"]) or not _is_base64(match["key"]):
        raise RefusedError(f"{text[:60]!r} is not the line of a public key", 'write it as "ssh-ed25519 AAAA… name"')
    return _line(text)


KEY = re.compile(
    r"^(?P<options>(?:\\\"|\\(?!\")|[^\s\"\\]|\"(?:\\\"|\\(?!\")|[^\"\\])*\")+\s+)??"
    r"(?P<kind>(?:ssh|ecdsa|sk)-[A-Za-z0-9@.-]+)\s+(?P<key>[A-Za-z0-9+/]+=*)(?:\s+(?P<comment>.*))?$"
)
"""A line as the host reads it, see `helper/drift/drift_keys.py`: one that it would pass over must not be declared."""


def _is_base64(text: str) -> bool:
    return len(text.rstrip("=")) % 4 != 1  # six bits more than whole bytes: something was cut off


def _sysctl(text: str) -> str:
    """One spelling for each: by dots, where a slash stands for a dot within a part, as in an interface's name."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_./@:-]*[A-Za-z0-9_-]", text) or ".." in text or "//" in text:
        raise RefusedError(f"{text!r} is not a value of the kernel", 'write it as "net.ipv4.ip_forward"')
    first = re.search(r"[./]", text)
    return text if first is None or first.group() == "." else text.translate(_EXCHANGED)


_EXCHANGED = str.maketrans("./", "/.")


def _beside(text: str) -> str:
    if templates.is_template(text):
        raise RefusedError("a template cannot choose the file", "name the file itself, or give each host its own item")
    parts = text.split("/")
    if not text.isprintable() or text.startswith("/") or {"", ".", ".."} & set(parts):
        raise RefusedError(f"{text!r} may lead out of the folder", 'name a file below it, such as "files/motd"')
    return text


_NAME = r"[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?"

Line = Annotated[str, _rule(_line)]
Content = Annotated[str, _rule(_anything)]
Beside = Annotated[str, _rule(_beside, filled_in=False)]
FilePath = Annotated[str, _rule(_file_path)]
PlainPath = Annotated[str, _rule(_path)]
Mode = Annotated[str, _rule(_mode)]
Sha256 = Annotated[str, _rule(_matching(r"[0-9a-f]{64}", "a SHA-256", "write 64 digits and small letters"))]
UserName = Annotated[str, _rule(_matching(_NAME, "the name of a user or group", "write it as `getent` shows it"))]
_owner_shape = _matching(rf"{_NAME}|[0-9]{{1,10}}", "a user or group", 'write a name, or a number in quotes: "1000"')


def _owner(text: str) -> str:
    if _owner_shape(text).isdigit() and int(text) > 2**32 - 2:  # the largest number there is means nobody
        raise RefusedError(f"{text!r} is no number of a user or group", "write one of at most 4294967294")
    return text


Owner = Annotated[str, _rule(_owner)]
PackageName = Annotated[
    str,
    _rule(
        _matching(
            r"[A-Za-z0-9][A-Za-z0-9+._-]*(:[a-z0-9-]+)?",
            "the name of a package",
            "write it as the package manager does",
        )
    ),
]
Unit = Annotated[
    str,
    _rule(
        _matching(
            r"[A-Za-z0-9:_.@\\][A-Za-z0-9:_.@\\-]{0,239}\.(service|socket|timer|mount|automount|path|target|swap|slice)",
            "the name of a unit",
            'write the whole name, such as "cron.service"',
        )
    ),
]
SysctlName = Annotated[str, _rule(_sysctl)]
SysctlValue = Annotated[
    Line,
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string"}]}),
]
KeyLine = Annotated[str, _rule(_key_line)]
KernelWord = Annotated[
    str, _rule(_matching(r"[!-~]+", "one word of a command line", 'write it without blanks, such as "quiet"'))
]
