"""Loads a configuration: file, then environment, then every check; all faults at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from maintenancebot.errors import ConfigurationError
from maintenancebot.model import Json
from maintenancebot.settings import baselines, environment, faults, relations, yaml_positions
from maintenancebot.settings.baseline_file import BaselineFile
from maintenancebot.settings.baselines import Baselines
from maintenancebot.settings.places import Document
from maintenancebot.settings.sections import Settings

BUNDLED = Path(__file__).parent.parent / "bundled"
"""Configuration and inventory that apply when no file is named."""


def load_settings(
    path: Path | None = None, environ: Mapping[str, str] | None = None, *, with_baselines: bool = True
) -> Settings:
    """The settings of a file (the bundled one for None) and the environment; raises ConfigurationError."""
    path = path or BUNDLED / "config.yaml"
    document = yaml_positions.read_file(path)
    environment.apply(document, os.environ if environ is None else environ)
    settings = faults.check(Settings, document)
    document.faults += relations.faults(document)
    found = _baselines(settings, path, document) if settings is not None and with_baselines else Baselines()
    if settings is None or document.faults:
        raise ConfigurationError(faults.sort_faults(document.faults))
    return settings.read_from(document, found)


def _baselines(settings: Settings, path: Path, document: Document) -> Baselines:
    """The baselines beside a configuration; what is wrong with them is added to its faults."""
    rules = settings.remediation.drift
    try:
        return baselines.load(path.parent / rules.baselines, must_exist="baselines" in rules.model_fields_set)
    except ConfigurationError as error:
        document.faults += error.faults
        return Baselines()


def json_schema() -> dict[str, Json]:
    """The JSON Schema of a configuration file, for editors."""
    return _schema(Settings, "configuration")


def baseline_schema() -> dict[str, Json]:
    """The JSON Schema of a baseline, for editors."""
    return _schema(BaselineFile, "baseline")


def _schema(model: type[BaseModel], of: str) -> dict[str, Json]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **model.model_json_schema(),
        "title": f"maintenancebot {of}",
    }
