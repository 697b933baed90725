"""Quantization-aware training by a scheme of the project's own: `qat-sim[...]`. Runs in build workers with Keras 2 only.

TFMOT trains 8 bits as its own scheme has them, depthwise kernels per tensor only, and Conv + BatchNormalization unfolded. Here
batch normalization is folded first (what a .tflite holds is the folded kernel), then every step computes with rounded kernels
and gives the gradient to the unrounded ones (straight-through estimator, arXiv 1806.08342, section 2.4). Activations are
rounded to the range of their batch. What is converted afterwards is the unrounded model, which `sim[...]` rounds in the same way.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.core.errors import UnsupportedError
from harness.variants.qat.flat import flattened
from harness.variants.qat.wrapping import folded_followers
from harness.variants.scheme import Scheme
from harness.workloads.keras.env import import_tf

#: layers whose kernels are rounded -> axes of the output channels in Keras
KERNELS: dict[str, tuple[int, ...]] = {"Conv1D": (2,), "Conv2D": (3,), "DepthwiseConv2D": (2, 3), "Dense": (1,)}


def folded(model: Any) -> Any:
    """A model without the batch normalization that a converter folds: its scale is in the kernels, its shift in biases.

    Args:
        model: a built Sequential or functional tf_keras model.

    Returns:
        A new model with the same answers at inference. Other batch normalization stays, frozen.

    Raises:
        UnsupportedError: a layer with weights that `sim[...]` does not round.
    """
    _, keras = import_tf()
    model = flattened(model)
    _refuse_other_weights(model)
    normalized = {layer.name: chain[0] for layer in model.layers if (chain := _normalization(layer))}
    gone = {chain.name for chain in normalized.values()}

    def copy(layer):
        settings = layer.get_config()
        if layer.name in normalized:
            settings["use_bias"] = True
        elif layer.name in gone:
            return keras.layers.Activation("linear", name=layer.name)
        return type(layer).from_config(settings)

    made = keras.models.clone_model(model, clone_function=copy)
    for old in model.layers:
        new = made.get_layer(old.name)
        if old.name in normalized:
            new.set_weights(_folded_weights(old, normalized[old.name]))
        elif old.name not in gone:
            new.set_weights(old.get_weights())
        if isinstance(new, keras.layers.BatchNormalization):
            new.trainable = False
    return made


def _normalization(layer: Any) -> list[Any]:
    """The batch normalization that is folded into a layer; empty where there is none."""
    if layer.__class__.__name__ not in KERNELS:
        return []
    return [follower for follower in folded_followers(layer) if follower.__class__.__name__ == "BatchNormalization"]


def _refuse_other_weights(model: Any) -> None:
    others = ("BatchNormalization", "LayerNormalization", "Normalization", "Rescaling", *KERNELS)
    for layer in model.layers:
        if layer.weights and layer.__class__.__name__ not in others:
            raise UnsupportedError(
                f"qat-sim[...] does not round the weights of {layer.__class__.__name__} '{layer.name}'",
                hint=f"it knows {', '.join(KERNELS)}",
            )


def _folded_weights(layer: Any, normalization: Any) -> list[np.ndarray]:
    """Kernel and bias with the batch normalization in them: w g / s, and b + (bias - mean) g / s with s = sqrt(var + eps)."""
    mean, variance = normalization.moving_mean.numpy(), normalization.moving_variance.numpy()
    gain = 1 / np.sqrt(variance + normalization.epsilon)
    if normalization.gamma is not None:
        gain = gain * normalization.gamma.numpy()
    shift = np.zeros_like(mean) if normalization.beta is None else normalization.beta.numpy()
    kernel = _kernel(layer).numpy()
    bias = layer.bias.numpy() if layer.use_bias else np.zeros_like(mean)
    axes = KERNELS[layer.__class__.__name__]
    spread = gain.reshape([kernel.shape[axis] if axis in axes else 1 for axis in range(kernel.ndim)])
    return [(kernel * spread).astype(np.float32), (shift + (bias - mean) * gain).astype(np.float32)]


def _kernel(layer: Any) -> Any:
    return layer.depthwise_kernel if _kind(layer) == "DepthwiseConv2D" else layer.kernel


def round_kernel(kernel: Any, scheme: Scheme, channels: tuple[int, ...]) -> Any:
    """A kernel as `harness.variants.convert.simulate.rounded` rounds it, in TensorFlow.

    Args:
        channels: the axes of the output channels.
    """
    tf, _ = import_tf()
    axes = [axis for axis in range(len(kernel.shape)) if axis not in channels] if scheme.per_channel else None
    low, high = scheme.weight_levels
    if scheme.symmetric:
        scale = _not_zero(tf.reduce_max(tf.abs(kernel), axis=axes, keepdims=True) / high)
        return scale * tf.clip_by_value(tf.round(kernel / scale), low, high)
    least = tf.minimum(tf.reduce_min(kernel, axis=axes, keepdims=True), 0.0)
    most = tf.maximum(tf.reduce_max(kernel, axis=axes, keepdims=True), 0.0)
    scale = _not_zero((most - least) / (high - low))
    zero = tf.round(low - least / scale)
    return scale * (tf.clip_by_value(tf.round(kernel / scale) + zero, low, high) - zero)


def _not_zero(scale: Any) -> Any:
    tf, _ = import_tf()
    return tf.where(scale > 0, scale, tf.ones_like(scale))


@dataclass(frozen=True, kw_only=True)
class StraightThrough:
    """A model on its way through training by a scheme.

    Attributes:
        model: a tf_keras model whose training step computes with rounded kernels and moves the unrounded ones; for
            `harness.variants.qat.training.fine_tune`.
        kernels: (kernel, axes of its output channels, its unrounded values).
    """

    model: Any
    kernels: Sequence[tuple[Any, tuple[int, ...], Any]]

    def finish(self) -> None:
        """Puts the unrounded kernels back into the model."""
        for kernel, _, unrounded in self.kernels:
            kernel.assign(unrounded)


def straight_through(model: Any, scheme: Scheme) -> StraightThrough:
    """A model as it trains by a scheme.

    Args:
        model: from `folded`; its weights may be changed.
    """
    tf, keras = import_tf()
    copy = model if scheme.activation_bits is None else _with_rounded_activations(model, scheme.activation_bits)
    # Outside of the model, which would count them among its weights.
    kernels: list[tuple[Any, tuple[int, ...], Any]] = []

    made = _training_class(tf, keras, kernels, scheme)(copy.inputs, copy.outputs, name=model.name)
    for layer in made.layers:
        channels = KERNELS.get(_kind(layer))
        if channels is not None and layer.trainable:
            kernel = _kernel(layer)
            kernels.append((kernel, channels, tf.Variable(kernel)))
    return StraightThrough(model=made, kernels=kernels)


def _training_class(tf: Any, keras: Any, kernels: Sequence[tuple[Any, tuple[int, ...], Any]], scheme: Scheme) -> Any:
    class StraightThroughModel(keras.Model):
        def train_step(self, data):
            x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
            for kernel, channels, unrounded in kernels:
                kernel.assign(round_kernel(unrounded, scheme, channels))
            with tf.GradientTape() as tape:
                loss = self.compute_loss(x, y, self(x, training=True), weight)
            variables = self.trainable_variables
            moved = {id(kernel): unrounded for kernel, _, unrounded in kernels}
            targets = [moved.get(id(variable), variable) for variable in variables]
            self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), targets, strict=True))
            return {"loss": loss}

    return StraightThroughModel


def _kind(layer: Any) -> str:
    """The layer's class, also of one whose output is rounded."""
    return getattr(layer, "rounded_kind", layer.__class__.__name__)


