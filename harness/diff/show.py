"""A comparison in the terminal: both models side by side."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.diff.diff import ModelDiff
from harness.diff.structure import Row
from harness.diff.words import (
    change_lines,
    measured_rows,
    node_text,
    output_text,
    score_lines,
    size_lines,
    tensor_lines,
    verdict,
    version_text,
)

_STYLES = {"added": "green", "removed": "red", "changed": "yellow", "moved": "cyan", "rewired": "cyan", "same": "dim"}
#: of one model on one backend, unless all are asked for
_MOST_REASONS = 4
_MARKS = {"added": "+", "removed": "-", "changed": "~", "moved": ">", "rewired": "?", "same": "="}


def print_diff(console: Console, diff: ModelDiff, *, everything: bool = False) -> None:
    """Prints it.

    Args:
        everything: also the rows that are the same, and all that speaks against a model.
    """
    for letter, side in (("A", diff.a), ("B", diff.b)):
        console.print(Text(f"{letter}: {side.name}, {len(side.data):,} bytes, SHA-256 {side.sha256[:12]}"))
    console.print(Text(verdict(diff), style="bold"))
    if diff.sameness != "identical":
        if diff.sameness == "different":
            _print_nodes(console, diff, everything)
        _print_sizes(console, diff)
        _print_versions(console, diff)
    _print_measured(console, diff)
    _print_placement(console, diff, everything)
    _print_score(console, diff)


def _print_nodes(console: Console, diff: ModelDiff, everything: bool) -> None:
    for line in tensor_lines(diff.edges):
        console.print(Text(f"  {line}"))
    rows = [row for row in diff.rows if everything or row.differs]
    if not rows:
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for head in ("", "A", "writes", "B", "writes", "what differs", "constants"):
        table.add_column(head, overflow="fold", justify="right" if head == "constants" else "left")
    for row in rows:
        table.add_row(
            Text(_MARKS[row.state], style=_STYLES[row.state]),
            Text(node_text(row.a)),
            Text(output_text(row.a)),
            Text(node_text(row.b)),
            Text(output_text(row.b)),
            Text("\n".join(change_lines(row))),
            Text(_constants(row)),
        )
    console.print(table)
    hidden = len(diff.rows) - len(rows)
    if hidden:
        console.print(Text(f"  and {hidden} nodes that are the same (--all shows them)", style="dim"))


def _constants(row: Row) -> str:
    if not row.constants_a and not row.constants_b:
        return ""
    return (
        f"{row.constants_a:,} → {row.constants_b:,}" if row.constants_a != row.constants_b else f"{row.constants_a:,}"
    )


def _print_sizes(console: Console, diff: ModelDiff) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("bytes")
    for head in ("A", "B", "B - A"):
        table.add_column(head, justify="right")
    for line in size_lines(diff):
        table.add_row(*map(Text, line))
    console.print(table)


def _print_versions(console: Console, diff: ModelDiff) -> None:
    if not diff.versions:
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for head in ("op versions", "A", "B"):
        table.add_column(head)
    for op, versions in diff.versions.items():
        table.add_row(Text(op), *map(Text, version_text(versions)))
    console.print(table)


def _print_measured(console: Console, diff: ModelDiff) -> None:
    rows = measured_rows(diff)
    if not rows:
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for head in ("measured", "A", "B"):
        table.add_column(head)
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def _print_placement(console: Console, diff: ModelDiff, everything: bool) -> None:
    if diff.device is None:
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for head in (f"expected on {diff.device.name}", "", "A", "B"):
        table.add_column(Text(head))
    for backend in diff.device.backends:
        for number, (what, a, b) in enumerate(backend.facts):
            style = "" if a == b else "yellow"
            table.add_row(
                Text(backend.backend if number == 0 else ""), Text(what), Text(a, style=style), Text(b, style=style)
            )
    console.print(table)
    for backend in diff.device.backends:
        for letter, reasons in (("A", backend.reasons_a), ("B", backend.reasons_b)):
            shown = reasons if everything else reasons[:_MOST_REASONS]
            for reason in shown:
                console.print(Text(f"  against {letter} alone on {backend.backend}: {reason}"))
            if len(reasons) > len(shown):
                console.print(Text(f"  and {len(reasons) - len(shown)} more of these (--all shows them)", style="dim"))


def _print_score(console: Console, diff: ModelDiff) -> None:
    lines = score_lines(diff.score)
    if lines:
        console.print(Text("score", style="dim"))
    for line in lines:
        console.print(Text(f"  {line}"))
