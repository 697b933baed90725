"""The vendor's own `benchmark_model` run on the board after a cell, its figures imported beside ours.

See docs/guides/vendor-benchmark.md.

A second opinion from a program that shares neither Python nor the agent with our measurement. It never changes a cell's
outcome: what goes wrong here is a finding.
"""

from __future__ import annotations

from dataclasses import asdict, replace

from harness.boards.base import BackendSpec, Board, Deadlines
from harness.core.finding import Finding
from harness.measure.vendor_benchmark import VendorFigures, VendorOutputError, parse_benchmark_output
from harness.results.record import CellRecord

#: the tool times this long at most, after a warm-up of half a second
_TIMED_S = 5
#: per-op times take a second, shorter run; not where starting alone takes this long
_SLOW_START_NS = 30_000_000_000
#: figures further apart than this factor, and than this time, say that two different things were measured
_FACTOR, _APART_NS = 1.25, 100_000


def vendor_arguments(backend: BackendSpec, *, profiling: bool) -> list[str] | None:
    """The tool's options for a backend, but for the model; None where it cannot do what the backend does.

    It has no reference kernels, and its delegate options cannot hold ':' and ';'.
    """
    if backend.kernels == "reference":
        return None
    arguments = [f"--num_threads={backend.threads}", "--warmup_min_secs=0.5"]
    if profiling:
        arguments += ["--enable_op_profiling=true", "--num_runs=10", "--min_secs=0.2", "--max_secs=2"]
    else:
        arguments += ["--num_runs=50", "--min_secs=1", f"--max_secs={_TIMED_S}"]
    if backend.kernels == "no-default-delegate":
        arguments.append("--use_xnnpack=false")
    if backend.delegate_path:
        arguments.append(f"--external_delegate_path={backend.delegate_path}")
        options = backend.delegate_options
        if any(c in text for pair in options.items() for text in pair for c in ":;"):
            return None
        if options:
            arguments.append("--external_delegate_options=" + ";".join(f"{k}:{v}" for k, v in options.items()))
    return arguments


def measure_vendor(board: Board, backend: BackendSpec, deadlines: Deadlines, record: CellRecord) -> None:
    """Adds `vendor_benchmark` and its two figures to a record whose model is on the board, and a finding where they differ.

    Args:
        board: a connected board; one without `vendor_benchmark` has no such program.

    Raises:
        DeviceError: the link is gone.
    """
    program = board.vendor_benchmark
    arguments = vendor_arguments(backend, profiling=False)
    if program is None or arguments is None or record.latency_median_ns is None or record.artifact_sha256 is None:
        return
    backend = replace(backend, cache="kept") if backend.uses_cache else backend
    figures = _run(board, backend, deadlines, record, arguments)
    if figures is None:
        return
    if figures.init_ns + figures.first_invoke_ns < _SLOW_START_NS:
        profiled = _run(board, backend, deadlines, record, vendor_arguments(backend, profiling=True) or [])
        figures = replace(figures, ops=profiled.ops) if profiled else figures
    record.vendor_latency_ns, record.vendor_first_invoke_ns = figures.mean_ns, figures.first_invoke_ns
    record.vendor_benchmark = {"program": program, "arguments": arguments, **asdict(figures)}
    _note_op_times(record, figures)
    _note_difference(record, figures)


def _run(
    board: Board, backend: BackendSpec, deadlines: Deadlines, record: CellRecord, arguments: list[str]
) -> VendorFigures | None:
    deadline_s = deadlines.load_s + deadlines.first_invoke_s + 4 * _TIMED_S
    done = board.run_vendor_benchmark(record.artifact_sha256, backend, arguments, deadline_s)
    problem = None
    if done.code is None:
        problem = f"it was ended after {deadline_s:g} s"
    elif done.code != 0:
        said = done.output.strip().splitlines()[-1:]
        ended = f"exit status {done.code}" if done.code > 0 else f"signal {-done.code}"
        problem = f"{ended}{': ' + said[0][:300] if said else ''}"
    else:
        try:
            return parse_benchmark_output(done.output)
        except VendorOutputError as error:
            problem = str(error)
    record.findings.append(
        Finding(
            code="vendor-benchmark-failed",
            severity="info",
            where=record.key.text,
            what=f"{board.vendor_benchmark} gave no figures: {problem}",
            fix="run it by hand on the board, or switch it off with `vendor_benchmark: none` in the profile",
        )
    )
    return None


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
            what=f"the vendor's benchmark_model measured a {kind} of {theirs / 1e3:.1f} us, we a median of {ours / 1e3:.1f} us: "
            f"{ratio:.2g} times ours",
            fix="compare threads, CPU governor and delegate options of both, and look whether both ran on the delegate",
        )
    )
