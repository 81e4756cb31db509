"""What packages weigh: bytes to download and to unpack, beside what is installed already."""

from . import apt, dpkg


def weigh(asker, installs, found, native):
    """Bytes to download, growth when unpacked, and the largest package, of a simulation's packages.

    Each item gets its own `download` and `growth`.
    """
    sizes = asker.sizes(["%s=%s" % (apt.word(i["name"], i["arch"], native), i["to"]) for i in installs])
    largest = 0
    for item in installs:
        download, unpacked = sizes.get((item["name"], item["to"]), (0, 0))
        package = installed(item["name"], item["arch"], found)
        item["download"] = download
        item["growth"] = unpacked - (package.size if package else 0)
        largest = max(largest, unpacked)
    return sum(i["download"] for i in installs), sum(i["growth"] for i in installs), largest


def installed(name, arch, found):
    """The installed package; a new version may be for all architectures where the old one was not, or the reverse."""
    for candidate in (arch, "all", dpkg.native_architecture(found)):
        if (name, candidate) in found and (candidate == arch or "all" in (candidate, arch)):
            return found[(name, candidate)]
    return None