def _with_rounded_activations(model: Any, bits: int) -> Any:
    """A copy whose layers round what they give, where the .tflite has a tensor for it: behind the last of what is folded into
    one op, and the model's input."""
    tf, keras = import_tf()
    inner = {layer.name for first in model.layers for layer in [first, *_fused(first)][:-1]}

    def rounding(values):
        low, high = tf.minimum(tf.reduce_min(values), 0.0), tf.maximum(tf.reduce_max(values), 0.0)
        low, high = tf.stop_gradient(low), tf.stop_gradient(high)
        return tf.quantization.fake_quant_with_min_max_vars(values, low, high, num_bits=bits)

    def copy(layer):
        kind = type(layer)
        if layer.name not in inner and not isinstance(layer, keras.layers.InputLayer):
            kind = _rounding_class(kind, rounding)
        return kind.from_config(layer.get_config())

    made = keras.models.clone_model(model, clone_function=copy)
    made.set_weights(model.get_weights())
    return made


def _rounding_class(kind: type, rounding: Callable[[Any], Any]) -> type:
    """A layer class that rounds what it gives. Keras reads from the signature of `call` whether to say `training`."""
    if "training" in inspect.signature(kind.call).parameters:  # type: ignore[attr-defined]

        class Rounding(kind):
            rounded_kind = kind.__name__

            def call(self, inputs, training=None):
                return rounding(super().call(inputs, training=training))

        return Rounding

    class PlainRounding(kind):
        rounded_kind = kind.__name__

        def call(self, inputs):
            return rounding(super().call(inputs))

    return PlainRounding


def _fused(layer: Any) -> list[Any]:
    """The layers behind a linear layer that a .tflite computes in the same op: what was batch normalization, and the ReLU."""
    if layer.__class__.__name__ not in KERNELS or getattr(layer.activation, "__name__", "") != "linear":
        return []
    chain: list[Any] = []
    current = layer
    while len(current.outbound_nodes) == 1:
        current = current.outbound_nodes[0].layer
        activation = getattr(getattr(current, "activation", None), "__name__", "")
        is_relu = current.__class__.__name__ == "ReLU" or activation in ("relu", "relu6")
        if activation == "linear" and current.__class__.__name__ == "Activation" and not chain:
            chain.append(current)
        elif is_relu:
            return [*chain, current]
        else:
            break
    return chain
