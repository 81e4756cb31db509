"""The layering of docs/architecture.md, read from the imports that stand in the source."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "maintenancebot"

VALUES = {"model", "errors"}
CONFIGURATION = {*VALUES, "settings"}
MAY_IMPORT = {
    "model": set(),
    "errors": {"model"},
    "settings": VALUES,
    "inventory_sources": CONFIGURATION,
    "inventory_file": {*CONFIGURATION, "inventory_sources"},
    "inventory": {*CONFIGURATION, "inventory_file", "inventory_sources", "sources.gathering", "sources.merging"},
    "sources": {*CONFIGURATION, "inventory_file", "inventory_sources", "remote.aws"},
    "plan": CONFIGURATION,
    "policy": {*CONFIGURATION, "plan"},
    "remote": {*CONFIGURATION, "redaction"},
    "helper": set(),
    "redaction": {"helper.redact"},  # the rules for secrets are the same on both sides
    "llm": {*CONFIGURATION, "plan.filesystem", "policy.spending", "redaction", "report"},
    "delivery": {*CONFIGURATION, "redaction", "report"},
    "probes": {*CONFIGURATION, "plan.inputs", "remote"},
    "actions": {*CONFIGURATION, "plan.document", "probes.trash", "remote"},
    "catalog": {*CONFIGURATION, "plan", "probes", "actions", "remote"},
    "store": {
        *VALUES,
        "plan.document",
        "policy.approvals",
        "policy.breakers",
        "policy.budgets",
        "policy.episodes",
        "policy.spending",
    },
    "engine": {*CONFIGURATION, "inventory", "plan", "policy", "remote", "catalog", "store"},
    "report": {"model"},
    "app": {
        *CONFIGURATION,
        "inventory",
        "inventory_sources",
        "sources",
        "plan",
        "policy",
        "remote",
        "engine",
        "report",
        "store",
        "redaction",
        "llm",
        "delivery",
    },
    "daemon": {
        *CONFIGURATION,
        "redaction",
        "delivery",
        "inventory",
        "policy",
        "engine.progress",
        "engine.results",
        "report",
        "store",
        "app",
    },
    "cli": {*CONFIGURATION, "inventory", "plan", "policy", "engine.progress", "report", "app", "daemon"},
}
"""What each part may import of ours; itself always, `maintenancebot.__version__` always."""

HEAVY = {
    "fabric": {"remote"},
    "paramiko": {"remote"},
    "docker": {"remote"},
    "sqlalchemy": {"store"},
    "alembic": {"store"},
    "pydantic": {"settings", "inventory_file", "inventory_sources"},
    "yaml": {"settings"},
    "rich": set(),
    "cryptography": set(),
    "boto3": set(),
    "apscheduler": {"daemon"},
    "starlette": {"daemon"},
    "uvicorn": {"daemon"},
    "prometheus_client": {"daemon"},
    "structlog": {"daemon"},
    "anthropic": set(),
    "slack_sdk": set(),
    "jinja2": set(),
}
"""Slow imports, and the parts whose modules may have them at their top; elsewhere only inside a function."""

HELPER_FOLDERS = [
    "files",
    "host",
    "trash",
    "containers",
    "packages",
    "cleanup",
    "backups",
    "certificates",
    "drift",
]
"""The helper's folders, each of which may import those before it."""
HELPER_MAY = {"trash": {"containers"}}  # volumes and images in the trash go back through their daemon
PURE = ("model", "errors", "plan", "policy")
IO = {
    "asyncio",
    "ctypes",
    "fcntl",
    "glob",
    "http",
    "io",
    "multiprocessing",
    "os",
    "pathlib",
    "random",
    "requests",
    "secrets",
    "select",
    "shutil",
    "signal",
    "socket",
    "sqlite3",
    "subprocess",
    "sys",
    "tempfile",
    "threading",
    "time",
    "urllib",
}

