"""16-bit activations, TRANSPOSE_CONV and rarer 8-bit ops: the firmware's runtime against tflite-runtime 2.14.0, bit for bit.

HARNESS_KERNEL_CASES=2000 runs that many random models per op instead of the quick set.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from harness.core.errors import UnsupportedError
from harness.tflite.plan import make_plan
from tests.support.fixtures_kernels import ReferenceRuntime
from tests.support.plan_runtime import HostRuntime
from tests.support.wide_cases import all_generators, make_wide_cases

QUICK_CASES = 60


@pytest.mark.parametrize("name", sorted(all_generators()))
def test_random_models_of_one_op_give_the_same_bytes(
    name: str, plan_library: Path, reference_runtime: ReferenceRuntime
) -> None:
    runtime = HostRuntime(plan_library)
    cases = make_wide_cases(name, int(os.environ.get("HARNESS_KERNEL_CASES", QUICK_CASES)))
    problems, compared = [], 0
    for case, expected in zip(cases, reference_runtime.run(cases), strict=True):
        try:
            plan = make_plan(case.model)
        except UnsupportedError as error:
            # Scales out of proportion, which the reference refuses or has no right answer for.
            if "ratio of scales" not in str(error) and "output scale" not in str(error):
                problems.append(f"{case.text}: {error}")
            continue
        if isinstance(expected, str):
            problems.append(f"{case.text}: the reference refused: {expected}")
            continue
        runtime.load(plan.data)
        got = runtime.run([v.view(np.uint8) if v.dtype == bool else v for v in case.inputs])[0]
        got = got.view(bool) if expected.dtype == bool else got
        compared += 1
        if got.dtype != expected.dtype or got.tobytes() != expected.tobytes():
            different = np.count_nonzero(got != expected.ravel()) if got.size == expected.size else got.size
            problems.append(f"{case.text}: {different} of {expected.size} outputs differ")
    assert not problems, f"{len(problems)} of {len(cases)}: " + "; ".join(problems[:4])
    assert compared >= 0.9 * len(cases)
