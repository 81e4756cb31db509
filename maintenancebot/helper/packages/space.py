"""Room for an upgrade: bytes and inodes where packages are stored, unpacked and booted from."""

import os

ARCHIVES = "/var/cache/apt/archives"
SPARE_BYTES = 64 * 1024 * 1024
"""dpkg's own files, logs, caches that maintainer scripts make."""

KERNEL_BYTES = 160 * 1024 * 1024
"""A kernel's image and its initramfs, which no package field tells."""

SPARE_INODES = 2000


def shortage(download, growth, largest, kernel):
    """Lines that say where room is short, empty when there is enough.

    `largest` is the unpacked size of the largest package: dpkg lays new files beside the old ones first.
    """
    needs = [(ARCHIVES, download), ("/usr", max(growth, 0) + largest), ("/var/lib/dpkg", SPARE_BYTES)]
    if kernel:
        needs.append(("/boot", KERNEL_BYTES))
    return short(needs)


def short(needs):
    """The same for (folder, bytes) pairs; folders of one file system count together."""
    by_device = {}
    for folder, needed in needs:
        place = existing(folder)
        names, total = by_device.get(os.stat(place).st_dev, ([], 0))
        by_device[os.stat(place).st_dev] = ([*names, place], total + needed)
    lines = []
    for names, needed in by_device.values():
        about = os.statvfs(names[0])
        free = about.f_bavail * about.f_frsize
        if free < needed:
            lines.append("%s: %d bytes free, %d needed" % (names[0], free, needed))
        elif about.f_files and about.f_favail < SPARE_INODES:
            lines.append("%s: %d inodes free, %d needed" % (names[0], about.f_favail, SPARE_INODES))
    return lines


def existing(folder):
    """The folder, or the nearest one above it that is there."""
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder
