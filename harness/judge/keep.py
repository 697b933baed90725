"""Stores what a cell gave, and names it in the cell's record."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.judge.cell import judge
from harness.prepare.prepared import PreparedModel
from harness.results.objects import ObjectStore
from harness.results.record import CellRecord
from harness.run.measurement import CellContext, Measurement


def finisher(objects: ObjectStore) -> Callable[[Measurement, PreparedModel, CellContext], CellRecord]:
    """What makes a record of a measured cell: judges it, and keeps what it was judged by in `objects`."""

    def finish(measurement: Measurement, model: PreparedModel, context: CellContext) -> CellRecord:
        record = judge(measurement, model, context)
        if measurement.failure is None:
            _keep(record, measurement, model, objects)
        return record

    return finish


def _keep(record: CellRecord, measurement: Measurement, model: PreparedModel, objects: ObjectStore) -> None:
    bench, evaluated = measurement.bench, measurement.evaluated
    if bench is not None and len(bench.samples_ns):
        record.latency_object = objects.put_array(np.asarray(bench.samples_ns, dtype=np.int64))
    if evaluated is None:
        return
    record.sample_ids_object = objects.put_array(np.asarray(model.sample_ids[: measurement.samples], dtype=np.int64))
    record.outputs_object = objects.put_arrays({f"output_{i}": o for i, o in enumerate(evaluated.outputs)})
    if evaluated.counts is not None:
        record.counts_object = objects.put_array(np.asarray(evaluated.counts.values, dtype=np.int64))
