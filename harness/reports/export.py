"""Writes everything about a run into results/RUN/: page, workbook, Markdown, CSV, JSON, raw samples and the picked models."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from harness.core.errors import HarnessError
from harness.reports import csvs, jsonout, markdown
from harness.reports.answer.models import MODELS_NAME, write_models
from harness.reports.export_names import JSON_NAME, MARKDOWN_NAME, RAW_NAME, WORKBOOK_NAME, raw_name
from harness.reports.night_view import NightView, view_night
from harness.reports.page.page import export_page
from harness.reports.published import PublishedFigure
from harness.reports.report import Report
from harness.results.faults import storage_faults
from harness.results.layout import point_latest, run_dir
from harness.results.objects import ObjectStore, open_objects
from harness.results.record import CellRecord
from harness.results.running import settled
from harness.results.store import Store
from harness.verdict.night import Judgement

_TEMPORARY, _LOCK_NAME = ".tmp-export-", ".export.lock"
#: how long an export waits for another one
_LOCK_TIMEOUT_S = 600.0


def export_run(
    store: Store,
    run: str,
    results_dir: Path,
    *,
    state: str | None = None,
    published: Sequence[PublishedFigure] | None = None,
) -> Path:
    """Exports a run, finished or not. `results/latest` then leads to the newest run that has tables: newest is the one that began
    last, as the store numbers them, whatever clocks say and whichever run is exported again.

    Everything is made in a folder beside first; the files then take their places one rename each, so a full disk or a
    kill leaves the previous export as it was. Raw samples that cannot be read any more are listed in raw/missing.txt.

    Args:
        run: a run's id, unique beginning or `latest`.
        state: how the run ended, where the store does not say so yet.
        published: figures to set beside those of the run; None: those that it was begun with.

    Returns:
        The run's folder.

    Raises:
        UserInputError: unknown run, or a folder that cannot be written.
        HarnessError: the disk is full; nothing half-written stays.
    """
    info = settled(store, store.run(run))
    if state is not None:
        info = replace(info, state=state)
    records = store.cells(run=info.run)
    damaged = [key for of_run, key in store.damaged_cells if of_run == info.run]
    given = None if published is None else tuple(published)
    report = replace(Report.of(records, info, damaged=damaged, results=results_dir), given=given)
    view = view_night(report, store)
    target = run_dir(results_dir, info.run)
    with storage_faults(target), _alone(results_dir):
        temporary = Path(tempfile.mkdtemp(dir=results_dir, prefix=_TEMPORARY))
        try:
            _write_files(report, results_dir, temporary, view)
            export_page(report, store, results_dir, temporary, view=view, beside=(target,))
            _drop_other_models(temporary / MODELS_NAME, target / MODELS_NAME)
            _move_files(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        _point_latest(store, results_dir)
    return target


@contextlib.contextmanager
def _alone(results_dir: Path) -> Iterator[None]:
    """One export of a results folder at a time; what killed ones left half-made is removed first."""
    from filelock import FileLock, Timeout

    results_dir.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(results_dir / _LOCK_NAME, timeout=_LOCK_TIMEOUT_S):
            for left in results_dir.glob(f"{_TEMPORARY}*"):
                shutil.rmtree(left, ignore_errors=True)
            yield
    except Timeout:
        raise HarnessError(
            f"another process has been exporting into this folder for {_LOCK_TIMEOUT_S:g} s",
            where=str(results_dir),
            hint="wait for its end, then run `harness report --export`",
        ) from None


def export_night(store: Store, results_dir: Path, folder: Path, judgement: Judgement) -> Path:
    """Makes page and workbook of a night again, which knew of no judgement when its run was exported.

    Args:
        folder: the run's.

    Returns:
        The page.

    Raises:
        UserInputError: a folder that cannot be written.
        HarnessError: the disk is full; the earlier files stay.
    """
    from harness.reports.workbook import write_workbook

    info = store.run(judgement.run)
    damaged = [key for of_run, key in store.damaged_cells if of_run == info.run]
    report = Report.of(store.cells(run=info.run), info, damaged=damaged, results=results_dir)
    view = view_night(report, store, judgement=judgement)
    write_workbook(report, folder / WORKBOOK_NAME, view=view)
    return export_page(report, store, results_dir, folder, view=view)


def _write_files(report: Report, results_dir: Path, folder: Path, view: NightView) -> None:
    from harness.reports.workbook import write_workbook

    write_workbook(report, folder / WORKBOOK_NAME, view=view)
    jsonout.write_text(folder / MARKDOWN_NAME, markdown.markdown(report))
    jsonout.write_json(folder / JSON_NAME, report.run, report.records, report.answers)
    csvs.write_csvs(report, folder)
    write_raw(report.records, open_objects(results_dir), folder / RAW_NAME)
    write_models(report.answers, open_objects(results_dir), folder / MODELS_NAME)


def _drop_other_models(new: Path, old: Path) -> None:
    """Removes the models of an earlier export that the new one does not name: what lies there is what is to be shipped."""
    for path in (*old.glob("*.tflite"), *old.glob("missing.txt")):
        if not (new / path.name).exists():
            path.unlink()


def _move_files(source: Path, target: Path) -> None:
    """Moves every file to its place; the JSON last, which says that all are there."""
    files = sorted((p for p in source.rglob("*") if p.is_file()), key=lambda p: (p.name == JSON_NAME, p))
    for path in files:
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, place)


def _point_latest(store: Store, results_dir: Path) -> None:
    for run in reversed(store.run_ids()):
        if (run_dir(results_dir, run) / JSON_NAME).is_file():
            point_latest(results_dir, run)
            return


def write_raw(records: Iterable[CellRecord], objects: ObjectStore, folder: Path) -> None:
    """One file per cell with its raw latency samples, int64 nanoseconds in the order they were taken.

    A fast model gives a hundred thousand samples a second, so the files are not text; they are links to the stored
    objects where the file system has links, and cost no space twice.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = []
    for record in records:
        if record.latency_object is None:
            continue
        try:
            objects.get_arrays(record.latency_object)  # proves that the object is whole
        except HarnessError as error:
            missing.append(f"{record.key.text} seed {record.key.seed}: {error}")
            continue
        source, place = objects.path(record.latency_object), folder / raw_name(record)
        try:
            os.link(source, place)
        except OSError:
            shutil.copyfile(source, place)
    if missing:
        (folder / "missing.txt").write_text("\n".join(missing) + "\n", encoding="utf-8")
