"""Published figures on the page: beside the cell that they are of, and all of them in a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.core.printable import one_line
from harness.reports.page.cells import PageCell
from harness.reports.published import PublishedFigure, value_words
from harness.reports.values import BASIS_TEXT

#: rows of the page's table; the workbook has all
MAX_PUBLISHED = 200
#: quantities whose difference is told in their own unit: shares of shares say nothing
_SCORES = ("score", "accuracy")


@dataclass(frozen=True, kw_only=True)
class PublishedLine:
    """One figure beside one cell; `number` is -1 where the run has no such cell, and then there is nothing measured."""

    cell: str
    number: int
    name: str
    published: str
    measured: str
    away: str
    source: str

    @property
    def words(self) -> str:
        """For the cell's own panel: `latency 840 µs (the vendor): 859 µs here, +2.3 %`."""
        source = f" ({self.source})" if self.source else ""
        away = f", {self.away}" if self.away else ""
        return f"{self.name} {self.published}{source}: {self.measured}{' here' if self.away else ''}{away}"


def published_lines(cells: Sequence[PageCell], figures: Iterable[PublishedFigure]) -> list[PublishedLine]:
    """Every figure beside every cell that it is of, in the order of the user's file."""
    found: list[PublishedLine] = []
    for figure in figures:
        own = [cell for cell in cells if figure.is_of(cell.record)]
        found += [_line(figure, cell) for cell in own] or [_of_none(figure)]
    return found


def _line(figure: PublishedFigure, cell: PageCell) -> PublishedLine:
    measured = figure.measured(cell.record)
    words = "" if measured is None else value_words(figure.quantity, measured)
    basis = cell.record.time_basis
    if words and figure.name in ("latency", "first_invoke", "load") and basis not in (None, "device"):
        words += f", {BASIS_TEXT[basis]}"
    return PublishedLine(
        cell=cell.name,
        number=cell.number,
        name=figure.name,
        published=value_words(figure.quantity, figure.value),
        measured=words or f"not measured: {cell.outcome}",
        away=_away(figure, measured),
        source=one_line(figure.source),
    )


def _away(figure: PublishedFigure, measured: float | None) -> str:
    if measured is None or not figure.value:
        return ""
    if figure.quantity in _SCORES:
        return f"{measured - figure.value:+.4f}"
    return f"{measured / figure.value - 1:+.1%}"


def _of_none(figure: PublishedFigure) -> PublishedLine:
    names = (figure.workload, figure.recipe, figure.device, figure.backend)
    return PublishedLine(
        cell=one_line("/".join(name or "*" for name in names)),
        number=-1,
        name=figure.name,
        published=value_words(figure.quantity, figure.value),
        measured="no such cell in this run",
        away="",
        source=one_line(figure.source),
    )
