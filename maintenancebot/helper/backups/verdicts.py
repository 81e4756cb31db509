"""What can be said of a backup: a closed list of levels, and verdicts that end a look at it."""

LEVELS = ("none", "exists", "fresh", "complete", "plausible", "readable", "restored")
"""Each holds all before it; `plausible` is the planner's to say, which knows the history, `restored` a trial's."""

FUTURE_SLACK = 300


class Verdict(Exception):
    """A verdict that ends the look at one source."""

    def __init__(self, verdict, reason, detail=""):
        self.verdict, self.reason, self.detail = verdict, reason, detail
        Exception.__init__(self, detail)


def bad(reason, detail):
    """The backup is not what it should be."""
    return Verdict("bad", reason, detail)


def unknown(reason, detail):
    """The backup could not be looked at."""
    return Verdict("unknown", reason, detail)


def blank():
    """What is known of a source before it was looked at, as plain data."""
    return {"level": "none", "evidence": {}, "others": [], "notes": []}


def said(name, size, moment, now):
    """One copy as evidence."""
    told = {"path": name, "time": int(moment), "age_hours": hours(now - moment)}
    return told if size is None else dict(told, size=size)


def hours(seconds):
    """Seconds as hours, to one decimal."""
    return round(seconds / 3600.0, 1)


def too_old(moment, now, max_age, time_from):
    """How a copy that is too old is told, empty when it is not."""
    if now - moment <= max_age:
        return ""
    told = ((now - moment) / 3600.0, time_from, max_age / 3600.0)
    return "the newest copy is %.1f hours old by %s, more than %g are not allowed" % told
