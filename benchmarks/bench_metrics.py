"""Every kind of metric through `harness run` on this machine: float and int8, with the figures that another library gives.

    python benchmarks/bench_metrics.py [--only NAME] [--recipe NAME ...] [--keep FOLDER]

Models and data are made here (benchmarks/metrics/train.py: needs TensorFlow). Each is quantized and run, and each cell's score is
computed again by scikit-learn or pycocotools from the outputs that were stored. Exit status 1 when a score differs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from sklearn import metrics as theirs

from harness.measure.scoring import real_values
from harness.results.objects import ObjectStore
from harness.results.record import CellRecord
from harness.results.store import Store
from harness.workloads.metrics.registry import restored
from tests.support.detector_models import detector, scenes

Check = Callable[[list[np.ndarray], np.ndarray], float]
"""Outputs as real numbers and labels as stored -> the score."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model with what it is judged by.

    Attributes:
        metric: as `--metric`; empty for what labels and outputs ask for.
        check: of each judged output, the main one first, the score by another library; of detectors from what was decoded.
        finished: a .tflite of each name in the place of recipes.
        workload: it is a workload in Python, which states the decoder of its raw heads.
    """

    metric: tuple[str, ...] = ()
    check: dict[int, Check]
    finished: tuple[str, ...] = ()
    workload: bool = False


def _yes(values: np.ndarray) -> np.ndarray:
    return (values.reshape(len(values), -1) >= 0.5).astype(int)


def _jaccard(outputs: list[np.ndarray], labels: np.ndarray) -> float:
    kept = labels.ravel() >= 0
    answers = outputs[0].argmax(axis=-1).ravel()[kept]
    return float(theirs.jaccard_score(labels.ravel()[kept], answers, average="macro"))


def _anomaly(outputs: list[np.ndarray], labels: np.ndarray) -> float:
    errors = ((outputs[0].reshape(len(labels), -1) - labels[:, 1:]) ** 2).mean(axis=1)
    return float(theirs.roc_auc_score(labels[:, 0], errors))


def _boxes(outputs: list[np.ndarray], labels: np.ndarray) -> float:
    from tests.workloads.metrics.test_detection import theirs as coco

    return coco(outputs[0], labels, np.linspace(0.5, 0.95, 10))


def _top_3(outputs: list[np.ndarray], labels: np.ndarray) -> float:
    # scikit-learn takes the last of equal scores, this project the first; int8 scores have many that are equal.
    values = outputs[0].reshape(len(labels), -1) - 1e-9 * np.arange(10)
    return float(theirs.top_k_accuracy_score(labels, values, k=3, labels=np.arange(10)))


CASES = {
    "classes": Case(metric=("top-3",), check={0: _top_3}),
    "several_labels": Case(check={0: lambda o, y: float(theirs.f1_score(y, _yes(o[0]), average="macro"))}),
    "regression": Case(
        metric=("rmse(unit=px)",),
        check={0: lambda o, y: float(theirs.root_mean_squared_error(y.ravel(), o[0].ravel()))},
    ),
    "two_classes": Case(metric=("auc",), check={0: lambda o, y: float(theirs.roc_auc_score(y, o[0].ravel()))}),
    "autoencoder": Case(check={0: _anomaly}),
    "segmentation": Case(check={0: _jaccard}),
    "two_outputs": Case(
        metric=("ink=r2",),
        check={
            0: lambda o, y: float((o[0].reshape(len(y), -1).argmax(axis=1) == y).mean()),
            1: lambda o, y: float(theirs.r2_score(y, o[1].reshape(len(y), -1))),
        },
    ),
    "raw_detector": Case(check={0: _boxes}, workload=True),
    "post_process": Case(check={0: _boxes}, finished=("detector_float", "detector_int8")),
}  # fmt: skip


def run(folder: Path, name: str, case: Case, recipes: list[str]) -> list[CellRecord]:
    """The cells of a case, from `harness run` or `harness measure`."""
    results = folder / f"results-{name}"
    options = ["--device", "host-litert", "--backend", "cpu", "--results", str(results), "--samples", "all"]
    for metric in case.metric:
        options += ["--metric", metric]
    harness = [sys.executable, "-m", "harness.cli.main"]
    model = [str(folder / f"{name}.h5"), "--data", str(folder / f"{name}.npz")]
    commands = [
        [*harness, "run", "--workload", *([name.replace("_", "-")] if case.workload else model), *options]
        + [word for recipe in recipes for word in ("--recipe", recipe)]
    ]
    if case.finished:
        commands = [
            [*harness, "measure", str(folder / f"{one}.tflite"), "--data", str(folder / f"{name}.npz"), *options]
            for one in case.finished
        ]
    for command in commands:
        place = {**os.environ, "PYTHONPATH": str(folder), "BENCH_METRICS": str(folder)}
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=place)
        if done.returncode:
            print(done.stdout[-3000:], done.stderr[-3000:], file=sys.stderr)
    with Store.open(results) as store:
        return store.cells()


def checked(record: CellRecord, objects: ObjectStore, case: Case) -> list[tuple[str, dict, float]]:
    """Each judged output's name and score, with what another library makes of the stored outputs."""
    from harness.core.plain import from_plain
    from harness.core.tensor import TensorIo

    tensors = objects.get_json(str(record.tensors_object))
    stored, labels = objects.get_arrays(str(record.outputs_object)), objects.get_arrays(str(record.labels_object))
    io = [from_plain(TensorIo, one, {}) for one in tensors["artifact"]["outputs"]]
    outputs = [real_values(stored[f"output_{place}"], one) for place, one in enumerate(io)]
    names = [("array", record.score_output or "", vars(record))]
    if record.output_scores:
        names = [
            (f"further_{number - 1}" if number else "array", one["output"], one)
            for number, one in enumerate(record.output_scores)
        ]
    metric = restored(tensors["metric"], tensors["workload"])
    if metric is not None and metric.all_outputs:
        outputs = [metric.answers_of(outputs)]
    else:
        # In the order in which they are judged, which is the model's; a converter orders them otherwise.
        outputs = [outputs[one["output"]] for one in (tensors, *tensors["further"])]
    return [(name, one, case.check[number](outputs, labels[array])) for number, (array, name, one) in enumerate(names)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=CASES)
    parser.add_argument("--recipe", action="append")
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        if not (folder / "two_outputs.npz").exists():
            subprocess.run(
                [sys.executable, str(Path(__file__).parent / "metrics" / "train.py"), str(folder)], check=True
            )
        write_package(folder)
        images, boxes = scenes(300)
        np.savez(folder / "post_process.npz", x_test=images, y_test=boxes)
        for int8 in (False, True):
            (folder / f"detector_{'int8' if int8 else 'float'}.tflite").write_bytes(detector(int8=int8))
        wrong = 0
        for name in options.only or CASES:
            wrong += report(folder, name, options.recipe or ["ptq-float32", "ptq-int8-io"])
    return min(wrong, 1)


