"""Networks of several nodes for the tests of plans: random graphs, what converters leave behind, a residual network."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.tflite.graph import read_graph
from tests.support.kernel_cases import pick_quantized
from tests.support.op_models import Tensor
from tests.support.plan_net import Net


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network with its inputs and outputs (indices of tensors)."""

    net: Net
    inputs: list[int]
    outputs: list[int]

    def model(self, first: int = 0) -> bytes:
        """The .tflite; its outputs start with output `first`, for a reference that hands out the first one only."""
        return self.net.build(self.inputs, self.outputs[first:] + self.outputs[:first])


_UNARY = ("RELU", "RELU6", "LEAKY_RELU", "HARD_SWISH", "LOGISTIC", "SOFTMAX")
_PAIRS = ("ADD", "SUB", "MUL")


def random_graph(rng: np.random.Generator) -> Network:
    """Up to 14 nodes on tensors of one shape: every tensor may be read often, or never, and any may be an output."""
    net = _net(rng)
    batch, height, width, depth = 1, *(int(n) for n in rng.integers(1, 6, 3))
    shape = (batch, height, width, depth)
    inputs = [net.tensor(shape) for _ in range(int(rng.integers(1, 4)))]
    made = list(inputs)
    for _ in range(int(rng.integers(2, 15))):
        source = int(rng.choice(made))
        kind = rng.random()
        if kind < 0.35:
            other = (
                int(rng.choice(made)) if rng.random() < 0.8 else net.constant(shape if rng.random() < 0.5 else (depth,))
            )
            first, second = (source, other) if rng.random() < 0.7 else (other, source)
            made.append(net.pair(str(rng.choice(_PAIRS)), first, second, str(rng.choice(["NONE", "RELU"]))))
        elif kind < 0.55:
            made.append(net.unary(str(rng.choice(_UNARY)), source))
        elif kind < 0.65:
            made.append(net.conv(source, depth, kernel=int(rng.integers(1, 4)), depthwise=bool(rng.integers(0, 2))))
        elif kind < 0.75:
            made.append(net.reshape(net.reshape(source, (batch, height * width * depth)), shape))
        elif kind < 0.85:
            order = [0, 3, 1, 2]
            turned = net.moved("TRANSPOSE", source, [shape[axis] for axis in order], [order], "TransposeOptions")
            made.append(net.reshape(turned, shape))
        elif kind < 0.93:
            made.append(_join_and_cut(net, source, int(rng.choice(made))))
        else:
            made.append(net.quantize(source, pick_quantized(rng, 0.02, 0.2)))
    outputs = rng.permutation(list(dict.fromkeys(made[-5:])))[: int(rng.integers(1, 4))]
    return Network(net=net, inputs=inputs, outputs=outputs.tolist())


def _join_and_cut(net: Net, first: int, second: int) -> int:
    """CONCATENATION along the channels, then a SPLIT in two: its second half."""
    shape, q = net.shape(first), net.quantized[first]
    second = second if net.quantized[second] == q or net.dtype == "uint8" else net.quantize(second, q)
    joined = net.tensor((*shape[:3], 2 * shape[3]), q)
    net.node("CONCATENATION", [first, second], [joined], "ConcatenationOptions", Axis=-1)
    halves = [net.tensor(shape, q), net.tensor(shape, q)]
    net.node("SPLIT", [net.index([3]), joined], halves, "SplitOptions", NumSplits=2)
    return halves[1]


def dynamic_batch(rng: np.random.Generator) -> Network:
    """What a converter leaves of Flatten with a batch of -1: SHAPE, STRIDED_SLICE, PACK, RESHAPE."""
    net = _net(rng)
    image = net.tensor((1, 5, 4, 2))
    conv = net.conv(image, 3)
    flat = int(np.prod(net.shape(conv)))
    shape = net.raw(Tensor(shape=(4,), dtype="int32"))
    net.node("SHAPE", [conv], [shape], "ShapeOptions", OutType=2)
    batch = net.raw(Tensor(shape=(), dtype="int32"))
    net.node(
        "STRIDED_SLICE",
        [shape, net.index([0]), net.index([1]), net.index([1])],
        [batch],
        "StridedSliceOptions",
        ShrinkAxisMask=1,
    )
    size = net.raw(Tensor(shape=(), dtype="int32", data=np.array(flat, np.int32)))
    target = net.raw(Tensor(shape=(2,), dtype="int32"))
    net.node("PACK", [batch, size], [target], "PackOptions", ValuesCount=2, Axis=0)
    reshaped = net.tensor((1, flat), net.quantized[conv])
    net.node("RESHAPE", [conv, target], [reshaped], "ReshapeOptions")
    logits = net.dense(reshaped, 5)
    for index in (image, conv, reshaped, logits):
        net.dynamic(index)
    return Network(net=net, inputs=[image], outputs=[logits])


