"""Words that are secrets by their randomness alone, whatever they are called; `redact` asks, on either side."""

import re

RANDOM = re.compile(r"(?<![A-Za-z0-9+/_=.-])[A-Za-z0-9+/_-]{24,8192}={0,2}")
"""What is long enough to be one."""

_BEYOND_HEX = re.compile("[g-zG-Z]")


def is_random(word):
    """Whether letters and digits change as often as chance lets them."""
    letters = [letter for letter in word[:256] if letter.isalnum()]
    kinds = ["0" if letter.isdigit() else "A" if letter.isupper() else "a" for letter in letters]
    if len(kinds) < 20 or kinds.count("0") < 2:
        return False
    changes = sum(kinds[at] != kinds[at - 1] for at in range(1, len(kinds)))
    if len(set(kinds)) == 2:
        return _is_random_in_one_case(word.rstrip("="), changes)
    if min(kinds.count("A"), kinds.count("a")) < len(kinds) / 5.0:
        return False
    return changes >= len(kinds) * 0.42


def _is_random_in_one_case(word, changes):
    """Letters of one case and digits; digests and ids are hexadecimal, and names have signs between their words."""
    if len(word) < 32 or not word.isalnum() or not _BEYOND_HEX.search(word):
        return False
    return changes >= min(len(word), 256) * 0.22
