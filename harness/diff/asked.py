"""The two models that are asked for, by what a person calls them, and their scores."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from harness.core.errors import UserInputError
from harness.diff.score import ScoreDiff, run_score, stored_score
from harness.diff.side import Side, file_side, stored_side
from harness.results.layout import store_path
from harness.results.objects import open_objects
from harness.results.place import place_of
from harness.results.store import Store
from harness.workloads.finished import names_file


def find_sides(
    names: tuple[str, str],
    home: Path,
    *,
    run: str | None = None,
    workload: str | None = None,
    device: str | None = None,
    warn: Callable[[str], None] = lambda text: None,
) -> tuple[Side, Side]:
    """Both sides: .tflite files, cells, or recipes of a run.

    Args:
        home: the results folder.
        run, workload, device: see `stored_side`.
        warn: told of records that cannot be read.

    Raises:
        HarnessError: a file cannot be read; no such cell or recipe, or its model was not kept.
    """
    if all(map(names_file, names)):
        one, two = (file_side(Path(name)) for name in names)
        return one, two
    no_store = not place_of(home).shared and not store_path(home).is_file()
    for name in names:
        if no_store and Path(name).expanduser().is_dir():
            hint = "name a .tflite, or a cell or recipe of a run whose results lie in --results"
            raise UserInputError("is a folder, and there are no results to look a recipe up in", where=name, hint=hint)
    with Store.open(home, create=False) as store:
        one, two = (
            file_side(Path(name))
            if names_file(name)
            else stored_side(store, open_objects(home), name, run=run, workload=workload, device=device)
            for name in names
        )
        for text in store.damaged:
            warn(text)
    return one, two


def score_of(sides: tuple[Side, Side], home: Path, data: Path | None, metric: str | None) -> ScoreDiff | str | None:
    """Of files on the data, of two cells as they were measured; a text says why there is none.

    Raises:
        HarnessError: the data do not fit, or a model does not run on this machine.
    """
    if data is not None:
        with tempfile.TemporaryDirectory(prefix="harness-diff-") as folder:
            return run_score(*sides, data, metric, Path(folder))
    if all(side.record is not None for side in sides):
        return stored_score(*sides, open_objects(home))
    if any(side.record is not None for side in sides):
        return "one of them is a file: give samples with --data"
    return None
