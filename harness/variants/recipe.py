"""Recipes: one way to quantize a model = training x conversion, as one table of data.

A recipe is named `TRAINING-CONVERSION`, such as `ptq-int8-io`, `qat-dense-default`, `qat-q[allvalues-pc,w4]-int8-io` or
`ptq-int8-io-dynbatch`; or `mixed[...]`, which says what each layer is to be (`harness.variants.mix`). Behind it may stand how its
activations are calibrated: `ptq-int8-io-cal[random,50,seed3]`. Nothing here imports TensorFlow; `harness.variants.convert.ptq`
and `harness.variants.qat.training` read these tables and do what they say.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from harness.core.errors import UserInputError, unknown_name
from harness.variants.calibration import Calibration, parse_calibration
from harness.variants.mix import Mix, parse_mix
from harness.variants.scheme import Scheme, parse_scheme

QuantizerKind = Literal["last", "allvalues", "movavg", "allvalues-pc"]
IoType = Literal["float32", "int8", "uint8", "int16"]
#: what the arithmetic of a model is expected to be once converted; `mixed`: each layer as its recipe says
Arithmetic = Literal["float", "hybrid", "integer", "mixed"]


@dataclass(frozen=True, kw_only=True)
class Quantizer:
    """A named QAT quantizer and its settings, as written inside `qat-q[...]`.

    `allvalues-pc` is this project's per-axis AllValues quantizer; the other kinds are TFMOT's. Defaults are those of
    TFMOT's 8-bit scheme: per-tensor, symmetric weights, narrow range, 8-bit weights and activations.
    """

    kind: QuantizerKind
    per_channel: bool = False
    symmetric: bool = True
    narrow_range: bool = True
    weight_bits: int = 8
    activation_bits: int = 8

    @property
    def text(self) -> str:
        """The canonical form between the brackets; defaults are left out."""
        default = Quantizer(kind=self.kind, per_channel=self.kind == "allvalues-pc")
        words: list[str] = [self.kind]
        if self.per_channel != default.per_channel:
            words.append("per-channel" if self.per_channel else "per-tensor")
        if self.symmetric != default.symmetric:
            words.append("asymmetric")
        if self.narrow_range != default.narrow_range:
            words.append("full")
        if self.weight_bits != 8:
            words.append(f"w{self.weight_bits}")
        if self.activation_bits != 8:
            words.append(f"a{self.activation_bits}")
        return ",".join(words)


@dataclass(frozen=True, kw_only=True)
class Training:
    """How the weights come about.

    `base`: `float` (the float model as trained), `finetune` (the control: the float model trained on with exactly the
    steps that QAT gets) or `qat`. `scope`: which layers QAT annotates: all that TFMOT can, Dense, or the named `layers`.
    `simulated`: what training rounds to where the project's own straight-through training takes the place of TFMOT's
    (`qat-sim[...]`).
    """

    name: str
    base: Literal["float", "finetune", "qat"]
    scope: Literal["none", "model", "dense", "layers"] = "none"
    quantizer: Quantizer | None = None
    layers: tuple[str, ...] = ()
    simulated: Scheme | None = None


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """How trained weights become a .tflite file.

    Attributes:
        converter: `tflite` (TFLiteConverter), `aeq` (AI Edge Quantizer over the float .tflite) or `mixed` (the same, each layer
            as `mix` says).
        optimize: TFLiteConverter's `Optimize.DEFAULT`.
        representative: a representative dataset calibrates activations.
        integer_only: only integer kernels are allowed (`TFLITE_BUILTINS_INT8`, or the 16x8 set).
        per_channel_dense: False asks for per-tensor FULLY_CONNECTED weights.
        per_channel: False asks for per-tensor weights everywhere.
        aeq_recipe: the name of AI Edge Quantizer's own recipe.
        arithmetic: what a float-trained model is promised to compute in; the audit checks the promise.
        simulated: the model stays in float, with its weights (and activations) rounded as this scheme would (`sim[...]`).
    """

    name: str
    converter: Literal["tflite", "aeq", "mixed"] = "tflite"
    optimize: bool = False
    representative: bool = False
    integer_only: bool = False
    float16: bool = False
    int16_activations: bool = False
    io_type: IoType = "float32"
    per_channel: bool = True
    per_channel_dense: bool = True
    aeq_recipe: str | None = None
    arithmetic: Arithmetic = "float"
    mix: Mix | None = None
    simulated: Scheme | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON. `mix` and `simulated` are there where there is one only: keys of caches are made of this."""
        rare = {name for name in ("mix", "simulated") if getattr(self, name) is None}
        return {name: value for name, value in asdict(self).items() if name not in rare}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Training x conversion; `dynamic_batch` converts without a fixed batch of 1, to show what that costs; `calibration` says
    which samples calibrate, None for the workload's own choice."""

    training: Training
    conversion: Conversion
    dynamic_batch: bool = False
    calibration: Calibration | None = None

    @property
    def name(self) -> str:
        mix = self.conversion.mix
        if mix is not None and self.training.scope == "layers":
            base = f"mixed[{mix.text},qat={'+'.join(self.training.layers)}]"
        elif mix is not None and self.training.base == "float":
            base = self.conversion.name
        elif self.training.simulated is not None and mix is None:
            base = f"qat-{self.conversion.name}"
        else:
            base = f"{self.training.name}-{self.conversion.name}"
        name = base + ("-dynbatch" if self.dynamic_batch else "")
        return name if self.calibration is None else f"{name}-cal[{self.calibration.text}]"

    @property
    def promised_arithmetic(self) -> Arithmetic:
        """What this recipe promises. QAT with Optimize.DEFAULT promises the integer model: its ranges are trained."""
        if self.training.base == "qat" and self.conversion.name in ("default", "default-pt"):
            return "integer"
        return self.conversion.arithmetic


