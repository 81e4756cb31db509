"""Secrets: from the environment or from systemd's credentials, never from a file of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from maintenancebot.errors import ConfigurationError, Fault

PREFIX = "MAINTENANCEBOT_"
FOLDER = "CREDENTIALS_DIRECTORY"
MOST_BYTES = 65536


@dataclass(frozen=True, repr=False)
class Secrets:
    """Everything secret that the product is given; "" where it was not given. Never shown by repr."""

    webhook_token: str = ""
    llm_api_key: str = ""
    slack_token: str = ""  # of a bot
    slack_webhook_url: str = ""
    slack_signing_secret: str = ""  # of the app whose buttons are pressed
    email_password: str = ""
    notify_token: str = ""

    def __repr__(self) -> str:
        return f"Secrets(given: {', '.join(name for name in NAMES if getattr(self, name)) or 'none'})"

    @property
    def values(self) -> tuple[str, ...]:
        """What must be seen nowhere."""
        return tuple(value for name in NAMES if (value := getattr(self, name)))


NAMES = tuple(field.name for field in fields(Secrets))
VARIABLES = frozenset(PREFIX + name.upper() for name in NAMES)
"""The variables that may hold a secret: MAINTENANCEBOT_WEBHOOK_TOKEN."""


def load_secrets(environ: Mapping[str, str]) -> Secrets:
    """The secrets as given; raises ConfigurationError for an unreadable credential or one that is given twice."""
    folder = environ.get(FOLDER)
    found = {}
    for name in NAMES:
        variable = PREFIX + name.upper()
        from_file = _credential(Path(folder), name) if folder else ""
        from_variable = environ.get(variable, "").strip()
        if from_file and from_variable:
            raise ConfigurationError(
                [Fault(variable, 0, 0, f"`{name}` is given twice", f"remove the variable or the credential `{name}`")]
            )
        found[name] = from_file or from_variable
    return Secrets(**found)


def _credential(folder: Path, name: str) -> str:
    path = folder / name
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        text = data.decode("utf-8").rstrip("\r\n")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise ConfigurationError([Fault(str(path), 0, 0, f"the credential cannot be read: {error}", "")]) from error
    if len(data) > MOST_BYTES:
        raise ConfigurationError([Fault(str(path), 0, 0, "the credential is longer than any secret", "")])
    return text
