"""The commands that stand with an alarm: what reproduces it, and what finds out what did it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from harness.results.cellname import cell_name
from harness.results.record import CellKey
from harness.verdict.quantities import BY_NAME
from harness.verdict.verdict import Verdict
from harness.workloads.given import given_workload

#: stored option -> how the command line calls it
_ONCE = {
    "data_dir": "--data-dir",
    "data": "--data",
    "metric": "--metric",
    "devices_dir": "--devices-dir",
    "bundle": "--bundle",
}
#: a finished .tflite runs as it is, and takes no recipe
_AS_IS = "as-is"


def reproduction(key: CellKey, options: Mapping[str, Any]) -> str:
    """`harness run` for one cell, as the run that gave it was called.

    Args:
        options: the run's stored options.
    """
    words = ["harness", "run", "--workload", given_workload(key.workload, options.get("workloads") or ())]
    words += [] if key.recipe == _AS_IS and not options.get("bundle") else ["--recipe", key.recipe]
    words += ["--device", key.device, "--backend", key.backend]
    if key.seed:
        words += ["--seeds", str(key.seed + 1)]
    for name, flag in _ONCE.items():
        if options.get(name):
            words += [flag, str(options[name])]
    if options.get("samples") is not None:
        words += ["--samples", str(options["samples"] or "all")]
    return shlex.join(words)


def bisection(verdict: Verdict, place: str = "") -> str | None:
    """`harness bisect` for an open regression of a series, where there is something to bring back; None where not.

    Args:
        place: options that say where the store is.
    """
    if not verdict.open or verdict.cause not in ("artifact", "environment"):
        return None
    quantity = BY_NAME.get(verdict.quantity)
    if quantity is None or quantity.name == "energy":
        return None
    return shlex.join(["harness", "bisect", cell_name(verdict.key), "--quantity", quantity.name]) + place


def acceptance(device: str, place: str = "") -> str:
    """`harness accept` for a board that changed for a good reason; arguments as of `bisection`."""
    return shlex.join(["harness", "accept", "--board", device, "--why"]) + f" TEXT{place}"
