"""CIFAR separable net: depthwise-separable convolutions, on which the ways to quantize differ most.

Source: the layers of MobileNetV1 (arXiv 1704.04861), whose tables of quantization are in arXiv 1806.08342: Conv + BatchNorm +
ReLU6, then blocks of depthwise 3x3 and pointwise 1x1 with the same behind each, global average, Dense. Narrow enough to be
trained here in minutes; what the tables turn on, kernels of one 3x3 filter per channel whose batch normalization gives each
channel a scale of its own, is the same.
"""

from __future__ import annotations

from harness.workloads.base import Schedule, Workload
from harness.workloads.datasets import CIFAR10, View

# As cifar-conv: an epoch of 10,000 images takes less than 20 s on one core.
VIEW = View(published=CIFAR10, size=32, channels=3, max_train=10_000)
#: (stride, filters) of each depthwise-separable block
BLOCKS = ((1, 32), (2, 64), (1, 64), (2, 128), (1, 128))


def build_model():
    """The untrained Keras model: float32 [N, 32, 32, 3] in 0..1 -> 10 logits."""
    from harness.workloads.keras.env import import_tf

    keras = import_tf().keras
    layers = keras.layers

    def normalized(layer):
        return [layer, layers.BatchNormalization(), layers.ReLU(6.0)]

    stack = [layers.InputLayer(input_shape=(32, 32, 3))]
    stack += normalized(layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False))
    for stride, filters in BLOCKS:
        stack += normalized(layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False))
        stack += normalized(layers.Conv2D(filters, 1, use_bias=False))
    stack += [layers.GlobalAveragePooling2D(), layers.Dense(10)]
    return keras.Sequential(stack, name="cifar_separable")


WORKLOAD = Workload(
    name="cifar-separable",
    title="CIFAR separable net (Conv 16, five depthwise-separable blocks to 128, global average, Dense 10)",
    task="multiclass",
    load_dataset=VIEW.load,
    dataset_digest=VIEW.digest,
    build_model=build_model,
    from_logits=True,
    by_name_only=True,
    schedule=Schedule(
        epochs=20,
        batch_size=64,
        learning_rate=0.003,
        min_steps=600,
        finetune_epochs=2,
        finetune_batch_size=64,
        finetune_samples=None,
        finetune_learning_rate=0.0003,
    ),
)