def write_package(folder: Path) -> None:
    """A package that brings the workload `raw-detector`, as a user would write it."""
    source = Path(__file__).parent / "metrics" / "raw_detector.py"
    (folder / "raw_detector_workload.py").write_text(source.read_text())
    info = folder / "raw_detector-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: raw-detector\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[harness.workloads]\nraw-detector = raw_detector_workload:WORKLOAD\n")


def report(folder: Path, name: str, recipes: list[str]) -> int:
    """Prints a case's cells; how many scores are not another library's."""
    case, wrong = CASES[name], 0
    for record in run(folder, name, case, recipes):
        head = f"{name:<15} {record.key.workload:<15} {record.key.recipe:<14} {record.outcome:<10}"
        if record.score is None:
            print(head, record.reason)
            wrong += 1
            continue
        for output, one, expected in checked(record, ObjectStore(folder / f"results-{name}"), case):
            same = abs(one["score"] - expected) < 1e-5
            wrong += not same
            delta, p = one["score_delta"], one["score_p"]
            paired = "" if delta is None else f" to float {delta:+.4f} p = {p:.3g} ({one['score_test']})"
            interval = f"[{one['score_low']:.4f}, {one['score_high']:.4f}]"
            print(f"{head} {output:<6} {one['metric_title']} {one['score']:.4f} {interval} n={record.samples}{paired}"
                  f" {'=' if same else 'NOT'} {expected:.4f}")  # fmt: skip
        for code in sorted({finding.code for finding in record.findings if finding.severity != "info"}):
            print(f"{'':<15} finding {code}")
    return wrong


if __name__ == "__main__":
    os.environ.setdefault("HARNESS_CACHE_DIR", str(Path(tempfile.gettempdir()) / "bench-metrics-cache"))
    sys.exit(main())
