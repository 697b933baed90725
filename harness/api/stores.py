"""A store as a whole: `harness.judge`, `harness.export_results` and its counterparts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.api.calls import Names, PathLike, names, told
from harness.api.runs import Run
from harness.core.paths import results_dir

if TYPE_CHECKING:
    from harness.results.check import Checked
    from harness.results.exchange import Exported
    from harness.results.prune import Pruned
    from harness.session.again import RunJudgedAgain
    from harness.session.whole_store import Imported


@told
def judge(run: Run | str = "latest", *, write: bool = False, results: PathLike | None = None) -> RunJudgedAgain:
    """Judges a stored run again, by today's rules, from what the run stored and nothing else: `harness judge`.

    Args:
        run: a run, an id, its unique beginning, the name of a baseline, or `latest`.
        write: stores what differs as a revision of each record; the old ones stay.

    Returns:
        `cells`, `changed` (each with `record` and `changes`), `unjudged`, `damaged`.

    Raises:
        UserInputError: an unknown run, or one that is still running.
    """
    from harness.session.again import judge_run

    return judge_run(results_dir(results), run if isinstance(run, str) else run.id, write=write)


@told
def export_results(
    folder: PathLike,
    *,
    format: Literal["parquet", "csv"] = "parquet",
    runs: Names = (),
    series: str | None = None,
    with_objects: bool = False,
    results: PathLike | None = None,
) -> Exported:
    """Writes records with their history into a new folder, a file per table: `harness results export`.

    Args:
        format: `parquet` or `csv`.
        runs: only these.
        series: only its nights.
        with_objects: also outputs, raw samples, labels and models.

    Raises:
        HarnessError: an unknown run or series, or the folder is there already or cannot be written.
    """
    from harness.session.whole_store import export_chosen

    return export_chosen(
        results_dir(results),
        Path(folder).expanduser(),
        form=format,
        runs=names(runs),
        series=series,
        with_objects=with_objects,
    )


@told
def import_results(folder: PathLike, *, results: PathLike | None = None) -> Imported:
    """Takes the runs of an export that the store does not have: `harness results import`. What it has stays as it is.

    Raises:
        HarnessError: the folder is no export.
    """
    from harness.session.whole_store import import_into

    return import_into(results_dir(results), Path(folder).expanduser())


@told
def prune_results(
    *,
    keep_nights: int = 14,
    dry_run: bool = False,
    results: PathLike | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Pruned:
    """Takes out what no level, open regression, baseline or newest night needs: `harness results prune`.

    Args:
        keep_nights: so many newest nights of each series, and newest runs by day, stay whole.
        dry_run: says what would go, and changes nothing.
        note: told of runs that were killed and are ended now.
    """
    from harness.session.whole_store import prune_store

    return prune_store(results_dir(results), keep_nights=keep_nights, dry_run=dry_run, note=note)


@told
def check_results(*, objects: bool = True, results: PathLike | None = None) -> Checked:
    """Reads every record and compares it with its checksum: `harness results check`.

    Args:
        objects: also the objects that the records name.

    Returns:
        `records`, `objects`: how many are whole; `damaged`: a sentence for each that is not.
    """
    from harness.results.check import check_store
    from harness.results.store import Store

    with Store.open(results_dir(results), create=False) as store:
        return check_store(store, with_objects=objects)
