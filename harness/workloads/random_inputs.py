"""Random inputs in the place of samples, for a finished model that came without any."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.core.tensor import TensorIo
from harness.workloads.base import Dataset
from harness.workloads.datasets import DataSource
from harness.workloads.digest import arrays_digest

_RANDOM_SAMPLES = 256


@dataclass(frozen=True, kw_only=True)
class RandomInputs:
    """Random inputs for a .tflite without data: uniform over an integer input's range, or over 0..1 for a float input."""

    io: TensorIo
    count: int = _RANDOM_SAMPLES

    def digest(self, source: DataSource) -> str:
        return arrays_digest({"x": self._inputs()})

    def load(self, source: DataSource) -> Dataset:
        note = (
            f"{self.count} random inputs, uniform over {self._range_text()}, seed 0; agreement with the reference only"
        )
        return Dataset(
            name="random",
            note=note,
            digest=self.digest(source),
            x_train=None,
            y_train=None,
            x_test=self._inputs(),
            y_test=None,
            origin="generated",
        )

    def _range_text(self) -> str:
        return "0..1" if self.io.dtype.startswith("float") else f"the range of {self.io.dtype}"

    def _inputs(self) -> np.ndarray:
        rng = np.random.default_rng(0)
        shape = (self.count, *(1 if axis == -1 else axis for axis in self.io.sample_shape))
        if self.io.dtype.startswith("float"):
            return rng.random(shape, dtype=np.float32)
        limits = np.iinfo(self.io.dtype)
        steps = rng.integers(limits.min, limits.max, size=shape, endpoint=True)
        return ((steps - self.io.zero_point) * np.float32(self.io.scale)).astype(np.float32)
