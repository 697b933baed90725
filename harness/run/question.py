"""Is it the question that was meant? What is looked at once per workload, before anything runs on a board.

Rows of `harness.workloads.checks.table`. What refuses is in `harness.workloads`, what needs a cell's outputs in `harness.judge`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from harness.core.files import sha256_json
from harness.core.finding import Finding
from harness.measure.reference import References
from harness.measure.rescaled import explains_better, meets_better
from harness.measure.scoring import real_values
from harness.prepare.prepared import REFERENCE_SAMPLES, PreparedModel
from harness.prepare.samples import sample_files
from harness.tflite.graph import Graph, read_graph
from harness.workloads.base import Dataset, Workload
from harness.workloads.checks.arrangements import Arrangement, arrangements
from harness.workloads.checks.inputs import input_range, range_finding
from harness.workloads.checks.outputs import output_ends
from harness.workloads.checks.scales import USUAL, Rescaling, sensible, standardising
from harness.workloads.checks.sets import set_findings, some_rows
from harness.workloads.checks.table import misread
from harness.workloads.input_names import inputs_of
from harness.workloads.rows import Arrays, by_input, changed, of_input

#: samples on which a float model is asked about other scales: the more, the smaller a difference of scale they show
_PROBED, _SMALL_BYTES = 1000, 2 << 20


class Questions:
    """The findings of workloads, each looked at once however many recipes it has."""

    def __init__(self, references: References) -> None:
        self._references = references
        self._of_data: dict[str, list[Finding]] = {}
        self._values: dict[str, dict[str, np.ndarray]] = {}
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
            self._values[name] = {key: some_rows(rows) for key, rows in by_input(dataset.x_test).items()}
        found = [*self._of_data[name]]
        if model.artifact.path is None:
            return tuple(found)
        graph = read_graph(model.artifact.file)
        for position, source in enumerate(inputs_of(graph, dataset.x_test)):
            held, where = input_range(graph, position), f"{name}/{model.recipe}"
            where = f"{where}, input '{source}'" if source else where
            if held is not None and (finding := range_finding(self._values[name][source], held, where)) is not None:
                found.append(finding)
        key = (name, model.seed)
        if key not in self._of_scale:
            self._of_scale[key] = scale_findings(float_model or model, dataset, self._references)
        return (*found, *self._of_scale[key])


@dataclass(frozen=True, kw_only=True)
class Better:
    """What the float model should be fed instead of the samples as they are.

    Attributes:
        other: how the samples become it.
        input: which of several inputs' samples; empty for the one.
        words: what was seen.
        scores: the metric's, of the samples as they are and of the others.
    """

    other: Rescaling | Arrangement
    input: str
    words: str
    scores: tuple[float, float]


def scale_findings(model: PreparedModel, dataset: Dataset, references: References) -> list[Finding]:
    """`input-scale`, `channel-order`, `input-layout`: the float model explains the labels far better on the same samples
    rescaled, or laid out otherwise. One finding at most: what comes first may be why the next looks so.

    Args:
        model: the float model, or a finished one; one whose input is quantized says its range itself and is not asked.
    """
    better = better_samples(model, dataset, references)
    if better is None:
        return []
    if isinstance(better.other, Rescaling):
        return [misread("input-scale", model.workload, better.words)]
    if better.other.setting[0] == "channels":
        return [misread("channel-order", model.workload, better.words)]
    return [misread("input-layout", model.workload, better.words)]


def better_samples(model: PreparedModel, dataset: Dataset, references: References) -> Better | None:
    """The first of the usual rescalings and layouts on which the float model explains the labels far better; None where there is
    none, or the model is not asked.
    """
    if not may_be_asked(model):
        return None
    assert model.metric is not None and model.labels is not None
    rows, labels = probed(model, dataset)
    others = list(_others(model, rows))
    given = float_outputs(model, rows, "as they are", dataset, references) if others else None
    if given is None:
        return None
    squashed = output_ends(read_graph(model.artifact.file))[model.output].squashed
    for name, other in others:
        what = f"{other.name}{of_input(name)}"
        outputs = float_outputs(model, changed(rows, name, other.of), what, dataset, references)
        if outputs is None:
            continue
        if model.metric.classes:
            usual = isinstance(other, Arrangement) or other in USUAL
            better = explains_better(given, outputs, labels, squashed=squashed, alternatives=len(others), usual=usual)
        else:
            better = model.metric.numbers and meets_better(given, outputs, labels, alternatives=len(others))
        if better:
            first, second = (model.metric.score(model.metric.answers(part), labels).value for part in (given, outputs))
            gained = model.metric.loss_of(second - first) < 0
            words = _words(other, by_input(rows)[name][:], name, (first, second), model.metric.title, gained=gained)
            return Better(other=other, input=name, words=words, scores=(first, second))
    return None


def _others(model: PreparedModel, samples: Arrays) -> Iterator[tuple[str, Rescaling | Arrangement]]:
    """What else the samples of each input that takes measurements might be meant to be."""
    assert model.metric is not None
    graph = read_graph(model.artifact.file)
    for position, name in enumerate(inputs_of(graph, samples)):
        if not _is_measured(model, graph, position):
            continue
        rows = by_input(samples)[name][:]
        yield from ((name, other) for other in _rescalings(rows))
        # Numbers to be met have no confidence, by which a slightly worse layout could be told from a model's own.
        if model.metric.classes:
            yield from ((name, other) for other in arrangements(rows.shape[1:]))


def may_be_asked(model: PreparedModel) -> bool:
    """Whether a model can show by its answers what it should be fed: it is there, takes floats, and there are labels."""
    if model.metric is None or model.labels is None or model.sample_ids is None or model.artifact.path is None:
        return False
    if not (model.metric.classes or model.metric.numbers):
        return False
    graph = read_graph(model.artifact.file)
    return any(_is_measured(model, graph, position) for position in range(len(graph.inputs)))


def _is_measured(model: PreparedModel, graph: Graph, position: int) -> bool:
    """Whether an input takes floats and no quantization says which: then its scale is a question."""
    return model.artifact.inputs[position].dtype.startswith("float") and input_range(graph, position) is None


def probed(model: PreparedModel, dataset: Dataset) -> tuple[Arrays, np.ndarray]:
    """The samples on which a model is asked, and their labels."""
    assert model.labels is not None and model.sample_ids is not None
    small = (model.artifact.size_bytes or 0) <= _SMALL_BYTES
    count = min(_PROBED if small else REFERENCE_SAMPLES, len(model.labels))
    return dataset.x_test[model.sample_ids[:count]], model.labels[:count]


def _rescalings(rows: np.ndarray) -> list[Rescaling]:
    found = list(sensible(float(rows.min()), float(rows.max())))
    standard = standardising(rows)
    return [*found, standard] if standard is not None else found


def float_outputs(
    model: PreparedModel, rows: Arrays, name: str, dataset: Dataset, references: References
) -> np.ndarray | None:
    """The float model's main output on samples, real values [N, ...]; None where no runtime answers.

    Args:
        name: what became of the dataset's samples; samples of one name and dataset are asked about once.
    """
    digest = sha256_json([dataset.digest, "rescaled", name])
    part = replace(dataset, x_test=rows, y_test=None, digest=digest)
    names = inputs_of(read_graph(model.artifact.file), rows)
    files = sample_files(part, np.arange(len(rows)), model.artifact.inputs, names)
    outputs = references.float_outputs(replace(model, inputs=files), len(rows))
    return None if outputs is None else real_values(outputs[model.output], model.artifact.outputs[model.output])


def _words(
    other: Rescaling | Arrangement,
    rows: np.ndarray,
    name: str,
    scores: tuple[float, float],
    title: str,
    *,
    gained: bool,
) -> str:
    seen = f"the samples' values lie in {rows.min():.4g} to {rows.max():.4g}"
    if isinstance(other, Arrangement):
        seen = f"the samples are {'x'.join(map(str, rows.shape[1:]))}"
    if name:
        seen = f"input '{name}': {seen}"
    if not gained:
        return (
            f"{seen}; {other.name}, the float model's probabilities fit the labels far better ({title} {scores[1]:.4g}, and "
            f"{scores[0]:.4g} as they are: what changes is how sure it is, on {len(rows)} samples)"
        )
    return (
        f"{seen}; {other.name}, the float model explains the labels far better ({title} {scores[1]:.4g} instead of "
        f"{scores[0]:.4g} on {len(rows)} samples)"
    )
