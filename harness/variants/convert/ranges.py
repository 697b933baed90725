"""Ranges of a float model's tensors over calibration samples: of all values, of a percentile, or of least squared error.

The float kernels run without delegates, which would keep the tensors between their ops to themselves. Values of a tensor are not
kept: two rounds over the samples give extremes first and a histogram between them then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.variants.convert.feeding import Feed
from harness.variants.mix import Mix
from harness.workloads.rows import Arrays

_BINS = 2048
#: the integers of an int8 tensor
_LEVELS = 255
#: the shares of a tensor's range that a range of least squared error is looked for among
_SHRINK = np.linspace(1.0, 0.2, 65)


@dataclass(frozen=True, kw_only=True)
class Range:
    """What a tensor's integers have to cover."""

    low: float
    high: float


def tensor_ranges(model: bytes, samples: Arrays, mix: Mix, exact: frozenset[str] = frozenset()) -> dict[str, Range]:
    """The range of every float tensor that is no constant, by its name.

    Args:
        model: a float .tflite of batch 1.
        samples: in the types of its inputs.
        exact: tensors that are given all of their range, whatever the mix says: 16 bits have levels to spare.
    """
    runner = _Runner(model, samples)
    ranges = _extremes(runner, samples)
    if mix.calibration == "minmax":
        return ranges
    counts = _histograms(runner, samples, ranges)
    return {name: whole if name in exact else _narrowed(whole, counts[name], mix) for name, whole in ranges.items()}


def open_interpreter(model: bytes) -> Any:
    """An interpreter of LiteRT that keeps every tensor of a model, allocated; one thread, no delegates."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=model,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        num_threads=1,
    )
    interpreter.allocate_tensors()
    return interpreter


class _Runner:
    """Runs a float model and shows every tensor of it."""

    def __init__(self, model: bytes, samples: Arrays) -> None:
        self._interpreter = open_interpreter(model)
        self._feed = Feed(self._interpreter, model, samples)
        written = {int(i) for op in self._interpreter._get_ops_details() for i in op["outputs"]}
        self._shown = [
            (detail["index"], detail["name"])
            for detail in self._interpreter.get_tensor_details()
            if detail["dtype"] == np.float32 and (detail["index"] in written or detail["index"] in self._feed.indices)
        ]

    def values(self, samples: Arrays) -> Iterator[tuple[str, np.ndarray]]:
        """Every float tensor of every sample, one after the other."""
        for sample in samples:
            self._interpreter.reset_all_variables()
            self._feed.give(sample)
            self._interpreter.invoke()
            for index, name in self._shown:
                yield name, self._interpreter.get_tensor(index)


def _extremes(runner: _Runner, samples: Arrays) -> dict[str, Range]:
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for name, values in runner.values(samples):
        low[name] = min(low.get(name, np.inf), float(np.min(values, initial=np.inf)))
        high[name] = max(high.get(name, -np.inf), float(np.max(values, initial=-np.inf)))
    return {name: Range(low=low[name], high=high[name]) for name in low}


def _histograms(runner: _Runner, samples: Arrays, ranges: dict[str, Range]) -> dict[str, np.ndarray]:
    """Values of each tensor in `_BINS` equal parts of its range, int64 [_BINS]."""
    counts = {name: np.zeros(_BINS, np.int64) for name in ranges}
    for name, values in runner.values(samples):
        whole = ranges[name]
        if whole.high > whole.low:
            counts[name] += np.histogram(values, bins=_BINS, range=(whole.low, whole.high))[0]
    return counts


def _narrowed(whole: Range, counts: np.ndarray, mix: Mix) -> Range:
    if not whole.high > whole.low or not counts.sum():
        return whole
    edges = np.linspace(whole.low, whole.high, _BINS + 1)
    if mix.percentile is not None:
        return _percentile(counts, edges, mix.percentile)
    return _least_error(counts, edges)


def _percentile(counts: np.ndarray, edges: np.ndarray, percentile: float) -> Range:
    """The range that leaves out so much at either end; an end at 0 stays, where a ReLU has put many values."""
    share = np.cumsum(counts) / counts.sum()
    low = edges[np.searchsorted(share, 1 - percentile / 100)] if edges[0] < 0 else edges[0]
    last = min(int(np.searchsorted(share, percentile / 100)) + 1, _BINS)
    high = edges[last] if edges[-1] > 0 else edges[-1]
    return Range(low=float(min(low, 0.0)), high=float(max(high, 0.0)))


def _least_error(counts: np.ndarray, edges: np.ndarray) -> Range:
    """The share of the whole range by which rounding and clipping together have the least squared error."""
    centres = (edges[:-1] + edges[1:]) / 2
    whole_low, whole_high = min(edges[0], 0.0), max(edges[-1], 0.0)
    errors = []
    for share in _SHRINK:
        low, high = whole_low * share, whole_high * share
        step = max(high - low, 1e-30) / _LEVELS
        held = np.clip(np.round((centres - low) / step), 0, _LEVELS) * step + low
        errors.append(float(np.dot(counts, (held - centres) ** 2)))
    best = _SHRINK[int(np.argmin(errors))]
    return Range(low=float(whole_low * best), high=float(whole_high * best))
