"""mnist-cnn on a device: `pytest suites/test_mnist.py --device imx8mp`."""

from harness.suite import Suite

SUITE = Suite(workload="mnist-cnn", recipes=("core",), max_accuracy_drop=0.02)


def test_cell(cell):
    cell.check()
