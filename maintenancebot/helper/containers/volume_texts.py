"""Reads names of volumes out of text: compose files, unit files, cron tables, scripts. A name too many does no harm."""

import re

from .image_texts import TOOL, lines_of, project_of, resolved

SOURCE = re.compile(r"(?<![\w./$@-])([A-Za-z0-9*][\w.*-]{0,254}):/")
NAMED = re.compile(
    r"(?:\b(?:source|src|VolumeName|Volume)=|\bvolume (?:create|inspect|rm) )[\"']?([A-Za-z0-9][\w.-]{0,254})"
)
KEY = re.compile(r"([ \t]{1,40})[\"']?([A-Za-z0-9._-]{1,200})[\"']?[ \t]{0,20}:")
NAME_KEY = re.compile(r"[\s{,]name[\"']?[ \t]{0,20}:[ \t]{0,20}[\"']?((?:\$\{[^}]{0,200}\}|[^\s\"',}#]){1,255})")
VOLUMES = re.compile(r"[ \t]{0,40}[\"']?volumes[\"']?[ \t]{0,20}:")
APART = re.compile(r"[ \t]*(?:#|$)|---[ \t]*(?:#|$)|%")
"""Lines that say nothing."""
ALIAS = re.compile(r"[:,{ \t]\*\w")
ELSEWHERE = ">|*&!"
"""How a value begins that stands on other lines, or is an alias."""
WORD = re.compile(r"[A-Za-z0-9][\w.-]{0,254}")


def from_text(text):
    """Names that a command or a unit mounts."""
    return sorted(set(SOURCE.findall(text.replace("\\\n", " "))) | set(NAMED.findall(text)))


def from_compose(text, folder, variables):
    """Patterns of the names that a compose file's volumes have, and whether one hangs on a variable that nobody knows.

    Whoever starts it may choose another project's name, so that any word may stand before a volume's own.
    """
    found, unknown, level = set(SOURCE.findall(text)), False, None
    project = project_of(text, folder, variables)
    lines, is_plain = section(text)
    for line in lines:
        key = KEY.match(line) if is_plain else None
        level = key.group(1) if key and level is None else level
        words = [key.group(2)] * (key.group(1) == level) if key else WORD.findall(line.partition(":")[2])
        for word in words if is_plain else WORD.findall(line):
            found.update((word, "*_" + word, "%s_%s" % (project, word)))
        for value in NAME_KEY.findall(line):
            unknown = unknown or value[0] in ELSEWHERE
            for name in resolved(value, variables):
                unknown = unknown or not re.sub(r"[*.-]", "", name)
                found.add(name)
    return sorted(name for name in found if re.sub(r"[*._-]", "", name)), unknown


def section(text):
    """The lines of the top-level `volumes:`, the first one too when more stands on it; and True.

    All lines, and False, of a file that says it as only a YAML parser follows: in braces, as JSON is, or by an alias.
    """
    lines = [line for line in lines_of(text.lstrip("\ufeff")) if not APART.match(line)]
    if not lines or lines[0].lstrip("- \t").startswith("{"):
        return lines, False
    found, inside, level = [], False, _indent(lines[0])
    for line in lines:
        if _indent(line) <= level:
            inside = bool(VOLUMES.match(line))
        if inside and (_indent(line) > level or line.partition(":")[2].strip()):
            found.append(line)
    return (lines, False) if any(ALIAS.search(line) for line in found) else (found, True)


def _indent(line):
    return len(line) - len(line.lstrip())


def mentions(text, names, kind):
    """Those of the names that stand in a text as a word of their own, where it speaks of containers at all."""
    if kind != "compose" and not TOOL.search(text) and "olume" not in text:
        return []
    return [name for name in names if re.search(r"(?<![\w./-])%s(?![\w/-])" % re.escape(name), text)]
