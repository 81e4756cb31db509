"""Whether what a text says of a host is what the facts say of that host: true words at a wrong thing are a lie too."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from maintenancebot.llm import lexicon
from maintenancebot.model import Json

_HOST, _PATH = "host", "path"
_ENDING = re.compile(r"(?:'s|ing|ed|es|s|d|e)$")

Lines = Callable[[Json], Iterator[str]]
Split = Callable[[str], Iterator[str]]


@dataclass(frozen=True)
class Places:
    """Which words stand in which rows."""

    words: frozenset[str]  # of all facts, without their endings
    rows: Mapping[str, frozenset[str]] = field(default_factory=dict)  # of the rows of each host
    fleet: frozenset[str] = frozenset()  # of what is in no host's row


def places_of(evidence: Mapping[str, Json], lines: Lines, split: Split) -> Places:
    """The words of the evidence by host; a row with a name `host` is about that host alone.

    One with a `path` is about that alone too, on the host that all of it is about.
    """
    rows: dict[str, set[str]] = {}
    paths: dict[str, set[str]] = {}
    fleet: set[str] = set()
    for kind, name, row in _parts(list(evidence.values())):
        into = _place(rows if kind == _HOST else paths, name, split) if kind else fleet
        into.update(_stem(word) for line in lines(row) for word in split(line.lower()))
    names = {name: frozenset(words) for name, words in rows.items()}
    names |= {name: frozenset(words | fleet) for name, words in paths.items() if name not in names}
    return Places(frozenset().union(fleet, *names.values(), _stems(evidence, split)), names, frozenset(fleet))


def _place(rows: dict[str, set[str]], name: str, split: Split) -> set[str]:
    """The words of a row's name; as a word of a text, where it is one."""
    words = list(split(name.lower()))
    return rows.setdefault(words[0] if len(words) == 1 else name.lower(), set())


def _parts(value: Json) -> Iterator[tuple[str, str, Json]]:
    """The rows in a value, by what they are about, and what stands beside them."""
    if isinstance(value, Mapping):
        kind = next((key for key in (_HOST, _PATH) if isinstance(value.get(key), str) and value[key]), "")
        if kind:
            yield kind, value[kind], value
            return
        for key, one in value.items():
            yield "", "", key
            yield from _parts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _parts(one)
    else:
        yield "", "", value


def unknown_words(text: str, places: Places, split: Split) -> Iterator[str]:
    """Words that are neither in the facts nor plain: nobody can see what they say."""
    for word in split(text.lower()):
        if not _is_plain(word) and _stem(word) not in places.words:
            yield word


def misplaced(phrases: Iterator[Sequence[str]], places: Places) -> Iterator[tuple[str, str]]:
    """Words and numbers that stand in the facts, and not of the hosts that a phrase is about; with these hosts.

    A phrase that names nobody is about who was named last, or about the fleet.
    """
    about: frozenset[str] = frozenset()
    for words in phrases:
        named = frozenset(word for word in words if word in places.rows)
        about = named or about
        if not about:
            continue
        known = frozenset().union(*(places.rows[host] for host in about))
        if not named or any(word[0].isdigit() for word in words):
            known |= places.fleet
        for word in words:
            if not _is_plain(word) and _stem(word) in places.words and _stem(word) not in known:
                yield word, ", ".join(sorted(about))


def _is_plain(word: str) -> bool:
    return word in lexicon.PLAIN or _stem(word) in _PLAIN_STEMS or lexicon.PRAISE.fullmatch(word) is not None


def _stem(word: str) -> str:
    """A word without its ending, so that `fails` and `failed` are one; a name or a number as it is."""
    return _ENDING.sub("", word) if word.isalpha() and len(word) > 3 else word.strip("$%")


def _stems(evidence: Mapping[str, Json], split: Split) -> set[str]:
    return {_stem(word) for name in evidence for word in split(str(name).lower())}


_PLAIN_STEMS = frozenset(_stem(word) for word in lexicon.PLAIN if len(word) > 3)
