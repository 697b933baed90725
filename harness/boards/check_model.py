"""A tiny int8 model whose right answer is known, made without TensorFlow: `harness devices check` runs it.

One FULLY_CONNECTED, int8[1, 8] -> int8[1, 4], per-tensor weights, op version 4: the oldest form of an integer layer,
which every runtime loads and integer NPUs take. Table slots are those of the TFLite schema (version 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.core.files import sha256_bytes, sha256_file, write_bytes_atomic

if TYPE_CHECKING:
    from harness.prepare.prepared import PreparedModel

_INT32, _INT8 = 2, 9
_FULLY_CONNECTED, _FULLY_CONNECTED_VERSION, _FULLY_CONNECTED_OPTIONS = 9, 4, 8
_INPUT_SCALE, _WEIGHT_SCALE, _OUTPUT_SCALE = 0.05, 0.02, 0.1
_INPUT_ZERO, _OUTPUT_ZERO = -3, 5
_SAMPLES = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class CheckModel:
    """The model's bytes, int8 inputs [4, 8] and the right int8 outputs [4, 4]; a backend may be one step off."""

    tflite: bytes
    inputs: np.ndarray
    expected: np.ndarray


def check_model() -> CheckModel:
    """The model, its inputs and the outputs by the affine equations (Jacob et al. 2018, eq. 4) in double precision."""
    rng = np.random.default_rng(8)
    weights = rng.integers(-127, 128, (4, 8), dtype=np.int8)
    bias = rng.integers(-400, 401, 4, dtype=np.int32)
    inputs = rng.integers(-128, 128, (_SAMPLES, 8), dtype=np.int8)
    sums = (inputs.astype(np.int64) - _INPUT_ZERO) @ weights.astype(np.int64).T + bias
    real = sums * (_INPUT_SCALE * _WEIGHT_SCALE / _OUTPUT_SCALE) + _OUTPUT_ZERO
    expected = np.clip(np.rint(real), -128, 127).astype(np.int8)
    return CheckModel(tflite=_tflite(weights, bias), inputs=inputs, expected=expected)


def checked_model(folder: Path) -> tuple[PreparedModel, np.ndarray]:
    """The model and its inputs as files in a folder, ready to travel, and the right int8 outputs [4, 4]."""
    from harness.prepare.bare import bare_model
    from harness.prepare.prepared import InputFile

    made = check_model()
    path, samples = folder / "check.tflite", folder / "check.npy"
    write_bytes_atomic(path, made.tflite)
    np.save(samples, made.inputs, allow_pickle=False)
    model = bare_model(
        path,
        (InputFile(path=samples, sha256=sha256_file(samples), count=_SAMPLES),),
        dataset_name=path.stem,
        dataset_note="made for the check of a device",
        dataset_digest=sha256_bytes(made.inputs.tobytes()),
        sample_ids=np.arange(_SAMPLES),
    )
    return model, made.expected


def _tflite(weights: np.ndarray, bias: np.ndarray) -> bytes:
    build = _Builder()
    # Buffer 0 is empty by convention: tensors without data refer to it.
    buffers = build.refs([build.table(), build.buffer(weights), build.buffer(bias)])
    tensors = build.refs(
        [
            build.tensor("input", (1, 8), _INT8, 0, _INPUT_SCALE, _INPUT_ZERO),
            build.tensor("weights", (4, 8), _INT8, 1, _WEIGHT_SCALE, 0),
            build.tensor("bias", (4,), _INT32, 2, _INPUT_SCALE * _WEIGHT_SCALE, 0),
            build.tensor("output", (1, 4), _INT8, 0, _OUTPUT_SCALE, _OUTPUT_ZERO),
        ]
    )
    options = build.table()
    node = build.table(
        (1, "UOffsetTRelative", build.ints([0, 1, 2])),
        (2, "UOffsetTRelative", build.ints([3])),
        (3, "Uint8", _FULLY_CONNECTED_OPTIONS),
        (4, "UOffsetTRelative", options),
    )
    subgraph = build.table(
        (0, "UOffsetTRelative", tensors),
        (1, "UOffsetTRelative", build.ints([0])),
        (2, "UOffsetTRelative", build.ints([3])),
        (3, "UOffsetTRelative", build.refs([node])),
    )
    code = build.table(
        (0, "Int8", _FULLY_CONNECTED), (2, "Int32", _FULLY_CONNECTED_VERSION), (3, "Int32", _FULLY_CONNECTED)
    )
    model = build.table(
        (0, "Uint32", 3),
        (1, "UOffsetTRelative", build.refs([code])),
        (2, "UOffsetTRelative", build.refs([subgraph])),
        (4, "UOffsetTRelative", buffers),
    )
    return build.finish(model)


class _Builder:
    """Tables as (slot, kind, value); children are built first, as FlatBuffers wants it. Zero values are left out."""

    def __init__(self) -> None:
        import flatbuffers

        self._builder = flatbuffers.Builder(1024)

    def table(self, *slots: tuple[int, str, Any]) -> int:
        self._builder.StartObject(8)
        for slot, kind, value in slots:
            getattr(self._builder, f"Prepend{kind}Slot")(slot, value, 0)
        return self._builder.EndObject()

    def refs(self, tables: list[int]) -> int:
        self._builder.StartVector(4, len(tables), 4)
        for table in reversed(tables):
            self._builder.PrependUOffsetTRelative(table)
        return self._builder.EndVector()

    def ints(self, numbers: list[int] | tuple[int, ...]) -> int:
        return self._builder.CreateNumpyVector(np.asarray(numbers, dtype="<i4"))

    def buffer(self, data: np.ndarray) -> int:
        raw = np.frombuffer(data.tobytes(), dtype=np.uint8)
        # TFLite wants constant data aligned to 16 bytes.
        self._builder.StartVector(1, len(raw), 16)
        for byte in reversed(raw.tolist()):
            self._builder.PrependUint8(byte)
        return self.table((0, "UOffsetTRelative", self._builder.EndVector()))

    def tensor(self, name: str, shape: tuple[int, ...], kind: int, buffer: int, scale: float, zero_point: int) -> int:
        quantization = self.table(
            (2, "UOffsetTRelative", self._builder.CreateNumpyVector(np.asarray([scale], dtype="<f4"))),
            (3, "UOffsetTRelative", self._builder.CreateNumpyVector(np.asarray([zero_point], dtype="<i8"))),
        )
        return self.table(
            (0, "UOffsetTRelative", self.ints(shape)),
            (1, "Int8", kind),
            (2, "Uint32", buffer),
            (3, "UOffsetTRelative", self._builder.CreateString(name)),
            (4, "UOffsetTRelative", quantization),
        )

    def finish(self, model: int) -> bytes:
        self._builder.Finish(model, b"TFL3")
        return bytes(self._builder.Output())
