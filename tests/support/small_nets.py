"""Small float networks as .tflite, built op by op without TensorFlow. tests/support/small_quantizer.py quantizes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.tflite.cut.edit import Editor
from harness.tflite.cut.tree import write_tree

_ACTIVATIONS = {None: 0, "relu": 1, "relu6": 3}
_PADDINGS = {"same": 0, "valid": 1}


class Net:
    """A network under construction: methods take and give tensor numbers. Batch 1 throughout."""

    def __init__(self, *input_shapes: Sequence[int], seed: int = 0) -> None:
        """
        Args:
            input_shapes: of each input, without the batch.
            seed: of the weights that layers draw where none are given.
        """
        self.editor = Editor()
        self.rng = np.random.default_rng(seed)
        self.inputs = [self._tensor(f"input_{i}", (1, *shape)) for i, shape in enumerate(input_shapes)]

    def model(self, *outputs: int) -> bytes:
        """The float .tflite."""
        return write_tree(self.editor.finish(self.inputs, outputs))

    def shape(self, tensor: int) -> tuple[int, ...]:
        return tuple(int(n) for n in self.editor.tensors[tensor]["shape"])

    # -- layers with weights

    def conv(
        self, x, filters, *, kernel=3, stride=1, padding="same", activation="relu", weights=None, bias=None
    ) -> int:
        """CONV_2D; weights [filters, kernel, kernel, channels]."""
        _, height, width, channels = self.shape(x)
        weights = self._weights((filters, kernel, kernel, channels), kernel * kernel * channels, weights)
        fields = {
            "padding": _PADDINGS[padding],
            "stride_w": stride,
            "stride_h": stride,
            "fused_activation_function": _ACTIVATIONS[activation],
            "dilation_w_factor": 1,
            "dilation_h_factor": 1,
        }
        shape = (1, *_window((height, width), kernel, stride, padding), filters)
        return self._weighted("CONV_2D", x, weights, filters, bias, shape, "Conv2DOptions", fields, version=3)

    def depthwise(self, x, *, kernel=3, stride=1, padding="same", activation="relu") -> int:
        """DEPTHWISE_CONV_2D of multiplier 1."""
        _, height, width, channels = self.shape(x)
        weights = self._weights((1, kernel, kernel, channels), kernel * kernel)
        fields = {
            "padding": _PADDINGS[padding],
            "stride_w": stride,
            "stride_h": stride,
            "depth_multiplier": 1,
            "fused_activation_function": _ACTIVATIONS[activation],
            "dilation_w_factor": 1,
            "dilation_h_factor": 1,
        }
        shape = (1, *_window((height, width), kernel, stride, padding), channels)
        options = "DepthwiseConv2DOptions"
        return self._weighted("DEPTHWISE_CONV_2D", x, weights, channels, None, shape, options, fields, version=3)

    def dense(self, x, units, *, activation=None, keep_dims=False, weights=None, bias=None) -> int:
        """FULLY_CONNECTED; weights [units, inputs]."""
        shape = self.shape(x)
        depth = shape[-1] if keep_dims else int(np.prod(shape))
        weights = self._weights((units, depth), depth, weights)
        fields = {"fused_activation_function": _ACTIVATIONS[activation], "keep_num_dims": keep_dims}
        out = (*shape[:-1], units) if keep_dims else (1, units)
        return self._weighted(
            "FULLY_CONNECTED", x, weights, units, bias, out, "FullyConnectedOptions", fields, version=5
        )

    # -- ops without weights

    def add(self, a, b, *, activation=None) -> int:
        fields = {"fused_activation_function": _ACTIVATIONS[activation]}
        return self._op("ADD", [a, b], self.shape(a), "AddOptions", fields, version=2)

    def mul(self, a, b) -> int:
        return self._op("MUL", [a, b], self.shape(a), "MulOptions", version=2)

    def sub(self, a, b) -> int:
        return self._op("SUB", [a, b], self.shape(a), "SubOptions", version=2)

    def concat(self, *parts) -> int:
        shape = (*self.shape(parts[0])[:-1], sum(self.shape(p)[-1] for p in parts))
        return self._op("CONCATENATION", list(parts), shape, "ConcatenationOptions", {"axis": -1}, version=2)

    def pool(self, x, *, kind="max", size=2) -> int:
        """MAX_POOL_2D or AVERAGE_POOL_2D."""
        _, height, width, channels = self.shape(x)
        fields = {"padding": 1, "stride_w": size, "stride_h": size, "filter_width": size, "filter_height": size}
        op = "MAX_POOL_2D" if kind == "max" else "AVERAGE_POOL_2D"
        return self._op(op, [x], (1, height // size, width // size, channels), "Pool2DOptions", fields, version=2)

    def reduce(self, x, *, op="MEAN", axes=(1, 2)) -> int:
        """MEAN, SUM or REDUCE_MAX over axes that disappear."""
        shape = tuple(n for axis, n in enumerate(self.shape(x)) if axis not in axes)
        return self._op(op, [x, self.integers(axes)], shape, "ReducerOptions", {"keep_dims": False}, version=2)

    def reshape(self, x, shape) -> int:
        return self._op("RESHAPE", [x, self.integers(shape)], shape, "ReshapeOptions", {"new_shape": list(shape)})

    def transpose(self, x, order) -> int:
        shape = [self.shape(x)[axis] for axis in order]
        return self._op("TRANSPOSE", [x, self.integers(order)], shape, "TransposeOptions", version=2)

    def pad(self, x, by) -> int:
        """PAD of height and width."""
        _, height, width, channels = self.shape(x)
        rows = self.integers([[0, 0], [by, by], [by, by], [0, 0]])
        return self._op("PAD", [x, rows], (1, height + 2 * by, width + 2 * by, channels), "PadOptions", version=2)

    def matmul(self, a, b, *, transposed=True) -> int:
        """BATCH_MATMUL; `transposed`: the second operand is [.., N, K]."""
        columns = self.shape(b)[-2 if transposed else -1]
        shape = (*self.shape(a)[:-1], columns)
        return self._op("BATCH_MATMUL", [a, b], shape, "BatchMatMulOptions", {"adj_y": transposed}, version=2)

    def softmax(self, x) -> int:
        return self._op("SOFTMAX", [x], self.shape(x), "SoftmaxOptions", {"beta": 1.0}, version=2)

    def unary(self, op, x, *, options=None, fields=None, version=2) -> int:
        """LOGISTIC, TANH, RELU, LEAKY_RELU, HARD_SWISH and their like."""
        return self._op(op, [x], self.shape(x), options, fields, version=version)

    def arg_max(self, x) -> int:
        axis = self.integers(len(self.shape(x)) - 1, shape=())
        result = self._tensor("classes", self.shape(x)[:-1], "int64")
        self.editor.add("ARG_MAX", [x, axis], [result], options="ArgMaxOptions", fields={"output_type": 4}, version=2)
        return result

    def split(self, x, parts) -> list[int]:
        """SPLIT of the last axis."""
        shape = self.shape(x)
        axis = self.integers(len(shape) - 1, shape=())
        results = [self._tensor(f"part_{i}", (*shape[:-1], shape[-1] // parts)) for i in range(parts)]
        fields = {"num_splits": parts}
        self.editor.add("SPLIT", [axis, x], results, options="SplitOptions", fields=fields, version=2)
        return results

    def lstm(self, x, units) -> int:
        """UNIDIRECTIONAL_SEQUENCE_LSTM over [1, time, features], all steps given."""
        _, steps, features = self.shape(x)
        kernels = [self._constant("w", self._weights((units, features), features)) for _ in range(4)]
        recurrent = [self._constant("r", self._weights((units, units), units)) for _ in range(4)]
        bias = [self._constant("b", np.zeros(units, np.float32)) for _ in range(4)]
        state = [self.editor.tensor("state", (1, units), "float32", variable=True) for _ in range(2)]
        inputs = [x, *kernels, *recurrent, -1, -1, -1, *bias, -1, -1, *state]
        result = self._tensor("lstm", (1, steps, units))
        options, fields = "UnidirectionalSequenceLSTMOptions", {"fused_activation_function": 4, "time_major": False}
        self.editor.add("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [result], options=options, fields=fields)
        return result

    # -- helpers

    def integers(self, values, *, shape=None) -> int:
        """An int32 constant, such as axes."""
        data = np.array(values, np.int32)
        return self.editor.tensor("axes", data.shape if shape is None else shape, "int32", data=data)

    def _op(self, op, inputs, shape, options, fields=None, *, version=1) -> int:
        result = self._tensor(op.lower(), shape)
        self.editor.add(op, inputs, [result], options=options, fields=fields, version=version)
        return result

    def _weighted(self, op, x, weights, units, bias, shape, options, fields, *, version) -> int:
        bias = self.rng.normal(0, 0.05, units) if bias is None else bias
        inputs = [x, self._constant("weights", weights), self._constant("bias", bias)]
        return self._op(op, inputs, shape, options, fields, version=version)

    def _weights(self, shape, fan_in, given=None) -> np.ndarray:
        return self.rng.normal(0, np.sqrt(2 / fan_in), shape) if given is None else np.asarray(given)

    def _constant(self, name, values) -> int:
        values = np.asarray(values, np.float32)
        return self.editor.tensor(self._name(name), values.shape, "float32", data=values)

    def _tensor(self, name, shape, dtype="float32") -> int:
        return self.editor.tensor(self._name(name), shape, dtype)

    def _name(self, name) -> str:
        return f"{name}_{len(self.editor.tensors)}"


def _window(size, kernel, stride, padding) -> tuple[int, ...]:
    if padding == "same":
        return tuple(-(-n // stride) for n in size)
    return tuple((n - kernel) // stride + 1 for n in size)
