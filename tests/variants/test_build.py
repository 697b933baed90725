"""Building: one training for many conversions, refusals, crashes, kills, rebuilds, and what needs no TensorFlow."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from harness.core.errors import HarnessError, MissingPartError, UserInputError
from harness.core.files import sha256_file
from harness.variants.build import build as build_module
from harness.variants.build.build import (
    BuildRequest,
    artifact_from_file,
    build_artifacts,
    build_outcomes,
    cached_outcomes,
)
from harness.variants.build.cache import BuildCache
from harness.variants.build.keys import KeyMaker
from harness.variants.recipe import select_recipes
from harness.workloads.registry import get_workload
from tests.support.fixtures_build import BUILT_RECIPES, bundled_digits, request_for
from tests.support.places import ROOT
from tests.support.small_models import dense_net

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


# Keys.


def keys_of(recipe="ptq-int8-io", seed=0, **changes):
    workload = dataclasses.replace(get_workload("mnist-cnn"), **changes)
    return KeyMaker().keys(workload, select_recipes([recipe])[0], bundled_digits(), seed)


@pytest.mark.parametrize(
    "change",
    [
        {"architecture_version": 99},
        {"dataset_digest": lambda source: "0" * 64},
        {"schedule": dataclasses.replace(get_workload("mnist-cnn").schedule, epochs=7)},
        {"schedule": dataclasses.replace(get_workload("mnist-cnn").schedule, representative_samples=7)},
    ],
)
def test_a_changed_model_schedule_or_dataset_changes_every_key(change):
    assert keys_of().float_key != keys_of(**change).float_key
    assert keys_of().artifact_key != keys_of(**change).artifact_key


def test_fine_tuning_does_not_change_the_float_training():
    schedule = dataclasses.replace(get_workload("mnist-cnn").schedule, finetune_epochs=9)
    assert keys_of("qat-int8-io").float_key == keys_of("qat-int8-io", schedule=schedule).float_key
    assert keys_of("qat-int8-io").training_key != keys_of("qat-int8-io", schedule=schedule).training_key


def test_seeds_and_recipes_have_keys_of_their_own():
    keys = [
        keys_of(r, s).artifact_key
        for r in ("ptq-int8-io", "ptq-int8", "qat-q[last]-int8", "qat-q[last,w4]-int8")
        for s in (0, 1)
    ]
    assert len(set(keys)) == 8


def test_package_versions_are_in_the_key_and_not_in_the_request(monkeypatch):
    before = keys_of("ptq-aeq-dyn8")
    from harness.variants.build import keys as keys_module

    real = keys_module.package_version
    monkeypatch.setattr(
        keys_module, "package_version", lambda name: "9.9" if name == "ai-edge-quantizer" else real(name)
    )
    after = keys_of("ptq-aeq-dyn8")
    assert after.artifact_key != before.artifact_key
    assert (after.request_key, after.float_key) == (before.request_key, before.float_key)
    assert keys_of("ptq-int8-io").artifact_key == keys_of("ptq-int8-io").artifact_key


# Workers that end badly. The worker is a real process that speaks the real protocol; only the job is replaced by the fault.

FAULTY = """
import json, os, signal, sys, pathlib
faults = pathlib.Path({folder!r})
sys.path.insert(0, {root!r})
from harness.variants.build import worker
from harness.variants.build import worker_jobs

def run(self, job, on_progress):
    out = pathlib.Path(job["out"])
    if job["kind"] == "train":
        (out / "weights.npz").write_bytes(b"w")
        dataset = {{"name": "d", "note": "n", "digest": "x"}}
        return {{"training_summary": None, "weights_sha256": "0", "dataset": dataset, "seconds": 0}}
    (out / "model.tflite").write_bytes(b"half")
    count = len(list(faults.iterdir()))
    (faults / f"{{os.getpid()}}-{{count}}").touch()
    print("noise of the converter on stdout")
    os.write(1, b"and noise of C code\\n")
    {fault}
    (out / "model.tflite").write_bytes(b"whole")
    return {{"sha256": "s", "size_bytes": 5, "inputs": [], "outputs": [], "ops": [], "seconds": 0}}

