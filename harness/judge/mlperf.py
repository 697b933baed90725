"""What `--mlperf` adds to a record: the median of five loops, top-1 and AUC, under the suite's own names."""

from __future__ import annotations

import numpy as np

from harness.core.finding import Finding
from harness.measure.mlperf import PUBLISHED, TASKS, auc, median, top1
from harness.measure.scoring import real_values
from harness.prepare.prepared import PreparedModel
from harness.results.record import CellRecord
from harness.run.measurement import Measurement


def note_mlperf(record: CellRecord, measurement: Measurement, model: PreparedModel) -> None:
    """Adds `mlperf`, or a finding that says why there is none; nothing where it was not asked for."""
    if measurement.mlperf_failed is not None:
        record.findings.append(
            Finding(
                code="mlperf-not-measured",
                severity="warning",
                where=record.key.text,
                what=f"there are no figures of MLPerf Tiny: {measurement.mlperf_failed}",
                fix="all other figures stand; see docs/guides/mlperf-tiny.md",
            )
        )
    if not measurement.mlperf:
        return
    each_ns = [(loop.elapsed_ns or 0) / loop.inferences for loop in measurement.mlperf]
    name = _model_name(measurement, model)
    found: dict[str, object] = {
        "model": name,
        "task": TASKS.get(name) if name else None,
        "loops": [{"inferences": loop.inferences, "elapsed_ns": loop.elapsed_ns} for loop in measurement.mlperf],
        "latency_ns": round(median(each_ns)),
        "inferences_per_s": 1e9 / median(each_ns),
        "top1": None,
        "auc": None,
    }
    evaluated, count = measurement.evaluated, measurement.samples or 0
    if evaluated is not None and model.labels is not None and count:
        scores = real_values(evaluated.outputs[0][:count], model.artifact.outputs[0])
        labels = np.asarray(model.labels[:count])
        if model.metric is not None and model.metric.reads_inputs:
            # An autoencoder's labels have its inputs behind them.
            labels = labels[:, 0].astype(np.int64)
        found["top1"], found["auc"] = top1(scores, labels), auc(scores, labels)
    record.mlperf = found


def _model_name(measurement: Measurement, model: PreparedModel) -> str | None:
    """The suite's name: what the firmware calls its model, else by the published file."""
    stages = measurement.adaptation.stages if measurement.adaptation else ()
    held = next((stage.facts.get("name") for stage in stages if stage.name == "held"), None)
    return str(held) if held else PUBLISHED.get(model.workload)
