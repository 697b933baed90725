"""Cells through the runner, the judge and the store, on a board of the test's own: no model is built and none is run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from harness.boards.base import Board
from harness.boards.profile.model import ConnectProfile
from harness.boards.resolve import packaged_profile
from harness.core.tensor import TensorIo
from harness.judge.stored import finisher
from harness.prepare.prepared import InputFile, PreparedModel, ReferenceOutputs
from harness.results.objects import ObjectStore
from harness.results.record import CellKey, CellRecord, RunInfo
from harness.results.store import Store
from harness.run import device as device_module
from harness.run.execute import execute
from harness.run.jobs import DeviceJob, Execution, PlannedCell
from harness.variants.artifact import Artifact
from harness.workloads.metrics.registry import get_metric
from tests.support.judged import assert_judged_the_same

LABELS = np.arange(300) % 10
OUTPUTS = np.eye(10, dtype=np.float32)[LABELS]
IO = TensorIo(name="out", dtype="float32", shape=(1, 10))


def model(tmp_path, *, recipe="ptq-float32", refused=None, reference=OUTPUTS):
    file = tmp_path / "model.tflite"
    file.write_bytes(b"model")
    artifact = Artifact(
        key="k",
        workload="w",
        recipe=recipe,
        seed=0,
        path=None if refused else file,
        refused=refused,
        sha256="0" * 64,
        size_bytes=5,
        inputs=(IO,),
        outputs=(IO,),
    )
    return PreparedModel(
        workload="w",
        metric=get_metric("top1"),
        recipe=recipe,
        seed=0,
        artifact=artifact,
        dataset_name="d",
        dataset_note="made for this test",
        dataset_digest="d" * 64,
        inputs=() if refused else (InputFile(path=file, sha256="1" * 64, count=300),),
        sample_ids=np.arange(300),
        labels=LABELS,
        lsb=(None,),
        node_count=3,
        reference=ReferenceOutputs(identity="oracle 1.0", outputs=(reference[:256],)),
        float_answers=LABELS,
    )


def run_cells(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    board: Board,
    models: Sequence[PreparedModel],
    *,
    samples: int | None = None,
    first_s: float = 0.0,
    again_s: float = 60.0,
) -> list[CellRecord]:
    """The stored records of the models on the board, in order; the device is host-litert with one backend.

    Args:
        folder: the results land in its folder `results`.
        first_s, again_s: how long the board may take to be there, and to be there again.
    """
    profile = packaged_profile("host-litert")
    patient = profile.model_copy(update={"connect": ConnectProfile(first_s=first_s, again_s=again_s)})
    monkeypatch.setattr(device_module, "_PAUSE_S", 0.0)
    monkeypatch.setattr(device_module, "connect", lambda profile, progress: board)
    keys = [
        CellKey(
            workload=m.workload,
            recipe=m.recipe,
            device="host-litert",
            backend="cpu",
            dataset=m.dataset_digest,
            seed=0,
        )
        for m in models
    ]
    with Store.open(folder / "results") as store:
        store.begin_run(RunInfo(run="r1", started_utc="2026-01-01T00:00:00+00:00", command=["test"], planned=keys))
        execution = Execution(run="r1", store=store, finish=finisher(ObjectStore(folder / "results")))
        cells = tuple(PlannedCell(key=k, model=m) for k, m in zip(keys, models, strict=True))
        execute([DeviceJob(profile=patient, device="host-litert", cells=cells, samples=samples)], execution)
        assert_judged_the_same(store, "r1")
        by_key = {r.key: r for r in store.cells(run="r1")}
    return [by_key[k] for k in keys]
