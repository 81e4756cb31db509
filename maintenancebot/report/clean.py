"""Text from hosts, made harmless: nothing a host is named or says can forge a line, a colour or a link."""

from __future__ import annotations

import re

_SHORT = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_MARKUP = re.compile(r"([\\`*_\[\]()|~#!])")
_ENTITIES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("@", "&#64;"), ("://", "&#58;//"))
_BARE_LINK = re.compile(r"(www)\.", re.IGNORECASE)


def clean(text: str) -> str:
    """The text with all that is not visible written out, reversibly.

    Control characters become `\\x1b`, bytes that are not UTF-8 `\\xff`, invisible and direction-changing
    characters `\\u202e`, line ends `\\n`, and a backslash is doubled.
    """
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(map(_visible, text))


def clean_markdown(text: str) -> str:
    """The text so that Markdown shows it as it is: no markup, no HTML, no link, no mention."""
    escaped = _MARKUP.sub(r"\\\1", clean(text))
    for characters, entity in _ENTITIES:
        escaped = escaped.replace(characters, entity)
    return _BARE_LINK.sub(r"\1&#46;", escaped)


def _visible(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
