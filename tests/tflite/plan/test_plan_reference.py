"""Plans on the firmware's own runtime, compiled for this machine, against tflite-runtime 2.14.0 BUILTIN_REF: bit for bit.

HARNESS_KERNEL_CASES=5000 runs that many random models per op instead of the quick set.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from harness.tflite.plan import KERNEL_SETS, check, make_plan
from tests.support import plan_models
from tests.support.fixtures_audit import AuditModels
from tests.support.fixtures_kernels import ReferenceRuntime
from tests.support.kernel_cases import Case
from tests.support.kernel_catalog import GENERATORS, make_cases
from tests.support.op_models import build_graph
from tests.support.plan_runtime import HostRuntime

QUICK_CASES = 40
_SHARED = os.environ.get("HARNESS_SHARED")
_PUBLISHED = ("ad01_int8.tflite", "mobilenet_v1_0.25_128_quant.tflite") if _SHARED else ()


@pytest.fixture(scope="module")
def runtime(plan_library: Path) -> HostRuntime:
    return HostRuntime(plan_library)


def _disagreement(runtime: HostRuntime, case: Case, expected: np.ndarray | str, kernels: str) -> str | None:
    if isinstance(expected, str):
        return f"the reference refused {case.op} {case.text}: {expected}"
    try:
        plan = make_plan(case.model, kernels)
        runtime.load(plan.data)
        got = runtime.run(case.inputs)[0]
    except Exception as error:
        return f"{case.op} {case.text}: {type(error).__name__}: {error}"
    if plan.outputs[0].shape != expected.shape or str(expected.dtype) != plan.outputs[0].dtype:
        return f"{case.op} {case.text}: {plan.outputs[0]} instead of {expected.dtype}{expected.shape}"
    if got.tobytes() != expected.tobytes():
        return f"{case.op} {case.text}: {np.count_nonzero(got != expected.ravel())} of {got.size} outputs differ"
    return None


def _compare(runtime: HostRuntime, cases: list[Case], expected: list, kernels: str = "portable") -> None:
    found = (_disagreement(runtime, case, one, kernels) for case, one in zip(cases, expected, strict=True))
    problems = [text for text in found if text]
    assert not problems, f"{len(problems)} of {len(cases)} cases: " + "; ".join(problems[:5])


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_random_models_of_one_op_give_the_same_bytes(
    name: str, runtime: HostRuntime, reference_runtime: ReferenceRuntime
) -> None:
    count = int(os.environ.get("HARNESS_KERNEL_CASES", QUICK_CASES))
    cases = make_cases(name, count, seed=7)
    for start in range(0, count, 500):
        batch = cases[start : start + 500]
        _compare(runtime, batch, reference_runtime.run(batch))


@pytest.mark.parametrize("name", sorted(plan_models.GENERATORS))
def test_random_networks_give_the_same_bytes_at_every_output(
    name: str, runtime: HostRuntime, reference_runtime: ReferenceRuntime
) -> None:
    problems = []
    for case in plan_models.make_networks(name, int(os.environ.get("HARNESS_KERNEL_CASES", QUICK_CASES))):
        plan = make_plan(case.network.model())
        runtime.load(plan.data)
        got = runtime.run(case.inputs)
        # All inputs again: an inference may have overwritten them, and the next one must not depend on what it left.
        again = runtime.run(case.inputs)
        expected = (_node_by_node if name == "random_graph" else _whole)(case, reference_runtime)
        problems += [
            f"{case.text} output {i}: {one}"
            for i, one in enumerate(expected)
            if isinstance(one, str) or not got[i].tobytes() == again[i].tobytes() == one.tobytes()
        ]
    assert not problems, f"{len(problems)}: {problems[:3]}"


def _whole(case: plan_models.NetworkCase, reference: ReferenceRuntime) -> list[np.ndarray | str]:
    """The reference's outputs; it hands out the first one only, so each becomes the first in turn."""
    return reference.run(
        [_case(case.text, case.network.model(first), case.inputs) for first in range(len(case.network.outputs))]
    )


def _node_by_node(case: plan_models.NetworkCase, reference: ReferenceRuntime) -> list[np.ndarray | str]:
    """The same, every node as a model of its own.

    tflite-runtime 2.14.0 is not to be trusted with chains of RESHAPE: where the memory under two of them is read again later, a
    node in between may work in place on it (seen: an ADD whose exact result is -114 gives -71; right when any other node is
    taken out of the model).
    """
    net = case.network.net
    values = dict(zip(case.network.inputs, case.inputs, strict=True))
    for node in net.nodes:
        read = [i for i in dict.fromkeys(node.inputs) if net.tensors[i].data is None]
        turned = [node.outputs[k:] + node.outputs[:k] for k in range(len(node.outputs))]
        models = [build_graph(net.tensors, [node], read, outputs) for outputs in turned]
        results = reference.run([_case(case.text, model, tuple(values[i] for i in read)) for model in models])
        for outputs, result in zip(turned, results, strict=True):
            if isinstance(result, str):
                return [result]
            values[outputs[0]] = result
    return [values[i] for i in case.network.outputs]


