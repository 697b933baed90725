"""TOML with positions, so that a complaint names the line of a key. Read by the standard library's parser and by nothing else.

That parser does not say where a key stands. It does say whether a text is whole, so the file is parsed line by line: a key that
is there after some lines and was not there before began behind the last whole text.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from harness.core.errors import UserInputError
from harness.core.files import open_regular
from harness.core.located_yaml import FieldPath, LocatedData, Mark

_MAX_FILE_BYTES = 64 << 10
_MAX_LINES = 1000
_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def read_toml(path: Path) -> str:
    """The text of a TOML file.

    Raises:
        UserInputError: missing, no regular file, larger than 64 KiB or 1,000 lines, or not UTF-8.
    """
    try:
        with open_regular(path) as file:
            raw = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UserInputError(f"cannot be read: {error.strerror or error}", where=str(path)) from None
    if len(raw) > _MAX_FILE_BYTES or raw.count(b"\n") > _MAX_LINES:
        raise UserInputError("is larger than 64 KiB or 1,000 lines; a project file is a page of TOML", where=str(path))
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserInputError("is not UTF-8 text", where=f"{path}:{line}") from None


def parse_toml(text: str, path: Path) -> dict[str, Any]:
    """The values of a TOML text.

    Raises:
        UserInputError: it is no TOML; names line and column.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, place = str(error), _AT.search(str(error))
        line, column = text.count("\n") + 1, 1
        if place is not None:
            what = what[: place.start()]
            if place[1]:
                line, column = int(place[1]), int(place[2])
        hint = "text stands in double quotes; the file is TOML (https://toml.io)"
        raise UserInputError(f"is no TOML: {what}", where=f"{path}:{line}:{column}", hint=hint) from None
    except RecursionError:
        raise UserInputError("is no TOML: it is nested too deeply", where=str(path)) from None


def locate_toml(text: str, path: Path) -> LocatedData:
    """Values with their places. It parses once per line: for texts that something is wrong with.

    Args:
        text: TOML that `parse_toml` takes.
    """
    located = LocatedData(data=tomllib.loads(text))
    located.values[()] = Mark(path=path, line=1, column=1)
    lines = text.split("\n")
    begin = 0
    for end in range(1, len(lines) + 1):
        try:
            data = tomllib.loads("\n".join(lines[:end]))
        except tomllib.TOMLDecodeError:
            continue  # within a value of several lines
        _note_new(data, (), located, lines, begin)
        begin = end
    return located


def _note_new(node: Any, at: FieldPath, located: LocatedData, lines: list[str], begin: int) -> None:
    """Notes what is there now and was not before; it stands on the first line from `begin` on that says anything."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        here = (*at, key)
        if here not in located.keys:
            number = next((n for n in range(begin, len(lines)) if _says_anything(lines[n])), begin)
            line = lines[number]
            column = max(0, line.find(key)) if isinstance(key, str) else len(line) - len(line.lstrip())
            located.keys[here] = Mark(path=located.values[()].path, line=number + 1, column=column + 1)
            equals = line.find("=", column)
            after = equals + 1 + len(line[equals + 1 :]) - len(line[equals + 1 :].lstrip()) if equals >= 0 else column
            located.values[here] = Mark(path=located.values[()].path, line=number + 1, column=after + 1)
        _note_new(value, here, located, lines, begin)


def _says_anything(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")
