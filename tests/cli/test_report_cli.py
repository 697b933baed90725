"""`harness report` and the export of a run, as a user calls them."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import openpyxl
import pytest

from harness.core.errors import HarnessError, UserInputError
from harness.reports.export import export_run
from harness.results.layout import latest_dir
from harness.results.objects import ObjectStore
from harness.results.record import RunInfo
from harness.results.store import Store
from tests.support.fixtures_results import RUN, fill_store, make_info, make_records, raw_latency

EXPORTED = {
    "comparison.xlsx",
    "index.html",
    "summary.md",
    "run.json",
    "cells.csv",
    "problems.csv",
    "seeds.csv",
    "starts.csv",
    "ops.csv",
    "fallback.csv",
    "findings.csv",
    "audit.csv",
    "environment.csv",
    "summary-mnist-cnn.csv",
    "summary-sensor-cnn.csv",
    "raw",
    "models",
}


def report(results: Path, *arguments: str, cwd: Path | None = None):
    """Runs the command in this process, as `harness report ...`; returns what click's runner saw."""
    from click.testing import CliRunner

    from harness.cli.report import command

    before = Path.cwd()
    os.chdir(cwd or before)
    try:
        return CliRunner().invoke(command, [*arguments, "--results", str(results)])
    finally:
        os.chdir(before)


# -- the command ---------------------------------------------------------------------------------------------------------


def test_without_arguments_it_prints_the_latest_run(filled_results):
    done = report(filled_results)
    assert done.exit_code == 0
    assert "mnist-cnn on digits-28x28" in done.output and "host-litert: ship " in done.output


def test_it_needs_neither_tensorflow_nor_what_drives_boards(filled_results):
    blocker = (
        "import sys\n"
        "class Blocker:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('tensorflow', 'tf_keras', 'keras', 'ai_edge_litert', 'tflite_runtime', 'paramiko',\n"
        "                                  'serial', 'sklearn', 'harness.boards', 'harness.links'):\n"
        "            raise ImportError('blocked: ' + name)\n"
        "sys.meta_path.insert(0, Blocker())\n"
        "from harness.cli.main import main\n"
        f"sys.argv = ['harness', 'report', '--results', {str(filled_results)!r}]\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", blocker], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "ptq-int8-io" in done.stdout


def test_a_beginning_of_the_id_is_enough(filled_results):
    done = report(filled_results, "20261121", "--format", "json")
    assert json.loads(done.output)["run"] == RUN


def test_filters_choose_cells_and_keep_what_was_not_run(filled_results):
    done = report(filled_results, "--format", "json", "--recipe", "ptq-*", "--device", "imx8mp")
    cells = json.loads(done.output)["cells"]
    assert {cell["device"] for cell in cells} == {"imx8mp"} and all(cell["recipe"].startswith("ptq-") for cell in cells)
    shown = report(filled_results, "--recipe", "ptq-aeq-dyn8", "--device", "imx8mp").output
    assert "not run" in shown


@pytest.mark.parametrize(
    ("option", "wrong", "near"),
    [
        ("--recipe", "ptq-int8-oi", "ptq-int8-io"),
        ("--device", "imx8", "imx8mp"),
        ("--backend", "nqu", "npu"),
        ("--workload", "mnist", "mnist-cnn"),
    ],
)
def test_an_unknown_filter_suggests_the_nearest_name(filled_results, option, wrong, near):
    done = report(filled_results, option, wrong)
    assert isinstance(done.exception, UserInputError) and near in str(done.exception)


def test_an_unknown_run_suggests_the_nearest_id(filled_results):
    done = report(filled_results, RUN[:-1] + "z")
    assert isinstance(done.exception, UserInputError) and RUN in str(done.exception)


def test_a_folder_without_a_store_is_an_error_and_stays_empty(tmp_path):
    for arguments in ((), ("--list",), ("--export",)):
        done = report(tmp_path, *arguments)
        assert isinstance(done.exception, UserInputError) and "no results store" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_markdown_goes_to_stdout_or_a_file(filled_results, tmp_path):
    assert report(filled_results, "--format", "markdown").output.startswith(f"# Run {RUN}")
    report(filled_results, "--format", "markdown", "--output", str(tmp_path / "x.md"))
    assert (tmp_path / "x.md").read_text().startswith(f"# Run {RUN}")


