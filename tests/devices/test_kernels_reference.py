"""The kernels against tflite-runtime 2.14.0 BUILTIN_REF, bit for bit, on random single-op models.

HARNESS_KERNEL_CASES=5000 runs that many cases per op instead of the quick set.
"""

from collections.abc import Iterator

import numpy as np
import pytest

from harness.tflite.quantized_params import softmax_params
from tests.support.fixtures_kernels import ReferenceRuntime, case_count
from tests.support.kernel_cases import Case, Quantized, activation_tensor, as_int8
from tests.support.kernel_cases_simple import UNIT_OUTPUT
from tests.support.kernel_catalog import GENERATORS, make_cases
from tests.support.kernels_abi import Kernels, struct
from tests.support.op_models import Op, build_model

_BATCH = 500


def _batches(cases: list[Case]) -> Iterator[list[Case]]:
    for start in range(0, len(cases), _BATCH):
        yield cases[start : start + _BATCH]


def _disagreement(case: Case, expected: np.ndarray | str, got: np.ndarray) -> str | None:
    if isinstance(expected, str):
        return f"the runtime refused {case.op} {case.text}: {expected}"
    reference = as_int8(expected)
    if reference.shape != got.shape or reference.dtype != got.dtype:
        return f"{case.op} {case.text}: {got.dtype}{got.shape} instead of {reference.dtype}{reference.shape}"
    if reference.tobytes() != got.tobytes():
        wrong = np.flatnonzero(reference.ravel() != got.ravel())
        return (
            f"{case.op} {case.text}: {len(wrong)} of {got.size} differ, first at {wrong[0]}: "
            f"{got.ravel()[wrong[0]]} instead of {reference.ravel()[wrong[0]]}"
        )
    return None


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_outputs_equal_the_reference_kernels_bit_for_bit(
    name: str, kernels: Kernels, reference_runtime: ReferenceRuntime
) -> None:
    cases = make_cases(name, case_count())
    problems = []
    for batch in _batches(cases):
        for case, expected in zip(batch, reference_runtime.run(batch), strict=True):
            problem = _disagreement(case, expected, case.run(kernels))
            if problem:
                problems.append(problem)
    assert not problems, f"{len(problems)} of {len(cases)} cases: " + "; ".join(problems[:5])


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_the_random_cases_cover_both_number_formats(name: str) -> None:
    assert {case.dtype for case in make_cases(name, 40)} == {"int8", "uint8"}


def test_a_changed_multiplier_is_noticed_by_the_comparison(
    kernels: Kernels, reference_runtime: ReferenceRuntime
) -> None:
    """The comparison can fail: outputs of one case held against the reference's outputs of another."""
    cases = make_cases("leaky_relu", 20)
    expected = reference_runtime.run(cases)
    assert all(_disagreement(case, expected[i - 1], case.run(kernels)) for i, case in enumerate(cases))


def test_softmax_over_512_equal_values_is_right_where_the_reference_is_undefined(
    kernels: Kernels, reference_runtime: ReferenceRuntime
) -> None:
    """The one known difference: the reference shifts a 32-bit number by 32 there and answers 127 for every class."""
    depth = 1001
    flat = Quantized(scale=np.float32(0.001), zero_point=0)
    model = build_model(
        Op(name="SOFTMAX", options_table="SoftmaxOptions", options={"Beta": 1.0}),
        [activation_tensor((1, depth), "int8", flat)],
        activation_tensor((1, depth), "int8", UNIT_OUTPUT),
    )
    values, output = np.zeros((1, depth), np.int8), np.empty((1, depth), np.int8)
    made = softmax_params(flat.scale)
    params = struct(
        "kn_softmax_params",
        rows=1,
        depth=depth,
        multiplier=made.scale.multiplier,
        shift=made.scale.shift,
        difference_min=made.difference_min,
    )
    kernels.call("kn_softmax", params, values, output)
    case = Case(op="SOFTMAX", text="flat", model=model, inputs=(values,), run=lambda _kernels: output)
    assert set(output.ravel().tolist()) == {-128}, "1/1001 is under half a step of 1/256"
    assert set(reference_runtime.run([case])[0].ravel().tolist()) == {127}
