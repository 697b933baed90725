"""Models of one op with quantized weights, and what numpy says they compute: to find what a runtime gets right."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "int8": schema.TensorType.INT8,
    "int16": schema.TensorType.INT16,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
    "int4": schema.TensorType.INT4,
}
_SHAPES = {  # op: input, weights, channel axis of the weights, output
    "FULLY_CONNECTED": ((1, 32), (8, 32), 0, (1, 8)),
    "BATCH_MATMUL": ((1, 32), (8, 32), 0, (1, 8)),
    "CONV_2D": ((1, 6, 6, 4), (8, 3, 3, 4), 0, (1, 4, 4, 8)),
    "DEPTHWISE_CONV_2D": ((1, 6, 6, 8), (1, 3, 3, 8), 3, (1, 4, 4, 8)),
    "TRANSPOSE_CONV": ((1, 4, 4, 4), (8, 3, 3, 4), 0, (1, 6, 6, 8)),
    "DEQUANTIZE": ((8, 6), (8, 6), 0, (8, 6)),
}

#: runs inside a runtime's environment; every case in a process of its own, because some crash
_RUN = """
import base64, json, os, sys
import numpy as np
try:
    from tflite_runtime.interpreter import Interpreter, OpResolverType
except ImportError:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType
resolvers = {"reference": OpResolverType.BUILTIN_REF, "default": OpResolverType.AUTO,
             "no-default-delegate": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES}
def run(case, resolver):
    model = Interpreter(model_content=base64.b64decode(case["model"]), experimental_op_resolver_type=resolver, num_threads=1)
    model.allocate_tensors()
    model.set_tensor(model.get_input_details()[0]["index"], np.array(case["x"], dtype=case["dtype"]))
    model.invoke()
    return model.get_tensor(model.get_output_details()[0]["index"]).astype(float).tolist()
answers = []
for case in json.load(sys.stdin):
    for name, resolver in resolvers.items():
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            try:
                answer = {"y": run(case, resolver)}
            except Exception as error:
                answer = {"refused": str(error)[:200]}
            with os.fdopen(write, "w") as pipe:
                json.dump(answer, pipe)
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as pipe:
            text = pipe.read()
        os.waitpid(pid, 0)
        answers.append({"key": case["key"], "kernels": name, **(json.loads(text) if text else {"refused": "crashed"})})
json.dump(answers, sys.stdout)
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One op with its types, and the answer."""

    op: str
    activation: str
    weight: str
    per_channel: bool
    zero_point: int
    model: bytes
    x: np.ndarray
    want: np.ndarray
    output_scale: float

    @property
    def key(self) -> str:
        channels = "per-channel" if self.per_channel else "per-tensor"
        return f"{self.op} {self.activation} x {self.weight} {channels} zp {self.zero_point}"


class _Model:
    """A model under construction."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version, self.model.buffers, self.model.operatorCodes = 3, [schema.BufferT()], []
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators, self.model.subgraphs = [], [], [self.graph]

    def tensor(self, name, shape, dtype, data=None, scales=None, zero_point=0, axis=0) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = (
            name.encode(),
            np.array(shape, np.int32),
            _TYPES[dtype],
            0,
        )
        if data is not None:
            buffer = schema.BufferT()
            raw = _pack_int4(data) if dtype == "int4" else np.ascontiguousarray(data).view(np.uint8).reshape(-1)
            buffer.data = raw
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        if scales is not None:
            quantization = schema.QuantizationParametersT()
            quantization.scale = np.asarray(scales, np.float32).reshape(-1)
            quantization.zeroPoint = np.full(quantization.scale.size, zero_point, np.int64)
            quantization.quantizedDimension = axis
            tensor.quantization = quantization
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def op(self, name, inputs, outputs, options=None, version=1) -> None:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), version
        self.model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        if options is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
            operator.builtinOptions = options
        self.graph.operators.append(operator)

    def finish(self, inputs, outputs) -> bytes:
        self.graph.inputs, self.graph.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def _pack_int4(values: np.ndarray) -> np.ndarray:
    flat = values.astype(np.int8).reshape(-1)
    flat = np.append(flat, np.zeros(flat.size % 2, np.int8))
    return ((flat[0::2] & 15) | ((flat[1::2] & 15) << 4)).astype(np.uint8)


