"""Whether a text of the model says only what the facts say. In doubt it does not: the plain figures stand without it.

A number must stand in the facts beside the same word ("3 hosts", "91 %", "1.5 GiB"), a name must stand in them as it
is, and where something failed nothing may be praised. What no program can see in a text is therefore kept from being
written: sums, absences, number words, verdicts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from maintenancebot.llm import lexicon, placing
from maintenancebot.llm.fencing import stripped
from maintenancebot.llm.placing import Places, places_of
from maintenancebot.model import Json, State

_WORD = re.compile(r"\$?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?%?|\$?[^\W_](?:[\w.:/+~@%-]*[\w%])?|%")
_NUMBER = re.compile(r"\$?([0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(\.[0-9]+)?%?$")
_SENTENCE = re.compile(r"[;!?]|\.(?=\s|$)|\n")
_BREAK = re.compile(r"[()]|[,:](?=\s|$)")
_ALLOWED = re.compile(r"[ -~\u2010-\u2015\u2018-\u201d\u2026\u20ac\u00a7\u00b0]")
_MARKUP = re.compile(
    r"```|`|https?:|www\.|[<>{}|\\^]|\[[^\]]*\]\(|^\s*(?:#|[-*•]\s)|\*\*|<!|@(?:here|channel|everyone)", re.M
)
_SIGNED = re.compile(r"(?<![^\s(])[-+\u2010-\u2015\u2212]\s?[0-9]")
_CLAUSE = re.compile(r"[()]|[,:](?=\s|$)|\b(?:and|while|whereas|but)\b")
_AHEAD_OF_FACTS, _AHEAD = 10, 5
"""Words after a number that may say what is counted: more in our own sentences than in the model's."""


@dataclass(frozen=True)
class _Count:
    """A number in a text."""

    number: str
    kinds: frozenset[str]  # what it counts, as far as the words say
    beside: tuple[str, ...]  # it with the word before, and with the one after
    is_earlier: bool  # its phrase is about the time before
    is_whole: bool = False  # the 48 of "3 of 48 hosts"


_Counts = Mapping[str, Sequence[frozenset[str]]]
"""By number: what it counts, each time that it stands there."""


@dataclass(frozen=True)
class Facts:
    """What a text may say."""

    text: str  # all of it, in lower case
    counts: _Counts
    earlier: _Counts  # of the time before: only a phrase that says so may have them
    is_well: bool
    places: Places


def facts_of(evidence: Mapping[str, Json], state: State, earlier: str = "") -> Facts:
    """The facts as a text is compared with them; `evidence` is what the model was shown.

    What stands under the name `earlier` is of the time before.
    """
    now = list(_lines({name: value for name, value in evidence.items() if name != earlier}))
    before = list(_lines(evidence.get(earlier)))
    text = "\n".join([*now, *before]).lower()
    is_well = state in (State.DONE, State.NOTHING)
    return Facts(text, _counts_of(now), _counts_of(before), is_well, places_of(evidence, _lines, _words))


def _counts_of(lines: Sequence[str]) -> _Counts:
    counts: dict[str, list[frozenset[str]]] = {}
    for line in lines:
        for one in _counted(line, _AHEAD_OF_FACTS):
            counts.setdefault(one.number, []).append(one.kinds)
    return counts


def faults(text: str, facts: Facts, letters: int) -> list[str]:
    """What is wrong with a text, as the model can be told; empty when it may be shown."""
    if not text.strip():
        return ["the text is empty"]
    if len(text) > letters:
        return [f"the text has {len(text)} letters, and {letters} are allowed"]
    rules = (_form, _names, _counts, _verdicts, _places)
    found = [fault for rule in rules for fault in rule(text, facts)]
    return list(dict.fromkeys(found))


def _form(text: str, facts: Facts) -> Iterator[str]:
    if stripped(text) != " ".join(text.split()):
        yield "it has invisible characters"
    odd = {
        letter for letter in text if not _ALLOWED.match(letter) and letter not in facts.text and not letter.isspace()
    }
    if odd:
        yield f"it has characters that are not in the data: {''.join(sorted(odd))[:20]}"
    if _SIGNED.search(text):
        yield "it has a sign before a number"
    if _MARKUP.search(text):
        yield "it has markup, a link or code"


def _names(text: str, facts: Facts) -> Iterator[str]:
    """Whatever may be the name of a host, a package, a file or an alert."""
    for word in _words(text):
        if _NUMBER.match(word):
            continue
        lower = word.lower()
        if (_is_name(word) or lower in lexicon.SOFTWARE) and not _stands(lower, facts.text):
            yield f"{word!r} is not in the data"


def _is_name(word: str) -> bool:
    if any(letter in "0123456789._/:@+~" for letter in word):
        return True
    return "-" in word and word.lower() not in lexicon.HYPHENATED


