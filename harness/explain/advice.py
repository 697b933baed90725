"""What to try: recipes, backends and options that exist, for what was found. The most promising first."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from harness.core.errors import UserInputError
from harness.explain.cause import Cause, cause_of, worst_layers
from harness.explain.document import Advice, Explanation, Layer
from harness.explain.error import SHARES
from harness.explain.mixing import calibrated_again, mixed_recipes
from harness.results.record import CellKey
from harness.variants.artifact import AS_IS
from harness.variants.mix import SHOWN_BY

#: outcomes of a cell that nobody is sent to
_BAD = ("wrong", "unsupported", "failed", "undecided")
#: advice beyond so many is not read
_MOST = 4
#: a delegate pays if it is at least so many times as fast
_SLOWER = 1.05


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What commands are made of.

    Attributes:
        backends: of the device.
        delegate: the backend's; None without one.
        key: of the stored cell; None for a model file.
        options: of its run.
        seen: (recipe, backend) of the run's other cells of this workload on the device -> their outcome.
        weight_types: dtypes of the model's weights.
        units: layer -> what leaves int8 with it, itself first, by the names that recipes have for them.
    """

    workload: str
    recipe: str
    device: str
    backend: str
    backends: tuple[str, ...]
    delegate: str | None = None
    key: CellKey | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    seen: Mapping[tuple[str, str], str] = field(default_factory=dict)
    weight_types: tuple[str, ...] = ()
    units: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def run(self, recipe: str) -> str:
        """The command that runs another recipe of the same workload on the same device."""
        from harness.verdict.command import reproduction

        if self.key is None or self.recipe == AS_IS:
            return f"harness run --workload FLOAT_MODEL --data SAMPLES.npz --recipe {shlex.quote(recipe)} --device {self.device}"
        return reproduction(replace(self.key, recipe=recipe), self.options)

    def on(self, backend: str) -> str:
        """The command that runs the same on another backend."""
        from harness.verdict.command import reproduction

        if self.key is None:
            return f"harness measure MODEL.tflite --device {self.device} --backend {backend}"
        return reproduction(replace(self.key, backend=backend), self.options)

    def here(self, backend: str | None = None, runtime: str | None = None) -> str:
        """The command that measures the same again, on another backend or runtime."""
        if self.key is None or self.recipe == AS_IS:
            model = next((str(w) for w in self.options.get("workloads") or ()), "MODEL.tflite")
            words = ["harness", "measure", model, "--device", self.device]
            for name, flag in (("data", "--data"), ("devices_dir", "--devices-dir")):
                words += [flag, str(self.options[name])] if self.options.get(name) else []
            words += ["--backend", backend or self.backend]
        else:
            words = shlex.split(self.on(backend or self.backend))
        return shlex.join(words + (["--runtime", runtime] if runtime else []))


def advise(e: Explanation, situation: Situation) -> list[Advice]:
    """What to try, in order of promise; nothing where nothing is wrong, lost or slow."""
    found: list[Advice] = []
    if e.first_wrong is not None:
        layer = next(layer for layer in e.layers if layer.node == e.first_wrong)
        found += _for_wrong(layer, situation)
    elif e.whole == "wrong":
        found += _other_kernels(situation, "its kernels run the ops one by one")
    else:
        found += _for_loss(e, situation)
    found += _for_cost(e, situation)
    distinct = {advice.what: advice for advice in reversed(found)}
    return list(reversed(distinct.values()))[:_MOST]


# ----------------------------------------------------------------------------------------------------------- a wrong op


def _for_wrong(layer: Layer, situation: Situation) -> list[Advice]:
    found = []
    on_delegate = situation.delegate is not None and layer.ran_on == situation.delegate
    if on_delegate and situation.delegate == "npu-standin":
        found.append(
            Advice(
                what=f"leave {layer.op} to the CPU: the delegate's option `refuse: {layer.op}` in the device's profile",
                why="the kernel that is wrong is the delegate's",
                command=situation.here(),
            )
        )
    found += _other_kernels(situation, f"its {layer.op} is another kernel")
    found += _other_runtime(situation)
    for recipe, why in _recipes_without(layer, situation):
        found.append(Advice(what=f"recipe {recipe}", why=why, command=situation.run(recipe)))
    return found


