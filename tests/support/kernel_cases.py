"""What the random cases of the kernel tests have in common: scales, tensors, the two number formats, the case itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.tflite.quantized_params import ActivationRange
from tests.support.kernels_abi import Kernels
from tests.support.op_models import Tensor

ACTIVATIONS = ("NONE", "NONE", "RELU", "RELU6", "RELU_N1_TO_1")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One random model, its inputs as the runtime takes them, and the same computation by the kernels."""

    op: str
    text: str
    model: bytes
    inputs: tuple[np.ndarray, ...]
    run: Callable[[Kernels], np.ndarray]
    dtype: str = "int8"


#: makes one case; called with a seeded generator
Generator = Callable[[np.random.Generator], Case]


@dataclass(frozen=True, kw_only=True)
class Quantized:
    """Scale (float32) and int8 zero point of an activation."""

    scale: np.float32
    zero_point: int


def pick_dtype(rng: np.random.Generator) -> str:
    return "uint8" if rng.random() < 0.3 else "int8"


def pick_quantized(rng: np.random.Generator, low: float = 1e-3, high: float = 0.3) -> Quantized:
    """A scale, log-uniform, and a zero point, at the ends of the range more often than chance."""
    scale = np.float32(np.exp(rng.uniform(np.log(low), np.log(high))))
    zero_point = int(rng.choice([-128, 127, 0])) if rng.random() < 0.3 else int(rng.integers(-128, 128))
    return Quantized(scale=scale, zero_point=zero_point)


def pick_output(rng: np.random.Generator, real_span: float) -> Quantized:
    """An output quantization that holds about `real_span`, at times far too narrow or far too wide."""
    factor = np.exp(rng.uniform(np.log(0.3), np.log(3))) if rng.random() < 0.9 else 10.0 ** rng.uniform(-3, 3)
    zero_point = int(rng.choice([-128, 127, 0])) if rng.random() < 0.3 else int(rng.integers(-128, 128))
    return Quantized(scale=np.float32(real_span / 255.0 * factor), zero_point=zero_point)


def random_int8(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Values over the whole range; now and then only its ends, or only a few neighbours."""
    kind = rng.random()
    if kind < 0.1:
        return rng.choice(np.array([-128, 127], np.int8), shape)
    if kind < 0.2:
        middle = int(rng.integers(-128, 120))
        return rng.integers(middle, middle + 8, shape).astype(np.int8)
    return rng.integers(-128, 128, shape).astype(np.int8)


def stored(values: np.ndarray, dtype: str) -> np.ndarray:
    """Int8 values as the model stores them: as they are, or with the sign bit flipped for uint8."""
    return values if dtype == "int8" else values.view(np.uint8) ^ np.uint8(0x80)


def as_int8(values: np.ndarray) -> np.ndarray:
    """The way back; other types pass."""
    return (values ^ np.uint8(0x80)).view(np.int8) if values.dtype == np.uint8 else values


def activation_tensor(shape: tuple[int, ...], dtype: str, q: Quantized, data: np.ndarray | None = None) -> Tensor:
    """An int8 or uint8 tensor with the given int8 quantization."""
    offset = 128 if dtype == "uint8" else 0
    return Tensor(
        shape=shape,
        dtype=dtype,
        scales=(float(q.scale),),
        zero_points=(q.zero_point + offset,),
        data=None if data is None else stored(data, dtype),
    )


def index_tensor(values: np.ndarray) -> Tensor:
    """A constant int32 tensor: axes, paddings, shapes."""
    return Tensor(shape=values.shape, dtype="int32", data=values.astype(np.int32))


def limits(span: ActivationRange) -> dict[str, int]:
    return {"activation_min": span.low, "activation_max": span.high}
