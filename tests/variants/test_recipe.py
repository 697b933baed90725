"""Recipes are data: names, the published sets, globs, and the quantizers written inside qat-q[...]."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from harness.core.errors import UserInputError
from harness.variants import recipe as recipe_module
from harness.variants.recipe import ALL, CORE, parse_quantizer, parse_recipe, select_recipes
from tests.support.places import ROOT


def test_core_is_the_published_set():
    names = [recipe.name for recipe in select_recipes(["core"])]
    assert names == [
        "ptq-float32",
        "ptq-default",
        "ptq-default-pt",
        "ptq-float16",
        "ptq-wo8",
        "ptq-int8",
        "ptq-int8-io",
        "ptq-int16x8",
        "ptq-aeq-dyn8",
        "ft-float32",
        "ft-int8-io",
        "qat-default",
        "qat-int8-io",
        "qat-dense-default",
        "qat-dense-int8-io",
    ]


def test_every_name_of_all_parses_to_itself():
    assert [parse_recipe(name).name for name in ALL] == list(ALL)
    assert set(CORE) < set(ALL)


@pytest.mark.parametrize(
    "name, training, conversion",
    [
        ("qat-dense-int8", "qat-dense", "int8"),
        ("qat-int8-pt-io", "qat", "int8-pt-io"),
        ("ft-default-pt", "ft", "default-pt"),
    ],
)
def test_the_longest_training_name_wins(name, training, conversion):
    recipe = parse_recipe(name)
    assert (recipe.training.name, recipe.conversion.name) == (training, conversion)


def test_dynbatch_is_a_flag_of_any_recipe():
    recipe = parse_recipe("qat-q[last]-default-dynbatch")
    assert recipe.dynamic_batch and recipe.conversion.name == "default" and recipe.training.quantizer.kind == "last"


def test_a_glob_selects_in_table_order_and_brackets_are_literal():
    names = [recipe.name for recipe in select_recipes(["qat-q[*"])]
    assert names == [name for name in ALL if name.startswith("qat-q[")]
    assert [r.name for r in select_recipes(["ptq-int8*", "ptq-float32"])][0] == "ptq-float32"


def test_a_recipe_is_selected_once_however_often_it_is_named():
    assert [r.name for r in select_recipes(["ptq-int8", "ptq-int8", "ptq-int8"])] == ["ptq-int8"]


@pytest.mark.parametrize("pattern", ["ptq-int9", "qta-int8", "int8", "nothing-*", "qat-q[last]-int9"])
def test_an_unknown_recipe_suggests_the_nearest(pattern):
    with pytest.raises(UserInputError) as caught:
        select_recipes([pattern])
    assert caught.value.hint


def test_quantizer_options_come_in_any_order_and_print_canonically():
    a, b = parse_quantizer("last,w4,per-channel,full"), parse_quantizer("last,full,per-channel,w4")
    assert a == b
    assert a.text == "last,per-channel,full,w4"
    assert parse_quantizer("allvalues,per-tensor,narrow,symmetric,w8,a8").text == "allvalues"


@pytest.mark.parametrize("text", ["median", "last,per-layer", "last,w1", "last,w17", "allvalues-pc,per-tensor", ""])
def test_a_wrong_quantizer_is_refused(text):
    with pytest.raises(UserInputError):
        parse_quantizer(text)


@pytest.mark.parametrize(
    "name, arithmetic",
    [
        ("ptq-default", "hybrid"),
        ("qat-default", "integer"),
        ("qat-dense-default-pt", "integer"),
        ("ptq-int8", "integer"),
        ("ptq-wo8", "float"),
        ("ft-default", "hybrid"),
        ("ptq-float16", "float"),
    ],
)
def test_what_a_recipe_promises(name, arithmetic):
    assert parse_recipe(name).promised_arithmetic == arithmetic


def with_row(tmp_path, table: str, row: str):
    """The module of recipes as it is with one more row in a table."""
    source = Path(recipe_module.__file__).read_text()
    start = source.index(f"{table}: dict")
    end = source.index("    )\n}", start)
    path = tmp_path / "more_recipes.py"
    path.write_text(f"{source[:end]}        {row.strip()},\n{source[end:]}")
    spec = importlib.util.spec_from_file_location("more_recipes", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["more_recipes"] = module
    spec.loader.exec_module(module)
    return module


def test_the_guides_row_is_all_that_a_conversion_needs(tmp_path):
    page = (ROOT / "docs" / "guides" / "adding-a-recipe.md").read_text()
    [row] = re.findall(r"```python\n(.*?)```", page, re.S)
    more = with_row(tmp_path, "CONVERSIONS", row)
    assert list(more.ALL) == [*ALL, "ptq-wo4"]
    assert [r.name for r in more.select_recipes(["ptq-wo*"])] == ["ptq-wo8", "ptq-wo4"]
    assert "ptq-wo4" in [r.name for r in more.select_recipes(["all"])]
    assert more.parse_recipe("qat-wo4").conversion.aeq_recipe == "weight_only_wi4_afp32"
    with pytest.raises(UserInputError, match="did you mean ptq-wo4"):
        more.parse_recipe("ptq-w04")


def test_a_training_is_one_row_too(tmp_path):
    more = with_row(tmp_path, "TRAININGS", 'Training(name="ft-dense", base="finetune", scope="dense")')
    assert list(more.ALL) == [*ALL, "ft-dense-float32", "ft-dense-int8-io"]
    assert [r.name for r in more.select_recipes(["ft-dense-*"])] == ["ft-dense-float32", "ft-dense-int8-io"]
