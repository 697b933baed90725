"""An exported folder for a board with Linux: its self-test runs with nothing but numpy and the runtime."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.core.files import sha256_bytes
from tests.support import tiny_model


@pytest.fixture
def model(tmp_path: Path, runtime_cache: Path, monkeypatch) -> Path:
    monkeypatch.setenv("HARNESS_RESULTS_DIR", str(tmp_path / "results"))
    path = tmp_path / "dense.tflite"
    path.write_bytes(tiny_model.int8_dense())
    return path


def selftest(python: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """As on a board: the interpreter of the runtime's own environment, from another folder, nothing of the harness."""
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); import selftest; sys.exit(selftest.main())"
    return subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, cwd="/")


def test_a_model_is_measured_exported_and_tests_itself(model: Path, harness_cli, tmp_path: Path, litert_python: str):
    folder = tmp_path / "ship"
    export = ("export", model, folder, "--device", "host-litert", "--backend", "cpu")
    done = harness_cli(*export)
    assert done.code == 0, done.err
    assert f"wrote {folder}: README.md says how to use it" in done.out
    assert (folder / "model.tflite").read_bytes() == model.read_bytes()
    manifest = json.loads((folder / "export.json").read_text())
    assert manifest["outcome"] == "ok" and manifest["package"] == "ai-edge-litert==2.3.0"
    readme = (folder / "README.md").read_text()
    assert sha256_bytes(model.read_bytes()) in readme and "pip install ai-edge-litert==2.3.0" in readme
    assert len((folder / "load.py").read_text().splitlines()) < 45
    vermin = Path(sys.executable).parent / "vermin"
    board_python = [str(vermin), "--no-tips", "--violations", "-t=3.8-", str(folder)]
    assert subprocess.run(board_python, capture_output=True).returncode == 0
    tested = selftest(litert_python, folder)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert tested.stdout.splitlines() == [f"ok  : sample {n}, output 0: the same bits" for n in range(4)] + ["PASS"]
    # Other outputs than were measured, then another file.
    samples = dict(np.load(folder / "samples.npz"))
    samples["output_0"][2] += 9
    np.savez(folder / "samples.npz", **samples)
    tested = selftest(litert_python, folder)
    assert tested.returncode == 1 and "FAIL: sample 2, output 0: at most " in tested.stdout
    (folder / "model.tflite").write_bytes(model.read_bytes() + b"\0")
    tested = selftest(litert_python, folder)
    assert (tested.returncode, tested.stdout) == (1, "FAIL: model.tflite is not the file that was measured\n")
    # It is there already; with --force it is made anew, of the stored cell: nothing is measured again.
    again = harness_cli(*export)
    assert again.code == 1 and "is there already" in again.err and "--force" in again.err
    again = harness_cli(*export, "--force")
    assert again.code == 0 and "tables:" not in again.out + again.err
    assert (folder / "model.tflite").read_bytes() == model.read_bytes()
    # By the cell's name, without samples; the folder holds something of the user's.
    cell = manifest["cell"]
    done = harness_cli("export", cell, tmp_path / "bare", "--samples", "0")
    assert done.code == 0 and not (tmp_path / "bare" / "selftest.py").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    done = harness_cli("export", cell, tmp_path / "mine", "--force")
    assert done.code == 1 and "holds something else than an export" in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("{model}", "{tmp}/x"), "which device was it measured on?"),
        (("{model}", "{tmp}/x", "--device", "imx8mp"), "has several backends"),
        (("{model}", "{tmp}/none/x", "--device", "host-litert"), "there is no folder"),
        (("{model}", "{model}", "--device", "host-litert"), "is there and is no folder"),
        (("{tmp}/none.tflite", "{tmp}/x", "--device", "host-litert"), "No such file"),
        (("w/r/d/b", "{tmp}/x"), "there is no results store here"),
        (("w/r/d/b", "{tmp}/x", "--device", "host-litert"), "a cell's name has it already"),
        (("{model}", "{tmp}/x", "--device", "host-litert", "--run", "latest"), "name the cell instead"),
    ],
)
def test_what_cannot_be_exported_is_told(arguments, words, model: Path, harness_cli, tmp_path: Path):
    done = harness_cli("export", *(a.format(model=model, tmp=tmp_path) for a in arguments))
    assert done.code == 1 and words in done.err, done.err
    assert not (tmp_path / "x").exists()