def test_the_console_form_can_go_to_a_file(filled_results, tmp_path):
    report(filled_results, "--output", str(tmp_path / "x.txt"))
    assert "host-litert: ship " in (tmp_path / "x.txt").read_text()


def test_csv_goes_to_stdout_or_a_folder(filled_results, tmp_path):
    assert report(filled_results, "--format", "csv").output.startswith("run,workload,recipe,")
    done = report(filled_results, "--format", "csv", "--output", str(tmp_path / "tables"))
    assert {Path(line).name for line in done.output.split()} == {p.name for p in (tmp_path / "tables").iterdir()}


def test_a_workbook_goes_to_a_file_never_to_stdout(filled_results, tmp_path):
    done = report(filled_results, "--format", "xlsx", cwd=tmp_path)
    assert done.output.strip() == f"comparison-{RUN}.xlsx"
    assert "About" in openpyxl.load_workbook(tmp_path / done.output.strip()).sheetnames
    assert isinstance(report(filled_results, "--format", "xlsx", "--output", "-").exception, UserInputError)


def test_json_can_be_had_beside_another_form(filled_results, tmp_path):
    done = report(filled_results, "--json", str(tmp_path / "x.json"))
    assert "host-litert: ship " in done.output
    assert len(json.loads((tmp_path / "x.json").read_text())["cells"]) == len(make_records())


def test_the_list_shows_every_run_with_its_outcomes(filled_results):
    done = report(filled_results, "--list")
    assert RUN in done.output and "46 ok" in done.output.replace("\n", " ")
    [run] = json.loads(report(filled_results, "--list", "--json", "-").output)["runs"]
    assert (run["run"], run["cells"], run["planned"], run["not_run"]) == (RUN, 50, 51, 1)


def test_a_run_whose_process_is_gone_is_interrupted_and_can_be_resumed(tmp_path):
    cells = make_records()[:2]
    fill_store(tmp_path, cells, make_info(cells, state="running")).close()
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path), RUN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout.readline() == "held\n"
        running = report(tmp_path)
        assert "(running)" in running.output and "--resume" not in running.output
        holder.kill()  # its lock's file stays, the lock does not
    dead = report(tmp_path)
    assert f"run {RUN} (interrupted)" in dead.output and "(running)" not in dead.output
    assert f"harness run --resume {RUN} --results {tmp_path}" in dead.output
    assert json.loads(report(tmp_path, "--list", "--json", "-").output)["runs"][0]["state"] == "interrupted"


