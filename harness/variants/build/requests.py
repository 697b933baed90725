"""The matrix of a build: workloads x recipes x seeds, as `harness build` and the Python API ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.variants.build.tasks import BuildRequest
from harness.variants.recipe import select_recipes
from harness.workloads.datasets import DataSource
from harness.workloads.registry import get_workload, usual_workload_names


def make_requests(
    names: Sequence[str],
    recipes: Sequence[str],
    seeds: Sequence[int],
    data_dir: str | None,
    data: str | None,
    metric: str | None = None,
) -> list[BuildRequest]:
    """The matrix in table order.

    Args:
        names: workloads or model files; none: the published three.
        recipes: names, globs, `core` or `all`.
        data, metric: of model files of the user's own.

    Raises:
        UserInputError: unknown workload or recipe, missing file or folder.
    """
    chosen = select_recipes(recipes)
    source = DataSource.default(data_dir)
    samples = Path(data) if data else None
    workloads = [get_workload(name, data=samples, metric=metric) for name in names or usual_workload_names()]
    return [
        BuildRequest(workload=workload, recipe=recipe, source=source, seed=seed)
        for workload in workloads
        for recipe in (chosen if workload.build_model else chosen[:1])
        for seed in (seeds if workload.build_model else [0])
    ]