def _other_kernels(situation: Situation, why: str) -> list[Advice]:
    """The device's other backends, the one without the delegate first."""
    told = {name: situation.seen.get((situation.recipe, name)) for name in situation.backends}
    others = [name for name in situation.backends if name != situation.backend and told[name] not in _BAD]
    others.sort(key=lambda name: (told[name] != "ok", name != "cpu"))
    return [
        Advice(
            what=f"backend {name}",
            why="it was ok there in this run" if told[name] == "ok" else why,
            command=situation.here(backend=name),
        )
        for name in others[:1]
    ]


def _other_runtime(situation: Situation) -> list[Advice]:
    """The newest release of the runtime that replaced the older one, where the device can be run with another."""
    from harness.tflite.support import newest_runtimes

    if not (situation.device.startswith("host-") or "@qemu" in situation.device):
        return []
    found = []
    for name, version in newest_runtimes():
        if name == "ai-edge-litert" and "litert" not in situation.device:
            found.append(
                Advice(
                    what=f"runtime {name} {version}",
                    why="its kernels are newer; the same check says whether they are right",
                    command=situation.here(runtime=f"{name}=={version}"),
                )
            )
    return found


def _recipes_without(layer: Layer, situation: Situation) -> list[tuple[str, str]]:
    """Recipes in which this op is computed otherwise."""
    if layer.dtype == "float32":
        wanted = [
            ("ptq-default-pt", f"one scale for the weights of {layer.op}, as older kernels expect"),
            ("ptq-wo8", "weights are made floats first, and a float kernel computes"),
            ("ptq-int8-io", "an integer kernel computes"),
        ]
    else:
        wanted = [
            ("ptq-default", "activations stay floats, so that a hybrid or float kernel computes"),
            ("ptq-int16x8", "the 16-bit kernel computes"),
        ]
    return _existing(wanted, situation)


# --------------------------------------------------------------------------------------------------------------- a loss

_FOR_CAUSE: dict[str, list[tuple[str, str]]] = {
    "saturation": [
        ("qat-int8-io", "training learns the ranges, and calibration has missed some"),
        ("ptq-int16x8", "16-bit activations hold a wider range at finer steps"),
    ],
    "outlier-channels": [
        ("ptq-int16x8", "65,536 steps leave enough to the small channels"),
        ("ptq-default", "activations stay floats, so that no channel takes another's range"),
        ("qat-int8-io", "training moves what an outlier costs"),
    ],
    "long-tail": [
        ("ptq-int16x8", "65,536 steps leave enough to the bulk"),
        ("qat-int8-io", "training learns a narrower range where the tail is worth little"),
    ],
    "wide-range": [
        ("qat-int8-io", "training learns the range that is used"),
        ("ptq-int16x8", "65,536 steps are enough also of a part of the range"),
    ],
    "per-tensor-weights": [
        ("ptq-int8-io", "each channel of the weights gets a scale of its own"),
        ("ptq-default", "each channel of the weights gets a scale of its own, activations stay floats"),
    ],
    "few-weight-bits": [
        ("ptq-aeq-dyn8", "8 bits in place of 4"),
        ("ptq-int8-io", "8 bits in place of 4, and an integer kernel"),
    ],
    "weights": [
        ("qat-int8-io", "training moves the weights to where rounding costs least"),
        ("ptq-float16", "weights keep 11 bits"),
    ],
    "rounding": [
        ("ptq-int16x8", "16-bit activations round 256 times finer"),
        ("qat-int8-io", "training moves the weights to where rounding costs least"),
    ],
}
#: causes that other ranges help
_OF_RANGES = ("saturation", "wide-range")
#: a difference of scores that chance explains
_ALPHA = 0.05
#: a layer's own error above this needs nothing
_QUIET_DB = 35.0