def _counts(text: str, facts: Facts) -> Iterator[str]:
    for one in _counted(text, _AHEAD):
        if not one.kinds and any(beside in facts.text for beside in one.beside):
            continue  # a name or a date that the data has, such as "16 November"
        known = [*facts.counts.get(one.number, ()), *(facts.earlier.get(one.number, ()) if one.is_earlier else ())]
        if not known:
            yield f"the number {one.number} is not in the data"
        elif not one.kinds or not any(_says(one, kinds) for kinds in known):
            yield f"the data does not count {one.number} as {' '.join(sorted(one.kinds)) or 'you do'}"
    for word in _words(text.lower()):
        if word in lexicon.NUMBER_WORDS:
            yield f"{word!r}: numbers are written as digits, as they stand in the data"


def _says(one: _Count, kinds: frozenset[str]) -> bool:
    """Whether the facts count this; a whole, and hosts without a word about them, are those of just this many."""
    return one.kinds == kinds if one.is_whole or one.kinds == {"host"} else one.kinds <= kinds


def _places(text: str, facts: Facts) -> Iterator[str]:
    """Whatever nobody can hold against the facts, and what stands there about something else."""
    for word in placing.unknown_words(text, facts.places, _words):
        if not _NUMBER.match(word):
            yield f"{word!r} is neither in the data nor a plain word"
    clauses = (list(_words(clause.lower())) for sentence in _SENTENCE.split(text) for clause in _CLAUSE.split(sentence))
    for word, hosts in placing.misplaced(clauses, facts.places):
        yield f"the data does not say {word!r} of {hosts}"


def _verdicts(text: str, facts: Facts) -> Iterator[str]:
    lower = " ".join(_words(text.lower()))
    for found in lexicon.ABSENCE.finditer(lower):
        if found.group() not in facts.text:
            yield f"{found.group()!r}: what is absent is not to be told"
    for found in lexicon.NEGATION.finditer(lower):
        if found.group() not in facts.text:
            yield f"{found.group()!r}: what is not so is not to be told"
    if facts.is_well:
        return
    for found in lexicon.PRAISE.finditer(lower):
        yield f"{found.group()!r}: not everything is well"
    if not lexicon.TROUBLE.search(lower):
        yield "it does not say that something is wrong"


def _counted(text: str, ahead: int) -> Iterator[_Count]:
    """Each number of a text with what it counts: the words after it, up to the next number or the end of the phrase.

    One that counts nothing by itself counts what the one before it in the sentence does: "112 packages, 90 before".
    """
    for sentence in _SENTENCE.split(text):
        before: frozenset[str] = frozenset()
        for phrase in _BREAK.split(sentence):
            words = list(_words(phrase))
            for at, word in enumerate(words):
                if _NUMBER.match(word):
                    before = _kinds(words, at, ahead) or before
                    beside = (" ".join(words[max(0, at - 1) : at + 1]), " ".join(words[at : at + 2]))
                    pairs = tuple(pair.lower() for pair in beside if " " in pair)
                    is_earlier = bool(lexicon.EARLIER.search(phrase.lower()))
                    is_whole = at > 0 and words[at - 1].lower() == "of" and bool(_kinds(words, at, ahead))
                    yield _Count(_canonical(word), before, pairs, is_earlier, is_whole)


def _kinds(words: Sequence[str], at: int, ahead: int) -> frozenset[str]:
    word = words[at]
    kinds = {kind for sign, kind in (("$", "dollar"), ("%", "percent")) if sign in word}
    is_whole = at > 0 and words[at - 1].lower() in ("of", "from")  # of the 48 in "3 of 48 hosts failed" not all failed
    following = words[at + 1 : at + 1 + ahead]
    for place, other in enumerate(following):
        is_number = _NUMBER.match(other) and (place == 0 or following[place - 1].lower() != "of")
        if is_number or other.lower() in lexicon.ENDS_A_COUNT:
            break
        if following[max(0, place - 1)].lower() != "the":  # "90 the week before" counts no weeks
            kinds |= {lexicon.kind(other)} - {""}
        if is_whole and kinds:
            break
    return frozenset(kinds)


def _words(text: str) -> Iterator[str]:
    return (found.group().rstrip(".:/-") for found in _WORD.finditer(text))


def _canonical(number: str) -> str:
    """1,024 and 1024, 3.0 and 3 are the same."""
    plain = number.strip("$%").replace(",", "")
    whole, _, part = plain.partition(".")
    part = part.rstrip("0")
    return f"{int(whole)}.{part}" if part else str(int(whole))


def _stands(name: str, text: str) -> bool:
    """Whether a name stands in the facts as it is, not as a part of another."""
    return re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-]|\.\w)", text) is not None


def _lines(value: Json) -> Iterator[str]:
    """Everything as text; a number stands beside its name, and a row in one line."""
    if isinstance(value, Mapping):
        for name, one in value.items():
            if isinstance(one, int | float) and not isinstance(one, bool):
                yield f"{one} {name}"
            else:
                yield str(name)
                yield from _lines(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _lines(one)
    elif isinstance(value, str):
        yield value
    elif value is not None:
        yield json.dumps(value)
