"""The vendor's own benchmark beside our figures: what it printed is read, imported and compared. It never changes an outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

from harness.core.finding import Finding
from harness.core.numbers import significant_text
from harness.measure.vendor_benchmark import VendorFigures, VendorOutputError, parse_benchmark_output
from harness.results.record import CellRecord
from harness.run.measurement import VendorRun

#: figures further apart than this factor, and than this time, say that two different things were measured
_FACTOR, _APART_NS = 1.25, 100_000


def note_vendor(record: CellRecord, runs: Sequence[VendorRun]) -> None:
    """Adds `vendor_benchmark` and its two figures to a record with its latency and ops, and a finding where they differ.

    Args:
        runs: the timed run, then the profiled one, as far as there were any.
    """
    if not runs:
        return
    figures = _read(record, runs[0])
    profiled = _read(record, runs[1]) if len(runs) > 1 else None
    if figures is None:
        return
    if profiled is not None:
        figures = replace(figures, ops=profiled.ops)
    record.vendor_latency_ns, record.vendor_first_invoke_ns = figures.mean_ns, figures.first_invoke_ns
    record.vendor_benchmark = {
        "program": runs[0].program,
        "arguments": list(runs[0].arguments),
        **asdict(figures),
    }
    _note_op_times(record, figures)
    _note_difference(record, figures)


def _read(record: CellRecord, run: VendorRun) -> VendorFigures | None:
    """The figures of one run, or a finding that says why there are none."""
    try:
        problem = _ended_badly(run)
        if problem is None:
            return parse_benchmark_output(run.output)
    except VendorOutputError as error:
        problem = str(error)
    record.findings.append(
        Finding(
            code="vendor-benchmark-failed",
            severity="info",
            where=record.key.text,
            what=f"{run.program} gave no figures: {problem}",
            fix="run it by hand on the board, or switch it off with `vendor_benchmark: none` in the profile",
        )
    )
    return None


def _ended_badly(run: VendorRun) -> str | None:
    if run.code is None:
        return f"it was ended after {run.deadline_s:g} s"
    if run.code == 0:
        return None
    said = run.output.strip().splitlines()[-1:]
    ended = f"exit status {run.code}" if run.code > 0 else f"signal {-run.code}"
    return f"{ended}{': ' + said[0][:300] if said else ''}"


def _note_op_times(record: CellRecord, figures: VendorFigures) -> None:
    """Per-op times beside the ops they belong to: by node number, where the op's name agrees."""
    times = {op.node: op for op in figures.ops}
    for row in record.ops:
        op = times.get(row["node"])
        if op is not None and op.op == row["op"]:
            row["vendor_ns"] = op.mean_ns


def _note_difference(record: CellRecord, figures: VendorFigures) -> None:
    theirs = figures.median_ns or figures.mean_ns
    ours = record.latency_median_ns or 0
    ratio = theirs / max(ours, 1)
    if abs(theirs - ours) <= _APART_NS or 1 / _FACTOR <= ratio <= _FACTOR:
        return
    kind = "median" if figures.median_ns else "mean"
    record.findings.append(
        Finding(
            code="vendor-benchmark-differs",
            severity="warning",
            where=record.key.text,
            what=f"the vendor's benchmark_model measured a {kind} of {theirs / 1e3:.1f} µs, we a median of {ours / 1e3:.1f} µs: "
            f"{significant_text(ratio)} times ours",
            fix="compare threads, CPU governor and delegate options of both, and look whether both ran on the delegate",
        )
    )
