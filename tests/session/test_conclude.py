"""The end of a run: tables, the link to the newest, and the same by the next command where a process was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.core.errors import HarnessError
from harness.reports import export
from harness.reports.export import export_run
from harness.results.layout import latest_dir
from harness.results.record import RunInfo
from harness.results.running import is_running, only_one, settled
from harness.results.store import Store
from harness.session.conclude import conclude, conclude_killed
from tests.support.fixtures_results import RUN, fill_store, make_info, make_key, make_records, ok_record

FILES = {"comparison.xlsx", "summary.md", "run.json", "cells.csv", "raw"}
FIGURES = (23_560, 0.95, 6.0)


@pytest.fixture
def results(tmp_path):
    """A folder whose one run has all its records and no tables, as after its last cell."""
    records = make_records()[:3]
    info = make_info(records, state="running")
    info.planned = info.planned[:3]
    fill_store(tmp_path, records, info).close()
    return tmp_path


def begin(store, run, *, cells=1):
    """A run that began now, with a cell."""
    keys = [make_key("mnist-cnn", recipe, "host-litert", "cpu") for recipe in ("ptq-int8-io", "ptq-float32")[:cells]]
    store.begin_run(RunInfo(run=run, started_utc="2026-11-22T00:00:00Z", command=["harness"], planned=keys))
    for key in keys:
        record = ok_record(key, FIGURES)
        record.run = run
        store.add_cell(record)
    return run


def tables_of(results, run=RUN):
    return {path.name for path in (results / run).iterdir()} if (results / run).is_dir() else set()


def test_while_the_tables_are_made_the_run_is_not_finished(results, monkeypatch):
    seen = []
    monkeypatch.setattr(export, "export_run", lambda store, run, results, state: seen.append(store.run(run).state))
    with Store.open(results) as store:
        conclude(store, RUN, results, state="finished")
        assert (seen, store.run(RUN).state) == (["exporting"], "finished")


def test_a_run_killed_in_its_export_is_finished_by_the_next_command(results):
    with Store.open(results) as store:
        store.finish_run(RUN, "exporting")
    done = CliRunner().invoke(cli, ["report", "--results", str(results)])
    assert done.exit_code == 0, done.output
    assert f"run {RUN} was killed before its end; its tables are made now" in done.output
    assert tables_of(results) >= FILES and latest_dir(results).name == RUN
    with Store.open(results, create=False) as store:
        assert store.run(RUN).state == "finished"


@pytest.mark.parametrize("command", [["report", "--list"], ["report", "--all-runs"], ["judge"]])
def test_every_command_that_opens_the_folder_ends_killed_runs(results, command):
    CliRunner().invoke(cli, [*command, "--results", str(results)])
    assert tables_of(results) >= FILES
    with Store.open(results, create=False) as store:
        assert store.open_runs() == []


def test_a_run_killed_between_its_cells_is_interrupted_and_has_tables(tmp_path):
    records = make_records()[:3]
    fill_store(tmp_path, records, make_info(records, state="running")).close()
    with Store.open(tmp_path) as store:
        conclude_killed(store, lambda text: None)
        assert store.run(RUN).state == "interrupted"
    assert tables_of(tmp_path) >= FILES
    assert "interrupted" in (tmp_path / RUN / "summary.md").read_text()


def test_a_run_that_goes_on_is_left_alone(results):
    with Store.open(results) as store, only_one(results, RUN):
        conclude_killed(store, pytest.fail)
        assert store.run(RUN).state == "running" and tables_of(results) == set()


def test_a_run_of_pytest_that_was_killed_is_told_like_any_other(results):
    with Store.open(results) as store:
        store.set_environment(RUN, {"kind": "suite"})
        assert settled(store, store.run(RUN)).state == "finished"


def test_a_run_that_cannot_be_ended_ends_no_other_command(results, monkeypatch):
    def defect(*_args, **_kwargs):
        raise ZeroDivisionError("in a table")

    monkeypatch.setattr(export, "export_run", defect)
    told = []
    with Store.open(results) as store:
        conclude_killed(store, told.append)
    assert "ZeroDivisionError: in a table" in told[-1]


def test_sigkill_in_the_middle_of_an_export_loses_nothing(results):
    code = (
        "import sys, pathlib; from harness.results.running import only_one\n"
        "from harness.results.store import Store; from harness.session.conclude import conclude\n"
        "from harness.reports import export\n"
        "def slow(*a):\n print('moving', flush=True); import time; time.sleep(60)\n"
        "export._move_files = slow; folder = pathlib.Path(sys.argv[1])\n"
        f"with Store.open(folder) as store, only_one(folder, {RUN!r}): conclude(store, {RUN!r}, folder, state='finished')"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(results)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == "moving\n"
    assert is_running(results, RUN)
    child.send_signal(signal.SIGKILL)
    child.wait(10)
    with Store.open(results) as store:
        assert store.run(RUN).state == "exporting" and tables_of(results) == set()
        conclude_killed(store, lambda text: None)
        assert store.run(RUN).state == "finished" and len(store.cells(run=RUN)) == 3
    assert tables_of(results) >= FILES and list(results.glob(".tmp-*")) == []


def test_a_full_disk_leaves_nothing_half_written(results, monkeypatch):
    with Store.open(results) as store:
        conclude(store, RUN, results, state="finished")
        before = {path: path.read_bytes() for path in (results / RUN).rglob("*") if path.is_file()}

        def full(*_args):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(export.csvs, "write_csvs", full)
        with pytest.raises(HarnessError, match="no space left"):
            conclude(store, RUN, results, state="finished")
        assert store.run(RUN).state == "exporting"
    assert {path: path.read_bytes() for path in (results / RUN).rglob("*") if path.is_file()} == before
    assert list(results.glob(".tmp-*")) == []


# -- which run is the latest


def test_latest_is_the_run_that_began_last_whatever_the_clock_says(tmp_path):
    with Store.open(tmp_path) as store:
        for run in ("20261122-000000-aaaa", "20200101-000000-bbbb"):  # the clock was set back in between
            begin(store, run)
            conclude(store, run, tmp_path, state="finished")
        assert store.run("latest").run == "20200101-000000-bbbb" == latest_dir(tmp_path).name


def test_an_older_run_exported_again_does_not_become_the_latest(tmp_path):
    with Store.open(tmp_path) as store:
        for run in ("20261122-000000-aaaa", "20261123-000000-bbbb"):
            begin(store, run)
            conclude(store, run, tmp_path, state="finished")
        time.sleep(0.01)
        export_run(store, "20261122-000000-aaaa", tmp_path)
    assert latest_dir(tmp_path).name == "20261123-000000-bbbb"


def test_what_was_left_of_killed_exports_is_removed_by_the_next(results):
    (results / ".tmp-export-abc").mkdir()
    (results / ".tmp-export-abc" / "cells.csv").write_text("half")
    with Store.open(results) as store:
        export_run(store, RUN, results)
    assert not os.path.exists(results / ".tmp-export-abc")
