"""Is it the question that was meant? What is looked at once per workload, before anything runs on a board.

Rows of `harness.workloads.checks.table`. What refuses is in `harness.workloads`, what needs a cell's outputs in `harness.judge`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.core.files import sha256_json
from harness.core.finding import Finding
from harness.measure.reference import References
from harness.measure.rescaled import explains_better, meets_better
from harness.measure.scoring import real_values
from harness.prepare.prepared import REFERENCE_SAMPLES, PreparedModel
from harness.prepare.samples import samples_file
from harness.tflite.graph import read_graph
from harness.workloads.base import Dataset, Workload
from harness.workloads.checks.inputs import input_range, range_finding
from harness.workloads.checks.outputs import output_ends
from harness.workloads.checks.scales import USUAL, Rescaling, sensible, standardising
from harness.workloads.checks.sets import set_findings, some_rows
from harness.workloads.checks.table import misread

#: samples on which a float model is asked about other scales: the more, the smaller a difference of scale they show
_PROBED, _SMALL_BYTES = 1000, 2 << 20


class Questions:
    """The findings of workloads, each looked at once however many recipes it has."""

    def __init__(self, references: References) -> None:
        self._references = references
        self._of_data: dict[str, list[Finding]] = {}
        self._values: dict[str, np.ndarray] = {}
        self._of_scale: dict[tuple[str, int], list[Finding]] = {}

    def findings(
        self, workload: Workload, dataset: Dataset, model: PreparedModel, float_model: PreparedModel | None
    ) -> tuple[Finding, ...]:
        """What speaks against a model's numbers on these data.

        Args:
            float_model: what the recipes start from; None where it is `model` itself, or was refused.
        """
        name = workload.name
        if name not in self._of_data:
            self._of_data[name] = set_findings(dataset, workload.metric, name)
            self._values[name] = some_rows(dataset.x_test)
        found = [*self._of_data[name]]
        if model.artifact.path is None:
            return tuple(found)
        held = input_range(read_graph(model.artifact.file))
        if (
            held is not None
            and (finding := range_finding(self._values[name], held, f"{name}/{model.recipe}")) is not None
        ):
            found.append(finding)
        key = (name, model.seed)
        if key not in self._of_scale:
            self._of_scale[key] = scale_findings(float_model or model, dataset, self._references)
        return (*found, *self._of_scale[key])


def scale_findings(model: PreparedModel, dataset: Dataset, references: References) -> list[Finding]:
    """`input-scale`: the float model explains the labels far better on rescaled samples.

    Args:
        model: the float model, or a finished one; one whose input is quantized says its range itself and is not asked.
    """
    if model.metric is None or model.labels is None or model.sample_ids is None or model.artifact.path is None:
        return []
    if not (model.metric.classes or model.metric.numbers):
        return []
    graph = read_graph(model.artifact.file)
    if input_range(graph) is not None or not model.artifact.inputs[0].dtype.startswith("float"):
        return []
    small = (model.artifact.size_bytes or 0) <= _SMALL_BYTES
    count = min(_PROBED if small else REFERENCE_SAMPLES, len(model.labels))
    ids = model.sample_ids[:count]
    rows, labels = dataset.x_test[ids], model.labels[:count]
    rescalings = _rescalings(rows)
    given = _outputs(model, rows, None, dataset, references) if rescalings else None
    if given is None:
        return []
    squashed = output_ends(graph)[model.output].squashed
    for rescaling in rescalings:
        outputs = _outputs(model, rescaling.of(rows), rescaling, dataset, references)
        if outputs is None:
            continue
        if model.metric.classes:
            better = explains_better(
                given, outputs, labels, squashed=squashed, alternatives=len(rescalings), usual=rescaling in USUAL
            )
        else:
            better = model.metric.numbers and meets_better(given, outputs, labels, alternatives=len(rescalings))
        if better:
            return [misread("input-scale", model.workload, _words(rescaling, rows, given, outputs, labels, model))]
    return []


def _rescalings(rows: np.ndarray) -> list[Rescaling]:
    found = list(sensible(float(rows.min()), float(rows.max())))
    standard = standardising(rows)
    return [*found, standard] if standard is not None else found


def _outputs(
    model: PreparedModel, rows: np.ndarray, rescaling: Rescaling | None, dataset: Dataset, references: References
) -> np.ndarray | None:
    """The float model's main output on samples, real values [N, ...]; None where no runtime answers."""
    name = rescaling.name if rescaling is not None else "as they are"
    digest = sha256_json([dataset.digest, "rescaled", name])
    part = replace(dataset, x_test=rows, y_test=None, digest=digest)
    file = samples_file(part, np.arange(len(rows)), model.artifact.inputs[0])
    outputs = references.float_outputs(replace(model, inputs=(file,)), len(rows))
    return None if outputs is None else real_values(outputs[model.output], model.artifact.outputs[model.output])


def _words(
    rescaling: Rescaling,
    rows: np.ndarray,
    given: np.ndarray,
    outputs: np.ndarray,
    labels: np.ndarray,
    model: PreparedModel,
) -> str:
    metric = model.metric
    assert metric is not None
    scores = [metric.score(metric.answers(part), labels).value for part in (given, outputs)]
    return (
        f"the samples' values lie in {rows.min():.4g} to {rows.max():.4g}; {rescaling.name}, the float model explains the labels "
        f"far better ({metric.title} {scores[1]:.4g} instead of {scores[0]:.4g} on {len(labels)} samples)"
    )
