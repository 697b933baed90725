"""What a model file may not bring: code, pickles, other files, bombs. Nothing of it is run, and all of it is refused by name."""

from __future__ import annotations

import base64
import io
import json
import marshal
import os
import pickle
import zipfile

import h5py
import numpy as np
import pytest

from harness.core.errors import UserInputError
from harness.workloads.keras.file import read_keras_file
from harness.workloads.keras.precision import to_float32
from harness.workloads.keras.storage import check_storage, extract_weights, plain_copy
from tests.support.workload_files import dense_classifier, layer, sequential, write_h5, write_keras_zip

INPUT = layer("InputLayer", batch_shape=[None, 4])


def keras3(class_name, module="keras.layers", registered=None, **config):
    return {**layer(class_name, **config), "module": module, "registered_name": registered}


def function(name, module="builtins"):
    return {"module": module, "class_name": "function", "config": name, "registered_name": "function"}


def refusal(tmp_path, *layers):
    path = write_keras_zip(tmp_path / "m.keras", sequential(INPUT, *layers), "3.15.1")
    with pytest.raises(UserInputError) as error:
        read_keras_file(path)
    assert error.value.where == str(path) and error.value.hint
    return error.value.what


CODE = base64.b64encode(marshal.dumps(compile("open('/tmp/owned', 'w')", "x", "eval"))).decode()
#: what a file names -> the words of its refusal
REFUSED = {
    "a Lambda": (keras3("Lambda", function=[CODE, None, None]), "layer 'lambda' is a Lambda"),
    "a lambda as activation": (
        keras3("Dense", activation={"class_name": "__lambda__", "config": {"value": CODE}}),
        "layer 'dense' calls a lambda",
    ),
    "a Lambda in a wrapper": (keras3("TimeDistributed", layer=keras3("Lambda", function=[CODE])), "layer 'lambda' is a Lambda"),
    "a registered class": (
        keras3("Doubler", module=None, registered="Mine>Doubler"),
        "layer 'doubler' is of the class 'Mine>Doubler', which is code of your own",
    ),
    "a class without a package": (
        keras3("Plain", module=None, registered="Plain"),
        "layer 'plain' is of the class 'Plain', which is code of your own",
    ),
    "a class of another module": (keras3("system", module="os"), "layer 'system' is of the class 'system'"),
    "a class of builtins": (keras3("eval", module="builtins"), "layer 'eval' is of the class 'eval'"),
    "a model of one's own inside": (keras3("Sub", module=None, registered="Mine>Sub"), "class 'Mine>Sub'"),
    "a registered function": (
        keras3("Dense", activation=function("Mine>half")),
        "layer 'dense' (Dense) calls 'Mine>half', which is code of your own",
    ),
    "a SavedModel elsewhere": (keras3("TFSMLayer", filepath="/etc"), "(TFSMLayer) runs a SavedModel from another place"),
    "a pickled module": (keras3("TorchModuleWrapper", module=CODE), "pickled PyTorch module, which is never loaded"),
    "a vocabulary file": (keras3("StringLookup", vocabulary="/etc/passwd"), "looks strings up in a vocabulary"),
    "a TensorFlow type": (
        {"class_name": "__typespec__", "module": "os", "config": [], "spec_name": "system", "registered_name": None},
        "names a TensorFlow type",
    ),
    "pruning": (
        keras3("PruneLowMagnitude", module="tensorflow_model_optimization.sparsity", layer=keras3("Dense")),
        "layer 'dense' (Dense) still stands in TFMOT's wrapper for pruning",
    ),
    "clustering": (
        keras3("ClusterWeights", module="tensorflow_model_optimization.clustering", layer=keras3("Conv2D")),
        "layer 'conv2d' (Conv2D) still stands in TFMOT's wrapper for clustering",
    ),
}  # fmt: skip


@pytest.mark.parametrize("which", REFUSED)
def test_what_is_no_built_in_layer_is_refused_by_name(tmp_path, which):
    node, words = REFUSED[which]
    assert words in refusal(tmp_path, node)