def _case(text: str, model: bytes, inputs: tuple[np.ndarray, ...]) -> Case:
    return Case(op="network", text=text, model=model, inputs=inputs, run=lambda _: np.empty(0))


@pytest.mark.parametrize("kernels", KERNEL_SETS)
def test_a_plan_for_fast_kernels_gives_the_same_bytes(
    kernels: str, runtime: HostRuntime, reference_runtime: ReferenceRuntime
) -> None:
    """The host runs the portable kernels for any plan: folded biases and scratch must not disturb them."""
    cases = [case for name in ("conv", "depthwise", "fully_connected") for case in make_cases(name, 20, seed=8)]
    _compare(runtime, cases, reference_runtime.run(cases), kernels)


def check_whole_model(
    name: str, model: bytes, runtime: HostRuntime, reference: ReferenceRuntime, count: int = 10
) -> None:
    """Same bytes on `count` random inputs, one after the other on one loaded plan."""
    rng = np.random.default_rng(11)
    cases = [_case(name, model, plan_models.random_inputs(model, rng)) for _ in range(count)]
    expected = reference.run(cases)
    runtime.load(make_plan(model).data)
    for case, one in zip(cases, expected, strict=True):
        assert isinstance(one, np.ndarray), one
        got = runtime.run(case.inputs)[0]
        assert got.tobytes() == one.tobytes(), f"{np.count_nonzero(got != one.ravel())} of {got.size} outputs differ"
    assert len({one.tobytes() for one in expected}) > 1, "the inputs must matter"


@pytest.mark.parametrize("name", [*sorted(plan_models.NETWORKS), *_PUBLISHED])
def test_a_whole_model_gives_the_same_bytes(
    name: str, runtime: HostRuntime, reference_runtime: ReferenceRuntime
) -> None:
    own = plan_models.NETWORKS.get(name)
    model = own() if own else (Path(_SHARED or "") / "models" / name).read_bytes()
    check_whole_model(name, model, runtime, reference_runtime)


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe", ["ptq-int8-io", "ptq-uint8-io", "ptq-int8-io-dynbatch", "ft-int8-io", "qat-int8-io", "qat-default"]
)
def test_a_built_variant_gives_the_same_bytes(
    recipe: str, built: dict, runtime: HostRuntime, reference_runtime: ReferenceRuntime
) -> None:
    """mnist-cnn as the harness builds it: int8, uint8 and float inputs and outputs, a fixed and a dynamic batch."""
    check_whole_model(recipe, built[recipe].path.read_bytes(), runtime, reference_runtime)


@pytest.mark.slow
@pytest.mark.parametrize(("workload", "recipe"), [("sensor-cnn", "qat-default"), ("mnist-cnn", "qat-dense-int8-io")])
def test_other_published_networks_give_the_same_bytes(
    workload: str, recipe: str, audit_models: AuditModels, runtime: HostRuntime, reference_runtime: ReferenceRuntime
) -> None:
    check_whole_model(workload, audit_models.path(workload, recipe).read_bytes(), runtime, reference_runtime, count=2)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["ptq-default", "ptq-aeq-dyn8"])
def test_a_built_variant_with_hybrid_kernels_is_refused_with_a_way_out(recipe: str, built: dict) -> None:
    reasons = check(built[recipe].path)
    assert "FULLY_CONNECTED" in {reason.op for reason in reasons}
    assert all("ptq-int8-io" in str(reason) for reason in reasons)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["ptq-float32", "ptq-wo8"])
def test_a_built_variant_that_computes_in_floats_gives_the_reference_s_numbers(
    recipe: str, built: dict, runtime: HostRuntime, reference_runtime: ReferenceRuntime
) -> None:
    model = built[recipe].path.read_bytes()
    plan = make_plan(model)
    values = np.random.default_rng(5).random((1, *plan.inputs[0].shape[1:])).astype(np.float32)
    case = Case(op="model", text=recipe, model=model, inputs=(values,), run=lambda _kernels: values)
    (expected,) = reference_runtime.run([case])
    runtime.load(plan.data)
    assert np.abs(runtime.run([values])[0] - expected.ravel()).max() <= 1e-5 * np.abs(expected).max()
    assert {reason.op for reason in check(model, floats=False)} >= {"CONV_2D", "FULLY_CONNECTED"}
