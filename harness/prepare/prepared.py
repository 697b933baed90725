"""Everything a cell needs that does not depend on the device: artifact, samples in input dtype, labels, references.

The run phase sees nothing but `PreparedModel`s, so that it works the same after a build on this machine and from a
bundle on a lab host without TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from harness.core.errors import UserInputError
from harness.core.files import atomic_file, sha256_file, sha256_json
from harness.core.finding import Finding
from harness.core.paths import cache_dir
from harness.core.tensor import TensorIo
from harness.variants.artifact import Artifact
from harness.workloads.base import Dataset, Tolerance, Workload, stratified_order
from harness.workloads.metrics.base import Metric
from harness.workloads.sequences import sequence_beginnings, sequence_order

#: how many stratified samples decide between ok and wrong (the first rows of every samples file)
REFERENCE_SAMPLES = 256
#: the recipe whose model is "the float model" of a workload
FLOAT_RECIPE = "ptq-float32"

Say = Callable[[str, int, int], None]
"""Progress: called with (what, done, total)."""


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """Samples of one model input as they travel to boards: .npy, [N, ...] without the batch axis, in the input's dtype."""

    path: Path
    sha256: str
    count: int


@dataclass(frozen=True, kw_only=True, eq=False)
class ReferenceOutputs:
    """What the pinned reference answers on the first samples.

    Attributes:
        identity: such as `tflite-runtime 2.14.0 BUILTIN_REF`.
        outputs: one array per model output, [n, ...], n <= REFERENCE_SAMPLES.
    """

    identity: str
    outputs: tuple[np.ndarray, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedModel:
    """One workload x recipe x seed, ready to run on any device.

    Attributes:
        artifact: the built model, or its refusal (then there are no inputs).
        inputs: one samples file per model input, in `sample_ids` order.
        sample_ids: int64 [N], positions in the dataset's test set; every prefix is a stratified sample.
        beginnings: int64, rows at which a sequence begins within which the model's state is carried; None: samples stand alone.
        metric: what outputs are judged by; None: there is no score.
        labels: [N, ...] in the same order, as the metric takes them, or None.
        float_answers: [N, ...], what the LiteRT float32 model answers, as the metric sees it; None without labels or float model.
        float_identity: what gave `float_answers`.
        model_sha256: the model that the recipe started from; see the record's field.
        lsb: real size of a quantization step per output; all None when the model does not compute in integers.
        rounding_steps: LSB per output that one rounding step inside the model may become; at least 1.
        node_count: nodes of the model's graph.
    """

    workload: str
    metric: Metric | None
    tolerance: Tolerance
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
    labels: np.ndarray | None = None
    reference: ReferenceOutputs | None = None
    float_answers: np.ndarray | None = None
    float_identity: str | None = None
    lsb: tuple[float | None, ...] = ()
    rounding_steps: tuple[float, ...] = ()
    node_count: int | None = None
    max_accuracy_drop: float = 0.03
    findings: tuple[Finding, ...] = field(default=())


def samples_file(dataset: Dataset, order: np.ndarray, io: TensorIo) -> InputFile:
    """The test samples in `order` as a .npy in the input's dtype, made once per dataset and input quantization."""
    from harness.workloads.prepare import quantize_samples

    key = sha256_json(
        [dataset.digest, sha256_json(order.tolist()), io.dtype, list(io.shape), float(io.scale).hex(), io.zero_point]
    )
    path = cache_dir() / "samples" / f"{key}.npy"
    digest_path = path.with_suffix(".sha256")
    if not (path.is_file() and digest_path.is_file()):
        converted = quantize_samples(dataset.x_test[order], io)
        write_samples(path, converted)
    return InputFile(path=path, sha256=digest_path.read_text().strip(), count=len(order))


def write_samples(path: Path, samples: np.ndarray) -> None:
    """Writes samples and, last, the hash beside them, so that a killed writer leaves nothing that looks whole."""
    with atomic_file(path) as file:
        np.save(file, np.ascontiguousarray(samples), allow_pickle=False)
    with atomic_file(path.with_suffix(".sha256"), "w") as file:
        file.write(sha256_file(path) + "\n")


def random_inputs(io: Sequence[TensorIo], count: int, seed: int) -> tuple[InputFile, ...]:
    """Random samples in each input's own type, for a model that came without data.

    Floats are standard normal; integers are uniform over the whole range of their type (over 0..1 for bool), so that
    saturation is exercised.

    Raises:
        UserInputError: for an input type that random numbers make no sense for.
    """
    files = []
    for position, tensor in enumerate(io):
        rng = np.random.default_rng([seed, position])
        shape = (count, *[max(1, d) for d in tensor.shape[1:]])
        if tensor.dtype.startswith("float"):
            values = rng.standard_normal(shape).astype(tensor.dtype)
        elif tensor.dtype == "bool":
            values = rng.integers(0, 2, shape).astype(bool)
        elif tensor.dtype in ("int8", "uint8", "int16"):
            limits = np.iinfo(tensor.dtype)
            values = rng.integers(limits.min, limits.max + 1, shape).astype(tensor.dtype)
        else:
            raise UserInputError(
                f"input '{tensor.name}' has type {tensor.dtype}, which random values say nothing about",
                hint="give samples with --data samples.npz",
            )
        key = sha256_json(["random", seed, position, tensor.dtype, list(shape)])
        path = cache_dir() / "samples" / f"{key}.npy"
        if not (path.is_file() and path.with_suffix(".sha256").is_file()):
            write_samples(path, values)
        files.append(InputFile(path=path, sha256=path.with_suffix(".sha256").read_text().strip(), count=count))
    return tuple(files)


def prepare_model(workload: Workload, recipe_name: str, artifact: Artifact, dataset: Dataset) -> PreparedModel:
    """One artifact with its samples and what its graph tells; references and the float baseline come after.

    Raises:
        UserInputError: when the data does not fit the model.
    """
    base = PreparedModel(
        workload=workload.name,
        metric=workload.metric,
        tolerance=workload.tolerance,
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
    if len(artifact.inputs) != 1:
        raise UserInputError(
            f"the model has {len(artifact.inputs)} inputs and the data has one",
            where=str(artifact.path),
            hint="measure it without --data: random inputs are made for every input",
        )
    order, beginnings = evaluation_order(workload, dataset)
    return replace(
        with_graph_facts(base),
        inputs=(samples_file(dataset, order, artifact.inputs[0]),),
        sample_ids=order,
        beginnings=beginnings,
        labels=None if dataset.y_test is None else dataset.y_test[order],
    )


def evaluation_order(workload: Workload, dataset: Dataset) -> tuple[np.ndarray, np.ndarray | None]:
    """The order in which test samples are run, int64 [N], and the rows of it at which sequences begin, where there are any.

    Raises:
        UserInputError: the workload carries its state within sequences, and the dataset does not say where they begin.
    """
    if workload.state == "sample":
        return stratified_order(workload.strata(dataset.y_test), len(dataset.x_test)), None
    if dataset.sequences is None:
        raise UserInputError(
            f"the workload '{workload.name}' carries its state within a sequence (`state: sequence`), and the dataset "
            f"'{dataset.name}' does not say which samples make one",
            hint="give each sample the number of its sequence: `Dataset.sequences`, or the array `sequence` of an .npz",
        )
    order = sequence_order(dataset.sequences)
    return order, sequence_beginnings(dataset.sequences[order])


def with_graph_facts(model: PreparedModel) -> PreparedModel:
    """Adds what reading the .tflite tells: node count, and the size of an output step when it computes in integers."""
    from harness.tflite.features import is_integer_model, output_lsb
    from harness.tflite.graph import read_graph
    from harness.tflite.output_step import rounding_steps

    graph = read_graph(model.artifact.file)
    lsb = tuple(output_lsb(graph)) if is_integer_model(graph) else (None,) * len(model.artifact.outputs)
    return replace(model, lsb=lsb, rounding_steps=rounding_steps(graph), node_count=len(graph.nodes))


def audit_findings(artifact: Artifact) -> tuple[Finding, ...]:
    """The findings that the audit stored in the artifact's manifest."""
    stored = (artifact.manifest.get("audit") or {}).get("findings", [])
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
