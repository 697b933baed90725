"""A metric of your own in this process: `harness.use_metric`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.workloads.metrics.base import Metric


def use_metric(metric: Metric) -> None:
    """Makes a metric known by its name to `measure`, to `run` of a finished .tflite, and to what reads their records here.

    Float models are built by worker processes, and a metric is what they are trained by: for those, and for every other process,
    a metric comes from a package (entry point `harness.metrics`, docs/guides/adding-a-workload.md).

    Args:
        metric: an instance of a class that derives from `harness.workloads.metrics.base.Metric`.

    Raises:
        UserInputError: it is no metric, or its name is taken.
    """
    from harness.workloads.metrics.registry import use_metric as use

    use(metric)
