"""Studies as they run: from the command to table, drawing, audit and pandas; and what is refused before anything is built."""

import json

import pytest
from click.testing import CliRunner

import harness
from harness.cli.main import cli


def call(*args):
    found = CliRunner().invoke(cli, ["study", *map(str, args)], standalone_mode=False)
    if found.exception is not None:
        raise found.exception
    return found


def test_a_calibration_study_is_told_drawn_kept_and_audited(tmp_path):
    found = call(
        "calibration", "mnist-cnn", "--device", "host-litert", "--counts", "1,10", "--choice", "first", "--budget", "3s",
        "--results", tmp_path / "r",
    )  # fmt: skip
    assert "by how many of 1,297 training samples calibrate" in found.stdout and "run " in found.stdout
    assert "3 ok" in found.stdout
    run = harness.load_run(results=tmp_path / "r")
    assert (run.path / "calibration.html").is_file()
    assert {r.key.recipe for r in run.records} == {
        "ptq-int8-io-cal[all]", "ptq-int8-io-cal[first,1]", "ptq-int8-io-cal[first,10]",
    }  # fmt: skip
    scales = {r.key.recipe: r.artifact_sha256 for r in run.records}
    assert len(set(scales.values())) == 3, "other samples, other ranges"
    told = CliRunner().invoke(
        cli, ["audit", "mnist-cnn:ptq-int8-io-cal[first,1]", "--all-findings"], standalone_mode=False
    )
    assert "calibration-" in told.stdout and f"run {run.id}" in told.stdout.replace("\n", " ")


def test_a_study_of_schemes_fills_its_tables(tmp_path, capfd):
    found = harness.study_schemes(
        "mnist-cnn", devices="host-litert", weight_bits=(2,), trainings=("ptq",), budget="4s", results=tmp_path / "r"
    )
    assert capfd.readouterr() == ("", "")
    frame = found.to_frame()
    assert len(frame) == 2 and frame["activation_bits"].tolist()[1] == 8
    scores = found.tables["2-bit weights and 8-bit activations"].loc["post-training"]
    assert scores.notna().all() and scores["floating point"] > 0.9 > scores["symmetric, per-layer"]
    assert found.effects["qat-recovers-2"] is None and found.effects["per-channel-beats-per-layer-2"] is not None
    assert set(found.run.outcomes) <= {"ok"}, json.dumps([r.reason for r in found.run.records])
    with pytest.raises(StopIteration):
        next(a for a in found.run.recommend().answers if a.pick is not None)


@pytest.mark.parametrize(
    "args, words",
    [
        (("calibration", "mnist-cnn", "--recipe", "ptq-float32"), "calibrates nothing"),
        (("calibration", "mnist-cnn", "--counts", "5000"), "is below the 1,297"),
        (("calibration", "mnist-cnn", "--counts", "ten"), "no list of numbers"),
        (("calibration", "mnist-cmn"), "unknown workload 'mnist-cmn'"),
        (("schemes", "mnist-cnn", "--bits", "16"), "2 to 8 bits"),
        (("schemes", "mnist-cnn", "--device", "host-tflite"), "on one device"),
    ],
)
def test_what_cannot_be_studied_is_said_at_once(tmp_path, args, words):
    with pytest.raises(harness.UserInputError, match=words):
        call(*args, "--device", "host-litert", "--results", tmp_path / "r")
