"""A float .tflite quantized as a `mixed[...]` recipe says: each op by itself, by AI Edge Quantizer. Needs no TensorFlow.

The quantizer knows ops by the names of the tensors that they write, takes ranges from us, and puts QUANTIZE and DEQUANTIZE where
two neighbours differ. What it has no integer form for stays in float; the audit reads from the file what every layer got.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.core.errors import UnsupportedError
from harness.tflite.arithmetic import WEIGHTED_OPS
from harness.tflite.graph import Graph, read_graph
from harness.variants.convert.equalise import Equalised, equalise
from harness.variants.convert.layers import LayerOp, OpChoice, layer_ops, resolve
from harness.variants.convert.ranges import Range, tensor_ranges
from harness.variants.mix import LayerKind, Mix
from harness.variants.refusals import converter_reason
from harness.workloads.rows import Arrays

#: how AI Edge Quantizer calls an op, where that is not as the schema does
_THEIR_NAMES = {"TRANSPOSE_CONV": "CONV_2D_TRANSPOSE"}
_ACTIVATION_BITS = {"int8": 8, "int16": 16}


@dataclass(frozen=True, kw_only=True)
class MixedModel:
    """A quantized model and how it came about.

    Attributes:
        notes: JSON: `equalised`, the pairs of layers whose weights were evened with the largest factor, None where nobody asked;
            `samples`, how many samples calibrated it; `ranges`, how many tensors have a range.
    """

    model: bytes
    notes: dict[str, Any]


def quantize_mixed(float_model: bytes, mix: Mix, layers: Sequence[str], samples: Arrays | None) -> MixedModel:
    """Quantizes a float model.

    Args:
        float_model: a float .tflite.
        layers: the names of the Keras model's layers, in its order.
        samples: the calibration samples in the types of the model's inputs; None where the mix needs none.

    Raises:
        UnsupportedError: the mix names a layer that the model has not, or the quantizer refuses.
    """
    evened = equalise(float_model) if mix.equalise else None
    model = evened.model if evened is not None else float_model
    graph = read_graph(model)
    ops = layer_ops(graph, layers)
    choices = resolve(mix, ops)
    ranges: dict[str, Range] = {}
    if mix.is_calibrated and samples is not None:
        ranges = tensor_ranges(model, samples, mix, exact=_wide_tensors(graph, ops, choices))
    data = _quantized(model, _recipe(model, mix, graph, ops, choices), ranges, graph)
    notes = {
        "equalised": None if evened is None else _equalised_notes(evened, ops),
        "samples": 0 if samples is None or not ranges else len(samples),
        "ranges": len(ranges),
    }
    return MixedModel(model=data, notes=notes)


def _equalised_notes(evened: Equalised, ops: Sequence[LayerOp]) -> dict[str, Any]:
    names = {op.node.index: op.name for op in ops}
    pairs = [[names[pair.first.index], names[pair.second.index]] for pair in evened.pairs]
    return {"pairs": pairs, "most": evened.most}


def _wide_tensors(graph: Graph, ops: Sequence[LayerOp], choices: Sequence[OpChoice]) -> frozenset[str]:
    """The tensors that no int8 op touches: their ranges need no narrowing."""
    touched: dict[str, set[LayerKind]] = {}
    for op, choice in zip(ops, choices, strict=True):
        for index in (*op.node.inputs, *op.node.outputs):
            if index >= 0:
                touched.setdefault(graph.tensors[index].name, set()).add(choice.kind)
    return frozenset(name for name, kinds in touched.items() if "int8" not in kinds)


# -------------------------------------------------------------------------------------------- the quantizer's own recipe


def _recipe(
    model: bytes, mix: Mix, graph: Graph, ops: Sequence[LayerOp], choices: Sequence[OpChoice]
) -> list[dict[str, Any]]:
    """One entry per op that is to be quantized, and one for each end of the model that is to be integer."""
    from ai_edge_litert.tools import flatbuffer_utils
    from ai_edge_quantizer.utils import tfl_flatbuffer_utils

    parsed = flatbuffer_utils.read_model_from_bytearray(bytearray(model)).subgraphs[0]
    entries = []
    for op, choice in zip(ops, choices, strict=True):
        config = _config(op.node.op, choice)
        if config is not None:
            scope = tfl_flatbuffer_utils.get_op_scope(parsed.operators[op.node.index], parsed.tensors)
            entries.append(_entry(scope, _THEIR_NAMES.get(op.node.op, op.node.op), config))
    for key, tensors, kind in _ends(mix, graph, ops, choices):
        scope = ";".join(graph.tensors[index].name for index in tensors) + ";"
        entries.append(_entry(scope, key, _integer(kind)))
    return [entry for entry in entries if _is_taken(entry)]


def _entry(scope: str, operation: str, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "regex": f"^{re.escape(scope)}$",
        "operation": operation,
        "algorithm_key": "min_max_uniform_quantize",
        "op_config": config,
    }


def _is_taken(entry: dict[str, Any]) -> bool:
    """Whether the quantizer has such a form of this op; one that it has not stays in float."""
    from ai_edge_quantizer import algorithm_manager, qtyping

    try:
        operation = qtyping.TFLOperationName(entry["operation"])
        config = qtyping.OpQuantizationConfig.from_dict(entry["op_config"])
        algorithm_manager.check_op_quantization_config(entry["algorithm_key"], operation, config)
    except ValueError:
        return False
    return True


def _config(op: str, choice: OpChoice) -> dict[str, Any] | None:
    """How an op is to be quantized; None for not at all."""
    if choice.kind == "float" or (choice.kind == "w8" and op not in WEIGHTED_OPS):
        return None
    if choice.kind == "w8":
        weights = _weights(choice.per_tensor)
        return {"weight_tensor_config": weights, "compute_precision": "FLOAT", "explicit_dequantize": True}
    return _integer(choice.kind, choice.per_tensor)


def _integer(kind: LayerKind, per_tensor: bool = False) -> dict[str, Any]:
    """An integer kernel; the quantizer wants a word about weights also where there are none."""
    bits = _ACTIVATION_BITS[kind]
    return {
        "activation_tensor_config": _uniform(bits, "TENSORWISE", symmetric=bits == 16),
        "weight_tensor_config": _weights(per_tensor),
        "compute_precision": "INTEGER",
        "explicit_dequantize": False,
    }


def _weights(per_tensor: bool) -> dict[str, Any]:
    return _uniform(8, "TENSORWISE" if per_tensor else "CHANNELWISE", symmetric=True)


def _uniform(bits: int, granularity: str, *, symmetric: bool) -> dict[str, Any]:
    return {"num_bits": bits, "symmetric": symmetric, "granularity": granularity, "dtype": "INT"}


def _ends(
    mix: Mix, graph: Graph, ops: Sequence[LayerOp], choices: Sequence[OpChoice]
) -> list[tuple[str, tuple[int, ...], LayerKind]]:
    """The ends of the model that are integer: each is as all the ops beside it are."""
    if mix.float_io:
        return []
    found: list[tuple[str, tuple[int, ...], LayerKind]] = []
    for key, ends in (("INPUT", graph.inputs), ("OUTPUT", graph.outputs)):
        kinds = {
            choice.kind if _is_quantizable(op.node.op, choice) else "float"
            for op, choice in zip(ops, choices, strict=True)
            if set(ends) & set(op.node.inputs if key == "INPUT" else op.node.outputs)
        }
        if len(kinds) == 1 and (kind := kinds.pop()) in _ACTIVATION_BITS:
            found.append((key, ends, kind))
    return found


def _is_quantizable(op: str, choice: OpChoice) -> bool:
    config = _config(op, choice)
    return config is not None and _is_taken(_entry("", _THEIR_NAMES.get(op, op), config))


def _quantized(model: bytes, recipe: list[dict[str, Any]], ranges: dict[str, Range], graph: Graph) -> bytes:
    from ai_edge_quantizer import quantizer as aeq

    if not recipe:
        return model  # nothing is asked, or nothing can be had: the float model
    rank = {tensor.name: len(tensor.shape) for tensor in graph.tensors}
    stored = {
        name: {"min": _of_rank(its.low, rank.get(name, 0)), "max": _of_rank(its.high, rank.get(name, 0))}
        for name, its in ranges.items()
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that looking at all tensors takes memory
            quantizer = aeq.Quantizer(float_model=model)
            quantizer.load_quantization_recipe(recipe)
            return bytes(quantizer.quantize(stored or None, enable_progress_report=False).quantized_model)
    # Its layers throw ValueError, RuntimeError, KeyError, NotImplementedError for what they do not take.
    except Exception as error:
        raise UnsupportedError(f"AI Edge Quantizer: {converter_reason(error)}") from error


def _of_rank(value: float, rank: int) -> np.ndarray:
    return np.full((1,) * rank, value, np.float32)
