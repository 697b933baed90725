"""How far each sample drives a model's activations: the samples that drive them least are the worst to calibrate with."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.workloads.keras.env import has_keras2, import_this_keras
from harness.workloads.keras.precision import input_names, typed
from harness.workloads.rows import InputRows, Samples, sample_blocks


def activation_reach(model: Any, samples: Samples) -> np.ndarray:
    """The mean over all layers of a sample's largest absolute activation, as a share of the largest of any sample.

    Args:
        model: a built Keras model.
        samples: as it takes them.

    Returns:
        float64 [N], in 0..1.
    """
    _, keras = import_this_keras()
    if has_keras2():
        from harness.variants.qat.flat import flattened

        model = flattened(model)
    outputs = [tensor for layer in model.layers if (tensor := _output(layer)) is not None]
    probe = keras.Model(model.inputs, outputs or model.outputs)
    found = []
    for block in sample_blocks(samples, 256):
        # The probe is made of a list of inputs, whatever the model was made of.
        made = typed(model, block)
        called = [made.of[name] for name in input_names(model)] if isinstance(made, InputRows) else made
        answers = probe(called, training=False)
        parts = answers if isinstance(answers, list | tuple) else [answers]
        found.append([np.abs(np.asarray(part)).reshape(len(block), -1).max(axis=1) for part in parts])
    widths = np.concatenate([np.array(part, np.float64) for part in found], axis=1)
    most = widths.max(axis=1, keepdims=True)
    return (widths / np.where(most > 0, most, 1.0)).mean(axis=0)


def _output(layer: Any) -> Any | None:
    """A layer's one tensor of numbers; None for one with several, or that is called more than once."""
    try:
        tensor = layer.output
    except AttributeError:
        return None
    if isinstance(tensor, list | tuple | dict) or "float" not in str(getattr(tensor, "dtype", "")):
        return None
    return tensor
