"""Texts that boards, model files, converters and users wrote, made safe for where they are shown.

A board's name, a tensor's name, an error message or a file's name may hold anything: escape sequences that a terminal obeys,
characters that turn the direction of a line, halves of surrogate pairs that no encoder takes, a beginning that a spreadsheet
takes for a formula. Records and JSON keep what was said; every border at which a text is printed goes through here.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

#: Unicode categories that do something to a terminal or hide: controls, formats, surrogates, line and paragraph separators
_OBEYED = ("Cc", "Cf", "Cs", "Zl", "Zp")
#: stands for each of them
REPLACEMENT = "\ufffd"
#: what a spreadsheet takes for a formula at the beginning of a cell; the wide forms are read as the narrow ones in some locales
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


class _Table(dict[int, str]):
    """What `str.translate` asks for each character, worked out once per character."""

    def __init__(self, kept: str, replacement: str) -> None:
        super().__init__({ord(c): c for c in kept})
        self._replacement = replacement

    def __missing__(self, code: int) -> str:
        character = chr(code)
        obeyed = unicodedata.category(character) in _OBEYED
        self[code] = self._replacement if obeyed else character
        return self[code]


_TEXT = _Table("\n\t", REPLACEMENT)
_NAME = _Table("", REPLACEMENT)
_LINE = _Table("", " ")


def printable(text: str) -> str:
    """A text of any length for a terminal or a file: line ends and tabs stay, U+FFFD stands for what would be obeyed."""
    if text.isprintable():
        return text
    return text.replace("\r\n", "\n").translate(_TEXT)


def visible(text: str) -> str:
    """A name: as `printable`, and line ends and tabs are replaced too."""
    return text if text.isprintable() else text.translate(_NAME)


def one_line(text: str | None, limit: int | None = None) -> str:
    """A text as one line without control characters, runs of white space as one space, cut to `limit` characters."""
    if not text:
        return ""
    line = re.sub(r"\s+", " ", text if text.isprintable() else text.translate(_LINE)).strip()
    return line if limit is None or len(line) <= limit else line[: limit - 1].rstrip() + "…"


def spreadsheet_text(value: Any) -> Any:
    """A value as a cell of a CSV file: a text that spreadsheets would take for a formula gets an apostrophe in front.

    Numbers stay numbers.
    """
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if value.startswith(_FORMULA) else text
