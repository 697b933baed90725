"""Bundles: what was packed comes back, every damage is noticed, a bundle is whole or not there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.core.errors import HarnessError, UserInputError
from harness.core.files import sha256_file
from harness.core.finding import Finding
from harness.core.tensor import TensorIo
from harness.prepare import bundle as bundle_module
from harness.prepare.bundle import read_bundle, write_bundle
from harness.prepare.prepared import InputFile, PreparedModel, ReferenceOutputs
from harness.variants.artifact import Artifact
from harness.workloads.metrics.registry import get_metric


@pytest.fixture
def model(tmp_path) -> PreparedModel:
    """A prepared model with every optional part; the bytes of its .tflite are of no matter here."""
    path = tmp_path / "model.tflite"
    path.write_bytes(b"TFL3 stand-in")
    samples = tmp_path / "samples.npy"
    np.save(samples, np.arange(24, dtype=np.int8).reshape(6, 2, 2))
    io = TensorIo(name="in", dtype="int8", shape=(1, 2, 2), scale=0.00392156862745098, zero_point=-128)
    artifact = Artifact(
        key="k" * 64,
        workload="mnist-cnn",
        recipe="ptq-int8-io",
        seed=3,
        path=path,
        sha256=sha256_file(path),
        size_bytes=path.stat().st_size,
        inputs=(io,),
        outputs=(replace(io, name="out", shape=(1, 10)),),
        manifest={"packages": {"tensorflow": "2.21.0"}, "audit": {"findings": []}},
    )
    base = PreparedModel(
        workload="mnist-cnn",
        metric=get_metric("top1"),
        recipe="ptq-int8-io",
        seed=3,
        artifact=artifact,
        dataset_name="digits",
        dataset_note="not MNIST",
        dataset_digest="d" * 64,
        inputs=(InputFile(path=samples, sha256=sha256_file(samples), count=6),),
        sample_ids=np.arange(6)[::-1].copy(),
        labels=np.array([1, 2, 3, 4, 5, 6]),
        reference=ReferenceOutputs(
            identity="twin 1",
            outputs=(np.ones((4, 10), np.float32), np.zeros((4, 1), np.float32)),
            companions=(np.full((4, 10), 1.5, np.float32), np.zeros((4, 1), np.float32)),
            kind="twin",
            trusted=True,
            why="because",
        ),
        exact=ReferenceOutputs(identity="oracle 1", outputs=(np.ones((4, 10), np.int8), np.zeros((4, 1), np.float32))),
        arithmetic=("index", "integer"),
        float_answers=np.array([0, 2, 2, 0, 1, 2]),
        float_identity="float oracle",
        lsb=(0.5,),
        node_count=7,
        max_accuracy_drop=0.01,
        model_sha256="5" * 64,
        findings=(Finding(code="c", severity="warning", where="w", what="what", fix="fix"),),
    )
    return replace(base, scores=replace(base, metric=None, lsb=(0.25,), exact=None))


@pytest.fixture
def refused(model) -> PreparedModel:
    artifact = Artifact(
        key="r" * 64, workload="mnist-cnn", recipe="qat-int16x8", seed=3, path=None, refused="not supported"
    )
    return PreparedModel(
        workload="mnist-cnn",
        metric=get_metric("top1"),
        recipe="qat-int16x8",
        seed=3,
        artifact=artifact,
        dataset_name="digits",
        dataset_note="",
        dataset_digest="d" * 64,
    )


@pytest.fixture
def packed(model, refused, tmp_path) -> Path:
    return write_bundle(tmp_path / "lab", [model, refused])


def same(a, b) -> bool:
    if a is None or b is None:
        return a is b
    return a.dtype == b.dtype and np.array_equal(a, b)


def test_a_model_comes_back_as_it_went(packed, model):
    back = read_bundle(packed).models[0]
    for name in (
        "workload",
        "metric",
        "model_sha256",
        "arithmetic",
        "recipe",
        "seed",
        "dataset_name",
        "dataset_note",
        "dataset_digest",
        "float_identity",
        "lsb",
        "node_count",
        "max_accuracy_drop",
        "findings",
    ):
        assert getattr(back, name) == getattr(model, name), name
    for name in ("sample_ids", "labels", "float_answers"):
        assert same(getattr(back, name), getattr(model, name)), name
    for mine, theirs in (
        (back.reference, model.reference),
        (back.exact, model.exact),
        (back.scores.reference, model.reference),
    ):
        for name in ("identity", "kind", "trusted", "why"):
            assert getattr(mine, name) == getattr(theirs, name), name
        assert all(same(a, b) for a, b in zip(mine.outputs, theirs.outputs, strict=True))
    assert same(back.reference.companions[0], model.reference.companions[0]) and back.exact.companions is None
    assert back.scores.artifact.path.read_bytes() == b"TFL3 stand-in" and back.scores.lsb == (0.25,)
    assert replace(back.artifact, path=None) == replace(model.artifact, path=None)


def test_files_come_from_the_bundle_and_not_from_where_they_were_made(packed, model):
    model.artifact.path.unlink()
    model.inputs[0].path.unlink()
    back = read_bundle(packed).models[0]
    assert back.artifact.path.read_bytes() == b"TFL3 stand-in"
    assert packed in back.artifact.path.parents and packed in back.inputs[0].path.parents
    np.testing.assert_array_equal(np.load(back.inputs[0].path), np.arange(24, dtype=np.int8).reshape(6, 2, 2))


def test_a_refusal_travels_as_a_refusal(packed):
    back = read_bundle(packed).models[1]
    assert (back.artifact.path, back.artifact.refused, back.inputs, back.reference) == (None, "not supported", (), None)


def test_a_bundle_can_be_moved(packed, tmp_path):
    packed.rename(tmp_path / "elsewhere")
    assert read_bundle(tmp_path / "elsewhere").models[0].artifact.path.is_file()


def test_shared_samples_are_stored_once(model, tmp_path):
    folder = write_bundle(tmp_path / "lab", [model, replace(model, recipe="ptq-int8-pt-io"), replace(model, seed=4)])
    assert len(list((folder / "samples").iterdir())) == 1


@pytest.mark.parametrize("folder", ["models", "manifests", "samples", "arrays"])
@pytest.mark.parametrize("damage", ["truncated", "changed", "missing"])
def test_every_damaged_file_is_named(packed, folder, damage):
    victim = sorted((packed / folder).iterdir())[0]
    if damage == "truncated":
        victim.write_bytes(victim.read_bytes()[:-1])
    elif damage == "changed":
        data = bytearray(victim.read_bytes())
        data[-1] ^= 1
        victim.write_bytes(data)
    else:
        victim.unlink()
    with pytest.raises(UserInputError) as caught:
        read_bundle(packed)
    assert caught.value.where == str(victim) and "again" in caught.value.hint


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"schema": 1, "models": [{}]}', '{"schema": 1, "models": 3}']
)
def test_a_damaged_index_is_a_clear_error(packed, content):
    (packed / "bundle.json").write_text(content)
    with pytest.raises(UserInputError, match="damaged"):
        read_bundle(packed)


def test_an_index_cannot_point_outside_the_bundle(packed):
    index = json.loads((packed / "bundle.json").read_text())
    index["models"][0]["artifact"]["model"] = "../../etc/passwd"
    (packed / "bundle.json").write_text(json.dumps(index))
    with pytest.raises(UserInputError, match="no SHA-256"):
        read_bundle(packed)


def test_a_bundle_of_a_newer_harness_says_so(packed):
    index = json.loads((packed / "bundle.json").read_text())
    (packed / "bundle.json").write_text(json.dumps({**index, "schema": 99}))
    with pytest.raises(UserInputError, match="newer harness"):
        read_bundle(packed)


def test_a_folder_that_is_no_bundle_says_how_to_make_one(tmp_path):
    with pytest.raises(UserInputError) as caught:
        read_bundle(tmp_path)
    assert "harness build --bundle" in caught.value.hint


def test_a_bundle_replaces_an_older_one(packed, model):
    write_bundle(packed, [model])
    assert len(read_bundle(packed).models) == 1
    assert [path.name for path in packed.parent.iterdir() if path.name.startswith(".tmp-")] == []


def test_a_folder_with_other_things_is_never_replaced(model, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("years of work")
    with pytest.raises(UserInputError, match="no bundle"):
        write_bundle(tmp_path / "home", [model])
    assert (tmp_path / "home" / "thesis.tex").exists()


def test_a_failed_packing_leaves_the_old_bundle_and_nothing_else(packed, model, monkeypatch):
    def full(path, value):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle_module, "write_json_atomic", full)
    with pytest.raises(HarnessError, match="No space left"):
        write_bundle(packed, [model])
    assert len(read_bundle(packed).models) == 2
    assert [path.name for path in packed.parent.iterdir() if path.name.startswith(".tmp-")] == []


def test_an_empty_bundle_is_refused(tmp_path):
    with pytest.raises(UserInputError, match="nothing to pack"):
        write_bundle(tmp_path / "lab", [])
    assert not (tmp_path / "lab").exists()
