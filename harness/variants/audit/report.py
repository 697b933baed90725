"""What an audit says, as plain data: rows for tables, findings, JSON."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from harness.core.finding import Finding

AUDIT_VERSION = 2


@dataclass(frozen=True, kw_only=True)
class LayerRow:
    """One Keras layer and what its quantization wrapper added.

    Attributes:
        added: one line per kind of added variable: `{"variable", "count", "shape", "purpose"}`.
        running_params: parameters of this layer and all before it.
        has_kernel: the layer owns weights that a weight quantizer could apply to.
        asked, got: the weight quantizer that the recipe names, and what the variables show; "" where nothing was asked.
    """

    name: str
    layer_class: str
    wrapped: bool
    quantize_config: str | None
    float_params: int
    added_params: int
    params: int
    running_params: int
    has_kernel: bool
    weight_quantizer: str
    output_range: str
    added: list[dict[str, Any]] = field(default_factory=list)
    asked: str = ""
    got: str = ""


@dataclass(frozen=True, kw_only=True)
class OpRow:
    """One node of a .tflite: what it computes in and with which types."""

    node: int
    op: str
    version: int
    arithmetic: str
    inputs: str
    outputs: str


@dataclass(frozen=True, kw_only=True)
class TensorRow:
    """One tensor of a .tflite. `scale` and `zero_point` are texts: per-channel ones are shown as a span.

    `granularity` is `per-tensor`, `per-channel (N)` or `-`.
    """

    tensor: int
    name: str
    role: str
    dtype: str
    bits: int | None
    shape: list[int]
    granularity: str
    scale: str
    zero_point: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class TheoryRow:
    """Recorded range -> computed scale and zero point -> stored ones.

    Attributes:
        source: where the range came from.
        equation: how the scale follows from it.
        range_min, range_max: the range (of all channels together).
        ulp: |stored - computed| in units in the last place of float32, the worst channel; 0.5 or less means that the stored
            scale is the computed one, correctly rounded. None when there is no range to compute from.
    """

    tensor: int
    name: str
    role: str
    dtype: str
    source: str
    equation: str
    channels: int
    range_min: float | None
    range_max: float | None
    computed_scale: float | None
    stored_scale: float
    computed_zero_point: int | None
    stored_zero_point: int
    ulp: float | None


@dataclass(frozen=True, kw_only=True)
class AuditReport:
    """The audit of one model. `kind`: `tflite`, or `keras` for a Keras model (quantization-aware or not).

    `facts` are the headline values: sizes, counts, input and output types, promised and found arithmetic.
    """

    target: str
    kind: Literal["tflite", "keras"]
    recipe: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    layers: list[LayerRow] = field(default_factory=list)
    ops: list[OpRow] = field(default_factory=list)
    tensors: list[TensorRow] = field(default_factory=list)
    theory: list[TheoryRow] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values; numbers that JSON cannot hold become None."""
        return {"version": AUDIT_VERSION, **_plain(asdict(self))}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


_ORDER = {"error": 0, "warning": 1, "info": 2}


def sorted_findings(findings: list[Finding]) -> list[Finding]:
    """Errors first, then warnings, then the rest; otherwise in the order found, which is that of the model."""
    return sorted(findings, key=lambda finding: _ORDER[finding.severity])
