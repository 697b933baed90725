"""Everything a cell needs that does not depend on the device: artifact, samples in input dtype, labels, references.

The run phase sees nothing but `PreparedModel`s, so that it works the same after a build on this machine and from a
bundle on a lab host without TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from harness.core.errors import UserInputError
from harness.core.finding import Finding
from harness.prepare.samples import InputFile, needed_samples, random_inputs, sample_files
from harness.tflite.features import features, output_lsb
from harness.tflite.graph import Graph, read_graph
from harness.tflite.post_process import ends_in_suppression
from harness.variants.artifact import Artifact
from harness.workloads.base import Dataset, Workload, stratified_order
from harness.workloads.checks.model import graph_findings, refuse_misfit
from harness.workloads.checks.outputs import model_outputs
from harness.workloads.input_names import inputs_of
from harness.workloads.metrics.base import Ends, Metric
from harness.workloads.outputs import output_name
from harness.workloads.rows import InputRows
from harness.workloads.sequences import sequence_beginnings, sequence_order

__all__ = [
    "FLOAT_RECIPE",
    "InputFile",
    "PreparedModel",
    "REFERENCE_SAMPLES",
    "ReferenceOutputs",
    "Say",
    "audit_findings",
    "prepare_model",
    "random_inputs",
    "with_graph_facts",
]

#: how many stratified samples decide between ok and wrong (the first rows of every samples file)
REFERENCE_SAMPLES = 256
#: the recipe whose model is "the float model" of a workload
FLOAT_RECIPE = "ptq-float32"

Say = Callable[[str, int, int], None]
"""Progress: called with (what, done, total)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ReferenceOutputs:
    """What a reference answers on the first samples.

    Attributes:
        identity: such as `float twin on ai-edge-litert 2.3.0`, or `tflite-runtime 2.14.0 BUILTIN_REF`.
        outputs: one array per model output, [n, ...], n <= REFERENCE_SAMPLES: of a twin real values, of a runtime as stored.
        companions: the same of the twin's companion, which shows the model's own quantization error; None where it equals the
            twin (no quantized activations), and for a runtime.
        kind: `twin`: the model's float twin; `runtime`: a runtime runs the model as it is, because it has no twin.
        trusted: nothing known speaks against its kernels for this model, so that it may accuse; None: nobody has looked, as in
            records from before twins.
        why: of a runtime, why there is no twin.
    """

    identity: str
    outputs: tuple[np.ndarray, ...]
    companions: tuple[np.ndarray, ...] | None = None
    kind: Literal["twin", "runtime"] = "runtime"
    trusted: bool | None = None
    why: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class JudgedOutput:
    """One output with what it is judged by; a model may have several.

    Attributes:
        output: its position.
        name: in records and tables.
        metric: None only where a stored model is being read.
        labels, float_answers: as those of `PreparedModel`.
    """

    output: int
    name: str
    metric: Metric | None
    labels: np.ndarray | None = None
    float_answers: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedModel:
    """One workload x recipe x seed, ready to run on any device.

    Attributes:
        artifact: the built model, or its refusal (then there are no inputs).
        inputs: one samples file per model input, in `sample_ids` order.
        sample_ids: int64 [N], positions in the dataset's test set; every prefix is a stratified sample.
        beginnings: int64, rows at which a sequence begins within which the model's state is carried; None: samples stand alone.
        metric: what outputs are judged by; None: there is no score.
        output, output_name: which output `metric`, `labels` and `float_answers` are of; the name is empty where there is one.
        further: the other outputs that are judged.
        left_out: positions of outputs that are not, on purpose.
        labels: [N, ...] in the same order, as the metric takes them, or None.
        float_answers: [N, ...], what the LiteRT float32 model answers, as the metric sees it; None without labels or float model.
        float_identity: what gave `float_answers`.
        model_sha256: the model that the recipe started from; see the record's field.
        reference: what outputs are judged against.
        exact: what tflite-runtime 2.14.0's reference kernels answer, of an integer model that they compute rightly: some boards
            promise these outputs to the bit.
        scores: of a model that ends in a choice (ARG_MAX), the model of the scores that it chooses from, with its own reference.
        suppressed: its outputs are boxes that suppression chose, so that they are no values to be compared one by one.
        lsb: real size of a quantization step per output, or of what the board can tell apart; None for float outputs.
        arithmetic: the kinds of arithmetic in the model, as `harness.tflite.features` names them.
        node_count: nodes of the model's graph.
        endless: why nothing is run of a model that never ended on this machine, in words; None of all others.
    """

    workload: str
    metric: Metric | None
    recipe: str
    seed: int
    artifact: Artifact
    dataset_name: str
    dataset_note: str
    dataset_digest: str
    model_sha256: str | None = None
    inputs: tuple[InputFile, ...] = ()
    sample_ids: np.ndarray | None = None
    beginnings: np.ndarray | None = None
    output: int = 0
    output_name: str = ""
    further: tuple[JudgedOutput, ...] = ()
    left_out: tuple[int, ...] = ()
    labels: np.ndarray | None = None
    reference: ReferenceOutputs | None = None
    exact: ReferenceOutputs | None = None
    scores: PreparedModel | None = None
    float_answers: np.ndarray | None = None
    float_identity: str | None = None
    lsb: tuple[float | None, ...] = ()
    arithmetic: tuple[str, ...] = ()
    node_count: int | None = None
    suppressed: bool = False
    endless: str | None = None
    max_accuracy_drop: float = 0.03
    findings: tuple[Finding, ...] = field(default=())

    @property
    def judged(self) -> tuple[JudgedOutput, ...]:
        """All outputs that have a metric and labels, the main one first."""
        if self.metric is None or self.labels is None:
            return ()
        main = JudgedOutput(
            output=self.output,
            name=self.output_name,
            metric=self.metric,
            labels=self.labels,
            float_answers=self.float_answers,
        )
        return (main, *self.further)


