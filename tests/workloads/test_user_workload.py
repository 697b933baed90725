"""A model of the user's own: what is read off the file, which samples fit, what is refused, and that Keras files load."""

import json
import os
import subprocess
import sys
import threading
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest

from harness.core.errors import UserInputError
from harness.core.tensor import TensorIo
from harness.workloads.datasets import DataSource
from harness.workloads.keras.env import worker_environment
from harness.workloads.keras.file import read_keras_file
from harness.workloads.metrics.base import Ends
from harness.workloads.registry import get_workload
from harness.workloads.user import ModelEnds, RandomInputs, Samples, model_ends
from tests.support.workload_files import dense_classifier, layer, sequential, write_h5, write_keras_zip

SOURCE = DataSource()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def model(tmp_path):
    """A 28x28 -> 10 softmax classifier, as far as its description goes."""
    return write_h5(tmp_path / "mine.h5", dense_classifier())


def _dense(units):
    return layer("Dense", units=units, activation="softmax")


def npz(tmp_path, **arrays):
    np.savez(tmp_path / "samples.npz", **arrays)
    return tmp_path / "samples.npz"


def images(count=6, shape=(28, 28)):
    return np.arange(count * int(np.prod(shape))).reshape(count, *shape).astype(np.uint8)


def own(model, data):
    return get_workload(str(model), data=data)


# Task and names


def test_labels_and_softmax_make_a_multiclass_task(model, tmp_path):
    workload = own(model, npz(tmp_path, x=images(), y=np.arange(6)))
    assert (workload.task, workload.name, workload.from_logits) == ("multiclass", "mine", False)


def test_one_sigmoid_output_makes_a_binary_task(tmp_path):
    model = write_h5(tmp_path / "m.h5", dense_classifier(1, "sigmoid"))
    assert own(model, npz(tmp_path, x=images(2), y=[0, 1])).task == "binary"


def test_no_labels_make_no_task(model, tmp_path):
    workload = own(model, npz(tmp_path, x=images()))
    dataset = workload.load_dataset(SOURCE)
    assert workload.task == "none" and dataset.y_test is None
    assert "agreement with the reference only" in dataset.note


def test_a_published_name_is_never_taken(tmp_path):
    model = write_h5(tmp_path / "mnist-cnn.h5", dense_classifier())
    assert own(model, npz(tmp_path, x=images())).name == "user-mnist-cnn"


def test_a_name_with_odd_characters_becomes_a_plain_one(tmp_path):
    model = write_h5(tmp_path / "my model (v2).h5", dense_classifier())
    assert own(model, npz(tmp_path, x=images())).name == "my-model-v2"


