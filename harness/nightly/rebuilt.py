"""A recipe brought back: tonight's float model, built again by the definition that the recipe had in an earlier night."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError, UserInputError
from harness.prepare.prepared import PreparedModel, Say
from harness.results.objects import ObjectStore
from harness.results.record import CellRecord
from harness.run.options import RunOptions
from harness.run.plan import ModelRequest, prepare_requests
from harness.variants.build.keys import KeyMaker, model_digest, package_versions
from harness.variants.definition import PACKAGES, changed, recipe_of
from harness.variants.recipe import Recipe
from harness.verdict.differences import Difference
from harness.workloads.base import Workload
from harness.workloads.datasets import DataSource
from harness.workloads.given import given_workload
from harness.workloads.registry import get_workload

_SHORT, _NAMED = 12, 6


def recipe_difference(before: CellRecord, after: CellRecord, objects: ObjectStore) -> Difference | None:
    """That the recipe's definition, its schedule or the packages that built with it are others; None where they are the same,
    or where one of the two nights does not tell.
    """
    old, new = before.recipe_object, after.recipe_object
    if old is None or new is None or old == new:
        return None
    try:
        words = changed(_definition(objects, old), _definition(objects, new))
    except HarnessError as error:
        words = [f"what changed in it cannot be read any more: {error.what}"]
    more = f" and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return Difference(
        name="recipe", title="recipe", before=old[:_SHORT], after=new[:_SHORT], detail=", ".join(words[:_NAMED]) + more
    )


def rebuilt_model(
    good: CellRecord, bad: CellRecord, objects: ObjectStore, options: RunOptions, *, say: Say
) -> PreparedModel:
    """What the earlier night's definition makes of the later night's float model, with the packages that are installed here.

    Args:
        options: of the later night's run, which say where its float model and its samples are.
        say: told how the build goes.

    Raises:
        HarnessError: it cannot be brought back; says why.
    """
    assert good.recipe_object is not None
    definition = _definition(objects, good.recipe_object)
    recipe = recipe_of(definition)
    if options.bundle is not None:
        raise UserInputError("that night ran a bundle, which was built elsewhere")
    workload = _workload(bad.key.workload, options)
    _require_packages(definition, package_versions(workload, recipe))
    source = replace(DataSource.default(options.data_dir), samples=bad.samples)
    _require_float_model(workload, recipe, source, bad)
    request = ModelRequest(workload=workload, recipe=bad.key.recipe, seed=bad.key.seed)
    (model,) = prepare_requests(
        [request], source, jobs=options.jobs, say=say, deadline_s=options.deadline_s, defined={bad.key.recipe: recipe}
    )
    if model.artifact.refused is not None:
        raise UserInputError(f"the converter refuses it now: {model.artifact.refused}")
    return model


def _definition(objects: ObjectStore, sha256: str) -> Mapping[str, Any]:
    found = objects.get_json(sha256)
    if not isinstance(found, dict):
        raise UserInputError(f"object {sha256[:_SHORT]} is no definition of a recipe")
    return found


def _workload(name: str, options: RunOptions) -> Workload:
    """The workload of a cell: a registered one, or the user's own file or project that goes by its name."""
    given = given_workload(name, options.workloads)
    return get_workload(given, data=Path(options.data) if options.data else None, metric=options.metric)


def _require_packages(definition: Mapping[str, Any], installed: Mapping[str, str | None]) -> None:
    stored = definition.get(PACKAGES)
    wanted = stored if isinstance(stored, dict) else {}
    other = [
        f"{name} {wanted.get(name)} (here {installed.get(name) or 'none'})"
        for name in {**wanted, **installed}
        if wanted.get(name) != installed.get(name)
    ]
    if other:
        raise UserInputError(
            f"it was built with {', '.join(other)}", hint="bisect where these are installed: pip install NAME==VERSION"
        )


def _require_float_model(workload: Workload, recipe: Recipe, source: DataSource, bad: CellRecord) -> None:
    """The float model is still the later night's, so that nothing but the recipe is another one."""
    if workload.model_path is not None:
        now = model_digest(Path(workload.model_path))
    else:
        now = KeyMaker().keys(workload, recipe, source, bad.key.seed).float_key
    if now != bad.model_sha256:
        raise UserInputError(
            f"the float model of run {bad.run} is not here any more: {workload.model_path or workload.name} is another one now"
        )