_HOLDER = """
import sys
from pathlib import Path
from harness.results.running import only_one
with only_one(Path(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_who_is_refused_a_run_leaves_its_lock_alone(tmp_path):
    from harness.results.running import is_running, only_one

    with only_one(tmp_path, RUN):
        for _ in range(2):
            with pytest.raises(UserInputError, match="is being run by another process"), only_one(tmp_path, RUN):
                pass
            assert is_running(tmp_path, RUN)
    assert not is_running(tmp_path, RUN)


def test_all_runs_takes_the_newest_record_of_each_cell(tmp_path):
    old = make_records()[:4]
    with fill_store(tmp_path, old, make_info(old)) as store:
        key = old[0].key
        store.begin_run(
            RunInfo(run="20261122-000000-0000", started_utc="2026-11-22T00:00:00Z", command=[], planned=[key])
        )
        newer = make_records()[0]
        newer.run, newer.accuracy = "20261122-000000-0000", 0.5
        store.add_cell(newer)
        store.finish_run(newer.run)
    cells = json.loads(report(tmp_path, "--all-runs", "--format", "json").output)["cells"]
    assert len(cells) == 4
    assert {cell["run"] for cell in cells if cell["recipe"] == key.recipe} == {"20261122-000000-0000"}


def test_a_pipe_is_written_to_not_replaced(filled_results):
    done = report(filled_results, "--format", "markdown", "--output", "/dev/null")
    assert done.exit_code == 0 and not os.path.isfile("/dev/null")


# -- the export ----------------------------------------------------------------------------------------------------------


def test_an_export_has_every_form_and_the_raw_samples(exported_results):
    folder = exported_results / RUN
    assert {path.name for path in folder.iterdir()} == EXPORTED
    assert latest_dir(exported_results) == folder.resolve()
    assert not [p for p in exported_results.iterdir() if p.name.startswith(".tmp")]


def test_raw_samples_are_those_that_the_board_sent(exported_results):
    timed = [r for r in make_records(with_twin=True) if r.latency_median_ns is not None]
    files = sorted((exported_results / RUN / "raw").iterdir())
    assert len(files) == len(timed)
    record = next(r for r in timed if r.key.recipe == "qat-q[allvalues-pc]-int8-io" and r.key.device == "imx8mp")
    name = "mnist-cnn__qat-q-allvalues-pc-int8-io__imx8mp__npu__seed0__d1d1d1.npz"
    with np.load(exported_results / RUN / "raw" / name, allow_pickle=False) as archive:
        assert np.array_equal(archive["array"], raw_latency(record))


def test_run_json_is_what_report_gives(exported_results):
    stored = json.loads((exported_results / RUN / "run.json").read_text())
    assert stored == json.loads(report(exported_results, "--format", "json").output)


def test_exporting_again_changes_no_name(exported_results):
    done = report(exported_results, RUN, "--export")
    assert done.output.strip() == str(exported_results / RUN)
    assert {path.name for path in (exported_results / RUN).iterdir()} == EXPORTED


def test_export_and_filters_do_not_mix(filled_results):
    done = report(filled_results, "--export", "--recipe", "ptq-*")
    assert isinstance(done.exception, UserInputError) and "whole run" in str(done.exception)


def test_lost_raw_samples_are_listed_and_stop_nothing(tmp_path):
    cells = make_records()[:3]
    with fill_store(tmp_path, cells, make_info(cells)) as store:
        lost = store.cells()[0]
        ObjectStore(tmp_path).path(lost.latency_object).unlink()
        folder = export_run(store, "latest", tmp_path)
    assert lost.key.text in (folder / "raw" / "missing.txt").read_text()
    assert len(list((folder / "raw").iterdir())) == 3


def test_a_full_disk_leaves_the_previous_export(tmp_path, monkeypatch):
    cells = make_records()[:3]
    with fill_store(tmp_path, cells, make_info(cells)) as store:
        folder = export_run(store, "latest", tmp_path)
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}

        def full(*_args, **_options):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("harness.reports.export.jsonout.write_json", full)
        with pytest.raises(HarnessError, match="no space left"):
            export_run(store, "latest", tmp_path)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".tmp")]


def test_a_damaged_record_costs_its_row_and_is_named(tmp_path):
    cells = make_records()
    fill_store(tmp_path, cells, make_info(cells)).close()
    with contextlib.closing(sqlite3.connect(tmp_path / "store.sqlite")) as connection, connection:
        connection.execute("UPDATE cell SET record = substr(record, 2) WHERE id = 1")
    result = report(tmp_path, "--json", "-")
    assert result.exit_code == 0 and len(json.loads(result.stdout)["cells"]) == len(cells) - 1
    name = f"{cells[0].key.text} seed 0 in run {RUN}"
    assert result.stderr.startswith(f"warning: the record of {name} is damaged and left out:")


def test_a_run_without_a_single_cell_can_be_exported(tmp_path):
    with Store.open(tmp_path) as store:
        store.begin_run(RunInfo(run=RUN, started_utc="2026-11-21T09:30:00Z", command=["harness"]))
        folder = export_run(store, RUN, tmp_path)
    assert "no cells" in (folder / "summary.md").read_text()


def test_the_page_is_made_again_beside_its_tables_or_as_one_file(tmp_path):
    cells = make_records()[:3]
    fill_store(tmp_path / "results", cells, make_info(cells)).close()
    result = report(tmp_path / "results", "--page")
    assert result.exit_code == 0 and result.stdout.strip() == str(tmp_path / "results" / RUN / "index.html")
    assert list((tmp_path / "results" / "assets").glob("plotly-*.min.js"))
    result = report(tmp_path / "results", "--self-contained", "--output", str(tmp_path))
    assert result.stdout.strip() == str(tmp_path / "index.html")
    assert cells[0].key.text in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--page", "--recipe", "ptq-*"], "filters of its own"),
        (["--page", "--output", "x.html"], "--self-contained"),
        (["--self-contained", "--output", "-"], "not written to stdout"),
    ],
)
def test_what_a_page_cannot_be_is_said(filled_results, arguments, words):
    result = report(filled_results, *arguments)
    assert result.exit_code != 0 and words in str(result.exception) + result.stderr