def test_reading_a_model_imports_no_tensorflow(model, tmp_path):
    code = (
        "import sys; from pathlib import Path; from harness.workloads.registry import get_workload\n"
        "from harness.workloads.datasets import DataSource\n"
        f"get_workload({str(model)!r}, data=Path({str(npz(tmp_path, x=images()))!r})).load_dataset(DataSource())\n"
        "print('tensorflow' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "False", result.stderr


def test_a_workload_of_ones_own_travels_to_a_worker_process(model, tmp_path):
    workload = own(model, npz(tmp_path, x=images()))
    assert bytes(ForkingPickler.dumps(workload))


# Samples


def test_train_and_test_arrays_are_kept_apart(model, tmp_path):
    data = npz(tmp_path, x_train=images(8), y_train=np.arange(8), x_test=images(4), y_test=np.arange(4))
    dataset = own(model, data).load_dataset(SOURCE)
    assert len(dataset.x_train) == len(dataset.y_train) == 8 and len(dataset.x_test) == 4


def test_x_and_y_alone_calibrate_but_are_never_trained_on(model, tmp_path):
    dataset = own(model, npz(tmp_path, x=images(), y=np.arange(6))).load_dataset(SOURCE)
    assert dataset.y_train is None and np.array_equal(dataset.x_train, dataset.x_test)
    assert "nothing is trained on" in dataset.note


def test_pixels_go_in_as_they_are(model, tmp_path):
    dataset = own(model, npz(tmp_path, x=images())).load_dataset(SOURCE)
    assert dataset.x_test.dtype == np.float32 and dataset.x_test.max() == 255


def test_scale_and_offset_in_the_file_are_applied(model, tmp_path):
    dataset = own(model, npz(tmp_path, x=images(), scale=1 / 127.5, offset=-1.0)).load_dataset(SOURCE)
    assert dataset.x_test.min() == -1 and dataset.x_test.max() == pytest.approx(1)


def test_a_missing_channel_axis_is_added(tmp_path):
    model = write_h5(tmp_path / "m.h5", dense_classifier(input_shape=(28, 28, 1)))
    assert own(model, npz(tmp_path, x=images())).load_dataset(SOURCE).x_test.shape == (6, 28, 28, 1)


def test_the_digest_follows_the_samples_and_the_preprocessing(model, tmp_path):
    seen = set()
    for arrays in ({"x": images()}, {"x": images() + 1}, {"x": images(), "scale": 0.5}):
        data = npz(tmp_path, **arrays)
        os.utime(data, ns=(len(seen), len(seen)))
        workload = own(model, data)
        assert workload.dataset_digest(SOURCE) == workload.load_dataset(SOURCE).digest
        seen.add(workload.dataset_digest(SOURCE))
    assert len(seen) == 3


@pytest.mark.parametrize(
    "arrays, words",
    [
        ({}, "has no arrays in it"),
        ({"images": images()}, "has neither 'x_test' nor 'x'; found the keys: images"),
        (
            {"x": images(shape=(27, 28))},
            r"'x' does not fit the model: samples have shape \[27, 28\], the model takes \[28, 28\]",
        ),
        ({"x": images(0)}, "'x' is empty"),
        ({"x": np.full((2, 28, 28), np.nan)}, "'x' has NaN"),
        ({"x": np.full((2, 28, 28), "a")}, "'x' has dtype <U1"),
        ({"x": images(2), "y": [0, 10]}, r"'y' holds the label 10, expected 0\.\.9"),
        ({"x": images(2), "y": [0.5, 1]}, r"'y' has dtype float64.*sample 0 has 0\.5"),
        ({"x": images(2), "y": [1, np.nan]}, "sample 1 has nan"),
        ({"x": images(2), "y": ["cat", "dog"]}, "'y' has dtype <U3.*number the names"),
        ({"x": np.full((2, 28, 28), 1e300)}, "'x' has values beyond float32's range .* in 2 of 2 samples"),
        ({"x": images(2), "y": [0, 1, 2]}, "'y' has 3 labels for 2 samples"),
        ({"x": images(2), "y": np.zeros(0, int)}, "'y' is empty"),
        ({"x": images(2), "scale": [1.0, 2.0]}, "'scale' is float64 of shape"),
        ({"x_test": images(2), "x_train": images(2, (5, 5))}, "'x_train' does not fit the model"),
    ],
)
def test_samples_that_do_not_fit_are_named(model, tmp_path, arrays, words):
    with pytest.raises(UserInputError, match=words) as error:
        own(model, npz(tmp_path, **arrays)).load_dataset(SOURCE)
    assert "samples.npz" in error.value.where


def test_what_is_wrong_with_folders_and_tables_is_told_of_them_and_not_of_the_cache(tmp_path):
    model = write_h5(tmp_path / "m.h5", sequential(layer("InputLayer", batch_input_shape=[None, 2]), _dense(3)))
    table = tmp_path / "t.csv"
    table.write_text("a,b,label\n" + "".join(f"{n},2,{n % 5}\n" for n in range(40)))
    with pytest.raises(UserInputError, match="holds the label 4, expected 0..2") as caught:
        own(model, table)
    assert caught.value.where == str(table)


@pytest.mark.parametrize("classes, ok", [((), False), (("a", "b"), False), (("a", "x", "b"), True)])
def test_names_of_fewer_classes_than_the_model_has_are_no_numbers(tmp_path, monkeypatch, classes, ok):
    write_h5(tmp_path / "m.h5", sequential(layer("InputLayer", batch_input_shape=[None, 2]), _dense(3)))
    (tmp_path / "t.csv").write_text("p,q,label\n" + "".join(f"{n},2,{'ab'[n % 2]}\n" for n in range(40)))
    text = '[model]\npath = "m.h5"\n[data]\npath = "t.csv"\n' + (f"classes = {list(classes)}\n" if classes else "")
    (tmp_path / "harness.toml").write_text(text)
    if ok:
        labels = get_workload(str(tmp_path / "harness.toml")).load_dataset(SOURCE).y_test
        assert set(labels.tolist()) == {0, 2}
        return
    with pytest.raises(UserInputError, match="are of 2 classes \\('a', 'b'\\), and the model has 3") as caught:
        get_workload(str(tmp_path / "harness.toml"))
    assert "classes = [...] under [data]" in caught.value.hint and caught.value.where == str(tmp_path / "t.csv")


def test_labels_for_one_output_without_sigmoid_are_refused(tmp_path):
    model = write_h5(tmp_path / "m.h5", dense_classifier(1, "linear"))
    with pytest.raises(UserInputError, match="one output without a sigmoid"):
        own(model, npz(tmp_path, x=images(2), y=[0, 1]))


def test_a_keras_model_without_samples_is_told_to_give_some(model):
    with pytest.raises(UserInputError, match="needs samples"):
        get_workload(str(model))


# .tflite


def tflite_ends(dtype="uint8", scale=1 / 128, zero_point=128):
    io = TensorIo(name="in", dtype=dtype, shape=(-1, 4), scale=scale, zero_point=zero_point)
    return ModelEnds(kind="tflite", input=io, outputs=(Ends(units=3, places=1, squashed=True),))


def test_samples_in_the_input_dtype_of_a_tflite_reach_it_unchanged(tmp_path):
    from harness.workloads.prepare import quantize_samples

    x = np.arange(256, dtype=np.uint8).reshape(64, 4)
    samples = Samples(path=npz(tmp_path, x=x), ends=tflite_ends(), metric=None)
    dataset = samples.load(SOURCE)
    assert np.array_equal(quantize_samples(dataset.x_test, tflite_ends().input), x)
    assert "values of the uint8 input as they are" in dataset.note


def test_float_samples_of_an_integer_tflite_are_real_values(tmp_path):
    x = np.float32([[0.0, 0.5, -0.5, 0.9]])
    assert np.array_equal(Samples(path=npz(tmp_path, x=x), ends=tflite_ends(), metric=None).load(SOURCE).x_test, x)


@pytest.mark.parametrize("dtype, low, high", [("float32", 0, 1), ("uint8", -1, 127 / 128)])
def test_random_inputs_cover_the_range_and_repeat(dtype, low, high):
    inputs = RandomInputs(io={"": tflite_ends(dtype).input})
    x = inputs.load(SOURCE).x_test
    assert low <= x.min() < low + 0.05 and high - 0.05 < x.max() <= high
    assert np.array_equal(x, inputs.load(SOURCE).x_test)


def test_a_file_that_is_no_tflite_is_refused(tmp_path):
    (tmp_path / "m.tflite").write_text("no model at all")
    with pytest.raises(UserInputError, match="not a .tflite"):
        get_workload(str(tmp_path / "m.tflite"))


# What a Keras file says


@pytest.mark.parametrize(
    "write, name", [(write_h5, "m.h5"), (write_keras_zip, "m.keras"), (write_h5, "really-h5.keras")]
)
def test_shape_units_and_activation_are_read_from_every_format(tmp_path, write, name):
    ends = model_ends(write(tmp_path / name, dense_classifier(7, "softmax", (5, 6))))
    assert ends.input.shape == (-1, 5, 6) and ends.outputs[0].units == 7 and not ends.is_logits(0)


@pytest.mark.parametrize(
    "last, units, logits",
    [
        ([layer("Dense", units=4, activation="linear")], 4, True),
        ([layer("Dense", units=4, activation="linear"), layer("Softmax")], 4, False),
        ([layer("Dense", units=4, activation="linear"), layer("Activation", activation="sigmoid")], 4, False),
        ([layer("Dense", units=4, activation="softmax"), layer("ReLU")], 4, False),
        ([layer("Conv2D", filters=4, activation="relu"), layer("GlobalAveragePooling2D")], 4, True),
        ([layer("Dense", units=4, activation="linear"), layer("Reshape", target_shape=[2, 2])], 2, True),
    ],
)
def test_the_last_layers_tell_units_and_logits(tmp_path, last, units, logits):
    config = sequential(layer("InputLayer", batch_shape=[None, 8]), *last)
    ends = model_ends(write_keras_zip(tmp_path / "m.keras", config, "3.5.0"))
    assert (ends.outputs[0].units, ends.is_logits(0)) == (units, logits)


@pytest.mark.parametrize(
    "named", [[["b", 0, 0], ["a", 0, 0]], {"first": ["b", 0, 0], "second": ["a", 0, 0]}], ids=["a list", "a mapping"]
)
def test_the_inputs_of_a_model_are_read_with_their_names_and_types(tmp_path, named):
    types = {"a": ("int64", [None, 7]), "b": ("uint8", [None, 8, 8, 3])}
    inputs = [
        {**layer("InputLayer", batch_input_shape=shape, dtype=dtype), "name": name, "inbound_nodes": []}
        for name, (dtype, shape) in types.items()
    ]
    config = {
        "class_name": "Functional",
        "config": {"name": "m", "layers": inputs, "input_layers": named, "output_layers": [["a", 0, 0]]},
    }
    ends = model_ends(write_h5(tmp_path / "m.h5", config))
    assert ends.input is None
    assert [(one.name, one.io.dtype, one.io.shape) for one in ends.several] == [
        ("b", "float32", (-1, 8, 8, 3)),
        ("a", "int32", (-1, 7)),
    ]


LAMBDA = layer("Lambda", function=["4wEAAAAAAAAA", None, None])
CODE = {
    "a Lambda layer": LAMBDA,
    "a lambda as activation": layer(
        "Dense", units=1, activation={"class_name": "__lambda__", "config": {"value": "4wEA"}}
    ),
    "a Lambda inside a wrapper": layer("TimeDistributed", layer=LAMBDA),
    "a TensorFlow function with effects": layer("TFOpLambda", function="io.write_file"),
}


@pytest.mark.parametrize("which", CODE)
@pytest.mark.parametrize("write, name", [(write_h5, "m.h5"), (write_keras_zip, "m.keras")])
def test_a_model_that_carries_code_is_refused(tmp_path, which, write, name):
    path = write(tmp_path / name, sequential(layer("InputLayer", batch_input_shape=[None, 2]), CODE[which]))
    with pytest.raises(UserInputError, match="Lambda|lambda|TensorFlow function"):
        read_keras_file(path)


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("m.h5", b"no hdf5", "is a text, expected a .keras, .h5 or .tflite model"),
        ("m.keras", b"PK no zip", "is a text, expected a .keras, .h5 or .tflite model"),
        ("m.h5", b"\x89HDF\r\n\x1a\n cut", "not an .h5 model that can be read"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserInputError, match=words):
        read_keras_file(tmp_path / name)


@pytest.mark.parametrize("write, name", [(write_h5, "m.h5"), (write_keras_zip, "m.keras")])
def test_a_truncated_model_is_refused(tmp_path, write, name):
    path = write(tmp_path / name, dense_classifier())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserInputError, match="can be read"):
        read_keras_file(path)


