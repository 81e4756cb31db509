"""The words of `explain` for each rule of a Judge: what the rule has seen, whether it passes or not."""

import stat
import time

from ..files import inodes, untouchable, walk
from ..trash import exempt
from .judge import DAY, keeper

KINDS = (
    (stat.S_ISREG, "a regular file"),
    (stat.S_ISDIR, "a folder: only files go"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a block device"),
    (stat.S_ISCHR, "a character device"),
)


def _kind(judge, entry):
    if not entry.is_link():
        return next((words for test, words in KINDS if test(entry.looked.st_mode)), "of an unknown kind")
    wanted = "links are not compressed" if judge.compress else "" if judge.links else "the pattern does not take links"
    return "a symbolic link" + (": " + wanted if wanted else "")


def _sticky(_judge, entry):
    return "has the sticky bit" if entry.looked.st_mode & stat.S_ISVTX else "has no sticky bit"


def _hard_links(_judge, entry):
    return "%d hard link%s" % (entry.looked.st_nlink, "" if entry.looked.st_nlink == 1 else "s")


def _times(_judge, entry):
    return "modified %s, changed %s" % (_moment(entry.looked.st_mtime), _moment(entry.looked.st_ctime))


def _age(judge, entry):
    days = [(judge.now - moment) / DAY for moment in (entry.looked.st_mtime, entry.looked.st_ctime)]
    return "modified %.1f days ago, changed %.1f days ago; %d days are asked" % (days[0], days[1], judge.age // DAY)


def _untouchable(_judge, entry):
    found = untouchable.reason(entry.parts)
    return {"own_file": "belongs to maintenancebot itself", "protected": "is always left to its own tools"}.get(
        found, "no log or file with a method of its own"
    )


def _protect(judge, entry):
    rule = keeper(judge.protect, entry.parts)
    return "deletion.protect has %s" % rule.text if rule else "no rule of deletion.protect matches"


def _exclude(judge, entry):
    rule = keeper(judge.exclude, entry.parts)
    return "exclude has %s" % rule.text if rule else "no exclude of the pattern matches"


def _logrotate(judge, entry):
    origin = judge.around.managed.named_by(entry.path)
    return "logrotate does not know it" if origin is None else "%s names it" % origin


def _restored(judge, entry):
    back = exempt.key(entry.looked) in judge.around.exempt
    return "came back from the trash less than a week ago" if back else "was not restored lately"


def _compress(judge, entry):
    if not judge.compress:
        return "the pattern does not compress"
    return "its name would be %s.gz" % entry.path


def _use(judge, entry):
    if judge.around.is_shared(entry):
        return "on a file system that other machines may use"
    users = judge.around.users
    if entry.is_link():
        return "a link is never open"
    if users.holders:
        return ", ".join("%s (%s) has it %s" % (one["process"], one["pid"], one["how"]) for one in users.holders)
    return "nobody" if not users.reason(entry.looked) else "not every process could be looked at: the kernel was asked"


def _attributes(_judge, entry):
    try:
        fd = entry.opened()
    except walk.Refused as error:
        return str(error)
    if entry.is_link():
        return "a link has none"
    found = inodes.attributes(fd)
    names = [
        word for bit, word in ((inodes.IMMUTABLE, "immutable"), (inodes.APPEND_ONLY, "append-only")) if found & bit
    ]
    return " and ".join(names) or "neither immutable nor append-only"


def _moment(seconds):
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return "%d seconds after 1970" % seconds


WORDS = {
    "kind": _kind,
    "sticky": _sticky,
    "hard_links": _hard_links,
    "times": _times,
    "age": _age,
    "untouchable": _untouchable,
    "protect": _protect,
    "exclude": _exclude,
    "logrotate": _logrotate,
    "restored": _restored,
    "compress": _compress,
    "use": _use,
    "attributes": _attributes,
}
"""Rule of a Judge -> function (judge, entry)."""
