"""`harness report`: tables of finished runs, on a machine with neither TensorFlow nor a board."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import results_options
from harness.cli.out import echo
from harness.cli.targets import Target

if TYPE_CHECKING:
    from harness.reports.night_view import NightView
    from harness.reports.published import PublishedFigure
    from harness.reports.report import Report
    from harness.results.overview import RunOverview
    from harness.results.store import Store

FORMATS = ("console", "markdown", "csv", "xlsx", "json")


def _filter_option(name: str):
    return click.option(f"--{name}", f"{name}s", multiple=True, help=f"Only these {name}s; names or globs, repeatable.")


@click.command("report")
@click.argument("run", default="latest")
@results_options
@click.option(
    "--format", "format_", type=click.Choice(FORMATS), default="console", show_default=True, help="What to make."
)
@click.option(
    "--output",
    type=Target("either"),
    help="File to write (csv: a folder; `-`: stdout). Default: stdout; "
    "for xlsx comparison-RUN.xlsx in the current folder.",
)
@click.option("--json", "json_file", type=Target(), help="Also write the cells as JSON to this file (`-`: stdout).")
@_filter_option("workload")
@_filter_option("recipe")
@_filter_option("device")
@_filter_option("backend")
@click.option(
    "--all-runs", is_flag=True, help="The newest record of each cell and model over all runs, instead of one run."
)
@click.option("--all-findings", is_flag=True, help="Console: also findings of severity info, not only their number.")
@click.option("--list", "list_runs", is_flag=True, help="List the runs and end.")
@click.option(
    "--export", is_flag=True, help="Make results/RUN/ anew: page, workbook, Markdown, CSV, JSON and raw samples."
)
@click.option(
    "--published",
    type=click.Path(),
    metavar="FILE",
    help="Published figures (CSV or YAML) that workbook and page set beside those of the run; with --format xlsx, --page or "
    "--export. Default: those that the night was begun with.",
)
@click.option("--page", is_flag=True, help="Make results/RUN/index.html anew, which a browser opens from disk.")
@click.option(
    "--self-contained",
    is_flag=True,
    help="The page as one file to send, with its script inside (about 5 MB): --output, or page-RUN.html here.",
)
def command(
    run: str,
    results: str | None,
    format_: str,
    output: str | None,
    json_file: str | None,
    all_findings: bool,
    **choice: Any,
) -> None:
    """Tables of a finished or interrupted RUN: an id, the unique beginning of one, or `latest`.

    Reads records only; needs neither TensorFlow nor a board.
    """
    from harness.core.errors import UserInputError
    from harness.core.paths import results_dir

    folder = results_dir(results)
    if choice["list_runs"]:
        _list(folder, json_file)
        return
    from harness.results.store import Store
    from harness.session.conclude import conclude_killed

    pages = choice["page"] or choice["self_contained"]
    published = _published(choice.pop("published"), wanted=format_ == "xlsx" or choice["export"] or pages)
    if choice["export"]:
        _export(folder, run, choice, published)
        return
    if pages:
        _page(folder, run, output, choice, published)
        return
    with Store.open(folder, create=False) as store:
        conclude_killed(store, _say)
        report = _load(store, None if choice["all_runs"] else run, choice, folder)
        for text in store.damaged:
            echo(f"warning: {text}", err=True)
        view = _view(report, store, choice) if format_ == "xlsx" else None
    if not report.records and not report.planned:
        if report.info is not None and report.info.state == "pruned":
            raise UserInputError(f"run {report.info.run} was pruned: no record of it is kept", where=str(folder))
        hint = "`harness report --list` shows the runs; check the filters"
        raise UserInputError("no cell matches", where=str(folder), hint=hint)
    if json_file != "-":  # stdout is the JSON's alone then
        if format_ == "xlsx":
            _workbook(_with(report, published), output, view)
        else:
            _write(report, format_, output, all_findings=all_findings)
    if json_file:
        from harness.reports.jsonout import write_json

        write_json(json_file, report.run, report.records, report.answers)
    _say_how_to_resume(report, folder)


def _published(path: str | None, *, wanted: bool) -> tuple[PublishedFigure, ...] | None:
    """The figures of `--published`; None without it."""
    if path is None:
        return None
    from harness.core.errors import UserInputError
    from harness.reports.published import read_published

    if not wanted:
        hint = "add --format xlsx, --page or --export"
        raise UserInputError("published figures stand in workbook and page", hint=hint)
    return tuple(read_published(Path(path)))


def _view(report: Report, store: Store, choice: dict[str, Any]) -> NightView | None:
    """The run among its nights; a choice of its cells, or cells of several runs, are no night."""
    from harness.reports.night_view import view_night

    return None if report.info is None or _filters(choice) else view_night(report, store)


def _say(text: str) -> None:
    echo(text, err=True)


def _say_how_to_resume(report: Report, folder: Path) -> None:
    from harness.results.place import command_options
    from harness.results.running import can_resume

    if report.info and can_resume(report.info):
        command = f"harness run --resume {report.info.run} {command_options(folder)}"
        echo(f"this run was interrupted; continue it with:\n  {command}", err=True)


def _filters(choice: dict[str, Any]) -> dict[str, Any]:
    """The names and globs that were asked for, as the store takes them: texts in tuples."""
    return {name: choice[f"{name}s"] for name in ("workload", "recipe", "device", "backend") if choice[f"{name}s"]}


def _load(store: Store, run: str | None, choice: dict[str, Any], folder: Path) -> Report:
    """The chosen cells, of one run with its plan, or the newest of all runs (`run` None)."""
    from harness.reports.report import Report

    filters = _filters(choice)
    # A pick is made among all recipes and backends: fewer shown make it no other.
    wider = {name: names for name, names in filters.items() if name in ("workload", "device")}
    if run is None:
        records = store.cells(**filters)
        asked = None if wider == filters else store.cells(**wider)
        return Report.of(records, damaged=(key for _, key in store.damaged_cells), results=folder, asked=asked)
    from harness.reports.filters import check_names, matching
    from harness.results.running import settled

    info = settled(store, store.run(run))
    check_names(filters, info.planned, store.cells(run=info.run))
    planned = matching(info.planned, filters)
    records = store.cells(run=info.run, **filters)
    asked = None if wider == filters else store.cells(run=info.run, **wider)
    damaged = {key for run_id, key in store.damaged_cells if run_id == info.run}
    return Report.of(records, info, planned, damaged=damaged.intersection(planned), results=folder, asked=asked)


def _write(report: Report, format_: str, output: str | None, *, all_findings: bool) -> None:
    """Makes one form of the report."""
    from harness.reports import jsonout

    target = output or "-"
    if format_ == "console":
        _print(report, output, all_findings=all_findings)
    elif format_ == "markdown":
        from harness.reports.markdown import markdown

        jsonout.write_text(target, markdown(report))
    elif format_ == "json":
        jsonout.write_json(target, report.run, report.records, report.answers)
    elif format_ == "csv":
        from harness.reports import csvs

        if target == "-":
            echo(csvs.frame_csv(report.frames["Cells"]), nl=False)
            return
        for path in csvs.write_csvs(report, _folder(target), option="--output"):
            echo(str(path))


def _folder(target: str) -> Path:
    """The folder that CSV files go to.

    Raises:
        UserInputError: it is something else.
    """
    from harness.cli.targets import refuse_unwritable

    refuse_unwritable(Path(target), "--output", "folder")
    return Path(target)


def _print(report: Report, output: str | None, *, all_findings: bool) -> None:
    import io

    from harness.reports.console import PIPE_WIDTH, make_console, print_report
    from harness.reports.jsonout import write_text

    if output in (None, "-"):
        print_report(report, all_findings=all_findings)
        return
    text = io.StringIO()
    print_report(report, console=make_console(file=text, width=PIPE_WIDTH), all_findings=all_findings)
    write_text(output, text.getvalue())


def _with(report: Report, published: tuple[PublishedFigure, ...] | None) -> Report:
    """The report with the figures that were given; says where those of its night are lost."""
    report = replace(report, given=published)
    if report.published_problem is not None:
        echo(f"warning: {report.published_problem}", err=True)
    return report


def _workbook(report: Report, output: str | None, view: NightView | None) -> None:
    from harness.core.errors import UserInputError
    from harness.reports.workbook import write_workbook

    if output == "-":
        raise UserInputError("a workbook cannot be written to stdout", hint="give a file with --output")
    path = Path(output or f"comparison-{report.run or 'all-runs'}.xlsx")
    if path.is_dir():
        path = path / "comparison.xlsx"
    write_workbook(report, path, view=view, option="--output")
    echo(str(path))


def _export(folder: Path, run: str, choice: dict[str, Any], published: tuple[PublishedFigure, ...] | None) -> None:
    from harness.core.errors import UserInputError
    from harness.reports.export import export_run
    from harness.results.store import Store
    from harness.session.conclude import conclude_killed

    if _filters(choice) or choice["all_runs"]:
        raise UserInputError("--export makes the tables of a whole run", hint="leave the filters out, or use --output")
    Store.open(folder, create=False).close()  # a wrong folder is an error, not a new store
    with Store.open(folder) as store:
        conclude_killed(store, _say)
        echo(str(export_run(store, run, folder, published=published)))


def _page(
    folder: Path, run: str, output: str | None, choice: dict[str, Any], published: tuple[PublishedFigure, ...] | None
) -> None:
    """Makes the page of a whole run: beside its tables, or as one file."""
    from harness.core.errors import UserInputError
    from harness.reports.page.page import export_page, write_single_page
    from harness.results.layout import run_dir
    from harness.results.store import Store

    if _filters(choice) or choice["all_runs"]:
        raise UserInputError("the page is of a whole run, and has filters of its own", hint="leave the filters out")
    single = choice["self_contained"]
    if output is not None and not single:
        hint = "add --self-contained for one file that can lie anywhere"
        raise UserInputError("the page lies beside its tables, in results/RUN/", hint=hint)
    if output == "-":
        raise UserInputError("a page of 5 MB is not written to stdout", hint="give a file with --output")
    with Store.open(folder, create=False) as store:
        report = _with(_load(store, run, choice, folder), published)
        for text in store.damaged:
            echo(f"warning: {text}", err=True)
        assert report.run is not None
        if single:
            path = Path(output or f"page-{report.run}.html")
            path = path / "index.html" if path.is_dir() else path
            write_single_page(report, store, folder, path)
        else:
            path = export_page(report, store, folder, run_dir(folder, report.run))
    echo(str(path))


def _list(folder: Path, json_file: str | None) -> None:
    """All runs, oldest first, with the outcomes of their cells."""
    from harness.reports.run_list import print_runs

    runs = [(found.info, found) for found in _overview(folder)]
    if json_file:
        import json

        from harness.reports.jsonout import write_text

        rows = [
            {
                "run": info.run,
                "started_utc": info.started_utc,
                "finished_utc": info.finished_utc,
                "state": info.state,
                "command": info.command,
                "planned": found.planned,
                "cells": found.cells,
                "not_run": found.not_run,
                "damaged": found.damaged,
            }
            for info, found in runs
        ]
        write_text(json_file, json.dumps({"schema": 1, "runs": rows}, indent=1) + "\n", option="--json")
        if json_file == "-":
            return
    if not runs:
        echo("there are no runs yet; `harness nightly` makes one")
        return
    print_runs((info, found.counts_text) for info, found in runs)


def _overview(folder: Path) -> list[RunOverview]:
    """The runs in numbers; those whose processes were killed are ended first."""
    from harness.results.overview import overview
    from harness.results.running import is_running
    from harness.results.store import OPEN_STATES, Store

    found = overview(folder)
    if all(one.info.state not in OPEN_STATES or is_running(folder, one.info.run) for one in found):
        return found
    from harness.results.running import settled
    from harness.session.conclude import conclude_killed

    with Store.open(folder, create=False) as store:
        conclude_killed(store, _say)
        return [replace(one, info=settled(store, one.info)) for one in overview(folder)]
