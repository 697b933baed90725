"""The script that draws the page's plots: plotly's own file, from its wheel."""

from __future__ import annotations

import importlib.util
import os
from importlib.metadata import version
from pathlib import Path

from harness.core.errors import HarnessError
from harness.core.files import write_bytes_atomic
from harness.results.faults import storage_faults
from harness.results.layout import ASSETS_NAME


def plotly_script() -> Path:
    """Where plotly's script lies, found without importing the package.

    Raises:
        HarnessError: the package is not whole.
    """
    found = importlib.util.find_spec("plotly")
    path = Path(found.origin).parent / "package_data" / "plotly.min.js" if found and found.origin else None
    if path is None or not path.is_file():
        raise HarnessError("plotly's script is not there", hint="install the package anew: pip install plotly")
    return path


def asset_name() -> str:
    """The script's name, which says its version: pages of older nights keep the script that they were made for."""
    return f"plotly-{version('plotly')}.min.js"


def place_script(results_dir: Path) -> Path:
    """Copies the script into `results/assets/`, once.

    Raises:
        UserInputError: the folder cannot be written.
        HarnessError: the disk is full, or the package is not whole.
    """
    source, target = plotly_script(), results_dir / ASSETS_NAME / asset_name()
    with storage_faults(target):
        if target.is_file() and os.path.getsize(target) == os.path.getsize(source):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        write_bytes_atomic(target, source.read_bytes())
    return target
