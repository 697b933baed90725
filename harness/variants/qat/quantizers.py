"""The weight quantizers that `qat-q[...]` names, as TFMOT objects. TensorFlow is imported when one is made.

Settings are passed on as asked, also where TFMOT does not honour them; what came of them is in the training's summary:
`AllValuesQuantizer(per_axis=True)` ignores the flag (its `kernel_min` has shape []), and
`MovingAverageQuantizer(per_axis=True)` fails with an AssertionError, because both make scalar range variables whatever
the flag says. `allvalues-pc` is this project's own: the range over all values seen, one per output channel.
"""

from __future__ import annotations

import functools
from typing import Any

from harness.variants.recipe import Quantizer

#: layers that a named quantizer applies to
NAMED_LAYERS = ("Conv2D", "Dense")
#: those of them that may be quantized per channel. A per-axis fake quantizer on a Dense kernel makes the converter fail
#: ("'tfl.transpose' op has mismatched quantized axes"), which is why TFMOT's own scheme keeps Dense per-tensor too.
PER_CHANNEL_LAYERS = ("Conv2D",)

MOVAVG_PER_AXIS_REASON = (
    "TFMOT's MovingAverageQuantizer fails with an AssertionError for per_axis=True: its range variables are scalars "
    "whatever per_axis says; use qat-q[last,per-channel] or qat-q[allvalues-pc]"
)


def make_weight_quantizer(quantizer: Quantizer, layer_class: str) -> Any:
    """The TFMOT quantizer object for a layer's weights, with every option passed as asked.

    Dense kernels get the per-tensor quantizer of the same kind; see `PER_CHANNEL_LAYERS`.
    """
    from tensorflow_model_optimization.python.core.quantization.keras import quantizers as tfmot

    options = {
        "num_bits": quantizer.weight_bits,
        "symmetric": quantizer.symmetric,
        "narrow_range": quantizer.narrow_range,
    }
    per_channel = quantizer.per_channel and layer_class in PER_CHANNEL_LAYERS
    if quantizer.kind == "allvalues-pc" and per_channel:
        return all_values_per_channel_class()(**options)
    classes = {
        "last": tfmot.LastValueQuantizer,
        "movavg": tfmot.MovingAverageQuantizer,
        "allvalues": tfmot.AllValuesQuantizer,
        "allvalues-pc": tfmot.AllValuesQuantizer,
    }
    return classes[quantizer.kind](per_axis=per_channel, **options)


def make_activation_quantizer(bits: int) -> Any:
    """TFMOT's own choice for activations (moving average, per-tensor, asymmetric, full range) with other bits."""
    from tensorflow_model_optimization.python.core.quantization.keras import quantizers as tfmot

    return tfmot.MovingAverageQuantizer(num_bits=bits, per_axis=False, symmetric=False, narrow_range=False)


