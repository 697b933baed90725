"""The theory, shown: every stored scale and zero point beside the one that the affine equations give."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.tflite.arithmetic import WEIGHTED_OPS, is_integer, weights_of
from harness.tflite.graph import Graph, Node, Tensor
from harness.variants.affine import INTEGER_RANGES, Affine, asymmetric, symmetric, ulp_distance
from harness.variants.audit.ranges import RecordedRange, RecordedRanges
from harness.variants.audit.report import TheoryRow

#: sources of a row that no training backs: the range is the one that the stored scale stands for, or the weights' own
NOT_RECORDED = "not recorded"
OWN_EXTREMES = "dequantized extremes"

#: ops that only move values: the TFLite quantization specification demands that scale and zero point stay what they were
CARRYING_OPS = {
    "RESHAPE",
    "MAX_POOL_2D",
    "AVERAGE_POOL_2D",
    "TRANSPOSE",
    "SQUEEZE",
    "EXPAND_DIMS",
    "PAD",
    "PADV2",
    "CONCATENATION",
    "STRIDED_SLICE",
    "SLICE",
    "GATHER",
    "SPLIT",
    "PACK",
    "UNPACK",
    "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR",
    "SPACE_TO_BATCH_ND",
    "BATCH_TO_SPACE_ND",
    "SPACE_TO_DEPTH",
    "DEPTH_TO_SPACE",
    "MIRROR_PAD",
    "TILE",
    "REVERSE_V2",
}
#: ops whose output the specification fixes: op -> (scale and zero point for int8, for int16)
_FIXED_OPS: dict[str, tuple[tuple[float, int], tuple[float, int] | None]] = {
    "SOFTMAX": ((1 / 256, -128), (1 / 32768, 0)),
    "LOGISTIC": ((1 / 256, -128), (1 / 32768, 0)),
    "TANH": ((1 / 128, 0), (1 / 32768, 0)),
    "L2_NORMALIZATION": ((1 / 128, 0), None),
    "LOG_SOFTMAX": ((16 / 256, 127), None),
}


def theory_rows(graph: Graph, summary: dict[str, Any] | None) -> list[TheoryRow]:
    """A row for each quantized tensor of the main subgraph.

    Args:
        graph: the model.
        summary: what the training recorded (`harness.variants.qat.summary.describe`), or None: then weights are checked
            against their own dequantized extremes, biases against their factors, fixed and carried scales against the
            specification, and for other activations only the range that the stored scale stands for is shown.
    """
    recorded = RecordedRanges(summary, graph) if summary else None
    rows: list[TheoryRow] = []
    seen: set[int] = set()

    def add(row: TheoryRow | None) -> None:
        if row is not None and row.tensor not in seen:
            seen.add(row.tensor)
            rows.append(row)

    for index in graph.inputs:
        add(_activation_row(graph, graph.tensors[index], "input", recorded))
    for node in graph.nodes:
        weights = weights_of(graph, node)
        if weights is not None and weights.is_constant:
            add(_weight_row(node, weights, recorded))
            add(_bias_row(graph, node, weights))
        for tensor in graph.node_outputs(node):
            add(_activation_row(graph, tensor, "activation", recorded))
    return rows


def _row(
    tensor: Tensor,
    role: str,
    *,
    source: str,
    equation: str,
    computed: Affine | None = None,
    low: np.ndarray | float | None = None,
    high: np.ndarray | float | None = None,
    compare: np.ndarray | None = None,
) -> TheoryRow:
    """A row; `compare` is a mask of the channels whose scale the range really determines."""
    scales = np.asarray(tensor.scales, dtype=np.float32)
    mask = np.ones(scales.shape, dtype=bool) if compare is None else compare
    # The channel with the largest scale stands for all of them in the table; the worst one gives the distance.
    shown = int(np.argmax(np.where(mask, scales, -1))) if mask.any() else int(np.argmax(scales))
    ulp = computed_scale = computed_zero = None
    if computed is not None and mask.any():
        exact = np.broadcast_to(computed.scale, scales.shape)
        computed_scale = float(exact[shown])
        computed_zero = int(np.broadcast_to(computed.zero_point, scales.shape)[shown])
        ulp = ulp_distance(scales[mask], exact[mask])
    return TheoryRow(
        tensor=tensor.index,
        name=tensor.name,
        role=role,
        dtype=tensor.dtype,
        source=source,
        equation=equation,
        channels=len(tensor.scales),
        range_min=None if low is None else float(np.min(low)),
        range_max=None if high is None else float(np.max(high)),
        computed_scale=computed_scale,
        stored_scale=float(scales[shown]),
        computed_zero_point=computed_zero,
        stored_zero_point=tensor.zero_points[shown],
        ulp=ulp,
    )


def _weight_row(node: Node, weights: Tensor, recorded: RecordedRanges | None) -> TheoryRow | None:
    if not is_integer(weights):
        return None
    bits = weights.bits or 8
    found = recorded.weights(node, len(weights.scales)) if recorded else ""
    if isinstance(found, RecordedRange) and found.low.size in (1, len(weights.scales)):
        return _recorded_weight_row(weights, found, bits)
    return _own_extremes_row(weights, bits, found if isinstance(found, str) else "recorded otherwise")


def _recorded_weight_row(weights: Tensor, found: RecordedRange, bits: int) -> TheoryRow:
    if any(weights.zero_points) or not found.symmetric:
        return _row(
            weights,
            "weights",
            source=found.source,
            equation="S = (max - min) / (q_max - q_min)",
            low=found.low,
            high=found.high,
            computed=asymmetric(found.low, found.high, weights.dtype, narrow_range=found.narrow_range),
        )
    return _row(
        weights,
        "weights",
        source=found.source,
        equation=f"S = max|w| / {2 ** (bits - 1) - 1}",
        computed=symmetric(found.low, found.high, bits=bits),
        low=found.low,
        high=found.high,
    )


def _own_extremes_row(weights: Tensor, bits: int, why: str) -> TheoryRow:
    """Weights against themselves: a channel whose largest integer is not the highest one had a wider range recorded."""
    low, high = integer_extremes(weights)
    scales = np.asarray(weights.scales, dtype=np.float64)
    zeros = np.asarray(weights.zero_points, dtype=np.float64)
    real_low, real_high = scales * (low - zeros), scales * (high - zeros)
    q_max = 2 ** (bits - 1) - 1
    full = np.maximum(np.abs(low), np.abs(high)) == q_max
    return _row(
        weights,
        "weights",
        source=f"{OWN_EXTREMES}{f' ({why})' if why else ''}",
        equation=f"S = max|w| / {q_max}",
        computed=None if any(weights.zero_points) else symmetric(real_low, real_high, bits=bits),
        low=real_low,
        high=real_high,
        compare=full,
    )


def integer_extremes(weights: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest stored integer of each channel, or of the whole tensor where it has one scale."""
    values = weights.data()
    axis = weights.quantized_dimension
    if weights.per_channel and 0 <= axis < values.ndim and values.shape[axis] == len(weights.scales):
        flat = np.moveaxis(values, axis, 0).reshape(len(weights.scales), -1)
    else:
        flat = values.reshape(1, -1)
    if flat.shape[1] == 0:
        return np.zeros(len(flat)), np.zeros(len(flat))
    return flat.min(axis=1).astype(np.float64), flat.max(axis=1).astype(np.float64)


