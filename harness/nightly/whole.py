"""A night from beginning to end, whoever shows how its cells run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.nightly.night import Night, NightResult
from harness.reports.export import export_night
from harness.reports.verdicts.export import export_verdict
from harness.results.running import one_night
from harness.results.store import Store
from harness.session.session import RunResult


def run_night(
    night: Night,
    run: Callable[..., RunResult],
    *,
    resume: str | None = None,
    judge: Callable[[RunResult], NightResult] | None = None,
) -> NightResult:
    """Runs a night and judges it.

    Args:
        run: runs the cells, given `plan`, `series`, `noted`, `begun` and `resume` as
            `harness.session.session.run_session` takes them.
        resume: an interrupted night's run; None for a new one.
        judge: in place of `night.judge`.

    Raises:
        HarnessError: wrong input, another night of the series at the same time, or a results folder that fails.
    """
    plan = night.plan()
    gone = Night.without_server(night.results)
    if gone is not None:
        night.note(f"warning: {gone}; this night goes on in {night.results} and is compared with nothing")
    noted = night.noted() if resume is None else None
    with one_night(night.results, night.series, note=night.note):
        night.before()
        result = run(plan=plan, series=night.series, noted=noted, begun=night.begun, resume=resume)
        return (judge or night.judge)(result)


def write_verdict(results: Path, done: NightResult) -> Path:
    """Writes the verdict beside the tables of its run, and page and workbook again, which knew of no judgement then.

    Returns:
        The page.
    """
    folder = done.result.export
    assert folder is not None, "only a run that was exported has a place for its verdict"
    export_verdict(folder, done.judgement, done.result.records, exit_code=done.exit_code)
    with Store.open(results) as store:
        return export_night(store, results, folder, done.judgement)