@functools.cache
def all_values_per_channel_class() -> type:
    """The class `AllValuesPerChannelQuantizer`; made on demand because its base class lives in TFMOT."""
    import tensorflow as tf
    import tf_keras
    from tensorflow_model_optimization.python.core.quantization.keras import quantizers as tfmot

    class AllValuesPerChannelQuantizer(tfmot.Quantizer):
        """Fake-quantizes weights with the range of all values ever seen, one range per output channel (last axis).

        The running minimum and maximum start at 0, which TFLite needs inside every range, so they widen and never
        shrink. Symmetric ranges are widened to [-r, r] (narrow range) or to the two's complement proportion.
        """

        def __init__(self, num_bits: int, symmetric: bool, narrow_range: bool) -> None:
            self.num_bits = num_bits
            self.symmetric = symmetric
            self.narrow_range = narrow_range
            self.per_axis = True

        def build(self, tensor_shape, name, layer):
            channels = int(tensor_shape[-1])
            return {
                f"{end}_var": layer.add_weight(
                    f"{name}_{end}",
                    shape=(channels,),
                    initializer=tf_keras.initializers.Constant(0.0),
                    trainable=False,
                )
                for end in ("min", "max")
            }

        def __call__(self, inputs, training, weights, **kwargs):
            low, high = weights["min_var"], weights["max_var"]
            if training:
                seen_low, seen_high = self._range(inputs)
                low = low.assign(tf.minimum(low, seen_low))
                high = high.assign(tf.maximum(high, seen_high))
            return tf.quantization.fake_quant_with_min_max_vars_per_channel(
                inputs, low, high, num_bits=self.num_bits, narrow_range=self.narrow_range
            )

        def _range(self, inputs):
            """Minimum and maximum per channel of this step's values, [channels] each, with 0 inside."""
            axes = list(range(len(inputs.shape) - 1))
            low = tf.minimum(tf.reduce_min(inputs, axis=axes), 0.0)
            high = tf.maximum(tf.reduce_max(inputs, axis=axes), 0.0)
            if not self.symmetric:
                return low, high
            levels = 1 << self.num_bits
            # Two's complement reaches one step further down than up, unless the range is narrow.
            ratio = -1.0 if self.narrow_range else -levels / (levels - 2)
            return tf.minimum(low, high * ratio), tf.maximum(high, low / ratio)

        def get_config(self):
            return {"num_bits": self.num_bits, "symmetric": self.symmetric, "narrow_range": self.narrow_range}

    return AllValuesPerChannelQuantizer


@functools.cache
def named_config_class() -> type:
    """The class `NamedQuantizeConfig`; made on demand because its base class lives in TFMOT."""
    from tensorflow_model_optimization.python.core.quantization.keras import quantize_config

    class NamedQuantizeConfig(quantize_config.QuantizeConfig):
        """Quantizes a layer's kernel with a named quantizer, and its own activation where nothing follows to do it.

        Args:
            weight_quantizer: for the kernel.
            activation_quantizer: for the layer's activation; None when a BatchNormalization or ReLU layer follows, whose
                output carries the quantizer instead (TFLite folds those into this layer).
        """

        def __init__(self, weight_quantizer, activation_quantizer=None) -> None:
            self.weight_quantizer = weight_quantizer
            self.activation_quantizer = activation_quantizer

        def get_weights_and_quantizers(self, layer):
            return [(layer.kernel, self.weight_quantizer)]

        def get_activations_and_quantizers(self, layer):
            return [(layer.activation, self.activation_quantizer)] if self.activation_quantizer else []

        def set_quantize_weights(self, layer, quantize_weights):
            layer.kernel = quantize_weights[0]

        def set_quantize_activations(self, layer, quantize_activations):
            if quantize_activations:
                layer.activation = quantize_activations[0]

        def get_output_quantizers(self, layer):
            return []

        def get_config(self):
            return {"weight_quantizer": self.weight_quantizer, "activation_quantizer": self.activation_quantizer}

    return NamedQuantizeConfig


@functools.cache
def activation_bits_config_class() -> type:
    """The class `ActivationBitsConfig`; made on demand because its base class lives in TFMOT."""
    from tensorflow_model_optimization.python.core.quantization.keras import quantize_config

    class ActivationBitsConfig(quantize_config.QuantizeConfig):
        """Another layer's QuantizeConfig whose activation and output quantizers use other than 8 bits."""

        def __init__(self, config, bits: int) -> None:
            self.config = config
            self.bits = bits

        def get_weights_and_quantizers(self, layer):
            return self.config.get_weights_and_quantizers(layer)

        def get_activations_and_quantizers(self, layer):
            rows = self.config.get_activations_and_quantizers(layer)
            return [(activation, make_activation_quantizer(self.bits)) for activation, _ in rows]

        def set_quantize_weights(self, layer, quantize_weights):
            self.config.set_quantize_weights(layer, quantize_weights)

        def set_quantize_activations(self, layer, quantize_activations):
            self.config.set_quantize_activations(layer, quantize_activations)

        def get_output_quantizers(self, layer):
            return [make_activation_quantizer(self.bits) for _ in self.config.get_output_quantizers(layer)]

        def get_config(self):
            return {"config": self.config, "bits": self.bits}

    return ActivationBitsConfig