TRAININGS: dict[str, Training] = {
    t.name: t
    for t in (
        Training(name="ptq", base="float"),
        Training(name="ft", base="finetune"),
        Training(name="qat", base="qat", scope="model"),
        Training(name="qat-dense", base="qat", scope="dense"),
    )
}

CONVERSIONS: dict[str, Conversion] = {
    c.name: c
    for c in (
        Conversion(name="float32"),
        Conversion(name="default", optimize=True, arithmetic="hybrid"),
        Conversion(name="default-pt", optimize=True, per_channel_dense=False, arithmetic="hybrid"),
        Conversion(name="float16", optimize=True, float16=True),
        Conversion(name="int8", optimize=True, representative=True, integer_only=True, arithmetic="integer"),
        Conversion(
            name="int8-io", optimize=True, representative=True, integer_only=True, io_type="int8", arithmetic="integer"
        ),
        Conversion(
            name="uint8-io",
            optimize=True,
            representative=True,
            integer_only=True,
            io_type="uint8",
            arithmetic="integer",
        ),
        Conversion(
            name="int8-pt-io",
            optimize=True,
            representative=True,
            integer_only=True,
            io_type="int8",
            per_channel=False,
            per_channel_dense=False,
            arithmetic="integer",
        ),
        Conversion(
            name="int16x8",
            optimize=True,
            representative=True,
            integer_only=True,
            int16_activations=True,
            arithmetic="integer",
        ),
        Conversion(name="wo8", converter="aeq", aeq_recipe="weight_only_wi8_afp32"),
        Conversion(name="aeq-dyn8", converter="aeq", aeq_recipe="dynamic_wi8_afp32", arithmetic="hybrid"),
        Conversion(name="aeq-dyn4", converter="aeq", aeq_recipe="dynamic_wi4_afp32", arithmetic="hybrid"),
        Conversion(
            name="aeq-static8",
            converter="aeq",
            aeq_recipe="static_wi8_ai8",
            representative=True,
            io_type="int8",
            arithmetic="integer",
        ),
    )
}

