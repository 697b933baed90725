"""The tables as pandas frames, from records alone. Every report is one of these frames in another dress.

Numbers keep the record's units (ns, bytes, shares of 1); a value that does not apply is missing, never 0. No frame has
a latency without its outcome, placement and sample count in the same row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from harness.reports import fallback
from harness.reports.fields import FIELDS, Field
from harness.reports.jsonout import cell_json
from harness.reports.scores import metric_columns, score_of, score_text
from harness.reports.summary import Row, Summary, recipe_order
from harness.reports.values import (
    GOOD,
    clean,
    cost_text,
    count_of,
    latency_text,
    memory_text,
    misread_text,
    outcome_word,
    placement_text,
    size_text,
)
from harness.results.record import CellRecord

if TYPE_CHECKING:
    import pandas as pd

Name = TypeVar("Name", str, tuple[str, str])
#: what every row says of its cell; the dataset's name is there because no figure means anything without it
KEY = ["workload", "dataset_name", "recipe", "device", "backend", "seed"]
NOT_RUN = "not run"
_MODEL = ("workload", "dataset_name", "recipe", "seed")
_INTEGER_KINDS = {"count", "ns", "bytes", "hz"}
_NUMBER_KINDS = {"share", "number"}
SEVERITIES = ("error", "warning", "info")


def in_order(records: Iterable[CellRecord]) -> list[CellRecord]:
    """Workloads in order of appearance, recipes in table order, then devices in order of appearance."""
    records = list(records)
    workloads = _places(r.key.workload for r in records)
    devices = _places((r.key.device, r.key.backend) for r in records)
    return sorted(
        records,
        key=lambda r: (
            workloads[r.key.workload],
            recipe_order(r.key.recipe),
            devices[(r.key.device, r.key.backend)],
            r.key.seed,
        ),
    )


def _places(names: Iterable[Name]) -> dict[Name, int]:
    """Each name with its place in the order of first appearance."""
    found: dict[Name, int] = {}
    for name in names:
        found.setdefault(name, len(found))
    return found


def key_of(record: CellRecord) -> dict[str, Any]:
    """The columns KEY of a cell."""
    return {name: record.dataset_name if name == "dataset_name" else getattr(record.key, name) for name in KEY}


def cell_text(
    record: CellRecord | None, seed_note: str = "", *, reason_limit: int | None = 120, narrow: bool = False
) -> str:
    """One cell of a summary in words, its lines apart by newlines. The rule of honesty is kept here.

    A latency always stands with its outcome, sample count and placement; an X always with its reason; a score that answers
    another question always with what says so. `narrow` leaves out spaces and the interval's last digit, for terminals.
    """
    if record is None:
        return seed_note or NOT_RUN
    first = " ".join(part for part in (outcome_word(record), score_text(record, narrow=narrow)) if part)
    cost = [latency_text(record)]
    if narrow:
        cost = [cost_text(record, narrow=True), placement_text(record)] if cost_text(record) else []
    lines = [first, misread_text(record), *cost, memory_text(record, narrow=narrow)]
    if record.outcome not in GOOD:
        lines.append(clean(record.reason, reason_limit) or "no reason was recorded")
    lines.append(seed_note)
    return "\n".join(line for line in lines if line)


def row_size_text(row: Row) -> str:
    """The recipe's size in bytes; several where devices got different files."""
    return " / ".join(size_text(size) for size in row.sizes_bytes)


def summary_text(summary: Summary, *, reason_limit: int | None = 120) -> pd.DataFrame:
    """The summary as texts: index `recipe`, columns `size (bytes)` and one per device and backend (basis in its head)."""
    import pandas as pd

    data: dict[str, list[str]] = {"size (bytes)": [row_size_text(row) for row in summary.rows]}
    for position, column in enumerate(summary.columns):
        data[column.text] = [
            cell_text(row.cells[position], row.seed_notes[position], reason_limit=reason_limit) for row in summary.rows
        ]
    return pd.DataFrame(data, index=pd.Index([row.recipe for row in summary.rows], name="recipe"), dtype=object)


def summary_table(summary: Summary) -> pd.DataFrame:
    """The summary as numbers: index `recipe`, columns (device / backend (threads, basis), value).

    Values of each device and backend: outcome, those of `_FIGURES`, placement, size_bytes, reason.
    """
    import pandas as pd

    rows = []
    for row in summary.rows:
        values: dict[tuple[str, str], Any] = {}
        for column, record, note in zip(summary.columns, row.cells, row.seed_notes, strict=True):
            for name, value in _summary_values(record, note).items():
                values[(column.text, name)] = value
        rows.append(values)
    frame = pd.DataFrame(rows, index=pd.Index([row.recipe for row in summary.rows], name="recipe"), dtype=object)
    frame.columns = pd.MultiIndex.from_tuples(list(rows[0]) if rows else [], names=["device", "value"])
    return frame


