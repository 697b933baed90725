"""How commands print: every line goes through here, because it may hold what a board, a file or a model's author wrote."""

from __future__ import annotations

import click

from harness.core.printable import printable


def echo(text: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Prints a text on stdout, or on stderr, without anything in it that a terminal would obey."""
    click.echo(printable(str(text)), err=err, nl=nl)
