"""Published figures beside the measured ones: a file of the user's, CSV or YAML, one figure per row (docs/guides/results.md).

    workload,recipe,device,backend,quantity,value,unit,source
    mobilenet,int8,imx8mp,npu,latency,0.84,ms,NXP eiq-model-zoo

A name that is missing or empty stands for every one, and may be a glob. `model`, `variant` and `metric` are read as `workload`,
`recipe` and `quantity`, as published tables have them.
"""

from __future__ import annotations

import csv
import fnmatch
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import UserInputError
from harness.core.files import read_regular
from harness.core.printable import one_line
from harness.reports.scores import score_of
from harness.reports.tables import KEY, key_of, table
from harness.reports.values import duration_text, size_text
from harness.results.record import CellRecord

if TYPE_CHECKING:
    import pandas as pd

PUBLISHED = "Published"
_NAMES = ("workload", "recipe", "device", "backend")
_OTHER_NAMES = {"model": "workload", "variant": "recipe", "metric": "quantity"}
_COLUMNS = (*_NAMES, "quantity", "value", "unit", "source")
_MOST_BYTES, _MOST_ROWS = 4 << 20, 10_000
_NS = {"ns": 1.0, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9}
_BYTES = {"": 1.0, "b": 1.0, "bytes": 1.0, "kb": 1e3, "mb": 1e6, "kib": 1024.0, "mib": 1024.0**2}
_RATES = {"inf/s": 1.0, "fps": 1.0, "1/s": 1.0, "ips": 1.0}
_SHARES = {"": 1.0, "%": 0.01}


@dataclass(frozen=True, kw_only=True)
class _Quantity:
    """What a published figure can be: its unit here, the units it is read in, and the measured figure."""

    title: str
    units: Mapping[str, float]
    measured: Callable[[CellRecord], float | None]


def _latency(record: CellRecord) -> float | None:
    return record.latency_median_ns


#: by the names that stand in files; figures are kept in the record's own units
QUANTITIES: dict[str, _Quantity] = {
    "accuracy": _Quantity(title="score", units=_SHARES, measured=score_of),
    "score": _Quantity(title="score", units=_SHARES, measured=score_of),
    "latency": _Quantity(title="latency_median_ns", units=_NS, measured=_latency),
    "throughput": _Quantity(title="latency_median_ns", units=_RATES, measured=_latency),
    "first_invoke": _Quantity(title="first_invoke_ns", units=_NS, measured=lambda r: r.first_invoke_ns),
    "load": _Quantity(title="load_ns", units=_NS, measured=lambda r: r.load_ns),
    "size": _Quantity(title="size_bytes", units=_BYTES, measured=lambda r: r.size_bytes),
    "memory": _Quantity(title="memory_peak_bytes", units=_BYTES, measured=lambda r: r.memory_peak_bytes),
    "instructions": _Quantity(title="instructions", units={"": 1.0}, measured=lambda r: r.instructions),
    "cycles": _Quantity(title="cycles", units={"": 1.0}, measured=lambda r: r.cycles),
    "arena": _Quantity(title="arena_bytes", units=_BYTES, measured=lambda r: r.arena_bytes),
}


@dataclass(frozen=True, kw_only=True)
class PublishedFigure:
    """One published figure.

    Attributes:
        workload, recipe, device, backend: names or globs; empty: any.
        quantity: a name of QUANTITIES.
        value: in the unit of the record's field: nanoseconds, bytes, a share.
        source: where it was published.
        row: where it stands in its file.
    """

    workload: str = ""
    recipe: str = ""
    device: str = ""
    backend: str = ""
    quantity: str
    value: float
    source: str = ""
    row: int = 0

    @property
    def of_every_device(self) -> bool:
        return not self.device and not self.backend

    def is_of(self, record: CellRecord) -> bool:
        """Whether it is a figure of this cell."""
        return all(_matches(getattr(self, name), getattr(record.key, name)) for name in _NAMES)

    @property
    def name(self) -> str:
        """What it is a figure of; a throughput was read as a latency."""
        return self.quantity if self.quantity != "throughput" else "latency"

    @property
    def text(self) -> str:
        """The figure in words: `latency 840 µs`."""
        return f"{self.name} {value_words(self.quantity, self.value)}"

    def measured(self, record: CellRecord) -> float | None:
        """The same figure of a record, in the same unit; None where it has none."""
        return QUANTITIES[self.quantity].measured(record)


def value_words(quantity: str, value: float) -> str:
    """A figure of a quantity: `840 µs`, `23,560 B`, `0.96`."""
    title = QUANTITIES[quantity].title
    if title.endswith("_ns"):
        return duration_text(value)
    return f"{size_text(round(value))} B" if title.endswith("_bytes") else f"{value:,.6g}"


def _matches(pattern: str, name: str) -> bool:
    """As a report's filters: names, or globs in which brackets are literal."""
    return not pattern or pattern == name or fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))