CORE = (
    "ptq-float32",
    "ptq-default",
    "ptq-default-pt",
    "ptq-float16",
    "ptq-wo8",
    "ptq-int8",
    "ptq-int8-io",
    "ptq-int16x8",
    "ptq-aeq-dyn8",
    "ft-float32",
    "ft-int8-io",
    "qat-default",
    "qat-int8-io",
    "qat-dense-default",
    "qat-dense-int8-io",
)

#: beyond `core`: the rest of the published matrix, the per-axis question, 4-bit QAT, and what a dynamic batch costs
_MORE = (
    "ptq-uint8-io",
    "ptq-int8-pt-io",
    "ptq-aeq-dyn4",
    "ptq-aeq-static8",
    "ptq-float32-dynbatch",
    "ptq-int8-io-dynbatch",
    "ft-default",
    "ft-int8",
    "ft-float16",
    "qat-float32",
    "qat-float16",
    "qat-int8",
    "qat-int16x8",
    "qat-default-pt",
    "qat-dense-float32",
    "qat-dense-float16",
    "qat-dense-int8",
    "qat-dense-int16x8",
    "qat-q[last]-int8-io",
    "qat-q[last,per-channel]-int8-io",
    "qat-q[movavg]-int8-io",
    "qat-q[movavg,per-channel]-int8-io",
    "qat-q[allvalues]-int8-io",
    "qat-q[allvalues,per-channel]-int8-io",
    "qat-q[allvalues,asymmetric]-default",
    "qat-q[allvalues-pc]-int8-io",
    "qat-q[allvalues-pc,w4]-int8-io",
)

#: what a training that stands in no list above is converted to for `all`
_OF_A_TRAINING = ("float32", "int8-io")


def _unlisted(listed: tuple[str, ...]) -> Iterator[str]:
    """Recipes of rows that no list names, so that a new row of a table is known everywhere without a second edit: a conversion
    of the float model, a training in float32 and in int8."""
    for conversion in CONVERSIONS:
        if not any(f"{training}-{conversion}" in listed for training in TRAININGS):
            yield f"ptq-{conversion}"
    for training in TRAININGS:
        if not any(f"{training}-{conversion}" in listed for conversion in CONVERSIONS):
            yield from (f"{training}-{conversion}" for conversion in _OF_A_TRAINING)


ALL: tuple[str, ...] = (*CORE, *_MORE, *_unlisted(CORE + _MORE))

_SUITES = {"core": CORE, "all": ALL}
_QUANTIZER_NAME = re.compile(r"^qat-q\[([^\]]*)\]$")
_MIXED_NAME = re.compile(r"^(?:(.+)-)?mixed\[([^\[\]]*)\]$")
_SIMULATED_NAME = re.compile(r"^(?:([a-z-]+)-)?sim\[([^\]]*)\]$")
_WITH_BRACKETS = re.compile(r"^([a-z-]+\[[^\]]*\])-(.+)$")
_CALIBRATED_NAME = re.compile(r"^(.+)-cal\[([^\]]*)\]$")
_QUANTIZER_KINDS: tuple[QuantizerKind, ...] = get_args(QuantizerKind)
_QUANTIZER_FLAGS: dict[str, Callable[[Quantizer], Quantizer]] = {
    "per-tensor": lambda quantizer: replace(quantizer, per_channel=False),
    "per-channel": lambda quantizer: replace(quantizer, per_channel=True),
    "symmetric": lambda quantizer: replace(quantizer, symmetric=True),
    "asymmetric": lambda quantizer: replace(quantizer, symmetric=False),
    "narrow": lambda quantizer: replace(quantizer, narrow_range=True),
    "full": lambda quantizer: replace(quantizer, narrow_range=False),
}