def _for_loss(e: Explanation, situation: Situation) -> list[Advice]:
    if e.score is not None and (e.score == e.float_score or (e.lost_p is not None and e.lost_p > _ALPHA)):
        return []  # what cannot be told from no loss needs no remedy
    ranked = sorted(
        (layer for layer in e.layers if layer.loss is not None and layer.loss.error_left is not None),
        key=lambda layer: layer.loss.error_left if layer.loss and layer.loss.error_left is not None else 1.0,
    )
    # What a share's last step takes is no layer's fault: its type has no finer one.
    candidates = [layer for layer in ranked or worst_layers(e.layers) if layer.op not in SHARES]
    if not candidates or candidates[0].error is None:
        return []
    layer = candidates[0]
    error = layer.error
    if error is None or (e.score is None and (error.own_db is None or error.own_db > _QUIET_DB)):
        return []
    cause = cause_of(error, dtype=layer.dtype, weight_dtype=_weight_type(situation))
    if cause is None:
        return []
    found = _mixed(e, situation, cause)
    found += [
        Advice(what=f"recipe {recipe}", why=f"{layer.title}: {why}", command=situation.run(recipe))
        for recipe, why in _existing(_FOR_CAUSE[cause.name], situation)
    ]
    if cause.name in _OF_RANGES:
        found.append(
            Advice(
                what="calibration samples like those that are judged",
                why=f"{layer.title} meets other values than it was calibrated with; x_train in --data calibrates",
            )
        )
    return found


def _mixed(e: Explanation, situation: Situation, cause: Cause) -> list[Advice]:
    """Recipes that change few layers, which are smaller and faster than those that change all of them; before them the trained
    weights with other ranges, where ranges that training left are to blame."""
    if situation.key is None or situation.recipe == AS_IS:
        return []
    refused = [
        kind
        for recipe, kinds in SHOWN_BY.items()
        if situation.seen.get((recipe, situation.backend)) == "unsupported"
        for kind in kinds
    ]
    made = mixed_recipes(e, situation.recipe, cause.name, situation.units, refused)
    again = calibrated_again(situation.recipe) if cause.name in _OF_RANGES else None
    reasons = {one.recipe: one.why for one in ([again] if again is not None else []) + made}
    return [
        Advice(what=f"recipe {recipe}", why=why, command=situation.run(recipe))
        for recipe, why in _existing(list(reasons.items()), situation)
    ]


def _weight_type(situation: Situation) -> str | None:
    return next((kind for kind in situation.weight_types if kind in ("int4", "int2")), None)


def _existing(wanted: list[tuple[str, str]], situation: Situation) -> list[tuple[str, str]]:
    """Those that are recipes here, and not the one that was explained."""
    from harness.variants.recipe import parse_recipe

    found = []
    for name, why in wanted:
        try:
            parse_recipe(name)
        except UserInputError:
            continue
        told = situation.seen.get((name, situation.backend))
        if name == situation.recipe or told in _BAD:
            continue
        found.append((name, f"{why}; it was ok here in this run" if told == "ok" else why))
    return sorted(found, key=lambda one: not one[1].endswith("in this run"))


# ----------------------------------------------------------------------------------------------------------------- cost


def _for_cost(e: Explanation, situation: Situation) -> list[Advice]:
    """Only of times of the board's own clock: an emulator's say nothing of where a real one loses."""
    costs = [layer for layer in e.layers if layer.cost is not None]
    total = sum(layer.cost.value for layer in costs if layer.cost is not None)
    if not costs or total <= 0 or e.cost_basis not in (None, "device"):
        return []
    if e.beside is not None and e.whole_cost and e.whole_beside and e.whole_cost > _SLOWER * e.whole_beside:
        return [
            Advice(
                what=f"backend {e.beside}",
                why=f"without the delegate an inference is {e.whole_cost / e.whole_beside:.2g} times as fast",
                command=situation.here(backend=e.beside),
            )
        ]
    return []
