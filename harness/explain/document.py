"""An explanation as it is stored: plain values, one entry per layer, with how each was got."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from harness.core.errors import UserInputError
from harness.core.plain import from_plain, to_plain

#: version of the stored form and of `--json`
EXPLANATION_SCHEMA = 1

#: `exact`: every output is the nearest step; `rounding`: within a step, but not the nearest everywhere; `saturation`: only what
#: lies at an end of the range is off; `wrong kernel`: anything else beyond the bound; `right`: float outputs within the bound
Kind = Literal["exact", "rounding", "right", "saturation", "wrong kernel"]


@dataclass(frozen=True, kw_only=True)
class OpDivergence:
    """One op of a device against its definition, on the same inputs.

    Attributes:
        where: `alone`: cut out and run by itself; `in the model`: as it ran inside the whole model, given what the device itself
            had computed up to there.
        kind: None where nothing can be said, then `reason` says why.
        pattern: of a wrong op, what its errors look like, in words.
        unit: `steps` of the output's quantization, or `noise`: what rounding may amount to in a float output.
        beyond: share of outputs that are further off than a right kernel may be.
        not_nearest: share of outputs that are not the nearest step; None for float outputs.
        worst: the largest difference, in `unit`.
        gain, offset: of the line that fits the device's outputs to the right ones best (offset in `unit`).
        correlation: of the device's outputs with the right ones.
        histogram: of the differences in whole steps, [[-8, n], ..., [8, n]], both ends with all beyond; none for float outputs.
        worst_channel, worst_channel_error: index along the last axis, and RMS difference there in `unit`.
        worst_sample, worst_sample_error: position among the samples, and the same.
        samples, values: how many were compared.
    """

    where: Literal["alone", "in the model"]
    kind: Kind | None
    reason: str | None = None
    pattern: str | None = None
    unit: Literal["steps", "noise"] = "steps"
    beyond: float | None = None
    not_nearest: float | None = None
    worst: float | None = None
    gain: float | None = None
    offset: float | None = None
    correlation: float | None = None
    histogram: tuple[tuple[int, int], ...] = ()
    worst_channel: int | None = None
    worst_channel_error: float | None = None
    worst_sample: int | None = None
    worst_sample_error: float | None = None
    samples: int = 0
    values: int = 0

    @property
    def is_wrong(self) -> bool:
        return self.kind in ("saturation", "wrong kernel")


@dataclass(frozen=True, kw_only=True)
class LayerError:
    """A layer's quantization error against float, over real samples.

    Attributes:
        sqnr_db: of its output, with all that came in from layers before; None where there is no error at all.
        own_db: of what this layer itself adds, in all or in the median channel, whichever is worse: what its float weights and no
            rounding would give on the same inputs, against what it gives; None where it adds nothing.
        cosine: between the float outputs and these.
        from_weights, from_rounding, from_saturation: shares of its own error; they add up to 1 but for what they have in common.
        saturated: share of outputs beyond the range of its type.
        used: share of the type's range between the smallest and the largest output.
        bulk: share of the type's range in which 99.8 % of the outputs lie.
        bits: of these, the bits that tell them apart: log2 of the number of steps; None for float outputs.
        channel_spread: the largest channel's RMS over the median channel's.
        outliers: channels whose RMS is over four times the median channel's, with that factor, the largest first.
        weight_db: SQNR of the weights; None without float weights.
        weight_spread: largest magnitude of an output channel's weights over the smallest one's.
        weight_bits: of the output channel with the smallest weights, the bits that are left to them.
        per_channel: whether the weights have a scale per output channel; None without quantized weights.
    """

    sqnr_db: float | None
    own_db: float | None
    cosine: float | None
    from_weights: float | None = None
    from_rounding: float | None = None
    from_saturation: float | None = None
    saturated: float | None = None
    used: float | None = None
    bulk: float | None = None
    bits: float | None = None
    channel_spread: float | None = None
    outliers: tuple[tuple[int, float], ...] = ()
    weight_db: float | None = None
    weight_spread: float | None = None
    weight_bits: float | None = None
    per_channel: bool | None = None


@dataclass(frozen=True, kw_only=True)
class LayerLoss:
    """What putting this layer alone back to float gives.

    Attributes:
        regained: the score so, less the score of the quantized model, in the metric's unit; None without a metric.
        low, high: its 95 % interval, paired; None where the metric tells none.
        p: of the paired test.
        error_left: what is left of the outputs' squared error against float; above 1 where it got larger.
    """

    regained: float | None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    error_left: float | None = None


@dataclass(frozen=True, kw_only=True)
class LayerCost:
    """What a layer takes on the device.

    Attributes:
        value: nanoseconds, or instructions or cycles, per inference.
        beside: the same without the delegate; None where there is none.
        method: `alone`: its own model, timed; `prefix`: the difference of two models that end one after the other;
            `counter`: counted between the nodes of the whole model.
    """

    value: float
    beside: float | None = None
    method: Literal["alone", "prefix", "counter"] = "alone"


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One node of the model with what was found of it; None where that was not asked or cannot be told.

    Attributes:
        name: of its first output tensor.
        called: what a `mixed[...]` recipe calls it; None where the float model is not known by its recipe.
        ran_on: as the record's placement has it; None where nobody tells.
        cause: why its own error is as large as it is, in words; None where there is nothing to say.
    """

    node: int
    op: str
    name: str
    shape: tuple[int, ...] = ()
    dtype: str = ""
    called: str | None = None
    ran_on: str | None = None
    macs: int = 0
    alone: OpDivergence | None = None
    inside: OpDivergence | None = None
    error: LayerError | None = None
    loss: LayerLoss | None = None
    cost: LayerCost | None = None
    cause: str | None = None

    @property
    def title(self) -> str:
        return f"node {self.node} {self.op}"


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A delegate's partition run as a model of its own.

    Attributes:
        nodes: its first and last node.
        verdict: by the rule for whole models (harness/measure/rule.py); None where it was not run.
    """

    partition: int
    nodes: tuple[int, int]
    verdict: Literal["ok", "wrong", "undecided"] | None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Advice:
    """Something to try: what, why it should help, and the command or option, which exists."""

    what: str
    why: str
    command: str = ""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What was found of a model on a device.

    Attributes:
        asked: what was asked, in words.
        got: how each part was got, one sentence per part; says too what was left out and why.
        answer: one sentence.
        advice: the most promising first.
        compared_with: what the quantization error is against; None where it was not computed.
        is_quantized: False where nothing in the model is quantized.
        metric, unit: of the loss; None without one.
        score, float_score: of the quantized twin and of float, on the same samples, on this machine.
        lost, lost_low, lost_high, lost_p: the quantized score less float's, its 95 % interval and p, paired.
        loss_samples, error_samples, op_samples: how many samples each part had.
        cost_unit: `ns`, `instructions`, `cycles`; None where the cost is not known.
        cost_basis: the time basis of the cost, such as `device` or `guest-instructions`.
        whole_cost, whole_beside: of the whole model, measured as the layers were.
        whole: what the outputs of the whole model tell of the device, by the rule of `wrong`, on the samples of the ops.
        whole_reason: why it is not ok.
        whole_changed: these outputs change when inner tensors are looked at; None where that was not tried.
    """

    cell: str
    run: str | None
    asked: str
    answer: str
    device: str
    backend: str
    artifact_sha256: str | None
    got: tuple[str, ...] = ()
    advice: tuple[Advice, ...] = ()
    layers: tuple[Layer, ...] = ()
    pieces: tuple[Piece, ...] = ()
    first_wrong: int | None = None
    compared_with: str | None = None
    is_quantized: bool = True
    metric: str | None = None
    unit: str | None = None
    score: float | None = None
    float_score: float | None = None
    lost: float | None = None
    lost_low: float | None = None
    lost_high: float | None = None
    lost_p: float | None = None
    loss_samples: int = 0
    error_samples: int = 0
    op_samples: int = 0
    cost_unit: Literal["ns", "instructions", "cycles"] | None = None
    cost_basis: str | None = None
    whole_cost: float | None = None
    whole_beside: float | None = None
    beside: str | None = None
    whole: Literal["ok", "wrong", "undecided"] | None = None
    whole_reason: str | None = None
    whole_changed: bool | None = None
    schema: int = EXPLANATION_SCHEMA

    def to_json(self) -> dict[str, Any]:
        """JSON values; numbers that are not finite stand as `{"$float": "inf"}`."""
        return to_plain(self, {}, "explanation")

    @staticmethod
    def from_json(data: Any) -> Explanation:
        """The explanation that `to_json` wrote, also by a harness that knew less or more.

        Raises:
            UserInputError: it is none.
        """
        try:
            return from_plain(Explanation, data, {})
        except ValueError as error:
            raise UserInputError(
                f"a stored explanation cannot be read ({error})", hint="explain the cell again"
            ) from None
