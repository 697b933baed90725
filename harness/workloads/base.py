"""What a workload and a dataset are. No TensorFlow here: models are built inside build workers only."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from harness.core.errors import UserInputError
from harness.workloads.metrics.base import Ends, Metric
from harness.workloads.outputs import OutputMetric, built_position
from harness.workloads.rows import Samples

if TYPE_CHECKING:
    from harness.workloads.datasets import DataSource

#: short for the usual metric: multiclass (softmax or logits) for top-1 accuracy, binary (one sigmoid output) for accuracy with
#: threshold .5, none for no metric: agreement with the reference only
Task = Literal["multiclass", "binary", "none"]
#: where a model that remembers earlier inferences starts anew: before every sample, or before every sequence of samples
State = Literal["sample", "sequence"]
METRIC_OF_TASK: dict[Task, str] = {"multiclass": "top1", "binary": "binary"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Samples as the float model wants them.

    Attributes:
        name: such as `mnist` or `digits-28x28`.
        note: what it is and where it came from, in words; shown under every table.
        digest: SHA-256 over names, shapes, dtypes and bytes of all arrays; part of the cell's identity.
        x_train, x_test: float32, [N, ...], already normalised; large ones stay in their file (`harness.workloads.rows`). Of a
            model with several inputs, such rows of each by its name, and whole numbers where it takes these.
        y_train, y_test: labels as the workload's metric takes them, [N, ...]: class numbers, int64 [N], for classification;
            None where there are no labels.
        origin: the file or package it was read from, for a reader.
        y_train_of, y_test_of: labels of a model's further outputs, by the name that the workload's `further` gives them.
        sequences: int64 [N], the number of each test sample's sequence, for workloads with `state` "sequence"; samples of one
            sequence stand together, in the order of time.
        x_calibration, y_calibration: samples that calibrate activations and are neither trained on nor tested; None where the
            training samples calibrate.
    """

    name: str
    note: str
    digest: str
    x_train: Samples | None
    y_train: np.ndarray | None
    x_test: Samples
    y_test: np.ndarray | None
    origin: str = ""
    y_train_of: Mapping[str, np.ndarray] = field(default_factory=dict)
    y_test_of: Mapping[str, np.ndarray] = field(default_factory=dict)
    sequences: np.ndarray | None = None
    x_calibration: Samples | None = None
    y_calibration: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How a workload trains: the published steps. `None` samples means all.

    `epochs` is what was published, for the published dataset. `min_steps` raises it on a small one (the bundled digits
    are a fiftieth of MNIST: one epoch would be 41 steps and leave the network untrained); `epochs_for` says the result.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    optimizer: str = "adam"
    train_samples: int | None = None
    finetune_epochs: int = 1
    finetune_batch_size: int = 500
    finetune_samples: int | None = 1000
    finetune_learning_rate: float = 0.001
    #: how many training samples calibrate activations
    representative_samples: int = 200
    #: the float training takes at least this many optimizer steps
    min_steps: int = 0

    def epochs_for(self, available_samples: int) -> int:
        """How many epochs the float training takes on a dataset of this many training samples."""
        samples = min(available_samples, self.train_samples or available_samples)
        steps_per_epoch = max(1, math.ceil(samples / self.batch_size))
        return max(self.epochs, math.ceil(self.min_steps / steps_per_epoch))


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A trained float model (or a finished .tflite), its data and its metric.

    Attributes:
        task: short for a metric; give one of the two, the other follows. None where no task is short for the metric.
        metric: what the model is judged and trained by (harness/workloads/metrics/); None: there is no score, and agreement with
            the reference is measured.
        output, output_name: the position and the name of the output that `metric` judges, of several; positions are those of the
            model that is built, or of the finished .tflite.
        further: what other outputs are judged by; their labels are `Dataset.y_test_of` (and `y_train_of`).
        output_names: what the model's outputs are called, in its order, where a converter calls them otherwise; empty: as the
            .tflite says.
        left_out: positions of outputs of which nothing is to be said, on purpose.
        metric_text: what the user asked for by `--metric`, so that a build worker finds the same.
        load_dataset: reads the data from a source (option, cache, bundled digits); never downloads.
        dataset_digest: the digest of what `load_dataset` would return, cheap (cached by file identity).
        build_model: builds the untrained Keras model; imports TensorFlow, so only build workers call it. None for a
            finished .tflite.
        architecture_version: goes into the training key; raise it when `build_model` changes.
        model_path: the user's own model file (.keras, .h5, SavedModel folder, .tflite), for workloads made of one.
        data_path: the user's own .npz, for workloads made of one.
        keras_major: the Keras that wrote `model_path`, which also reads it; models that `build_model` builds are Keras 2.
        from_logits: the model's outputs are logits; False when it ends in softmax or sigmoid. Losses need to know.
        logits_of: the same of the outputs in `further`, by their names.
        state: `sample`: no sample sees what those before it left in the model. `sequence`: a model that remembers carries it on
            within one sequence of the dataset (`Dataset.sequences`), and starts anew with the next.
        by_name_only: commands that are given no workload leave it out, because it takes long and answers a question of its own.
    """

    name: str
    title: str
    task: Task | None = None
    load_dataset: Callable[[DataSource], Dataset]
    dataset_digest: Callable[[DataSource], str]
    build_model: Callable[[], object] | None
    schedule: Schedule
    architecture_version: int = 1
    model_path: str | None = None
    data_path: str | None = None
    keras_major: Literal[2, 3] = 2
    from_logits: bool = False
    logits_of: Mapping[str, bool] = field(default_factory=dict, compare=False)
    #: the largest accuracy loss against float that the workload's suite accepts
    max_accuracy_drop: float = 0.03
    metric: Metric | None = None
    output: int = 0
    output_name: str = ""
    output_names: tuple[str, ...] = ()
    further: tuple[OutputMetric, ...] = ()
    left_out: tuple[int, ...] = ()
    metric_text: str | None = None
    state: State = "sample"
    by_name_only: bool = False

    def __post_init__(self) -> None:
        metric, task = self.metric, self.task
        if task is not None and metric is None and task in METRIC_OF_TASK:
            from harness.workloads.metrics.registry import get_metric

            metric = get_metric(METRIC_OF_TASK[task])
        if task is None:
            names: dict[str, Task] = {name: task for task, name in METRIC_OF_TASK.items()}
            task = "none" if metric is None else names.get(metric.name)
        if task is not None and METRIC_OF_TASK.get(task) != (metric and metric.name):
            raise ValueError(
                f"workload '{self.name}': task '{task}' and metric '{metric and metric.name}' contradict each other; "
                "give one of them, and None for the other"
            )
        object.__setattr__(self, "metric", metric)
        object.__setattr__(self, "task", task)

    def strata(self, labels: np.ndarray | None) -> np.ndarray | None:
        """What a choice of samples holds in proportion, int [N]; None where there is nothing of the kind."""
        return labels if labels is None or self.metric is None else self.metric.strata(labels)

    def place_of(self, output: int, outputs: Sequence[Ends]) -> int:
        """Where a .tflite of this workload has the output of a position."""
        return output if self.build_model is None else built_position(outputs, output)

    @property
    def model_file(self) -> str:
        """`model_path` of a workload that has no model to build.

        Raises:
            UserInputError: it has none.
        """
        if self.model_path is None:
            raise UserInputError(
                f"the workload '{self.name}' has neither a model to build nor the file of one",
                hint="give it `build_model` or `model_path`",
            )
        return self.model_path


def __getattr__(name: str) -> object:
    """Tells a workload of one's own that still imports `Tolerance` what is in its place."""
    if name == "Tolerance":
        from harness.workloads.tolerance import tolerance_gone

        raise tolerance_gone("")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def stratified_order(labels: np.ndarray | None, count: int, seed: int = 0) -> np.ndarray:
    """An order of samples in which every prefix is a stratified sample.

    Any N first entries hold each class in its overall proportion (to within one sample), so that "the first N" is the
    one way to shrink an evaluation, and smaller evaluations are subsets of larger ones.

    Args:
        labels: int, [count], or None when there are none (then a seeded shuffle).
        count: number of samples.
        seed: fixed by the harness; another seed gives another order.

    Returns:
        int64, [count]: a permutation of 0..count-1.
    """
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(count)
    if labels is None:
        return shuffled
    # Each class spreads its samples evenly over 0..1 at (rank + a jitter per class) / class size; sorting by that place
    # interleaves the classes in proportion.
    place = np.empty(count, dtype=np.float64)
    for value in np.unique(labels):
        members = shuffled[labels[shuffled] == value]
        place[members] = (np.arange(len(members)) + rng.random()) / len(members)
    return np.argsort(place, kind="stable").astype(np.int64)
