"""The cached start of a cell: a second worker that finds the graphs which the first one's delegate compiled.

Cold, cached and steady are different numbers. The cell's own worker began with an empty graph cache, so its first invoke is
the cold one. Only backends that name `{cache_dir}` in their profile have a cached one; it costs one more start of a worker.
"""

from __future__ import annotations

from dataclasses import replace

from harness.boards.base import BackendSpec, Board, Deadlines, GraphCacheUse, WorkerFailure
from harness.core.finding import Finding
from harness.prepare.prepared import PreparedModel
from harness.results.record import CellRecord

#: a cached first invoke that takes more than this share of the cold one gained nothing that matters
_NO_GAIN_SHARE = 0.8
#: a cold first invoke within this factor of the steady median compiled nothing, so there is nothing to gain
_COMPILED_FACTOR = 2.0


def measure_cached(
    board: Board,
    backend: BackendSpec,
    deadlines: Deadlines,
    record: CellRecord,
    model: PreparedModel,
    left: GraphCacheUse | None,
) -> None:
    """Adds `load_cached_ns` and `first_invoke_cached_ns`, or a finding that says why there are none.

    Args:
        record: of a cell whose own worker has ended well.
        left: what that worker's delegate left in its graph cache; None for a backend without one.

    Raises:
        DeviceError: the board or the link failed.
    """
    if left is None or record.first_invoke_ns is None:
        return
    if left.problem is not None:
        _note(record, "graph-cache-emptied", "warning", left.problem, "raise limits.graph_cache_bytes in the profile")
        return
    if left.files == 0:
        if record.delegated_nodes != 0:
            _note(
                record,
                "graph-cache-unused",
                "info",
                f"{record.delegate_name} left nothing in its graph cache, so there is no cached start to time",
                "check the cache settings in the backend's `env` and delegate options",
            )
        return
    try:
        worker = board.open_worker(replace(backend, cache="kept"), deadlines)
        try:
            load_ns = worker.load(model.artifact.sha256).load_ns
            first_ns = worker.first_invoke([i.sha256 for i in model.inputs])
        finally:
            worker.close()
    except WorkerFailure as failure:
        _note(
            record,
            "cached-start-failed",
            "warning",
            f"the model ran on an empty graph cache, but not on the one it had filled: {failure.phase}: {failure.what}",
            "leave the delegate's cache off in this profile, or update the delegate",
        )
        return
    record.load_cached_ns, record.first_invoke_cached_ns = load_ns, first_ns
    compiled = record.first_invoke_ns > _COMPILED_FACTOR * (record.latency_median_ns or 0)
    if compiled and first_ns is not None and first_ns > _NO_GAIN_SHARE * record.first_invoke_ns:
        _note(
            record,
            "graph-cache-no-gain",
            "info",
            f"with the graph cache ({left.files} files, {left.size_bytes} bytes) the first invoke took {first_ns / 1e6:.1f} ms, "
            f"without it {record.first_invoke_ns / 1e6:.1f} ms",
            "see the board log for why the delegate did not take its cached graph",
        )


def _note(record: CellRecord, code: str, severity: str, what: str, fix: str) -> None:
    record.findings.append(Finding(code=code, severity=severity, where=record.key.text, what=what, fix=fix))
