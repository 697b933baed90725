"""cifar-conv on a device: `pytest suites/test_cifar.py --device imx8mp`."""

from harness.suite import Suite

SUITE = Suite(workload="cifar-conv", recipes=("core",), max_accuracy_drop=0.02)


def test_cell(cell):
    cell.check()