def test_a_file_of_weights_alone_is_told_apart(tmp_path):
    import h5py

    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.create_group("layers")
    with pytest.raises(UserInputError, match="no model description, only layers"):
        read_keras_file(tmp_path / "w.h5")


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(UserInputError, match="no such file or folder"):
        get_workload(str(tmp_path / "gone.keras"))


def test_an_empty_saved_model_is_damaged(tmp_path):
    (tmp_path / "sm").mkdir()
    (tmp_path / "sm" / "saved_model.pb").touch()
    with pytest.raises(UserInputError, match="saved_model.pb cannot be read"):
        get_workload(str(tmp_path / "sm"))


# Real files of both Keras versions, loaded


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """Largest differences to what the saving Keras computed, by file name; or the error's words."""
    folder = tmp_path_factory.mktemp("models")

    def run(verb):
        result = subprocess.run(
            [sys.executable, "-m", "tests.support.user_model_files", verb, str(folder)],
            capture_output=True,
            text=True,
            timeout=600,
            env=worker_environment(int(verb[-1])),
        )
        assert result.returncode == 0, result.stderr[-3000:]
        return result.stdout

    savers = [threading.Thread(target=run, args=(verb,)) for verb in ("save2", "save3")]
    for saver in savers:
        saver.start()
    for saver in savers:
        saver.join()
    return {**json.loads(run("load2").splitlines()[-1]), **json.loads(run("load3").splitlines()[-1])}


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("name", ["sequential", "branched", "nested"])
def test_a_model_computes_what_it_did_when_it_was_saved(loaded, name, version, suffix):
    assert loaded[f"{name}-keras{version}.{suffix}"] < 1e-5


