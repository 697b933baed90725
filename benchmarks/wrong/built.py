"""The published workloads in several recipes, built by the harness itself (TensorFlow; minutes the first time, then cached)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.wrong.subject import Subject, stored_samples
from harness.variants.build.build import BuildRequest, build_artifacts
from harness.variants.recipe import parse_recipe
from harness.workloads.base import stratified_order
from harness.workloads.datasets import DataSource
from harness.workloads.registry import get_workload

WORKLOADS = ("mnist-cnn", "cifar-conv", "sensor-cnn")
RECIPES = ("ptq-int8-io", "ptq-int8-pt-io", "ptq-uint8-io", "ptq-int8", "ptq-int16x8", "qat-int8-io", "ptq-default")


def built_subjects(*, samples: int) -> Iterator[Subject]:
    """Every workload in every recipe that the converter makes of it, on the bundled digits."""
    for name in WORKLOADS:
        workload = get_workload(name)
        requests = [
            BuildRequest(workload=workload, recipe=parse_recipe(recipe), source=DataSource(), seed=0)
            for recipe in RECIPES
        ]
        dataset = workload.load_dataset(DataSource())
        order = stratified_order(dataset.y_test, len(dataset.x_test))[:samples]
        for recipe, artifact in zip(RECIPES, build_artifacts(requests), strict=True):
            if artifact.path is None:
                continue
            model = artifact.path.read_bytes()
            yield Subject(
                name=f"{name} {recipe}",
                model=model,
                feeds=[stored_samples(model, np.asarray(dataset.x_test[order]))],
                task=workload.task,
                repeats=recipe in ("ptq-int8", "ptq-uint8-io"),
            )
