"""Run in a process of its own by test_workloads.py: builds and trains the published networks, prints figures as JSON."""

import json

from harness.workloads.datasets import DataSource
from harness.workloads.keras.env import import_tf
from harness.workloads.registry import get_workload


def main() -> None:
    tf, keras = import_tf()
    import tensorflow_model_optimization as tfmot

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    figures = {}
    for name in ("mnist-cnn", "sensor-cnn", "cifar-conv"):
        workload = get_workload(name)
        data, schedule = workload.load_dataset(DataSource()), workload.schedule
        keras.utils.set_random_seed(0)
        model = workload.build_model()
        binary = workload.task == "binary"
        losses = keras.losses
        loss = losses.BinaryCrossentropy if binary else losses.SparseCategoricalCrossentropy
        model.compile(keras.optimizers.Adam(schedule.learning_rate), loss(from_logits=workload.from_logits))
        labels = data.y_train[:, None] if binary else data.y_train
        epochs = schedule.epochs_for(len(labels))
        model.fit(data.x_train, labels, batch_size=schedule.batch_size, epochs=epochs, verbose=0)
        outputs = model.predict(data.x_test, verbose=0, batch_size=256)
        predicted = outputs[:, 0] > 0.5 if binary else outputs.argmax(axis=1)
        qat = tfmot.quantization.keras.quantize_model(model)
        figures[name] = {
            "parameters": model.count_params(),
            "input_shape": list(model.input_shape[1:]),
            "output_range": [float(outputs.min()), float(outputs.max())],
            "accuracy": float((predicted == data.y_test).mean()),
            "qat_parameters": qat.count_params(),
            "qat_layers": [layer.count_params() for layer in qat.layers],
        }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
