"""The text of a project file: TOML with each choice's evidence as comments above it."""

from __future__ import annotations

import json
import re
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.init.choices import Choice, Choices

_WIDTH = 110


def toml_text(choices: Choices, heading: list[str]) -> str:
    """A whole file.

    Args:
        heading: the comment at its top.
    """
    lines = [f"# {line}".rstrip() for line in heading]
    lines += ["version = 1"]
    for table, entries in choices.tables.items():
        lines += ["", f"[{table}]"]
        for entry in entries:
            lines += _entry(entry)
    return "\n".join(lines) + "\n"


def toml_key(name: str) -> str:
    """A key as TOML writes it: bare, or quoted where it has other characters."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _value(name)


def _entry(entry: Choice) -> list[str]:
    lines = [part for evidence in entry.evidence for part in _comment(evidence)]
    if entry.value is not None:
        lines.append(f"{entry.key} = {_value(entry.value)}")
    return lines


def _comment(words: str) -> list[str]:
    flat = " ".join(words.split())
    return textwrap.wrap(flat, _WIDTH, initial_indent="# ", subsequent_indent="#   ", break_long_words=False)


def _value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, str):
        # A JSON text is a TOML text, but for DEL, which TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value) if isinstance(value, float) else json.dumps(value)
