"""The guide's files work as they stand there: a regression from one file through training, quantization and a device."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.results.store import Store
from tests.support.places import ROOT

GUIDE = (ROOT / "docs" / "guides" / "adding-a-workload.md").read_text(encoding="utf-8")
RECIPES = ("ptq-float32", "ptq-int8-io", "qat-int8")


def documented(word: str) -> str:
    """The guide's Python block that holds a word."""
    [block] = [b for b in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL) if word in b]
    return block


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder with the guide's workload and metric, installed by nothing but its entry points."""
    (tmp_path / "thermometer.py").write_text(documented('name="thermometer"'))
    (tmp_path / "within.py").write_text(documented("class Within"))
    (tmp_path / "thermo-1.0.dist-info").mkdir()
    (tmp_path / "thermo-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: thermo\nVersion: 1.0\n")
    (tmp_path / "thermo-1.0.dist-info" / "entry_points.txt").write_text(
        "[harness.workloads]\nthermometer = thermometer:WORKLOAD\n[harness.metrics]\nwithin = within:METRIC\n"
    )
    return tmp_path


def harness(package: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=500,
        cwd=package,
        env={**os.environ, "PYTHONPATH": str(package), "COLUMNS": "160"},
    )


@pytest.mark.slow
def test_a_regression_of_one_file_is_trained_quantized_measured_and_shown(package):
    recipes = [option for name in RECIPES for option in ("--recipe", name)]
    where = ("--device", "host-litert", "--backend", "cpu", "--results", "results")
    done = harness(package, "run", "--workload", "thermometer", *recipes, *where, "--samples", "400")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Score: mean absolute error (K, lower is better)" in done.stdout
    assert re.search(r"ok +\d\.\d+ K \[\d\.\d+,\d\.\d+\]\s+n=400", done.stdout), done.stdout
    assert re.search(r"ship \S+ on cpu: .* K (better|worse)", done.stdout) and "accuracy" not in done.stdout
    with Store.open(package / "results", create=False) as store:
        cells = {record.key.recipe: record for record in store.cells()}
    assert {record.outcome for record in cells.values()} == {"ok"}
    for record in cells.values():
        assert (record.metric, record.metric_unit, record.metric_direction) == ("mean_absolute_error", "K", "lower")
        assert record.score_low < record.score < record.score_high and record.accuracy is None
        assert record.score < 0.4, "the mean distance of the labels from their mean is about 0.8 K"
        assert record.agreement is None and record.reference is not None
    assert cells["ptq-float32"].score_delta == pytest.approx(0, abs=1e-5)
    assert cells["ptq-int8-io"].score_delta != 0 and 0 < cells["ptq-int8-io"].score_p <= 1
    again = harness(package, "judge", "--results", "results")
    assert (again.returncode, again.stdout) == (0, ""), again.stdout + again.stderr
    packed = harness(package, "build", "thermometer", "--recipe", "ptq-int8-io", "--bundle", "lab")
    assert packed.returncode == 0, packed.stderr
    index = json.loads((package / "lab" / "bundle.json").read_text())
    assert index["models"][0]["metric"] == {"name": "mean_absolute_error", "settings": {"unit": "K"}}
    lab = harness(package, "run", "--bundle", "lab", *where[:4], "--results", "lab-results", "--json", "lab.json")
    assert lab.returncode == 0, lab.stderr
    [cell] = json.loads((package / "lab.json").read_text())["cells"]
    assert cell["score"] == pytest.approx(cells["ptq-int8-io"].score) and cell["score_delta"] is not None


def test_the_guides_metric_is_a_whole_one(package, monkeypatch):
    from harness.workloads.metrics.registry import described, get_metric, restored

    monkeypatch.syspath_prepend(str(package))
    metric = get_metric("within", margin=0.5)
    labels = np.zeros((4, 1), np.float32)
    answers = np.array([[0.1], [0.5], [0.6], [-2.0]], np.float32)
    assert metric.score(answers, labels).value == 0.5
    paired = metric.paired(answers, labels, labels)
    assert (paired.delta, paired.only_baseline_right) == (-0.5, 2)
    assert restored(described(metric), "any") == metric
    assert metric.agreement(answers, answers) is None and metric.strata(labels) is None
