"""A model of the host beside the one that MLPerf Tiny's firmware holds: is it the same, and what do inputs and results look like?

Nothing is pushed: the firmware was built with its model. It tells a name alone, so the profile says which model of the host
goes by it, and the outputs are compared with the reference's as on every board.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.boards.mlperf_tiny.profile import MlperfTinyProfile
from harness.core.errors import UnsupportedError
from harness.core.tensor import TensorIo
from harness.variants.artifact import AS_IS

#: input bytes on the line and number of results of the published models
PUBLISHED = {"ic01": (32 * 32 * 3, 10), "kws01": (49 * 10, 12), "vww01": (96 * 96 * 3, 2), "ad01": (640 * 4, 1)}
#: models whose firmware takes pixels as uint8 and subtracts 128
_PIXELS = ("ic01", "vww01")
#: the one whose firmware takes float32, quantizes it, and answers with the mean squared difference between input and output
SCORED = "ad01"
#: the one that takes no inputs over the line
STREAMING = "sww01"
#: results have three decimals; the published kws firmware cuts the rest off, others round
RESULT_STEP = 0.001


@dataclass(frozen=True, kw_only=True)
class HeldModel:
    """The model that a cell is about, as the host has it.

    Attributes:
        sha256: of the .tflite.
        name: what the firmware must call it.
        input, output: its only ones, both int8.
    """

    sha256: str
    name: str
    input: TensorIo
    output: TensorIo

    @property
    def scored(self) -> bool:
        """The firmware answers with a score in place of the model's output."""
        return self.name == SCORED

    @property
    def results(self) -> int:
        """How many numbers it answers with."""
        return 1 if self.scored else _elements(self.output)

    @property
    def exact(self) -> bool:
        """Whether three decimals, cut off or rounded, tell each value of the output from the next."""
        return not self.scored and self.output.scale > 2 * RESULT_STEP

    def encode(self, sample: np.ndarray) -> bytes:
        """One sample, int8, as it travels."""
        flat = np.ascontiguousarray(sample).reshape(-1)
        if self.name in _PIXELS:
            return (flat.astype(np.int16) + 128).astype(np.uint8).tobytes()
        return self.real(flat).astype("<f4").tobytes() if self.scored else flat.astype(np.int8).tobytes()

    def decode(self, values: Sequence[float]) -> np.ndarray:
        """Results as the model's output without the batch axis; a score as float32 [1]."""
        if self.scored:
            return np.array(values, np.float32)
        steps = np.asarray(values, np.float64) / self.output.scale + self.output.zero_point
        return np.clip(np.rint(steps), -128, 127).astype(np.int8).reshape(self.output.shape[1:])

    def real(self, sample: np.ndarray) -> np.ndarray:
        """int8 inputs as the real numbers that they stand for, float32."""
        return (sample.astype(np.float32) - self.input.zero_point) * np.float32(self.input.scale)

    def scores(self, samples: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """What the firmware answers with where it is `scored`, float32 [N, 1].

        Args:
            samples: int8 inputs, [N, ...].
            outputs: [N, ...], as stored (int8), or real values already (floats).
        """
        inputs = self.real(samples.reshape(len(samples), -1)).astype(np.float64)
        flat = outputs.reshape(len(outputs), -1).astype(np.float64)
        is_real = np.issubdtype(outputs.dtype, np.floating)
        found = flat if is_real else (flat - self.output.zero_point) * self.output.scale
        return np.mean((found - inputs) ** 2, axis=1, keepdims=True).astype(np.float32)


def held_model(
    profile: MlperfTinyProfile,
    *,
    firmware: str,
    workload: str,
    recipe: str,
    path: Path,
    sha256: str,
    inputs: Sequence[TensorIo],
    outputs: Sequence[TensorIo],
) -> HeldModel:
    """The cell's model, when it is the one that the firmware holds.

    Args:
        profile: says which model goes by which of the firmware's names.
        firmware: the name that the firmware tells.
        workload, recipe, path, sha256, inputs, outputs: the model.

    Raises:
        UnsupportedError: it is another one, nobody says which it is, or it has types that no such firmware has.
    """
    if firmware == STREAMING:
        raise UnsupportedError(
            f"the firmware holds {STREAMING} (streaming_wakeword), which hears audio that the suite's interface board plays",
            hint="the suite's own runner measures it; the other four models are measured here",
        )
    keys = [path.stem, path.name, workload] if recipe == AS_IS else []
    keys.append(f"{workload}/{recipe}")
    name = next((profile.runtime.models[key] for key in keys if key in profile.runtime.models), None)
    if name is None:
        raise UnsupportedError(
            f"the firmware holds a model of its own ({firmware}), and the profile does not say that {keys[0]} is one it can hold",
            hint=f"if it is, write `runtime: {{module: mlperf-tiny, models: {{{keys[0]}: {firmware}}}}}`",
        )
    if name != firmware:
        raise UnsupportedError(
            f"the firmware holds {firmware}, and {keys[0]} is {name} by the profile's `runtime.models`",
            hint=f"flash the firmware of {name}, or use a board that has it",
        )
    if len(inputs) != 1 or len(outputs) != 1:
        raise UnsupportedError(f"{len(inputs)} inputs and {len(outputs)} outputs: the protocol has one of each")
    for what, io in (("input", inputs[0]), ("output", outputs[0])):
        if io.dtype != "int8" or io.scale <= 0:
            raise UnsupportedError(
                f"its {what} is {io.dtype}; the firmware's {name} is a model with int8 in and out",
                hint="give the quantized .tflite that the firmware was built from",
            )
    return _consistent(HeldModel(sha256=sha256, name=name, input=inputs[0], output=outputs[0]))


def _consistent(model: HeldModel) -> HeldModel:
    """Raises UnsupportedError where the firmware's score cannot be worked out of such a model."""
    if model.scored and _elements(model.input) != _elements(model.output):
        sizes = f"{_elements(model.output)} and {_elements(model.input)}"
        raise UnsupportedError(f"{model.name} compares its output with its input, but they have {sizes} values")
    return model


def _elements(io: TensorIo) -> int:
    return int(np.prod([max(1, d) for d in io.shape], dtype=np.int64))
