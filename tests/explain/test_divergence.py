"""An op's errors are told apart: rounding, saturation, a wrong kernel and what it looks like, with planted errors."""

import numpy as np
import pytest

from harness.explain.divergence import diverge
from harness.measure.op_cases import OpCase
from harness.tflite.graph import Tensor

SCALE, ZERO, CHANNELS = 0.05, 3, 6
RNG = np.random.default_rng(0)


def op_case(expected, *, dtype="int8", to_the_step=True, companions=None):
    """A case whose op must give these real values."""
    scales = (SCALE,) if to_the_step else ()
    tensor = Tensor(
        index=1, name="y", dtype=dtype, shape=expected.shape, scales=scales, zero_points=(ZERO,) * len(scales)
    )
    return OpCase(
        node=4,
        op="FULLY_CONNECTED",
        arithmetic="integer" if to_the_step else "hybrid",
        model=b"",
        inputs=(),
        expected=(expected,),
        companions=(expected if companions is None else companions,),
        outputs=(tensor,),
        to_the_step=to_the_step,
    )


def in_steps(real):
    return np.asarray(real) / SCALE + ZERO


def stored(steps):
    return np.clip(np.round(steps), -128, 127).astype(np.int8)


RIGHT = RNG.normal(0, 1.5, size=(32, CHANNELS))


def on_device(outputs, expected=RIGHT, **options):
    return diverge(op_case(expected), [outputs], where="alone", **options)


def test_the_nearest_step_everywhere_is_exact():
    d = on_device(stored(in_steps(RIGHT)))
    assert (d.kind, d.beyond, d.not_nearest) == ("exact", 0.0, 0.0)
    assert dict(d.histogram)[0] == RIGHT.size and d.values == RIGHT.size


def test_a_kernel_that_rounds_down_rounds_otherwise_and_is_not_wrong():
    d = on_device(np.floor(in_steps(RIGHT)).astype(np.int8))
    assert d.kind == "rounding" and 0.3 < d.not_nearest < 0.7 and d.worst <= 1.0
    counts = dict(d.histogram)
    assert counts[-1] == round(d.not_nearest * RIGHT.size) and counts[1] == 0


@pytest.mark.parametrize("steps, words", [(4, "4 steps too high"), (-3, "3 steps too low")])
def test_a_constant_shift_is_named_with_its_size(steps, words):
    d = on_device(stored(in_steps(RIGHT) + steps))
    assert d.kind == "wrong kernel" and words in d.pattern
    assert dict(d.histogram)[steps] > 0.9 * RIGHT.size and d.gain == pytest.approx(1, abs=0.02)


def test_a_wrong_scale_is_named_with_its_factor():
    d = on_device(stored(1.3 * RIGHT / SCALE + ZERO))
    assert (
        d.kind == "wrong kernel" and "1.3 times the right ones" in d.pattern and d.gain == pytest.approx(1.3, abs=0.02)
    )


def test_one_scale_taken_for_all_channels_is_recognised():
    scales = np.geomspace(0.01, 0.05, CHANNELS)
    d = on_device(stored(RIGHT * (scales[0] / scales) / SCALE + ZERO), weight_scales=scales)
    assert d.kind == "wrong kernel" and "the first channel's weight scale" in d.pattern
    other = on_device(stored(RIGHT * np.linspace(0.3, 0.9, CHANNELS) / SCALE + ZERO), weight_scales=scales)
    assert "a wrong scale per channel" in other.pattern


def test_an_output_that_stands_still_is_told():
    assert "the same value everywhere" in on_device(np.zeros(RIGHT.shape, np.int8)).pattern


def test_the_channel_and_the_sample_that_are_off_are_named():
    steps = in_steps(RIGHT)
    steps[:, 4] = -steps[:, 4]
    d = on_device(stored(steps))
    assert d.worst_channel == 4 and "1 of 6 channels are off (4)" in d.pattern
    steps = in_steps(RIGHT)
    steps[7] = RNG.permutation(steps[7]) + 9
    d = on_device(stored(steps))
    assert d.worst_sample == 7 and "1 of 32 samples are off (7)" in d.pattern


def test_the_places_that_a_kernel_leaves_out_are_named():
    places = np.repeat(RIGHT[:, None, :], 8, axis=1) + RNG.normal(0, 0.4, size=(32, 8, CHANNELS))
    steps = in_steps(places)
    steps[:, 1:] = RNG.permuted(steps[:, 1:], axis=0)
    assert "only 1 of 8 places of each sample is right (0)" in on_device(stored(steps), places).pattern


def test_outputs_that_a_kernel_never_writes_are_told():
    steps = in_steps(RIGHT)
    steps[:, 2:] = np.array([40, 3, -90, 7])
    assert "4 of 6 outputs are the same for every sample" in (d := on_device(stored(steps))).pattern
    assert d.pattern.endswith("never written, and the first are right")


def test_a_kernel_that_gives_nothing_but_its_bias_is_named():
    bias = np.linspace(-2, 2, CHANNELS)
    d = on_device(stored(in_steps(np.broadcast_to(bias, RIGHT.shape))), bias=bias, weight_scales=np.ones(CHANNELS))
    assert "it gives its bias and nothing else" in d.pattern and "a scale per channel" in d.pattern


def test_clamping_too_early_is_saturation():
    wide = RNG.normal(0, 3.0, size=(64, CHANNELS)).clip(-6.5, 6.2)
    d = on_device(np.minimum(stored(in_steps(wide)), 64).astype(np.int8), wide)
    assert d.kind == "saturation" and "no output above 64, where 127 is possible" in d.pattern


def test_wrapping_around_is_saturation_that_is_missing():
    real = RNG.normal(0, 4.0, size=(64, CHANNELS))
    right = np.clip(real, SCALE * (-128 - ZERO), SCALE * (127 - ZERO))
    d = on_device(np.round(in_steps(real)).astype(np.int64).astype(np.int8), right)
    assert d.kind == "saturation" and "wraps" in d.pattern


def test_float_outputs_are_held_against_their_rounding_noise():
    noisy = RIGHT + RNG.normal(0, 0.01, RIGHT.shape)
    case = op_case(RIGHT, dtype="float32", to_the_step=False, companions=noisy)
    assert diverge(case, [RIGHT.astype(np.float32)], where="alone").kind == "right"
    scales = np.geomspace(0.01, 0.05, CHANNELS)
    d = diverge(case, [(RIGHT * scales[0] / scales).astype(np.float32)], where="alone", weight_scales=scales)
    assert d.kind == "wrong kernel" and d.unit == "noise" and "the first channel's weight scale" in d.pattern


def test_outputs_of_another_shape_are_no_verdict():
    d = on_device(np.zeros((32, 5), np.int8))
    assert d.kind is None and "cannot be compared" in d.reason
