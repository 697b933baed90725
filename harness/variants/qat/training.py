"""Trainings: the float model, the same model trained on (the control), and quantization-aware training.

Runs in build workers only. Fine-tuning and QAT go through one function with one order of samples, so that the control
really gets the steps that QAT gets, and more training is never sold as quantization.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.core.errors import UnsupportedError, UserInputError
from harness.variants.qat.refused import training_refused
from harness.workloads.keras.env import has_keras2, import_this_keras
from harness.workloads.keras.messages import explain
from harness.workloads.keras.precision import as_input
from harness.workloads.rows import Arrays, InputRows

if TYPE_CHECKING:
    from harness.workloads.base import Dataset, Workload
    from harness.workloads.metrics.base import Metric

#: called with the share of the training that is done, 0..1
OnProgress = Callable[[float], None]


def seed_everything(seed: int) -> None:
    """Puts TensorFlow, Keras, numpy and `random` at a fixed start, and drops what earlier models left behind.

    Layer names are numbered from a counter of the process, and names land in the .tflite: without the reset the same
    build would give other bytes the second time.
    """
    _, keras = import_this_keras()
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)


def build_model(workload: Workload) -> Any:
    """The workload's tf_keras model, untrained, or as the user's own model file holds it.

    Raises:
        UserInputError: it is a finished .tflite.
    """
    if workload.build_model is None:
        raise UserInputError(
            f"the workload '{workload.name}' is a finished .tflite, which cannot be trained",
            hint="give the Keras model that it was made of",
        )
    return workload.build_model()


def train_float(workload: Workload, dataset: Dataset, seed: int, on_progress: OnProgress | None = None) -> Any:
    """The float model: built and trained by the workload's schedule (not at all in 0 epochs), or as the user's own model file
    holds it.

    Returns:
        A tf_keras model.

    Raises:
        UnsupportedError: there is nothing to train on.
    """
    seed_everything(seed)
    model = build_model(workload)
    schedule = workload.schedule
    samples = dataset.x_test if dataset.x_train is None else dataset.x_train
    if workload.model_path is not None or schedule.epochs_for(len(samples)) == 0:
        return model
    x, y = _training_data(workload, dataset, schedule.train_samples)
    _fit(
        workload,
        model,
        x,
        y,
        epochs=schedule.epochs_for(len(x)),
        batch_size=schedule.batch_size,
        learning_rate=schedule.learning_rate,
        seed=seed,
        on_progress=on_progress,
    )
    return model


def fine_tune(
    workload: Workload, dataset: Dataset, model: Any, seed: int, on_progress: OnProgress | None = None
) -> None:
    """Trains `model` on with the steps of fine-tuning: the same ones for the control and for every kind of QAT.

    Same samples (the first of the training set), order, batch size, optimizer, learning rate and epochs; the optimizer
    starts fresh.

    Raises:
        UnsupportedError: there is nothing to train on.
    """
    schedule = workload.schedule
    x, y = _training_data(workload, dataset, schedule.finetune_samples)
    _fit(
        workload,
        model,
        x,
        y,
        epochs=schedule.finetune_epochs,
        batch_size=schedule.finetune_batch_size,
        learning_rate=schedule.finetune_learning_rate,
        seed=seed,
        on_progress=on_progress,
    )


def _training_data(workload: Workload, dataset: Dataset, count: int | None) -> tuple[Arrays, dict[int, np.ndarray]]:
    """Samples, and targets of each trained output by its position.

    Raises:
        UnsupportedError: there are none.
    """
    x, targets = _main_targets(workload, dataset, count)
    further = {
        one.output: one.metric.targets(dataset.y_train_of[one.name][:count])
        for one in workload.further
        if one.metric is not None and not one.metric.reads_inputs and one.name in dataset.y_train_of
    }
    return x, {workload.output: targets, **further}


def _main_targets(workload: Workload, dataset: Dataset, count: int | None) -> tuple[Arrays, np.ndarray]:
    metric = workload.metric
    if dataset.x_train is not None and metric is not None and metric.reads_inputs:
        x = dataset.x_train[:count]
        assert not isinstance(x, InputRows), "such a metric judges models of one input only"
        # What a model is to give back needs no label: all that it is trained on is normal.
        labels = np.zeros(len(x), np.int64) if dataset.y_train is None else dataset.y_train[:count]
        return x, metric.targets(metric.with_inputs(labels, x))
    if dataset.x_train is None or dataset.y_train is None or metric is None:
        raise UnsupportedError(
            "training needs samples with labels, and the data has none",
            hint="give x_train and y_train in the .npz, or ask for ptq recipes only",
        )
    return dataset.x_train[:count], metric.targets(dataset.y_train[:count])


def _shaped(y: np.ndarray, shape: Any) -> np.ndarray:
    """Targets in the shape of an output, or in that without its classes; as they are where they are neither."""
    if not isinstance(shape, tuple) or any(size is None for size in shape[1:]):
        return y
    for sample in (shape[1:], shape[1:-1]):
        if len(sample) > 1 and y[0].size == np.prod(sample, dtype=np.int64):
            return y.reshape(len(y), *sample)
    return y


def _fit(
    workload: Workload,
    model: Any,
    x: Arrays,
    y: dict[int, np.ndarray],
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    on_progress: OnProgress | None,
) -> None:
    """Keras' fit with the order of samples drawn here: Keras would draw it from a generator that building the model
    has moved by an amount that differs between a float and a quantized model."""
    _, keras = import_this_keras()
    keras.utils.set_random_seed(seed)
    optimizer = keras.optimizers.get(workload.schedule.optimizer)
    optimizer.learning_rate = learning_rate
    # Keras 3 would compile by XLA where it can, which takes minutes on one core.
    settings = {} if has_keras2() else {"jit_compile": False}
    several = len(model.outputs) > 1
    losses = _losses(keras, workload, len(model.outputs), y)
    model.compile(optimizer=optimizer, loss=losses if several else losses[0], **settings)
    shapes = model.output_shape if several else [model.output_shape]
    targets = _all_targets({place: _shaped(rows, shapes[place]) for place, rows in y.items()}, shapes, len(x))
    order = np.random.default_rng(seed)
    for epoch in range(epochs):
        chosen = order.permutation(len(x))
        callbacks = [_progress_callback(keras, epoch, epochs, on_progress)] if on_progress else []
        try:
            model.fit(
                as_input(model, x[chosen]),
                [rows[chosen] for rows in targets] if several else targets[0][chosen],
                batch_size=batch_size,
                epochs=1,
                shuffle=False,
                verbose=0,
                callbacks=callbacks,
            )
        # Keras and TensorFlow throw what they like over a model that does not fit its loss or its samples.
        except Exception as error:
            raise training_refused(model, explain(error)) from error


def _losses(keras: Any, workload: Workload, outputs: int, trained: Collection[int]) -> list[Any]:
    """The loss of each output in the model's order; None for one that has no targets."""
    assert workload.metric is not None, "what has no metric is not trained"
    found: list[Any] = [None] * outputs
    found[workload.output] = _loss(keras, workload, workload.metric, workload.from_logits)
    for one in workload.further:
        if one.metric is not None and one.output in trained:
            found[one.output] = _loss(keras, workload, one.metric, workload.logits_of.get(one.name, False))
    return found


