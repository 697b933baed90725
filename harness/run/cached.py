"""The cached start of a cell: a second worker that finds the graphs which the first one's delegate compiled.

Cold, cached and steady are different numbers. The cell's own worker began with an empty graph cache, so its first invoke is
the cold one. Only backends that name `{cache_dir}` in their profile have a cached one; it costs one more start of a worker.
"""

from __future__ import annotations

from dataclasses import replace

from harness.boards.base import Board, WorkerFailure
from harness.prepare.prepared import PreparedModel
from harness.run.measurement import CachedStart, CellContext, Failure, Measurement


def drive_cached(
    board: Board, context: CellContext, model: PreparedModel, measurement: Measurement
) -> CachedStart | None:
    """Starts a second worker, where the cell's own ended well and left graphs that it can find.

    Raises:
        DeviceError: the board or the link failed.
    """
    left = measurement.cache_use
    if left is None or left.problem is not None or left.files == 0 or measurement.first_invoke_ns is None:
        return None
    try:
        worker = board.open_worker(replace(context.backend, cache="kept"), context.deadlines)
        try:
            load_ns = worker.load(model.artifact.file_sha256).load_ns
            first_invoke_ns = worker.first_invoke([i.sha256 for i in model.inputs])
        finally:
            worker.close()
    except WorkerFailure as error:
        return CachedStart(failure=Failure.of_worker(error))
    return CachedStart(load_ns=load_ns, first_invoke_ns=first_invoke_ns)
