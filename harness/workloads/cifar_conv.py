"""CIFAR conv net: the published network of the question how to get per-axis AllValues quantization.

Source: TensorFlow issue 47858, "Quantization Aware Training does not seem to perform per-channel quantization with
AllValuesQuantizer": Conv 32 + BatchNorm + ReLU, Flatten, Dense 10 on CIFAR-10, with a custom QuantizeConfig, batch 64,
QAT for two epochs. What the question hangs on is the 32 filters; 3x3 without padding is Keras' plainest choice.
"""

from __future__ import annotations

from harness.workloads.base import Schedule, Workload
from harness.workloads.datasets import CIFAR10, View

# float32 samples take 12.3 kB each: 10,000 of the 50,000 keep a build worker under 300 MB and an epoch under 10 s.
VIEW = View(published=CIFAR10, size=32, channels=3, max_train=10_000)


def build_model():
    """The untrained Keras model: float32 [N, 32, 32, 3] in 0..1 -> 10 logits; 289,034 parameters."""
    from harness.workloads.keras.env import import_tf

    keras = import_tf().keras
    layers = keras.layers
    return keras.Sequential(
        [
            layers.InputLayer(input_shape=(32, 32, 3)),
            layers.Conv2D(32, (3, 3)),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(10),
        ],
        name="cifar_conv",
    )


WORKLOAD = Workload(
    name="cifar-conv",
    title="CIFAR conv net (Conv 32 + BatchNorm + ReLU, Flatten, Dense 10)",
    task="multiclass",
    load_dataset=VIEW.load,
    dataset_digest=VIEW.digest,
    build_model=build_model,
    from_logits=True,
    # Three epochs of 10,000 images are 471 steps; the bundled digits take 8 epochs to the 150 steps they need.
    schedule=Schedule(
        epochs=3,
        batch_size=64,
        learning_rate=0.001,
        min_steps=150,
        finetune_epochs=2,
        finetune_batch_size=64,
        finetune_samples=1000,
    ),
)