@pytest.mark.slow
def test_a_saved_model_computes_what_it_did(loaded):
    assert loaded["saved-model"] < 1e-5


@pytest.mark.slow
def test_a_quantization_aware_h5_loads_with_its_wrappers(loaded):
    assert loaded["qat.h5"] < 1e-5


@pytest.mark.slow
def test_a_quantization_aware_keras_file_is_told_to_be_saved_as_h5(loaded):
    assert "wrapped weights Keras cannot read back" in loaded["qat.keras"]


@pytest.mark.slow
def test_a_model_of_keras_3_trains_further(loaded):
    assert loaded["trained further"] is True


# Public models, where a machine has them

if os.environ.get("HARNESS_SHARED"):
    MODELS = Path(os.environ["HARNESS_SHARED"]) / "models"

    def test_the_public_resnet_and_mobilenet_are_understood():
        resnet = model_ends(MODELS / "pretrainedResnet.h5")
        assert resnet.input.shape == (-1, 32, 32, 3) and resnet.outputs[0].units == 10 and not resnet.is_logits(0)
        mobilenet = get_workload(str(MODELS / "mobilenet_v1_0.25_128_quant.tflite"))
        assert mobilenet.build_model is None and mobilenet.load_dataset(SOURCE).x_test.shape == (256, 128, 128, 3)
