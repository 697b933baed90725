"""Random inputs in the place of samples, for a finished model that came without any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness.core.tensor import TensorIo
from harness.workloads.base import Dataset
from harness.workloads.datasets import DataSource
from harness.workloads.digest import arrays_digest
from harness.workloads.input_keys import array_of
from harness.workloads.rows import InputRows

_RANDOM_SAMPLES = 256


@dataclass(frozen=True, kw_only=True)
class RandomInputs:
    """Random inputs for a .tflite without data: uniform over an integer input's range, or over 0..1 for a float input.

    Attributes:
        io: by input; the one input's name is empty.
    """

    io: Mapping[str, TensorIo]
    count: int = _RANDOM_SAMPLES

    def digest(self, source: DataSource) -> str:
        return arrays_digest({array_of("x", name): self._rows(name) for name in self.io})

    def load(self, source: DataSource) -> Dataset:
        note = (
            f"{self.count} random inputs, uniform over {self._range_texts()}, seed 0; agreement with the reference only"
        )
        return Dataset(
            name="random",
            note=note,
            digest=self.digest(source),
            x_train=None,
            y_train=None,
            x_test=self._rows("") if "" in self.io else InputRows({name: self._rows(name) for name in self.io}),
            y_test=None,
            origin="generated",
        )

    def _range_texts(self) -> str:
        texts = {
            name: "0..1" if io.dtype.startswith("float") else f"the range of {io.dtype}" for name, io in self.io.items()
        }
        return ", ".join(f"{text} ({name})" if name else text for name, text in texts.items())

    def _rows(self, name: str) -> np.ndarray:
        io = self.io[name]
        rng = np.random.default_rng([0, list(self.io).index(name)] if name else 0)
        shape = (self.count, *(1 if axis == -1 else axis for axis in io.sample_shape))
        if io.dtype.startswith("float"):
            return rng.random(shape, dtype=np.float32)
        if io.dtype == "bool":
            return rng.integers(0, 2, shape).astype(bool)
        limits = np.iinfo(io.dtype)
        steps = rng.integers(limits.min, limits.max, size=shape, endpoint=True)
        return ((steps - io.zero_point) * np.float32(io.scale)).astype(np.float32)
