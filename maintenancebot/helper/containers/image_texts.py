"""Reads names of images out of text: settings, unit files, cron tables, scripts, compose files. A name too many does no
harm, since what is named is kept."""

import re

LINE_CAP = 16384  # what stands further right is not read

TOOL = re.compile(r"\b(?:docker|podman|nerdctl)\b")
VARIABLE = re.compile(r"\$\{[^}]{0,200}\}|\$\([^)]{0,200}\)|\$\w{1,100}|%[a-zA-Z]")
BETWEEN = re.compile(r"[^A-Za-z0-9._/:@*-]+")
NAME = re.compile(
    r"[a-zA-Z0-9*][A-Za-z0-9.*-]*(?::[0-9]+)?/[a-z0-9*][a-z0-9._*-]*(?:/[a-z0-9._*-]+)*(?::[\w.*-]+)?(?:@sha256:[0-9a-f]{64})?"
    r"|[a-z0-9*][a-z0-9._*-]*(?::[\w.*-]+)?(?:@sha256:[0-9a-f]{64})?"
)
"""With a registry or folder before the first slash, or without; ids are names of the second form."""
IMAGE_KEY = re.compile(
    r"(?:^|[\s{,\"'])[\w.-]{0,100}image[\"']?[ \t]{0,20}:[ \t]{0,20}(?:&\S{1,100}[ \t]{1,20})?[\"']?"
    r"((?:\$\{[^}]{0,200}\}|[^\s\"',}#]){1,255})"
)
WITH_DEFAULT = re.compile(r"\$\{(\w{1,100})(?::?[-=]([^}]{0,200})|:?[?+][^}]{0,200})?\}|\$(\w{1,100})")
"""Every repeat has a bound and lines are read one by one: a hostile file costs time in proportion to its size only."""


SERVICE = re.compile(r"([ \t]{1,40})[\"']?([A-Za-z0-9._-]{1,100})[\"']?:")


def from_text(text, kind):
    """Names in a unit file, cron table, script or list of settings."""
    if kind not in ("names", "unit") and not TOOL.search(text):
        return []
    found = []
    for line in lines_of(text.replace("\\\n", " ")):
        if line.lstrip().startswith(("#", "Documentation=")):
            continue
        all_words = (kind != "names" and TOOL.search(line)) or line.startswith("Image=")
        for word in BETWEEN.split(VARIABLE.sub("*", line)):
            if all_words or ":" in word or "/" in word:
                found += named(word)
    return found


def named(word):
    """The word in a list if it can be the name of an image, else an empty list."""
    word = word.rstrip(".:/")
    if not word or len(word) > 255 or not NAME.fullmatch(word):
        return []
    repository = word.split("@")[0]
    repository = repository.rpartition(":")[0] or repository
    return [word] if len(re.sub(r"[^A-Za-z0-9]", "", repository)) >= 2 else []


def from_compose(text, folder, variables):
    """Names in a compose file, and whether one of them hangs on a variable that nobody knows."""
    found, unknown = [], False
    for value in (value for line in lines_of(text) for value in IMAGE_KEY.findall(line)):
        if value.startswith(("*", ">", "|")):
            continue  # an alias, whose anchor is matched too, or a block
        for name in resolved(value, variables):
            taken = named(name)
            unknown = unknown or (not taken and "*" in name)
            found += taken
    project = project_of(text, folder, variables)
    for service in services_of(text):
        found += named("%s-%s" % (project, service)) + named("%s_%s" % (project, service))
    return found, unknown


def resolved(value, variables):
    """The values that a compose file's text can have: from `.env`, by its default, else a wildcard."""

    def known(match):
        return variables.get(match.group(1) or match.group(3), match.group(2) or "*")

    def default(match):
        return match.group(2) or known(match)

    return sorted({WITH_DEFAULT.sub(known, value), WITH_DEFAULT.sub(default, value)} if "$" in value else {value})


def project_of(text, folder, variables):
    """A compose project's name, which begins the names of the images that it builds."""
    given = re.search(r"^name:\s*[\"']?([\w.-]+)", text, re.MULTILINE)
    name = given.group(1) if given else variables.get("COMPOSE_PROJECT_NAME", folder)
    return re.sub(r"[^a-z0-9_-]", "", name.lower())


def services_of(text):
    """The keys right below `services:`."""
    found, level = [], None
    for line in lines_of(text):
        if level is None:
            level = "" if line.startswith("services:") else None
        elif line[:1] not in (" ", "\t", "", "#"):
            break
        else:
            key = SERVICE.match(line)
            if key and (not level or key.group(1) == level):
                level = key.group(1)
                found.append(key.group(2))
    return found


def lines_of(text):
    """The lines without what is beyond any sensible length."""
    return (line[:LINE_CAP] for line in text.splitlines())
