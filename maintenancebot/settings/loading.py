"""Loads a configuration: file, then environment, then every check; all faults at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from maintenancebot.errors import ConfigurationError
from maintenancebot.model import Json
from maintenancebot.settings import environment, faults, relations, yaml_positions
from maintenancebot.settings.sections import Settings

BUNDLED = Path(__file__).parent.parent / "bundled"
"""Configuration and inventory that apply when no file is named."""


def load_settings(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of a file (the bundled one for None) and the environment; raises ConfigurationError."""
    document = yaml_positions.read_file(path or BUNDLED / "config.yaml")
    environment.apply(document, os.environ if environ is None else environ)
    settings = faults.check(Settings, document)
    document.faults += relations.faults(document)
    if settings is None or document.faults:
        raise ConfigurationError(faults.sort_faults(document.faults))
    return settings.read_from(document)


def json_schema() -> dict[str, Json]:
    """The JSON Schema of a configuration file, for editors."""
    schema = Settings.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "maintenancebot configuration",
    }
