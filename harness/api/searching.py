"""From a model file to a better variant of it: `harness.init`, `harness.explain`, `harness.tune`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.api.calls import Data, Names, PathLike, data_file, names, seconds, text, told
from harness.api.calls import samples as sample_count
from harness.api.running import Progress
from harness.api.runs import Run, load_run
from harness.core.errors import UserInputError
from harness.core.paths import results_dir

if TYPE_CHECKING:
    import pandas as pd

    from harness.explain.document import Advice, Explanation
    from harness.init.create import Created
    from harness.reports.answer.limits import Prefer
    from harness.tune.result import TuneResult


@told
def init(
    model: PathLike,
    data: PathLike | None = None,
    *,
    folder: PathLike | None = None,
    overlap: Literal["error", "drop", "allow"] = "error",
    ask: bool = True,
    force: bool = False,
) -> Created:
    """Looks at a model and its data and writes `harness.toml`: `harness init`. Commands take it by themselves; a call takes its
    path as the workload: `harness.run("harness.toml", devices=...)`.

    Args:
        model: a .keras, .h5 or .tflite file, or a SavedModel folder.
        data: an .npz, a .csv, a folder, or `module:function`; a .tflite does without.
        folder: where the file is written; None: the working folder.
        overlap: what becomes of samples that stand in two parts.
        ask: run the float model to see which values it takes.
        force: replace a file that is there.

    Returns:
        `project`, with the file's `path`, and `summary`, a line per choice.

    Raises:
        HarnessError: there is a file already, or model and data are wrong or do not fit together.
    """
    from harness.init.create import create_project

    return create_project(model, data, folder=folder, overlap=overlap, ask=ask, force=force)


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
        on_device: False: only what this machine computes.
        limit: when no further op is begun on the device.

    Raises:
        HarnessError: no such cell, what it needs is gone, or the board cannot be reached.
    """
    from harness.explaining import ExplainOptions, explain_cell, explain_model
    from harness.run.options import RunOptions

    options = ExplainOptions(on_device=on_device, limit_s=seconds(limit, "limit") or 0.0)
    float_file = None if plain is None else Path(plain).expanduser()
    path = Path(target)
    if path.suffix != ".tflite":
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


@dataclass(frozen=True, eq=False)
class Tuned:
    """A search that has ended."""

    result: TuneResult

    def __repr__(self) -> str:
        return f"<harness search {self.result.run}: {self.result.verdict.why}>"

    @property
    def run(self) -> Run:
        """The run; each trial is a cell of it."""
        return load_run(self.result.run, results=self.result.results)

    @property
    def found(self) -> bool:
        """Whether a searched variant is shown to be better than every plain recipe."""
        return self.result.verdict.found

    @property
    def recipe(self) -> str | None:
        """What to take; None where nothing keeps to the limits."""
        winner = self.result.verdict.winner
        return None if winner is None else winner.recipe

    @property
    def model(self) -> Path | None:
        """The winner's .tflite in the run's folder."""
        return self.result.model

    def to_frame(self) -> pd.DataFrame:
        """Every variant on the samples that the search did not see, with its role; `stage` is `before` (plain recipes alone) or
        `after` (with the searched ones)."""
        import pandas as pd

        from harness.reports.answer.frame import recommended_frame

        parts = {"before": self.result.before, "after": self.result.after}
        return pd.concat([recommended_frame([answer]).assign(stage=name) for name, answer in parts.items()])


@told
def tune(
    workload: PathLike,
    *,
    device: str,
    backends: Names = (),
    max_drop: float | str | None = None,
    max_latency: str | None = None,
    max_size: int | str | None = None,
    prefer: Prefer = "speed",
    budget: float | str = "10m",
    trials: int = 10,
    data: Data | None = None,
    metric: str | None = None,
    samples: int | str | None = None,
    emulated: bool = False,
    jobs: int | None = None,
    deadline: float | str | None = None,
    data_dir: PathLike | None = None,
    devices_dir: PathLike | None = None,
    results: PathLike | None = None,
    progress: Progress | None = None,
) -> Tuned:
    """Searches for a better variant of a model for one device, layer by layer, and proves it: `harness tune`.

    Args:
        workload: a workload, or a float model of your own with `data`.
        max_drop, max_latency, max_size, prefer: what the winner keeps to, as `harness.recommend` takes them.
        budget: time for everything.
        trials: how many searched variants the device is given at most.

    The other arguments are those of `harness.run`.

    Raises:
        HarnessError: a finished .tflite, no labels, too few samples, or anything else wrong with the input.
    """
    from harness.reports.answer.asked import read_limits
    from harness.tune.options import BUDGET_S, TuneOptions
    from harness.tune.tune import tune as search

    limits: dict[str, Any] = {"--max-drop": max_drop, "--max-latency": max_latency, "--max-size": max_size}
    given = {name: None if value is None else str(value) for name, value in limits.items()}
    options = TuneOptions(
        workload=str(workload),
        device=device,
        backends=names(backends),
        limits=read_limits(given, prefer=prefer),
        budget_s=seconds(budget, "budget") or BUDGET_S,
        trials=trials,
        samples=sample_count(samples),
        emulated=emulated,
        data=data_file(data),
        data_dir=text(data_dir),
        metric=metric,
        devices_dir=text(devices_dir),
        jobs=jobs,
        deadline_s=seconds(deadline, "deadline"),
    )
    say = progress or (lambda what, done, total: None)
    return Tuned(search(options, results_dir(results), say=say, command=["harness.tune"]))