worker_jobs.JobRunner.run = run
worker._prepare_tensorflow = lambda: None
sys.modules["tensorflow_model_optimization"] = sys
worker.main()
"""


@pytest.fixture
def faulty(tmp_path, monkeypatch):
    """A function that builds `ptq-float32` with workers that have a given fault."""
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "faults"
    folder.mkdir()

    def build(fault, recipes=("ptq-float32",)):
        script = tmp_path / "faulty_worker.py"
        script.write_text(FAULTY.format(folder=str(folder), root=str(ROOT), fault=fault))
        return build_outcomes([request_for(r) for r in recipes], jobs=1, worker_command=[sys.executable, str(script)])

    build.faults = folder
    build.cache = tmp_path / "cache"
    return build


def test_prints_of_the_converter_do_not_disturb_the_protocol(faulty):
    assert faulty("pass")[0].artifact.path.read_bytes() == b"whole"


@pytest.mark.parametrize(
    "fault, name",
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        (
            "sys.stderr.write('F0000 Check failed: a < b\\n'); sys.stderr.flush(); os.abort()",
            "SIGABRT: F0000 Check failed: a < b",
        ),
        ("os._exit(3)", "exit code 3"),
    ],
)
def test_a_converter_that_crashes_is_a_refusal_with_its_reason(faulty, fault, name):
    outcome = faulty(fault)[0]
    assert outcome.artifact.path is None
    assert "crashed the process" in outcome.artifact.refused and name in outcome.artifact.refused
    assert len(list(faulty.faults.iterdir())) == 2  # tried again in a fresh process before it was believed
    assert faulty("pass")[0].artifact.refused  # and remembered


def test_a_crash_that_does_not_repeat_is_no_refusal(faulty):
    outcome = faulty("count == 0 and os.kill(os.getpid(), signal.SIGSEGV)")[0]
    assert outcome.artifact.path.read_bytes() == b"whole"


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_a_worker_killed_from_outside_ends_the_build_and_breaks_nothing(faulty, name):
    with pytest.raises(HarnessError, match=f"killed from outside .{name}.*nothing is broken"):
        faulty(f"signal.signal(signal.SIGTERM, signal.SIG_DFL); os.kill(os.getpid(), signal.{name})")
    assert faulty("pass")[0].artifact.path.read_bytes() == b"whole"
    assert not list((faulty.cache / "build" / "tmp").iterdir())


def test_an_error_of_the_user_reaches_the_caller(faulty):
    fault = "from harness.core.errors import UserInputError; raise UserInputError('bad file', where='x.npz', hint='mend it')"
    with pytest.raises(UserInputError) as caught:
        faulty(fault)
    assert (caught.value.what, caught.value.where, caught.value.hint) == ("bad file", "x.npz", "mend it")


def test_a_full_disk_is_said_and_nothing_is_kept(faulty):
    with pytest.raises(HarnessError, match="No space left"):
        faulty("raise OSError(28, 'No space left on device', str(out))")
    assert cached_outcomes([request_for("ptq-float32")]) == [None]


def test_a_defect_keeps_its_traceback(faulty):
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        faulty("1 / 0")


def test_two_builds_at_once_do_the_work_once(faulty):
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(faulty("import time; time.sleep(1)")[0])) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [r.artifact.path.read_bytes() for r in results] == [b"whole", b"whole"]
    assert len(list(faulty.faults.iterdir())) == 1


def start_build(tmp_path, fault):
    """`harness build` as a process of its own with faulty workers; waits until a conversion runs."""
    faults = tmp_path / "faults"
    faults.mkdir()
    script = tmp_path / "faulty_worker.py"
    script.write_text(FAULTY.format(folder=str(faults), root=str(ROOT), fault=fault))
    code = (
        "import sys; from harness.variants.build import build; from tests.support.fixtures_build import request_for; "
        "build.build_outcomes([request_for('ptq-float32')], jobs=1, worker_command=[sys.executable, sys.argv[1]])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(script)],
        cwd=ROOT,
        env={**os.environ, "HARNESS_CACHE_DIR": str(tmp_path / "cache")},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not list(faults.iterdir()):
        assert process.poll() is None and time.monotonic() < deadline, process.stderr.read().decode()
        time.sleep(0.02)
    return process, int(next(faults.iterdir()).name.split("-")[0])


def gone(pid):
    """Whether a process ended within 10 s."""
    for _ in range(500):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT"])
def test_workers_die_with_their_parent_and_leave_nothing_broken(tmp_path, monkeypatch, name):
    # A busy worker that holds the interpreter's lock hears nothing of its stdin; only the kernel can end it.
    process, worker = start_build(tmp_path, "while True: pass")
    process.send_signal(getattr(signal, name))
    process.wait(30)
    process.stderr.close()
    assert gone(worker)
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    assert cached_outcomes([request_for("ptq-float32")]) == [None]
    with BuildCache() as cache:
        cache.remove_leftovers()
        assert not list((cache.root / "build" / "tmp").iterdir())
        # The finished training was kept: only the interrupted conversion is to be done.
        assert len(list((cache.root / "trainings").iterdir())) == 1


# The user's own model.


@slow
def test_a_model_of_the_users_own_is_converted_as_it_is_and_not_trained_without_labels(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    model, data = tmp_path / "mine.h5", tmp_path / "mine.npz"
    dense_net().save(model)
    np.savez(data, x_test=np.random.default_rng(0).random((30, 6), dtype=np.float32))
    workload = get_workload(str(model), data=data)
    requests = [
        BuildRequest(workload=workload, recipe=recipe, source=bundled_digits(), seed=seed)
        for recipe in select_recipes(["ptq-int8-io", "qat-default"])
        for seed in (0, 1)
    ]
    first, second, refused, _ = build_artifacts(requests, jobs=1)
    assert (first.workload, first.inputs[0].dtype) == ("mine", "int8")
    assert (first.key, first.seed, second.seed) == (
        second.key,
        0,
        1,
    )  # nothing was trained: every seed is the same model
    assert "labels" in refused.refused


# Finished files.


@slow
def test_a_finished_file_is_an_artifact_of_its_own(built, tmp_path):
    path = tmp_path / "mine.tflite"
    shutil.copy(built["ptq-int8-io"].path, path)
    artifact = artifact_from_file(path)
    assert (artifact.recipe, artifact.workload, artifact.path) == ("as-is", "mine", path)
    assert (artifact.inputs, artifact.sha256) == (built["ptq-int8-io"].inputs, built["ptq-int8-io"].sha256)


@slow
@pytest.mark.parametrize("keep", [0, 3, 100, 20_000])
def test_a_truncated_file_is_a_clear_error(built, tmp_path, keep):
    path = tmp_path / "cut.tflite"
    path.write_bytes(built["ptq-int8-io"].path.read_bytes()[:keep])
    with pytest.raises(UserInputError) as caught:
        artifact_from_file(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_a_clear_error(tmp_path):
    with pytest.raises(UserInputError, match="none.tflite"):
        artifact_from_file(tmp_path / "none.tflite")


# The command.


@slow
def test_the_command_prints_a_row_per_recipe(built, in_build_cache, monkeypatch):
    from click.testing import CliRunner

    from harness.cli.build import command

    monkeypatch.setenv("KERAS_HOME", str(in_build_cache / "no-keras"))
    monkeypatch.delenv("HARNESS_DATA_DIR", raising=False)
    json_file = in_build_cache / "out.json"
    arguments = ["mnist-cnn", "--recipe", "qat-int16x8", "--recipe", "ptq-int8-io", "--json", str(json_file)]
    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert result.exception is None, result.output
    assert "23,560" in result.output and "not yet supported" in result.output and "0 built, 2 cached" in result.output
    content = json.loads(json_file.read_text())
    assert content["schema"] == 1
    assert [(a["recipe"], a["outcome"]) for a in content["artifacts"]] == [
        ("ptq-int8-io", "ok"),
        ("qat-int16x8", "unsupported"),
    ]
    assert {frozenset(a) for a in content["artifacts"]} == {frozenset(content["artifacts"][0])}


def test_cleaning_says_what_it_removed(tmp_path, monkeypatch):
    from click.testing import CliRunner

    from harness.cli.build import command

    with BuildCache(tmp_path) as cache:
        folder = cache.temporary_folder()
        np.save(folder / "representative.npy", np.zeros(1000))
        cache.publish("training", "ab" * 32, folder, {})
    # The command names the cache folder by the environment, which is put back after the test.
    monkeypatch.setenv("HARNESS_CACHE_DIR", "elsewhere")
    result = CliRunner().invoke(command, ["--clean", "--cache-dir", str(tmp_path)], standalone_mode=False)
    assert result.exception is None, result.output
    assert "removed 0 artifacts and 1 trainings" in result.output
    assert not list((tmp_path / "trainings").iterdir())
