"""How commands end when somebody else ends them: a reader that goes away, and an interruption."""

from __future__ import annotations

import subprocess
import sys

import pytest


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
