"""The search space and the order in which the device is given candidates of it: plain data, decided by cheap errors.

What all layers have in common comes first (calibration, equalisation, granularity). Then single layers with those that read
them are taken out of int8, the worst first, and the best of them together: a float or 16-bit layer alone does not help where the
range of its output is the trouble, because the next layer would round it again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product

from harness.tflite.graph import Graph
from harness.tune.scored import Scored
from harness.variants.convert.layers import LayerOp
from harness.variants.convert.units import Unit, units_of, word_of
from harness.variants.mix import LayerKind, Mix, mix_of
from harness.variants.recipe import parse_recipe

#: what all layers have in common
COMMON: tuple[Mix, ...] = (
    Mix(),
    Mix(equalise=True),
    Mix(calibration="percentile", percentile=99.99),
    Mix(calibration="percentile", percentile=99.9),
    Mix(calibration="mse"),
    Mix(equalise=True, calibration="percentile", percentile=99.99),
    Mix(equalise=True, calibration="mse"),
    Mix(per_tensor=True),
    Mix(per_tensor=True, equalise=True),
    Mix(samples=32),
)
#: kinds that a layer may be taken out of int8 to, the cheap ones first
OUT: tuple[LayerKind, ...] = ("w8", "int16", "float")
#: a candidate has to be so much better than another to be worth more bytes or another kernel, dB
WORTH_DB = 1.0
#: so many layers are taken out together at most
_MOST_TOGETHER = 4
#: outputs so near to the float model's answer as it does
_ENOUGH_DB = 45.0
#: a third of what comes out is error: no score stands that, where another candidate does better
_HOPELESS_DB = 10.0
#: twice the bytes are worth so much precision
_DOUBLE_DB = 20.0

Ask = Callable[[str, bool], Scored]
"""Scores a recipe's name, with the error of every layer if asked for."""


@dataclass(kw_only=True)
class Explored:
    """All that was scored.

    Attributes:
        scored: by recipe, in the order in which it was asked; refused ones too.
        units: the layers that were tried, with what taking each out of int8 gained over the best common settings, dB.
        stopped: whether time ended it before everything was tried.
    """

    scored: dict[str, Scored] = field(default_factory=dict)
    units: list[tuple[Unit, float]] = field(default_factory=list)
    stopped: bool = False

    @property
    def good(self) -> list[Scored]:
        """What can be built; of several that are the same file, the one with the shortest name."""
        by_file: dict[str, Scored] = {}
        for one in self.scored.values():
            if one.refused is None:
                other = by_file.get(one.sha256)
                if other is None or (len(one.recipe), one.recipe) < (len(other.recipe), other.recipe):
                    by_file[one.sha256] = one
        return list(by_file.values())


def name_of(mix: Mix) -> str:
    """The recipe that converts the float model so."""
    return f"mixed[{mix.text}]"


