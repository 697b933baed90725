"""How many output steps one step of rounding inside the model may become, by the arithmetic of its last op."""

from __future__ import annotations

from harness.tflite.graph import Graph, Node, Tensor

#: the largest derivative of LOGISTIC, and of a SOFTMAX output by its own input, is p (1 - p) <= 1/4
_STEEPEST = 0.25
#: an int16 step is 1/256 of an int8 step over the same range, while the weights still have 8 bits
_INT16_STEPS = 256.0


def rounding_steps(graph: Graph) -> tuple[float, ...]:
    """For each output: output steps (LSB) that one legitimate rounding step may show up as; at least 1.

    Two correct runtimes may differ by one step in the tensor before the last op. A final LOGISTIC or SOFTMAX turns one
    step s_in of its input into up to 0.25 * beta * s_in / s_out steps of its output. With 16-bit activations the
    rounding comes from the 8-bit weights, so an 8-bit step, 256 of the output's, is what counts.
    """
    return tuple(_steps(graph, index) for index in graph.outputs)


def _steps(graph: Graph, index: int) -> float:
    tensor, producer = _quantized_source(graph, index)
    if not tensor.scales:
        return 1.0
    steps = 1.0
    if producer is not None and producer.op in ("LOGISTIC", "SOFTMAX"):
        source = graph.input_at(producer, 0)
        if source is not None and source.scales:
            beta = float(producer.options.get("beta") or 1.0) if producer.op == "SOFTMAX" else 1.0
            steps = max(1.0, _STEEPEST * beta * source.scales[0] / tensor.scales[0])
    return max(steps, _INT16_STEPS) if tensor.dtype == "int16" else steps


def _quantized_source(graph: Graph, index: int) -> tuple[Tensor, Node | None]:
    """The tensor that an output's values really come from: looking through DEQUANTIZE and QUANTIZE at the edge."""
    tensor, producer = graph.tensors[index], graph.producers.get(index)
    while producer is not None and producer.op in ("DEQUANTIZE", "QUANTIZE"):
        source = graph.input_at(producer, 0)
        if source is None or source.is_constant or not source.scales:
            break
        tensor, producer = source, graph.producers.get(source.index)
    return tensor, producer