def _all_targets(known: dict[int, np.ndarray], shapes: Any, count: int) -> list[np.ndarray]:
    """Targets of every output; nothing is trained on those of an output without a loss, and Keras wants some all the same."""
    return [known.get(place, np.zeros((count, 1), np.float32)) for place in range(len(shapes))]


def _loss(keras: Any, workload: Workload, metric: Metric, from_logits: bool) -> Any:
    """The loss of a metric.

    Raises:
        UserInputError: Keras has none of that name.
    """
    loss = metric.loss
    kind = getattr(keras.losses, loss.name, None)
    if kind is None:
        raise UserInputError(
            f"the metric '{metric.name}' trains by '{loss.name}', which is no class of keras.losses",
            where=workload.name,
        )
    settings: dict[str, Any] = {} if loss.ignore_class is None else {"ignore_class": loss.ignore_class}
    if loss.takes_logits:
        settings["from_logits"] = from_logits
    return kind(**settings)


def _progress_callback(keras: Any, epoch: int, epochs: int, on_progress: OnProgress) -> Any:
    class Report(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            steps = max(1, self.params.get("steps") or 1)
            on_progress((epoch + (batch + 1) / steps) / epochs)

    return Report()


def weight_arrays(model: Any) -> dict[str, np.ndarray]:
    """Every variable of the model in its fixed order, under names that sort in that order."""
    return {f"w{i:04d}": value for i, value in enumerate(model.get_weights())}


def set_weight_arrays(model: Any, arrays: dict[str, np.ndarray]) -> None:
    """Puts stored variables back. Raises ValueError when they are not this model's."""
    with contextlib.suppress(AttributeError):
        model.optimizer = None
    model.set_weights([arrays[name] for name in sorted(arrays)])
