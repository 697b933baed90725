"""Calls in the folder of a project: what it says holds, as it does for commands; and nights from Python."""

import numpy as np
import pytest

import harness
from harness.reports.answer.limits import parse_drop
from tests.support.question_models import classifier, scores, vectors

PROJECT = """
[model]
path = "net.tflite"
[data]
path = "v.npz"
[score]
metric = "f1"
[run]
devices = ["host-litert"]
backends = ["cpu-ref"]
samples = 40
budget = "2s"
max_drop = 0.02
[nightly]
series = "net"
"""
TAKEN = "../harness.toml: model net.tflite, data v.npz, devices host-litert, samples 40, budget 2s"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("project")
    (place / "below").mkdir()
    x = vectors(60)
    (place / "net.tflite").write_bytes(classifier())
    np.savez(place / "v.npz", x_test=x, y_test=scores(x).argmax(axis=1))
    (place / "harness.toml").write_text(PROJECT)
    return place


@pytest.fixture(autouse=True)
def below(folder, litert_python, monkeypatch):
    monkeypatch.chdir(folder / "below")
    monkeypatch.delenv("HARNESS_RESULTS_DIR", raising=False)


@pytest.fixture(scope="module")
def night(folder, litert_python):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder / "below")
        return harness.nightly(controls=False, results=folder / "results")


@pytest.mark.slow
def test_a_night_is_that_of_the_project_and_says_so(night, folder):
    assert night.run.project == TAKEN and night.series == "net"
    assert [record.metric for record in night.run.records] == ["f1"] and night.run.records[0].samples == 40
    assert night.exit_code == 0 and night.worse == [] and night.left_out == {}
    assert night.page.is_file() and night.lines()
    assert {"status", "quantity"} <= set(night.to_frame().columns)


@pytest.mark.slow
def test_what_is_done_with_a_night(night, folder):
    results = folder / "results"
    (record,) = night.run.records
    cell = "net/as-is/host-litert/cpu-ref"
    (accepted,) = harness.accept(cell, why="as it is", quantity="latency", results=results)
    assert accepted.run == night.run.id and accepted.quantity == "latency"
    assert harness.baseline("release", results=results) == night.run.id
    assert harness.baselines(results=results)["run"].to_dict() == {"release": night.run.id}
    judged = harness.judge("release", results=results)
    assert judged.run == night.run.id and not judged.changed and not judged.unjudged
    with pytest.raises(harness.UserInputError, match="nothing of net/as-is/host-litert/cpu-ref is open"):
        harness.bisect(cell, results=results)
    with pytest.raises(harness.UserInputError, match="nothing to accept"):
        harness.accept(why="no reason", results=results)


@pytest.mark.slow
def test_a_store_goes_from_one_folder_to_another(night, folder):
    done = harness.export_results(folder / "exported", format="csv", results=folder / "results")
    assert (done.runs, done.cells) == (1, 1)
    came = harness.import_results(folder / "exported", results=folder / "other")
    assert len(came.taken.runs) == 1 and harness.load_run(results=folder / "other").id == night.run.id
    assert harness.prune_results(dry_run=True, results=folder / "other").records == 0
    found = harness.check_results(objects=False, results=folder / "other")
    assert found.records >= 1 and found.damaged == []


def test_the_project_can_be_left_aside_or_named(folder, monkeypatch):
    with pytest.raises(harness.UserInputError, match="no device named"):
        harness.measure(folder / "net.tflite", project=False)
    checks = harness.check()
    assert checks.project == "../harness.toml: model net.tflite, data v.npz, devices host-litert" and checks.is_good
    monkeypatch.chdir("/")
    with pytest.raises(harness.UserInputError, match="no model named"):
        harness.check()
    assert harness.check(project=folder).project.endswith(
        "harness.toml: model net.tflite, data v.npz, devices host-litert"
    )
    with pytest.raises(harness.UserInputError, match=r"there is no harness\.toml"):
        harness.check(project=folder / "below")


def test_what_is_given_wins(folder, monkeypatch):
    seen = {}

    def stop(options, *rest, **settings):
        seen["options"] = options
        raise harness.UserInputError("asked")

    monkeypatch.setattr("harness.session.session.run_session", stop)
    for call, samples in ((harness.run, 40), (lambda: harness.run(samples=7, devices="host-tflite"), 7)):
        with pytest.raises(harness.UserInputError, match="asked"):
            call()
        assert seen["options"].samples == samples
    project = folder / "harness.toml"
    project.write_text(project.read_text().replace("samples = 40", "samples = 0"))  # all
    with pytest.raises(harness.UserInputError, match="asked"):
        harness.run(devices="host-tflite")
    assert seen["options"].samples == 0
    assert seen["options"].devices == ("host-tflite",) and seen["options"].backends == ()
    assert seen["options"].workloads == (str(folder / "harness.toml"),)


def test_a_search_takes_the_projects_model_device_and_allowed_drop(folder, monkeypatch):
    seen = {}

    def stop(options, *rest, **settings):
        seen["options"] = options
        raise harness.UserInputError("asked")

    monkeypatch.setattr("harness.tune.tune.tune", stop)
    with pytest.raises(harness.UserInputError, match="asked"):
        harness.tune()
    options = seen["options"]
    assert (options.workload, options.device) == (str(folder / "harness.toml"), "host-litert")
    assert options.limits.max_drop == parse_drop("0.02")
    with pytest.raises(harness.UserInputError, match="no device named"):
        harness.tune("mnist-cnn")


def test_samples_and_devices_are_checked_from_python(folder):
    lines = harness.check_dataset(folder / "v.npz", model=folder / "net.tflite")
    assert lines[0].startswith("x_test") and lines[-1].startswith("fits net.tflite: ")
    assert harness.check_dataset({"x_test": np.zeros((3, 2), np.float32), "y_test": np.arange(3)})
    checked = harness.check_device("host-litert")
    assert checked.is_good and list(checked.to_frame()["ok"]) == [True] * len(checked.steps)
    with pytest.raises(harness.HarnessError):
        harness.flash_device("host-litert")
    with pytest.raises(harness.UserInputError, match="is no address"):
        harness.add_device("@host")


def test_an_audit_is_a_table_of_findings(folder):
    audits = harness.audit(folder / "net.tflite")
    assert len(audits) == 1 and "findings above info" in repr(audits)
    assert list(audits.to_frame("facts")["kind"]) == ["tflite"]
    assert {"op", "arithmetic"} <= set(audits.to_frame("ops").columns)
    assert list(audits.to_frame().columns) == ["model", "code", "severity", "where", "what", "fix"]
    with pytest.raises(harness.UserInputError, match="unknown table of audits"):
        audits.to_frame("nothing")
