"""How scores are written: accuracies as always, any other metric with its name, its unit and which way is better."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from harness.core.numbers import significant_text
from harness.results.record import CellRecord
from harness.results.sections import OUTPUT_FIELDS

ACCURACY = "accuracy"
#: what stands where the cells of a table have several metrics
SCORE = "score"


def score_of(record: CellRecord) -> float | None:
    """The cell's score; the accuracy of records that have no other."""
    return record.score if record.accuracy is None else record.accuracy


def score_delta_of(record: CellRecord) -> float | None:
    """The score minus the float model's."""
    return record.score_delta if record.accuracy is None else record.accuracy_delta


def score_interval_of(record: CellRecord) -> tuple[float | None, float | None]:
    """The ends of the score's interval."""
    if record.accuracy is None:
        return record.score_low, record.score_high
    return record.accuracy_low, record.accuracy_high


def lower_is_better(record: CellRecord) -> bool:
    """Whether less of the cell's score is better."""
    return record.accuracy is None and record.metric_direction == "lower"


def is_share(record: CellRecord) -> bool:
    """Whether the score is a share of 1, written with four digits and no leading zero."""
    return record.accuracy is not None or (record.metric_unit is None and record.metric_direction == "higher")


def title_of(record: CellRecord) -> str:
    """What the cell's score is called: as its record says, wherever the metric came from."""
    if record.accuracy is not None or record.metric is None:
        return ACCURACY
    return record.metric_title or metric_title(record.metric)


@functools.cache
def metric_title(name: str) -> str:
    """A metric's name in tables, for records from before they kept it; also where its package is not there any more."""
    from harness.core.errors import UserInputError
    from harness.workloads.metrics.registry import get_metric

    try:
        return get_metric(name).title
    except UserInputError:
        return name.replace("_", " ")


def metric_of(record: CellRecord) -> str | None:
    """The metric's name; records from before metrics had names have their accuracy."""
    return record.metric or (ACCURACY if record.accuracy is not None else None)


def metric_columns(record: CellRecord) -> dict[str, str | None]:
    """What a score needs beside it wherever it stands as a number, also in records from before titles were kept."""
    if score_of(record) is None:
        return {"metric": metric_of(record), "metric_title": None, "metric_unit": None, "metric_direction": None}
    return {
        "metric": metric_of(record),
        "metric_title": title_of(record),
        "metric_unit": record.metric_unit,
        "metric_direction": "higher" if record.accuracy is not None else record.metric_direction,
    }


def output_records(record: CellRecord) -> list[tuple[str, CellRecord]]:
    """Each judged output's name with the record as if the model had it alone; the main one first. Empty where there is one."""
    alone = (*OUTPUT_FIELDS, "accuracy", "accuracy_low", "accuracy_high", "accuracy_delta", "mcnemar_p")
    found = []
    for one in record.output_scores or []:
        fields: dict[str, Any] = {name: one.get(name) for name in alone}
        found.append((one["output"], replace(record, **fields, output_scores=None, score_output=None)))
    return found


def score_head(records: Iterable[CellRecord]) -> str:
    """What the scores of cells are, for a column's head: `accuracy`, `mean absolute error (K, lower is better)`."""
    heads = {_head(record) for record in records if score_of(record) is not None}
    return heads.pop() if len(heads) == 1 else SCORE if heads else ACCURACY


def main_head(records: Iterable[CellRecord]) -> str:
    """The same where one figure of a cell is shown: of a model with several outputs the main one's."""
    scored = [record for record in records if score_of(record) is not None]
    head = score_head(output_records(record)[0][1] if record.output_scores else record for record in scored)
    names = {record.score_output for record in scored}
    name = names.pop() if len(names) == 1 else None
    return f"{name}: {head}" if name else head


def _head(record: CellRecord) -> str:
    if record.output_scores:
        return "; ".join(f"{name}: {_head(one)}" for name, one in output_records(record))
    if record.accuracy is not None or record.metric is None or title_of(record) == ACCURACY:
        return ACCURACY
    words = [record.metric_unit] if record.metric_unit else []
    if record.metric_direction:
        words.append(f"{record.metric_direction} is better")
    title = title_of(record)
    return f"{title} ({', '.join(words)})" if words else title


