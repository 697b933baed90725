"""Post-training quantization of small float models, without TensorFlow: what a converter does, in the few ops of small_nets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness.tflite.arithmetic import WEIGHTED_OPS
from harness.tflite.cut.cutter import Cutter
from harness.tflite.cut.edit import Editor
from harness.tflite.cut.tree import Record, op_name, read_tree, write_tree
from harness.tflite.schema import type_code
from tests.support.host_runtime import HostRuntime

#: ops whose output has the scale of their (first activation) input, because the kernels demand it
_SAME_SCALE = {"RESHAPE", "MAX_POOL_2D", "AVERAGE_POOL_2D", "TRANSPOSE", "PAD", "SPLIT", "CONCATENATION", "REDUCE_MAX"}
#: ops whose output range the kernels fix: (range of int8: scale, zero point; scale of int16)
_FIXED = {
    "SOFTMAX": (1 / 256, -128, 1 / 32768),
    "LOGISTIC": (1 / 256, -128, 1 / 32768),
    "TANH": (1 / 128, 0, 1 / 32768),
}
_LEVELS = {"int8": 255}


@dataclass(frozen=True, kw_only=True)
class Style:
    """How a model is quantized.

    Attributes:
        activations: `int8`, `int16`, or `float32` (then only weights are: a hybrid model).
        float_io: the model takes and gives floats, with QUANTIZE and DEQUANTIZE inside.
        weight_bits: 8 or 4.
    """

    activations: str = "int8"
    per_channel: bool = True
    float_io: bool = False
    weight_bits: int = 8


def calibrate(model: bytes, samples: list[np.ndarray], runtime: HostRuntime) -> dict[int, tuple[float, float]]:
    """Tensor -> the range of its values over the samples (which always includes 0)."""
    cutter = Cutter(model)
    seen = [t for t in sorted(cutter.varying) if t in cutter.producers and cutter.tensors[t].number("type") == 0]
    inputs = cutter.subgraph.indices("inputs")
    outputs = runtime.run(cutter.between(inputs, seen).model, samples, kernels="no-default-delegate")
    pairs = [*zip(inputs, samples, strict=True), *zip(seen, outputs, strict=True)]
    return {t: (min(float(values.min()), 0.0), max(float(values.max()), 0.0)) for t, values in pairs}


def quantize(model: bytes, ranges: Mapping[int, tuple[float, float]], style: Style = Style()) -> bytes:
    """The quantized model; inputs and outputs keep their order."""
    tree = read_tree(model)
    editor = Editor(tree)
    parameters = _activation_parameters(tree, editor, ranges, style)
    for operator in list(editor.subgraph.rows("operators")):
        _quantize_constants(tree, editor, operator, parameters, style)
    for tensor, (scale, zero_point) in parameters.items():
        record = editor.tensors[tensor]
        record["type"] = type_code(style.activations)
        record["quantization"] = _quantization([scale], [zero_point])
    if style.float_io and parameters:
        _float_interface(editor, style)
    return write_tree(tree)


def _activation_parameters(tree, editor, ranges, style) -> dict[int, tuple[float, int]]:
    if style.activations == "float32":
        return {}
    groups = {t: t for t in ranges}

    def root(t):
        while groups[t] != t:
            t = groups[t]
        return t

    fixed = {}
    for operator in editor.subgraph.rows("operators"):
        op, outputs = op_name(tree, operator), operator.indices("outputs")
        flowing = [t for t in operator.indices("inputs") if t in ranges]
        if op in _FIXED:
            fixed[outputs[0]] = op
        if op in _SAME_SCALE:
            for t in (*flowing[1:], *outputs):
                groups[root(t)] = root(flowing[0])
    members: dict[int, list[int]] = {}
    for t in ranges:
        members.setdefault(root(t), []).append(t)
    found = {}
    for group in members.values():
        forced = next((fixed[t] for t in group if t in fixed), None)
        low, high = min(ranges[t][0] for t in group), max(ranges[t][1] for t in group)
        for t in group:
            found[t] = _parameters(forced, low, high, style.activations)
    return found


def _parameters(forced: str | None, low: float, high: float, dtype: str) -> tuple[float, int]:
    if forced is not None:
        scale, zero_point, scale16 = _FIXED[forced]
        return (scale16, 0) if dtype == "int16" else (scale, zero_point)
    if dtype == "int16":
        return max(-low, high, 1e-6) / 32767, 0
    scale = max(high - low, 1e-6) / _LEVELS[dtype]
    return scale, int(np.clip(round(-128 - low / scale), -128, 127))


def _quantize_constants(tree, editor: Editor, operator: Record, parameters, style: Style) -> None:
    op, inputs = op_name(tree, operator), operator.indices("inputs")
    if op == "UNIDIRECTIONAL_SEQUENCE_LSTM" and parameters:
        _quantize_lstm(tree, editor, operator, parameters, style)
        return
    if op in WEIGHTED_OPS and op != "BATCH_MATMUL":
        activation, weights = (inputs[position] for position in WEIGHTED_OPS[op])
        scales = _quantize_weights(tree, editor, op, weights, style)
        if activation in parameters and len(inputs) > 2:
            wide = style.activations == "int16"
            _quantize_bias(tree, editor, inputs[2], scales * parameters[activation][0], "int64" if wide else "int32")
        return
    if parameters:
        for t in inputs:
            if t >= 0 and t not in parameters and editor.tensors[t].number("type") == 0:
                values = _values(tree, editor.tensors[t])
                scale, zero = _parameters(None, min(values.min(), 0.0), max(values.max(), 0.0), style.activations)
                stored = np.clip(np.round(values / scale) + zero, np.iinfo(style.activations).min, 2**31)
                editor.tensors[t]["buffer"] = editor.buffer(stored.astype(style.activations).tobytes())
                editor.tensors[t]["type"] = type_code(style.activations)
                editor.tensors[t]["quantization"] = _quantization([scale], [zero])


def _quantize_weights(tree, editor: Editor, op: str, weights: int, style: Style) -> np.ndarray:
    """Makes weights int8 or int4; returns their scales."""
    record = editor.tensors[weights]
    values = _values(tree, record)
    axis = 3 if op == "DEPTHWISE_CONV_2D" else 0
    top = 127 if style.weight_bits == 8 else 7
    others = tuple(i for i in range(values.ndim) if i != axis)
    limits = np.abs(values).max(axis=others) if style.per_channel else np.array([np.abs(values).max()])
    scales = np.maximum(limits, 1e-6).astype(np.float32) / np.float32(top)
    spread = scales.reshape([-1 if i == axis else 1 for i in range(values.ndim)]) if style.per_channel else scales[0]
    stored = np.clip(np.round(values / spread), -top, top).astype(np.int8)
    dtype = "int8" if style.weight_bits == 8 else "int4"
    made = editor.tensor("stored", values.shape, dtype, data=stored)
    record["buffer"], record["type"] = editor.tensors.pop(made)["buffer"], type_code(dtype)
    record["quantization"] = _quantization(scales, [0] * len(scales), axis)
    return scales


def _quantize_bias(tree, editor: Editor, bias: int, scales: np.ndarray, dtype: str) -> None:
    record = editor.tensors[bias]
    record["buffer"] = editor.buffer(np.round(_values(tree, record) / scales).astype(dtype).tobytes())
    record["type"] = type_code(dtype)
    record["quantization"] = _quantization(scales, [0] * len(scales))


def _quantize_lstm(tree, editor: Editor, operator: Record, parameters, style: Style) -> None:
    """Weights and states of the 8x8->16 LSTM: gates in int16 with 12 fractional bits, the cell with 11."""
    inputs, output = operator.indices("inputs"), operator.indices("outputs")[0]
    per_tensor = Style(per_channel=False)
    for gate in range(4):
        scales = _quantize_weights(tree, editor, "FULLY_CONNECTED", inputs[1 + gate], per_tensor)
        _quantize_weights(tree, editor, "FULLY_CONNECTED", inputs[5 + gate], per_tensor)
        _quantize_bias(tree, editor, inputs[12 + gate], scales * parameters[inputs[0]][0], "int32")
    states = ((inputs[18], style.activations, parameters[output]), (inputs[19], "int16", (2.0**-11, 0)))
    for tensor, dtype, (scale, zero_point) in states:
        editor.tensors[tensor]["type"] = type_code(dtype)
        editor.tensors[tensor]["quantization"] = _quantization([scale], [zero_point])
    gates = [editor.tensor(f"gate_{i}", (), "int16", scales=[2.0**-12]) for i in range(4)]
    hidden = editor.tensor("hidden", (), "int8", scales=[parameters[output][0]], zero_points=[parameters[output][1]])
    operator["intermediates"] = np.array([*gates, hidden], np.int32)


def _float_interface(editor: Editor, style: Style) -> None:
    """Puts QUANTIZE behind the inputs and DEQUANTIZE before the outputs."""
    operators = editor.subgraph.rows("operators")
    inputs, outputs = [], []
    for t in editor.subgraph.indices("inputs"):
        new = editor.tensor("float_input", editor.tensors[t]["shape"], "float32")
        operators.insert(0, editor.operator("QUANTIZE", [new], [t], options="QuantizeOptions"))
        inputs.append(new)
    for t in editor.subgraph.indices("outputs"):
        if editor.tensors[t].number("type") == type_code(style.activations):
            new = editor.tensor("float_output", editor.tensors[t]["shape"], "float32")
            editor.add("DEQUANTIZE", [t], [new], options="DequantizeOptions", version=2)
            t = new
        outputs.append(t)
    editor.finish(inputs, outputs)


def _quantization(scales, zero_points, axis: int = 0) -> Record:
    return Record(
        "QuantizationParameters",
        scale=np.asarray(scales, np.float32),
        zero_point=np.asarray(zero_points, np.int64),
        quantized_dimension=axis,
    )


def _values(tree: Record, tensor: Record) -> np.ndarray:
    raw = tree.rows("buffers")[tensor.number("buffer")]["data"]
    return np.frombuffer(raw, np.float32).reshape(tensor["shape"])
