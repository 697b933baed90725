"""Sensor CNN: the published 56x56x1 network with separate `Activation` layers and one sigmoid output.

Source: "What does QuantizeWrapperV2 actually do?" (Stack Overflow), whose summaries give every layer's shape and count:
7,101 parameters, 7,131 after TFMOT's `quantize_model`, where no layer but the last has a weight quantizer. The question
names neither data nor schedule; the task here is made from the digits, so that everybody can repeat it.
"""

from __future__ import annotations

from harness.workloads.base import Schedule, Workload
from harness.workloads.datasets import MNIST, LabelRule, View

ODD_DIGIT = LabelRule(name="odd", note="the task: is the digit odd?", apply=lambda labels: labels % 2)

# 6,000 of MNIST's training images: 56x56 float32 samples take 12.5 kB each, and two epochs of them reach the plateau.
VIEW = View(published=MNIST, size=56, channels=1, max_train=6000, rule=ODD_DIGIT)


def build_model():
    """The untrained Keras model: float32 [N, 56, 56, 1] in 0..1 -> one probability; 7,101 parameters.

    Activations stay layers of their own: that is the trap this network shows (docs/guides/published-experiments.md).
    """
    from harness.workloads.keras.env import import_tf

    keras = import_tf().keras
    layers = keras.layers
    # With Keras' default (Glorot) weights the averaged features start so small that training often stays at .5.
    weights = {"kernel_initializer": "he_uniform"}
    return keras.Sequential(
        [
            layers.InputLayer(input_shape=(56, 56, 1)),
            layers.Conv2D(30, (3, 3), **weights),
            layers.Activation("relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(16, (3, 3), **weights),
            layers.Activation("relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(16, (3, 3), **weights),
            layers.Activation("relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(8, **weights),
            layers.Activation("relu"),
            layers.Dense(1),
            layers.Activation("sigmoid"),
        ],
        name="sensor_cnn",
    )


WORKLOAD = Workload(
    name="sensor-cnn",
    title="56x56x1 CNN (Conv 30/16/16, GlobalAveragePooling, Dense 8, Dense 1, separate activations)",
    task="binary",
    load_dataset=VIEW.load,
    dataset_digest=VIEW.digest,
    build_model=build_model,
    # 560 steps: two epochs of the 6,000 MNIST images, seven of the 1,297 bundled digits.
    schedule=Schedule(
        epochs=1,
        batch_size=16,
        learning_rate=0.002,
        min_steps=560,
        finetune_batch_size=32,
        finetune_samples=1000,
        finetune_learning_rate=0.0005,
    ),
)
