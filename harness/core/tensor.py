"""What a tensor at the edge of a model is: name, type, shape, quantization. Known to every room, so it stands in the cellar."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TensorIo:
    """One input or output of a model. `scale` is 0 when it is not quantized; shapes are as stored, with the batch."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float = 0.0
    zero_point: int = 0
