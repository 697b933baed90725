"""A small detector made without TensorFlow: bright cells of an image are objects; raw heads, or TFLite_Detection_PostProcess."""

from __future__ import annotations

import numpy as np
from flatbuffers import flexbuffers

from harness.tflite.cut.tree import read_tree, write_tree
from harness.tflite.post_process import POST_PROCESS
from tests.support import tiny_model
from tests.support.tiny_model import Node, Tensor

#: cells along an edge, and pixels along a cell's
CELLS, PIXELS = 4, 2
BOXES, CLASSES = CELLS * CELLS, 2
_STEPS = {"StrideH": PIXELS, "StrideW": PIXELS, "DilationHFactor": 1, "DilationWFactor": 1, "Padding": 1}
#: brightness -> score before the sigmoid: a cell of 0.5 is undecided
_GAIN = 10.0
OPTIONS = {
    "max_detections": 10,
    "max_classes_per_detection": 1,
    "detections_per_class": 100,
    "num_classes": CLASSES,
    "nms_score_threshold": 0.05,
    "nms_iou_threshold": 0.6,
    "y_scale": 10.0,
    "x_scale": 10.0,
    "h_scale": 5.0,
    "w_scale": 5.0,
    "use_regular_nms": False,
}


def anchors() -> np.ndarray:
    """One square per cell, float32 [16, 4]: y and x of its centre, height, width."""
    centres = (np.arange(CELLS) + 0.5) / CELLS
    y, x = np.meshgrid(centres, centres, indexing="ij")
    return (
        np.stack([y, x, np.full_like(y, 1 / CELLS), np.full_like(y, 1 / CELLS)], axis=-1)
        .reshape(-1, 4)
        .astype(np.float32)
    )


