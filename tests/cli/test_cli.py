"""The command line as a whole: cheap start, clear errors, exit codes."""

import subprocess
import sys

import pytest

from harness.results.store import Store
from tests.support.tiny_model import int8_dense

HEAVY = ("tensorflow", "pandas", "scipy", "sqlalchemy", "paramiko", "sklearn", "pydantic", "rich", "numpy")


def harness(*args, **kwargs):
    return subprocess.run(
        [sys.executable, "-m", "harness.cli.main", *args], capture_output=True, text=True, timeout=120, **kwargs
    )


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from harness.cli.main import cli\n"
        "try: cli.main(['--help'], standalone_mode=False)\n"
        "finally: print('loaded:', sorted(m for m in sys.modules if m in " + repr(HEAVY) + "), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "loaded: []" in result.stderr, result.stderr


def test_the_pytest_plugin_loads_nothing_heavy():
    code = "import sys, harness.suites.plugin; print([m for m in sys.modules if m in " + repr(HEAVY) + "])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "[]"


def test_every_subcommand_has_help():
    from harness.cli.main import COMMANDS

    for name in COMMANDS:
        result = harness(name, "--help")
        assert result.returncode == 0, (name, result.stderr)
        assert "Usage:" in result.stdout


def test_unknown_command_suggests_the_nearest():
    result = harness("bild")
    assert result.returncode == 1
    assert "unknown command 'bild'" in result.stderr and "did you mean build" in result.stderr


@pytest.mark.parametrize(
    "args, words",
    [
        (["run", "--device", "host-liter", "--workload", "mnist-cnn"], ["unknown device 'host-liter'", "host-litert"]),
        (["run", "--device", "host-litert", "--workload", "mnist-cn"], ["unknown workload 'mnist-cn'", "mnist-cnn"]),
        (["run", "--device", "host-litert", "--recipe", "ptq-int9"], ["unknown recipe 'ptq-int9'", "ptq-int8"]),
        (["run", "--device", "host-litert", "--backend", "npu"], ["unknown backend 'npu'", "cpu"]),
        (["run", "--device", "host-litert", "--samples", "few"], ["--samples takes a number"]),
        (["run", "--device", "host-litert", "--budget", "soon"], ["not a duration"]),
        (["nightly", "--budget", "5"], ["'5' has no unit of time", "90s, 8m or 1h30m"]),
        (["nightly", "--confirm-budget", "5"], ["'5' has no unit of time"]),
        (["run", "--device", "host-litert", "--deadline", "0"], ["'0' has no unit of time"]),
        (["run", "--device", "host-*"], ["'host-*' is a pattern", "repeat --device for each", "--device host-litert"]),
        (["run"], ["no device named", "--device"]),
        (["run", "--frobnicate"], ["No such option"]),
        (
            ["run", "--resume", "--recipe", "ptq-int8", "--samples", "9999", "--results", "here"],
            ["--recipe, --samples cannot be given with --resume"],
        ),
        (["measure", "missing.tflite", "--device", "host-litert"], ["missing.tflite"]),
    ],
)
def test_wrong_input_gets_one_clear_message_and_exit_code_1(args, words, tmp_path):
    result = harness(*args, cwd=tmp_path)
    assert result.returncode == 1, result.stderr
    for word in words:
        assert word in result.stderr
    assert "Traceback" not in result.stderr


def test_every_kind_of_end_has_its_exit_code(monkeypatch, capsys):
    import click

    from harness.cli import main
    from harness.core.errors import ExitCode, HarnessError, MissingPartError, TransientDeviceError, UserInputError

    def ending(how):
        def command(**_):
            if isinstance(how, BaseException):
                raise how
            return how

        monkeypatch.setattr(main.cli, "main", command)
        with pytest.raises(SystemExit) as end:
            main.main()
        return end.value.code

    assert ending(None) == 0 == ending(ExitCode.DONE) == ending(click.exceptions.Exit(0))
    wrong = (UserInputError("name"), MissingPartError("part"), HarnessError("disk full"), click.UsageError("option"))
    assert {ending(how) for how in wrong} == {1}
    assert ending(TransientDeviceError("board off")) == 2 == ending(ExitCode.DEVICE_FAILED)
    assert ending(ExitCode.WORSE) == 3
    assert (ending(KeyboardInterrupt()), ending(click.Abort())) == (130, 130)
    capsys.readouterr()
    assert ending(ZeroDivisionError("division by zero")) == 4
    told = capsys.readouterr().err
    assert "Traceback" in told and "ZeroDivisionError: division by zero" in told and "defect of harness" in told


