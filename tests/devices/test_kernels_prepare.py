"""Parameters made on the host: Python and C agree to the bit, and bad scales are refused with a reason."""

import ctypes
from collections.abc import Callable

import numpy as np
import pytest

from harness.core.errors import UnsupportedError, UserInputError
from harness.tflite import quantized_params as qp
from tests.support.kernels_abi import Kernels, struct, structures

_CASES = 400
_ACTIVATION_CODES = {"NONE": 0, "RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3}


def _scale(rng: np.random.Generator) -> np.float32:
    return np.float32(10.0 ** rng.uniform(-5, 1))


def _zero_point(rng: np.random.Generator) -> int:
    return int(rng.integers(-128, 128))


def _pair(kernels: Kernels, function: str, *arguments: object) -> tuple[int, qp.Multiplier]:
    multiplier, shift = ctypes.c_int32(), ctypes.c_int32()
    ok = kernels.call(function, *arguments, ctypes.byref(multiplier), ctypes.byref(shift))
    return ok, qp.Multiplier(multiplier=multiplier.value, shift=shift.value)


def _field_values(made: ctypes.Structure) -> dict[str, int]:
    return {name: getattr(made, name) for name, _type in made._fields_}


def _holds(made: ctypes.Structure, **expected: int) -> bool:
    return {name: _field_values(made)[name] for name in expected} == expected


def test_multipliers_of_any_real_number_agree(kernels: Kernels) -> None:
    rng = np.random.default_rng(1)
    reals = [*(10.0 ** rng.uniform(-12, 9, 2000)).tolist(), 0.0, 1.0, 0.5, 2.0**-32, 2.0**-33, 1 - 2.0**-40, -0.3]
    for real in reals:
        assert _pair(kernels, "kn_prepare_multiplier", float(real)) == (1, qp.quantize_multiplier(real))


@pytest.mark.parametrize("real", [2.0**30, float("inf"), float("nan")])
def test_a_number_that_fits_no_multiplier_is_refused_on_both_sides(kernels: Kernels, real: float) -> None:
    assert _pair(kernels, "kn_prepare_multiplier", real)[0] == 0
    with pytest.raises(UnsupportedError):
        qp.quantize_multiplier(real)


def test_multipliers_of_scales_agree(kernels: Kernels) -> None:
    rng = np.random.default_rng(2)
    for _ in range(_CASES):
        scales = [_scale(rng) for _ in range(3)]
        assert _pair(kernels, "kn_prepare_tensor_scale", *scales) == (1, qp.tensor_multiplier(*scales))


def test_channel_multipliers_agree(kernels: Kernels) -> None:
    rng = np.random.default_rng(3)
    for _ in range(_CASES):
        source, target, weights = _scale(rng), _scale(rng), (10.0 ** rng.uniform(-4, 0, 5)).astype(np.float32)
        multipliers, shifts = np.empty(5, np.int32), np.empty(5, np.int32)
        assert kernels.call("kn_prepare_channel_scales", source, 5, weights, target, multipliers, shifts) == 1
        expected = qp.split_multipliers([qp.convolution_multiplier(source, one, target) for one in weights])
        assert np.array_equal(multipliers, expected[0]) and np.array_equal(shifts, expected[1])


def test_mean_multipliers_agree(kernels: Kernels) -> None:
    rng = np.random.default_rng(4)
    for _ in range(_CASES):
        source, target, elements = _scale(rng), _scale(rng), int(2 ** rng.uniform(0, 20))
        assert _pair(kernels, "kn_prepare_mean", source, target, ctypes.c_int64(elements)) == (
            1,
            qp.mean_multiplier(source, target, elements),
        )


@pytest.mark.parametrize("activation", qp.ACTIVATIONS)
def test_activation_ranges_agree(kernels: Kernels, activation: str) -> None:
    rng = np.random.default_rng(5)
    for _ in range(_CASES):
        scale, zero_point = _scale(rng), _zero_point(rng)
        low, high = ctypes.c_int32(), ctypes.c_int32()
        assert (
            kernels.call(
                "kn_prepare_activation_range",
                _ACTIVATION_CODES[activation],
                scale,
                zero_point,
                ctypes.byref(low),
                ctypes.byref(high),
            )
            == 1
        )
        assert qp.activation_range(activation, scale, zero_point) == qp.ActivationRange(low=low.value, high=high.value)


def test_paddings_agree_and_match_the_window_arithmetic(kernels: Kernels) -> None:
    for same in (0, 1):
        for size, kernel, stride, dilation in np.ndindex(9, 5, 3, 3):
            sizes = (size + 1, kernel + 1, stride + 1, dilation + 1)
            output, before = ctypes.c_int32(), ctypes.c_int32()
            ok = kernels.call("kn_prepare_padding", same, *sizes, ctypes.byref(output), ctypes.byref(before))
            if ok:
                expected = qp.window("SAME" if same else "VALID", *sizes)
                assert expected == qp.Window(output=output.value, before=before.value)
            else:
                with pytest.raises(UserInputError):
                    qp.window("VALID", *sizes)


def test_add_and_mul_parameters_agree(kernels: Kernels) -> None:
    rng = np.random.default_rng(6)
    for _ in range(_CASES):
        first, second = _scale(rng), _scale(rng)
        target = np.float32(max(first, second) * 10.0 ** rng.uniform(-5, 3))
        zeros = [_zero_point(rng) for _ in range(3)]
        arguments = (first, zeros[0], second, zeros[1], target, zeros[2], _ACTIVATION_CODES["RELU6"])
        add = structures()["kn_add_params"]()
        assert kernels.call("kn_prepare_add", *arguments, add) == 1
        expected, span = qp.add_params(first, second, target), qp.activation_range("RELU6", target, zeros[2])
        assert _holds(
            add,
            left_shift=expected.left_shift,
            input1_offset=-zeros[0],
            output_offset=zeros[2],
            input1_multiplier=expected.input1.multiplier,
            input1_shift=expected.input1.shift,
            input2_multiplier=expected.input2.multiplier,
            input2_shift=expected.input2.shift,
            output_multiplier=expected.output.multiplier,
            output_shift=expected.output.shift,
            activation_min=span.low,
            activation_max=span.high,
        )
        mul = structures()["kn_mul_params"]()
        assert kernels.call("kn_prepare_mul", *arguments, mul) == 1
        product = qp.mul_multiplier(first, second, target)
        assert _holds(
            mul,
            multiplier=product.multiplier,
            shift=product.shift,
            input2_offset=-zeros[1],
            activation_min=span.low,
            activation_max=span.high,
        )


def test_an_output_scale_too_small_for_add_is_refused_on_both_sides(kernels: Kernels) -> None:
    tiny = np.float32(2.0**-21)
    add = structures()["kn_add_params"]()
    assert kernels.call("kn_prepare_add", np.float32(1), 0, np.float32(1), 0, tiny, 0, 0, add) == 0
    with pytest.raises(UnsupportedError, match="output scale"):
        qp.add_params(1.0, 1.0, tiny)


def test_activation_parameters_agree(kernels: Kernels) -> None:
    rng = np.random.default_rng(7)
    for _ in range(_CASES):
        source, target, alpha = _scale(rng), _scale(rng), np.float32(rng.uniform(-1, 1))
        rescale, leaky = structures()["kn_rescale_params"](), structures()["kn_leaky_relu_params"]()
        assert kernels.call("kn_prepare_rescale", source, 1, target, 2, _ACTIVATION_CODES["RELU"], rescale) == 1
        relu = qp.relu_multiplier(source, target)
        assert _holds(rescale, multiplier=relu.multiplier, shift=relu.shift, input_zero_point=1, output_zero_point=2)
        assert kernels.call("kn_prepare_rescale", source, 1, target, 2, 0, rescale) == 1
        plain = qp.requantize_multiplier(source, target)
        assert _holds(rescale, multiplier=plain.multiplier, shift=plain.shift, activation_min=-128, activation_max=127)
        assert kernels.call("kn_prepare_leaky_relu", source, 1, alpha, target, 2, leaky) == 1
        made = qp.leaky_relu_params(source, alpha, target)
        assert _holds(
            leaky,
            alpha_multiplier=made.alpha.multiplier,
            alpha_shift=made.alpha.shift,
            multiplier=made.identity.multiplier,
            shift=made.identity.shift,
        )


def test_hard_swish_parameters_agree_or_are_refused_on_both_sides(kernels: Kernels) -> None:
    rng = np.random.default_rng(8)
    refused = 0
    for _ in range(_CASES):
        source, target = _scale(rng), _scale(rng)
        made = structures()["kn_hard_swish_params"]()
        if kernels.call("kn_prepare_hard_swish", source, 0, target, 0, made):
            expected = qp.hard_swish_params(source, target)
            assert _holds(
                made,
                output_multiplier=expected.output_multiplier,
                output_shift=expected.output_shift,
                relu_multiplier=expected.relu_multiplier,
                relu_shift=expected.relu_shift,
            )
        else:
            refused += 1
            with pytest.raises(UnsupportedError, match="HARD_SWISH"):
                qp.hard_swish_params(source, target)
    assert 0 < refused < _CASES


def test_softmax_parameters_agree(kernels: Kernels) -> None:
    rng = np.random.default_rng(9)
    for _ in range(_CASES):
        source, beta = np.float32(10.0 ** rng.uniform(-6, 3)), np.float32(np.exp(rng.uniform(-1, 1)))
        made = structures()["kn_softmax_params"]()
        assert kernels.call("kn_prepare_softmax", source, beta, made) == 1
        expected = qp.softmax_params(source, beta)
        assert _holds(
            made,
            multiplier=expected.scale.multiplier,
            shift=expected.scale.shift,
            difference_min=expected.difference_min,
        )


@pytest.mark.parametrize(
    "function, python",
    [
        ("kn_prepare_logistic_table", qp.logistic_table),
        ("kn_prepare_tanh_table", qp.tanh_table),
        ("kn_prepare_concatenation_table", qp.concatenation_table),
    ],
)
def test_tables_agree(kernels: Kernels, function: str, python: Callable) -> None:
    rng = np.random.default_rng(10)
    for _ in range(60):
        arguments = (_scale(rng), _zero_point(rng), _scale(rng), _zero_point(rng))
        table = np.empty(256, np.int8)
        kernels.call(function, *arguments, table)
        assert np.array_equal(table, python(*arguments))


def test_shapes_that_do_not_broadcast_are_refused(kernels: Kernels) -> None:
    made = structures()["kn_broadcast"]()
    dims = [(ctypes.c_int32 * 2)(3, 4), (ctypes.c_int32 * 2)(3, 5)]
    assert kernels.call("kn_broadcast_make", made, 2, dims[0], 2, dims[1]) == 0
    assert kernels.call("kn_broadcast_make", made, 2, dims[0], 2, dims[0]) == 12
    assert _field_values(made)["rank"] == 1


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(UserInputError, match="RELU6"):
        qp.activation_range("RELU5", 0.1, 0)
    with pytest.raises(UserInputError, match="SAME"):
        qp.window("same", 5, 3, 1)
    with pytest.raises(UnsupportedError, match="TANH"):
        qp.activation_range("TANH", 0.1, 0)


def test_a_structure_with_a_missing_field_is_refused() -> None:
    with pytest.raises(TypeError, match="missing"):
        struct("kn_view", rank=1)
