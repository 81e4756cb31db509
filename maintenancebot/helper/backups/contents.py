"""What lies inside a backup, read from its bytes to the end: tar, SQL dumps, PostgreSQL's custom format.

No tool is asked: tar lists an archive that was cut between two members with exit code 0.
"""

from . import pgdump, sqldump
from .streams import Damaged, Empty
from .wanted import Wanted, path_of

BLOCK = 512
TAR_LINKS_AND_PLACES = b"123456"
"""Hard and symbolic links, devices, folders, pipes: headers without data."""
TAR_FILES = b"\0" + b"07S"
SIZE_DIGITS = 19


def read(feed, name, wanted=None):
    """Read a stream to its end and say what it holds: {"content", "whole", ...}; raises Damaged or Empty.

    The names in it are shown to `wanted`.

    `whole` tells whether the content itself proves its end; without it only the bytes were read.
    """
    wanted = Wanted() if wanted is None else wanted
    head = feed.peek(4096)
    if not head:
        raise Empty("nothing in it")
    if is_tar(head):
        return read_tar(feed, wanted)
    if head.startswith(pgdump.MAGIC):
        return pgdump.read(feed, wanted)
    if not head.strip(b"\0"):
        return _read_zeros(feed)
    dump = sqldump.program_of(head)
    if dump:
        return sqldump.read(feed, dump[0], dump[1], wanted)
    if tar_expected(name):
        raise Damaged("its name says tar, its content is not")
    if "sql" in name.lower().split(".")[1:] and not sqldump.STATEMENT.search(head):
        raise Damaged("its name says SQL, its first lines are none")
    return {"content": "data", "whole": False, "bytes": feed.drain()}


def recognised(feed):
    """The kind of content by its first bytes, empty when there is no way to tell its end; reads nothing away."""
    head = feed.peek(4096)
    if is_tar(head):
        return "tar"
    if head.startswith(pgdump.MAGIC):
        return "pg_dump custom format"
    return (sqldump.program_of(head) or ("",))[0]


def tar_expected(name):
    """Whether a file's name promises a tar archive."""
    parts = name.lower().split(".")[1:]
    return any(part in ("tar", "tgz", "tbz2", "txz", "tzst") for part in parts)


def is_tar(block):
    """Whether a block is a tar header: its checksum fits."""
    if len(block) < BLOCK or not block[:BLOCK].strip(b"\0"):
        return False
    try:
        told = _number(block[148:156])
    except ValueError:
        return False
    return told == sum(block[:148]) + 8 * 32 + sum(block[156:BLOCK])


def read_tar(feed, wanted):
    """Walk a tar archive to its end marker and count what is in it."""
    entries, files, size_told, name_told = 0, 0, None, None
    while True:
        block = feed.take(BLOCK)
        if len(block) < BLOCK:
            raise Damaged("tar ends without its end marker after %d entries" % entries)
        if not block.strip(b"\0"):
            break
        if not is_tar(block):
            raise Damaged("tar header after %d entries is damaged" % entries)
        kind, size = block[156:157], _size(block, entries)
        if kind in b"xg":
            told = _pax(_padded(feed, size, entries))
            if kind == b"x":
                size_told, name_told = told.get(b"size"), told.get(b"path", name_told)
            continue
        if kind == b"L":
            name_told = _padded(feed, size, entries).rstrip(b"\0")
            continue
        if kind in b"KX":  # the target of a link, and what an old Solaris tells of the next entry
            _padded(feed, size, entries)
            continue
        entries += 1
        files += kind in TAR_FILES
        wanted.saw(path_of(name_told or _name(block)))
        size, size_told, name_told = int(size_told or size), None, None
        if kind == b"S":
            _sparse_map(feed, block)
        if kind not in TAR_LINKS_AND_PLACES:
            _skip_padded(feed, size, entries)
    _tar_end(feed, entries)
    if not files:
        raise Empty("tar holds %d entries and no file" % entries)
    return {"content": "tar", "whole": True, "entries": entries, "files": files, "bytes": feed.total}


def _name(block):
    """The path that a header itself tells."""
    name, prefix = block[:100].partition(b"\0")[0], block[345:500].partition(b"\0")[0]
    return prefix + b"/" + name if prefix and block[257:263] == b"ustar\0" else name


def _tar_end(feed, entries):
    second = feed.take(BLOCK)
    if len(second) < BLOCK:
        raise Damaged("tar ends in its end marker after %d entries" % entries)
    for chunk in [second, *feed.rest_if_not_zero()]:
        if chunk.strip(b"\0"):
            raise Damaged("data after tar's end marker")


def _number(field):
    if field[:1] and field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    return int(field.strip(b" \0") or b"0", 8)


def _size(block, entries):
    """What a header says of the bytes after it: never fewer than none, which would lead back to itself for ever."""
    try:
        size = _number(block[124:136])
    except ValueError:
        size = -1
    if size < 0:
        raise Damaged("tar header after %d entries is damaged" % entries)
    return size


def _skip_padded(feed, size, entries):
    padded = size + (-size) % BLOCK
    if feed.skip(padded) < padded:
        raise Damaged("tar is cut off inside entry %d" % entries)


def _padded(feed, size, entries):
    if size > 1024 * 1024:
        raise Damaged("tar header after %d entries is damaged" % entries)
    padded = size + (-size) % BLOCK
    data = feed.take(padded)
    if len(data) < padded:
        raise Damaged("tar is cut off after entry %d" % entries)
    return data[:size]


def _pax(data):
    """The size and path of a pax header: files of more than 8 GiB and long names are told there."""
    told, at = {}, 0
    while at < len(data):
        length = data[at : at + 8].partition(b" ")[0]  # of the whole record: a name may hold line breaks
        if not length.isdigit() or int(length) <= len(length):
            break
        key, found, value = data[at + len(length) + 1 : at + int(length) - 1].partition(b"=")
        if found and (key == b"path" or (key == b"size" and value.isdigit() and len(value) <= SIZE_DIGITS)):
            told[key] = value
        at += int(length)
    return told


def _sparse_map(feed, block):
    extended = block[482]
    while extended:
        block = feed.take(BLOCK)
        if len(block) < BLOCK:
            raise Damaged("tar is cut off inside a sparse file")
        extended = block[504]


def _read_zeros(feed):
    for chunk in feed.rest_if_not_zero():
        if chunk.strip(b"\0"):
            raise Damaged("begins with zero bytes, as a file does whose first blocks were lost")
    raise Empty("only zero bytes")
