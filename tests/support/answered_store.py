"""A results folder with one run judged from raw facts, the files of its models with it: two devices, four recipes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from harness.judge.stored import finisher
from harness.results.objects import ObjectStore
from harness.results.record import CellKey, CellRecord, RunInfo
from harness.results.store import Store
from tests.judge.facts import context, measured, model
from tests.support.answered import labels_of, wrong_at

RUN = "20261121-093000-c0de"
LABELS = labels_of(400)
#: recipe -> how many of 400 it errs on, nanoseconds, bytes of its file
RECIPES = {
    "ptq-float32": (16, 21_000, 8_000),
    "ptq-int8-io": (17, 10_000, 2_000),
    "ft-int8-io": (12, 10_000, 2_000),
    "qat-int8-io": (11, 10_000, 2_010),
}


def model_file(recipe: str) -> bytes:
    """The bytes of a recipe's .tflite."""
    return hashlib.sha256(recipe.encode()).digest() * (RECIPES[recipe][2] // 32) + bytes(RECIPES[recipe][2] % 32)


def answered_store(results: Path, files: Path, devices: tuple[str, ...] = ("board", "other")) -> list[CellRecord]:
    """Fills a results folder and returns its records; nothing is exported yet."""
    objects = ObjectStore(results)
    records = []
    for device in devices:
        for recipe, (errors, ns, _) in RECIPES.items():
            data = model_file(recipe)
            path = files / f"{recipe}.tflite"
            path.write_bytes(data)
            base = model(recipe=recipe)
            prepared = replace(
                base,
                artifact=replace(
                    base.artifact,
                    path=path,
                    sha256=hashlib.sha256(data).hexdigest(),
                    size_bytes=len(data),
                    recipe=recipe,
                ),
                labels=LABELS,
                float_answers=wrong_at(LABELS, range(16)),
                sample_ids=np.arange(len(LABELS)),
                reference=None,
            )
            outputs = np.eye(10, dtype=np.float32)[wrong_at(LABELS, range(errors))]
            measurement = measured(outputs)
            measurement.bench = replace(measurement.bench, samples_ns=np.arange(ns - 50, ns + 50, dtype=np.int64))
            key = CellKey(workload="w", recipe=recipe, device=device, backend="cpu", dataset="d" * 64, seed=0)
            records.append(finisher(objects)(measurement, prepared, context(key=key, run=RUN)))
    with Store.open(results) as store:
        info = RunInfo(
            run=RUN,
            started_utc="2026-11-21T09:30:00+00:00",
            command=["harness", "run"],
            planned=[r.key for r in records],
        )
        store.begin_run(info)
        for record in records:
            store.add_cell(record)
        store.finish_run(RUN, "finished")
    return records
