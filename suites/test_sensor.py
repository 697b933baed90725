"""sensor-cnn on a device: `pytest suites/test_sensor.py --device imx8mp`."""

from harness.suite import Suite

SUITE = Suite(workload="sensor-cnn", recipes=("core",), max_accuracy_drop=0.02)


def test_cell(cell):
    cell.check()
