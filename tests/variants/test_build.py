"""Building: one training for many conversions, refusals, rebuilds, and what needs no TensorFlow."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

import pytest

from harness.core.errors import MissingPartError, UserInputError
from harness.core.files import sha256_file
from harness.variants.build import build as build_module
from harness.variants.build.build import (
    BuildRequest,
    build_artifacts,
    build_outcomes,
    cached_outcomes,
)
from harness.variants.build.keys import KeyMaker
from harness.variants.recipe import select_recipes
from harness.workloads.registry import get_workload
from tests.support.fixtures_build import BUILT_RECIPES, bundled_digits, request_for

slow = pytest.mark.slow


@slow
def test_every_recipe_gives_a_file_or_a_reason(built):
    for name, artifact in built.items():
        assert (artifact.path is None) == (artifact.refused is not None), name
        assert artifact.recipe == name and artifact.workload == "mnist-cnn"
        if artifact.path:
            assert sha256_file(artifact.path) == artifact.sha256
            assert artifact.path.stat().st_size == artifact.size_bytes


@slow
@pytest.mark.parametrize(
    "recipe, size",
    [
        ("ptq-float32", 83_904),
        ("ptq-default", 23_256),
        ("ptq-int8-io", 23_560),
        ("qat-default", 23_976),
        ("qat-int8-io", 23_640),
        ("qat-dense-default", 84_560),
    ],
)
def test_file_sizes_are_the_published_ones(built, recipe, size):
    assert built[recipe].size_bytes == size


@slow
def test_a_refusal_carries_the_converters_own_reason(built):
    assert built["qat-int16x8"].refused == "Quantization to 16x8-bit not yet supported for op: 'DEQUANTIZE'"


@slow
def test_the_refused_quantizer_is_explained(built):
    reason = built["qat-q[movavg,per-channel]-int8-io"].refused
    assert "AssertionError" in reason and "allvalues-pc" in reason


@slow
def test_a_refusal_is_cached_too(built, in_build_cache):
    outcome = cached_outcomes([request_for("qat-int16x8")])[0]
    assert outcome.cached and outcome.artifact.refused == built["qat-int16x8"].refused


@slow
def test_the_manifest_tells_where_a_model_comes_from(built):
    manifest = built["qat-int8-io"].manifest
    assert manifest["packages"]["tensorflow"] and manifest["packages"]["tensorflow-model-optimization"]
    assert manifest["dataset"]["name"] == "digits-28x28" and "not MNIST" in manifest["dataset"]["note"]
    assert manifest["representative"]["count"] == 200
    assert manifest["training_summary"]["totals"]["float_params"] == 20_410
    assert manifest["reproducible"] is True and "same bytes" in manifest["reproducible_why"]
    assert {op["op"] for op in manifest["ops"]} >= {"CONV_2D", "FULLY_CONNECTED"}
    json.dumps(manifest, allow_nan=False)


@slow
@pytest.mark.parametrize(
    "recipe, dtype",
    [
        ("ptq-int8-io", "int8"),
        ("ptq-uint8-io", "uint8"),
        ("ptq-float32", "float32"),
        ("qat-default", "float32"),
    ],
)
def test_input_and_output_types_are_as_asked(built, recipe, dtype):
    artifact = built[recipe]
    assert {io.dtype for io in (*artifact.inputs, *artifact.outputs)} == {dtype}
    if dtype in ("int8", "uint8"):
        assert all(io.scale > 0 for io in (*artifact.inputs, *artifact.outputs))


@slow
def test_the_audit_is_stored_with_the_artifact(built):
    codes = {finding["code"] for finding in built["qat-dense-default"].manifest["audit"]["findings"]}
    assert "float-ops" in codes
    audit = json.loads((built["qat-dense-default"].path.parent / "audit.json").read_text())
    assert audit["tflite"]["ops"]


@slow
def test_an_open_batch_costs_shape_ops(built):
    ops = {op["op"] for op in built["ptq-int8-io-dynbatch"].manifest["ops"]}
    assert {"SHAPE", "STRIDED_SLICE", "PACK"} <= ops
    assert not {"SHAPE", "STRIDED_SLICE", "PACK"} & {op["op"] for op in built["ptq-int8-io"].manifest["ops"]}


@slow
def test_each_training_ran_once(built, in_build_cache):
    trainings = {path.name for path in (in_build_cache / "trainings").iterdir()}
    keys = [KeyMaker().keys(r.workload, r.recipe, r.source, r.seed) for r in map(request_for, BUILT_RECIPES)]
    assert {key for k in keys for key in (k.float_key, k.training_key)} <= trainings
    # float, ft, qat, qat-dense and the refused quantizer, for all conversions together
    assert len({key for k in keys for key in (k.float_key, k.training_key)}) == 5


@slow
def test_order_is_kept_and_repeated_requests_are_one(built, in_build_cache):
    names = ["qat-default", "ptq-float32", "qat-default"]
    artifacts = build_artifacts([request_for(name) for name in names])
    assert [a.recipe for a in artifacts] == names
    assert artifacts[0].key == artifacts[2].key == built["qat-default"].key


@slow
def test_a_rebuild_gives_the_same_bytes(built, tmp_path, monkeypatch):
    names = ["ptq-int8-io", "qat-default"]
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path))
    rebuilt = build_outcomes([request_for(name) for name in names], jobs=1)
    assert [outcome.cached for outcome in rebuilt] == [False, False]
    assert [outcome.artifact.sha256 for outcome in rebuilt] == [built[name].sha256 for name in names]


@slow
def test_cached_models_need_no_tensorflow(built, in_build_cache, monkeypatch):
    monkeypatch.setattr(build_module, "_missing_modules", lambda: ["tensorflow"])
    artifact = build_artifacts([request_for("ptq-int8-io")])[0]
    assert artifact.sha256 == built["ptq-int8-io"].sha256


@slow
def test_without_the_build_packages_the_newest_built_model_serves(built, in_build_cache, monkeypatch):
    monkeypatch.setattr(build_module, "_missing_modules", lambda: ["tensorflow"])
    # As on a machine where the packages are gone: their versions are unknown, so every key is another one.
    monkeypatch.setattr("harness.variants.build.keys.package_version", lambda name: None)
    artifact = build_artifacts([request_for("ptq-int8-io")])[0]
    assert artifact.sha256 == built["ptq-int8-io"].sha256


def test_without_the_build_packages_a_missing_model_says_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(build_module, "_missing_modules", lambda: ["tensorflow"])
    with pytest.raises(MissingPartError) as caught:
        build_artifacts([request_for("ptq-float32")])
    assert "pip install 'tflite-hil-harness[build]'" in caught.value.hint


def test_looking_up_and_the_command_import_no_tensorflow(tmp_path):
    code = (
        "import sys; from harness.cli.build import command; "
        "command.main(['mnist-cnn', '--list'], standalone_mode=False); "
        "assert not {'tensorflow', 'pandas', 'sklearn', 'tf_keras'} & set(sys.modules), sys.modules.keys()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HARNESS_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "ptq-int8-io" in done.stdout


def test_an_unregistered_workload_is_refused_before_a_worker_misses_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path))
    stranger = dataclasses.replace(get_workload("mnist-cnn"), title="another one")
    request = BuildRequest(workload=stranger, recipe=select_recipes(["ptq-float32"])[0], source=bundled_digits())
    with pytest.raises(UserInputError, match="not the registered one"):
        build_artifacts([request])


def test_zero_jobs_are_refused():
    with pytest.raises(UserInputError, match="--jobs"):
        build_artifacts([request_for("ptq-float32")], jobs=0)