def make_case(
    op: str, activation: str, weight: str, *, per_channel: bool, zero_point: int = 0, version: int = 1
) -> Case:
    """A model of one op whose channels differ 30-fold in magnitude, so that a wrong scale cannot pass unnoticed.

    Args:
        activation: `float32` (then a hybrid kernel, or a float one behind DEQUANTIZE), `int8` or `int16`.
        weight: `int8` or `int4`.
        zero_point: of the weights, whose integers leave room for it.
    """
    input_shape, weight_shape, axis, output_shape = _SHAPES[op]
    rng = np.random.default_rng(0)
    spread = [-1 if i == axis else 1 for i in range(len(weight_shape))]
    weights = rng.normal(size=weight_shape) * np.geomspace(0.1, 3.0, weight_shape[axis]).reshape(spread)
    top = 7 if weight == "int4" else 127 - abs(zero_point)
    others = tuple(i for i in range(len(weight_shape)) if i != axis)
    scales = np.abs(weights).max(axis=others) / top if per_channel else np.array([np.abs(weights).max() / top])
    scales = scales.astype(np.float32)
    wide = scales.reshape(spread) if per_channel else scales[0]
    integers = np.clip(np.round(weights / wide), -top, top)
    real = integers * wide
    x = rng.normal(size=input_shape)
    model = _Model()
    stored = (integers + zero_point).astype(np.int8)
    if op == "DEQUANTIZE":
        return _dequantize_case(model, weight, stored, scales, zero_point, real, per_channel, version)
    input_scale = None
    if activation != "float32":
        limit = np.iinfo(activation).max
        input_scale = np.float32(np.abs(x).max() / limit)
        x_stored = np.clip(np.round(x / input_scale), -limit, limit).astype(activation)
        want = _compute(op, x_stored * np.float64(input_scale), real, output_shape)
        output_scale = np.float32(np.abs(want).max() / limit)
    else:
        x_stored, output_scale = x.astype(np.float32), None
        want = _compute(op, x, real, output_shape)
    source = model.tensor("x", input_shape, activation, scales=input_scale)
    kernel = model.tensor("w", weight_shape, weight, stored, scales=scales, zero_point=zero_point, axis=axis)
    bias_type = {"float32": "float32", "int8": "int32", "int16": "int64"}[activation]
    bias = model.tensor(
        "b", (8,), bias_type, np.zeros(8, bias_type), scales=None if input_scale is None else scales * input_scale
    )
    result = model.tensor("y", output_shape, activation, scales=output_scale)
    _add_op(model, op, source, kernel, bias, result, output_shape, version)
    return Case(
        op=op,
        activation=activation,
        weight=weight,
        per_channel=per_channel,
        zero_point=zero_point,
        model=model.finish([source], [result]),
        x=x_stored,
        want=want,
        output_scale=float(output_scale or 1.0),
    )


def _add_op(model, op, source, kernel, bias, result, output_shape, version) -> None:
    if op == "FULLY_CONNECTED":
        model.op(op, [source, kernel, bias], [result], schema.FullyConnectedOptionsT(), version)
    elif op == "BATCH_MATMUL":
        options = schema.BatchMatMulOptionsT()
        options.adjY = True
        model.op(op, [source, kernel], [result], options, version)
    else:
        options = {
            "CONV_2D": schema.Conv2DOptionsT,
            "DEPTHWISE_CONV_2D": schema.DepthwiseConv2DOptionsT,
            "TRANSPOSE_CONV": schema.TransposeConvOptionsT,
        }[op]()
        options.padding, options.strideW, options.strideH = schema.Padding.VALID, 1, 1
        if op == "TRANSPOSE_CONV":
            shape = model.tensor("s", (4,), "int32", np.array(output_shape, np.int32))
            model.op(op, [shape, kernel, source, bias], [result], options, version)
            return
        options.dilationWFactor = options.dilationHFactor = 1
        if op == "DEPTHWISE_CONV_2D":
            options.depthMultiplier = 1
        model.op(op, [source, kernel, bias], [result], options, version)


def _dequantize_case(model, weight, stored, scales, zero_point, real, per_channel, version) -> Case:
    shape = real.shape
    source = model.tensor("x", shape, "float32")
    kernel = model.tensor("w", shape, weight, stored, scales=scales, zero_point=zero_point)
    wide, result = model.tensor("d", shape, "float32"), model.tensor("y", shape, "float32")
    model.op("DEQUANTIZE", [kernel], [wide], version=version)
    model.op("ADD", [source, wide], [result], schema.AddOptionsT())
    return Case(
        op="DEQUANTIZE",
        activation="float32",
        weight=weight,
        per_channel=per_channel,
        zero_point=zero_point,
        model=model.finish([source], [result]),
        x=np.zeros(shape, np.float32),
        want=real,
        output_scale=1.0,
    )


def _compute(op: str, x: np.ndarray, w: np.ndarray, output_shape: tuple[int, ...]) -> np.ndarray:
    """The op in float64, padding VALID, stride 1."""
    if op in ("FULLY_CONNECTED", "BATCH_MATMUL"):
        return x @ w.T
    y = np.zeros(output_shape)
    if op == "TRANSPOSE_CONV":
        for i in range(4):
            for j in range(4):
                y[0, i : i + 3, j : j + 3] += np.einsum("c,ohwc->hwo", x[0, i, j], w)
        return y
    for i in range(4):
        for j in range(4):
            patch = x[0, i : i + 3, j : j + 3]
            y[0, i, j] = (patch * w[0]).sum((0, 1)) if op == "DEPTHWISE_CONV_2D" else (patch * w).sum((1, 2, 3))
    return y


def run_cases(python: str, cases: list[Case]) -> dict[tuple[str, str], str]:
    """(case, kernels) -> `right`, `wrong` or `refused`, as the runtime of that interpreter has it."""
    import base64

    question = json.dumps(
        [
            {"key": c.key, "model": base64.b64encode(c.model).decode(), "x": c.x.tolist(), "dtype": str(c.x.dtype)}
            for c in cases
        ]
    )
    done = subprocess.run([python, "-c", _RUN], input=question, capture_output=True, text=True, timeout=300, check=True)
    by_key = {case.key: case for case in cases}
    verdicts = {}
    for answer in json.loads(done.stdout):
        case = by_key[answer["key"]]
        if "refused" in answer:
            verdict = "refused"
        else:
            difference = np.abs(np.array(answer["y"]) * case.output_scale - case.want).max() / np.abs(case.want).max()
            # Hybrid kernels round their input to 8 bits: a few percent. What is wrong here is wrong by 20 % and more.
            verdict = "right" if difference < 0.06 else "wrong"
        verdicts[answer["key"], answer["kernels"]] = verdict
    return verdicts
