"""Metrics by name: of the harness, of other packages, of workloads; a broken package costs its own name only."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.core.errors import UserInputError
from harness.workloads.base import Schedule, Workload
from harness.workloads.metrics import registry
from harness.workloads.metrics.registry import described, get_metric, metric_names, restored

GOOD = """
from dataclasses import dataclass
from typing import ClassVar
from harness.workloads.metrics.mean_absolute_error import MeanAbsoluteError

@dataclass(frozen=True, kw_only=True)
class Median(MeanAbsoluteError):
    name: ClassVar[str] = "median_error"
    title: ClassVar[str] = "median error"
    cap: float = 1.0

METRIC = Median(unit="m")
"""


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch):
    """Installs packages that bring metrics: plugins({"name": ("module:attribute", source)})."""

    def install(metrics: dict[str, tuple[str, str]]) -> None:
        for number, (name, (value, source)) in enumerate(metrics.items()):
            module = value.partition(":")[0]
            (tmp_path / f"{module}.py").write_text(source)
            folder = tmp_path / f"package_{number}-1.0.dist-info"
            folder.mkdir()
            (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: package-{number}\nVersion: 1.0\n")
            (folder / "entry_points.txt").write_text(f"[harness.metrics]\n{name.strip('+')} = {value}\n")
        monkeypatch.syspath_prepend(str(tmp_path))

    return install


def test_every_metric_of_the_harness_is_found_under_its_own_name():
    assert {"binary", "f1", "f1_positive", "mean_absolute_error", "top1"} <= set(metric_names())
    for name in metric_names():
        metric = get_metric(name)
        assert metric.name == name and metric.title and metric.direction in ("higher", "lower")


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(UserInputError, match="unknown metric 'top_1'.*did you mean top1"):
        get_metric("top_1")


def test_settings_are_those_that_the_metric_has():
    assert get_metric("mean_absolute_error", unit="years").unit == "years"
    with pytest.raises(UserInputError, match="unknown setting of the metric top1 'k'"):
        get_metric("top1", k=5)


def test_a_package_brings_its_metric_with_settings_of_its_own(plugins):
    plugins({"median_error": ("median_package:METRIC", GOOD)})
    assert "median_error" in metric_names()
    metric = get_metric("median_error", cap=2.0)
    assert (metric.unit, metric.cap, metric.title) == ("m", 2.0, "median error")
    assert restored(described(metric), "any") == metric


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_library", "cannot be loaded.*ModuleNotFoundError.*repair or uninstall"),
        ("raise RuntimeError('boom')", "cannot be loaded.*RuntimeError: boom"),
        ("METRIC = 3", "expected a harness Metric called 'broken', found int"),
        (GOOD, "expected a harness Metric called 'broken', found the metric 'median_error'"),
        ("", "cannot be loaded.*AttributeError"),
    ],
)
def test_a_broken_package_costs_its_own_name_only(plugins, source, message):
    plugins({"broken": ("broken_package:METRIC", source), "median_error": ("median_package:METRIC", GOOD)})
    assert {"broken", "median_error", "top1"} <= set(metric_names())
    assert get_metric("median_error").unit == "m" and get_metric("f1").name == "f1"
    with pytest.raises(UserInputError, match=message):
        get_metric("broken")
    sys.modules.pop("broken_package", None)


def test_a_name_that_two_packages_bring_is_refused_with_both(plugins):
    plugins({"median_error": ("median_package:METRIC", GOOD), "median_error+": ("other_package:METRIC", GOOD)})
    with pytest.raises(UserInputError, match="taken by median_package:METRIC and other_package:METRIC"):
        get_metric("median_error")


def test_a_package_cannot_take_the_name_of_a_metric_of_the_harness(plugins):
    plugins({"top1": ("thief_package:METRIC", "raise RuntimeError('never imported')")})
    assert get_metric("top1").title == "accuracy"


def test_a_metric_that_a_workloads_file_brings_is_found_by_the_workload(plugins, tmp_path, monkeypatch):
    (tmp_path / "median_package.py").write_text(GOOD)
    monkeypatch.syspath_prepend(str(tmp_path))
    from median_package import METRIC  # type: ignore[import-not-found]

    workload = Workload(
        name="w",
        title="w",
        metric=METRIC,
        load_dataset=lambda source: None,
        dataset_digest=lambda source: "",
        build_model=None,
        schedule=Schedule(epochs=0, batch_size=1, learning_rate=0.1),
    )
    monkeypatch.setattr(registry, "_of_workload", lambda name: workload.metric if name == "w" else None)
    assert restored(described(METRIC), "w") == METRIC
    with pytest.raises(UserInputError, match="metric 'median_error' of workload 'other' is not known here"):
        restored(described(METRIC), "other")


def test_a_task_is_short_for_its_metric():
    def workload(**given):
        return Workload(
            name="w",
            title="w",
            load_dataset=lambda source: None,
            dataset_digest=lambda source: "",
            build_model=None,
            schedule=Schedule(epochs=0, batch_size=1, learning_rate=0.1),
            **given,
        )

    assert workload(task="multiclass").metric == get_metric("top1")
    assert workload(task="binary").metric == get_metric("binary")
    assert workload(task="none").metric is None is workload().metric
    assert (workload().task, workload(metric=get_metric("binary")).task) == ("none", "binary")
    assert workload(metric=get_metric("f1")).task is None
    with pytest.raises(ValueError, match="task 'none' and metric 'top1' contradict each other"):
        replace(workload(task="multiclass"), task="none")


def test_asking_for_names_imports_no_metric():
    code = (
        "import sys; from harness.workloads.metrics.registry import metric_names; metric_names(); "
        "print(sorted(m for m in sys.modules if m.startswith(('scipy', 'harness.workloads.metrics.'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['harness.workloads.metrics.base', 'harness.workloads.metrics.registry']"
