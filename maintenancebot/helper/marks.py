"""Which packages apt takes for mere dependencies. A package named on apt's command line loses that mark."""

from . import apt, frames, tools


def automatic(names):
    """Those of the packages that carry the mark."""
    program = tools.find("apt-mark")
    answer = tools.run([program, "showauto"], limit=apt.LIMIT) if program else None
    if answer is None or not answer.ok:
        return []
    return sorted(set(frames.text(answer.stdout).split()) & set(names))


def restore(names):
    """Put the marks back, so that what nobody needs can still be found."""
    if names:
        tools.run([tools.find("apt-mark"), "-q", "auto", *names], limit=apt.LIMIT)
