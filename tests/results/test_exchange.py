"""Exports that another store takes: nothing is lost on the way, nothing stands twice, and no wrong file is believed."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.core.errors import UserInputError
from harness.results.exchange import export_store, import_store
from harness.results.history import History
from harness.results.record import CellRecord, RunInfo
from harness.results.store import Store
from harness.results.transfer import read_run, rows_of
from tests.support.fixtures_results import RUN, fill_store, make_info, make_records
from tests.support.nights import SERIES, Nights, answered, key, record

FORMATS = ("parquet", "csv")


def state(store: Store) -> dict:
    """All that a store has, but for the numbers that rows have in it."""
    with store._reading() as connection:
        runs = [read_run(connection, run) for run in store.run_ids()]
        common = {name: rows_of(connection, name) for name in ("level", "baseline", "kept_artifact")}
    return {"runs": [(run.run, run.tables) for run in runs], **common}


@pytest.fixture
def history(tmp_path):
    """A store with nights, a run by day, levels, a baseline, a revision, odd texts, and a kept model."""
    nights = Nights(tmp_path / "results")
    labels = np.arange(20) % 10
    for number in range(3):
        nights.run(
            answered(record(arena_bytes=100 + number // 2), nights.objects, labels, labels),
            record(key("ptq-float32"), board_log='a "quoted" log,\nof two lines; 1e-3', reason=""),
            controls={"host-litert": [50_000.125, 1 / 3]},
        )
    nights.history.accept(key(), "arena", "n003", "meant, and\nsaid")
    nights.history.set_baseline("release", "n001")
    model = tmp_path / "m.tflite"
    model.write_bytes(b"model")
    nights.history.keep_artifact(model)
    nights.store.add_revision(replace(record(), run="n002", outcome="wrong"))
    cells = make_records()
    fill_store(tmp_path / "results", cells, make_info(cells)).close()
    yield nights
    nights.store.close()


@pytest.mark.parametrize("form", FORMATS)
def test_a_round_trip_loses_nothing(history, tmp_path, form):
    before = state(history.store)
    done = export_store(history.store, tmp_path / "out", form=form)
    assert (done.runs, done.cells, done.problems) == (4, 56, [])
    with Store.open(tmp_path / "other") as other:
        taken, problems = import_store(other, tmp_path / "out")
        assert (taken.cells, taken.runs, problems) == (56, ["n001", "n002", "n003", RUN], [])
        assert state(other) == before
        assert other.cells() == history.store.cells()
        assert [r.outcome for r in other.revisions("n002", key())] == ["ok", "wrong"]
        assert History(other).levels() == history.history.levels()


def test_a_second_import_changes_nothing_and_others_stay(history, tmp_path):
    export_store(history.store, tmp_path / "out")
    with Store.open(tmp_path / "other") as other:
        import_store(other, tmp_path / "out")
        other.add_cell(CellRecord(key=key(), run="n001", outcome="failed", reason="mine"))
        before = state(other)
        taken, _ = import_store(other, tmp_path / "out")
        assert (taken.cells, taken.known, taken.kept, taken.runs) == (0, 55, 1, [])
        assert state(other) == before


def test_histories_of_two_stores_stand_in_the_order_of_time(history, tmp_path):
    export_store(history.store, tmp_path / "out")
    with Store.open(tmp_path / "other") as other:
        for run, started in (("old", "2025-06-01T00:00:00+00:00"), ("new", "2027-06-01T00:00:00+00:00")):
            other.begin_run(RunInfo(run=run, started_utc=started, command=[]))
        import_store(other, tmp_path / "out")
        assert other.run_ids() == ["old", "n001", "n002", "n003", RUN, "new"]
        assert other.run("latest").run == "new"


def test_objects_come_along_where_they_are_asked_for(history, tmp_path):
    done = export_store(history.store, tmp_path / "out", with_objects=True)
    assert done.objects > 4
    with Store.open(tmp_path / "other") as other:
        import_store(other, tmp_path / "out")
        cell = next(r for r in other.cells(run="n001") if r.outputs_object)
        assert other.objects.get_arrays(cell.outputs_object)["output_0"].shape == (20, 10)
        with other._reading() as connection:
            artifacts = rows_of(connection, "kept_artifact")
        assert History(other).artifact(artifacts[0]["sha256"]) == b"model"


def test_files_go_into_other_tools_and_over_to_a_server(history, tmp_path, server, monkeypatch):
    export_store(history.store, tmp_path / "out")
    before = state(history.store)
    cells = pq.read_table(tmp_path / "out" / "cell.parquet").to_pandas()
    assert len(cells) == 56 and cells.latency_median_ns.dtype == np.float64
    assert json.loads(cells.record[0])["key"]["workload"] == "mnist-cnn"
    monkeypatch.setenv("HARNESS_STORE", server.new_database())
    with Store.open(tmp_path / "other") as other:
        import_store(other, tmp_path / "out")
        assert state(other) == before


def test_the_commands_say_what_they_did(history, tmp_path):
    def call(*args):
        return CliRunner().invoke(cli, [*args], standalone_mode=False)

    folder, results = str(tmp_path / "out"), ["--results", str(history.results)]
    found = call("results", "export", folder, "--series", SERIES, *results)
    assert found.exception is None and "6 records of 3 runs" in found.output
    assert "is there already" in str(call("results", "export", folder, *results).exception)
    other = ["--results", str(tmp_path / "other")]
    assert "6 records taken, 3 runs are new" in call("results", "import", folder, *other).output
    assert "6 records were there already" in call("results", "import", folder, *other).output
    assert "56 records are whole" not in call("results", "check", *results).output  # revisions count, too
    assert "57 records are whole" in call("results", "check", *results).output


# -- what is no export ----------------------------------------------------------------------------------------------------


@pytest.fixture
def exported(history, tmp_path):
    export_store(history.store, tmp_path / "out", form="csv")
    return tmp_path / "out"


def _edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_files_that_are_none_of_an_export_are_refused(exported, tmp_path):
    with Store.open(tmp_path / "other") as other:
        with pytest.raises(UserInputError, match="no export of a results store"):
            import_store(other, tmp_path)
        _edit(exported / "about.json", '"schema": "0', '"schema": "9')
        with pytest.raises(UserInputError, match="newer harness .schema 9"):
            import_store(other, exported)
        _edit(exported / "about.json", '"schema": "9', '"schema": "0')
        _edit(exported / "cell.csv", '""outcome"":""ok""', '""outcome"":""wrong""')
        with pytest.raises(
            UserInputError, match="cell.csv: the record of mnist-cnn/.* is that of another cell, run or outcome"
        ):
            import_store(other, exported)
        assert other.cells() == []


def test_a_file_that_was_cut_or_sorted_otherwise_is_refused(exported, tmp_path):
    lines = (exported / "control.csv").read_text().splitlines()
    (exported / "control.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    with Store.open(tmp_path / "other") as other:
        with pytest.raises(UserInputError, match="do not stand in the order of the file of runs"):
            import_store(other, exported)
        (exported / "verdict.csv").unlink()
        with pytest.raises(UserInputError, match="verdict.csv"):
            import_store(other, exported)


def test_a_parquet_file_of_noise_is_refused(history, tmp_path):
    export_store(history.store, tmp_path / "out")
    (tmp_path / "out" / "cell.parquet").write_bytes(b"PAR1" + b"noise" * 50)
    with Store.open(tmp_path / "other") as other:
        with pytest.raises(UserInputError, match="cell.parquet: cannot be read"):
            import_store(other, tmp_path / "out")


def test_a_damaged_record_is_left_out_and_named(history, tmp_path):
    from tests.results.test_overview import sql

    sql(history.results, "UPDATE cell SET record = substr(record, 1, 50) WHERE run = 'n001' AND recipe = 'ptq-float32'")
    done = export_store(history.store, tmp_path / "out")
    assert done.cells == 55 and len(done.problems) == 1 and "run n001: mnist-cnn/ptq-float32" in done.problems[0]


def test_an_export_that_fails_leaves_no_folder(history, tmp_path, monkeypatch):
    monkeypatch.setattr("harness.results.exchange.read_run", lambda *a: (_ for _ in ()).throw(OSError(28, "No space")))
    with pytest.raises(Exception, match="no space left"):
        export_store(history.store, tmp_path / "deep" / "out")
    assert list((tmp_path / "deep").iterdir()) == []
