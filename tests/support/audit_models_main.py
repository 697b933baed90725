"""Builds the audit tests' models in a process of its own: `python -m tests.support.audit_models_main FOLDER`.

The published networks, trained for a few steps on noise: what the audit reads (types, ranges, names, counts) does not
depend on how well they learned. Writes NAME__RECIPE.tflite, NAME__TRAINING.json (summaries), .h5 and .keras files.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from harness.variants.convert.ptq import convert
from harness.variants.qat.summary import describe
from harness.variants.qat.wrapping import quantize
from harness.variants.recipe import parse_recipe
from harness.workloads.keras.env import import_tf
from harness.workloads.registry import get_workload

MODELS = {
    "mnist-cnn": (
        "ptq-float32",
        "ptq-default",
        "ptq-default-pt",
        "ptq-float16",
        "ptq-wo8",
        "ptq-int8-io",
        "ptq-int16x8",
        "ptq-aeq-dyn8",
        "ptq-aeq-dyn4",
        "ptq-int8-io-dynbatch",
        "qat-default",
        "qat-dense-default",
        "qat-dense-int8-io",
    ),
    "sensor-cnn": ("qat-default",),
    "cifar-conv": ("qat-q[allvalues,asymmetric]-default",),
}
#: trainings of which only the quantizers matter: neither trained nor converted
DESCRIBED = {"cifar-conv": ("qat-q[allvalues,per-channel]", "qat-q[last,w4]")}


def main(folder: Path) -> None:
    tf, keras = import_tf()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    for name, recipes in MODELS.items():
        workload = get_workload(name)
        keras.backend.clear_session()
        keras.utils.set_random_seed(0)
        base = workload.build_model()
        rng = np.random.default_rng(0)
        x = rng.random((32, *base.inputs[0].shape[1:])).astype(np.float32)
        y = rng.integers(0, 2, 32)
        trained = {}
        for recipe in map(parse_recipe, recipes):
            training = recipe.training
            if training.name not in trained:
                model = quantize(base, training) if training.base == "qat" else base
                loss = "binary_crossentropy" if workload.task == "binary" else "sparse_categorical_crossentropy"
                model.compile("adam", loss=loss)
                model.fit(x, y, batch_size=16, epochs=1, verbose=0)
                trained[training.name] = model
                (folder / f"{name}__{training.name}.json").write_text(json.dumps(describe(model)))
                if (name, training.name) == ("sensor-cnn", "qat"):
                    model.save(folder / "sensor.h5")
                    model.save(folder / "sensor.keras")
                if (name, training.name) == ("mnist-cnn", "ptq"):
                    model.save(folder / "float.h5")
            data = convert(
                trained[training.name], recipe.conversion, dynamic_batch=recipe.dynamic_batch, representative=x[:8]
            )
            (folder / f"{name}__{recipe.name}.tflite").write_bytes(data)
        for training_name in DESCRIBED.get(name, ()):
            model = quantize(base, parse_recipe(f"{training_name}-default").training)
            (folder / f"{name}__{training_name}.json").write_text(json.dumps(describe(model)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
