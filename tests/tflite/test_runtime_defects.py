"""Ops that runtimes compute wrongly: each known defect shown on its runtime, and foretold by the data file; nothing else is."""

import platform

import pytest

from harness.envs.hostenv import ensure_runtime_env
from harness.measure.op_cases import record_cases
from harness.measure.op_check import judge_op
from harness.tflite.features import known_runtimes, runtime_supports
from harness.tflite.graph import read_graph
from tests.support.defect_cases import defect_cases
from tests.support.host_runtime import HostRuntime, RuntimeRefused

CASES = {case.name: case for case in defect_cases()}
KERNELS = ("reference", "no-default-delegate", "default")
#: defects that show only with some values: the data files warn of them whatever the values are
DATA_DEPENDENT = {"quotient int8 of -100 steps", "sum int16 of one scale, small"}


@pytest.fixture(scope="module")
def expected(litert):
    """Case -> what its op must give, by the float twin on float kernels."""
    return {
        name: next(record_cases(case.model, case.feeds, lambda model, x: litert.run(model, x, kernels="default")))
        for name, case in CASES.items()
    }


@pytest.fixture(scope="module")
def verdicts(expected):
    """(runtime, version, case, kernels) -> ok, wrong or refused, as it is."""
    found = {}
    for name, version in known_runtimes():
        with HostRuntime(str(ensure_runtime_env(f"{name}=={version}").python)) as runtime:
            for case in CASES.values():
                for kernels in KERNELS:
                    try:
                        outputs = runtime.run(case.model, case.feeds, kernels=kernels)
                    except RuntimeRefused:
                        verdict = "refused"
                    else:
                        verdict = judge_op(expected[case.name], outputs).verdict
                    found[name, version, case.name, kernels] = verdict
    return found


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize(("runtime", "version"), known_runtimes())
def test_each_defect_is_foretold_and_no_other(verdicts, runtime, version, kernels):
    missed = {}
    for case in CASES.values():
        support = runtime_supports(
            runtime, version, read_graph(case.model), kernels=kernels, machine=platform.machine()
        )
        predicted = "refused" if support.loads is False else {True: "ok", False: "wrong", None: "?"}[support.right]
        seen = verdicts[runtime, version, case.name, kernels]
        if predicted != seen and not (case.name in DATA_DEPENDENT and (predicted, seen) == ("wrong", "ok")):
            missed[case.name] = (predicted, seen, support.reasons)
    assert missed == {}


@pytest.mark.parametrize(
    ("runtime", "version", "kernels", "case"),
    [
        ("tflite-runtime", "2.14.0", "reference", "dense int8 per-channel of rank 3 from 3"),
        ("ai-edge-litert", "1.0.1", "reference", "dense int8 per-channel of rank 3 from 3"),
        ("tflite-runtime", "2.14.0", "default", "dense int16 per-channel of rank 3 from 3"),
        ("ai-edge-litert", "1.0.1", "default", "dense int16 per-channel of rank 3 from 3"),
        ("tflite-runtime", "2.14.0", "reference", "sum int8 of two scales"),
        ("ai-edge-litert", "2.3.0", "reference", "sum int8 of two scales"),
        ("tflite-runtime", "2.14.0", "default", "sum int16 of one scale"),
        ("ai-edge-litert", "2.3.0", "reference", "sum int16 of one scale"),
        ("ai-edge-litert", "2.0.3", "default", "product int8 with zero point 11"),
        ("ai-edge-litert", "2.3.0", "default", "quotient int8 of -1 steps"),
        ("tflite-runtime", "2.14.0", "default", "dense float32 per-channel of rank 3 from 3"),
        ("ai-edge-litert", "1.2.0", "default", "dense float32 per-channel of rank 2 from 4"),
    ],
)
def test_the_defects_are_really_there(verdicts, runtime, version, kernels, case):
    assert verdicts[runtime, version, case, kernels] == "wrong"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the kernel that errs is that of x86-64")
@pytest.mark.parametrize("version", ["1.0.1", "1.2.0", "2.0.3", "2.3.0"])
def test_long_rows_overflow_in_every_litert(verdicts, version):
    long = "long hybrid dense, asymmetric True"
    assert verdicts["ai-edge-litert", version, long, "reference"] == "wrong"
    assert verdicts["ai-edge-litert", version, long, "default"] == "ok"
