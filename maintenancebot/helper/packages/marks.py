"""apt-mark: packages that are mere dependencies, named by a person, or held.

A package named on apt's command line loses the mark of a dependency. apt-mark would renew apt's caches beside its
answer, even for a question, so none is kept here.
"""

from .. import frames
from ..host import tools
from . import apt


def automatic(names):
    """Those of the packages that carry the mark."""
    answer = run("showauto")
    if answer is None or not answer.ok:
        return []
    return sorted(set(frames.text(answer.stdout).split()) & set(names))


def restore(names):
    """Put the marks back, so that what nobody needs can still be found."""
    if names:
        run("auto", *names)


def run(*words):
    """Its Answer, None when the host has no apt-mark."""
    program = tools.find("apt-mark")
    return tools.run([program, "-q", *apt.NO_CACHE, *words], limit=apt.LIMIT) if program else None
