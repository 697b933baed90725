"""Networks for comparisons, and the same network under other names."""

from __future__ import annotations

from harness.tflite.cut.tree import read_tree, write_tree
from tests.support.small_nets import Net


def residual(*, filters: int = 8, relu_first: bool = False, extra: bool = False, seed: int = 0) -> bytes:
    """Convolutions of the same shape around an ADD, pooling, a dense layer: where only the surroundings tell nodes apart.

    Args:
        filters: of the last convolution.
        relu_first: RELU before the pooling instead of behind it.
        extra: one more TANH behind the ADD.
    """
    net = Net((8, 8, 4), seed=seed)
    (x,) = net.inputs
    left = net.conv(net.conv(x, 4), 4)
    joined = net.add(net.conv(x, 4), left)
    if extra:
        joined = net.unary("TANH", joined)
    shrunk = net.pool(net.unary("RELU", joined)) if relu_first else net.unary("RELU", net.pool(joined))
    last = net.reduce(net.conv(shrunk, filters))
    return net.model(net.softmax(net.dense(last, 3)))


def renamed(model: bytes) -> bytes:
    """The same model with every tensor called otherwise, and another description."""
    tree = read_tree(model)
    for subgraph in tree.rows("subgraphs"):
        for number, tensor in enumerate(subgraph.rows("tensors")):
            tensor["name"] = f"t{number:04d}_{'x' * (number % 7)}".encode()
    return write_tree(tree)
