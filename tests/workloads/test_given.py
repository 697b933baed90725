"""What stands in a command for a workload that a record knows by name."""

from __future__ import annotations

from harness.verdict.command import reproduction
from harness.workloads.given import given_workload
from tests.support.nights import key


def test_a_model_goes_by_its_file_and_a_project_by_its_own(tmp_path):
    project = tmp_path / "harness.toml"
    project.write_text('[model]\npath = "our model.h5"\n')
    given = ("mnist-cnn", "nets/my net.keras", "sensor-cnn.h5", str(project), str(tmp_path / "gone" / "harness.toml"))
    assert given_workload("mnist-cnn", given) == "mnist-cnn"
    assert given_workload("my-net", given) == "nets/my net.keras"
    assert given_workload("user-sensor-cnn", given) == "sensor-cnn.h5"  # a published name is never taken
    assert given_workload("our-model", given) == str(project)
    assert given_workload("other", given) == "other"
    assert given_workload("m", ("m.tflite#a", "m.tflite")) == "m.tflite"
    assert given_workload("m", ("m.tflite#a",)) == "m.tflite#a"
    assert f"--workload {project} " in reproduction(key(workload="our-model"), {"workloads": given})