class Explorer:
    """Scores the search space, the promising part first, as long as there is time."""

    def __init__(self, ask: Ask, graph: Graph, ops: Sequence[LayerOp], has_time: Callable[[], bool]) -> None:
        self._ask, self._graph, self._ops, self._has_time = ask, graph, ops, has_time
        self.found = Explored()

    def explore(self) -> Explored:
        """Everything that time allows."""
        common = self._best_common()
        if common is None:
            return self.found
        errors = self._layer_errors(common)
        base = self._score(common)
        for kind in ("int16", "w8"):
            self._score(Mix(base=kind))
        if base is None:
            return self.found
        for unit in self._order(units_of(self._graph, self._ops), errors):
            # In float, a layer loses nothing by itself: what that gains, the cheaper kinds gain at most.
            tried = self._score(_taken_out(common, unit.layers, "float"))
            if tried is not None:
                self.found.units.append((unit, tried.sqnr_db - base.sqnr_db))
        self.found.units.sort(key=lambda pair: -pair[1])
        self._together(common)
        return self.found

    def _score(self, mix: Mix, *, by_layer: bool = False) -> Scored | None:
        name = name_of(mix)
        if name not in self.found.scored or by_layer:
            if not self._has_time():
                self.found.stopped = True
                return None
            self.found.scored[name] = self._ask(name, by_layer)
        one = self.found.scored[name]
        return None if one.refused is not None else one

    def _best_common(self) -> Mix | None:
        """The common settings of least error; the plain ones where no other is worth a word."""
        tried = [(mix, one) for mix in COMMON if (one := self._score(mix)) is not None]
        if not tried:
            return None
        best = max(tried, key=lambda pair: pair[1].sqnr_db)
        plain = tried[0]
        return plain[0] if best[1].sqnr_db < plain[1].sqnr_db + WORTH_DB else best[0]

    def _layer_errors(self, common: Mix) -> dict[int, float]:
        found = self._score(common, by_layer=True)
        return {} if found is None else dict(found.layers_db)

    def _order(self, units: list[Unit], errors: dict[int, float]) -> list[Unit]:
        """The units whose layer loses most against the one before it come first: errors add up along the model."""
        fresh: dict[str, float] = {}
        before = max(errors.values(), default=0.0)
        for op in self._ops:
            if op.number in errors:
                fresh.setdefault(word_of(op), errors[op.number] - before)
                before = errors[op.number]
        return sorted(units, key=lambda unit: fresh.get(unit.layer, 0.0))

    def _together(self, common: Mix) -> None:
        """The units that gain most, one to four of them together, in every kind; alone and with those that read them."""
        gaining = [unit for unit, gain in self.found.units if gain > WORTH_DB][:_MOST_TOGETHER]
        settings = [common] if common == Mix() else [common, Mix()]
        for count in range(1, len(gaining) + 1):
            units = gaining[:count]
            whole = [layer for unit in units for layer in unit.layers]
            alone = [unit.layer for unit in units]
            for kind, layers, mix in product(OUT, (whole, alone), settings):
                self._score(_taken_out(mix, layers, kind))


def _taken_out(mix: Mix, layers: Iterable[str], kind: LayerKind) -> Mix:
    return mix_of(mix, {layer: kind for layer in layers})


def chosen(
    found: Explored, most: int, max_size_bytes: float | None = None, without: frozenset[LayerKind] = frozenset()
) -> list[Scored]:
    """What the device is given, the most promising first, from every sort of candidate: which kernels a device is fast with
    is not known here.

    Args:
        most: how many.
        max_size_bytes: what is larger is left out.
        without: kinds of layers that the device is known not to run.
    """
    able = [one for one in found.good if max_size_bytes is None or one.size_bytes <= max_size_bytes]
    able = [one for one in able if not kinds_of(one.recipe) & without]
    hopeless = min(_HOPELESS_DB, max((one.sqnr_db for one in able), default=0.0) - WORTH_DB)
    able = [one for one in able if one.sqnr_db > hopeless]
    smallest = min((one.size_bytes for one in able), default=1)
    sorts: dict[str, list[Scored]] = {}
    for one in sorted(able, key=lambda one: (-_value(one, smallest), one.recipe)):
        sorts.setdefault(_sort_of(one.recipe), []).append(one)
    lines = [_worthwhile(of_sort) for of_sort in sorts.values()]
    picked: list[Scored] = []
    for rank in range(max(map(len, lines), default=0)):
        picked += [line[rank] for line in lines if rank < len(line)]
    return picked[:most]


def _value(one: Scored, smallest: int) -> float:
    """What a candidate promises, dB: its precision as far as any score can tell, less what its bytes cost."""
    return min(one.sqnr_db, _ENOUGH_DB) - _DOUBLE_DB * math.log2(one.size_bytes / smallest)


def _worthwhile(line: Sequence[Scored]) -> list[Scored]:
    """Of the candidates of one sort those that are smaller, or better by something, than all before them."""
    kept: list[Scored] = []
    for one in line:
        if all(one.size_bytes < other.size_bytes or one.sqnr_db > other.sqnr_db + WORTH_DB for other in kept):
            kept.append(one)
    return kept


def kinds_of(recipe: str) -> frozenset[LayerKind]:
    """The kinds of layers that a `mixed[...]` recipe asks for."""
    mix = parse_recipe(recipe).conversion.mix
    return frozenset() if mix is None else frozenset((mix.base, *(kind for _, kind in mix.layers)))


def _sort_of(recipe: str) -> str:
    """What decides about kernels: all int8, or the kind that layers were taken out to."""
    return next((kind for kind in OUT if kind in kinds_of(recipe)), "int8")
