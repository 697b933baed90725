"""Small .tflite classifiers whose ends mislead: probabilities behind a RESHAPE, class numbers, maps, several outputs."""

from __future__ import annotations

import numpy as np
import tflite

from harness.tflite.cut.tree import Record, read_tree, write_tree
from tests.support import tiny_model
from tests.support.tiny_model import Node, Tensor

#: what the classifiers compute: scores = WEIGHTS x, of 8 inputs
WEIGHTS = np.random.default_rng(4).standard_normal((4, 8)).astype(np.float32)
_DENSE = {"op": "FULLY_CONNECTED", "options": "FullyConnectedOptions"}


def vectors(count: int = 200, seed: int = 0) -> np.ndarray:
    """Inputs, float32 [N, 8] in 0..1."""
    return np.random.default_rng(seed).random((count, 8), dtype=np.float32)


def scores(x: np.ndarray) -> np.ndarray:
    """What the classifiers compute, float32 [N, 4]."""
    return x @ WEIGHTS.T


def classifier(tail: str = "softmax", first_axis: tuple[int, ...] = (1,)) -> bytes:
    """float32 [1, 8] -> FULLY_CONNECTED 4 (or 1) -> what `tail` names.

    `softmax`, `logits`, `sigmoid-reshape` (one probability, [1, 1, 1, 1]), `linear` (one value), `argmax` (int32 [1]),
    `argmax-float` (the same behind CAST), `log`, `two` (softmax and its logits), `values` (softmax as [1, 4, 1]).
    """
    one = tail in ("sigmoid-reshape", "linear")
    weights = WEIGHTS[:1] - WEIGHTS[1:2] if one else WEIGHTS
    units = len(weights)
    tensors = [
        Tensor(name="in", shape=(*first_axis, 8), dtype="float32"),
        Tensor(name="w", shape=weights.shape, dtype="float32", data=weights),
        Tensor(name="scores", shape=(*first_axis, units), dtype="float32"),
    ]
    nodes = [Node(inputs=(0, 1, -1), outputs=(2,), **_DENSE)]
    outputs: tuple[int, ...] = (2,)

    def add(
        op: str, tensor: Tensor, *, extra: tuple[int, ...] = (), options: str | None = None, **fields: float
    ) -> None:
        nonlocal outputs
        tensors.append(tensor)
        source = outputs[0]
        outputs = (len(tensors) - 1,)
        nodes.append(Node(op=op, inputs=(source, *extra), outputs=outputs, options=options, fields=fields))

    if tail in ("softmax", "two", "values"):
        add(
            "SOFTMAX",
            Tensor(name="shares", shape=(*first_axis, units), dtype="float32"),
            options="SoftmaxOptions",
            Beta=1.0,
        )
    if tail == "two":
        outputs = (outputs[0], 2)
    if tail == "sigmoid-reshape":
        add("LOGISTIC", Tensor(name="share", shape=(1, 1), dtype="float32"))
    if tail in ("sigmoid-reshape", "values"):
        shape = (1, 1, 1, 1) if tail == "sigmoid-reshape" else (1, 4, 1)
        tensors.append(Tensor(name="shape", shape=(len(shape),), dtype="int32", data=np.array(shape, np.int32)))
        add("RESHAPE", Tensor(name="out", shape=shape, dtype="float32"), extra=(len(tensors) - 1,))
    if tail.startswith("argmax"):
        tensors.append(Tensor(name="axis", shape=(), dtype="int32", data=np.array(1, np.int32)))
        number = Tensor(name="class", shape=first_axis, dtype="int32")
        add("ARG_MAX", number, extra=(len(tensors) - 1,), options="ArgMaxOptions", OutputType=tflite.TensorType.INT32)
    if tail == "argmax-float":
        add("CAST", Tensor(name="class_float", shape=first_axis, dtype="float32"))
    if tail == "log":
        add("LOG", Tensor(name="logs", shape=(*first_axis, units), dtype="float32"))
    return tiny_model.build(tensors, nodes, inputs=(0,), outputs=outputs)


def map_model(classes: int = 3, *, choose: bool = False) -> bytes:
    """float32 [1, 4, 4, 2] -> CONV_2D of 1x1 -> scores [1, 4, 4, classes], or with ARG_MAX the class of each place."""
    kernel = np.random.default_rng(5).standard_normal((classes, 1, 1, 2)).astype(np.float32)
    tensors = [
        Tensor(name="image", shape=(1, 4, 4, 2), dtype="float32"),
        Tensor(name="kernel", shape=kernel.shape, dtype="float32", data=kernel),
        Tensor(name="bias", shape=(classes,), dtype="float32", data=np.zeros(classes, np.float32)),
        Tensor(name="scores", shape=(1, 4, 4, classes), dtype="float32"),
    ]
    steps = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    nodes = [Node(op="CONV_2D", inputs=(0, 1, 2), outputs=(3,), options="Conv2DOptions", fields=steps)]
    if choose:
        tensors += [
            Tensor(name="axis", shape=(), dtype="int32", data=np.array(3, np.int32)),
            Tensor(name="classes", shape=(1, 4, 4), dtype="int32"),
        ]
        kind = {"OutputType": tflite.TensorType.INT32}
        nodes.append(Node(op="ARG_MAX", inputs=(3, 4), outputs=(5,), options="ArgMaxOptions", fields=kind))
    return tiny_model.build(tensors, nodes, inputs=(0,), outputs=(5,) if choose else (3,))