def moves(rng: np.random.Generator) -> Network:
    """SQUEEZE, EXPAND_DIMS, SLICE, SPLIT_V, UNPACK, PACK, STRIDED_SLICE with masks, PAD, one behind the other."""
    net = _net(rng)
    source = net.tensor((1, 4, 6, 2))
    q = net.quantized[source]
    squeezed = net.moved("SQUEEZE", source, (4, 6, 2), [], "SqueezeOptions", SqueezeDims=[0])
    wider = net.moved("EXPAND_DIMS", squeezed, (4, 1, 6, 2), [[1]], "ExpandDimsOptions")
    cut = net.moved("SLICE", wider, (3, 1, 5, 2), [[1, 0, 0, 0], [3, -1, 5, 2]], "SliceOptions")
    parts = [net.tensor((3, 1, n, 2), q) for n in (2, 3)]
    net.node("SPLIT_V", [cut, net.index([2, -1]), net.index([2])], parts, "SplitVOptions", NumSplits=2)
    rows = [net.tensor((1, 3, 2), q) for _ in range(3)]
    net.node("UNPACK", [parts[1]], rows, "UnpackOptions", Num=3, Axis=0)
    packed = net.tensor((1, 3, 3, 2), q)
    net.node("PACK", [rows[2], rows[0], rows[1]], [packed], "PackOptions", ValuesCount=3, Axis=2)
    strided = net.moved(
        "STRIDED_SLICE",
        packed,
        (3, 2, 2),
        [[0, 1, 2, 0], [1, 9, -9, 0], [1, 1, -2, 1]],
        "StridedSliceOptions",
        BeginMask=2,
        EndMask=8,
        ShrinkAxisMask=1,
    )
    padded = net.moved("PAD", strided, (4, 2, 4), [[[1, 0], [0, 0], [0, 2]]], "PadOptions")
    return Network(net=net, inputs=[source], outputs=[padded])


def padded(rng: np.random.Generator) -> Network:
    """PAD in front of one or two windows with VALID padding, at times with more than a filter's width, or as an output too."""
    net = _net(rng)
    image = net.tensor((1, *(int(n) for n in rng.integers(3, 8, 2)), int(rng.integers(1, 5))))
    before, after = rng.integers(0, 3, 2), rng.integers(0, 3, 2)
    shape = np.array(net.shape(image)) + [0, *(before + after), 0]
    pads = [[0, 0], [int(before[0]), int(after[0])], [int(before[1]), int(after[1])], [0, 0]]
    source = net.unary("RELU", image) if rng.random() < 0.5 else image
    wide = net.moved("PAD", source, shape, [pads], "PadOptions")
    outputs = [
        net.conv(
            wide,
            int(rng.integers(1, 6)),
            kernel=int(rng.integers(1, 4)),
            stride=int(rng.integers(1, 3)),
            depthwise=bool(rng.integers(0, 2)),
            padding=str(rng.choice(["VALID", "VALID", "VALID", "SAME"])),
        )
        for _ in range(int(rng.integers(1, 3)))
    ]
    if rng.random() < 0.2:
        outputs.append(wide)
    return Network(net=net, inputs=[image], outputs=outputs)


def cuts(rng: np.random.Generator) -> Network:
    """A STRIDED_SLICE with masks (open ends, single indices, new axes, an ellipsis), then UNPACK and PACK along random axes.

    The slice's shape is numpy's own answer to the same index.
    """
    net = _net(rng)
    shape = tuple(int(n) for n in rng.integers(1, 6, int(rng.integers(1, 5))))
    source = net.tensor(shape)
    index, rows, masks = _random_index(rng, shape)
    result = np.empty(shape, np.int8)[index]
    sliced = net.moved("STRIDED_SLICE", source, result.shape, rows, "StridedSliceOptions", **masks)
    if not 1 <= result.ndim <= 4 or result.shape.count(0):
        return Network(net=net, inputs=[source], outputs=[sliced])
    axis, q = int(rng.integers(0, result.ndim)), net.quantized[source]
    parts = [net.tensor(np.delete(result.shape, axis), q) for _ in range(result.shape[axis])]
    net.node(
        "UNPACK", [sliced], parts, "UnpackOptions", Num=len(parts), Axis=axis - result.ndim * int(rng.integers(0, 2))
    )
    order = [parts[i] for i in rng.permutation(len(parts))]
    to = int(rng.integers(0, result.ndim))
    packed = net.tensor(np.insert(np.delete(result.shape, axis), to, len(parts)), q)
    net.node("PACK", order, [packed], "PackOptions", ValuesCount=len(parts), Axis=to)
    return Network(net=net, inputs=[source], outputs=[packed, sliced])


