"""The rule of `wrong`: its conditions one by one, and what holds whatever the outputs are."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.measure.rule import above, judge, spread_share, top_class

STEP = 1 / 256


def model_outputs(samples=128, outputs=10, seed=0):
    """F on the grid of the step, and C as it is before rounding: a quantization error of about 0.3 steps."""
    exact = np.random.default_rng(seed).uniform(0, 1, (samples, outputs))
    return np.round(exact / STEP) * STEP, exact


def verdict_of(device, rounded, clamped, *, step=STEP, arithmetic=("integer",), classes=top_class, **more):
    return judge([device], [rounded], [clamped], steps=[step], arithmetic=arithmetic, classes=[classes], **more)


def off_by(rounded, error, seed=1):
    """F plus noise of exactly this RMS."""
    noise = np.random.default_rng(seed).normal(size=rounded.shape)
    noise -= noise.mean(axis=0)
    return rounded + noise * error / np.sqrt(np.mean(noise**2))


def test_equal_outputs_are_ok_without_doubt():
    rounded, clamped = model_outputs()
    judged = verdict_of(rounded, rounded, clamped)
    assert (judged.verdict, judged.reason, judged.doubt, judged.ask_ops) == ("ok", None, None, False)
    (figures,) = judged.outputs
    assert figures.error == figures.bias == figures.disagreement == 0
    assert judged.samples == 128


def test_noise_is_the_largest_of_its_three_terms_and_says_which():
    rounded, clamped = model_outputs()
    own = verdict_of(rounded, rounded, clamped + 0.01).outputs[0]
    assert own.noise == own.quantization_error and "quantization error" in own.noise_is
    coarse = verdict_of(rounded, rounded, rounded, step=0.05).outputs[0]
    assert coarse.noise == 0.025 and "half a step" in coarse.noise_is
    fine = verdict_of(rounded, rounded, rounded, step=1e-4).outputs[0]
    assert fine.noise == pytest.approx(0.005 * fine.spread) and "0.5%" in fine.noise_is


@pytest.mark.parametrize(("times", "verdict", "asks"), [(1.1, "ok", False), (1.9, "ok", True), (2.1, "wrong", True)])
def test_an_error_over_twice_the_noise_is_wrong(times, verdict, asks):
    rounded, clamped = model_outputs()
    noise = verdict_of(rounded, rounded, clamped).outputs[0].noise
    judged = verdict_of(off_by(rounded, times * noise), rounded, clamped, classes=None)
    assert (judged.verdict, judged.ask_ops) == (verdict, asks)
    if verdict == "wrong":
        assert "2.1 times" in judged.reason and "(bound 2)" in judged.reason
        assert "RMS difference <= 2 N" in judged.rule and f"{noise:.3g}" in judged.rule


def test_a_shift_of_less_than_that_is_wrong_too():
    rounded, clamped = model_outputs()
    noise = verdict_of(rounded, rounded, clamped).outputs[0].noise
    assert verdict_of(rounded + 0.7 * noise, rounded, clamped, classes=None).verdict == "ok"
    judged = verdict_of(rounded + 0.8 * noise, rounded, clamped, classes=None)
    assert judged.verdict == "wrong" and "is shifted" in judged.reason


def test_shifts_of_single_outputs_count_although_they_cancel_out():
    rounded, clamped = model_outputs()
    noise = verdict_of(rounded, rounded, clamped).outputs[0].noise
    shift = np.where(np.arange(10) % 2, 1, -1) * noise
    assert verdict_of(rounded + shift, rounded, clamped, classes=None).verdict == "wrong"


def test_classes_count_beyond_what_rounding_makes_of_them():
    """Two scores that are nearly equal: small errors change the class, and C tells how often rounding does."""
    rng = np.random.default_rng(0)
    rounded = rng.uniform(0, 1, (200, 2))
    rounded[:, 1] = rounded[:, 0] + np.where(np.arange(200) % 10 == 0, 1e-9, np.where(np.arange(200) % 2, 0.5, -0.5))
    flipped = rounded.copy()
    flipped[::10, 0] += 1e-6
    assert verdict_of(flipped, rounded, rounded).verdict == "wrong"  # 10 % of answers, and C has none
    assert "10.0% of the answers differ (bound 5.0%)" in verdict_of(flipped, rounded, rounded).reason
    assert verdict_of(flipped, rounded, flipped).verdict == "ok"
    assert verdict_of(flipped, rounded, rounded, classes=None).verdict == "ok"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_wrong(value):
    rounded, clamped = model_outputs()
    device = rounded.copy()
    device[3, 3] = value
    judged = verdict_of(device, rounded, clamped)
    assert judged.verdict == "wrong" and "1 of 1280 values are not finite" in judged.reason
    assert judged.outputs[0].error == np.inf and judged.outputs[0].bias is None


def test_chance_near_a_border_between_classes_is_allowed_for():
    """One in ten samples lies on a border; D and C each put half of those on a side of their own."""
    wrong = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        rounded = np.tile([[0.0, 1.0], [1.0, 0.0]], (32, 1))
        border = rng.random(64) < 0.2
        rounded[border] = 0.5
        device, clamped = rounded.copy(), rounded.copy()
        device[border, 1] += rng.choice([-1e-6, 1e-6], border.sum())
        clamped[border, 1] += rng.choice([-1e-6, 1e-6], border.sum())
        wrong += verdict_of(device, rounded, clamped, step=1e-4).verdict == "wrong"
    assert wrong == 0


def test_outputs_that_stand_still_are_wrong():
    rounded, clamped = model_outputs()
    judged = verdict_of(np.repeat(rounded[:1], 128, axis=0), rounded, clamped)
    assert judged.verdict == "wrong" and "same values for every sample" in judged.reason


def test_outputs_that_stand_still_are_wrong_even_where_little_can_be_told():
    rounded = np.zeros((128, 4))
    rounded[5, 2] = 30 * STEP  # S < 4 u: nothing else could be told
    assert verdict_of(np.zeros((128, 4)), rounded, rounded).verdict == "wrong"
    rounded[5, 2] = 3 * STEP
    assert verdict_of(np.zeros((128, 4)), rounded, rounded).verdict == "undecided"


def test_few_samples_have_wider_bounds_and_no_classes():
    rounded, clamped = model_outputs(samples=63)
    noise = verdict_of(rounded, rounded, clamped).outputs[0].noise
    assert verdict_of(off_by(rounded, 3.9 * noise), rounded, clamped, classes=None).verdict == "ok"
    assert verdict_of(off_by(rounded, 4.1 * noise), rounded, clamped, classes=None).verdict == "wrong"
    assert verdict_of(rounded + 1.9 * noise, rounded, clamped, classes=None).verdict == "ok"
    assert verdict_of(rounded + 2.1 * noise, rounded, clamped, classes=None).verdict == "wrong"
    nearly = np.tile([[0.5, 0.5 + 1e-9], [0.9, 0.2]], (16, 1))
    assert verdict_of(nearly[:, ::-1], nearly, nearly, step=None, arithmetic=("float",)).verdict == "wrong"
    flipped = nearly + np.tile([[1e-6, 0], [0, 0]], (16, 1))
    judged = verdict_of(flipped, nearly, nearly, step=None, arithmetic=("float",))
    assert judged.verdict == "ok" and "answers" not in judged.rule


@pytest.mark.parametrize(
    ("rounded", "clamped", "says"),
    [
        (
            np.tile([[0.5, 0.5 + STEP]], (128, 1)) + STEP * (np.arange(128)[:, None] % 3),
            None,
            "quantization steps only",
        ),
        (np.random.default_rng(0).uniform(0, 1, (128, 3)), 0.5, "own quantization error is"),
        (np.random.default_rng(0).uniform(0, 1, (128, 2)) + [0, 5], None, "one class for every sample"),
    ],
)
def test_where_outputs_cannot_tell_the_verdict_is_undecided(rounded, clamped, says):
    other = rounded if clamped is None else np.full_like(rounded, clamped)
    judged = verdict_of(rounded, rounded, other)
    assert judged.verdict == "undecided" and says in judged.reason and judged.ask_ops
    assert verdict_of(rounded + 1.0, rounded, other).verdict == "undecided"


def test_float_outputs_that_are_the_same_for_every_sample_tell_nothing():
    constant = np.full((128, 3), 7.0)
    judged = verdict_of(constant, constant, constant, step=None, arithmetic=("float",), classes=None)
    assert judged.verdict == "undecided" and "the same for every sample" in judged.reason


def test_the_least_exact_arithmetic_sets_the_share():
    assert spread_share(["integer"]) == spread_share(["float", "weight-only"]) == spread_share([]) == 0.005
    assert spread_share(["convert", "integer", "hybrid"]) == 0.025
    assert spread_share(["integer"], float16_accumulation=True) == 0.04


@pytest.mark.parametrize(
    ("arithmetic", "float16", "bound"), [("float", False, 0.01), ("hybrid", False, 0.05), ("float", True, 0.08)]
)
def test_float_outputs_are_measured_by_their_spread(arithmetic, float16, bound):
    rounded = np.random.default_rng(0).normal(size=(256, 5))
    spread = np.sqrt(np.mean((rounded - rounded.mean(0)) ** 2))
    arguments = {"step": None, "arithmetic": (arithmetic,), "classes": None, "float16_accumulation": float16}
    assert verdict_of(off_by(rounded, 0.98 * bound * spread), rounded, rounded, **arguments).verdict == "ok"
    assert verdict_of(off_by(rounded, 1.02 * bound * spread), rounded, rounded, **arguments).verdict == "wrong"


def test_class_maps_are_judged_by_their_classes_alone():
    maps = np.random.default_rng(0).integers(0, 5, (64, 8, 8))
    arguments = {"step": None, "classes": None}
    assert verdict_of(maps, maps, maps, **arguments).verdict == "ok"
    assert verdict_of(maps, maps, maps, **arguments).outputs[0].error is None
    wrong = maps.copy()
    wrong[:, 0] = 4 - wrong[:, 0]  # an eighth of the map, most of it another class
    judged = verdict_of(wrong, maps, maps, **arguments)
    assert judged.verdict == "wrong" and "of the answers differ" in judged.reason
    assert verdict_of(np.zeros_like(maps), np.zeros_like(maps), np.zeros_like(maps), **arguments).verdict == "undecided"


def test_several_outputs_are_judged_one_by_one():
    rounded, clamped = model_outputs()
    flat = np.full((128, 2), 0.5)
    both = {"steps": [STEP, STEP], "arithmetic": ["integer"], "classes": [top_class, None]}
    broken = judge([rounded, rounded[:, ::-1]], [rounded] * 2, [clamped] * 2, **both)
    assert broken.verdict == "wrong" and broken.reason.startswith("output 1: ")
    assert judge([rounded, flat], [rounded, flat], [clamped, flat], **both).verdict == "undecided"
    assert judge([rounded[:, ::-1], flat], [rounded, flat], [clamped, flat], **both).verdict == "wrong"


def test_two_classes_by_a_threshold():
    scores = np.array([[0.4], [0.5], [0.9], [np.nan]])
    assert above(0.5)(scores).ravel().tolist() == [0, 1, 1, -1]
    assert top_class(np.array([[0.1, 0.2], [np.nan, 0.3]])).tolist() == [1, -1]


def test_shapes_that_differ_and_no_samples_are_defects_of_the_caller():
    rounded, clamped = model_outputs()
    with pytest.raises(ValueError, match="shape"):
        verdict_of(rounded[:, :9], rounded, clamped)
    with pytest.raises(ValueError, match="no outputs"):
        verdict_of(rounded[:0], rounded[:0], clamped[:0])


cases = st.tuples(st.integers(0, 10_000), st.sampled_from([8, 64, 200]), st.floats(0, 6))


@settings(max_examples=60, deadline=None)
@given(cases)
def test_noise_that_is_no_larger_than_rounding_is_never_wrong(case):
    seed, samples, _ = case
    rounded, clamped = model_outputs(samples, seed=seed)
    noise = verdict_of(rounded, rounded, clamped).outputs[0].noise
    judged = verdict_of(off_by(rounded, noise, seed), rounded, clamped, classes=None)
    assert judged.verdict == "ok" and judged.doubt is None


@settings(max_examples=60, deadline=None)
@given(cases, st.floats(1e-6, 1e6), st.floats(-100, 100))
def test_the_verdict_does_not_depend_on_the_unit(case, unit, offset):
    seed, samples, times = case
    rounded, clamped = model_outputs(samples, seed=seed)
    device = off_by(rounded, times * STEP / 2, seed)
    plain = verdict_of(device, rounded, clamped)
    # On a bound itself, the rounding of another unit may fall to either side.
    beside = (off_by(rounded, times * STEP / 2 * factor, seed) for factor in (1 - 1e-6, 1 + 1e-6))
    assume(all(verdict_of(values, rounded, clamped).verdict == plain.verdict for values in beside))
    other = verdict_of(*((values + offset) * unit for values in (device, rounded, clamped)), step=STEP * unit)
    assert other.verdict == plain.verdict


@settings(max_examples=60, deadline=None)
@given(cases)
def test_the_verdict_does_not_depend_on_the_order_of_samples_or_outputs(case):
    seed, samples, times = case
    rounded, clamped = model_outputs(samples, seed=seed)
    device = off_by(rounded, times * STEP / 2, seed)
    # Of equal largest outputs the first one is the class, whichever that is.
    assume(not any(np.any(np.ptp(np.sort(values)[:, -2:], axis=1) == 0) for values in (device, rounded, clamped)))
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(samples), rng.permutation(10)
    shuffled = verdict_of(*(values[rows][:, columns] for values in (device, rounded, clamped)))
    assert shuffled.verdict == verdict_of(device, rounded, clamped).verdict


@settings(max_examples=60, deadline=None)
@given(cases)
def test_a_larger_error_is_never_better(case):
    seed, samples, times = case
    rounded, clamped = model_outputs(samples, seed=seed)
    order = {"ok": 0, "wrong": 1}
    near, far = (
        verdict_of(rounded + (off_by(rounded, 1.0, seed) - rounded) * times * STEP * k, rounded, clamped, classes=None)
        for k in (0.5, 0.75)
    )
    assert order[near.verdict] <= order[far.verdict]
