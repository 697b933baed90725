"""cifar-separable, and what is known of quantized depthwise-separable networks: `pytest suites/test_separable.py --device NAME`.

Four of the models behind the tables of docs/guides/published-experiments.md, and what each does to the float model's score;
`harness study schemes cifar-separable --device host-litert` runs all 50.
"""

import pytest

from harness.reports.studies.schemes import COLLAPSE, WHOLE
from harness.suite import Suite

PER_LAYER, TRAINED = "ptq-sim[w4,a8,per-tensor]", "qat-sim[w4,a8,per-tensor]"
SUITE = Suite(
    workload="cifar-separable", recipes=("ptq-int8-io", "ptq-sim[w8,a8]", PER_LAYER, TRAINED), max_accuracy_drop=WHOLE
)


def test_effect(cell):
    """With 4 bits one range per layer collapses and training regains it; with 8 bits one per channel loses nothing."""
    if cell.record.key.recipe != PER_LAYER:
        cell.check()
    if not cell.record.dataset_name.startswith("cifar10"):
        pytest.skip("the effects are known of CIFAR-10: give a folder with cifar10.npz by --data-dir")
    loss = -cell.record.accuracy_delta
    if cell.record.key.recipe == PER_LAYER:
        assert loss >= COLLAPSE, f"lost {loss:.4f} only"
    elif cell.record.key.recipe == TRAINED:
        assert loss <= WHOLE, f"lost {loss:.4f} even with training"
