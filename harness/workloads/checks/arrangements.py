"""The usual ways to lay an image out otherwise: colours in another order, rows and columns exchanged, channels in front."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

_COLOURS = 3
#: a shorter side is no image, and its layouts are hardly different ones
_SHORTEST = 4


@dataclass(frozen=True, kw_only=True)
class Arrangement:
    """Another order of the same values.

    Attributes:
        name: what becomes of the samples, in words.
        setting: what does it in a project file: a key of [preprocessing] and its value.
        of: [N, ...] -> [N, ...] of the same shape.
    """

    name: str
    setting: tuple[str, str]
    of: Callable[[np.ndarray], np.ndarray]


def arrangements(sample: tuple[int, ...]) -> Iterator[Arrangement]:
    """The usual other layouts of samples of a shape; none for what is no image.

    Args:
        sample: the shape of one, [height, width] or [height, width, channels].
    """
    if len(sample) not in (2, 3) or min(sample[:2]) < _SHORTEST:
        return
    if len(sample) == 3 and sample[2] == _COLOURS:
        yield Arrangement(
            name="with red and blue exchanged",
            setting=("channels", "bgr"),
            of=lambda x: x[..., ::-1],
        )
        # What `reshape` makes of channels in front, in place of `transpose`: the planes lie one after the other.
        yield Arrangement(name="read as planes, one per channel", setting=("layout", "planes"), of=_from_planes)
    if sample[0] == sample[1]:
        yield Arrangement(
            name="with rows and columns exchanged",
            setting=("layout", "nwhc"),
            of=lambda x: x.swapaxes(1, 2),
        )


def _from_planes(x: np.ndarray) -> np.ndarray:
    count, height, width, channels = x.shape
    return x.reshape(count, channels, height, width).transpose(0, 2, 3, 1)
