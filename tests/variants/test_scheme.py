"""Schemes of simulated quantization and choices of calibration samples: names, numbers, refusals."""

import numpy as np
import pytest

from harness.core.errors import UserInputError
from harness.variants.calibration import Calibration, parse_calibration
from harness.variants.convert.simulate import rounded
from harness.variants.recipe import parse_recipe
from harness.variants.scheme import Scheme, parse_scheme


@pytest.mark.parametrize(
    "text, canonical",
    [
        ("w8", "w8"),
        ("w4,a8", "w4,a8"),
        ("a8,asymmetric,w4,per-tensor", "w4,a8,per-tensor,asymmetric"),
        ("per-channel,symmetric", "w8"),
    ],
)
def test_a_scheme_has_one_name(text, canonical):
    assert parse_scheme(text).text == canonical and parse_scheme(canonical) == parse_scheme(text)


@pytest.mark.parametrize("text", ["w1", "w16", "a9", "per-layer", "", "w8,w", "w8 a8"])
def test_what_is_no_scheme_is_refused(text):
    with pytest.raises(UserInputError):
        parse_scheme(text)


@pytest.mark.parametrize("name", ["ptq-sim[w4]", "ft-sim[w8,a8]", "qat-sim[w4,a8,per-tensor]", "ptq-sim[w8]-dynbatch"])
def test_recipes_of_schemes_are_found_by_their_names(name):
    recipe = parse_recipe(name)
    assert recipe.name == name and parse_recipe(recipe.name) == recipe
    assert recipe.promised_arithmetic == "float"
    assert (recipe.training.simulated is not None) == name.startswith("qat")


def test_a_training_of_a_scheme_is_rounded_by_the_same_scheme():
    recipe = parse_recipe("qat-sim[a8,w4]")
    assert recipe.training.simulated == recipe.conversion.simulated == Scheme(weight_bits=4, activation_bits=8)
    assert recipe.conversion.representative and not parse_recipe("qat-sim[w4]").conversion.representative


@pytest.mark.parametrize("name", ["qat-dense-sim[w4]", "sim[w4]", "ptq-sim[w4]-int8-io", "ptq-sim"])
def test_schemes_go_with_whole_trainings_only(name):
    with pytest.raises(UserInputError):
        parse_recipe(name)


WEIGHTS = np.random.default_rng(3).normal(0, [0.01, 1, 5], (40, 3)).astype(np.float32)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("per_channel", [True, False])
def test_rounded_weights_lie_on_the_grid_of_their_range(bits, symmetric, per_channel):
    scheme = Scheme(weight_bits=bits, symmetric=symmetric, per_channel=per_channel)
    made = rounded(WEIGHTS, scheme, 1 if per_channel else None)
    parts = zip(made.T, WEIGHTS.T, strict=True) if per_channel else [(made, WEIGHTS)]
    for part, given in parts:
        assert len(np.unique(part)) <= (2**bits - 1 if symmetric else 2**bits)
        step = (
            np.abs(given).max() / (2 ** (bits - 1) - 1)
            if symmetric
            else (max(given.max(), 0) - min(given.min(), 0)) / (2**bits - 1)
        )
        # An asymmetric range moves by up to half a step, so that 0 is on the grid.
        assert np.abs(part - given).max() <= step * (0.5 if symmetric else 1.0) * 1.001
        assert np.allclose(part / step, np.round(part / step), atol=1e-3)


def test_zero_stays_zero_and_nothing_is_divided_by_it():
    for symmetric in (True, False):
        made = rounded(np.array([[0, 3.0], [0, -1]], np.float32), Scheme(symmetric=symmetric), 1)
        assert not made[:, 0].any() and np.isfinite(made).all()


# Calibrations


@pytest.mark.parametrize("text", ["all", "first,10", "worst,1", "stratified,200", "random,50", "random,50,seed3"])
def test_a_calibration_has_one_name(text):
    assert parse_calibration(text).text == text
    recipe = parse_recipe(f"ptq-int8-io-cal[{text}]")
    assert recipe.name == f"ptq-int8-io-cal[{text}]" and recipe.calibration == parse_calibration(text)


@pytest.mark.parametrize(
    "text", ["", "some,10", "first", "first,0", "first,ten", "first,10,seed1", "random,5,3,4", "all,5"]
)
def test_what_is_no_calibration_is_refused(text):
    with pytest.raises(UserInputError):
        parse_calibration(text)


@pytest.mark.parametrize("name", ["ptq-float32-cal[all]", "ptq-int8-io-cal[all]-cal[all]", "ptq-wo8-cal[first,3]"])
def test_a_calibration_of_nothing_is_refused(name):
    with pytest.raises(UserInputError):
        parse_recipe(name)


def test_choices_choose():
    labels, reach = np.arange(40) % 4, np.arange(40.0)[::-1]
    texts = ("first,8", "worst,8", "stratified,8", "random,8", "random,16", "random,8,seed1", "all")
    chosen = {text: parse_calibration(text).indices(40, labels, lambda: reach) for text in texts}
    assert list(chosen["first,8"]) == list(range(8)) and len(chosen["all"]) == 40
    assert set(chosen["worst,8"]) == set(range(32, 40)), "those of the least reach stand last"
    assert np.bincount(labels[chosen["stratified,8"]]).tolist() == [2, 2, 2, 2]
    assert set(chosen["random,8"]) < set(chosen["random,16"]) and set(chosen["random,8"]) != set(
        chosen["random,8,seed1"]
    )
    assert len(Calibration(choice="random", count=99).indices(40, labels, lambda: reach)) == 40


def test_recipes_without_a_word_of_it_keep_their_keys():
    """Caches were filled before schemes and calibrations were: what they hold is still found."""
    from harness.variants.recipe import CONVERSIONS

    assert all("simulated" not in conversion.to_json() for conversion in CONVERSIONS.values())
