"""The command that reproduces an alarm."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.results.record import CellKey

#: stored option -> how the command line calls it
_ONCE = {"data_dir": "--data-dir", "data": "--data", "devices_dir": "--devices-dir"}


def reproduction(key: CellKey, options: Mapping[str, Any]) -> str:
    """`harness run` for one cell, as the run that gave it was called.

    Args:
        options: the run's stored options.
    """
    words = [
        "harness",
        "run",
        "--workload",
        _workload(key.workload, options),
        "--recipe",
        key.recipe,
        "--device",
        key.device,
    ]
    words += ["--backend", key.backend]
    if key.seed:
        words += ["--seeds", str(key.seed + 1)]
    for name, flag in _ONCE.items():
        if options.get(name):
            words += [flag, str(options[name])]
    if options.get("samples") is not None:
        words += ["--samples", str(options["samples"] or "all")]
    return shlex.join(words)


def _workload(name: str, options: Mapping[str, Any]) -> str:
    """The name, or the user's own file that goes by it."""
    for given in options.get("workloads") or ():
        if Path(str(given)).stem == name:
            return str(given)
    return name