def _random_index(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[tuple, list[list[int]], dict[str, int]]:
    """(numpy's index, begin/end/strides, masks) that take at least one element of each dimension."""
    index: list = []
    rows: list[list[int]] = [[], [], []]
    masks = dict.fromkeys(("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask"), 0)
    skip = int(rng.integers(0, len(shape) + 1)) if rng.random() < 0.3 else None
    axis = 0
    while axis < len(shape):
        bit, numbers = 1 << len(index), [0, 0, 1]
        if axis == skip:
            masks["EllipsisMask"] |= bit
            index.append(Ellipsis)
            axis += int(rng.integers(1, len(shape) - axis + 1))
            skip = None
        elif len(shape) < 4 and rng.random() < 0.1:
            masks["NewAxisMask"] |= bit
            index.append(None)
        elif rng.random() < 0.2:
            masks["ShrinkAxisMask"] |= bit
            numbers[0] = int(rng.integers(-shape[axis], shape[axis]))
            numbers[1] = numbers[0] + 1
            index.append(numbers[0])
            axis += 1
        else:
            low, high = sorted(int(n) for n in rng.integers(0, shape[axis], 2))
            step = int(rng.integers(1, 3)) * int(rng.choice([1, -1]))
            first, last = (low, high + 1) if step > 0 else (high, low - 1 if low else -shape[axis] - 1)
            numbers = [first, last, step]
            open_low, open_high = rng.random() < 0.3, rng.random() < 0.3
            masks["BeginMask"] |= bit * open_low
            masks["EndMask"] |= bit * open_high
            index.append(slice(None if open_low else first, None if open_high else last, step))
            axis += 1
        for row, number in zip(rows, numbers, strict=True):
            row.append(number)
    return tuple(index), rows, masks


def residual(rng: np.random.Generator, size: int = 8, channels: int = 4, edge: str | None = None) -> Network:
    """Three residual stages, pooling, dense, SOFTMAX; inputs and outputs in 8 bits or in float ('float')."""
    net = _net(rng)
    edge = edge or str(rng.choice(["same", "float"]))
    if edge == "float":
        image = net.raw(Tensor(shape=(1, size, size, 3), dtype="float32"))
        x = net.quantize(image, pick_quantized(rng, 0.01, 0.1))
    else:
        image = x = net.tensor((1, size, size, 3))
    x = net.conv(x, channels)
    for stage in range(3):
        stride, width = (1, channels) if stage == 0 else (2, channels << stage)
        branch = net.conv(net.conv(x, width, stride=stride), width, activation="NONE")
        skip = x if stage == 0 else net.conv(x, width, kernel=1, stride=stride, activation="NONE")
        x = net.pair("ADD", branch, skip, "RELU")
    x = net.pool("AVERAGE_POOL_2D", x, net.shape(x)[1])
    x = net.unary("SOFTMAX", net.dense(net.reshape(x, (1, net.shape(x)[3])), 10))
    return Network(net=net, inputs=[image], outputs=[net.dequantize(x) if edge == "float" else x])


def edges(rng: np.random.Generator) -> Network:
    """Outputs that are inputs, constants, reshaped inputs, and the same tensor under two names."""
    net = _net(rng)
    first, second = net.tensor((2, 6)), net.tensor((3, 4))
    reshaped = net.reshape(first, (3, 4))
    again = net.reshape(reshaped, (4, 3))
    total = net.pair("ADD", reshaped, second)
    candidates = [reshaped, again, total, net.reshape(total, (12,)), net.unary("RELU", total)]
    outputs = rng.permutation(candidates)[: int(rng.integers(1, 6))]
    return Network(net=net, inputs=[first, second], outputs=outputs.tolist())


def resnet_like() -> bytes:
    """MLPerf Tiny's image network in shape: 32 x 32 x 3, stages of 16, 32 and 64 channels; random weights."""
    return residual(np.random.default_rng(8), size=32, channels=16, edge="same").model()


GENERATORS: dict[str, Callable[[np.random.Generator], Network]] = {
    "random_graph": random_graph,
    "dynamic_batch": dynamic_batch,
    "moves": moves,
    "cuts": cuts,
    "padded": padded,
    "residual": residual,
    "edges": edges,
}
NETWORKS: dict[str, Callable[[], bytes]] = {"resnet_like": resnet_like}


@dataclass(frozen=True, kw_only=True)
class NetworkCase:
    """A random network and its inputs."""

    text: str
    network: Network
    inputs: tuple[np.ndarray, ...]


def make_networks(name: str, count: int) -> list[NetworkCase]:
    """The same networks and inputs on every machine."""
    rng = np.random.default_rng([zlib.crc32(name.encode()), 3])
    cases = []
    for number in range(count):
        network = GENERATORS[name](rng)
        values = random_inputs(network.model(), rng)
        cases.append(NetworkCase(text=f"{name} {number}", network=network, inputs=values))
    return cases


def random_inputs(model: bytes, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """For each input: the whole range of its type, float32 as noise around 0; dynamic dimensions are 1."""
    graph, values = read_graph(model), []
    for index in graph.inputs:
        tensor = graph.tensors[index]
        shape = tuple(max(size, 1) for size in tensor.shape)
        if tensor.dtype == "float32":
            values.append(rng.normal(0, 2, shape).astype(np.float32))
        else:
            limits = np.iinfo(tensor.dtype)
            values.append(rng.integers(limits.min, limits.max + 1, shape).astype(tensor.dtype))
    return tuple(values)


def _net(rng: np.random.Generator) -> Net:
    return Net(rng, "uint8" if rng.random() < 0.3 else "int8")
