"""Datasets: where they come from, what they are called, their digests, and what bad files are told."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.core.errors import UserInputError
from harness.workloads import digits
from harness.workloads.base import stratified_order
from harness.workloads.datasets import CIFAR10, MNIST, DataSource, LabelRule, View
from harness.workloads.digest import arrays_digest
from harness.workloads.npz import check_labels, check_samples, read_arrays
from tests.support.workload_files import mnist_like

VIEW = View(published=MNIST, size=28)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("HARNESS_DATA_DIR", raising=False)


@pytest.fixture
def folder(tmp_path):
    """A data folder with a small mnist.npz."""
    path = tmp_path / "data"
    path.mkdir()
    np.savez(path / "mnist.npz", **mnist_like())
    return path


# Where data comes from


def test_without_any_file_the_bundled_digits_serve_and_the_note_says_so():
    dataset = VIEW.load(DataSource.default())
    assert dataset.name == "digits-28x28"
    assert dataset.note == (
        "scikit-learn's bundled handwritten digits, 8x8 upscaled to 28x28, 1,297 train / 500 test; not MNIST"
    )
    assert dataset.x_train.shape == (1297, 28, 28) and dataset.x_test.shape == (500, 28, 28)


def test_the_data_dir_goes_before_the_keras_cache_and_that_before_downloads(folder, tmp_path):
    keras, fetched = tmp_path / "keras" / "datasets", tmp_path / "cache" / "data"
    for other in (keras, fetched):
        other.mkdir(parents=True)
        np.savez(other / "mnist.npz", **mnist_like())
    assert DataSource.default(folder).find(MNIST).parent == folder
    assert DataSource.default().find(MNIST).parent == keras
    (keras / "mnist.npz").unlink()
    assert DataSource.default().find(MNIST).parent == fetched


def test_the_environment_names_the_data_dir(folder, monkeypatch):
    monkeypatch.setenv("HARNESS_DATA_DIR", str(folder))
    assert VIEW.load(DataSource.default()).origin == str(folder / "mnist.npz")


def test_a_data_dir_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(UserInputError, match="the data folder does not exist"):
        DataSource.default(tmp_path / "nowhere")


def test_a_cifar10_subset_is_found_by_its_name(tmp_path):
    (tmp_path / "cifar10_subset.npz").touch()
    assert DataSource(data_dir=tmp_path).find(CIFAR10).name == "cifar10_subset.npz"


def test_two_cifar10_subsets_are_ambiguous_unless_one_has_the_exact_name(tmp_path):
    for name in ("cifar10_a.npz", "cifar10_b.npz"):
        (tmp_path / name).touch()
    with pytest.raises(UserInputError, match="several CIFAR-10 files"):
        DataSource(data_dir=tmp_path).find(CIFAR10)
    (tmp_path / "cifar10.npz").touch()
    assert DataSource(data_dir=tmp_path).find(CIFAR10).name == "cifar10.npz"


# The bundled digits


def test_the_digits_split_is_stratified_disjoint_and_complete():
    split = digits.split_digits()
    images, _ = digits.read_digits()
    assert abs(np.bincount(split["y_test"]) - 500 * np.bincount(split["y_train"]) / 1297).max() < 2
    together = np.concatenate([split["x_train"], split["x_test"]]).reshape(1797, -1)
    assert np.array_equal(np.unique(together, axis=0), np.unique(images.reshape(1797, -1), axis=0))


def test_the_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    images, labels = digits.read_digits()
    assert np.array_equal(images, load_digits().images) and np.array_equal(labels, load_digits().target)


def test_upscaling_is_bilinear_with_half_pixel_centres():
    ramp = np.array([[[0.0, 1.0], [0.0, 1.0]]])
    assert np.array_equal(digits.upscale(ramp, 4)[0, 0], np.float32([0, 0.25, 0.75, 1]))


def test_upscaling_to_the_same_size_changes_nothing():
    images, _ = digits.read_digits()
    assert np.array_equal(digits.upscale(images[:5], 8), images[:5])


# What a workload sees


def test_pixels_are_scaled_to_one(folder):
    dataset = VIEW.load(DataSource(data_dir=folder))
    raw = mnist_like()["x_train"]
    assert dataset.x_train.dtype == np.float32
    assert np.array_equal(dataset.x_train, raw.astype(np.float32) / np.float32(255))


def test_grey_images_are_repeated_in_three_channels():
    x = View(published=CIFAR10, size=32, channels=3).load(DataSource()).x_test
    assert x.shape == (500, 32, 32, 3)
    assert np.array_equal(x[..., 0], x[..., 2])


def test_capped_training_data_stay_stratified_and_the_note_says_so(folder):
    dataset = View(published=MNIST, size=28, max_train=20).load(DataSource(data_dir=folder))
    assert np.array_equal(np.bincount(dataset.y_train), [2] * 10)
    assert "20 of 40 train (stratified)" in dataset.note


def test_a_label_rule_makes_a_task_of_its_own(folder):
    rule = LabelRule(name="odd", note="the task: is the digit odd?", apply=lambda y: y % 2)
    dataset = View(published=MNIST, size=28, rule=rule).load(DataSource(data_dir=folder))
    assert dataset.name == "mnist-odd" and dataset.note.endswith("is the digit odd?")
    assert np.array_equal(dataset.y_test, np.arange(20) % 2)


def test_test_only_leaves_training_samples_out_and_keeps_note_and_digest(folder):
    source = DataSource(data_dir=folder)
    whole, test = VIEW.load(source), VIEW.load(source.test_only())
    assert test.x_train is None and test.y_train is None
    assert (test.note, test.digest) == (whole.note, whole.digest)


def test_labels_of_shape_n_1_are_accepted(folder):
    arrays = mnist_like()
    np.savez(folder / "mnist.npz", **{**arrays, "y_train": arrays["y_train"][:, None]})
    assert VIEW.load(DataSource(data_dir=folder)).y_train.shape == (40,)


# Digests


def test_the_cheap_digest_is_that_of_the_loaded_dataset(folder):
    for source in (DataSource(data_dir=folder), DataSource()):
        assert VIEW.digest(source) == VIEW.load(source).digest


def test_a_remembered_digest_is_not_computed_again(folder, monkeypatch):
    source = DataSource(data_dir=folder)
    first = VIEW.digest(source)
    monkeypatch.setattr("harness.workloads.datasets.read_published", lambda *_: pytest.fail("read again"))
    assert VIEW.digest(source) == first


def test_a_changed_pixel_changes_the_digest_although_name_and_size_stay(folder):
    before = VIEW.digest(DataSource(data_dir=folder))
    arrays = mnist_like()
    arrays["x_train"][0, 0, 0] ^= 1
    np.savez(folder / "mnist.npz", **arrays)
    os.utime(folder / "mnist.npz", ns=(1, 1))
    assert VIEW.digest(DataSource(data_dir=folder)) != before


@pytest.mark.parametrize("change", [{"size": 32}, {"max_train": 20}, {"channels": 1}, {"version": 2}])
def test_another_transformation_has_another_digest(folder, change):
    source = DataSource(data_dir=folder)
    assert replace(VIEW, **change).digest(source) != VIEW.digest(source)


def test_a_damaged_digest_entry_is_computed_again(folder, tmp_path):
    source = DataSource(data_dir=folder)
    first = VIEW.digest(source)
    for entry in (tmp_path / "cache" / "digests").iterdir():
        entry.write_text("{")
    assert VIEW.digest(source) == first


def test_a_cache_that_cannot_be_written_costs_no_correctness(folder, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert len(VIEW.digest(DataSource(data_dir=folder))) == 64


def test_the_digest_covers_names_dtypes_and_shapes():
    zeros = np.zeros((2, 3), np.uint8)
    variants = [{"x": zeros}, {"y": zeros}, {"x": zeros.astype(np.int8)}, {"x": zeros.reshape(3, 2)}]
    assert len({arrays_digest(v) for v in variants}) == 4


def test_the_digest_does_not_depend_on_memory_layout():
    x = np.arange(6, dtype=np.int32).reshape(2, 3)
    assert arrays_digest({"x": x}) == arrays_digest({"x": np.asfortranarray(x)})


# Stratified order


@pytest.mark.parametrize("count", [1, 10, 57, 100])
def test_every_prefix_of_the_order_is_stratified(count):
    labels = np.repeat([0, 1, 2], [100, 60, 40])
    prefix = labels[stratified_order(labels, 200)[:count]]
    assert abs(np.bincount(prefix, minlength=3) - count * np.array([0.5, 0.3, 0.2])).max() <= 1.5


# Bad files


def write(folder, **changes):
    arrays = {**mnist_like(), **changes}
    np.savez(folder / "mnist.npz", **{key: value for key, value in arrays.items() if value is not None})
    return DataSource(data_dir=folder)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"y_test": None}, "has no array 'y_test'"),
        ({"x_test": np.zeros((20, 28), np.uint8)}, r"'x_test' has shape \[20, 28\], expected \[N, 28, 28\]"),
        ({"x_train": np.zeros((40, 28, 28), np.float32)}, "'x_train' has dtype float32, expected uint8"),
        ({"x_test": np.zeros((0, 28, 28), np.uint8), "y_test": np.zeros(0, np.uint8)}, "'x_test' is empty"),
        ({"y_test": np.full(20, 10, np.uint8)}, r"'y_test' holds the label 10, expected 0\.\.9"),
        ({"y_train": np.full(40, -1, np.int8)}, r"'y_train' holds the label -1, expected 0\.\.9"),
        ({"y_test": np.zeros(19, np.uint8)}, "'y_test' has 19 labels for 20 samples"),
        ({"y_test": np.eye(20, dtype=np.uint8)}, r"'y_test' has shape \[20, 20\], expected \[20\] class numbers"),
        ({"y_test": np.full(20, "a")}, "'y_test' has dtype <U1, expected integer class numbers"),
        ({"y_test": np.array([object()] * 20)}, "'y_test' holds pickled Python objects"),
    ],
)
def test_a_wrong_array_is_named_with_what_was_expected(folder, changes, words):
    source = write(folder, **changes)
    with pytest.raises(UserInputError, match=words) as error:
        VIEW.load(source)
    assert error.value.where == str(folder / "mnist.npz")


def test_a_truncated_file_is_a_clear_error(folder):
    path = folder / "mnist.npz"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserInputError, match="truncated or damaged"):
        VIEW.load(DataSource(data_dir=folder))


def test_flipped_bytes_inside_an_array_are_noticed(folder):
    path = folder / "mnist.npz"
    data = bytearray(path.read_bytes())
    data[5000:5010] = bytes(b ^ 255 for b in data[5000:5010])
    path.write_bytes(data)
    with pytest.raises(UserInputError, match="'x_train' is truncated or corrupt"):
        VIEW.load(DataSource(data_dir=folder))


def test_a_file_of_another_kind_is_not_taken_for_a_pickle(tmp_path):
    path = tmp_path / "x.npz"
    path.write_text("hello")
    with pytest.raises(UserInputError, match="is not an .npz file"):
        read_arrays(path, ["x"])


def test_a_bare_array_is_told_apart_from_an_npz(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(UserInputError, match="one bare array"):
        read_arrays(tmp_path / "x.npy", ["x"])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_name_the_first_sample(value):
    x = np.zeros((5, 4), np.float32)
    x[3, 1] = value
    with pytest.raises(UserInputError, match="in 1 of 5 samples, first in sample 3"):
        check_samples(x, path=Path("x.npz"), key="x")


def test_labels_that_are_whole_numbers_in_float_are_accepted():
    labels = check_labels(np.array([0.0, 2.0]), count=2, path=Path("x.npz"), key="y", classes=3)
    assert labels.dtype == np.int64 and labels.tolist() == [0, 2]


# Real files, where a machine has them ($HARNESS_SHARED)

SHARED = [Path(os.environ["HARNESS_SHARED"]) / "data"] if os.environ.get("HARNESS_SHARED") else []
REAL_VIEWS = {"mnist": VIEW, "cifar10": View(published=CIFAR10, size=32, channels=3)}


@pytest.mark.parametrize("name", REAL_VIEWS)
@pytest.mark.parametrize("data_dir", [None, *SHARED], ids=["bundled", *("shared" for _ in SHARED)])
def test_every_published_view_loads_normalised_samples(name, data_dir):
    dataset = REAL_VIEWS[name].load(DataSource(data_dir=data_dir))
    assert dataset.x_test.min() == 0 and dataset.x_test.max() == 1
    assert set(dataset.y_test) == set(range(10))
