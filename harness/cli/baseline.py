"""`harness baseline set NAME [RUN]` and `harness baseline list`: runs by names of the user's."""

from __future__ import annotations

import click

from harness.cli.options import results_options
from harness.cli.out import echo


@click.group("baseline")
def command() -> None:
    """Names for runs, such as `release-2`: `harness compare NAME` takes them wherever it takes a run."""


@command.command("set")
@click.argument("name")
@click.argument("run", default="latest")
@results_options
def set_command(name: str, run: str, results: str | None) -> None:
    """Gives a RUN (an id, its unique beginning, another baseline, or `latest`) a NAME; a name that is taken moves."""
    from harness.core.paths import results_dir
    from harness.results.history import History
    from harness.results.store import Store

    folder = results_dir(results)
    with Store.open(folder, create=False):
        pass  # a mistyped folder must not be made
    with Store.open(folder) as store:
        history = History(store)
        before = history.baselines().get(name)
        chosen = history.set_baseline(name, history.run_of(run))
    moved = f" (it was {before[0]})" if before is not None and before[0] != chosen else ""
    echo(f"{name}: run {chosen}{moved}")


@command.command("list")
@results_options
def list_command(results: str | None) -> None:
    """Lists the baselines."""
    from harness.core.paths import results_dir
    from harness.results.history import History
    from harness.results.store import Store

    with Store.open(results_dir(results), create=False) as store:
        found = History(store).baselines()
    for name, (run, set_utc) in found.items():
        echo(f"{name}: run {run}, set {set_utc}")
    if not found:
        echo("there are no baselines; make one with `harness baseline set NAME`")
