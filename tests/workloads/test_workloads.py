"""The published workloads and the registry: names, architectures, schedules, samples in a model's input type."""

import dataclasses
import json
import subprocess
import sys
import types
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from harness.core.errors import HarnessError, UserInputError
from harness.core.tensor import TensorIo
from harness.variants.build.keys import KeyMaker
from harness.workloads import registry
from harness.workloads.base import Schedule
from harness.workloads.datasets import DataSource
from harness.workloads.mnist_cnn import WORKLOAD as MNIST_CNN
from harness.workloads.prepare import quantize_samples
from tests.support.fixtures_build import request_for
from tests.support.places import ROOT

PUBLISHED = ("mnist-cnn", "sensor-cnn", "cifar-conv")


# The registry


def test_the_published_networks_are_known():
    assert set(PUBLISHED) <= set(registry.workload_names())


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_workload_is_found_in_its_place(name):
    assert registry.get_workload(name).name == name


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(UserInputError, match="did you mean mnist-cnn"):
        registry.get_workload("mnist-cn")


def test_a_module_that_is_no_workload_is_an_unknown_name():
    with pytest.raises(UserInputError, match="unknown workload 'datasets'"):
        registry.get_workload("datasets")


def test_a_file_of_samples_does_not_apply_to_a_published_workload(tmp_path):
    with pytest.raises(UserInputError, match="brings its own dataset"):
        registry.get_workload("mnist-cnn", data=tmp_path / "x.npz")


def test_importing_the_registry_and_a_workload_loads_nothing_heavy():
    code = (
        "import sys; from harness.workloads.registry import get_workload; get_workload('mnist-cnn')\n"
        "print([m for m in ('tensorflow', 'sklearn', 'h5py', 'rich', 'scipy', 'pandas', 'urllib.request',"
        " 'importlib.metadata') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "[]", result.stderr


@pytest.fixture
def entry_points(monkeypatch):
    """Sets the entry points that other packages seem to bring."""

    def replace(*points):
        monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points)
        registry._workloads.cache_clear()

    yield replace
    registry._workloads.cache_clear()


def test_a_workload_of_another_package_is_found_by_its_entry_point(entry_points, monkeypatch):
    other = dataclasses.replace(MNIST_CNN, name="their-cnn")
    monkeypatch.setattr("harness.workloads.mnist_cnn.THEIRS", other, raising=False)
    entry_points(EntryPoint("their-cnn", "harness.workloads.mnist_cnn:THEIRS", "harness.workloads"))
    assert registry.get_workload("their-cnn") is other


@pytest.mark.parametrize(
    "value, words",
    [
        ("harness.workloads.mnist_cnn:VIEW", "expected a harness Workload, found View"),
        ("harness.workloads.nothing_here:W", "cannot be loaded"),
        ("harness.workloads.mnist_cnn:WORKLOAD", "name 'mnist-cnn' is taken"),
    ],
)
def test_a_bad_entry_point_is_named(entry_points, value, words):
    entry_points(EntryPoint("bad", value, "harness.workloads"))
    with pytest.raises(UserInputError, match=words) as error:
        registry.workload_names()
    assert error.value.where == value


def test_the_workload_in_the_documentation_is_a_whole_one(entry_points):
    page = (ROOT / "docs" / "guides" / "adding-a-workload.md").read_text()
    module = types.ModuleType("documented")
    exec(page.split("```python\n")[1].split("```")[0], module.__dict__)
    entry_points(types.SimpleNamespace(name="my-cnn", value="documented:WORKLOAD", load=lambda: module.WORKLOAD))
    workload = registry.get_workload("my-cnn")
    dataset = workload.load_dataset(DataSource())
    assert dataset.x_train.shape == (1297, 28, 28, 1) and set(dataset.y_test) == {0, 1}
    assert workload.dataset_digest(DataSource()) == dataset.digest


# Schedules


def test_the_published_schedule_holds_on_the_published_data():
    schedule = MNIST_CNN.schedule
    assert (schedule.epochs_for(60_000), schedule.batch_size) == (1, 32)
    assert (schedule.finetune_samples, schedule.finetune_batch_size, schedule.finetune_epochs) == (1000, 500, 1)


def test_a_small_dataset_takes_more_epochs_to_reach_the_minimum_of_steps():
    assert Schedule(epochs=1, batch_size=32, learning_rate=0.1, min_steps=600).epochs_for(1297) == 15


def test_epochs_count_only_the_samples_that_are_trained_on():
    assert Schedule(epochs=1, batch_size=10, learning_rate=0.1, min_steps=20, train_samples=50).epochs_for(10_000) == 4


# The published networks, trained


@pytest.fixture(scope="module")
def figures(built, built_others, session_cache):
    """What the float trainings of the three networks on the bundled digits gave, as builds make and keep them."""
    keys = {name: KeyMaker().keys(*key_parts(name)).float_key for name in PUBLISHED}
    words = [f"{name}={session_cache / 'trainings' / key}" for name, key in keys.items()]
    result = subprocess.run(
        [sys.executable, "-m", "tests.support.workload_figures", *words], capture_output=True, text=True, timeout=600
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.splitlines()[-1])


def key_parts(name):
    request = request_for("ptq-int8-io", name)
    return request.workload, request.recipe, request.source, request.seed


