"""What the lowering works with: values (what a tensor is while the plan is made), buffers (memory), steps (nodes of the plan)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.core.errors import UnsupportedError
from harness.tflite.graph import Tensor

EIGHT_BITS = ("int8", "uint8")
#: types of numbers that mean themselves, where they have no scale
PLAIN = ("int32", "int64", "bool")
#: bytes of one item of a tensor that a plan holds
ITEM_BYTES = {"int8": 1, "uint8": 1, "float32": 4, "int16": 2, "int32": 4, "int64": 8, "bool": 1}


@dataclass(eq=False)
class Buffer:
    """Memory in the arena that steps write and read; compared by identity.

    Attributes:
        tensors: tensors of the .tflite that live in it.
        is_input, is_output: filled by the caller before the first node, read after the last one.
        is_state: keeps its values from one inference to the next.
    """

    name: str
    size_bytes: int
    tensors: list[int] = field(default_factory=list)
    is_input: bool = False
    is_output: bool = False
    is_scratch: bool = False
    is_state: bool = False


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Rows and columns of zero points around an image that is stored without them."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Value:
    """A tensor while the plan is made.

    Either `buffer` or `data` is set. 8-bit values and zero points are those of int8: a uint8 tensor has its sign bits
    flipped and its zero points lowered by 128 (`dtype` remembers that it was one).

    `is_int4`: the .tflite has 4 bits for each of these int8 values.

    `frame`: the memory holds less than `shape` says; only convolutions read such a value. `height` and `width` are what both
    sides add.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    quantized_dimension: int = 0
    buffer: Buffer | None = None
    data: np.ndarray | None = None
    frame: Frame | None = None
    is_int4: bool = False

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        return self.elements * ITEM_BYTES[self.dtype]

    @property
    def is_constant(self) -> bool:
        return self.data is not None

    @property
    def memory(self) -> Buffer:
        """The buffer of a value that is no constant."""
        if self.buffer is None:
            raise ValueError(f"'{self.name}' is a constant: it has no buffer")
        return self.buffer

    @property
    def scale(self) -> float:
        return self.scales[0]

    @property
    def zero_point(self) -> int:
        return self.zero_points[0]

    def same_quantization(self, other: Value) -> bool:
        return (self.dtype, self.scales, self.zero_points) == (other.dtype, other.scales, other.zero_points)


#: what stands at an operand: memory, constant bytes, or nothing
Operand = Buffer | np.ndarray | None


@dataclass(kw_only=True, eq=False)
class Step:
    """One node of the plan, before memory is planned.

    Attributes:
        op: name in `words.RECORDS`.
        operands: by the record's names; lists of operands for CONCATENATION.
        fields: numbers by the record's names.
        reads, writes: the buffers among the operands; `scratch` is alive during this step only.
        in_place: buffers among `reads` that `writes` may lie on.
        node: of the .tflite.
        on_reset: runs when the plan is loaded and at a reset, not at an inference.
    """

    op: str
    operands: Mapping[str, Operand | Sequence[Operand]]
    fields: Mapping[str, int | float | Sequence[int]]
    writes: Buffer
    in_place: tuple[Buffer, ...] = ()
    scratch: Buffer | None = None
    node: int | None = None
    tflite_op: str | None = None
    on_reset: bool = False

    @property
    def reads(self) -> list[Buffer]:
        return [
            one for one in self._flat if isinstance(one, Buffer) and one is not self.writes and one is not self.scratch
        ]

    @property
    def constants(self) -> list[np.ndarray]:
        return [one for one in self._flat if isinstance(one, np.ndarray)]

    @property
    def _flat(self) -> list[Operand]:
        flat: list[Operand] = []
        for operand in self.operands.values():
            flat.extend(operand if isinstance(operand, Sequence) else [operand])
        return flat


def operand_of(value: Value | None) -> Operand:
    """Memory or constant bytes of a value."""
    if value is None:
        return None
    return value.buffer if value.data is None else value.data


