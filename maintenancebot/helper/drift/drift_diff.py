"""The difference of a file from its declared content, for items that may tell one: secrets are hidden on the host.

Whole texts are redacted before they are compared, so that a key of many lines is seen as one. Beyond the rules for
secrets everything is hidden here that is long and has digits: a diff may lose a word, a secret may not be told.
"""

import base64
import re

from .. import frames, redact
from ..files import plain, walk
from . import drift_crontabs

WHOLE = 256 << 10
LINES, LINE = 60, 200
COMPARED = 2000
ALL = 192 << 10
NAMED = re.compile(
    r"((?<![a-z0-9_-])(?!(?:proxy|fastcgi|uwsgi|scgi|grpc|memcached)_pass\b)[a-z0-9_-]{0,32}(?<!by)"
    r"(?:pass|passwd|password|passphrase|pw|pwd|psk|secret|token|community)[\"']?[ \t]{1,16})"
    r"(?!\[|(?:required|requisite|sufficient|optional|include|substack|yes|no|on|off|with|for|of|is|and|or)\b)\S+",
    re.I,
)
"""A value after blanks alone, as keepalived's `auth_pass` has it; PAM's lines and the addresses of proxies are none."""
LONG = re.compile(r"[A-Za-z0-9+/_=.~-]{20,}")
BINARY = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")


class Budget:
    """How much all differences of one host may take together."""

    def __init__(self, size=ALL):
        self._left = size

    def diff(self, item, found):
        """The lines for an item, none where it has no declared content or its content does not differ."""
        if "content" not in item or "sha256" not in found.differs or not found.path:
            return []
        if self._left <= 0:
            return ["(not told: there were enough differences before this one)"]
        lines = _of(item, found)
        self._left -= sum(map(len, lines))
        return lines


def _of(item, found):
    try:
        _, data = plain.read(found.path)
    except (OSError, walk.Refused):
        return ["(it cannot be read any more)"]
    here = drift_crontabs.without_header(data) if item["kind"] == "crontab" else data
    wanted = base64.b64decode(item["content"])
    if max(len(here), len(wanted)) > WHOLE:
        return ["(too large: %d bytes here, %d declared)" % (len(here), len(wanted))]
    if BINARY.search(here) or BINARY.search(wanted):
        return ["(not text: %d bytes here, %d declared)" % (len(here), len(wanted))]
    if _unix(here) == _unix(wanted):
        return ["(differs only in how its lines end)"]
    return lines(frames.text(here), frames.text(wanted))


def lines(here, wanted):
    """A difference of two texts, `-` as it is and `+` as declared, with a line around, redacted and cut."""
    try:
        import difflib
    except ImportError:
        return ["(not told: this python3 lacks difflib)"]
    one, other = _hidden(here), _hidden(wanted)
    if len(one) > COMPARED or len(other) > COMPARED:
        return ["(too long: %d lines here, %d declared)" % (len(one), len(other))]
    told = [line[:LINE] for line in difflib.unified_diff(one, other, "here", "declared", n=1, lineterm="")]
    if not told:
        return ["(differs only in what is hidden)"]
    return told[:LINES] + (["(and %d more lines)" % (len(told) - LINES)] if len(told) > LINES else [])


def _hidden(text):
    found = LONG.sub(_unless_words, NAMED.sub(r"\1" + redact.MASK, redact.redact(text))).split("\n")
    whole = found if found[-1] else found[:-1]
    return ["".join(letter if letter.isprintable() else "?" for letter in line) for line in whole]


def _unless_words(found):
    """A path stays, and so does a long word that somebody made of words."""
    word = found.group()
    if word.startswith("/"):
        return redact.MASK if any(map(_is_odd, word.split("/"))) else word
    return redact.MASK if _is_odd(word) or any(map(str.isdigit, word)) else word


def _is_odd(word):
    changes = sum(one.isupper() != other.isupper() for one, other in zip(word, word[1:]))  # noqa: B905, RUF007  Python 3.6
    return sum(map(str.isdigit, word)) > 2 or changes > len(word) / 3.0 > 3 or (len(word) > 30 and word.isalnum())


def _unix(data):
    return data.replace(b"\r\n", b"\n").rstrip(b"\n")