@pytest.mark.slow
@pytest.mark.parametrize("name, count", [("mnist-cnn", 20_410), ("sensor-cnn", 7_101), ("cifar-conv", 289_034)])
def test_the_float_network_has_the_published_parameter_count(figures, name, count):
    assert figures[name]["parameters"] == count


@pytest.mark.slow
def test_the_sensor_cnn_gains_thirty_parameters_by_quantize_model_layer_by_layer_as_published(figures):
    assert figures["sensor-cnn"]["qat_parameters"] == 7_131
    assert figures["sensor-cnn"]["qat_layers"] == [3, 301, 3, 1, 4337, 3, 1, 2321, 3, 3, 137, 3, 14, 1]


@pytest.mark.slow
@pytest.mark.parametrize("name, bound", [("mnist-cnn", 0.93), ("cifar-conv", 0.85), ("sensor-cnn", 0.7)])
def test_the_bundled_digits_train_a_useful_network(figures, name, bound):
    assert figures[name]["accuracy"] > bound


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_dataset_has_the_shape_of_the_network_input(figures, name):
    dataset = registry.get_workload(name).load_dataset(DataSource(parts="test"))
    assert list(dataset.x_test.shape[1:]) == figures[name]["input_shape"]


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_from_logits_says_what_the_outputs_are(figures, name):
    low, high = figures[name]["output_range"]
    assert registry.get_workload(name).from_logits == (low < 0 or high > 1)


def test_tensorflow_imported_without_keras_2_is_refused():
    code = (
        "import sys, types; sys.modules['tensorflow'] = types.ModuleType('tensorflow')\n"
        "from harness.workloads.keras.env import import_tf; import_tf()"
    )
    environment = {"PATH": "/usr/bin"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment)
    assert "TensorFlow was imported without TF_USE_LEGACY_KERAS=1" in result.stderr
    assert HarnessError.__name__ in result.stderr


# Samples in a model's input type


def io(dtype="int8", shape=(1, 4), scale=0.5, zero_point=-1):
    return TensorIo(name="input", dtype=dtype, shape=shape, scale=scale, zero_point=zero_point)


def test_float_inputs_pass_through():
    x = np.float32([[0, 1, 2, 3]])
    assert np.array_equal(quantize_samples(x, io("float32")), x)


def test_integer_inputs_are_scaled_and_shifted():
    assert quantize_samples(np.float32([[0, 0.5, 1, -1]]), io()).tolist() == [[-1, 0, 1, -3]]


def test_halves_are_rounded_away_from_zero_as_the_runtime_does():
    x = np.float32([[0.5, 1.5, -0.5, -1.5]])
    assert quantize_samples(x, io(scale=1.0, zero_point=0)).tolist() == [[1, 2, -1, -2]]


@pytest.mark.parametrize("dtype, low, high", [("int8", -128, 127), ("uint8", 0, 255), ("int16", -32768, 32767)])
def test_values_outside_the_range_are_clipped(dtype, low, high):
    quantized = quantize_samples(np.float32([[1e9, -1e9, 1e5, -1e5]]), io(dtype, zero_point=0))
    assert quantized.tolist() == [[high, low, high, low]] and quantized.dtype == dtype


def test_an_exact_grid_round_trips_through_real_values():
    q = np.arange(-128, 128, dtype=np.int8)[None]
    real = (q.astype(np.float32) + 1) * np.float32(0.0471)
    assert np.array_equal(quantize_samples(real, io(shape=(1, 256), scale=0.0471)), q)


@pytest.mark.parametrize(
    "have, want, result",
    [
        ((3, 28, 28), (1, 28, 28, 1), (3, 28, 28, 1)),
        ((3, 28, 28, 1), (1, 28, 28), (3, 28, 28)),
        ((3, 5, 2), (-1, -1, 2), (3, 5, 2)),
        ((3, 4), (-1, 4), (3, 4)),
    ],
)
def test_a_channel_axis_and_dynamic_axes_are_matched(have, want, result):
    assert quantize_samples(np.zeros(have, np.float32), io("float32", shape=want)).shape == result


@pytest.mark.parametrize(
    "x, model_input, words",
    [
        (np.zeros((3, 5)), io(), r"samples have shape \[5\], the model takes \[4\]"),
        (np.zeros((3, 2, 2)), io(), r"samples have shape \[2, 2\]"),
        (np.full((3, 4), 0.5), io(scale=0.0), "carries no quantization scale, and the samples are no whole numbers"),
        (np.full((3, 4), 300.0), io("uint8", scale=0.0), "run from 300 to 300, the uint8 input takes 0 to 255"),
        (np.zeros((3, 4)), io("string"), "has dtype string"),
    ],
)
def test_samples_that_cannot_go_in_are_refused(x, model_input, words):
    with pytest.raises(UserInputError, match=words):
        quantize_samples(x, model_input)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_whole_numbers_go_into_an_input_without_scale_as_they_are(dtype):
    x = np.float32([[0, 1, 7, 255]])
    found = quantize_samples(x, io(dtype, scale=0.0))
    assert found.dtype == dtype and np.array_equal(found, x)


def test_a_workload_of_a_file_gives_it_and_one_without_says_what_is_missing():
    bare = dataclasses.replace(MNIST_CNN, build_model=None)
    assert dataclasses.replace(bare, model_path="/somewhere/model.tflite").model_file == "/somewhere/model.tflite"
    with pytest.raises(UserInputError, match="mnist-cnn.*neither a model to build nor the file"):
        _ = bare.model_file
