"""A model with two inputs from `init` to what ships: the model says how it wants each of them."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import numpy as np
import pytest

from harness.init.create import create_project
from harness.project.project import FILE_NAME
from tests.support.small_nets import Net

COUNT = 600


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    """A working folder with a model of two inputs, and samples of which one input's are 255 times what the model takes."""
    monkeypatch.setenv("HARNESS_CONFIG_DIR", str(tmp_path / "config"))
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)
    rng = np.random.default_rng(1)
    weights = [rng.normal(scale=scale, size=(3, 4)).astype(np.float32) for scale in (6.0, 1.0)]
    net = Net((4,), (4,))
    first, second = (net.dense(source, 3, weights=w) for source, w in zip(net.inputs, weights, strict=True))
    (place / "two.tflite").write_bytes(net.model(net.softmax(net.add(first, second))))
    pixels, facts = rng.random((COUNT, 4), np.float32), rng.standard_normal((COUNT, 4), np.float32)
    scores = pixels @ weights[0].T + facts @ weights[1].T
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(3, p=row / row.sum()) for row in chances.astype(np.float64)])
    np.savez(place / "s.npz", input_0_0=pixels * 255, input_1_1=facts, y=labels)
    return place


def test_the_model_says_how_it_wants_each_input(folder):
    create_project("two.tflite", "s.npz")
    text = (folder / FILE_NAME).read_text()
    found = tomllib.loads(text)
    assert found["preprocessing"]["inputs"]["input_0_0"]["scale"] == pytest.approx(1 / 255)
    assert found["preprocessing"]["inputs"]["input_1_1"] == {"scale": 1.0, "offset": 0.0}
    words = " ".join(text.replace("#", " ").split())
    assert "2 inputs: input_0_0 (4 of float32), input_1_1 (4 of float32)" in words
    assert "input 'input_0_0': the samples' values lie in" in words and "divided by 255" in words


def test_from_init_to_what_ships(folder, harness_cli, litert_python, runtime_cache, monkeypatch):
    monkeypatch.setenv("HARNESS_RESULTS_DIR", str(folder / "results"))
    for arguments in (
        ("init", "two.tflite", "--data", "s.npz", "--no-ask"),
        ("run", "--device", "host-litert", "--backend", "cpu", "--budget", "2s"),
        ("export", "two/as-is/host-litert/cpu", "ship"),
    ):
        done = harness_cli(*arguments)
        assert done.code == 0, done.out + done.err
    readme = (folder / "ship" / "README.md").read_text()
    assert [f'details()[{n}]["index"], input_{n}_{n})' in readme for n in (0, 1)] == [True, True]
    code = f"import sys; sys.path.insert(0, {str(folder / 'ship')!r}); import selftest; sys.exit(selftest.main())"
    tested = subprocess.run([litert_python, "-I", "-c", code], capture_output=True, text=True, cwd="/", check=False)
    assert tested.returncode == 0 and tested.stdout.splitlines()[-1] == "PASS", tested.stdout + tested.stderr
