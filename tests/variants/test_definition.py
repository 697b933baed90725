"""A recipe of an earlier night is built again by its definition, whatever the tables have under its name now."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.core.errors import UserInputError
from harness.nightly import rebuilt as rebuilt_module
from harness.nightly.rebuilt import rebuilt_model, recipe_difference
from harness.results.objects import ObjectStore
from harness.run.options import RunOptions
from harness.variants.build.build import build_artifacts
from harness.variants.build.keys import KeyMaker
from harness.variants.definition import definition_of, recipe_of
from tests.support.fixtures_build import request_for
from tests.support.nights import key, record


def test_an_earlier_definition_of_a_recipe_makes_its_own_model_of_the_same_float_model(
    built, in_build_cache, tmp_path, monkeypatch
):
    """Then the recipe of this name gave per-tensor weights everywhere; today it does not."""
    objects = ObjectStore(tmp_path)
    today = built["ptq-int8-io"]
    definition = definition_of(today)
    before = {**definition, "recipe": {**definition["recipe"]}}
    before["recipe"]["conversion"] = {
        **before["recipe"]["conversion"],
        "per_channel": False,
        "per_channel_dense": False,
    }
    request = request_for("ptq-int8-io")
    float_key = KeyMaker().keys(request.workload, request.recipe, request.source, 0).float_key
    bad = replace(record(key()), recipe_object=objects.put_json(definition), model_sha256=float_key, samples=32)
    good = replace(bad, recipe_object=objects.put_json(before))
    told = recipe_difference(good, bad, objects)
    assert told.detail == "conversion.per_channel no -> yes, conversion.per_channel_dense no -> yes"
    assert recipe_difference(bad, bad, objects) is None
    with monkeypatch.context() as patch:
        older = {**definition["packages"], "tensorflow": "9.9"}
        patch.setattr(rebuilt_module, "package_versions", lambda workload, recipe: older)
        with pytest.raises(UserInputError, match=r"built with tensorflow .* \(here 9\.9\)"):
            rebuilt_model(good, bad, objects, RunOptions(), say=lambda *a: None)
    with pytest.raises(UserInputError, match="float model of run .* is not here any more"):
        rebuilt_model(good, replace(bad, model_sha256="0" * 64), objects, RunOptions(), say=lambda *a: None)
    model = rebuilt_model(good, bad, objects, RunOptions(), say=lambda *a: None)
    assert model.artifact.sha256 != today.sha256 and model.artifact.recipe == "ptq-int8-io"
    assert recipe_of(before) == replace(
        request.recipe, conversion=replace(request.recipe.conversion, per_channel=False, per_channel_dense=False)
    )
    # What the tables have under the name is as it was.
    assert build_artifacts([request])[0].sha256 == today.sha256
