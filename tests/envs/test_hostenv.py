"""Host runtime environments are made once, whole or not at all, and say exactly why when they cannot be."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.boards.connect import availability
from harness.boards.resolve import packaged_profile
from harness.core.errors import MissingPartError, UserInputError
from harness.envs import hostenv
from harness.envs.hostenv import ensure_runtime_env, env_unavailable_reason, parse_package
from harness.envs.pip_said import no_such_version

TFLITE = "tflite-runtime==2.14.0"


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def unsuitable_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The harness runs on a Python without a wheel; PATH is an empty folder, returned."""
    packaged_profile("host-tflite")  # its models are made before: pydantic looks at the version, too
    monkeypatch.setattr(sys, "version_info", (3, 13, 0, "final", 0))
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """pip finds no package: an index on a loopback port where nobody listens."""
    for name in list(os.environ):
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_TIMEOUT", "2")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")


@pytest.fixture
def no_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Making an environment ends at its first command: what stood before it must be gone by then."""

    def stop(*_arguments, **_settings):
        raise MissingPartError("stopped here")

    monkeypatch.setattr(hostenv, "_run", stop)


def unpublished(python: str = sys.executable) -> Path:
    """A folder as a maker leaves it that was killed before it wrote the marker."""
    marker = hostenv._marker(TFLITE)
    folder = marker.with_name(f"{marker.stem}-12345678")
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(python)
    return folder


def publish(folder: Path) -> None:
    hostenv._marker(TFLITE).write_text(json.dumps({"folder": folder.name, "python_version": "3.11.7"}))


def test_an_environment_has_exactly_what_was_pinned(tflite_python: str):
    code = "import numpy, tflite_runtime as t; print(numpy.__version__, t.__version__)"
    said = subprocess.run([tflite_python, "-I", "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["1.26.4", "2.14.0"]


def test_the_two_runtimes_stand_side_by_side(tflite_python: str, litert_python: str):
    assert tflite_python != litert_python
    code = "import importlib.util as u; print(u.find_spec('ai_edge_litert') is None, u.find_spec('tflite_runtime') is None)"
    said = [
        subprocess.run([p, "-I", "-c", code], capture_output=True, text=True, check=True).stdout.split()
        for p in (tflite_python, litert_python)
    ]
    assert said == [["True", "False"], ["False", "True"]]


def test_without_network_the_error_has_pips_last_lines_and_nothing_stays(own_cache: Path, offline: None):
    with pytest.raises(MissingPartError) as caught:
        ensure_runtime_env(TFLITE)
    assert "pip could not install tflite-runtime==2.14.0" in str(caught.value)
    assert "No matching distribution found" in str(caught.value)
    assert [p for p in (own_cache / "envs").iterdir() if p.is_dir()] == []


def test_a_version_that_does_not_exist_is_told_with_those_that_do():
    said = (
        "ERROR: Could not find a version that satisfies the requirement tflite-runtime==99 (from versions: "
        "2.11.0, 2.12.0, 2.14.0)\nERROR: No matching distribution found for tflite-runtime==99"
    )
    error = no_such_version(said)
    assert error.what == "the package index has no tflite-runtime 99 for the Python that it would run with"
    assert error.hint == "it has 2.11.0, 2.12.0, 2.14.0"
    many = ", ".join(f"1.{n}" for n in range(20))
    assert no_such_version(f"satisfies the requirement x==9 (from versions: {many})").hint.endswith(
        "1.19, and 8 earlier ones"
    )
    assert no_such_version("satisfies the requirement x==9 (from versions: none)") is None
    assert no_such_version("no space left on device") is None


def test_a_half_made_environment_is_removed_before_a_new_one_is_made(own_cache: Path, no_tools: None):
    leftover = unpublished()
    with pytest.raises(MissingPartError, match="stopped here"):
        ensure_runtime_env(TFLITE)
    assert not leftover.exists()


def test_an_environment_whose_python_was_removed_does_not_count_as_present(own_cache: Path, no_tools: None):
    publish(unpublished("/nowhere/python3.11"))
    with pytest.raises(MissingPartError, match="stopped here"):
        ensure_runtime_env(TFLITE)


def test_a_published_environment_is_used_as_it_is(own_cache: Path, no_tools: None):
    folder = unpublished()
    publish(folder)
    assert ensure_runtime_env(TFLITE).path == folder


def test_a_maker_that_is_killed_leaves_nothing_that_the_next_one_uses(own_cache: Path):
    code = "from harness.envs.hostenv import ensure_runtime_env as e; e('tflite-runtime==2.14.0', progress=print)"
    maker = subprocess.Popen([sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, text=True)
    while not (own_cache / "envs").is_dir() or not list((own_cache / "envs").glob("*/pyvenv.cfg")):
        assert maker.poll() is None
        time.sleep(0.01)
    maker.kill()
    maker.wait()
    maker.stdout.close()
    half_made = next((own_cache / "envs").glob("*/pyvenv.cfg")).parent
    lines: list[str] = []
    made = ensure_runtime_env(TFLITE, progress=lines.append)
    again = ensure_runtime_env(TFLITE, progress=lines.append)
    assert (made.created, again.created) == (True, False)
    assert made.path == again.path != half_made
    assert [line for line in lines if line.startswith("making an environment for tflite-runtime==2.14.0")] == lines[:1]
    said = subprocess.run([made.python, "-I", "-c", "import tflite_runtime.interpreter"], capture_output=True)
    assert said.returncode == 0


def test_two_makers_at_once_make_one_environment(own_cache: Path, monkeypatch: pytest.MonkeyPatch):
    made: list[str] = []
    started, waiting = threading.Event(), threading.Event()

    def make(package: str, interpreter, say):
        made.append(package)
        started.set()
        assert waiting.wait(30), "the second maker never waited"
        publish(unpublished())
        return hostenv._existing(package)

    monkeypatch.setattr(hostenv, "_make", make)
    first = threading.Thread(target=ensure_runtime_env, args=(TFLITE,))
    first.start()
    assert started.wait(30)
    second = ensure_runtime_env(TFLITE, progress=lambda line: waiting.set() if line.startswith("waiting") else None)
    first.join()
    assert made == [TFLITE]
    assert second.created is False


def test_a_python_without_a_wheel_makes_the_device_unavailable_with_the_reason(
    own_cache: Path, unsuitable_python: Path
):
    state = availability(packaged_profile("host-tflite"))
    assert not state.ok
    assert "tflite-runtime==2.14.0 has wheels for Python 3.9 to 3.11 only; this is Python 3.13" in str(state.reason)


def test_a_command_on_path_that_does_not_start_is_passed_over(own_cache: Path, unsuitable_python: Path):
    script(unsuitable_python / "python3.11", "echo 'pyenv: python3.11: command not found' >&2; exit 127")
    script(unsuitable_python / "python3.10", "echo '(3, 12)'")  # starts, but is another Python than its name says
    assert "on PATH starts" in str(env_unavailable_reason(TFLITE))
    good = script(unsuitable_python / "python3.9", "echo '(3, 9)'")
    assert env_unavailable_reason(TFLITE) is None
    assert hostenv._find_interpreter(TFLITE).path == str(good)


def test_a_machine_without_wheels_is_named(own_cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert "wheels for Linux on x86_64 and aarch64 only, this is linux on riscv64" in str(
        env_unavailable_reason(TFLITE)
    )


@pytest.mark.parametrize(
    "package", ["tflite-runtime", "tflite-runtime>=2", "tflite-runtime==2.14.0; x", "-r x==1", "x y==1"]
)
def test_what_is_no_pinned_runtime_is_refused(package: str):
    with pytest.raises(UserInputError, match="not a pinned runtime"):
        parse_package(package)


def test_an_unknown_runtime_gets_the_nearest_names():
    with pytest.raises(UserInputError, match="unknown runtime package 'tflite-runtme'.*tflite-runtime"):
        parse_package("tflite-runtme==2.14.0")


def test_a_cache_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(blocked))
    with pytest.raises(UserInputError, match="point HARNESS_CACHE_DIR"):
        ensure_runtime_env(TFLITE)


def test_old_litert_gets_the_numpy_it_was_compiled_against():
    assert hostenv._requirements("ai-edge-litert==1.0.1") == ["ai-edge-litert==1.0.1", "numpy==1.26.4"]
    assert hostenv._requirements("ai-edge-litert==1.2.0") == ["ai-edge-litert==1.2.0", "numpy==2.2.6"]
    assert hostenv._requirements("tflite-runtime==2.14.0") == ["tflite-runtime==2.14.0", "numpy==1.26.4"]