#: the record's figures in a summary's numbers
_FIGURES = (
    "metric",
    "metric_title",
    "metric_unit",
    "metric_direction",
    "score",
    "score_low",
    "score_high",
    "score_delta",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "accuracy_delta",
    "samples",
    "latency_median_ns",
    "latency_median_low_ns",
    "latency_median_high_ns",
    "latency_p90_ns",
    "latency_samples",
    "quality",
    "instructions",
    "cycles",
    "memory_peak_bytes",
    "memory_baseline_bytes",
    "arena_bytes",
    "stack_peak_bytes",
    "model_bytes",
    "code_bytes",
)


def _summary_values(record: CellRecord | None, note: str) -> dict[str, Any]:
    if record is None:
        return {"outcome": note or NOT_RUN, **dict.fromkeys((*_FIGURES, "placement", "size_bytes", "reason"))}
    measured = record.latency_median_ns is not None or count_of(record) is not None
    return {
        "outcome": record.outcome,
        **{name: getattr(record, name) for name in _FIGURES},
        **metric_columns(record),
        "placement": placement_text(record) if measured else None,
        "size_bytes": record.size_bytes,
        "reason": clean(record.reason) or None,
    }


def cells_table(records: Iterable[CellRecord]) -> pd.DataFrame:
    """One row per cell with every published field: lists and `compiled` as JSON text, the fingerprint as `fingerprint_*`."""
    import pandas as pd

    rows = [cell_json(record) for record in in_order(records)]
    columns: dict[str, Any] = {}
    for field in FIELDS:
        values = [row[field.name] for row in rows]
        if field.kind == "fingerprint":
            names = list(dict.fromkeys(name for value in values if value for name in value))
            for name in names:
                columns[f"fingerprint_{name}"] = pd.Series([(v or {}).get(name) for v in values], dtype=object)
        else:
            columns[field.name] = _series(field, values)
    return pd.DataFrame(columns)


def _series(field: Field, values: list[Any]) -> pd.Series:
    """A column of the type that the field promises, also when every value is missing."""
    import pandas as pd

    if field.kind in _INTEGER_KINDS:
        return pd.Series(values, dtype="Int64")
    if field.kind in _NUMBER_KINDS:
        return pd.Series(values, dtype="Float64")
    return pd.Series([json.dumps(v) if isinstance(v, list | dict) else v for v in values], dtype=object)


