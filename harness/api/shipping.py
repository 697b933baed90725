"""Comparing two models, and shipping what was measured: `harness.diff`, `harness.export`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api.calls import PathLike, text, told
from harness.core.paths import results_dir

if TYPE_CHECKING:
    import pandas as pd

    from harness.diff.diff import ModelDiff
    from harness.export.export import Exported


@dataclass(frozen=True, eq=False)
class ModelComparison:
    """What differs between two models; `found` has everything."""

    found: ModelDiff

    def __repr__(self) -> str:
        return f"<harness comparison of {self.found.a.name} and {self.found.b.name}: {self.found.sameness}>"

    @property
    def same(self) -> bool:
        """The same bytes, or models that differ in names only."""
        return self.found.sameness != "different"

    @property
    def worse(self) -> bool:
        """Whether the second one's score is shown to be worse."""
        return self.found.worse

    def to_frame(self) -> pd.DataFrame:
        """A row per node: `state` (same, changed, added, removed, moved) and what differs."""
        import pandas as pd

        from harness.diff.plain import diff_json

        return pd.DataFrame(diff_json(self.found)["nodes"])


@told
def diff(
    a: PathLike,
    b: PathLike,
    *,
    run: str | None = None,
    workload: str | None = None,
    data: PathLike | None = None,
    metric: str | None = None,
    results: PathLike | None = None,
) -> ModelComparison:
    """Compares two models: `harness diff`.

    Args:
        a, b: .tflite files, stored cells, or recipes of a run.
        run, workload: of recipes; None: the newest run, and its only workload.
        data: samples with labels, for both scores; two cells are compared by what their devices answered.
        metric: what the samples are judged by.

    Raises:
        HarnessError: one cannot be read, or the data do not fit.
    """
    from harness.diff.asked import find_sides, score_of
    from harness.diff.diff import diff_models

    home = results_dir(results)
    sides = find_sides((str(a), str(b)), home, run=run, workload=workload)
    score = score_of(sides, home, None if data is None else Path(data), metric)
    return ModelComparison(diff_models(*sides, score=score))


@told
def export(
    cell: str,
    folder: PathLike,
    *,
    run: str | None = None,
    samples: int = 4,
    name: str | None = None,
    board: PathLike | None = None,
    anyway: bool = False,
    force: bool = False,
    results: PathLike | None = None,
) -> Exported:
    """Writes a folder to ship of what was measured: `harness export`.

    Args:
        cell: `WORKLOAD/RECIPE/DEVICE/BACKEND[/seedN]`.
        folder: what is made, whole or not at all.
        run: None: the newest that has it.
        samples: measured samples that go along with the outputs that the device gave.
        name, board: of a microcontroller's library: what its names begin with, and the folder of the port.
        anyway: also where the cell is not ok; the README then says so first.
        force: replace an export that is there already.

    Raises:
        HarnessError: it does not ship, and why.
    """
    from harness.export.export import export as write
    from harness.export.folder import require_place
    from harness.export.shipped import ship
    from harness.results.find import find_record
    from harness.results.objects import open_objects
    from harness.results.store import Store

    place, home = Path(folder).expanduser(), results_dir(results)
    require_place(place.absolute(), force=force)
    with Store.open(home, create=False) as store:
        record = find_record(store, cell, run=run)
    shipped = ship(record, open_objects(home), samples=samples, anyway=anyway)
    return write(shipped, place, force=force, anyway=anyway, name=name, board=text(board))