def parse_quantizer(text: str) -> Quantizer:
    """Reads what stands inside `qat-q[...]`: a kind, then options in any order, separated by commas.

    Options: `per-tensor | per-channel`, `symmetric | asymmetric`, `narrow | full`, `wN` and `aN` (bits, 2 to 16).

    Raises:
        UserInputError: for an unknown kind or option.
    """
    word, *options = [word.strip() for word in text.split(",")]
    kind = next((known for known in _QUANTIZER_KINDS if known == word), None)
    if kind is None:
        raise unknown_name("quantizer", word, _QUANTIZER_KINDS)
    quantizer = Quantizer(kind=kind, per_channel=kind == "allvalues-pc")
    for option in options:
        quantizer = _with_option(quantizer, option)
    if quantizer.kind == "allvalues-pc" and not quantizer.per_channel:
        raise UserInputError("quantizer 'allvalues-pc' is per-channel by definition", hint="use allvalues,per-tensor")
    return quantizer


def _with_option(quantizer: Quantizer, option: str) -> Quantizer:
    """The quantizer with one word of the brackets applied."""
    if option in _QUANTIZER_FLAGS:
        return _QUANTIZER_FLAGS[option](quantizer)
    bits = re.fullmatch(r"([wa])(\d+)", option)
    if bits and 2 <= int(bits[2]) <= 16:
        count = int(bits[2])
        return replace(quantizer, weight_bits=count) if bits[1] == "w" else replace(quantizer, activation_bits=count)
    raise unknown_name("quantizer option", option, [*_QUANTIZER_FLAGS, "w4", "w8", "a8", "a16"])


def parse_recipe(name: str) -> Recipe:
    """The recipe of one exact name.

    Raises:
        UserInputError: when training, conversion or quantizer is unknown; the nearest names are suggested.
    """
    calibrated = _CALIBRATED_NAME.match(name)
    if calibrated:
        return _calibrated(parse_recipe(calibrated[1]), parse_calibration(calibrated[2]))
    base, dynamic_batch = (name[: -len("-dynbatch")], True) if name.endswith("-dynbatch") else (name, False)
    mixed = _MIXED_NAME.match(base)
    if mixed:
        prefix = _training(mixed[1] or "ptq")
        if prefix is None:
            raise unknown_name("recipe", name, ALL)
        return replace(_mixed(prefix, mixed[2]), dynamic_batch=dynamic_batch)
    simulated = _SIMULATED_NAME.match(base)
    if simulated and simulated[1] in _SIMULATED_TRAININGS:
        recipe = _simulated(simulated[1], parse_scheme(simulated[2]))
        return replace(recipe, dynamic_batch=dynamic_batch)
    bracketed = _WITH_BRACKETS.match(base)
    if bracketed:
        training, rest = _training(bracketed[1]), bracketed[2]
    else:
        # Longest training name first: `qat-dense-int8` is qat-dense + int8, not qat + dense-int8.
        prefixes = sorted((t for t in TRAININGS if base.startswith(t + "-")), key=len, reverse=True)
        training, rest = (TRAININGS[prefixes[0]], base[len(prefixes[0]) + 1 :]) if prefixes else (None, base)
    if training is None or training.simulated is not None or rest not in CONVERSIONS:
        raise unknown_name("recipe", name, ALL)
    return Recipe(training=training, conversion=CONVERSIONS[rest], dynamic_batch=dynamic_batch)


def _training(name: str) -> Training | None:
    """The training of one exact name, of the table or with its settings in brackets; None for no such.

    Raises:
        UserInputError: brackets that cannot be read.
    """
    quantized = _QUANTIZER_NAME.match(name)
    if quantized:
        quantizer = parse_quantizer(quantized[1])
        return Training(name=f"qat-q[{quantizer.text}]", base="qat", scope="model", quantizer=quantizer)
    simulated = _SIMULATED_NAME.match(name)
    if simulated and simulated[1] == "qat":
        scheme = parse_scheme(simulated[2])
        return Training(name=f"qat-sim[{scheme.text}]", base="qat", simulated=scheme)
    return TRAININGS.get(name)