def read_published(path: Path) -> list[PublishedFigure]:
    """The figures of a file, CSV with a head line or a YAML list of mappings (`.yaml`, `.yml`).

    Raises:
        UserInputError: it cannot be read, or a row is no figure; says which and what is allowed.
    """
    try:
        data = read_regular(path)
    except OSError as error:
        what = f"the published figures cannot be read: {error.strerror}"
        raise UserInputError(what, where=str(path)) from error
    if len(data) > _MOST_BYTES:
        raise UserInputError(f"larger than {_MOST_BYTES >> 20} MiB: no table of published figures", where=str(path))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserInputError("it is no UTF-8 text", where=str(path), hint="save it as UTF-8") from error
    rows = _yaml_rows(text, path) if path.suffix in (".yaml", ".yml") else _csv_rows(text, path)
    if len(rows) > _MOST_ROWS:
        raise UserInputError(f"{len(rows):,} figures; at most {_MOST_ROWS:,} are read", where=str(path))
    return [_figure(row, number, path) for number, row in rows]


def _csv_rows(text: str, path: Path) -> list[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader if any(row.values())]
    except csv.Error as error:
        raise UserInputError(f"line {reader.line_num}: {error}", where=str(path)) from error
    for number, row in rows:
        if None in row or None in row.values():
            raise UserInputError("it has another number of fields than the head", where=f"{path}:{number}")
    return rows


def _yaml_rows(text: str, path: Path) -> list[tuple[int, dict[str, Any]]]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        data = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError) as error:
        raise UserInputError(f"it is no YAML: {one_line(str(error), 200)}", where=str(path)) from error
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise UserInputError("a list of mappings is wanted, one per figure", where=str(path), hint=_HINT)
    return list(enumerate(data, start=1))


_HINT = f"columns: {', '.join(_COLUMNS)}; quantities: {', '.join(QUANTITIES)}"


def _figure(row: Mapping[str, Any], number: int, path: Path) -> PublishedFigure:
    where = f"{path}:{number}"
    values = {_OTHER_NAMES.get(str(name).strip(), str(name).strip()): value for name, value in row.items()}
    unknown = [name for name in values if name not in _COLUMNS]
    if unknown:
        raise UserInputError(f"unknown column '{one_line(unknown[0], 60)}'", where=where, hint=_HINT)
    texts = {name: one_line(str(values[name]), 300) for name in _COLUMNS if values.get(name) is not None}
    name = texts.get("quantity", "").lower()
    if name not in QUANTITIES:
        raise UserInputError(f"'{name}' is no quantity", where=where, hint=_HINT)
    unit = texts.get("unit", "").lower()
    units = QUANTITIES[name].units
    if unit not in units:
        allowed = ", ".join(repr(one) if one else "none" for one in units)
        raise UserInputError(f"'{unit}' is no unit of a {name}", where=where, hint=f"allowed: {allowed}")
    value = _number(values.get("value"), where)
    figure = value * units[unit]
    if name == "throughput":
        if value <= 0:
            raise UserInputError("a throughput is above 0", where=where)
        figure = 1e9 / value
    names = {name: texts.get(name, "") for name in _NAMES}
    return PublishedFigure(**names, quantity=name, value=figure, source=texts.get("source", ""), row=number)


def _number(value: Any, where: str) -> float:
    try:
        found = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise UserInputError(f"value: found '{one_line(str(value), 40)}', a number is wanted", where=where)
    return found


# -- beside the measured ones -------------------------------------------------------------------------------------------


def published_table(records: Iterable[CellRecord], published: Sequence[PublishedFigure]) -> pd.DataFrame:
    """One row per figure and cell that it is of; a figure of no cell of this run has a row without one, and says so."""
    records = list(records)
    rows: list[dict[str, Any]] = []
    for figure in published:
        quantity = QUANTITIES[figure.quantity]
        own = [record for record in records if figure.is_of(record)]
        head = {"quantity": quantity.title, "published": figure.value, "source": figure.source or None}
        if not own:
            names = {name: getattr(figure, name) or None for name in _NAMES}
            rows.append({**names, **head, "outcome": "no such cell in this run"})
        for record in own:
            measured = quantity.measured(record)
            away = None if measured is None else measured - figure.value
            rows.append(
                {
                    **key_of(record),
                    **head,
                    "outcome": record.outcome,
                    "measured": measured,
                    "difference": away,
                    "difference_share": None if away is None or not figure.value else away / figure.value,
                    "quality": record.quality if quantity.title == "latency_median_ns" else None,
                    "time_basis": record.time_basis if quantity.title.endswith("_ns") else None,
                }
            )
    columns = [
        "quantity",
        "published",
        "measured",
        "difference",
        "difference_share",
        "outcome",
        "quality",
        "time_basis",
    ]
    return table(rows, [*KEY, *columns, "source"])


def published_words(
    workload: str, recipe: str, cells: Sequence[CellRecord | None], published: Sequence[PublishedFigure]
) -> str:
    """What was published of a row of a summary: figures of every device first, then those of single ones."""
    words: dict[str, None] = {}
    for figure in sorted(published, key=lambda figure: not figure.of_every_device):
        if figure.of_every_device:
            if _matches(figure.workload, workload) and _matches(figure.recipe, recipe):
                words[figure.text] = None
            continue
        for record in cells:
            if record is not None and figure.is_of(record):
                words[f"{record.key.device}/{record.key.backend}: {figure.text}"] = None
    return "; ".join(words)
