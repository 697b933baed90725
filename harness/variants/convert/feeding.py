"""Gives an interpreter its samples, one after the other, of one input or of several."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.tflite.graph import read_graph
from harness.workloads.input_names import inputs_of
from harness.workloads.rows import Arrays

Sample = np.ndarray | dict[str, np.ndarray]
"""One of `Arrays`, without the batch: the one input's, or each input's by its name."""


class Feed:
    """The inputs of an interpreter."""

    def __init__(self, interpreter: Any, model: bytes, samples: Arrays) -> None:
        """
        Args:
            interpreter: of the model, allocated.
            samples: what will be given, by which inputs are known by name.

        Raises:
            UserInputError: the samples are of other inputs than the model's.
        """
        self._interpreter = interpreter
        self._details: list[dict[str, Any]] = interpreter.get_input_details()
        self._names = inputs_of(read_graph(model), samples)

    @property
    def indices(self) -> tuple[int, ...]:
        """The tensors that are the inputs."""
        return tuple(int(detail["index"]) for detail in self._details)

    def give(self, sample: Sample) -> None:
        """Sets the inputs to a sample: real values, which a quantized input gets as its integers."""
        rows = sample if isinstance(sample, dict) else {"": sample}
        for name, detail in zip(self._names, self._details, strict=True):
            self._interpreter.set_tensor(detail["index"], _as_input(rows[name], detail))


def _as_input(row: np.ndarray, detail: dict[str, Any]) -> np.ndarray:
    shaped, dtype = row[None].reshape(detail["shape"]), np.dtype(detail["dtype"])
    scale, zero_point = detail["quantization"]
    if not scale:
        return shaped.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    return np.clip(np.round(shaped / scale) + zero_point, limits.min, limits.max).astype(dtype)
