"""Texts of an export, made of the templates beside its code. Nothing of a profile, a board or a model gets into code but as a
literal, and into Markdown but on one line.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from harness.core.printable import one_line, printable


def fill(package: str, name: str, /, **values: Any) -> str:
    """The template `name` of a package's folder with its values.

    Filters: `python` makes a literal of Python, `words` one line that ends neither a docstring nor a comment, `cell` a cell of a
    Markdown table.
    """
    import jinja2

    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"python": ascii, "words": comment_words, "cell": table_cell}
    text = (resources.files(package) / name).read_text(encoding="utf-8")
    return printable(environment.from_string(text).render(**values))


def comment_words(text: object) -> str:
    """A text for a comment or a docstring of Python or C: ASCII, one line, nothing that ends either."""
    plain = one_line(str(text)).encode("ascii", "replace").decode()
    return plain.replace("\\", "/").replace('"', "'").replace("*/", "* /").replace("/*", "/ *")


def table_cell(text: object) -> str:
    """A text for a cell of a Markdown table."""
    return one_line(str(text)).replace("|", "\\|").replace("`", "'") or " "
