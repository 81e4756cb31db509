"""Which package a file belongs to, what the package brought for it, and when that came by an upgrade. Reads only."""

from . import managers

MOST = 200


class Owner:
    """A file's package as installed; `digest` of the content that it brought, empty where it tells none.

    `upgraded` are (begin, end) of the upgrade that brought this version, None after a first installation or where
    nobody knows.
    """

    __slots__ = ("algorithm", "digest", "package", "upgraded", "version")

    def __init__(self, package, version="", digest="", algorithm="md5", upgraded=None):
        self.package, self.version = package, version
        self.digest, self.algorithm = digest, algorithm
        self.upgraded = upgraded


def of(paths, most=MOST):
    """{path: Owner} of those of the paths (text) that belong to a package; no more than `most` are asked for."""
    some = sorted(set(paths))[:most]
    chosen = managers.choose().name if some else ""
    if chosen == "apt":
        from . import owners_dpkg

        return owners_dpkg.of(some)
    if chosen:
        from . import owners_rpm

        return owners_rpm.of(some, chosen)
    return {}
