"""`mixed[...]`: a name says everything, and the same thing has one name."""

from __future__ import annotations

import pytest

from harness.core.errors import UserInputError
from harness.variants.build.keys import KeyMaker
from harness.variants.recipe import parse_recipe, plain_recipe, select_recipes
from harness.workloads.datasets import DataSource
from harness.workloads.registry import get_workload

NAMES = {
    "mixed[int8]": "mixed[int8]",
    "mixed[int16=b+a]": "mixed[int16=a+b]",
    "mixed[int8=c,w8]": "mixed[w8,int8=c]",
    "mixed[int8=c,int16=d]": "mixed[int16=d]",
    "mixed[cal=minmax,float=op4]": "mixed[float=op4]",
    "mixed[equalise,n=64,cal=p99.990,per-tensor]": "mixed[per-tensor,cal=p99.99,n=64,equalise]",
    "mixed[per-channel=a,per-tensor]": "mixed[per-tensor,per-channel=a]",
    "mixed[qat=z+y,float-io]": "mixed[float-io,qat=y+z]",
    "ptq-mixed[cal=mse]": "mixed[cal=mse]",
    "ft-mixed[int16]-dynbatch": "ft-mixed[int16]-dynbatch",
    "qat-dense-mixed[float]": "qat-dense-mixed[float]",
    "qat-q[last,narrow]-mixed[w8]": "qat-q[last]-mixed[w8]",
    "qat-sim[w4]-mixed[float]": "qat-sim[w4]-mixed[float]",
}


@pytest.mark.parametrize("written", NAMES)
def test_a_recipe_has_one_name_and_the_name_means_it(written):
    recipe = parse_recipe(written)
    assert recipe.name == NAMES[written]
    assert parse_recipe(recipe.name) == recipe
    assert select_recipes([written]) == [recipe]


REFUSED = {
    "mixed[]": "nothing between",
    "mixed[int4]": "'int4' is no word",
    "mixed[float=a,int16=a]": "names the layer 'a' for two different things",
    "mixed[int8,int16]": "two words for the same",
    "mixed[float=a,float=b]": "two words for the same",
    "mixed[cal=p50]": "cal=p50 is no way to calibrate",
    "mixed[cal=p100]": "no way to calibrate",
    "mixed[n=0]": "n=0 is no number of calibration samples",
    "mixed[float=a/b]": "'a/b' cannot name a layer",
    "mixed[float=]": "'' cannot name a layer",
    "qat-mixed[qat=a]": "says itself what is trained",
    "qat-q[lst]-mixed[float]": "unknown quantizer",
    "qta-mixed[float]": "unknown recipe",
    "qat-sim[w4]-int8-io": "unknown recipe",
}  # fmt: skip


@pytest.mark.parametrize("written", REFUSED)
def test_what_is_no_recipe_says_which_word(written):
    with pytest.raises(UserInputError) as refusal:
        parse_recipe(written)
    assert REFUSED[written] in refusal.value.what and refusal.value.hint


PLAIN = {
    "ptq-int8-io": "ptq-float32",
    "ft-mixed[int16]-dynbatch": "ft-float32",
    "ptq-int8-io-cal[random,50]": "ptq-float32",
    "qat-int8-io": "qat-mixed[float]",
    "qat-float32": "qat-mixed[float]",
    "qat-dense-default": "qat-dense-mixed[float]",
    "qat-q[allvalues-pc,w4]-int8-io": "qat-q[allvalues-pc,w4]-mixed[float]",
    "qat-sim[w4,a8]": "qat-sim[w4,a8]-mixed[float]",
    "mixed[cal=mse,qat=a+b]": "mixed[float,qat=a+b]",
    "ft-mixed[int16=a,equalise]": "ft-mixed[float,equalise]",
}


@pytest.mark.parametrize("name", PLAIN)
def test_every_training_has_a_recipe_of_its_weights_in_float(name):
    recipe = plain_recipe(name)
    assert recipe.name == PLAIN[name] and parse_recipe(recipe.name) == recipe
    maker, source, workload = KeyMaker(), DataSource(), get_workload("mnist-cnn")
    keys = [maker.keys(workload, its, source, 0) for its in (recipe, parse_recipe(name))]
    assert keys[0].training_key == keys[1].training_key


def test_the_layers_of_qat_are_a_training_that_several_mixes_share():
    first, second = (parse_recipe(f"mixed[{words}qat=dense]") for words in ("", "cal=mse,"))
    maker, source, workload = KeyMaker(), DataSource(), get_workload("mnist-cnn")
    keys = [maker.keys(workload, recipe, source, 0) for recipe in (first, second, parse_recipe("mixed[int8]"))]
    assert keys[0].training_key == keys[1].training_key != keys[2].training_key == keys[2].float_key
    assert len({key.artifact_key for key in keys}) == 3


def test_other_layers_are_another_training():
    maker, source, workload = KeyMaker(), DataSource(), get_workload("mnist-cnn")
    trainings = [maker.keys(workload, parse_recipe(f"mixed[qat={name}]"), source, 0) for name in ("dense", "conv2d")]
    assert trainings[0].training_key != trainings[1].training_key


def test_recipes_from_before_keep_their_place_in_the_cache():
    """`mix` is no part of what other recipes' keys are made of."""
    assert "mix" not in parse_recipe("ptq-int8-io").conversion.to_json()
    assert parse_recipe("mixed[int8]").conversion.to_json()["mix"]["base"] == "int8"
