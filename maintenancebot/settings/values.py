"""Types of single values in a configuration; each refuses what is dangerous and says what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from maintenancebot.settings import cron, paths
from maintenancebot.settings.refused import RefusedError


class Strict(BaseModel):
    """Base of all sections: values cannot change, unknown keys are refused, defaults are checked too."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


def refusal(problem: str, instead: str = "") -> PydanticCustomError:
    """The error by which a validator refuses a value."""
    return PydanticCustomError("refused", "{problem}", {"problem": problem, "instead": instead})


def matching(pattern: str, what: str, instead: str) -> Callable[[str], str]:
    """A validator that takes a text of this form only."""

    def validate(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise refusal(f"{text!r} is not {what}", instead)
        return text

    return validate


def _rule(check: Callable[[str], str]) -> AfterValidator:
    """A rule of this package as a validator."""

    def validate(text: str) -> str:
        try:
            return check(text)
        except RefusedError as refused:
            raise refusal(refused.problem, refused.instead) from None

    return AfterValidator(validate)


def _schedule(text: str) -> str:
    cron.standard(text)
    return text


def zone_name(text: str) -> str:
    """The same name of a time zone; refuses what the system's time zone database does not have."""
    if text == "UTC":
        return text
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise refusal(f"the time zone {text!r} is unknown", _zone_advice(text)) from None
    return text


def _zone_advice(text: str) -> str:
    from difflib import get_close_matches
    from zoneinfo import available_timezones

    known = available_timezones()
    if not known:
        return "this machine has no time zone database: install the package tzdata"
    near = get_close_matches(text, sorted(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else 'write a name such as "Europe/Berlin" or "UTC"'


def _clock_time(text: str) -> str:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00", text):
        raise refusal(f"{text!r} is not a time of day", 'write hours and minutes in quotes, such as "22:30"')
    return text


def _day(text: str) -> str:
    try:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            raise ValueError(text)
        date.fromisoformat(text)
    except ValueError:
        raise refusal(f"{text!r} is not a date", 'write year, month and day in quotes, such as "2026-12-24"') from None
    return text


def _absolute_file(path: Path) -> Path:
    try:
        return Path(paths.clean(str(path)))
    except RefusedError as refused:
        raise refusal(refused.problem, refused.instead) from None


_UNITS = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def _size(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"([0-9]{1,15}) ?([KMGT]iB|B|)", value)
    if not match:
        raise refusal(f"{value!r} is not a size", 'write bytes, or for instance "50 GiB"')
    return int(match[1]) * _UNITS[match[2]]


def _selector(text: str) -> str:
    if not re.fullmatch(r"!?[A-Za-z0-9_.*?\[\]-]*[A-Za-z0-9_*?\]]", text):
        raise refusal(
            f"{text!r} selects nothing", 'write "all", a host, a group, a glob such as "web-*", or "!name" to leave out'
        )
    return text


def _label_key(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/-]*(=.*)?", text):
        raise refusal(f"{text!r} is not a label", 'write "key" or "key=value"')
    return text


def _unit_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9:_.@-]{1,240}\.service", text) or text.startswith("-"):
        raise refusal(f"{text!r} is not the name of a service", 'write the whole name, such as "nginx.service"')
    return text


def _bucket(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", text):
        raise refusal(f"{text!r} is not the name of a bucket", "write 3 to 63 small letters, digits, dots and hyphens")
    return text


def _prefix(text: str) -> str:
    if not re.fullmatch(r"([A-Za-z0-9!_.*()-]+/)*", text) or ".." in text:
        raise refusal(f"{text!r} is not a prefix of keys", 'write words that end with a slash, such as "trash/"')
    return text


def _endpoint(text: str) -> str:
    if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?", text):
        raise refusal(f"{text!r} is not the address of an object store", 'write it as "https://s3.example.net"')
    return text.rstrip("/")


def _http_url(text: str) -> str:
    if not re.fullmatch(r"https?://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?(/[!-~]*)?", text):
        raise refusal(f"{text!r} is not the address of a page", 'write it as "http://127.0.0.1:8080/health"')
    return text


def _tcp_address(text: str) -> str:
    found = re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})", text)
    if not found or not 0 < int(found[2]) < 65536:
        raise refusal(f"{text!r} is not an address with a port", 'write it as "127.0.0.1:5432"')
    return text


def _printable(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise refusal("the text is empty or has control characters", "write at least one visible character")
    return text


NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"

Name = Annotated[str, StringConstraints(pattern=NAME)]
Text = Annotated[str, AfterValidator(_printable)]
Schedule = Annotated[str, _rule(_schedule)]
Zone = Annotated[str, AfterValidator(zone_name)]
ClockTime = Annotated[str, AfterValidator(_clock_time)]
Day = Annotated[str, AfterValidator(_day)]
AllowedRoot = Annotated[str, _rule(paths.allowed_root)]
Pattern = Annotated[str, _rule(paths.pattern)]
Glob = Annotated[str, _rule(paths.glob)]
KeepRule = Annotated[str, _rule(paths.keep_rule)]
UnitName = Annotated[str, AfterValidator(_unit_name)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
TcpAddress = Annotated[str, AfterValidator(_tcp_address)]
Bucket = Annotated[str, AfterValidator(_bucket)]
KeyPrefix = Annotated[str, AfterValidator(_prefix)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
TrashFolder = Annotated[str, _rule(paths.trash_folder)]
SocketPath = Annotated[str, _rule(paths.clean)]
AbsoluteFile = Annotated[Path, AfterValidator(_absolute_file)]
Selector = Annotated[str, AfterValidator(_selector)]
Selectors = Annotated[tuple[Selector, ...], Field(min_length=1)]
Label = Annotated[str, AfterValidator(_label_key)]
Share = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Size = Annotated[
    int,
    Field(ge=1),
    BeforeValidator(_size),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": "^[0-9]+ ?([KMGT]iB|B)?$"}]}
    ),
]
