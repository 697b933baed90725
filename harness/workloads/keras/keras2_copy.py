"""The Keras 2 copy of a Keras 3 model: made of its description and weights, and believed only when it computes the same.

The two Kerases do not live in one process. The one with Keras 3 leaves the weights, the outputs on `PROBE_SAMPLES` samples
and a trace of every layer in a folder (`leave`); the one with Keras 2 makes the copy from it and compares (`make_copy`).
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.errors import UnsupportedError, UserInputError
from harness.workloads.keras.env import import_tf
from harness.workloads.keras.file import read_keras_file
from harness.workloads.keras.load import rebuild_keras2
from harness.workloads.keras.messages import explain
from harness.workloads.keras.precision import as_input, to_float32
from harness.workloads.keras.stateless import to_stateless
from harness.workloads.keras.trace import trace
from harness.workloads.keras.translate import CopyRefusedError, refused, to_keras2
from harness.workloads.rows import Arrays, find_samples, read_samples, write_samples

#: samples on which the outputs of both are compared
PROBE_SAMPLES = 64
#: how far outputs may lie apart, as a share of their range
TOLERANCE = 1e-4
#: samples and values per layer in the trace, which only tells where a copy went another way
_TRACED_SAMPLES = 4
_WEIGHTS, _OWNERS, _ANSWERS, _TRACE = "weights.npz", "owners.json", "answers.npy", "trace.npz"
_PROBED = "probe"


def leave(model: Any, samples: Arrays, folder: Path) -> None:
    """Writes what a copy is made from and compared with.

    Args:
        model: the Keras 3 model.
        samples: as the model takes them; the first `PROBE_SAMPLES` are used.
        folder: where the files go.
    """
    owned = list(weights_by_layer(model))
    arrays = [array for _, values in owned for array in values]
    named: dict[str, Any] = {f"w{i:04d}": array for i, array in enumerate(arrays)}
    np.savez(folder / _WEIGHTS, **named)
    (folder / _OWNERS).write_text(json.dumps([[name, len(values)] for name, values in owned]))
    probe = samples[:PROBE_SAMPLES]
    write_samples(probe, folder, _PROBED)
    np.save(folder / _ANSWERS, outputs_of(model, probe), allow_pickle=False)
    traced: dict[str, Any] = trace(model, as_input(model, probe[:_TRACED_SAMPLES]))
    np.savez(folder / _TRACE, **traced)


def make_copy(path: Path, folder: Path) -> Any:
    """The tf_keras copy of a Keras 3 file, which gives the same outputs.

    Args:
        path: the .keras or .h5 file of Keras 3.
        folder: what `leave` has filled.

    Raises:
        CopyRefusedError: there is no copy, or it computes something else; names the layer.
    """
    file = read_keras_file(path)
    if file.signature is not None:
        raise UnsupportedError(
            f"the signature '{file.signature.name}' of a SavedModel is a graph without layers: nothing of it can be trained or "
            "annotated",
            hint="save the Keras model itself: model.save('model.keras')",
        )
    config = to_keras2(file.config, where=str(path), settings=_settings)
    to_float32(config, where=str(path))
    to_stateless(config)
    try:
        model = rebuild_keras2(config, where=str(path))
    except UserInputError as error:
        raise _refused_rebuilding(config, error) from error
    _set_weights(model, folder)
    _compare(model, folder)
    return model


def _refused_rebuilding(config: dict[str, Any], error: UserInputError) -> CopyRefusedError:
    """Names the first layer that Keras 2 cannot make by itself."""
    keras = import_tf().keras
    for layer in config["config"]["layers"]:
        try:
            keras.layers.deserialize({"class_name": layer["class_name"], "config": layer["config"]})
        # A layer's constructor throws what it likes.
        except Exception as cause:
            return refused(layer, f"cannot be made by Keras 2 ({explain(cause)})")
    return refused(None, f"cannot be made by Keras 2 ({error.what})")


def weights_by_layer(model: Any) -> Iterator[tuple[str, list[np.ndarray]]]:
    """The weights of every layer that has some of its own, by its path of names, in an order that both Kerases keep."""
    for name, layer in _leaves(model):
        yield name, [np.asarray(weight) for weight in _own_weights(layer)]


def outputs_of(model: Any, samples: Arrays) -> np.ndarray:
    """The model's answers, float32 [N, ...]; of several outputs all values of each sample in a row, [N, values]. One call: a
    model that keeps state would carry it from batch to batch.
    """
    found = model(as_input(model, samples), training=False)
    if isinstance(found, dict):
        found = list(found.values())
    if not isinstance(found, list | tuple):
        return np.asarray(found, dtype=np.float32)
    return np.concatenate([np.asarray(one, dtype=np.float32).reshape(len(samples), -1) for one in found], axis=1)


def _leaves(model: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for layer in model.layers:
        name = f"{prefix}{layer.name}"
        if hasattr(layer, "layers") and hasattr(layer, "get_layer"):
            yield from _leaves(layer, f"{name}/")
            continue
        for part in layer._flatten_layers():
            if _own_weights(part):
                yield name, part


def _own_weights(layer: Any) -> list[Any]:
    """The variables that a layer holds itself, without those of layers inside it."""
    if hasattr(layer, "_non_trainable_variables"):  # Keras 3
        seeds = {id(variable) for variable in layer.variables} - {id(variable) for variable in layer.weights}
        own = [*layer._trainable_variables, *layer._non_trainable_variables]
        return [variable for variable in own if id(variable) not in seeds]
    return [*layer._trainable_weights, *layer._non_trainable_weights]


def _set_weights(model: Any, folder: Path) -> None:
    """Puts the weights that Keras 3 left into the copy, layer by layer."""
    with np.load(folder / _WEIGHTS, allow_pickle=False) as archive:
        arrays = [archive[name] for name in sorted(archive.files)]
    owners = json.loads((folder / _OWNERS).read_text())
    position, given = 0, []
    for name, count in owners:
        given.append((name, arrays[position : position + count]))
        position += count
    wanted = list(_leaves(model))
    places: dict[str, list[Any]] = {}
    for name, layer in wanted:
        places.setdefault(name, []).append(layer)
    for name, values in given:
        variables = _own_weights(places[name].pop(0)) if places.get(name) else []
        if [tuple(v.shape) for v in variables] != [value.shape for value in values]:
            raise refused(name, "keeps its weights in another form in Keras 2")
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def _compare(model: Any, folder: Path) -> None:
    """Refuses a copy whose outputs are not those of Keras 3, naming the first layer that goes another way."""
    place = find_samples(folder, _PROBED)
    assert place is not None, "what `leave` has kept"
    samples, expected = read_samples(place), np.load(folder / _ANSWERS, allow_pickle=False)
    try:
        apart = difference(outputs_of(model, samples), expected)
    # Keras 2 and TensorFlow throw what they like over values that a layer does not take.
    except Exception as error:
        raise refused(None, f"cannot be run by Keras 2 ({explain(error)})") from error
    if apart <= TOLERANCE:
        return
    with np.load(folder / _TRACE, allow_pickle=False) as archive:
        before = {name: archive[name] for name in archive.files}
    after = trace(model, as_input(model, samples[:_TRACED_SAMPLES]))
    which = next((n for n, v in before.items() if n in after and difference(after[n], v) > TOLERANCE), "")
    why = f"computes something else in Keras 2 than in Keras 3 (outputs differ by {apart:.2g} of their range)"
    raise refused(which.split("#")[0] or None, why)


def difference(values: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference as a share of the range of what is expected; infinite where shapes or NaNs differ."""
    if values.shape != expected.shape or not np.array_equal(np.isnan(values), np.isnan(expected)):
        return float("inf")
    finite = np.isfinite(expected)
    if not np.array_equal(values[~finite & ~np.isnan(expected)], expected[~finite & ~np.isnan(expected)]):
        return float("inf")
    if not finite.any():
        return 0.0
    # Outputs that hardly vary have no range of their own; float32 is not exact below this.
    scale = max(float(np.ptp(expected[finite])), 1e-3 * float(np.abs(expected[finite]).max()), 1e-6)
    return float(np.abs(values[finite].astype(np.float64) - expected[finite]).max()) / scale


def _settings(name: str) -> frozenset[str] | None:
    """The settings that a class of tf_keras takes, its bases' included; None for what is no class of it."""
    keras = import_tf().keras
    for module in (keras.layers, keras.initializers, keras.regularizers, keras.constraints):
        cls = getattr(module, name, None)
        if isinstance(cls, type):
            known = {"name", "dtype", "trainable", "batch_input_shape", "activity_regularizer"}
            for base in cls.__mro__:
                if base is not object and "__init__" in vars(base):
                    known |= set(inspect.signature(vars(base)["__init__"]).parameters)
            return frozenset(known)
    return None
