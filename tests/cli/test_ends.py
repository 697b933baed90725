"""How commands end when somebody else ends them: a reader that goes away, and an interruption."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness.core.files import write_named
from tests.support.tiny_model import float_mlp


@pytest.mark.parametrize(
    "arguments", [(), ("--format", "csv", "--output", "-"), ("--format", "markdown"), ("--json", "-")]
)
def test_a_reader_that_goes_away_is_no_error(filled_results, arguments):
    program = [sys.executable, "-m", "harness.cli.main", "report", "--results", str(filled_results), *arguments]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    errors = process.stderr.read()
    assert (process.wait(60), errors) == (0, "")


def test_an_interruption_is_told_once(tmp_path, monkeypatch, capsys):
    from harness.cli import main, running

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "run_session", interrupted)
    monkeypatch.setattr(sys, "argv", ["harness", "run", "--device", "host-litert", "--results", str(tmp_path)])
    assert main._run() == 130
    assert capsys.readouterr().err.count("interrupted") == 1


def harness(*arguments, cwd, shell="", **environment):
    """`harness` as a shell starts it; `shell` stands behind the command."""
    program = f'"$0" -m harness.cli.main "$@" {shell}'
    started = {**{k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}, **environment}
    return subprocess.run(
        ["sh", "-c", program, sys.executable, *arguments], cwd=cwd, capture_output=True, env=started, timeout=60
    )


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&- <&-"])
def test_closed_streams_are_no_error(tmp_path, closed):
    (tmp_path / "m.tflite").write_bytes(float_mlp())
    done = harness("check", "m.tflite", "--device", "host-litert", "--json", "found.json", cwd=tmp_path, shell=closed)
    assert (done.returncode, done.stderr) == (0, b"") and (tmp_path / "found.json").stat().st_size > 100


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize("environment", [ASCII, {"PYTHONIOENCODING": "ascii"}])
def test_names_with_umlauts_are_found_in_every_locale(tmp_path, environment):
    folder = tmp_path / "größe 日本"
    folder.mkdir()
    (folder / "mödell.tflite").write_bytes(float_mlp())
    done = harness("init", "mödell.tflite", cwd=folder, **environment)
    assert done.returncode == 0, done.stderr
    assert 'path = "mödell.tflite"' in (folder / "harness.toml").read_text()
    done = harness("audit", "mödell.tflite", cwd=folder, **environment)
    assert done.returncode == 0 and b"dell.tflite" in done.stdout, done.stderr


def test_a_name_that_is_no_utf8_is_told(tmp_path):
    name = os.fsdecode(b"m\xe4.tflite")
    (tmp_path / name).write_bytes(float_mlp())
    done = harness("measure", name, "--device", "host-litert", cwd=tmp_path)
    assert done.returncode == 1 and b"m\\xe4.tflite: the name has bytes that are no UTF-8" in done.stderr
    (tmp_path / "plain.tflite").write_bytes(float_mlp())
    folder = tmp_path / os.fsdecode(b"w\xe4")
    folder.mkdir()
    done = harness("init", "../plain.tflite", cwd=folder)
    assert done.returncode == 1 and b"no UTF-8" in done.stderr and not list(folder.iterdir())


def test_what_is_there_and_no_file_is_written_to_and_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write_named(tmp_path / "pipe", b"all of it")
    reader.join(10)
    assert read == [b"all of it"] and stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    with pytest.raises(OSError, match="No space left"):
        write_named(Path("/dev/full"), b"x")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)
    (tmp_path / "m.tflite").write_bytes(float_mlp())
    done = harness("check", "m.tflite", "--device", "host-litert", "--json", "/dev/stdout", cwd=tmp_path)
    assert done.returncode == 0 and b'"schema": 1' in done.stdout
