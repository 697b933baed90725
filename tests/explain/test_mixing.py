"""Which layers a `mixed[...]` recipe takes out of int8, by what each regains alone."""

from __future__ import annotations

import pytest

from harness.explain.document import Explanation, Layer, LayerLoss
from harness.explain.mixing import calibrated_again, losing_layers, mixed_recipes
from harness.variants.recipe import parse_recipe

NAMES = ("first", "second", "third", "fourth", "head")
UNITS = {"second": ("second", "op2", "third")}


def explained(*regained, score=0.8, p=0.0001, names=NAMES):
    layers = tuple(
        Layer(node=i, op="CONV_2D", name="", called=name, loss=LayerLoss(regained=gain, p=p, error_left=1 - gain))
        for i, (name, gain) in enumerate(zip(names, regained, strict=True))
    )
    return Explanation(
        cell="c", run="r", asked="", answer="", device="d", backend="cpu", artifact_sha256=None, layers=layers,
        score=score, float_score=None if score is None else 0.95, metric="accuracy", loss_samples=500,
    )  # fmt: skip


ONE = (0.0, 0.12, 0.01, 0.0, 0.0)
RECIPES = {
    "ptq-int8-io": ["mixed[int16=op2+second+third]", "mixed[w8=op2+second+third]"],
    "ptq-int8": ["mixed[int16=op2+second+third,float-io]", "mixed[w8=op2+second+third,float-io]"],
    "ft-int8-io": ["ft-mixed[int16=op2+second+third]", "ft-mixed[w8=op2+second+third]"],
    "qat-dense-int8-io": ["qat-dense-mixed[int16=op2+second+third]", "qat-dense-mixed[w8=op2+second+third]"],
    "ptq-int8-pt-io": [
        "mixed[int16=op2+second+third,per-tensor]",
        "mixed[w8=op2+second+third,per-tensor]",
    ],
    "ptq-int16x8": ["mixed[int16,float=op2+second+third,float-io]"],
    "ptq-default": ["mixed[w8,float=op2+second+third]"],
    "mixed[w8=head,qat=first]": [
        "mixed[int16=op2+second+third,w8=head,qat=first]",
        "mixed[w8=head+op2+second+third,qat=first]",
    ],
    "ptq-int8-io-cal[random,50]": [
        "mixed[int16=op2+second+third]-cal[random,50]",
        "mixed[w8=op2+second+third]-cal[random,50]",
    ],
    "ptq-float16": [],
    "ptq-sim[w4]": [],
    "as-is": [],
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_rest_stays_as_the_recipe_had_it(recipe):
    found = [one.recipe for one in mixed_recipes(explained(*ONE), recipe, "outlier-channels", UNITS)]
    assert found == RECIPES[recipe]
    assert [parse_recipe(name).name for name in found] == found


def test_only_the_layer_itself_is_taken_out_where_its_weights_are_to_blame():
    (found,) = mixed_recipes(explained(*ONE), "ptq-int8-io", "weights", UNITS)
    assert found.recipe == "mixed[float=second]"
    assert (
        found.why == "alone back in float node 1 CONV_2D +0.1200 of the 0.1500 that are lost; only this layer is float"
    )


def test_no_kind_is_advised_that_the_device_has_no_kernel_for():
    found = mixed_recipes(explained(*ONE), "ptq-int8-io", "outlier-channels", UNITS, ("w8", "float"))
    assert [one.recipe for one in found] == ["mixed[int16=op2+second+third]"]


def test_as_many_layers_as_most_of_it_takes_and_no_more_than_three():
    assert [layer.called for layer in losing_layers(explained(0.05, 0.06, 0.01, 0.0, 0.0))] == ["second", "first"]
    assert losing_layers(explained(0.02, 0.02, 0.02, 0.02, 0.02)) == []
    assert losing_layers(explained(*ONE, p=0.02)) == []  # one of five layers is so good by chance
    assert [layer.called for layer in losing_layers(explained(*ONE, score=None))] == []
    assert [layer.called for layer in losing_layers(explained(0, 0.7, 0, 0, 0.6, score=None))] == ["second"]


def test_nothing_is_advised_of_layers_that_no_recipe_can_name():
    assert mixed_recipes(explained(*ONE, names=(None,) * 5), "ptq-int8-io", "rounding", {}) == []


def test_trained_weights_may_get_ranges_from_calibration():
    found = {name: calibrated_again(name) for name in ("qat-int8-io", "qat-dense-int8", "qat-int16x8", "ptq-int8-io")}
    assert [one and one.recipe for one in found.values()] == [
        "qat-mixed[int8]", "qat-dense-mixed[float-io]", None, None,
    ]  # fmt: skip
    assert calibrated_again("mixed[cal=mse,qat=a]") is None and calibrated_again("as-is") is None