def _bias_row(graph: Graph, node: Node, weights: Tensor) -> TheoryRow | None:
    """The bias is the last input of the node; its scale is the product of its factors' scales."""
    position = 3 if node.op == "TRANSPOSE_CONV" else 2
    bias, source = graph.input_at(node, position), graph.input_at(node, WEIGHTED_OPS[node.op][0])
    if bias is None or source is None or bias.dtype not in ("int32", "int64") or not bias.is_quantized:
        return None
    if not is_integer(source) or len(bias.scales) not in (1, len(weights.scales)):
        return None
    product = np.float64(source.scales[0]) * np.asarray(weights.scales, dtype=np.float64)
    if len(bias.scales) == 1 and product.size > 1:
        product = product[:1]
    return _row(
        bias,
        "bias",
        source=f"scales of tensors {source.index} and {weights.index}",
        equation="S = S_input * S_weight",
        computed=Affine(scale=product, zero_point=np.zeros(product.shape, dtype=np.int64)),
    )


def _kept_float_weights_row(tensor: Tensor, recorded: RecordedRanges | None) -> TheoryRow | None:
    """A QAT model that was converted without optimization quantizes its float weights each time it runs."""
    found = recorded.learned_weights(tensor) if recorded else None
    if found is None or found.low.size not in (1, len(tensor.scales)):
        return None
    computed = symmetric(found.low, found.high, bits=tensor.bits or 8)
    if tensor.dtype == "uint8":
        computed = Affine(scale=computed.scale, zero_point=computed.zero_point + 128)
    return _row(
        tensor,
        "weights",
        source=found.source,
        equation="S = max|w| / 127",
        computed=computed,
        low=found.low,
        high=found.high,
    )


def _activation_row(graph: Graph, tensor: Tensor, role: str, recorded: RecordedRanges | None) -> TheoryRow | None:
    if not is_integer(tensor) or tensor.is_constant:
        return None
    producer = graph.producers.get(tensor.index)
    if producer and producer.op == "QUANTIZE" and (source := graph.input_at(producer, 0)) and source.is_constant:
        return _kept_float_weights_row(tensor, recorded)
    fixed = _FIXED_OPS.get(producer.op) if producer else None
    given = fixed[1 if tensor.dtype == "int16" else 0] if fixed else None
    if producer and given and tensor.dtype in ("int8", "int16", "uint8"):
        scale, zero = given
        zero += 128 if tensor.dtype == "uint8" else 0
        return _row(
            tensor,
            role,
            source=f"specification of {producer.op}",
            equation="given",
            computed=Affine(scale=np.array([scale]), zero_point=np.array([zero])),
        )
    if producer and producer.op in CARRYING_OPS:
        before = next((t for t in graph.node_inputs(producer) if is_integer(t) and not t.is_constant), None)
        if before is not None and before.dtype == tensor.dtype:
            return _row(
                tensor,
                role,
                source=f"carried from tensor {before.index}",
                equation=f"S = S of the input of {producer.op}",
                computed=Affine(scale=np.array(before.scales[:1]), zero_point=np.array(before.zero_points[:1])),
            )
    found = recorded.activation(tensor) if recorded else None
    if found is not None and found.low.size == 1:
        return _row(
            tensor,
            role,
            source=found.source,
            low=found.low,
            high=found.high,
            equation="S = max|r| / 32767" if tensor.dtype == "int16" else "S = (max - min) / 255",
            computed=asymmetric(found.low, found.high, tensor.dtype),
        )
    q_min, q_max = INTEGER_RANGES[tensor.dtype]
    return _row(
        tensor,
        role,
        source=NOT_RECORDED,
        equation="r = S (q - Z)",
        low=tensor.scales[0] * (q_min - tensor.zero_points[0]),
        high=tensor.scales[0] * (q_max - tensor.zero_points[0]),
    )
