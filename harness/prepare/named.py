"""A finished model with several inputs, and the user's samples of each, called like it."""

from __future__ import annotations

from pathlib import Path

from harness.prepare.prepared import JudgedOutput, PreparedModel
from harness.prepare.samples import value_inputs
from harness.tflite.graph import Graph
from harness.variants.artifact import AS_IS, Artifact
from harness.variants.build.keys import model_digest
from harness.workloads.base import stratified_order
from harness.workloads.checks.outputs import model_outputs
from harness.workloads.named_inputs import read_named_samples
from harness.workloads.outputs import output_name
from harness.workloads.user import workload_name


def named_model(path: Path, graph: Graph, artifact: Artifact, data: Path, metric: str | None) -> PreparedModel:
    """The model with its samples, in their stratified order; no references yet.

    Args:
        path: of the .tflite, as the user names it.
        data: the .npz, absolute.
        metric: what `--metric` says; None: what outputs and labels ask for.

    Raises:
        UserInputError: an array is missing or does not fit, counts differ, or a metric without labels.
    """
    samples = read_named_samples(data, graph, artifact.inputs, metric)
    judged = samples.judged
    labels = samples.labels.get(judged.output)
    strata = judged.metric.strata(labels) if judged.metric and labels is not None else None
    order = stratified_order(strata, samples.count)
    outputs = model_outputs(graph)
    return PreparedModel(
        workload=workload_name(path),
        metric=judged.metric,
        output=judged.output,
        output_name=output_name(outputs, judged.output) if len(outputs) > 1 else "",
        further=tuple(
            JudgedOutput(output=one.output, name=one.name, metric=one.metric, labels=samples.labels[one.output][order])
            for one in judged.further
        ),
        left_out=judged.left_out,
        recipe=AS_IS,
        seed=0,
        artifact=artifact,
        model_sha256=model_digest(path),
        dataset_name=data.stem,
        dataset_note=f"{data.name}, {samples.count:,} samples of {len(samples.values)} inputs"
        + ("" if judged.metric else "; no labels: agreement with the reference only"),
        dataset_digest=samples.digest,
        sample_ids=order,
        inputs=value_inputs(samples.values, order, samples.digest),
        labels=None if labels is None else labels[order],
    )
