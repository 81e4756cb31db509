"""The way back: the .deb files of the installed versions, fetched before the upgrade that replaces them."""

import os
import shutil

from .. import frames
from ..host import tools, unit
from . import apt, space, weights

FOLDER = "old"
DOWNLOAD_SECONDS = 900
REPACK_SECONDS = 300
STATUS = "/var/lib/dpkg/status"
NO_WAY = "no repository and no cache has %s any more, and dpkg-repack is not installed"


def replaced(wanted, found):
    """The installed packages that a plan replaces."""
    packages = [weights.installed(item["package"], item["architecture"], found) for item in wanted if item["from"]]
    return [package for package in packages if package is not None]


def fetch(packages, native, asker, folder, out):
    """{package: path of its old .deb} and {package: why there is none}; from a repository, apt's cache, or repacked."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    words = {p.name: "%s=%s" % (apt.word(p.name, p.arch, native), p.version) for p in packages}
    offered = offers(packages, native, asker)
    download([words[name] for name in words if name in offered], folder, out)
    files, missing = {}, {}
    for package in packages:
        path = os.path.join(folder, file_name(package))
        if not is_of(path, package):
            from_cache(package, path)
        if not is_of(path, package):
            repack(package, native, folder, path, out)
        if is_of(path, package):
            files[package.name] = path
        else:
            missing[package.name] = NO_WAY % package.version
    return files, missing


def offers(packages, native, asker):
    """The names whose installed version a repository still has."""
    words = {apt.word(p.name, p.arch, native): p for p in packages}
    policies = asker.policy(sorted(words)) if words else {}
    found = set()
    for word, package in words.items():
        for version in policies.get(word, {}).get("versions", []):
            sources = [source for source in version["sources"] if source != STATUS]
            if version["version"] == package.version and sources:
                found.add(package.name)
    return found


def shortage(packages):
    """Lines that say where room for the old files is short; they are smaller than what they unpack to."""
    return space.short([(unit.FOLDER, sum(package.size for package in packages) + space.SPARE_BYTES)])


def download(words, folder, out):
    """Fetch `name=version` words into the folder: all at once, else each for itself; what fails is just not there."""
    if not words:
        return
    argv = [tools.find("env"), "-C", folder, tools.find("apt-get"), "-q", "-y", *apt.NO_CACHE]
    argv += ["-o", "APT::Sandbox::User=root", "-o", "APT::Color=0", "-o", "Acquire::Retries=1", "download"]
    if not tools.run([*argv, *words], out=out, limit=DOWNLOAD_SECONDS).ok:
        for word in words:
            tools.run([*argv, word], out=out, limit=DOWNLOAD_SECONDS / 10)


def from_cache(package, path):
    """Copy the file that apt has kept since it was installed."""
    cached = os.path.join(space.ARCHIVES, file_name(package))
    if os.path.isfile(cached) and not os.path.islink(cached):
        shutil.copyfile(cached, path)


def repack(package, native, folder, path, out):
    """Pack the installed files again, with the configuration as it lies on the host."""
    program = tools.find("dpkg-repack")
    if program is None:
        return
    place = os.path.join(folder, "repacked")
    os.makedirs(place, mode=0o700, exist_ok=True)
    word = apt.word(package.name, package.arch, native)
    tools.run([tools.find("env"), "-C", place, program, word], out=out, limit=REPACK_SECONDS)
    for name in os.listdir(place):
        if is_of(os.path.join(place, name), package):
            os.rename(os.path.join(place, name), path)
    shutil.rmtree(place)


def file_name(package):
    """How apt names the .deb of an installed package."""
    return "%s_%s_%s.deb" % (package.name, package.version.replace(":", "%3a"), package.arch)


def is_of(path, package):
    """Whether a file is the .deb of exactly that version."""
    if not os.path.isfile(path) or os.path.islink(path):
        return False
    answer = tools.run([tools.find("dpkg-deb"), "--field", path, "Package", "Version", "Architecture"])
    said = dict(line.split(": ", 1) for line in frames.text(answer.stdout).splitlines() if ": " in line)
    wanted = {"Package": package.name, "Version": package.version, "Architecture": package.arch}
    return answer.ok and said == wanted


def forget_others(name):
    """Remove the files of runs that have ended; only the newest run can be taken back."""
    for run in unit.runs():
        if run.name != name and not run.alive():
            shutil.rmtree(os.path.join(run.folder, FOLDER), ignore_errors=True)
