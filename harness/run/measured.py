"""The plan of `harness measure`: one finished model, with the user's data or with random inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.core.errors import UserInputError
from harness.core.files import sha256_file, sha256_json
from harness.prepare.prepared import JudgedOutput, PreparedModel, Say
from harness.prepare.samples import value_inputs
from harness.run.matrix import ChosenDevice, Plan, choose_devices, key_of, make_plan
from harness.run.options import RunOptions
from harness.run.plan import prepare_finished, prepare_without_data
from harness.tflite.graph import read_graph
from harness.variants.artifact import AS_IS, Artifact
from harness.variants.build.build import artifact_from_file
from harness.workloads.base import stratified_order
from harness.workloads.checks.inputs import refuse_open_inputs
from harness.workloads.checks.outputs import model_outputs
from harness.workloads.named_inputs import read_named_samples
from harness.workloads.outputs import output_name
from harness.workloads.registry import get_workload
from harness.workloads.user import workload_name

#: how many random inputs stand in for data; the reference is asked about all of them
RANDOM_SAMPLES = 256


def measure_plan(options: RunOptions, random_samples: int) -> Plan:
    """One model on the chosen devices.

    Args:
        options: `workloads` holds the model's path, `data` the samples' path or None.
        random_samples: how many random inputs to make when there is no data.

    Raises:
        UserInputError: when the model or the data cannot be read, or do not fit each other.
    """
    path = Path(options.workloads[0])
    if path.suffix != ".tflite":
        raise UserInputError(
            "`measure` takes a finished .tflite",
            where=str(path),
            hint="quantize a float model with `harness run --workload MODEL --data samples.npz`",
        )
    artifact = artifact_from_file(path)
    devices = choose_devices(options)
    several = len(artifact.inputs) > 1
    if options.data is not None:
        return _named_plan(path, artifact, options, devices) if several else make_plan(options, devices)
    if several and options.metric is not None:
        raise UserInputError(f"the metric '{options.metric}' needs samples with labels", hint="give an .npz by --data")
    if several:
        refuse_open_inputs(read_graph(path))
    count = options.samples or random_samples
    base = PreparedModel(
        workload=workload_name(path) if several else get_workload(str(path), metric=options.metric).name,
        metric=None,
        recipe=AS_IS,
        seed=0,
        artifact=artifact,
        dataset_name="random",
        dataset_note=f"{count} random inputs in the model's input types; agreement with the reference instead of accuracy",
        dataset_digest=sha256_json(["random", sha256_file(path), count]),
    )
    keys = tuple(key_of(base, c.device, backend) for c in devices for backend in c.backends)

    def prepare(say: Say) -> list[PreparedModel]:
        limit_s = options.deadline_s
        return [prepare_without_data(path, samples=count, seed=0, base=base, say=say, inference_s=limit_s)]

    return Plan(keys=keys, prepare=prepare)


def _named_plan(path: Path, artifact: Artifact, options: RunOptions, devices: Sequence[ChosenDevice]) -> Plan:
    """A model with several inputs, and the user's samples of each, called like it."""
    graph = read_graph(path)
    refuse_open_inputs(graph)
    data = Path(options.data or "").expanduser().absolute()
    samples = read_named_samples(data, graph, artifact.inputs, options.metric)
    judged = samples.judged
    labels = samples.labels.get(judged.output)
    strata = judged.metric.strata(labels) if judged.metric and labels is not None else None
    order = stratified_order(strata, samples.count)
    outputs = model_outputs(graph)
    base = PreparedModel(
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
        dataset_name=data.stem,
        dataset_note=f"{data.name}, {samples.count:,} samples of {len(samples.values)} inputs"
        + ("" if judged.metric else "; no labels: agreement with the reference only"),
        dataset_digest=samples.digest,
        sample_ids=order,
        labels=None if labels is None else labels[order],
    )

    def prepare(say: Say) -> list[PreparedModel]:
        inputs = value_inputs(samples.values, order, samples.digest)
        return [prepare_finished(replace(base, inputs=inputs), say, options.deadline_s)]

    return Plan(keys=tuple(key_of(base, c.device, b) for c in devices for b in c.backends), prepare=prepare)
