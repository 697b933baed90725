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

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample: without the batch axis, which is a first axis of 1 or -1. A tensor without one is one sample
        as a whole, and so is one whose batch is fixed at another number.
        """
        return self.shape[1:] if self.shape[:1] in ((1,), (-1,)) else self.shape
