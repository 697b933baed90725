"""Pipes of started processes."""

import subprocess
import sys

import pytest

from harness.core.pipes import piped


def test_a_pipe_that_was_asked_for_is_given():
    command = [sys.executable, "-c", "print('heard')"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert piped(process.stdout).read().strip() == b"heard"


def test_a_pipe_that_was_not_asked_for_is_a_defect():
    with subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.DEVNULL) as process:
        with pytest.raises(ValueError, match="without this pipe"):
            piped(process.stdin)