def test_the_page_of_exit_codes_has_every_code():
    from harness.core.errors import PYTEST_DEVICE_FAILED, ExitCode
    from tests.support.places import ROOT

    page = (ROOT / "docs" / "reference" / "exit-codes.md").read_text()
    for code in (*ExitCode, PYTEST_DEVICE_FAILED):
        assert f"| {int(code)} |" in page


@pytest.mark.slow
def test_a_run_of_a_board_that_is_off_ends_with_2(tmp_path):
    (tmp_path / "off.yaml").write_text(OFF)
    (tmp_path / "m.tflite").write_bytes(int8_dense())
    result = harness("measure", "m.tflite", "--device", "off", "--devices-dir", str(tmp_path), cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr and "1 failed" in result.stdout


#: a board that nobody answers for
OFF = """\
name: off
title: A board that is off
link: {type: ssh, host: 127.0.0.1, port: 9, user: nobody}
connect: {first_s: 1, again_s: 1}
runtime: {module: ai_edge_litert, package: ai-edge-litert==2.3.0}
backends:
  cpu: {threads: 1}
"""


def test_a_device_without_an_address_says_which_variable_and_file(tmp_path, monkeypatch):
    monkeypatch.delenv("HARNESS_IMX8MP_HOST", raising=False)
    result = harness("run", "--device", "imx8mp", "--workload", "mnist-cnn", "--recipe", "ptq-float32", cwd=tmp_path)
    assert result.returncode != 0
    assert "HARNESS_IMX8MP_HOST" in result.stderr and "local.yaml" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_read_only_results_folder_is_said_before_anything_runs(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    result = harness(
        "run",
        "--device",
        "host-litert",
        "--workload",
        "mnist-cnn",
        "--recipe",
        "ptq-float32",
        "--results",
        str(blocked),
    )
    assert result.returncode == 1
    assert str(blocked) in result.stderr and "Traceback" not in result.stderr


@pytest.mark.slow
def test_a_resumed_run_of_which_nothing_is_left_says_so_and_prepares_nothing(tmp_path):
    (tmp_path / "tiny.tflite").write_bytes(int8_dense())
    first = harness(
        "measure", "tiny.tflite", "--device", "host-litert", "--backend", "cpu-ref", "--budget", "1s", cwd=tmp_path
    )
    assert first.returncode == 0, first.stderr
    with Store.open(tmp_path / "results") as store:
        run = store.run("latest").run
        store.finish_run(run, "interrupted")
    (tmp_path / "tiny.tflite").unlink()
    resumed = harness("run", "--resume", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert f"run {run} is finished: all of its 1 cells have run, and nothing is left to run" in resumed.stderr
    with Store.open(tmp_path / "results") as store:
        assert store.run(run).state == "finished"


def test_resuming_in_a_folder_without_a_run_leaves_it_as_it_is(tmp_path):
    result = harness("run", "--resume", cwd=tmp_path)
    assert result.returncode == 1 and "there is no results store here" in result.stderr
    assert list(tmp_path.iterdir()) == []


def _commands(command, path=()):
    """Every command and subcommand with its words."""
    if hasattr(command, "list_commands"):
        import click

        context = click.Context(command)
        for name in command.list_commands(context):
            yield from _commands(command.get_command(context, name), (*path, name))
    else:
        yield " ".join(path), command


def test_help_says_of_each_option_that_may_be_repeated_that_it_may():
    from harness.cli.main import cli

    silent = [
        f"{name} {option.opts[0]}"
        for name, command in _commands(cli)
        for option in command.params
        if getattr(option, "multiple", False) and not option.hidden and "repeatable" not in option.help
    ]
    assert silent == []
