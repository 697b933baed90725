"""Networks of many shapes, without TensorFlow: random bodies with heads trained on scikit-learn's digits, then quantized."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from benchmarks.wrong.subject import Subject, stored_samples
from tests.support.host_runtime import HostRuntime
from tests.support.small_nets import Net
from tests.support.small_quantizer import Style, calibrate, quantize

#: how the generated networks are quantized; the last two are not integer models
STYLES = {
    "int8": Style(),
    "int8-pt": Style(per_channel=False),
    "int8-float-io": Style(float_io=True),
    "int16": Style(activations="int16"),
    "hybrid": Style(activations="float32"),
}
_TRAINED_ON, _CALIBRATED_ON = 1000, 200
#: what the heads are fitted to say of the right class, and the negative of it of every other
_LOGIT = 4.0


@dataclass(frozen=True, kw_only=True)
class Design:
    """One network.

    Attributes:
        inputs: `image` [16, 16, 1], `rows` [8, 8] or `flat` [64].
        body: from the net and its input to the features.
        head: `classes` (10 digits, softmax), `logits`, `binary` (a sigmoid: 5 and more) or `image` (the digit again).
        styles: those of STYLES that its ops have kernels for.
    """

    inputs: str
    body: Callable[[Net, int], int]
    head: str = "classes"
    styles: tuple[str, ...] = tuple(STYLES)


def _mlp(net, x):
    return net.dense(net.dense(x, 48, activation="relu"), 32, activation="relu")


def _cnn(net, x):
    return net.pool(net.conv(net.conv(x, 8), 16, stride=2))


def _deep(net, x):
    x = net.conv(x, 8, stride=2)
    for _ in range(10):
        x = net.conv(x, 8)
    return x


def _separable(net, x):
    x = net.conv(x, 12, stride=2)
    for _ in range(4):
        x = net.conv(net.depthwise(x), 12, kernel=1)
    return net.pool(x, kind="average")


def _residual(net, x):
    x = net.conv(x, 12, stride=2)
    for _ in range(4):
        x = net.add(x, net.conv(net.conv(x, 12), 12, activation=None), activation="relu")
    return net.reduce(x)


def _inverted(net, x):
    x = net.conv(x, 8, stride=2, activation="relu6")
    for _ in range(4):
        wide = net.depthwise(net.conv(x, 32, kernel=1, activation="relu6"), activation="relu6")
        x = net.add(x, net.conv(wide, 8, kernel=1, activation=None))
    return net.reshape(x, (1, 512))


def _branches(net, x):
    x = net.conv(x, 8, stride=2)
    for _ in range(2):
        x = net.concat(net.conv(x, 4, kernel=1), net.conv(x, 8), net.conv(x, 4, kernel=5))
    return net.pool(x, kind="average")


def _gated(net, x):
    x = net.conv(x, 8, stride=2)
    for _ in range(3):
        left, right = net.split(net.conv(x, 16, activation=None), 2)
        x = net.mul(net.unary("TANH", left), net.unary("LOGISTIC", right))
    return net.reshape(x, (1, 512))


def _attention(net, x):
    x = net.dense(x, 16, keep_dims=True)
    for _ in range(2):
        q, k, v = (net.dense(x, 16, keep_dims=True) for _ in range(3))
        mixed = net.matmul(net.softmax(net.matmul(q, k)), v, transposed=False)
        x = net.add(x, net.dense(mixed, 16, keep_dims=True, activation="relu"))
    return net.reshape(x, (1, 128))


def _swish(net, x):
    x = net.conv(x, 8, stride=2, activation=None)
    for _ in range(3):
        x = net.conv(net.unary("HARD_SWISH", x, version=1), 8, activation=None)
    return net.unary("LEAKY_RELU", x, options="LeakyReluOptions", fields={"alpha": 0.1})


def _lstm(net, x):
    return net.reshape(net.lstm(x, 16), (1, 128))


def _padded(net, x):
    x = net.conv(net.pad(x, 2), 8, padding="valid", stride=2)
    return net.transpose(net.conv(net.pad(x, 1), 8, padding="valid"), (0, 3, 1, 2))


DESIGNS: dict[str, Design] = {
    "mlp": Design(inputs="flat", body=_mlp),
    "mlp-logits": Design(inputs="flat", body=_mlp, head="logits"),
    "cnn": Design(inputs="image", body=_cnn),
    "cnn-binary": Design(inputs="image", body=_cnn, head="binary"),
    "deep": Design(inputs="image", body=_deep),
    "separable": Design(inputs="image", body=_separable),
    "residual": Design(inputs="image", body=_residual, head="logits"),
    "inverted": Design(inputs="image", body=_inverted),
    "branches": Design(inputs="image", body=_branches),
    "gated": Design(inputs="image", body=_gated),
    "attention": Design(inputs="rows", body=_attention, styles=("int8", "int8-pt", "int16", "hybrid")),
    "swish": Design(inputs="image", body=_swish, styles=("int8", "int8-pt", "int8-float-io", "hybrid")),
    "lstm": Design(inputs="rows", body=_lstm, styles=("int8", "int8-float-io")),
    "padded": Design(inputs="image", body=_padded),
    "autoencoder": Design(inputs="flat", body=_mlp, head="image"),
}


def generated(runtime: HostRuntime, *, samples: int, names: tuple[str, ...] = ()) -> Iterator[Subject]:
    """The subjects of every design and style.

    Args:
        runtime: LiteRT, for calibration.
        samples: how many are judged.
        names: `DESIGN` or `DESIGN-STYLE`, of those that are wanted; empty: all.
    """
    for name, design in DESIGNS.items():
        wanted = [s for s in design.styles if not names or name in names or f"{name}-{s}" in names]
        if not wanted:
            continue
        x = _digits(design.inputs)
        model = _trained(design, x, runtime)
        ranges = calibrate(model, [x[:_CALIBRATED_ON]], runtime)
        for style in wanted:
            made = quantize(model, ranges, STYLES[style])
            yield Subject(
                name=f"{name}-{style}",
                model=made,
                feeds=[stored_samples(made, x[_TRAINED_ON : _TRAINED_ON + samples])],
                task={"binary": "binary", "image": "none"}.get(design.head, "multiclass"),
                repeats=STYLES[style].float_io,
            )


def _trained(design: Design, x: np.ndarray, runtime: HostRuntime) -> bytes:
    """The float model: a body of random weights, and a head fitted to what the body makes of the digits."""
    body = Net(x.shape[1:])
    features_model = body.model(design.body(body, body.inputs[0]))
    (features,) = runtime.run(features_model, [x[:_TRAINED_ON]], kernels="default")
    weights, bias = _fitted(design.head, features.reshape(_TRAINED_ON, -1), x[:_TRAINED_ON])
    net = Net(x.shape[1:])
    scores = net.dense(design.body(net, net.inputs[0]), len(bias), weights=weights, bias=bias)
    if design.head == "classes":
        scores = net.softmax(scores)
    elif design.head == "binary":
        scores = net.unary("LOGISTIC", scores)
    return net.model(scores)


def _fitted(head: str, features: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights [units, features] and bias of the last layer."""
    from sklearn.linear_model import Ridge

    labels = _labels()[: len(features)]
    scale = features.std() + 1e-6
    if head == "image":
        targets = x.reshape(len(x), -1)
    elif head == "binary":
        targets = _LOGIT * np.where(labels >= 5, 1.0, -1.0)[:, None]
    else:
        targets = _LOGIT * (2.0 * np.eye(10)[labels] - 1.0)
    fitted = Ridge(alpha=3.0).fit(features / scale, targets)
    return np.atleast_2d(fitted.coef_) / scale, np.atleast_1d(fitted.intercept_)


@cache
def _data() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    return (digits.images[order] / 16).astype(np.float32), digits.target[order]


def _labels() -> np.ndarray:
    return _data()[1]


def _digits(inputs: str) -> np.ndarray:
    images = _data()[0]
    if inputs == "flat":
        return images.reshape(-1, 64)
    if inputs == "image":
        return np.kron(images, np.ones((1, 2, 2), np.float32))[..., None]
    return images
