"""Weights of 4 bits: two to a byte in the plan, and how many output channels the board unpacks at a time.

The kernels are those of 8 bits. The scratch memory of such a layer has the unpacked weights of some channels in front, then
their outputs where those of other channels lie between them, then what the kernel itself wants
(devices/cortex_m/runtime/plan_run_int4.c).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: weights of one block, which is 16 bytes: byte i holds weight i below and weight i + 16 above
BLOCK = 32
#: more scratch than this is not worth the speed: every part of the channels walks over the whole input
_SCRATCH_LIMIT = 8192


@dataclass(frozen=True, kw_only=True)
class Packing:
    """How the channels of one layer are unpacked.

    Attributes:
        at_once: output channels.
        scratch_bytes: without what the kernel wants for itself.
    """

    at_once: int
    scratch_bytes: int


def choose_packing(channels: int, taps: int, pixels: int, *, whole: bool) -> Packing:
    """All channels at once where that is small, else as many as fit.

    Args:
        taps: weights of one channel.
        pixels: outputs of one channel.
        whole: the kernel takes all channels or none (DEPTHWISE_CONV_2D, groups).
    """
    everything = _packing(channels, channels, taps, pixels)
    if whole or everything.scratch_bytes <= _SCRATCH_LIMIT:
        return everything
    each = taps + (pixels if pixels > 1 else 0)
    some = _packing(min(channels, max(4, _SCRATCH_LIMIT // each // 4 * 4)), channels, taps, pixels)
    return min(some, everything, key=lambda one: one.scratch_bytes)


def _packing(at_once: int, channels: int, taps: int, pixels: int) -> Packing:
    apart = (pixels * at_once + 3) // 4 * 4 if at_once < channels and pixels > 1 else 0
    return Packing(at_once=at_once, scratch_bytes=_blocks(at_once * taps) * BLOCK + apart)


def _blocks(weights: int) -> int:
    return -(-weights // BLOCK)


def pack(weights: np.ndarray, run: int) -> np.ndarray:
    """int8 of -8..7 -> uint8: runs of `run` weights, each filled up to whole blocks with zeros."""
    flat = weights.reshape(-1)
    parts = []
    for start in range(0, flat.size, run):
        part = flat[start : start + run]
        padded = np.zeros(_blocks(part.size) * BLOCK, np.int8)
        padded[: part.size] = part
        low, high = np.moveaxis(padded.reshape(-1, 2, BLOCK // 2).view(np.uint8) & 0xF, 1, 0)
        parts.append((low | high << 4).reshape(-1))
    return np.concatenate(parts)
