"""Which layer loses what on a device: `harness.explain`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api.calls import PathLike, text, told
from harness.core.paths import results_dir

if TYPE_CHECKING:
    import pandas as pd

    from harness.explain.document import Explanation


@dataclass(frozen=True, eq=False)
class LayerExplanation:
    """What was found of a model on a device, layer by layer; `found` has everything."""

    found: Explanation

    def __repr__(self) -> str:
        return f"<harness explanation of {self.found.cell}: {self.answer}>"

    @property
    def answer(self) -> str:
        """One sentence."""
        return self.found.answer

    @property
    def advice(self) -> list[tuple[str, str]]:
        """What to try, (what and why, command), the most promising first."""
        from harness.reports.explained import advice_lines

        return advice_lines(self.found)

    def to_frame(self) -> pd.DataFrame:
        """A row per layer: the columns of the workbook's sheet Explain behind the cell's key."""
        from harness.reports import tables
        from harness.reports.explained import COLUMNS, layer_row

        return tables.table([layer_row(self.found, layer) for layer in self.found.layers], COLUMNS)


@told
def explain(
    target: PathLike,
    *,
    run: str | None = None,
    device: str | None = None,
    backend: str | None = None,
    data: PathLike | None = None,
    metric: str | None = None,
    plain: PathLike | None = None,
    samples: int = 100,
    on_device: bool = True,
    devices_dir: PathLike | None = None,
    results: PathLike | None = None,
) -> LayerExplanation:
    """Says which layer of a model loses what on a device, why, and what to try: `harness explain`.

    Args:
        target: a stored cell, `WORKLOAD/RECIPE/DEVICE/BACKEND[/seedN]`, or a .tflite with a device.
        run: of a cell; None: the newest that has it.
        device, backend, data, metric: of a .tflite.
        plain: the float .tflite that it was made of; None: for a cell that of its run.
        samples: for the error of each layer.
        on_device: False: only what this machine computes, and nothing is kept.
        results: the results folder.

    Raises:
        UserInputError: no such cell, model, device or backend.
        DeviceError: the board cannot be reached.
    """
    from harness.core.errors import UserInputError
    from harness.explaining import ExplainOptions, explain_cell, explain_model
    from harness.run.options import RunOptions

    options = ExplainOptions(samples=samples, on_device=on_device)
    name, given = str(text(target)), None if plain is None else Path(plain)
    if Path(name).suffix != ".tflite":
        return LayerExplanation(
            explain_cell(
                results_dir(text(results)), name, run=run, devices_dir=text(devices_dir), plain=given, options=options
            )
        )
    if device is None:
        raise UserInputError("a model file is explained on a device", where=name, hint='name it: device="host-litert"')
    run_options = RunOptions(
        devices=(device,),
        recipes=(),
        backends=(backend,) if backend else (),
        data=text(data),
        metric=metric,
        devices_dir=text(devices_dir),
    )
    return LayerExplanation(
        explain_model(Path(name), run_options=run_options, backend=backend, plain=given, options=options)
    )
