"""Security advisories as they lie in a repository's updateinfo file; zypper tells no packages of a patch."""

import bz2
import gzip
from xml.etree import ElementTree

from ..host import tools
from . import rpm

LIMIT = 256 * 1024 * 1024


def read(path):
    """{(name, architecture): [{"evr", "id", "severity", "cves"}]} of the security advisories of one file.

    rpm.RpmError when it cannot be read: then nobody knows what is a fix.
    """
    try:
        root = ElementTree.fromstring(content(path))  # noqa: S314  signed by the repository, and read as root by zypper itself
    except (OSError, EOFError, ElementTree.ParseError) as error:
        raise rpm.RpmError("%s: %s" % (path, error)) from error
    found = {}
    for update in root.iter("update"):
        if update.get("type") == "security" and update.get("status") != "retracted":
            row = described(update)
            for package in update.iter("package"):
                key = package.get("name", ""), package.get("arch", "")
                version = [package.get(word, "") for word in ("epoch", "version", "release")]
                found.setdefault(key, []).append(dict(row, evr=rpm.evr(*version)))
    return found


def described(update):
    """One advisory without its packages."""
    cves = {one.get("id", "") for one in update.iter("reference") if one.get("type") == "cve"}
    severity = update.findtext("severity") or ""
    return {"id": update.findtext("id") or "", "severity": severity, "cves": sorted(cves)}


def content(path):
    """The bytes of a file, unpacked."""
    if path.endswith(".zst"):
        return unpacked_by("zstd", path)
    if path.endswith(".xz"):
        return unpacked_by("xz", path)
    opener = gzip.open if path.endswith(".gz") else bz2.open if path.endswith(".bz2") else open
    with opener(path, "rb") as stream:
        return stream.read(LIMIT)


def unpacked_by(name, path):
    """The bytes of a file that Python 3.6 may not be able to unpack."""
    program = tools.find(name)
    if program is None:
        raise rpm.RpmError("%s cannot be read without %s" % (path, name))
    answer = tools.run([program, "-dc", path], cap=LIMIT)
    if not answer.ok:
        raise rpm.RpmError("%s %s: %s" % (name, path, answer.error()))
    return answer.stdout