def _mixed(training: Training, text: str) -> Recipe:
    """The recipe of `mixed[TEXT]`, whose layers of `qat=` are a training of their own."""
    mix, layers = parse_mix(text)
    conversion = Conversion(
        name=f"mixed[{mix.text}]", converter="mixed", representative=mix.is_calibrated, arithmetic="mixed", mix=mix
    )
    if not layers:
        return Recipe(training=training, conversion=conversion)
    if training.base != "float":
        raise UserInputError(
            f"mixed[...,qat={'+'.join(layers)}] says itself what is trained, and '{training.name}-' in front of it another",
            hint="leave one of the two out",
        )
    named = Training(name=f"qat-layers[{'+'.join(layers)}]", base="qat", scope="layers", layers=layers)
    return Recipe(training=named, conversion=conversion)


def plain_recipe(name: str) -> Recipe:
    """The recipe whose model has the weights of another before anything was rounded, in the float graph, without fake quantizers.

    After quantization-aware training that is `mixed[float]` of the same training: `float32` there keeps what training rounds by.
    What is equalised before it is quantized is so there, too.

    Raises:
        UserInputError: no recipe.
    """
    recipe = parse_recipe(name)
    mix = recipe.conversion.mix
    if mix is not None and mix.equalise:
        return Recipe(training=recipe.training, conversion=parse_recipe("mixed[float,equalise]").conversion)
    if recipe.training.base != "qat":
        return Recipe(training=recipe.training, conversion=CONVERSIONS["float32"])
    return Recipe(training=recipe.training, conversion=parse_recipe("mixed[float]").conversion)


#: trainings whose models can be rounded without a kernel; `qat` then trains by the very same rounding
_SIMULATED_TRAININGS = ("ptq", "ft", "qat")


def _simulated(training: str, scheme: Scheme) -> Recipe:
    conversion = Conversion(
        name=f"sim[{scheme.text}]", representative=scheme.activation_bits is not None, simulated=scheme
    )
    trained = _training(f"qat-sim[{scheme.text}]") if training == "qat" else TRAININGS[training]
    assert trained is not None
    return Recipe(training=trained, conversion=conversion)


def _calibrated(recipe: Recipe, calibration: Calibration) -> Recipe:
    """The recipe with a calibration of its own.

    Raises:
        UserInputError: nothing of it is calibrated, or it has one already.
    """
    if recipe.calibration is not None:
        raise UserInputError(f"'{recipe.name}' says how it is calibrated already", hint="leave one -cal[...] out")
    if not recipe.conversion.representative:
        raise UserInputError(
            f"'{recipe.name}' calibrates nothing, so that no choice of samples applies to it",
            hint="take a calibrated conversion, such as int8-io",
        )
    return replace(recipe, calibration=calibration)


def select_recipes(patterns: Iterable[str]) -> list[Recipe]:
    """The recipes that names, globs (`*`, `?`) and the sets `core` and `all` stand for, in table order, each once.

    Globs match the names of `all`; any valid exact name may be asked for beyond that. Brackets are literal.

    Raises:
        UserInputError: for a name or glob that matches nothing.
    """
    chosen: dict[str, Recipe] = {}
    for pattern in patterns:
        if pattern in _SUITES:
            names: Iterable[str] = _SUITES[pattern]
        elif "*" in pattern or "?" in pattern:
            names = [n for n in ALL if fnmatch.fnmatchcase(n, pattern.replace("[", "[[]"))]
            if not names:
                raise unknown_name("recipe", pattern, ALL)
        else:
            names = [pattern]
        for name in names:
            recipe = parse_recipe(name)
            chosen.setdefault(recipe.name, recipe)
    order = {name: position for position, name in enumerate(ALL)}
    return sorted(chosen.values(), key=lambda r: (order.get(r.name, len(order)), r.name))