def table(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    """Rows as a frame whose columns keep what they are given: numbers, texts, and None where nothing applies."""
    import pandas as pd

    return pd.DataFrame(rows, columns=columns, dtype=object)


def ops_table(records: Iterable[CellRecord]) -> pd.DataFrame:
    """One row per node of every cell: where it ran, what it costs where the board tells (`count` in the record's `layer_unit`,
    its share of the whole, multiply-accumulates), what an offline compiler estimates for it, and the time that the
    vendor's benchmark measured for it, where there is one."""
    import pandas as pd

    costs = ["count", "share", "macs", "macs_per_count"]
    columns = ["node", "op", "ran_on", "partition", *costs, "cycles", "estimate_ns", "vendor_ns"]
    # Column by column: a hundred thousand cells have millions of nodes, and a mapping each would not fit into memory.
    values: dict[str, list[Any]] = {name: [] for name in (*KEY, *columns[:5], "count_unit", *columns[5:])}
    for record in in_order(records):
        for name, value in {**key_of(record), "count_unit": record.layer_unit}.items():
            values[name] += [value] * len(record.ops)
        for name in columns:
            values[name] += [op.get(name) for op in record.ops]
    kinds = {"share": "Float64", "macs_per_count": "Float64"}
    kinds |= dict.fromkeys(("partition", "count", "macs", "cycles", "estimate_ns", "vendor_ns"), "Int64")
    return pd.DataFrame({name: pd.Series(v, dtype=kinds.get(name, object)) for name, v in values.items()})


def mcu_table(records: Iterable[CellRecord]) -> pd.DataFrame:
    """One row per cell of a microcontroller: what an inference costs, counted, and what it needs of RAM and flash."""
    costs = [
        "instructions",
        "instructions_min",
        "instructions_max",
        "cycles",
        "cycles_min",
        "cycles_max",
        "counted_inferences",
    ]
    sizes = ["arena_bytes", "stack_peak_bytes", "model_bytes", "code_bytes", "size_bytes"]
    rows = [
        {
            **key_of(r),
            "outcome": r.outcome,
            **metric_columns(r),
            "score": score_of(r),
            "samples": r.samples,
            "runtime": r.fingerprint.runtime if r.fingerprint else None,
            "time_basis": r.time_basis,
            "placement": placement_text(r) if count_of(r) is not None else None,
            **{name: getattr(r, name) for name in (*costs, *sizes)},
        }
        for r in in_order(records)
        if is_mcu(r)
    ]
    scores = ["metric", "metric_title", "metric_unit", "metric_direction", "score", "samples"]
    heads = ["outcome", *scores, "runtime", "time_basis", "placement", *costs, *sizes]
    return table(rows, [*KEY, *heads]).astype({name: "Int64" for name in (*costs, *sizes)})


def is_mcu(record: CellRecord) -> bool:
    """Whether a cell is a microcontroller's: those tell what the firmware takes, or count, and nothing else does."""
    return record.code_bytes is not None or record.arena_bytes is not None or count_of(record) is not None


def compiled_table(records: Iterable[CellRecord]) -> pd.DataFrame:
    """One row per cell whose model went through an offline compiler: placement, size before and after, estimates.

    The estimates are the compiler's, for the NPU's part alone, also where the cell itself was measured on a board.
    """
    estimates = [
        "inference_ns",
        "cycles_total",
        "cycles_npu",
        "sram_used_bytes",
        "dram_used_bytes",
        "on_chip_flash_used_bytes",
        "off_chip_flash_used_bytes",
        "macs",
        "weights_original_bytes",
        "weights_encoded_bytes",
    ]
    names = {name: f"estimate_{name}" if name.startswith(("inference", "cycles")) else name for name in estimates}
    rows = [
        {
            **key_of(r),
            "outcome": r.outcome,
            "placement": placement_text(r),
            "partitions": r.compiled.get("partitions"),
            "compiler": r.compiled.get("compiler"),
            "original_bytes": r.compiled.get("source_size_bytes"),
            "size_bytes": r.size_bytes,
            **{names[name]: r.compiled.get(name) for name in estimates},
        }
        for r in in_order(records)
        if r.compiled
    ]
    heads = ["outcome", "placement", "partitions", "compiler", "original_bytes", "size_bytes", *names.values()]
    return table(rows, [*KEY, *heads])


def fallback_table(records: Iterable[CellRecord]) -> pd.DataFrame:
    """One row per node of every cell with an external delegate: where it ran, why not there, and whether it was predicted."""
    import pandas as pd

    values: dict[str, list[Any]] = {name: [] for name in (*KEY, *fallback.COLUMNS)}
    for record in in_order(records):
        if not fallback.has_delegate(record):
            continue
        key = key_of(record)
        for row in fallback.rows_of(record):
            for name, column in values.items():
                column.append(key[name] if name in key else row.get(name))
    numbers = ("delegated", "nodes", "partitions", "node", "partition")
    return pd.DataFrame(
        {name: pd.Series(v, dtype="Int64" if name in numbers else object) for name, v in values.items()}
    )


def findings_table(records: Iterable[CellRecord]) -> pd.DataFrame:
    """One row per finding, gravest first. A model's finding comes with each of its cells: it is listed once, with them."""
    seen: dict[tuple[Any, ...], list[str]] = {}
    for record in in_order(records):
        model = (record.key.workload, record.dataset_name, record.key.recipe, record.key.seed)
        for finding in record.findings:
            seen.setdefault((*model, finding), []).append(f"{record.key.device}/{record.key.backend}")
    rows = [
        {
            **dict(zip(_MODEL, model, strict=True)),
            "severity": f.severity,
            "code": f.code,
            "where": clean(f.where),
            "what": clean(f.what),
            "fix": clean(f.fix),
            "seen_on": ", ".join(dict.fromkeys(cells)),
        }
        for (*model, f), cells in seen.items()
    ]
    rows.sort(key=lambda row: SEVERITIES.index(row["severity"]))
    return table(rows, ["severity", *_MODEL, "code", "where", "what", "fix", "seen_on"])


def problems_table(records: Iterable[CellRecord]) -> pd.DataFrame:
    """One row per cell that did not end well, with its full reason, gravest first. An estimate promised no run."""
    order = ("wrong", "undecided", "failed", "unsupported")
    bad = sorted((r for r in in_order(records) if r.outcome in order), key=lambda r: order.index(r.outcome))
    rows = [{"outcome": r.outcome, **key_of(r), "reason": clean(r.reason) or "no reason was recorded"} for r in bad]
    return table(rows, ["outcome", *KEY, "reason"])