@pytest.mark.parametrize("which", REFUSED)
def test_it_is_found_in_a_model_within_the_model_too(tmp_path, which):
    node, words = REFUSED[which]
    inner = {**sequential(INPUT, node), "module": "keras", "registered_name": None}
    assert words in refusal(tmp_path, inner)


def test_the_tool_that_takes_a_wrapper_off_is_named(tmp_path):
    path = write_h5(tmp_path / "m.h5", sequential(INPUT, layer("PruneLowMagnitude", layer=layer("Dense", units=1))))
    with pytest.raises(UserInputError) as error:
        read_keras_file(path)
    assert "strip_pruning(model)" in error.value.hint


def test_what_the_training_was_set_up_with_is_neither_read_nor_refused(tmp_path):
    config = sequential(INPUT, keras3("Dense", units=1))
    config["compile_config"] = {"loss": function("Mine>loss"), "optimizer": keras3("Own", module=None)}
    config["config"]["layers"][1]["compile_config"] = {"loss": {"class_name": "__lambda__", "config": {}}}
    file = read_keras_file(write_keras_zip(tmp_path / "m.keras", config, "3.15.1"))
    assert "compile_config" not in json.dumps(file.config)


def test_a_description_of_endless_depth_is_refused(tmp_path):
    node = keras3("Dense")
    for _ in range(120):
        node = {"config": node}
    path = write_keras_zip(tmp_path / "m.keras", sequential(INPUT, node), "3.15.1")
    with pytest.raises(UserInputError, match="nested more than 100 levels deep"):
        read_keras_file(path)


@pytest.mark.parametrize("kind", ["keras", "h5"])
def test_a_description_that_python_itself_cannot_nest_is_refused(tmp_path, kind):
    text = "[" * 100_000
    if kind == "h5":
        with h5py.File(tmp_path / "m.h5", "w") as file:
            file.attrs["model_config"] = text[:60_000]
        path = tmp_path / "m.h5"
    else:
        path = write_keras_zip(tmp_path / "m.keras", dense_classifier(), "3.15.1")
        with zipfile.ZipFile(path, "w") as archive:
            for name in ("config.json", "metadata.json", "model.weights.h5"):
                archive.writestr(name, text)
    with pytest.raises(UserInputError, match="can be read"):
        read_keras_file(path)


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["m.h5", "m.keras", "m.pkl"])
def test_a_pickle_is_never_loaded(tmp_path, name):
    (tmp_path / name).write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    with pytest.raises(UserInputError) as error:
        read_keras_file(tmp_path / name)
    assert not (tmp_path / "ran").exists()
    assert "pickle" in error.value.what or "not a .keras file" in error.value.what


def test_a_pickle_beside_the_model_is_left_alone(tmp_path):
    path = write_keras_zip(tmp_path / "m.keras", dense_classifier(), "3.15.1")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("assets/layer/vocabulary.pkl", pickle.dumps(Bomb(tmp_path / "ran")))
    file = read_keras_file(path)
    folder = tmp_path / "copy"
    folder.mkdir()
    with zipfile.ZipFile(plain_copy(file, file.config, folder)) as archive:
        assert sorted(archive.namelist()) == ["config.json", "metadata.json", "model.weights.h5"]
    assert not (tmp_path / "ran").exists()


def test_a_pipe_is_no_model(tmp_path):
    os.mkfifo(tmp_path / "m.keras")
    with pytest.raises(UserInputError, match="neither a file nor a folder"):
        read_keras_file(tmp_path / "m.keras")


