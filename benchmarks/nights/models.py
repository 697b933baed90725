"""Two small int8 networks for handwritten digits, made without TensorFlow, and their spoilt twins.

`conv`: random 3x3 features, pooling, a dense layer fitted by least squares, softmax. `dense`: a dense layer on the pixels and
softmax. Both take the 8x8 digits of scikit-learn, doubled to 16x16, as int8 [1, 16, 16, 1] and answer int8 [1, 10].
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from harness.workloads.digits import split_digits
from tests.support.tiny_model import Node, Tensor, build

_PIXEL_SCALE, _ZERO = 1 / 255, -128
_CHANNELS = 16
_FEATURE_SCALE = 0.02
_LOGIT_SCALE = 0.1
_CONV = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1, "FusedActivationFunction": 1}
_POOL = {"StrideH": 2, "StrideW": 2, "FilterHeight": 2, "FilterWidth": 2, "Padding": 1}
_VERSIONS = {"FULLY_CONNECTED": 4, "CONV_2D": 3, "MAX_POOL_2D": 2, "SOFTMAX": 2, "RESHAPE": 1}


def write_samples(path: Path, count: int) -> None:
    """The first `count` test digits as an .npz: x_test float32 [N, 16, 16, 1] in 0..1, y_test int64 [N]."""
    arrays = split_digits()
    np.savez(path, x_test=_images(arrays["x_test"][:count]), y_test=arrays["y_test"][:count])


def conv(*, slower: bool = False) -> bytes:
    """The convolutional network; `slower` has a 1x1 convolution more that changes nothing but the time."""
    kernel = np.random.default_rng(5).integers(-127, 128, (_CHANNELS, 3, 3, 1), dtype=np.int8)
    weights, scale = _fitted(lambda x: _features(x, kernel))
    tensors = [
        Tensor(name="image", shape=(1, 16, 16, 1), dtype="int8", scale=_PIXEL_SCALE, zero_point=_ZERO),
        Tensor(name="kernel", shape=kernel.shape, dtype="int8", scale=0.01, data=kernel),
        _bias("kernel_bias", _CHANNELS, 0.01 * _PIXEL_SCALE),
        _activation("conv", (1, 16, 16, _CHANNELS)),
        _activation("pool", (1, 8, 8, _CHANNELS)),
    ]
    nodes = [
        Node(op="CONV_2D", inputs=(0, 1, 2), outputs=(3,), options="Conv2DOptions", fields={**_CONV, "Padding": 0}),
        Node(op="MAX_POOL_2D", inputs=(3,), outputs=(4,), options="Pool2DOptions", fields=_POOL),
    ]
    if slower:
        nodes.append(_identity(tensors))
    return _ended(tensors, nodes, weights, scale)


def dense(*, worse: bool = False) -> bytes:
    """The dense network; `worse` has noise on its weights: the same name, the same speed, fewer right answers."""
    weights, scale = _fitted(lambda x: x.reshape(len(x), -1))
    if worse:
        noise = np.random.default_rng(7).normal(0, 45, weights.shape)
        weights = np.clip(weights + noise, -127, 127).astype(np.int8)
    image = Tensor(name="image", shape=(1, 16, 16, 1), dtype="int8", scale=_PIXEL_SCALE, zero_point=_ZERO)
    return _ended([image], [], weights, scale)


def _ended(tensors: list[Tensor], nodes: list[Node], weights: np.ndarray, scale: float) -> bytes:
    """The model with a dense layer and a softmax behind its last tensor."""
    last = len(tensors) - 1
    tensors += [
        Tensor(name="weights", shape=weights.shape, dtype="int8", scale=scale, data=weights),
        _bias("bias", 10, scale * tensors[last].scale),
        Tensor(name="logits", shape=(1, 10), dtype="int8", scale=_LOGIT_SCALE),
        Tensor(name="out", shape=(1, 10), dtype="int8", scale=1 / 256, zero_point=_ZERO),
    ]
    nodes += [
        Node(
            op="FULLY_CONNECTED",
            inputs=(last, last + 1, last + 2),
            outputs=(last + 3,),
            options="FullyConnectedOptions",
        ),
        Node(op="SOFTMAX", inputs=(last + 3,), outputs=(last + 4,), options="SoftmaxOptions", fields={"Beta": 1.0}),
    ]
    return build(tensors, nodes, inputs=(0,), outputs=(last + 4,), versions=_VERSIONS)


def _identity(tensors: list[Tensor]) -> Node:
    """A 1x1 convolution by 127 / 127 behind the last tensor, whose values it passes on to the bit."""
    source = len(tensors) - 1
    eye = (127 * np.eye(_CHANNELS)).astype(np.int8).reshape(_CHANNELS, 1, 1, _CHANNELS)
    tensors += [
        Tensor(name="eye", shape=eye.shape, dtype="int8", scale=1 / 127, data=eye),
        _bias("eye_bias", _CHANNELS, _FEATURE_SCALE / 127),
        _activation("same", (1, 8, 8, _CHANNELS)),
    ]
    inputs = (source, source + 1, source + 2)
    return Node(
        op="CONV_2D", inputs=inputs, outputs=(source + 3,), options="Conv2DOptions", fields={**_CONV, "Padding": 0}
    )


def _activation(name: str, shape: tuple[int, ...]) -> Tensor:
    return Tensor(name=name, shape=shape, dtype="int8", scale=_FEATURE_SCALE, zero_point=_ZERO)


def _bias(name: str, count: int, scale: float) -> Tensor:
    return Tensor(name=name, shape=(count,), dtype="int32", scale=scale, data=np.zeros(count, np.int32))


def _images(digits: np.ndarray) -> np.ndarray:
    """uint8 [N, 8, 8] of 0..16 -> float32 [N, 16, 16, 1] of 0..1, every pixel doubled."""
    return np.repeat(np.repeat(digits, 2, axis=1), 2, axis=2)[..., None].astype(np.float32) / 16


def _features(images: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """What convolution, ReLU and pooling make of images: float [N, 8 * 8 * channels]."""
    padded = np.pad(images[..., 0], ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    sums = np.einsum("nhwij,cij->nhwc", windows, 0.01 * kernel[..., 0])
    values = np.clip(sums, 0, 255 * _FEATURE_SCALE)
    return values.reshape(len(images), 8, 2, 8, 2, -1).max(axis=(2, 4)).reshape(len(images), -1)


def _fitted(features) -> tuple[np.ndarray, float]:
    """int8 weights [10, n] and their scale, by ridge regression on the training digits; logits within the output's range."""
    arrays = split_digits()
    x = features(_images(arrays["x_train"]))
    y = 8.0 * (np.eye(10)[arrays["y_train"]] - 0.1)
    weights = np.linalg.solve(x.T @ x + 10.0 * np.eye(x.shape[1]), x.T @ y).T
    scale = float(np.abs(weights).max() / 127)
    return np.round(weights / scale).astype(np.int8), scale
