"""The answer on a terminal: the sentences first, and below each table the lines that say how they are known."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.reports.answer.answer import Answer
from harness.reports.answer.models import model_path
from harness.reports.answer.words import lines, sentence
from harness.reports.values import clean

if TYPE_CHECKING:
    from rich.console import Console

#: the width of what stands before a line's text
_HEAD = 15


def print_sentences(console: Console, answers: Sequence[Answer], run_folder: Path | None) -> None:
    """One sentence per workload and device, and where the model's file lies."""
    from rich.text import Text

    titles = list(dict.fromkeys(answer.title for answer in answers))
    for title in titles:
        console.print(Text(f"\n{clean(title)}", style="bold"))
        for answer in (a for a in answers if a.title == title):
            style = "bold green" if answer.pick is not None else "yellow"
            console.print(Text.assemble(f"  {clean(answer.device)}: ", (sentence(answer), style)))
            place = model_path(answer, answers, run_folder)
            if place is not None:
                # A path is for copying: it must not be broken.
                console.print(Text(f"      {place}"), soft_wrap=True)


def print_reasons(console: Console, answers: Sequence[Answer]) -> None:
    """How each answer is known: figures, what is as good, what QAT gained, what is left out and why."""
    from rich.text import Text

    for answer in answers:
        console.print(Text(f"{clean(answer.device)}: {sentence(answer)}", style="bold"))
        _print_lines(console, lines(answer))


def print_answer(console: Console, answer: Answer, file: str) -> None:
    """One answer with all that belongs to it.

    Args:
        file: where the picked model lies, or why it does not; empty where there is no pick.
    """
    from rich.text import Text

    style = "bold green" if answer.pick is not None else "yellow"
    console.print(Text.assemble(f"{clean(answer.title)}, {clean(answer.device)}: ", (sentence(answer), style)))
    if file:
        console.print(Text(f"    {'file':<{_HEAD}}{clean(file)}"), soft_wrap=True)
    _print_lines(console, lines(answer))


def _print_lines(console: Console, said: Sequence[tuple[str, str]]) -> None:
    from rich.text import Text

    head = ""
    for name, text in said:
        shown = "" if name == head else name
        head = name
        wrapped = textwrap.wrap(
            text, max(40, console.width - _HEAD - 4), break_long_words=False, break_on_hyphens=False
        )
        for number, line in enumerate(wrapped):
            console.print(Text(f"    {(shown if number == 0 else ''):<{_HEAD}}{line}"))
