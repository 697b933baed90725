"""Runs in numbers, counted without making records: the same numbers as the records give, damage included."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.core.errors import HarnessError
from harness.reports.markdown import markdown
from harness.reports.report import Report
from harness.results.layout import store_path
from harness.results.overview import overview
from harness.results.store import Store
from tests.support.fixtures_results import RUN, fill_store, make_info, make_records
from tests.support.large_store import make_large_store


def sql(results, *statements):
    with closing(sqlite3.connect(store_path(results))) as database, database:
        for statement in statements:
            database.execute(statement)


@pytest.fixture
def results(tmp_path):
    records = make_records()
    fill_store(tmp_path, records, make_info(records)).close()
    return tmp_path


def test_it_counts_what_the_records_are(results):
    (found,) = overview(results)
    with Store.open(results, create=False) as store:
        report = Report.of(store.cells(run=RUN), store.run(RUN))
    assert (found.cells, found.planned, found.not_run) == (len(report.records), len(report.planned), report.not_run)
    assert found.counts_text == report.counts_text == "46 ok, 1 wrong, 2 unsupported, 1 failed, 1 not run"


DAMAGES = {
    "a text cut short": "UPDATE cell SET record = substr(record, 1, 50) WHERE id = 1",
    "a byte that is no UTF-8": "UPDATE cell SET record = CAST(X'ff' || substr(record, 2) AS TEXT) WHERE id = 1",
    "a checksum that is gone": "UPDATE cell SET checksum = NULL WHERE id = 1",
    "a record that is a number": "UPDATE cell SET record = 7 WHERE id = 1",
    "a record of bytes": "UPDATE cell SET record = X'00ff' WHERE id = 1",
}


@pytest.mark.parametrize("statement", DAMAGES.values(), ids=DAMAGES)
def test_one_damaged_record_costs_that_record_and_is_counted(results, statement):
    sql(results, statement)
    (found,) = overview(results)
    assert (found.damaged, found.cells, found.not_run) == (1, 49, 1)
    with Store.open(results, create=False) as store:
        report = Report.of(store.cells(), store.run(RUN), damaged=(key for _, key in store.damaged_cells))
        assert len(store.damaged) == 1 and "is damaged and left out" in store.damaged[0]
    assert report.counts_text == found.counts_text and "1 damaged" in found.counts_text
    assert "record damaged" in markdown(report)


def test_damage_is_looked_for_among_the_newest_records_and_a_check_finds_all(results):
    sql(results, DAMAGES["a text cut short"])
    (found,) = overview(results, checked=49)
    assert (found.damaged, found.cells) == (0, 50)
    checked = CliRunner().invoke(
        cli, ["results", "check", "--records-only", "--results", str(results)], standalone_mode=False
    )
    assert "49 records are whole" in checked.output and "1 are not" in checked.output
    assert "does not match its checksum" in checked.output and isinstance(checked.return_value, int | None)
    assert CliRunner().invoke(cli, ["results", "check", "--results", str(results)]).exit_code == 1


def test_a_row_that_names_another_cell_is_damaged(results):
    sql(results, "UPDATE cell SET recipe = 'ptq-int16x8-io' WHERE id = 1")
    with Store.open(results, create=False) as store:
        assert len(store.cells()) == 49 and "its row belongs to another cell" in store.damaged[0]


def test_records_whose_part_is_damaged_are_counted(results):
    sql(results, "UPDATE part SET text = '{}' WHERE id = (SELECT max(id) FROM part)")
    (found,) = overview(results)
    with Store.open(results, create=False) as store:
        store.cells()
        assert found.damaged == len(store.damaged) > 0


def test_a_run_whose_command_is_damaged_keeps_its_cells(results):
    sql(results, "UPDATE run SET command = '[', environment = '7'")
    assert overview(results)[0].cells == 50
    with Store.open(results, create=False) as store:
        assert (store.run(RUN).command, store.run(RUN).environment, len(store.cells())) == ([], {}, 50)
        assert "the command of run" in store.damaged[0]


def test_the_list_shows_damage_also_as_json(results):
    sql(results, DAMAGES["a text cut short"])
    run = CliRunner().invoke
    assert "1 damaged" in run(cli, ["report", "--list", "--results", str(results)]).output
    (row,) = json.loads(run(cli, ["report", "--list", "--json", "-", "--results", str(results)]).output)["runs"]
    assert (row["cells"], row["damaged"], row["not_run"], row["planned"]) == (49, 1, 1, 51)


def test_many_runs_in_the_order_in_which_they_began(tmp_path):
    runs = make_large_store(tmp_path, 500)
    found = overview(tmp_path)
    assert len(found) == runs == 10 and sum(one.cells for one in found) == 500
    assert [one.info.run for one in found][:2] == [RUN, "20260101-000002-c0de"]


def test_a_folder_without_a_store_is_told(tmp_path):
    with pytest.raises(HarnessError, match="there is no results store here"):
        overview(tmp_path)
    store_path(tmp_path).write_bytes(b"no database" * 100)
    with pytest.raises(HarnessError, match="not a readable results store"):
        overview(tmp_path)
