"""Samples of several inputs: read, made ready, split, compared and checked as tuples of their inputs. No TensorFlow."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.core.errors import UserInputError
from harness.project.settings import DataSettings, PreprocessingSettings
from harness.tflite.graph import read_graph
from harness.tune.split import split_of
from harness.workloads.arrays import stored_arrays
from harness.workloads.base import Dataset
from harness.workloads.checks.sets import set_findings
from harness.workloads.datasets import DataSource
from harness.workloads.input_names import graph_inputs
from harness.workloads.npz_report import describe_npz
from harness.workloads.rows import InputRows, StoredRows, read_samples, write_samples
from harness.workloads.sources.imported import import_data
from harness.workloads.sources.parts import Wanted
from harness.workloads.user import user_workload
from tests.support.tiny_model import Node, Tensor, build

RNG = np.random.default_rng(0)
COUNT = 100
PHOTO = RNG.integers(0, 256, (COUNT, 4, 4, 3)).astype(np.uint8)
WORDS = RNG.integers(0, 30, (COUNT, 5))
LABELS = RNG.integers(0, 3, COUNT)


def model() -> bytes:
    """float32 [1, 4, 4, 3] `photo` and int32 [1, 5] `words` -> three shares; what it computes is of no matter."""
    tensors = [
        Tensor(name="serving_default_photo:0", shape=(1, 4, 4, 3), dtype="float32"),
        Tensor(name="serving_default_words:0", shape=(1, 5), dtype="int32"),
        Tensor(name="cast", shape=(1, 5), dtype="float32"),
        Tensor(name="out", shape=(1, 5), dtype="float32"),
        Tensor(name="photos", shape=(1, 4, 4, 3), dtype="float32"),
    ]
    nodes = [
        Node(op="CAST", inputs=(1,), outputs=(2,)),
        Node(op="SOFTMAX", inputs=(2,), outputs=(3,), options="SoftmaxOptions", fields={"Beta": 1.0}),
        Node(op="SOFTMAX", inputs=(0,), outputs=(4,), options="SoftmaxOptions", fields={"Beta": 1.0}),
    ]
    return build(tensors, nodes, inputs=(0, 1), outputs=(3, 4))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "two.tflite").write_bytes(model())
    return tmp_path / "two.tflite"


def load(path: Path, **arrays: np.ndarray) -> Dataset:
    np.savez(path.with_name("s.npz"), **arrays)
    return user_workload(path, path.with_name("s.npz")).load_dataset(DataSource())


def test_each_input_keeps_its_rank_and_its_type(path):
    data = load(path, x_photo=PHOTO, words=WORDS, y=LABELS, scale_photo=1 / 255)
    photo, words = data.x_test.of["photo"], data.x_test.of["words"]
    assert (photo.dtype, photo.shape, words.dtype, words.shape) == ("float32", (COUNT, 4, 4, 3), "int32", (COUNT, 5))
    np.testing.assert_allclose(photo, PHOTO / np.float32(255))
    np.testing.assert_array_equal(words, WORDS)
    assert "photo: scaled by the file's scale and offset; words: values as they are" in data.note
    np.testing.assert_array_equal(data.y_test, LABELS)


def test_the_digest_sees_every_input(path):
    first = load(path, x_photo=PHOTO, words=WORDS, y=LABELS)
    other = load(path, x_photo=PHOTO, words=(WORDS + 1) % 30, y=LABELS)
    scaled = load(path, x_photo=PHOTO, words=WORDS, y=LABELS, scale_photo=2.0)
    assert len({first.digest, other.digest, scaled.digest}) == 3
    assert load(path, x_photo=PHOTO, words=WORDS, y=LABELS).digest == first.digest


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"words": WORDS[:7]}, "different numbers of samples: 'photo' 100, 'words' 7"),
        ({"words": WORDS + 0.5}, "'words' does not fit the input 'words': .*no whole numbers"),
        ({"photo": PHOTO[:, :3]}, r"'photo' does not fit the model: samples have shape \[3, 4, 3\]"),
        ({"photo": np.full(PHOTO.shape, np.nan)}, "'photo' has NaN"),
        ({"scale": np.array(2.0)}, "the array 'scale' is of no input"),
        ({"scale_words": np.array([1.0, 2.0])}, "'scale_words' is float64 of shape .2., expected one finite number"),
    ],
)
def test_what_does_not_fit_is_told_with_its_input(path, changes, words):
    with pytest.raises(UserInputError, match=words):
        load(path, **({"photo": PHOTO, "words": WORDS, "y": LABELS} | changes))


def test_large_inputs_stay_in_their_file(path, monkeypatch):
    monkeypatch.setattr("harness.workloads.samples._WHOLE_BYTES", 1000)
    data = load(path, photo=PHOTO, words=WORDS, y=LABELS)
    assert all(isinstance(rows, StoredRows) for rows in data.x_test.of.values())
    few = data.x_test[np.array([7, 3])]
    np.testing.assert_array_equal(few.of["words"], WORDS[[7, 3]])
    np.testing.assert_array_equal(few.of["photo"], PHOTO[[7, 3]])
    assert few.of["words"].dtype == np.int32


def test_samples_are_kept_and_read_again(tmp_path):
    rows = InputRows({"file": WORDS, "a/b": PHOTO})
    again = read_samples(write_samples(rows, tmp_path, "kept"))
    assert list(again.of) == ["file", "a/b"]
    np.testing.assert_array_equal(again.of["a/b"], PHOTO)


def imported(path: Path, source: Path, data: dict | None = None, **inputs: dict):
    """The import as a project makes it, and its arrays."""
    found = import_data(
        source,
        Wanted(finished=False, several=graph_inputs(read_graph(path))),
        DataSettings.model_validate_json(json.dumps({"path": str(source), **(data or {})})),
        PreprocessingSettings.model_validate_json(json.dumps({"inputs": inputs} if inputs else {})),
    )
    with np.load(found.path) as arrays:
        return found, {key: arrays[key] for key in arrays.files if not key.endswith(".json")}


def test_a_project_scales_and_lays_out_one_input(path, tmp_path):
    np.savez(tmp_path / "s.npz", photo=PHOTO.transpose(0, 3, 1, 2), words=WORDS, y=LABELS)
    settings = {"photo": {"scale": 0.5, "layout": "nchw", "channels": "bgr"}}
    found, arrays = imported(path, tmp_path / "s.npz", {"test": 1.0}, **settings)
    assert float(arrays["scale_photo"]) == 0.5 and "scale_words" not in arrays
    np.testing.assert_array_equal(arrays["x_test_photo"], PHOTO[..., ::-1])
    assert found.evidence["values.photo"].startswith("uint8 values from") and "values.words" in found.evidence


def test_samples_are_split_as_tuples(path, tmp_path):
    """The same words with another photo are another sample; where both are the same, it is one, and stays in one part."""
    photo, words = np.concatenate([PHOTO, PHOTO]), np.concatenate([WORDS, np.roll(WORDS, 1, axis=0)])
    photo[150:], words[150:] = photo[:50], words[:50]
    np.savez(tmp_path / "s.npz", photo=photo, words=words)
    _, arrays = imported(path, tmp_path / "s.npz")
    parts = [key.removesuffix("_photo") for key in arrays if key.endswith("_photo")]
    kept = {
        part: [p.tobytes() + w.tobytes() for p, w in zip(arrays[f"{part}_photo"], arrays[f"{part}_words"], strict=True)]
        for part in parts
    }
    assert sum(map(len, kept.values())) == 200 and sorted(parts) == ["x_calibration", "x_test", "x_train"]
    assert not set(kept["x_test"]) & set(kept["x_train"]) and len(set(sum(kept.values(), []))) == 150


def test_a_sample_in_two_parts_is_an_error_only_where_all_inputs_are_the_same(path, tmp_path):
    arrays = {"x_train_photo": PHOTO, "x_train_words": WORDS, "x_test_photo": PHOTO}
    np.savez(tmp_path / "s.npz", **arrays, x_test_words=(WORDS + 1) % 30)
    imported(path, tmp_path / "s.npz")
    np.savez(tmp_path / "t.npz", **arrays, x_test_words=WORDS)
    with pytest.raises(UserInputError, match=r"share 100 samples: x_test_photo\[0\] is x_train_photo\[0\]"):
        imported(path, tmp_path / "t.npz")


@pytest.mark.parametrize(
    "form", ["({'photo': p, 'words': w}, y)", "{'x': {'photo': p, 'words': w}, 'y': y}", "{'photo': p, 'words': w}"]
)
def test_a_function_gives_a_mapping(path, tmp_path, form):
    np.savez(tmp_path / "a.npz", p=PHOTO, w=WORDS, y=LABELS)
    lines = ["import numpy as np", "def load():", f"    a = np.load({str(tmp_path / 'a.npz')!r})"]
    lines += ["    p, w, y = a['p'], a['w'], a['y']", f"    return {form}"]
    (tmp_path / "mydata.py").write_text("\n".join(lines))
    _, arrays = imported(path, tmp_path / "mydata:load", {"test": 1.0})
    np.testing.assert_array_equal(arrays["x_test_words"], WORDS)


def test_arrays_in_memory_may_be_a_mapping(path):
    stored = stored_arrays({"x_test": {"photo": PHOTO, "words": WORDS}, "y_test": LABELS})
    assert user_workload(path, stored).metric.name == "top1"


def test_forms_of_one_input_are_refused_with_what_to_give(path, tmp_path):
    (tmp_path / "s.csv").write_text("a,b,label\n1,2,0\n")
    with pytest.raises(UserInputError, match="a .csv holds samples of one input.*photo, words") as caught:
        user_workload(path, tmp_path / "s.csv")
    assert "x_test_photo, x_test_words" in caught.value.hint


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"scale": 0.5}, "does not say for which of the inputs photo, words"),
        ({"inputs": {"foto": {"scale": 0.5}}}, "preprocessing.inputs.foto: the model has no such input"),
    ],
)
def test_settings_that_say_no_input_are_refused(path, tmp_path, settings, words):
    np.savez(tmp_path / "s.npz", photo=PHOTO, words=WORDS)
    wanted = Wanted(several=graph_inputs(read_graph(path)))
    given = PreprocessingSettings.model_validate(settings)
    with pytest.raises(UserInputError, match=words):
        import_data(tmp_path / "s.npz", wanted, DataSettings(path="s.npz"), given)


def test_what_is_in_a_file_is_told_by_its_inputs(path, tmp_path):
    np.savez(tmp_path / "s.npz", x_test_photo=PHOTO, x_test_words=WORDS, y_test=LABELS)
    lines = describe_npz(tmp_path / "s.npz", graph_inputs(read_graph(path)))
    assert lines[0] == "x_test_photo uint8 [100, 4, 4, 3], values 0 to 255" and lines[2].startswith(
        "y_test   int64 [100], 3 classes"
    )


def test_parts_are_compared_input_by_input(path):
    arrays = {"x_test_photo": PHOTO, "x_test_words": WORDS, "y_test": LABELS, "y_train": LABELS}
    data = load(path, **arrays, x_train_photo=PHOTO / 255, x_train_words=np.roll(WORDS, 1, axis=0))
    metric = user_workload(path, path.with_name("s.npz")).metric
    (finding,) = set_findings(data, metric, "two")
    assert finding.code == "train-test-scale" and "training samples of input 'photo' lie in 0 to 1" in finding.what
    same = replace(data, x_train=data.x_test[::-1])
    assert [f.code for f in set_findings(same, metric, "two")] == ["train-in-test"]


def test_a_search_splits_tuples(path):
    photo, words = np.concatenate([PHOTO, PHOTO]), np.concatenate([WORDS, np.roll(WORDS, 1, axis=0)])
    data = load(path, photo=photo, words=words, y=np.tile(LABELS, 2))
    split = split_of(data)
    assert split.copies == 0 and len(split.search) + len(split.proof) == 200
    halves = np.isin(np.arange(100), split.search) == np.isin(np.arange(100, 200), split.search)
    assert 20 < halves.sum() < 80
