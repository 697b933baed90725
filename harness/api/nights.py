"""Nights and what is done with them: `harness.nightly`, `harness.accept`, `harness.bisect`, `harness.baseline`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api.asked import Project, run_options, with_project
from harness.api.calls import Data, Names, PathLike, names, seconds, text, told
from harness.api.running import Progress, run_cells
from harness.api.runs import Run, run_of
from harness.core.paths import results_dir

if TYPE_CHECKING:
    import pandas as pd

    from harness.nightly.night import NightResult
    from harness.verdict.accept import Accepted
    from harness.verdict.bisection import Bisection
    from harness.verdict.night import Judgement
    from harness.verdict.verdict import Verdict


@dataclass(frozen=True, eq=False)
class NightRun:
    """A night that has been judged.

    Attributes:
        run: its cells.
        left_out: devices that could not run tonight, with the reason.
        page: the run's page with the verdict; None where the run was not exported.
    """

    run: Run
    done: NightResult
    left_out: Mapping[str, str] = field(default_factory=dict)
    page: Path | None = None

    def __repr__(self) -> str:
        return f"<harness night {self.run.id} of {self.series}: {len(self.worse)} worse>"

    @property
    def series(self) -> str:
        """The history that it belongs to."""
        return self.judgement.series

    @property
    def judgement(self) -> Judgement:
        """The verdict in full."""
        return self.done.judgement

    @property
    def worse(self) -> list[Verdict]:
        """The open regressions, the most urgent first."""
        return self.judgement.open

    @property
    def exit_code(self) -> int:
        """What the command would end with: 0, 2 where a device failed or cells were not run, 3 where something is worse."""
        return int(self.done.exit_code)

    def lines(self) -> list[str]:
        """The verdict as the command prints it."""
        from harness.reports.verdicts.text import plain_lines

        return list(plain_lines(self.judgement))

    def to_frame(self) -> pd.DataFrame:
        """A row per cell and quantity, with the columns of `harness.compare(...).to_frame()`."""
        from harness.reports.regressions import verdicts_table

        return verdicts_table(self.judgement, {record.key: record for record in self.run.records})


@told
def nightly(
    workloads: Names = (),
    *,
    devices: Names = (),
    recipes: Names | None = None,
    backends: Names = (),
    data: Data | None = None,
    metric: str | None = None,
    samples: int | str | None = None,
    seeds: int = 1,
    budget: float | str | None = None,
    emulated: bool = False,
    runtimes: Names = (),
    bundle: PathLike | None = None,
    jobs: int | None = None,
    deadline: float | str | None = None,
    series: str | None = None,
    confirm: bool = True,
    confirm_budget: float | str | None = None,
    controls: bool = True,
    new_only: bool = False,
    published: PathLike | None = None,
    data_dir: PathLike | None = None,
    devices_dir: PathLike | None = None,
    results: PathLike | None = None,
    project: Project = True,
    note: Callable[[str], None] = lambda text: None,
    progress: Progress | None = None,
) -> NightRun:
    """Runs the matrix, compares it with the nights before, says what got worse: `harness nightly`.

    Args:
        devices: none: those of the project, else all that exist without hardware.
        budget: None: 6 minutes, 15 with `emulated`.
        series: the history that it belongs to; None: that of its plan.
        confirm: asks the boards again for suspects, for at most `confirm_budget`.
        controls: runs control cells.
        new_only: only regressions that began tonight make `exit_code` 3.
        published: figures that page and workbook set beside the night's.
        note: told what is going on beside the cells.

    The other arguments are those of `harness.run`.

    Raises:
        HarnessError: wrong input, or something that is missing; nothing has run then.
        KeyboardInterrupt: after everything finished is stored; `harness run --resume` goes on with it.
    """
    from harness.nightly.defaults import BUDGET, EMULATED_BUDGET, devices_of_tonight
    from harness.nightly.night import Night, NightOptions
    from harness.nightly.whole import run_night, write_verdict

    asked = with_project(
        "nightly", project, workloads=workloads, devices=devices, recipes=recipes, backends=backends,
        runtimes=runtimes, samples=samples, budget=budget, emulated=emulated, data=data, metric=metric, bundle=bundle,
        series=series,
    )  # fmt: skip
    values = asked.values
    series = values.pop("series")
    values["budget"] = values["budget"] or (EMULATED_BUDGET if values["emulated"] else BUDGET)
    values["recipes"] = values["recipes"] or (() if bundle is not None else ("core",))
    present = every = names(values.pop("devices"))
    left_out: Mapping[str, str] = {}
    if not present:
        tonight = devices_of_tonight(values["emulated"], names(values["runtimes"]), text(devices_dir))
        every, present, left_out = tonight.asked, tonight.present, tonight.left_out
        values |= {"runtimes": (), "emulated": False}  # their ids say both
    options = run_options(
        values.pop("workloads"), present, **values, seeds=seeds, data_dir=data_dir, devices_dir=devices_dir, jobs=jobs,
        deadline=deadline,
    )  # fmt: skip
    how = NightOptions(
        series=series,
        confirm=confirm,
        confirm_s=seconds(confirm_budget, "confirm_budget"),
        controls=controls,
        new_only=new_only,
        published=text(published),
    )
    folder = results_dir(results)
    night = Night(options=options, asked=replace(options, devices=every), results=folder, night=how, note=note)
    done = run_night(night, lambda **steps: run_cells(options, folder, progress, "harness.nightly", **steps))
    page = write_verdict(folder, done) if done.result.export is not None else None
    return NightRun(run_of(done.result, asked.taken), done, left_out, page)


@told
def accept(
    cells: Names = (),
    *,
    why: str,
    boards: Names = (),
    quantity: str | None = None,
    run: str | None = None,
    series: str | None = None,
    results: PathLike | None = None,
) -> Sequence[Accepted]:
    """Makes the figures of cells their new level, or a board's as it is: `harness accept`. Nothing is deleted.

    Args:
        cells: `WORKLOAD/RECIPE/DEVICE/BACKEND[/seedN]`.
        why: the reason, for whoever asks later.
        boards: devices, as their control cells found them.
        quantity: only this one of the cells, such as `latency`.
        run: the night; None: the newest that says something of the cell.
        series: None: the newest one that has the cell.

    Raises:
        UserInputError: an unknown name, no reason, or nothing to accept.
    """
    from harness.verdict.accept import accept as accepted

    return accepted(
        results_dir(results), names(cells), boards=names(boards), why=why, quantity=quantity, run=run, series=series
    )


@told
def bisect(
    cell: str,
    *,
    quantity: str | None = None,
    good: str | None = None,
    bad: str | None = None,
    series: str | None = None,
    devices_dir: PathLike | None = None,
    results: PathLike | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Sequence[Bisection]:
    """What made a cell worse between two nights, by bringing it back on its board: `harness bisect`. Nothing is stored.

    Args:
        cell: `WORKLOAD/RECIPE/DEVICE/BACKEND[/seedN]`.
        quantity: None: every one of the cell that is open.
        good: the earlier night; None: the level that the regression is open against.
        bad: the later night; None: the newest in which the cell did not fail.
        series: None: the newest one that has the cell.
        note: told what is going on.

    Returns:
        One per quantity: `conclusion`, `culprits`, `trials`, `lines()`, `to_json()`.

    Raises:
        HarnessError: an unknown name, nothing that is open, or a board that cannot be asked.
    """
    from harness.nightly.bisections import bisect_cell

    return bisect_cell(
        results_dir(results), cell, quantity=quantity, good=good, bad=bad, series=series, devices_dir=text(devices_dir),
        note=note,
    )  # fmt: skip


@told
def baseline(name: str, run: Run | str = "latest", *, results: PathLike | None = None) -> str:
    """Gives a run a name that every call takes in the place of its id: `harness baseline set`. A name that is taken moves.

    Returns:
        The run's id.

    Raises:
        UserInputError: no such run, or no name that could be one.
    """
    from harness.results.history import History
    from harness.results.store import Store

    folder = results_dir(results)
    with Store.open(folder, create=False):
        pass  # a mistyped folder must not be made
    with Store.open(folder) as store:
        history = History(store)
        return history.set_baseline(name, history.run_of(run if isinstance(run, str) else run.id))


@told
def baselines(*, results: PathLike | None = None) -> pd.DataFrame:
    """The names that runs were given: `harness baseline list`.

    Returns:
        Index `name`; `run`, `set_utc`.
    """
    import pandas as pd

    from harness.results.history import History
    from harness.results.store import Store

    with Store.open(results_dir(results), create=False) as store:
        found = History(store).baselines()
    rows = [{"name": name, "run": run, "set_utc": set_utc} for name, (run, set_utc) in found.items()]
    return pd.DataFrame(rows, columns=["name", "run", "set_utc"]).set_index("name")
