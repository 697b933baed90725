"""suites/expectations.yaml agrees with the coverage tables: what a delegate takes no node of is expected, and nothing else."""

from __future__ import annotations

import pytest

from harness.predict.coverage import delegate_coverage
from harness.results.record import CellKey
from harness.suites.suite import find_expectation, load_expectations
from harness.variants.recipe import CORE
from tests.support.places import ROOT

EXPECTATIONS = load_expectations(ROOT / "suites" / "expectations.yaml")


def expected(workload, recipe, device):
    key = CellKey(workload=workload, recipe=recipe, device=device, backend="npu", dataset="d", seed=0)
    found = find_expectation(EXPECTATIONS, key)
    return found.outcome if found else "ok"


@pytest.mark.parametrize("device, delegate", [("imx8mp", "vx"), ("imx8mp@qemu", "npu-standin")])
def test_cells_of_the_npu_that_run_on_the_cpu_are_expected_and_no_others(audit_models, device, delegate):
    seen = set()
    for path in sorted(audit_models.folder.glob("*__*.tflite")):
        workload, _, recipe = path.stem.partition("__")
        outcome = expected(workload, recipe, device)
        if recipe not in CORE or outcome in ("unsupported", "wrong"):
            continue
        taken = sum(node.taken for node in delegate_coverage(delegate, audit_models.graph(workload, recipe)))
        assert (taken == 0) == (outcome == "not-delegated"), (
            f"{path.stem} on {device}: {taken} nodes, expected {outcome}"
        )
        seen.add(outcome)
    assert seen == {"ok", "not-delegated"} or device == "imx8mp"


def test_every_recipe_of_16_bit_activations_is_expected_on_both():
    for device in ("imx8mp", "imx8mp@qemu"):
        assert {expected(w, "ptq-int16x8", device) for w in ("mnist-cnn", "cifar-conv", "sensor-cnn")} == {
            "not-delegated"
        }
