"""Run in a process of its own by test_workloads.py: what the trained published networks are, as JSON.

workload_figures.py NAME=FOLDER ...   FOLDER: a finished float training of the network, as a build keeps it
"""

import json
import sys
from pathlib import Path

import numpy as np

from harness.variants.qat.training import set_weight_arrays
from harness.workloads.datasets import DataSource
from harness.workloads.keras.env import import_tf
from harness.workloads.registry import get_workload


def figures_of(name: str, folder: Path) -> dict[str, object]:
    import tensorflow_model_optimization as tfmot

    workload = get_workload(name)
    data = workload.load_dataset(DataSource(parts="test"))
    model = workload.build_model()
    with np.load(folder / "weights.npz", allow_pickle=False) as weights:
        set_weight_arrays(model, dict(weights))
    outputs = model.predict(data.x_test, verbose=0, batch_size=256)
    predicted = outputs[:, 0] > 0.5 if workload.task == "binary" else outputs.argmax(axis=1)
    qat = tfmot.quantization.keras.quantize_model(model)
    return {
        "parameters": model.count_params(),
        "input_shape": list(model.input_shape[1:]),
        "output_range": [float(outputs.min()), float(outputs.max())],
        "accuracy": float((predicted == data.y_test).mean()),
        "qat_parameters": qat.count_params(),
        "qat_layers": [layer.count_params() for layer in qat.layers],
    }


def main(arguments: list[str]) -> None:
    tf, _ = import_tf()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    pairs = [argument.split("=", 1) for argument in arguments]
    print(json.dumps({name: figures_of(name, Path(folder)) for name, folder in pairs}))


if __name__ == "__main__":
    main(sys.argv[1:])
