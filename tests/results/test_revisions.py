"""Judged again, a cell keeps what it was; measured again, it starts anew. A damaged row costs its own record."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import replace

import pytest

from harness.core.errors import UserInputError
from harness.results.record import CellRecord, RunInfo
from harness.results.store import Store
from tests.support.fixtures_results import MNIST, RUN, make_key, ok_record

KEY = make_key("mnist-cnn", "ptq-int8-io", "host-litert", "cpu")


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "results") as opened:
        opened.begin_run(RunInfo(run=RUN, started_utc="2026-11-21T09:30:00+00:00", command=[], planned=[KEY]))
        yield opened


def _sql(store: Store, text: str) -> list[tuple]:
    with contextlib.closing(sqlite3.connect(store.path)) as connection, connection:
        return connection.execute(text).fetchall()


def test_a_judgement_takes_the_place_of_the_record_and_keeps_it(store):
    measured = ok_record(KEY, MNIST["ptq-int8-io"])
    store.add_cell(measured)
    assert store.add_revision(replace(measured, outcome="wrong", reason="off", rules_version=2)) == 1
    assert store.add_revision(replace(measured, outcome="undecided", reason="too few", rules_version=3)) == 2
    [record] = store.cells(run=RUN)
    assert (record.outcome, record.revision, record.rules_version) == ("undecided", 2, 3)
    kept = store.revisions(RUN, KEY)
    assert [(r.outcome, r.revision) for r in kept] == [("ok", 0), ("wrong", 1), ("undecided", 2)]
    assert kept[0] == measured


def test_a_finding_added_later_leaves_the_revisions(store):
    measured = ok_record(KEY, MNIST["ptq-int8-io"])
    store.add_cell(measured)
    store.add_revision(replace(measured, outcome="wrong", reason="off"))
    [record] = store.cells()
    store.add_cell(replace(record, board_log="told later"))
    assert [(r.outcome, r.revision) for r in store.revisions(RUN, KEY)] == [("ok", 0), ("wrong", 1)]


def test_a_cell_measured_again_has_no_revisions_of_the_old_measurement(store):
    measured = ok_record(KEY, MNIST["ptq-int8-io"])
    store.add_cell(measured)
    store.add_revision(replace(measured, outcome="failed", reason="judged so"))
    store.add_cell(measured)
    assert store.revisions(RUN, KEY) == [measured]


def test_there_is_nothing_to_judge_again_where_nothing_was_measured(store):
    with pytest.raises(UserInputError, match="has no record in run"):
        store.add_revision(CellRecord(key=KEY, run=RUN, outcome="ok"))


def test_a_row_that_changed_on_the_disk_costs_that_record(store):
    other = make_key("mnist-cnn", "ptq-float32", "host-litert", "cpu")
    store.add_cell(ok_record(KEY, MNIST["ptq-int8-io"]))
    store.add_cell(ok_record(other, MNIST["ptq-float32"]))
    _sql(store, "UPDATE cell SET record = replace(record, '1900000', '1900001') WHERE recipe = 'ptq-int8-io'")
    assert [r.key for r in store.cells()] == [other]
    assert "ptq-int8-io/host-litert/cpu seed 0" in store.damaged[0] and "does not match" in store.damaged[0]
    assert store.pending(RUN) == [KEY]


def test_a_damaged_part_costs_the_records_that_hold_it(store):
    store.add_cell(ok_record(KEY, MNIST["ptq-int8-io"]))
    _sql(store, "UPDATE part SET text = replace(text, 'CONV_2D', 'CONV_3D')")
    assert store.cells() == []
    assert len(store.damaged) == 1 and "lost or damaged" in store.damaged[0]


def test_the_same_cell_night_after_night_costs_its_figures_and_not_its_placement(store):
    record = ok_record(make_key("mnist-cnn", "ptq-int8-io", "imx8mp", "npu"), MNIST["ptq-int8-io"])
    for night in range(1, 6):
        info = RunInfo(run=f"202611{night:02}-000000-0000", started_utc=f"2026-11-{night:02}T00:00:00Z", command=[])
        store.begin_run(info)
        store.add_cell(replace(record, run=info.run, latency_median_ns=1000 + night))
        if night == 1:
            parts = _sql(store, "SELECT count(*) FROM part")
    assert _sql(store, "SELECT count(*) FROM part") == parts
    assert max(size for (size,) in _sql(store, "SELECT length(record) FROM cell")) < 2500
    assert [r.ops for r in store.cells()] == [record.ops] * 5