def share_text(value: float | None) -> str:
    """`.9577`; a full 1 as `1.000`."""
    if value is None:
        return ""
    text = f"{value:.4f}"
    return text[1:] if text.startswith("0.") else f"{value:.3f}"


def number_text(value: float, unit: str | None = None, *, digits: int = 4) -> str:
    """Significant digits and the unit: `1.250 K`, `12,346`."""
    text = f"{value:,.0f}" if 10**digits - 0.5 <= abs(value) < 1e15 else f"{value:#.{digits}g}".rstrip(".")
    return f"{text} {unit}" if unit else text


def value_text(record: CellRecord, value: float | None) -> str:
    """A value in the unit of the cell's score."""
    if value is None:
        return ""
    return share_text(value) if is_share(record) else number_text(value, record.metric_unit)


def interval_text(record: CellRecord, *, narrow: bool = False) -> str:
    """`[.9536, .9615]`, `[1.125, 1.375]`; narrow with three digits and no space."""
    low, high = score_interval_of(record)
    if low is None or high is None:
        return ""
    if not narrow:
        texts = (share_text(low), share_text(high)) if is_share(record) else (number_text(low), number_text(high))
        return f"[{', '.join(texts)}]"
    if is_share(record):
        return f"[{low:.3f},{high:.3f}]".replace("0.", ".")
    return f"[{number_text(low, digits=3)},{number_text(high, digits=3)}]"


def delta_text(record: CellRecord) -> str:
    """The difference to the float model: `+.0012`, `-.0310`, `±.0000`, `+0.120 K`, `±0 K`."""
    delta = score_delta_of(record)
    if delta is None:
        return ""
    if is_share(record):
        return share_delta_text(delta)
    if delta == 0:
        return f"±0 {record.metric_unit}" if record.metric_unit else "±0"
    return ("+" if delta > 0 else "-") + number_text(abs(delta), record.metric_unit, digits=3)


def share_delta_text(delta: float | None) -> str:
    """A difference of shares: `+.0012`, `-.0310`, `±.0000` for none."""
    if delta is None:
        return ""
    sign = "±" if round(delta, 4) == 0 else "+" if delta > 0 else "-"
    return sign + share_text(abs(delta))


def score_text(record: CellRecord, *, narrow: bool = False) -> str:
    """The score with its interval and sample count; without one, the agreement with the reference."""
    if record.output_scores:
        each = [f"{name} {_own_score_text(one, narrow=narrow)}" for name, one in output_records(record)]
        return "; ".join(each) + f" n={record.samples}"
    if score_of(record) is not None:
        interval = interval_text(record, narrow=narrow)
        return " ".join(p for p in (value_text(record, score_of(record)), interval, f"n={record.samples}") if p)
    if record.agreement is not None:
        return f"agreement {share_text(record.agreement)} n={record.reference_samples}"
    if record.max_lsb_diff is not None and record.mismatch_share is not None:
        share = share_text(1 - record.mismatch_share)
        return f"agreement {share}, at most {record.max_lsb_diff:g} LSB off, n={record.reference_samples}"
    if record.nrmse is not None:
        return f"NRMSE {significant_text(record.nrmse)} to the reference n={record.reference_samples}"
    return ""


def _own_score_text(record: CellRecord, *, narrow: bool) -> str:
    """One of several outputs' scores with its interval."""
    interval = interval_text(record, narrow=narrow)
    return " ".join(part for part in (value_text(record, score_of(record)), interval) if part)


def agreement_share(record: CellRecord) -> float | None:
    """How far a cell without a score agrees with its reference, 0 to 1: by answers, by outputs within the rule, or 1 - NRMSE."""
    if record.agreement is not None:
        return record.agreement
    if record.mismatch_share is not None:
        return 1 - record.mismatch_share
    return None if record.nrmse is None else max(0.0, 1 - record.nrmse)
