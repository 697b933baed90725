"""Device profiles for tests, in folders of their own, and the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

MINIMAL = """\
name: board
title: a board
link:
  type: ssh
  host: 192.0.2.7
runtime:
  module: tflite_runtime
  python: /usr/bin/python3
backends:
  cpu:
    threads: 2
"""


@pytest.fixture
def devices_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of profiles that is searched first; no other folder of the user's is in the way."""
    for name in ("HARNESS_DEVICES", "HARNESS_IMX8MP_HOST", "HARNESS_HOST_SSH_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HARNESS_CONFIG_DIR", str(tmp_path / "harness-config"))
    folder = tmp_path / "devices"
    folder.mkdir()
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return folder


@pytest.fixture
def write_profile(devices_dir: Path) -> Callable[..., Path]:
    """Writes a profile: `write_profile("board", text)`; without text the minimal one."""

    def write(name: str = "board", text: str = MINIMAL) -> Path:
        path = devices_dir / f"{name}.yaml"
        path.write_text(text)
        return path

    return write


@dataclass(frozen=True, kw_only=True)
class CliResult:
    """How a `harness` command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def harness_cli(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., CliResult]:
    """Runs the `harness` command in this process, through its real entry point."""

    def run(*arguments: str) -> CliResult:
        from harness.cli.main import main

        monkeypatch.setattr(sys, "argv", ["harness", *(str(a) for a in arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        text = capfd.readouterr()
        return CliResult(code=int(ended.value.code or 0), out=text.out, err=text.err)

    return run


@pytest.fixture
def runtime_cache(tflite_python: str, litert_python: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder that holds the host environments, whatever a test does to HOME."""
    folder = Path(tflite_python).parents[3]
    assert Path(litert_python).is_relative_to(folder)
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(folder))
    return folder
