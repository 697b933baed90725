"""Runs a whole integer .tflite model on the kernels, node by node: enough ops for small classification networks."""

from __future__ import annotations

import numpy as np

from harness.tflite import quantized_params as qp
from harness.tflite.graph import Graph, Node, Tensor
from tests.support.kernel_cases import as_int8, limits, stored
from tests.support.kernels_abi import Kernels, struct


class KernelGraph:
    """The model's nodes in order; every activation is an int8 array while it runs."""

    def __init__(self, graph: Graph, kernels: Kernels) -> None:
        self._graph, self._kernels = graph, kernels

    def run(self, model_input: np.ndarray) -> np.ndarray:
        """Output 0 for input 0, both as the model stores them.

        Raises:
            NotImplementedError: an op that this test interpreter does not know.
        """
        values = {self._graph.inputs[0]: as_int8(model_input)}
        for node in self._graph.nodes:
            runner = getattr(self, f"_run_{node.op.lower()}", None)
            if runner is None:
                raise NotImplementedError(node.op)
            target = self._graph.tensors[node.outputs[0]]
            output = np.empty(target.shape, np.int8)
            runner(node, values[node.inputs[0]], self._graph.tensors[node.inputs[0]], target, output)
            values[node.outputs[0]] = output
        last = self._graph.outputs[0]
        return stored(values[last], self._graph.tensors[last].dtype)

    def _run_conv_2d(self, node: Node, data: np.ndarray, source: Tensor, target: Tensor, output: np.ndarray) -> None:
        self._convolve(node, data, source, target, output, "kn_conv_2d", filter_channels_of=lambda w: w.shape[3])

    def _run_depthwise_conv_2d(
        self, node: Node, data: np.ndarray, source: Tensor, target: Tensor, output: np.ndarray
    ) -> None:
        self._convolve(
            node,
            data,
            source,
            target,
            output,
            "kn_depthwise_conv_2d",
            filter_channels_of=lambda w: w.shape[3] // data.shape[3],
        )

    def _convolve(
        self,
        node: Node,
        data: np.ndarray,
        source: Tensor,
        target: Tensor,
        output: np.ndarray,
        function: str,
        filter_channels_of,
    ) -> None:
        weights, options = self._graph.tensors[node.inputs[1]], node.options
        kernel = weights.shape[1:3]
        strides, dilations = (
            [options[f"{what}_h{tail}"], options[f"{what}_w{tail}"]]
            for what, tail in (("stride", ""), ("dilation", "factor"))
        )
        windows = [
            qp.window(options["padding"], data.shape[1 + i], kernel[i], strides[i], dilations[i]) for i in range(2)
        ]
        shape = struct(
            "kn_conv_shape",
            batches=data.shape[0],
            input_height=data.shape[1],
            input_width=data.shape[2],
            input_channels=data.shape[3],
            filter_height=kernel[0],
            filter_width=kernel[1],
            filter_channels=filter_channels_of(weights),
            output_height=windows[0].output,
            output_width=windows[1].output,
            output_channels=target.shape[3],
        )
        params = struct(
            "kn_conv_params",
            stride_height=strides[0],
            stride_width=strides[1],
            dilation_height=dilations[0],
            dilation_width=dilations[1],
            pad_top=windows[0].before,
            pad_left=windows[1].before,
            **self._offsets(source, weights, target, options),
        )
        self._kernels.call(
            function,
            params,
            shape,
            self._scales(source, weights, target, legacy=source.dtype == "uint8"),
            data,
            as_int8(weights.data()),
            self._graph.tensors[node.inputs[2]].data(),
            output,
        )

    def _run_fully_connected(
        self, node: Node, data: np.ndarray, source: Tensor, target: Tensor, output: np.ndarray
    ) -> None:
        weights = self._graph.tensors[node.inputs[1]]
        outputs, inputs = weights.shape
        params = struct(
            "kn_fully_connected_params",
            batches=data.size // inputs,
            inputs=inputs,
            outputs=outputs,
            **self._offsets(source, weights, target, node.options),
        )
        bias = self._graph.tensors[node.inputs[2]].data()
        scales = self._scales(source, weights, target, legacy=len(weights.scales) == 1)
        self._kernels.call("kn_fully_connected", params, scales, data, as_int8(weights.data()), bias, output)

    def _run_average_pool_2d(
        self, node: Node, data: np.ndarray, source: Tensor, target: Tensor, output: np.ndarray
    ) -> None:
        self._pool(node, data, target, output, "kn_average_pool_2d")

    def _run_max_pool_2d(
        self, node: Node, data: np.ndarray, source: Tensor, target: Tensor, output: np.ndarray
    ) -> None:
        self._pool(node, data, target, output, "kn_max_pool_2d")

    def _pool(self, node: Node, data: np.ndarray, target: Tensor, output: np.ndarray, function: str) -> None:
        options = node.options
        sizes = [(options["filter_height"], options["stride_h"]), (options["filter_width"], options["stride_w"])]
        windows = [qp.window(options["padding"], data.shape[1 + i], *sizes[i]) for i in range(2)]
        span = qp.activation_range(options["fused_activation_function"], target.scales[0], _zero_point(target))
        params = struct(
            "kn_pool_params",
            batches=data.shape[0],
            channels=data.shape[3],
            input_height=data.shape[1],
            input_width=data.shape[2],
            output_height=windows[0].output,
            output_width=windows[1].output,
            filter_height=sizes[0][0],
            filter_width=sizes[1][0],
            stride_height=sizes[0][1],
            stride_width=sizes[1][1],
            pad_top=windows[0].before,
            pad_left=windows[1].before,
            is_uint8=target.dtype == "uint8",
            **limits(span),
        )
        self._kernels.call(function, params, data, output)

    def _run_reshape(self, node: Node, data: np.ndarray, source: Tensor, target: Tensor, output: np.ndarray) -> None:
        self._kernels.call("kn_reshape", data.size, data, output)

    def _run_softmax(self, node: Node, data: np.ndarray, source: Tensor, target: Tensor, output: np.ndarray) -> None:
        made = qp.softmax_params(source.scales[0], node.options["beta"])
        params = struct(
            "kn_softmax_params",
            rows=data.size // data.shape[-1],
            depth=data.shape[-1],
            multiplier=made.scale.multiplier,
            shift=made.scale.shift,
            difference_min=made.difference_min,
        )
        self._kernels.call("kn_softmax", params, data, output)

    @staticmethod
    def _offsets(source: Tensor, weights: Tensor, target: Tensor, options: dict) -> dict[str, int]:
        span = qp.activation_range(options["fused_activation_function"], target.scales[0], _zero_point(target))
        return {
            "input_offset": -_zero_point(source),
            "weights_offset": -_zero_point(weights),
            "output_offset": _zero_point(target),
            "rounding": 0,
            **limits(span),
        }

    @staticmethod
    def _scales(source: Tensor, weights: Tensor, target: Tensor, *, legacy: bool):
        rule = qp.tensor_multiplier if legacy else qp.convolution_multiplier
        made = [rule(source.scales[0], scale, target.scales[0]) for scale in weights.scales]
        multipliers, shifts = qp.split_multipliers(made)
        return struct("kn_channel_scales", multipliers=multipliers, shifts=shifts, per_channel=len(made) > 1)


def _zero_point(tensor: Tensor) -> int:
    return tensor.zero_points[0] - (128 if tensor.dtype == "uint8" else 0)