def prepare_model(
    workload: Workload, recipe_name: str, artifact: Artifact, dataset: Dataset, samples: int | None = None
) -> PreparedModel:
    """One artifact with its samples and what its graph tells; references and the float baseline come after.

    Args:
        samples: how many will be evaluated at most; None for all. Of a large test set no more are made ready.

    Raises:
        UserInputError: when the data, its labels or the metric do not fit the model.
    """
    base = PreparedModel(
        workload=workload.name,
        metric=workload.metric,
        recipe=recipe_name,
        seed=artifact.seed,
        artifact=artifact,
        dataset_name=dataset.name,
        dataset_note=dataset.note,
        dataset_digest=dataset.digest,
        max_accuracy_drop=workload.max_accuracy_drop,
        findings=audit_findings(artifact),
    )
    if artifact.path is None:
        return base
    graph = read_graph(artifact.file)
    names = _input_names(graph, dataset, artifact)
    refuse_misfit(graph, dataset, workload)
    order, beginnings = evaluation_order(workload, dataset, needed_samples(dataset, artifact.inputs, samples))
    outputs = model_outputs(graph)
    main = workload.place_of(workload.output, outputs)
    base = replace(
        base,
        metric=workload.metric and workload.metric.fitted(outputs[main]),
        output=main,
        output_name=_main_name(workload, outputs, main),
        further=_further(workload, dataset, order, outputs),
        left_out=tuple(workload.place_of(output, outputs) for output in workload.left_out),
    )
    return replace(
        with_graph_facts(base, {workload.place_of(n, outputs): name for n, name in enumerate(workload.output_names)}),
        inputs=sample_files(dataset, order, artifact.inputs, names),
        sample_ids=order,
        beginnings=beginnings,
        labels=_labels(workload.metric, dataset.y_test, dataset, order),
    )


def _input_names(graph: Graph, dataset: Dataset, artifact: Artifact) -> tuple[str, ...]:
    """Which of the dataset's inputs each of the model's is, in the model's order."""
    if not isinstance(dataset.x_test, InputRows) and len(artifact.inputs) != 1:
        raise UserInputError(
            f"the model has {len(artifact.inputs)} inputs and the data has one",
            where=str(artifact.path),
            hint="give one array per input, called like it: x_test_NAME",
        )
    return inputs_of(graph, dataset.x_test)