def scenes(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images, float32 [N, 8, 8, 2] in 0..1, and their boxes [N, 3, 5]; some objects are dim, so that not all are found."""
    rng = np.random.default_rng(seed)
    images = (0.3 * rng.random((count, CELLS, CELLS, CLASSES))).astype(np.float32)
    labels = np.zeros((count, 3, 5), np.float32)
    labels[..., 4] = -1
    for image, boxes in zip(images, labels, strict=True):
        cells = rng.choice(BOXES, rng.integers(1, 4), replace=False)
        for box, cell in zip(boxes, cells, strict=False):
            row, column, kind = cell // CELLS, cell % CELLS, int(rng.integers(0, CLASSES))
            image[row, column, kind] = 0.2 + 0.8 * rng.random()
            low = np.array([row, column]) / CELLS + rng.normal(scale=0.01, size=2)
            box[:] = [*low, *(low + 1 / CELLS), kind]
    return images.repeat(PIXELS, axis=1).repeat(PIXELS, axis=2), labels


def detector(*, post_process: bool = True, int8: bool = False, options: dict | bytes | None = None) -> bytes:
    """float32 (or int8, 0..1) [1, 8, 8, 2] -> two CONV_2D -> encodings [1, 16, 4], scores [1, 16, 3] behind LOGISTIC; with
    `post_process` these (as float) go through the op, whose four outputs are the model's.
    """
    kernels, biases = _weights()
    tensors, nodes = [_image(int8)], []

    def add(tensor: Tensor) -> int:
        tensors.append(tensor)
        return len(tensors) - 1

    heads = []
    for name, kernel, bias, scale in zip(("encodings", "logits"), kernels, biases, (0.01, 0.1), strict=True):
        size = len(kernel)
        inputs = (0, *(add(one) for one in _constants(name, kernel, bias, int8)))
        shape = (1, CELLS, CELLS, size)
        conv = add(_activation(f"{name}_map", shape, scale, 0, int8))
        nodes.append(Node(op="CONV_2D", inputs=inputs, outputs=(conv,), options="Conv2DOptions", fields=_STEPS))
        rows = add(Tensor(name=f"{name}_shape", shape=(3,), dtype="int32", data=np.array([1, BOXES, size], np.int32)))
        flat = add(_activation(name, (1, BOXES, size), scale, 0, int8))
        nodes.append(Node(op="RESHAPE", inputs=(conv, rows), outputs=(flat,)))
        heads.append(flat)
    scores = add(_activation("scores", (1, BOXES, CLASSES + 1), 1 / 256, -128, int8))
    nodes.append(Node(op="LOGISTIC", inputs=(heads[1],), outputs=(scores,)))
    heads[1] = scores
    if not post_process:
        return tiny_model.build(tensors, nodes, inputs=(0,), outputs=tuple(heads), versions=_versions(int8))
    if int8:
        for place, head in enumerate(heads):
            real = add(Tensor(name=f"{tensors[head].name}_real", shape=tensors[head].shape, dtype="float32"))
            nodes.append(Node(op="DEQUANTIZE", inputs=(head,), outputs=(real,)))
            heads[place] = real
    fixed = add(Tensor(name="anchors", shape=(BOXES, 4), dtype="float32", data=anchors()))
    shapes = {"boxes": (1, 10, 4), "classes": (1, 10), "confidences": (1, 10), "count": (1,)}
    outputs = tuple(add(Tensor(name=name, shape=shape, dtype="float32")) for name, shape in shapes.items())
    nodes.append(Node(op="CUSTOM", inputs=(*heads, fixed), outputs=outputs))
    model = tiny_model.build(tensors, nodes, inputs=(0,), outputs=outputs, versions=_versions(int8))
    return _named(model, OPTIONS if options is None else options)


def _versions(int8: bool) -> dict[str, int]:
    return {"CONV_2D": 3, "LOGISTIC": 2, "DEQUANTIZE": 2} if int8 else {}


def _weights() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Kernels [out, 2, 2, 2] and biases of the two heads: boxes move with brightness a little, scores follow it."""
    moves = np.random.default_rng(3).normal(scale=0.2, size=(4, PIXELS, PIXELS, CLASSES)).astype(np.float32)
    score = np.zeros((CLASSES + 1, PIXELS, PIXELS, CLASSES), np.float32)
    for kind in range(CLASSES):
        score[kind + 1, :, :, kind] = _GAIN / PIXELS**2
    bias = np.array([-4.0] + [-_GAIN / 2] * CLASSES, np.float32)
    return (moves, score), (np.zeros(4, np.float32), bias)


def _image(int8: bool) -> Tensor:
    shape = (1, CELLS * PIXELS, CELLS * PIXELS, CLASSES)
    return _activation("image", shape, 1 / 255, -128, int8)


def _activation(name: str, shape: tuple[int, ...], scale: float, zero_point: int, int8: bool) -> Tensor:
    if not int8:
        return Tensor(name=name, shape=shape, dtype="float32")
    return Tensor(name=name, shape=shape, dtype="int8", scale=scale, zero_point=zero_point)


def _constants(name: str, kernel: np.ndarray, bias: np.ndarray, int8: bool) -> tuple[Tensor, Tensor]:
    if not int8:
        return (
            Tensor(name=f"{name}_kernel", shape=kernel.shape, dtype="float32", data=kernel),
            Tensor(name=f"{name}_bias", shape=bias.shape, dtype="float32", data=bias),
        )
    scale = float(np.abs(kernel).max() / 127)
    weights = np.round(kernel / scale).astype(np.int8)
    steps = np.round(bias / (scale / 255)).astype(np.int32)
    return (
        Tensor(name=f"{name}_kernel", shape=kernel.shape, dtype="int8", scale=scale, data=weights),
        Tensor(name=f"{name}_bias", shape=bias.shape, dtype="int32", scale=scale / 255, data=steps),
    )


def _named(model: bytes, options: dict | bytes) -> bytes:
    """The model whose custom op has its name and its options."""
    tree = read_tree(model)
    data = options if isinstance(options, bytes) else bytes(flexbuffers.Dumps(options))
    for number, code in enumerate(tree.rows("operator_codes")):
        if code.number("deprecated_builtin_code") == 32:
            code["custom_code"] = POST_PROCESS.encode()
            custom = number
    for operator in tree.rows("subgraphs")[0].rows("operators"):
        if operator.number("opcode_index") == custom:
            operator["custom_options"] = data
    return bytes(write_tree(tree))