def int8_classifier(scale: float = 1 / 255, zero_point: int = -128) -> bytes:
    """int8 [1, 8], which spans 0..1, -> FULLY_CONNECTED 4 -> int8 [1, 4]."""
    weights = np.clip(np.round(WEIGHTS / 0.02), -127, 127).astype(np.int8)
    tensors = [
        Tensor(name="in", shape=(1, 8), dtype="int8", scale=scale, zero_point=zero_point),
        Tensor(name="w", shape=weights.shape, dtype="int8", scale=0.02, data=weights),
        Tensor(name="b", shape=(4,), dtype="int32", scale=0.02 * scale, data=np.zeros(4, np.int32)),
        Tensor(name="out", shape=(1, 4), dtype="int8", scale=0.05),
    ]
    node = Node(inputs=(0, 1, 2), outputs=(3,), **_DENSE)
    return tiny_model.build(tensors, [node], inputs=(0,), outputs=(3,), versions={"FULLY_CONNECTED": 4})


def with_signature_shape(model: bytes, shape: tuple[int, ...], tensor: int = 0) -> bytes:
    """A copy whose tensor says which of its sizes are open (-1)."""
    tree = read_tree(model)
    tree.rows("subgraphs")[0].rows("tensors")[tensor]["shape_signature"] = np.array(shape, np.int32)
    return bytes(write_tree(tree))


def with_signatures(model: bytes, *, subgraphs: int = 2) -> bytes:
    """A copy with the signatures `serve` and `train`, each of a subgraph of its own unless `subgraphs` is 1."""
    tree = read_tree(model)
    first = tree.rows("subgraphs")[0]
    tree["subgraphs"] = [first, first][:subgraphs]
    tree["signature_defs"] = [
        Record("SignatureDef", signature_key=key.encode(), subgraph_index=min(number, subgraphs - 1))
        for number, key in enumerate(("serve", "train"))
    ]
    return bytes(write_tree(tree))


#: what `image_classifier` computes its scores by, of [6, 6, 3] flattened
IMAGE_WEIGHTS = np.random.default_rng(9).standard_normal((4, 6 * 6 * 3)).astype(np.float32) * 4


def images(count: int = 400, seed: int = 0) -> np.ndarray:
    """Inputs, float32 [N, 6, 6, 3] in 0..1, each colour with a brightness of its own."""
    rng = np.random.default_rng(seed)
    return (rng.random((count, 6, 6, 3)) * rng.random((count, 1, 1, 3))).astype(np.float32)


def image_labels(x: np.ndarray) -> np.ndarray:
    """The classes of images, as `image_classifier` names them."""
    return (x.reshape(len(x), -1) @ IMAGE_WEIGHTS.T).argmax(axis=1)


def drawn(scores_: np.ndarray) -> np.ndarray:
    """Labels drawn from the probabilities that scores stand for: what a model whose confidence is right sees."""
    shares = np.exp(scores_ - scores_.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return (shares.cumsum(axis=1) > np.random.default_rng(0).random((len(scores_), 1))).argmax(axis=1)


def image_classifier() -> bytes:
    """float32 [1, 6, 6, 3] -> RESHAPE -> FULLY_CONNECTED 4 -> SOFTMAX."""
    tensors = [
        Tensor(name="image", shape=(1, 6, 6, 3), dtype="float32"),
        Tensor(name="size", shape=(2,), dtype="int32", data=np.array([1, 108], np.int32)),
        Tensor(name="flat", shape=(1, 108), dtype="float32"),
        Tensor(name="w", shape=(4, 108), dtype="float32", data=IMAGE_WEIGHTS),
        Tensor(name="scores", shape=(1, 4), dtype="float32"),
        Tensor(name="shares", shape=(1, 4), dtype="float32"),
    ]
    nodes = [
        Node(op="RESHAPE", inputs=(0, 1), outputs=(2,), options="ReshapeOptions"),
        Node(inputs=(2, 3, -1), outputs=(4,), **_DENSE),
        Node(op="SOFTMAX", inputs=(4,), outputs=(5,), options="SoftmaxOptions", fields={"Beta": 1.0}),
    ]
    return tiny_model.build(tensors, nodes, inputs=(0,), outputs=(5,))
