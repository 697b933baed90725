"""What commands take from `harness.toml`, and that their own options win."""

import numpy as np
import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.core.errors import HarnessError, UserInputError
from harness.run.options import RunOptions
from tests.support.question_models import classifier, scores, vectors
from tests.support.workload_files import dense_classifier, write_h5

FLOAT = """
[model]
path = "net.h5"
[data]
path = "s.npz"
[preprocessing]
scale = 0.5
[run]
devices = ["host-litert"]
backends = ["cpu"]
recipes = ["ptq-float32", "ptq-int8-io"]
samples = 40
budget = "90s"
[nightly]
budget = "3m"
series = "net"
"""
FINISHED = """
[model]
path = "net.tflite"
[data]
path = "v.npz"
[score]
metric = "f1"
[run]
devices = ["host-litert"]
"""


class Asked(Exception):
    """Stands for the run: carries what was asked for."""

    def __init__(self, options, **rest):
        super().__init__("asked")
        self.options, self.rest = options, rest


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    place = tmp_path / "work"
    (place / "below").mkdir(parents=True)
    write_h5(place / "net.h5", dense_classifier(3, input_shape=(4, 4)))
    np.savez(place / "s.npz", x=np.random.default_rng(0).random((100, 4, 4)), y=np.arange(100) % 3)
    x = vectors(60)
    (place / "net.tflite").write_bytes(classifier())
    np.savez(place / "v.npz", x_test=x, y_test=scores(x).argmax(axis=1))
    monkeypatch.chdir(place / "below")
    return place


@pytest.fixture
def asked(monkeypatch):
    """asked(*arguments) -> the RunOptions that a command would run."""

    def stop(options, *args, **rest):
        raise Asked(options, args=args, **rest)

    monkeypatch.setattr("harness.cli.running.run_and_report", stop)
    monkeypatch.setattr("harness.cli.night.run_and_judge", stop)

    def ask(*arguments) -> RunOptions:
        result = CliRunner().invoke(cli, list(arguments), standalone_mode=False)
        ask.said = result.output
        if not isinstance(result.exception, Asked):
            raise result.exception or AssertionError(result.output)
        ask.rest = result.exception.rest
        return result.exception.options

    return ask


def project(folder, text):
    (folder / "harness.toml").write_text(text)


def test_run_takes_everything_from_the_file_above(folder, asked):
    project(folder, FLOAT)
    options = asked("run")
    assert options.workloads == (str(folder / "harness.toml"),) and options.data is None
    assert options.devices == ("host-litert",) and options.backends == ("cpu",)
    assert options.recipes == ("ptq-float32", "ptq-int8-io")
    assert (options.samples, options.budget_s) == (40, 90.0)
    assert "../harness.toml: model net.h5, data s.npz, devices host-litert" in asked.said


def test_the_command_line_wins_key_by_key(folder, asked):
    project(folder, FLOAT)
    options = asked("run", "--recipe", "ptq-int8", "--samples", "all", "--data", "other.npz")
    assert options.recipes == ("ptq-int8",) and options.samples == 0 and options.data == "other.npz"
    assert options.devices == ("host-litert",) and options.budget_s == 90.0


def test_another_device_does_not_inherit_the_backends(folder, asked):
    project(folder, FLOAT)
    options = asked("run", "--device", "imx8mp@qemu")
    assert options.devices == ("imx8mp@qemu",) and options.backends == ()


def test_another_workload_keeps_its_own_data_and_the_projects_devices(folder, asked):
    project(folder, FLOAT)
    options = asked("run", "--workload", "mnist-cnn")
    assert options.workloads == ("mnist-cnn",) and options.devices == ("host-litert",)
    own = asked("run", "--workload", str(folder / "net.h5"))
    assert own.workloads == (str(folder / "harness.toml"),)


def test_the_file_can_be_left_aside(folder, asked):
    project(folder, FLOAT)
    assert asked("run", "--no-project").workloads == ()
    assert asked("run", "--resume").devices == ()


def test_nights_have_settings_of_their_own(folder, asked):
    project(folder, FLOAT)
    options = asked("nightly")
    assert options.budget_s == 180.0 and options.workloads == (str(folder / "harness.toml"),)
    night = asked.rest["args"][1]
    assert night.series == "net"
    assert asked("nightly", "--budget", "1m").budget_s == 60.0


def test_measure_takes_a_finished_model_with_its_samples_and_metric(folder, monkeypatch):
    project(folder, FINISHED)
    seen = {}

    def plan(options, random_samples):
        seen["options"] = options
        raise Asked(options)

    monkeypatch.setattr("harness.run.measured.measure_plan", plan)
    for arguments in (["measure"], ["measure", str(folder / "net.tflite")]):
        CliRunner().invoke(cli, arguments, standalone_mode=False)
        options = seen.pop("options")
        assert options.workloads == (str(folder / "net.tflite"),) and options.metric == "f1"
        with np.load(options.data) as arrays:
            assert len(arrays["x_test"]) == 60
    CliRunner().invoke(cli, ["measure", "--no-project", str(folder / "net.tflite"), "--device", "x"])
    assert seen["options"].data is None


def test_measure_needs_a_finished_model(folder):
    project(folder, FLOAT)
    result = CliRunner().invoke(cli, ["measure"], standalone_mode=False)
    assert isinstance(result.exception, UserInputError)
    assert "`measure` takes a finished .tflite, and the model of the project is net.h5" in str(result.exception)


def test_build_lists_the_projects_recipes(folder):
    project(folder, FLOAT)
    result = CliRunner().invoke(cli, ["build", "--list"], standalone_mode=False)
    assert result.exception is None, result.output
    rows = [line.split()[0] for line in result.output.splitlines() if line.strip().startswith("ptq-")]
    assert rows == ["ptq-float32", "ptq-int8-io"]


def test_check_says_what_will_happen_to_the_projects_model(folder):
    project(folder, FINISHED)
    result = CliRunner().invoke(cli, ["check"], standalone_mode=False)
    assert result.exception is None, result.output
    assert f"{folder / 'net.tflite'} on host-litert" in result.output.replace("\n", "")


@pytest.mark.parametrize("command", ["run", "nightly", "build", "check", "measure"])
def test_a_broken_file_ends_every_command_with_its_place(folder, command):
    project(folder, '[model]\npth = "net.h5"\n')
    result = CliRunner().invoke(cli, [command], standalone_mode=False)
    assert isinstance(result.exception, HarnessError)
    assert "harness.toml:2:1: unknown field 'model.pth'" in str(result.exception)


@pytest.mark.parametrize("command, what", [("check", "model"), ("measure", "model")])
def test_without_a_file_what_is_missing_is_named(command, what, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, [command], standalone_mode=False)
    assert isinstance(result.exception, UserInputError)
    assert f"no {what} named" in str(result.exception) and "harness init" in str(result.exception)


def test_a_model_that_is_gone_is_named_with_its_key(folder):
    project(folder, FLOAT.replace("net.h5", "gone.h5"))
    result = CliRunner().invoke(cli, ["build", "--list"], standalone_mode=False)
    assert "model.path: there is no" in str(result.exception) and "gone.h5" in str(result.exception)
