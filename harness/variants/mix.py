"""`mixed[...]`: which layers are float, int16 or int8, how their weights and ranges are taken. A name and back; plain data.

mixed[int16=conv2d_3,cal=mse]         int8, one layer with int16 activations, ranges of least squared error
mixed[w8=conv2d+dense,equalise]       two layers computed in float from int8 weights, layers equalised before
mixed[float=op4,per-tensor,n=64]      the fifth op in float, one scale per weight tensor, 64 calibration samples
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal, get_args

from harness.core.errors import UserInputError

#: int8 and int16: integer kernel, int8 weights, activations of that width. w8: float kernel, int8 weights. float: all float.
LayerKind = Literal["int8", "int16", "w8", "float"]
Calibration = Literal["minmax", "mse", "percentile"]
#: a layer, or several, and what they are to be
Choice = tuple[str, LayerKind]

KINDS: tuple[LayerKind, ...] = get_args(LayerKind)
#: recipes of which a device's refusal shows that it has no kernel for a kind of layer
SHOWN_BY: dict[str, tuple[LayerKind, ...]] = {"ptq-float32": ("float", "w8"), "ptq-int16x8": ("int16",)}
#: what a layer's name may not hold, because it has a meaning in a recipe's name or in a cell's
_NO_NAME = re.compile(r"[\s+,=/\[\]*?]")
_PERCENTILE = re.compile(r"p(\d+(?:\.\d+)?)")
_LEAST_PERCENTILE = 90.0
_HINT = (
    "a recipe is like mixed[int16=conv2d_3,cal=mse]: int8, int16, w8 or float for all layers, or =LAYER+LAYER for some; "
    "per-tensor or per-channel; cal=minmax, cal=mse or cal=p99.99; n=SAMPLES; equalise; float-io; qat=LAYER+LAYER"
)


@dataclass(frozen=True, kw_only=True)
class Mix:
    """What stands between the brackets, but for `qat=`, which is a training.

    Attributes:
        base: what layers are that no word names.
        layers: (layer, kind) of the others, by name.
        per_tensor: one scale per weight tensor where no word names the layer; False: one per output channel.
        weights: (layer, per tensor) of the others, by name.
        calibration: how the range of an int8 tensor is taken from its values on the calibration samples.
        percentile: of `percentile`: the share of values, in percent, that a range holds at either end.
        samples: how many calibration samples; None: as the workload's schedule says.
        equalise: equalises the weights of layers that follow each other before anything is quantized.
        float_io: float32 inputs and outputs, also where the layers beside them are integer.
    """

    base: LayerKind = "int8"
    layers: tuple[Choice, ...] = ()
    per_tensor: bool = False
    weights: tuple[tuple[str, bool], ...] = ()
    calibration: Calibration = "minmax"
    percentile: float | None = None
    samples: int | None = None
    equalise: bool = False
    float_io: bool = False

    @property
    def is_calibrated(self) -> bool:
        """Whether any layer has integer activations."""
        return any(kind in ("int8", "int16") for kind in (self.base, *(kind for _, kind in self.layers)))

    @property
    def text(self) -> str:
        """The canonical form between the brackets; what is usual is left out."""
        words: list[str] = [] if self.base == "int8" else [self.base]
        for kind in KINDS:
            words += _with_layers(kind, [layer for layer, its in self.layers if its == kind])
        words += ["per-tensor"] if self.per_tensor else []
        for word, value in (("per-channel", False), ("per-tensor", True)):
            words += _with_layers(word, [layer for layer, its in self.weights if its == value])
        if self.calibration != "minmax":
            words.append("cal=mse" if self.calibration == "mse" else f"cal=p{self.percentile:g}")
        words += [f"n={self.samples}"] if self.samples is not None else []
        words += ["equalise"] if self.equalise else []
        words += ["float-io"] if self.float_io else []
        return ",".join(words) or "int8"

    def names(self) -> tuple[str, ...]:
        """Every layer that a word names."""
        return tuple(dict.fromkeys([layer for layer, _ in self.layers] + [layer for layer, _ in self.weights]))


def _with_layers(word: str, layers: list[str]) -> list[str]:
    return [f"{word}={'+'.join(layers)}"] if layers else []


def mix_of(base: Mix, layers: dict[str, LayerKind]) -> Mix:
    """The mix with these layers as said, in their canonical order; those that are as the rest are left out."""
    chosen = tuple(sorted((name, kind) for name, kind in layers.items() if kind != base.base))
    return replace(base, layers=chosen)


def parse_mix(text: str) -> tuple[Mix, tuple[str, ...]]:
    """Reads what stands between the brackets.

    Returns:
        The mix, and the layers of `qat=`.

    Raises:
        UserInputError: a word that is none, or a layer that two words claim.
    """
    reader = _Reader()
    for word in text.split(","):
        reader.take(word.strip())
    return reader.result()


class _Reader:
    """Takes one word after the other."""

    def __init__(self) -> None:
        self._mix = Mix()
        self._layers: dict[str, LayerKind] = {}
        self._weights: dict[str, bool] = {}
        self._qat: set[str] = set()
        self._seen: set[str] = set()

    def take(self, word: str) -> None:
        if not word:
            raise UserInputError("mixed[...] has nothing between two commas or brackets", hint=_HINT)
        name, given, value = word.partition("=")
        once = name if not given or name in ("cal", "n") else f"{name}="
        once = "base" if once in KINDS else "per" if once in ("per-tensor", "per-channel") else once
        if once in self._seen:
            raise UserInputError(f"mixed[...] has two words for the same: '{word}' is one too many", hint=_HINT)
        self._seen.add(once)
        kind = next((known for known in KINDS if known == name), None)
        if kind is not None and given:
            self._claim(self._layers, value, kind)
        elif name in ("per-tensor", "per-channel") and given:
            self._claim(self._weights, value, name == "per-tensor")
        elif name == "qat" and given:
            self._qat = set(_layer_names(value))
        else:
            self._mix = self._setting(word, name, value if given else None, kind)

    def _setting(self, word: str, name: str, value: str | None, kind: LayerKind | None) -> Mix:
        if kind is not None:
            return replace(self._mix, base=kind)
        if value is None and name in ("per-tensor", "per-channel"):
            return replace(self._mix, per_tensor=name == "per-tensor")
        if value is None and name == "equalise":
            return replace(self._mix, equalise=True)
        if value is None and name == "float-io":
            return replace(self._mix, float_io=True)
        if name == "cal" and value is not None:
            return _calibrated(self._mix, value)
        if name == "n" and value is not None:
            return replace(self._mix, samples=_count(value))
        raise UserInputError(f"'{word}' is no word of mixed[...]", hint=_HINT)

    def _claim(self, claimed: dict, value: str, what: LayerKind | bool) -> None:
        for layer in _layer_names(value):
            if claimed.setdefault(layer, what) != what:
                raise UserInputError(f"mixed[...] names the layer '{layer}' for two different things", hint=_HINT)

    def result(self) -> tuple[Mix, tuple[str, ...]]:
        weights = tuple(sorted((n, v) for n, v in self._weights.items() if v != self._mix.per_tensor))
        return replace(mix_of(self._mix, self._layers), weights=weights), tuple(sorted(self._qat))


def _layer_names(text: str) -> list[str]:
    names = text.split("+")
    for name in names:
        if not name or _NO_NAME.search(name):
            raise UserInputError(
                f"'{name}' cannot name a layer in mixed[...]",
                hint="layers are joined by +; one whose name has other characters goes by its number among the ops: op4",
            )
    return names


def can_name(layer: str) -> bool:
    """Whether a layer's own name can stand in a recipe."""
    return bool(layer) and _NO_NAME.search(layer) is None


def _calibrated(mix: Mix, value: str) -> Mix:
    if value in ("minmax", "mse"):
        return replace(mix, calibration="mse" if value == "mse" else "minmax")
    match = _PERCENTILE.fullmatch(value)
    if match is None or not _LEAST_PERCENTILE <= float(match[1]) < 100:
        raise UserInputError(
            f"cal={value} is no way to calibrate",
            hint="write cal=minmax, cal=mse, or a percentile from p90 to below p100, such as cal=p99.99",
        )
    return replace(mix, calibration="percentile", percentile=float(match[1]))


def _count(value: str) -> int:
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= 1_000_000:
        raise UserInputError(f"n={value} is no number of calibration samples", hint="write it like n=64")
    return int(value)