def _main_name(workload: Workload, outputs: Sequence[Ends], main: int) -> str:
    """What the judged output is called; nothing where there is one, or where all are judged together."""
    if len(outputs) < 2 or (workload.metric is not None and workload.metric.all_outputs):
        return ""
    return workload.output_name or output_name(outputs, main)


def _labels(metric: Metric | None, labels: np.ndarray | None, dataset: Dataset, order: np.ndarray) -> np.ndarray | None:
    """The labels of the evaluated samples, with what the samples themselves tell of the right answer."""
    if labels is None:
        return None
    if metric is not None and metric.reads_inputs:
        samples = dataset.x_test
        assert not isinstance(samples, InputRows), "such a metric judges models of one input only"
        return metric.with_inputs(labels[order], samples[order])
    return labels[order]


def _further(
    workload: Workload, dataset: Dataset, order: np.ndarray, outputs: Sequence[Ends]
) -> tuple[JudgedOutput, ...]:
    """The outputs beside the main one that have a metric and labels."""
    return tuple(
        JudgedOutput(
            output=workload.place_of(one.output, outputs),
            name=one.name,
            metric=one.metric,
            labels=_labels(one.metric, dataset.y_test_of[one.name], dataset, order),
        )
        for one in workload.further
        if one.metric is not None and one.name in dataset.y_test_of
    )


def evaluation_order(workload: Workload, dataset: Dataset, count: int | None) -> tuple[np.ndarray, np.ndarray | None]:
    """The first `count` of the test samples in the order in which they are run, int64 [count], and the rows of it at which
    sequences begin, where there are any.

    Raises:
        UserInputError: the workload carries its state within sequences, and the dataset does not say where they begin.
    """
    if workload.state == "sample":
        return stratified_order(workload.strata(dataset.y_test), len(dataset.x_test))[:count], None
    if dataset.sequences is None:
        raise UserInputError(
            f"the workload '{workload.name}' carries its state within a sequence (`state: sequence`), and the dataset "
            f"'{dataset.name}' does not say which samples make one",
            hint="give each sample the number of its sequence: `Dataset.sequences`, or the array `sequence` of an .npz",
        )
    order = sequence_order(dataset.sequences)[:count]
    return order, sequence_beginnings(dataset.sequences[order])


def with_graph_facts(model: PreparedModel, names: Mapping[int, str] | None = None) -> PreparedModel:
    """Adds what reading the .tflite tells: node count, arithmetic, the size of an output's step, and what of the model is not run
    or not judged.

    Args:
        names: what its outputs are called, by their positions in the .tflite; those left out as it says.
    """
    graph = read_graph(model.artifact.file)
    where = f"{model.workload}/{model.recipe}"
    judged = [] if model.metric is None else [model.output, *(one.output for one in model.further)]
    everything = model.metric is not None and model.metric.all_outputs
    found = graph_findings(
        graph, judged=judged, left_out=model.left_out, everything=everything, where=where, names=names or {}
    )
    return replace(
        model,
        lsb=output_lsb(graph),
        arithmetic=tuple(sorted(set(features(graph).arithmetic))),
        node_count=len(graph.nodes),
        suppressed=ends_in_suppression(graph),
        findings=(*model.findings, *_findings(model.artifact.manifest.get("cut_out", [])), *found),
    )


def audit_findings(artifact: Artifact) -> tuple[Finding, ...]:
    """The findings that the audit stored in the artifact's manifest."""
    return _findings((artifact.manifest.get("audit") or {}).get("findings", []))


def _findings(stored: Sequence[dict[str, Any]]) -> tuple[Finding, ...]:
    """Findings as a manifest has them."""
    return tuple(
        Finding(
            code=f["code"],
            severity=f["severity"],
            where=f.get("where", ""),
            what=f.get("what", ""),
            fix=f.get("fix", ""),
        )
        for f in stored
    )
