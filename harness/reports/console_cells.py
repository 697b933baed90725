"""The cells of a workload on the terminal: a block per device and backend, a line per recipe, a head for every column.

What does not fit into the terminal's width goes to further lines of its row, under further lines of heads; words that explain
a row (why it is not ok, what its number answers instead) go below it, over all columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.reports.scores import delta_text, score_text
from harness.reports.summary import Column, Summary
from harness.reports.tables import NOT_RUN, row_size_text
from harness.reports.values import (
    GOOD,
    clean,
    cost_text,
    count_of,
    memory_text,
    misread_text,
    outcome_word,
    placement_text,
)
from harness.results.record import CellRecord

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

STYLES = {
    "ok": "",
    "estimated": "italic",
    "undecided": "magenta",
    "wrong": "bold red",
    "unsupported": "dim",
    "failed": "yellow",
}
_REASON_LIMIT = 160
_GAP = 2
#: where the further lines of a row begin
_INDENT = 4


@dataclass(frozen=True, kw_only=True)
class _Field:
    """One column of a block: its head, and what it says of a cell."""

    head: str
    text: Callable[[CellRecord], str]
    right: bool = False


def print_cells(console: Console, summary: Summary) -> None:
    """Prints every block of a summary."""
    from rich.text import Text

    for position, column in enumerate(summary.columns):
        head = Text(f"\n{clean(column.name)}", style="bold")
        if column.detail:
            head.append(f"  {column.detail}", style="dim")
        console.print(head)
        for line in _block(summary, position, console.width):
            console.print(line, soft_wrap=True)


def _fields(summary: Summary, column: Column, cells: Sequence[CellRecord]) -> list[_Field]:
    """The columns of a block that have something to say, behind recipe and size."""
    counts = [cell for cell in cells if count_of(cell) is not None]
    unit = "cycles" if counts and counts[0].instructions is None else "instructions"
    cost = f"{unit} per inference" if counts else "estimate" if column.time_basis == "estimate" else "median [95 %]"
    fields = [
        _Field(head="outcome", text=outcome_word),
        _Field(head=f"{summary.score_name} [95 %]", text=lambda cell: score_text(cell, narrow=True)),
        _Field(head="Δ float32", text=delta_text, right=True),
        _Field(head=cost, text=lambda cell: cost_text(cell, narrow=True)),
        _Field(head="placement", text=_placement),
        _Field(head="memory", text=_memory),
    ]
    return [field for field in fields if any(map(field.text, cells))] or fields[:1]


def _placement(cell: CellRecord) -> str:
    return placement_text(cell).replace(" nodes", "") if cost_text(cell) else ""


def _memory(cell: CellRecord) -> str:
    return memory_text(cell, narrow=True).removeprefix("memory ")


def _block(summary: Summary, position: int, width: int) -> Iterator[Text]:
    """The lines of a block: heads, a rule, and the recipes with what explains them."""
    from rich.text import Text

    column = summary.columns[position]
    cells = [cell for row in summary.rows if (cell := row.cells[position]) is not None]
    fields = _fields(summary, column, cells)
    heads = ["recipe", "bytes", *(field.head for field in fields)]
    right = [False, True, *(field.right for field in fields)]
    rows = []
    for row in summary.rows:
        cell = row.cells[position]
        texts = [field.text(cell) for field in fields] if cell is not None else [NOT_RUN]
        rows.append([row.recipe, row_size_text(row), *texts, *[""] * (len(fields) - len(texts))])
    widths = [max(map(_wide, values)) for values in zip(heads, *rows, strict=True)]
    ends = _ends(widths, width)
    for line in _lines(heads, widths, right, ends):
        yield Text(line, style="dim")
    yield Text("─" * min(sum(widths[: ends[0]]) + _GAP * (ends[0] - 1), width), style="dim")
    for row, texts in zip(summary.rows, rows, strict=True):
        cell = row.cells[position]
        style = "dim" if cell is None else STYLES[cell.outcome]
        for line in _lines(texts, widths, right, ends):
            yield Text(line, style=style)
        for words in _explained(cell, row.seed_notes[position]):
            yield from _folded(words, width, style)


def _explained(cell: CellRecord | None, seed_note: str) -> list[str]:
    """What stands below a row."""
    if cell is None:
        return []
    reason = "" if cell.outcome in GOOD else clean(cell.reason, _REASON_LIMIT) or "no reason was recorded"
    return [words for words in (misread_text(cell), reason, seed_note) if words]


def _folded(words: str, width: int, style: str) -> Iterator[Text]:
    """Words below a row, on as many lines as they need."""
    import textwrap

    from rich.text import Text

    for line in textwrap.wrap(words, max(width - _INDENT, 20)):
        yield Text(" " * _INDENT + line, style=style)


def _wide(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _ends(widths: Sequence[int], width: int) -> list[int]:
    """Where each line of a row ends: how many columns have fitted on it and the lines before. Each holds one at least."""
    ends, used = [], 0
    for position, wide in enumerate(widths):
        if position and used + _GAP + wide > width:
            ends.append(position)
            used = _INDENT + wide
        else:
            used += wide + (_GAP if position else 0)
    return [*ends, len(widths)]


def _lines(texts: Sequence[str], widths: Sequence[int], right: Sequence[bool], ends: Sequence[int]) -> list[str]:
    """A row on as many lines as its columns need; those that would be blank are left out."""
    padded = []
    for text, wide, to_right in zip(texts, widths, right, strict=True):
        space = " " * (wide - _wide(text))
        padded.append(space + text if to_right else text + space)
    starts = [0, *ends[:-1]]
    lines = [
        " " * (_INDENT if start else 0) + (" " * _GAP).join(padded[start:end])
        for start, end in zip(starts, ends, strict=True)
    ]
    return [line.rstrip() for line in lines if line.strip()]