def describe(tensor: Tensor) -> str:
    return f"tensor {tensor.index} '{tensor.name}'"


def int8_zero_points(tensor: Tensor) -> tuple[int, ...]:
    return tuple(z - 128 for z in tensor.zero_points) if tensor.dtype == "uint8" else tensor.zero_points


def declared(tensor: Tensor) -> Value:
    """A tensor as the .tflite declares it, dynamic dimensions as 1; int4 as int8, for that is how kernels see its values."""
    return Value(
        name=tensor.name,
        dtype="int8" if tensor.dtype == "int4" else tensor.dtype,
        shape=tuple(1 if size < 0 else size for size in tensor.shape),
        scales=tensor.scales,
        zero_points=int8_zero_points(tensor),
        quantized_dimension=tensor.quantized_dimension,
        is_int4=tensor.dtype == "int4",
    )


def constant_values(tensor: Tensor) -> np.ndarray:
    """A constant as the lowering keeps it: uint8 as int8 with the sign bits flipped, everything else as stored.

    Raises:
        UserInputError: sparse or damaged.
    """
    values = np.ascontiguousarray(tensor.data())
    return (values ^ np.uint8(0x80)).view(np.int8) if tensor.dtype == "uint8" else values


def check_quantization(value: Value) -> None:
    """Refuses an 8-bit activation that is not quantized by one positive scale and a zero point of its type.

    Raises:
        UnsupportedError: with the tensor's name.
    """
    if value.dtype not in EIGHT_BITS:
        raise UnsupportedError(f"'{value.name}' is {value.dtype}, not int8 or uint8")
    if not value.scales:
        raise UnsupportedError(f"'{value.name}' is {value.dtype} without a scale", hint="convert with calibration data")
    if len(value.scales) > 1:
        raise UnsupportedError(
            f"the activation '{value.name}' is quantized per channel", hint="activations must have one scale"
        )
    if not (math.isfinite(value.scale) and value.scale >= float(np.finfo(np.float32).tiny)):
        raise UnsupportedError(
            f"the scale {value.scale:g} of '{value.name}' is not a positive, normal number",
            hint="calibrate on data in which this tensor is not always 0",
        )
    if not -128 <= value.zero_point <= 127:
        raise UnsupportedError(f"the zero point of '{value.name}' is outside {value.dtype}")


def check_wide(value: Value, dtypes: Sequence[str] = ("int16",)) -> None:
    """Refuses an activation of more than 8 bits that is not quantized by one positive scale with a zero point of 0.

    Raises:
        UnsupportedError: with the tensor's name.
    """
    if value.dtype not in dtypes:
        raise UnsupportedError(f"'{value.name}' is {value.dtype}, not {' or '.join(dtypes)}")
    if len(value.scales) != 1:
        raise UnsupportedError(
            f"'{value.name}' is {value.dtype} with {len(value.scales)} scales", hint="activations must have one scale"
        )
    if not (math.isfinite(value.scale) and value.scale >= float(np.finfo(np.float32).tiny)):
        raise UnsupportedError(
            f"the scale {value.scale:g} of '{value.name}' is not a positive, normal number",
            hint="calibrate on data in which this tensor is not always 0",
        )
    if value.zero_point != 0:
        raise UnsupportedError(
            f"'{value.name}' is {value.dtype} with a zero point of {value.zero_point}",
            hint="it must be 0: convert again",
        )


def check_moved(value: Value) -> None:
    """Refuses what cannot be moved as it is: an activation that is neither of 8 nor of 16 bits, nor of float32. Indices can.

    Raises:
        UnsupportedError: with the tensor's name.
    """
    if is_plain(value):
        return
    if value.dtype == "int16":
        check_wide(value)
    elif value.dtype != "float32":
        check_quantization(value)


def is_plain(value: Value) -> bool:
    """Whether the numbers mean themselves: indices, counts and booleans, which have no scale."""
    return value.dtype in PLAIN and not value.scales
