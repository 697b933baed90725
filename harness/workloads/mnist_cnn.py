"""MNIST CNN: network and schedule of TensorFlow Model Optimization's "Quantization aware training in Keras example".

Reshape, Conv 12 3x3 relu, MaxPool 2, Flatten, Dense 10 (logits); Adam, one epoch at batch 32; fine-tuning on the first
1,000 images, batch 500, one epoch. The tutorial keeps a tenth for validation, which is left out here: nothing reads it.
"""

from __future__ import annotations

from harness.workloads.base import Schedule, Workload
from harness.workloads.datasets import MNIST, View

VIEW = View(published=MNIST, size=28)


def build_model():
    """The untrained Keras model: float32 [N, 28, 28] in 0..1 -> 10 logits; 20,410 parameters."""
    from harness.workloads.keras.env import import_tf

    layers = import_tf().keras.layers
    return import_tf().keras.Sequential(
        [
            layers.InputLayer(input_shape=(28, 28)),
            layers.Reshape(target_shape=(28, 28, 1)),
            layers.Conv2D(filters=12, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Flatten(),
            layers.Dense(10),
        ],
        # Keras' own default name, as in the tutorial: tensor names carry it, and published file sizes depend on them.
        name="sequential",
    )


WORKLOAD = Workload(
    name="mnist-cnn",
    title="MNIST CNN (Reshape, Conv 12, MaxPool, Flatten, Dense 10)",
    task="multiclass",
    load_dataset=VIEW.load,
    dataset_digest=VIEW.digest,
    build_model=build_model,
    from_logits=True,
    # One epoch of the 1,297 bundled digits would be 41 steps; 600 steps (15 epochs) train as long as a third of the
    # published epoch and reach a useful accuracy.
    schedule=Schedule(epochs=1, batch_size=32, learning_rate=0.001, min_steps=600),
)
