"""Text from hosts cannot forge a line, a colour, a direction or a link."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenancebot.report.clean import clean, clean_markdown

ANY_TEXT = st.text(st.characters())  # lone surrogates, controls and unassigned characters included


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/var/log/app.1.log", "/var/log/app.1.log"),
        ("Grüße 日本", "Grüße 日本"),
        ("\x1b[2Jall done", "\\x1b[2Jall done"),
        ("a\nhost2  done", "a\\nhost2  done"),
        ("a\r\tb", "a\\r\\tb"),
        ("gpj.\u202efdp", "gpj.\\u202efdp"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("line\u2028end", "line\\u2028end"),
        ("c1\x9b31m", "c1\\u009b31m"),
        ("bell\x07null\x00del\x7f", "bell\\x07null\\x00del\\x7f"),
        ("back\\slash", "back\\\\slash"),
        ("tag\U000e0041", "tag\\U000e0041"),
        (b"latin \xe9".decode("utf-8", "surrogateescape"), "latin \\xe9"),
        ("half \ud83d", "half \\ud83d"),
    ],
)
def test_what_is_not_visible_is_written_out(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(ANY_TEXT)
def test_clean_text_is_one_printable_line_that_any_stream_takes(text: str) -> None:
    shown = clean(text)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")


@given(ANY_TEXT)
def test_cleaning_loses_nothing(text: str) -> None:
    assert _restore(clean(text)) == text


@given(ANY_TEXT)
def test_no_markup_survives_in_markdown(text: str) -> None:
    shown = clean_markdown(text)
    assert shown.isprintable()
    assert not re.search(r"[<>@]|://|www\.", shown)
    assert not re.search(r"(?<!\\)(\\\\)*[`*_\[\]()|~#!]", re.sub(r"&#[0-9]+;", "", shown))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<!channel> @all", "&lt;\\!channel&gt; &#64;all"),
        ("[click](http://evil)", "\\[click\\]\\(http&#58;//evil\\)"),
        ("see https://evil or _www.evil", "see https&#58;//evil or \\_www&#46;evil"),
        ("a|b", "a\\|b"),
        ("x86_64 & co", "x86\\_64 &amp; co"),
    ],
)
def test_markdown_shows_host_text_as_it_is(text: str, shown: str) -> None:
    assert clean_markdown(text) == shown


def _restore(shown: str) -> str:
    short = {"\\\\": "\\", "\\n": "\n", "\\r": "\r", "\\t": "\t"}

    def back(found: re.Match[str]) -> str:
        code = found.group()
        if code in short:
            return short[code]
        number = int(code[2:], 16)
        return chr(number + 0xDC00 if code[1] == "x" and number >= 0x80 else number)

    return re.sub(r"\\(\\|n|r|t|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})", back, shown)
