"""The vendor's own `benchmark_model` run on the board after a cell.

See docs/guides/vendor-benchmark.md.

A second opinion from a program that shares neither Python nor the agent with our measurement. It never changes a cell's
outcome.
"""

from __future__ import annotations

from dataclasses import replace

from harness.boards.base import BackendSpec, Board
from harness.measure.vendor_benchmark import VendorOutputError, parse_benchmark_output
from harness.prepare.prepared import PreparedModel
from harness.run.measurement import CellContext, Measurement, VendorRun

#: the tool times this long at most, after a warm-up of half a second
_TIMED_S = 5
#: per-op times take a second, shorter run; not where starting alone takes this long
_SLOW_START_NS = 30_000_000_000


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


def drive_vendor(
    board: Board, context: CellContext, model: PreparedModel, measurement: Measurement
) -> tuple[VendorRun, ...]:
    """Runs the program on a model that is on the board and was timed: once for its figures, once more for its time per op.

    Raises:
        DeviceError: the link is gone.
    """
    timed = measurement.bench is not None and len(measurement.bench.samples_ns) > 0
    program, arguments = board.vendor_benchmark, vendor_arguments(context.backend, profiling=False)
    if program is None or arguments is None or not timed:
        return ()
    first = _run(board, program, context, model, arguments)
    if not _starts_quickly(first):
        return (first,)
    profiling = vendor_arguments(context.backend, profiling=True) or []
    return (first, _run(board, program, context, model, profiling))


def _starts_quickly(run: VendorRun) -> bool:
    """True when the program gave its figures, and a second start of it costs little."""
    if run.code != 0:
        return False
    try:
        figures = parse_benchmark_output(run.output)
    except VendorOutputError:
        return False
    return figures.init_ns + figures.first_invoke_ns < _SLOW_START_NS


def _run(board: Board, program: str, context: CellContext, model: PreparedModel, arguments: list[str]) -> VendorRun:
    backend, deadlines = context.backend, context.deadlines
    backend = replace(backend, cache="kept") if backend.uses_cache else backend
    deadline_s = deadlines.load_s + deadlines.first_invoke_s + 4 * _TIMED_S
    done = board.run_vendor_benchmark(model.artifact.file_sha256, backend, arguments, deadline_s)
    return VendorRun(
        program=program,
        arguments=tuple(arguments),
        deadline_s=deadline_s,
        code=done.code,
        output=done.output,
    )