def weights_zip(path, weights, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("config.json", json.dumps(dense_classifier()))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("model.weights.h5", weights)
    return path


def test_weights_that_unpack_to_far_more_than_is_stored_are_refused(tmp_path):
    path = weights_zip(tmp_path / "m.keras", bytes(65 << 20))
    with pytest.raises(UserInputError, match="its weights unpack from .* which no real ones do"):
        read_keras_file(path)


def test_weights_that_no_tflite_holds_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.workloads.keras.file._MAX_WEIGHTS_BYTES", 100)
    path = weights_zip(tmp_path / "m.keras", bytes(101), zipfile.ZIP_STORED)
    with pytest.raises(UserInputError, match="its weights take 101 bytes, and a .tflite holds at most 2 GiB"):
        read_keras_file(path)


def h5(path, build):
    with h5py.File(path, "w") as file:
        build(file)
    return path


def _virtual(file):
    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(4,))
    file.create_virtual_dataset("layers/dense/vars/0", layout)


FOREIGN = {
    "an external link": (
        lambda f: f.__setitem__("layers", h5py.ExternalLink("/etc/passwd", "/")),
        "points to another place",
    ),
    "a soft link": (lambda f: f.__setitem__("layers", h5py.SoftLink("/elsewhere")), "points to another place"),
    "values of another file": (
        lambda f: f.create_dataset("layers/0", (8,), "f4", external=[("/etc/passwd", 0, 32)]),
        "keeps its values in another file",
    ),
    "a view of another file": (_virtual, "keeps its values in another file"),
    "more than it holds": (lambda f: f.create_dataset("layers/0", (1 << 40,), "f4", chunks=(1024,)), "declares 4,398"),
}


@pytest.mark.parametrize("which", FOREIGN)
def test_weights_that_lie_elsewhere_are_refused(tmp_path, which):
    build, words = FOREIGN[which]
    path = h5(tmp_path / "w.h5", build)
    with pytest.raises(UserInputError, match=f"its weights cannot be trusted.*{words}") as error:
        check_storage(path, where="mine.keras")
    assert error.value.where == "mine.keras"


def test_a_group_that_holds_itself_is_walked_once(tmp_path):
    def build(file):
        group = file.create_group("layers")
        group["again"] = group
        group["0"] = np.zeros(3, np.float32)

    check_storage(h5(tmp_path / "w.h5", build), where="m")


def test_weights_of_an_archive_are_checked_when_they_are_taken_out(tmp_path):
    inner = io.BytesIO()
    with h5py.File(inner, "w") as file:
        file["layers"] = h5py.ExternalLink("/etc/passwd", "/")
    file = read_keras_file(weights_zip(tmp_path / "m.keras", inner.getvalue()))
    (tmp_path / "out").mkdir()
    with pytest.raises(UserInputError, match="'/layers' points to another place"):
        extract_weights(file, tmp_path / "out")


@pytest.mark.parametrize(
    "dtype, becomes", [("uint8", "float32"), ("float16", "float32"), ("int64", "int32"), ("float32", "float32")]
)
def test_inputs_become_what_a_tflite_takes(dtype, becomes):
    config = sequential(layer("InputLayer", batch_shape=[None, 4], dtype=dtype))
    to_float32(config, where="m")
    assert config["config"]["layers"][0]["config"]["dtype"] == becomes


def test_an_input_of_strings_is_refused_by_name():
    config = sequential(layer("InputLayer", batch_shape=[None, 1], dtype="string"))
    with pytest.raises(UserInputError, match="'inputlayer' .InputLayer. takes values of type 'string'"):
        to_float32(config, where="m")


def test_mixed_precision_becomes_float32_and_quantized_weights_are_refused():
    policy = {"class_name": "DTypePolicy", "config": {"name": "mixed_float16"}}
    config = sequential(INPUT, layer("Dense", units=1, dtype=policy))
    to_float32(config, where="m")
    assert policy["config"]["name"] == "float32"
    quantized = {"class_name": "QuantizedDTypePolicy", "config": {"mode": "int8", "source_name": "float32"}}
    with pytest.raises(UserInputError, match="quantized by Keras"):
        to_float32(sequential(layer("Dense", units=1, dtype=quantized)), where="m")
