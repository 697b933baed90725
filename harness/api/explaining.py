"""Which layer loses what on a device: `harness.explain`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api.calls import Data, Names, PathLike, data_file, names, seconds, text, told
from harness.core.errors import UserInputError
from harness.core.paths import results_dir

if TYPE_CHECKING:
    import pandas as pd

    from harness.explain.document import Advice, Explanation


@dataclass(frozen=True, eq=False)
class Explained:
    """Which layer loses what, and why."""

    explanation: Explanation

    def __repr__(self) -> str:
        return f"<harness explanation of {self.explanation.cell}: {self.answer}>"

    @property
    def answer(self) -> str:
        """In one sentence."""
        return self.explanation.answer

    @property
    def advice(self) -> Sequence[Advice]:
        """What to try, the most promising first."""
        return self.explanation.advice

    def to_frame(self) -> pd.DataFrame:
        """A row per layer: what the device does to it, its error against float, what putting it back to float regains, its cost,
        the cause. The columns of the workbook's sheet Explain."""
        import pandas as pd

        from harness.reports.explained import COLUMNS, layer_row

        return pd.DataFrame([layer_row(self.explanation, layer) for layer in self.explanation.layers], columns=COLUMNS)


@told
def explain(
    target: PathLike,
    *,
    run: str | None = None,
    device: str | None = None,
    backend: str | None = None,
    plain: PathLike | None = None,
    data: Data | None = None,
    metric: str | None = None,
    emulated: bool = False,
    runtimes: Names = (),
    samples: int = 100,
    on_device: bool = True,
    limit: float | str = "10m",
    data_dir: PathLike | None = None,
    devices_dir: PathLike | None = None,
    results: PathLike | None = None,
) -> Explained:
    """Says which layer loses what, why, and what to try: `harness explain`.

    Args:
        target: a stored cell, `WORKLOAD/RECIPE/DEVICE/BACKEND[/seedN]`, or a .tflite with `device`.
        run: of a cell: None: the newest that has it.
        device, backend, data, metric, emulated, runtimes: of a .tflite.
        plain: the float .tflite, where it is not that of the run.
        samples: for the error of each layer.
        on_device: False: only what this machine computes, and nothing is kept.
        limit: when no further op is begun on the device.

    Raises:
        HarnessError: no such cell, what it needs is gone, or the board cannot be reached.
    """
    from harness.explaining import ExplainOptions, explain_cell, explain_model
    from harness.run.options import RunOptions
    from harness.workloads.finished import is_finished

    options = ExplainOptions(samples=samples, on_device=on_device, limit_s=seconds(limit, "limit") or 0.0)
    float_file = None if plain is None else Path(plain).expanduser()
    path = Path(target)
    if not is_finished(path):
        found = explain_cell(
            results_dir(results), str(target), run=run, devices_dir=text(devices_dir), plain=float_file, options=options
        )
        return Explained(found)
    if device is None:
        raise UserInputError(
            "a model file is explained on a device", where=str(target), hint="name one, such as device='host-litert'"
        )
    asked = RunOptions(
        devices=(device,),
        recipes=(),
        runtimes=names(runtimes),
        emulated=emulated,
        devices_dir=text(devices_dir),
        data_dir=text(data_dir),
        data=data_file(data),
        metric=metric,
        backends=names(backend),
    )
    return Explained(explain_model(path, run_options=asked, backend=backend, plain=float_file, options=options))
