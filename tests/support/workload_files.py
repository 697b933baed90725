"""Small data and model files for the tests of workloads and datasets."""

import io
import json
import tarfile
import zipfile

import h5py
import numpy as np


def mnist_like(count=40, seed=0):
    """Arrays in the layout of mnist.npz, every class present."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.uint8) % 10
    images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
    return {"x_train": images, "y_train": labels, "x_test": images[:20].copy(), "y_test": labels[:20].copy()}


def cifar_archive(batches=5, per_batch=4, label=3):
    """Bytes of an archive like cifar-10-binary.tar.gz; pixel planes hold 10 (red), 20 (green) and 30 (blue)."""
    record = bytes([label]) + b"\x0a" * 1024 + b"\x14" * 1024 + b"\x1e" * 1024
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name in [f"data_batch_{i}.bin" for i in range(1, batches + 1)] + ["test_batch.bin"]:
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = per_batch * len(record)
            archive.addfile(info, io.BytesIO(record * per_batch))
    return out.getvalue()


def layer(name, **config):
    return {"class_name": name, "config": {"name": name.lower(), **config}}


def sequential(*layers):
    return {"class_name": "Sequential", "config": {"name": "model", "layers": list(layers)}}


def dense_classifier(units=10, activation="softmax", input_shape=(28, 28)):
    """The description of a small Sequential model, as Keras 2 writes it."""
    return sequential(
        layer("InputLayer", batch_input_shape=[None, *input_shape]),
        layer("Flatten"),
        layer("Dense", units=units, activation=activation),
    )


def write_h5(path, config, version="2.21.0"):
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = version
    return path


def write_keras_zip(path, config, version="2.21.0"):
    weights = io.BytesIO()
    h5py.File(weights, "w").close()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("model.weights.h5", weights.getvalue())
    return path


def write_weighted_h5(path, input_shape, *layers):
    """A Sequential model of Dense layers with their weights, as Keras 2 writes it: no Keras needed.

    Args:
        layers: (name, activation, kernel [inputs, units], bias [units]) each.
    """
    described = [layer("Dense", units=kernel.shape[1], activation=activation) for _, activation, kernel, _ in layers]
    for one, (name, *_) in zip(described, layers, strict=True):
        one["config"]["name"] = name
    write_h5(path, sequential(layer("InputLayer", batch_input_shape=[None, *input_shape]), *described))
    with h5py.File(path, "a") as file:
        group = file.create_group("model_weights")
        group.attrs.update({"layer_names": [name.encode() for name, *_ in layers], "keras_version": "2.21.0"})
        for name, _, kernel, bias in layers:
            weights = {f"{name}/kernel:0": kernel, f"{name}/bias:0": bias}
            place = group.create_group(name)
            place.attrs["weight_names"] = [key.encode() for key in weights]
            for key, values in weights.items():
                place.create_dataset(key, data=np.asarray(values, np.float32))
    return path