MODULES = sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[str]:
    """Full dotted names of what is imported; relative imports start with a dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def ours(path: Path) -> set[str]:
    names = {name for name in imports(parsed(path)) if name.split(".")[0] == "maintenancebot"}
    return {name.removeprefix("maintenancebot").removeprefix(".") for name in names} - {"", "__version__"}


def allowed(name: str, part: str) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in (*MAY_IMPORT[part], part))


def test_every_part_has_its_row() -> None:
    assert {part_of(path) for path in MODULES} - {"__init__"} <= set(MAY_IMPORT)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    part = part_of(path)
    if part == "__init__":
        assert not ours(path)
        return
    assert [name for name in sorted(ours(path)) if not allowed(name, part)] == []


def test_the_helper_imports_itself_and_the_standard_library_only() -> None:
    known = sys.stdlib_module_names | {"mb_helper"}
    for path in (PACKAGE / "helper").rglob("*.py"):
        foreign = [
            name for name in imports(parsed(path)) if not name.startswith(".") and name.split(".")[0] not in known
        ]
        assert foreign == [], path


@pytest.mark.parametrize("place", range(len(HELPER_FOLDERS)), ids=HELPER_FOLDERS)
def test_folders_of_the_helper_import_only_those_before_them(place: int) -> None:
    folder = HELPER_FOLDERS[place]
    later = {*HELPER_FOLDERS[place + 1 :]} - HELPER_MAY.get(folder, set())
    for path in (PACKAGE / "helper" / folder).glob("*.py"):
        found = {node.module.split(".")[0] for node in relative_imports(path) if node.level == 2 and node.module}
        assert sorted(found & later) == [], path


def test_every_folder_of_the_helper_has_its_place() -> None:
    folders = {path.parent.name for path in (PACKAGE / "helper").rglob("*.py")} - {"helper"}
    assert folders == set(HELPER_FOLDERS)


def relative_imports(path: Path) -> list[ast.ImportFrom]:
    return [node for node in ast.walk(parsed(path)) if isinstance(node, ast.ImportFrom) and node.level]


def test_nothing_imports_the_helper() -> None:
    for path in MODULES:
        if part_of(path) not in ("helper", "redaction"):
            assert [name for name in ours(path) if name.split(".")[0] == "helper"] == [], path


@pytest.mark.parametrize("part", PURE)
def test_values_plan_and_policy_do_no_input_or_output(part: str) -> None:
    for path in MODULES:
        if part_of(path) == part:
            tree = parsed(path)
            assert [name for name in imports(tree) if name.split(".")[0] in IO] == [], path
            calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
            assert not [call for call in calls if isinstance(call, ast.Name) and call.id in {"open", "print"}], path


@pytest.mark.parametrize("part", PURE)
def test_values_plan_and_policy_are_handed_the_time(part: str) -> None:
    for path in MODULES:
        if part_of(path) == part:
            clocks = [
                node.attr
                for node in ast.walk(parsed(path))
                if isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today"}
            ]
            assert clocks == [], path


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_slow_imports_stand_in_their_one_part_or_inside_functions(path: Path) -> None:
    top = set(at_the_top(parsed(path)))
    misplaced = [name for name, parts in HEAVY.items() if name in top and part_of(path) not in parts]
    assert misplaced == []


def at_the_top(tree: ast.Module) -> Iterator[str]:
    """First names of what is imported when the module is; `if TYPE_CHECKING` is never run."""
    for node in tree.body:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield from (name.split(".")[0] for name in imports(node))


def test_subjects_have_one_file_name_everywhere() -> None:
    subjects = {"patches", "logs", "containers", "backups", "certificates"}
    for part in ("plan", "probes", "actions"):
        assert subjects <= {path.stem for path in (PACKAGE / part).glob("*.py")}, part


def test_only_the_engine_and_its_catalog_know_the_subjects() -> None:
    for path in MODULES:
        if part_of(path) not in {"catalog", "probes", "plan", "actions", "helper"}:
            known = [name for name in ours(path) if name.split(".")[0] in {"probes", "actions"}]
            assert known == [], path
