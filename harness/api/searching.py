"""A search for a better variant: `harness.tune`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api.asked import Project, project_file, require
from harness.api.calls import Data, Names, PathLike, data_file, names, seconds, text, told
from harness.api.calls import samples as sample_count
from harness.api.running import Progress
from harness.api.runs import Run, load_run
from harness.core.paths import results_dir

if TYPE_CHECKING:
    import pandas as pd

    from harness.reports.answer.limits import Prefer
    from harness.tune.result import TuneResult


@dataclass(frozen=True, eq=False)
class Tuned:
    """A search that has ended; `project` says what came from a `harness.toml`."""

    result: TuneResult
    project: str | None = None

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
    workload: PathLike | None = None,
    *,
    device: str | None = None,
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
    project: Project = True,
    progress: Progress | None = None,
) -> Tuned:
    """Searches for a better variant of a model for one device, layer by layer, and proves it: `harness tune`.

    Args:
        workload: a workload, or a float model of your own with `data`; None: the project's, with its device and `max_drop`
            where none are named.
        max_drop, max_latency, max_size, prefer: what the winner keeps to, as `harness.recommend` takes them.
        budget: time for everything.
        trials: how many searched variants the device is given at most.

    The other arguments are those of `harness.run`.

    Raises:
        HarnessError: a finished .tflite, no labels, too few samples, or anything else wrong with the input.
    """
    from harness.reports.answer.asked import read_limits
    from harness.session.from_project import TuneAsked, take_tune
    from harness.tune.options import BUDGET_S, TuneOptions
    from harness.tune.tune import tune as search

    path = project_file(project) if workload is None else None
    drop = None if max_drop is None else str(max_drop)
    asked, taken = TuneAsked(workload=text(workload), device=device, max_drop=drop, emulated=emulated), None
    if path is not None:
        asked, taken = take_tune(path, asked)
    require(asked.workload, "model", "such as harness.tune('my_model.keras', data='samples.npz', device='host-litert')")
    require(asked.device, "device", "such as device='host-litert'; `harness.devices()` lists them")
    limits: dict[str, Any] = {"--max-drop": asked.max_drop, "--max-latency": max_latency, "--max-size": max_size}
    given = {name: None if value is None else str(value) for name, value in limits.items()}
    options = TuneOptions(
        workload=asked.workload or "",
        device=asked.device or "",
        backends=names(backends),
        limits=read_limits(given, prefer=prefer),
        budget_s=seconds(budget, "budget") or BUDGET_S,
        trials=trials,
        samples=sample_count(samples),
        emulated=asked.emulated,
        data=data_file(data),
        data_dir=text(data_dir),
        metric=metric,
        devices_dir=text(devices_dir),
        jobs=jobs,
        deadline_s=seconds(deadline, "deadline"),
    )
    say = progress or (lambda what, done, total: None)
    return Tuned(search(options, results_dir(results), say=say, command=["harness.tune"]), taken)
