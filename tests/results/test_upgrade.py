"""A store of the first schema opens in place: nothing is lost, and what it does not hold stays empty.

`store_0001.sql` is a store that the harness of that schema wrote: two runs, seven cells.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest

from harness.core.errors import HarnessError
from harness.results.layout import store_path
from harness.results.record import RunInfo
from harness.results.schema import HEAD_REVISION
from harness.results.store import Store
from tests.support.fixtures_results import RUN, read_only

OLD = Path(__file__).with_name("store_0001.sql")
#: fields that one outcome gained another word for, or that did not exist
_CHANGED = {"outcome"}


@pytest.fixture
def results(tmp_path):
    """A results folder with the old store."""
    with contextlib.closing(sqlite3.connect(store_path(tmp_path))) as connection:
        connection.executescript(OLD.read_text(encoding="utf-8"))
    return tmp_path


def _rows(results: Path, sql: str) -> list[tuple]:
    with contextlib.closing(sqlite3.connect(store_path(results))) as connection, connection:
        return connection.execute(sql).fetchall()


def _plain(value):
    return vars(value) if hasattr(value, "__dataclass_fields__") else value


def test_every_figure_of_an_old_store_is_there_after_it_was_opened(results):
    before = [json.loads(text) for (text,) in _rows(results, "SELECT record FROM cell ORDER BY run, id")]
    with Store.open(results) as store:
        records = sorted(store.cells(), key=lambda r: r.run)
        assert store.damaged == []
    assert len(records) == len(before) == 7
    for data, record in zip(before, records, strict=True):
        for name, value in data.items():
            if name not in _CHANGED:
                found = getattr(record, name)
                found = [_plain(v) for v in found] if isinstance(found, list) else _plain(found)
                if name == "fingerprint":  # what boards tell since then stays empty
                    assert all(told is None for key, told in found.items() if key not in value)
                    found = {key: found[key] for key in value}
                assert found == value, name


def test_old_accuracies_are_scores_and_what_is_missing_stays_empty(results):
    with Store.open(results) as store:
        record = store.cells(run=RUN, recipe="ptq-int8-io", device="host-litert")[0]
    assert (record.score, record.score_low, record.score_high) == (0.9577, record.accuracy_low, record.accuracy_high)
    assert (record.score_delta, record.score_p, record.score_test) == (-0.0024, 0.625, "exact McNemar")
    assert (record.metric, record.model_sha256, record.rules_version, record.labels_object) == (None,) * 4
    assert record.revision == 0


def test_an_estimate_that_was_called_ok_is_an_estimate(results):
    with Store.open(results) as store:
        outcomes = {(r.key.device, r.key.recipe): r.outcome for r in store.cells(run=RUN)}
        assert [r.key.device for r in store.cells(outcome="estimated")] == ["imx93@vela"]
    assert outcomes[("imx93@vela", "ptq-int8-io")] == "estimated"
    assert sorted(outcomes.values()) == ["estimated", "failed", "ok", "ok", "unsupported", "wrong"]


def test_what_repeats_stands_once_in_an_upgraded_store(results):
    Store.open(results).close()
    assert _rows(results, "SELECT count(*), count(DISTINCT sha256) FROM part")[0][0] < 7 * 3
    assert _rows(results, "SELECT count(*) FROM cell WHERE record LIKE '%upscaled to 28x28%'") == [(0,)]


def test_runs_are_numbered_as_they_began(results):
    with Store.open(results) as store:
        assert [info.run for info in store.runs()] == ["20261120-093000-ffff", RUN]
        # Begun last by a clock that was set back.
        store.begin_run(RunInfo(run="20250101-000000-0000", started_utc="2025-01-01T00:00:00+00:00", command=[]))
        assert store.run("latest").run == "20250101-000000-0000"


def test_an_upgraded_store_is_not_upgraded_twice(results):
    Store.open(results).close()
    first = store_path(results).read_bytes()
    with Store.open(results, create=False) as store:
        assert len(store.cells()) == 7
    assert store_path(results).read_bytes() == first


def test_a_record_that_was_damaged_before_costs_itself_and_is_named(results):
    _rows(results, "UPDATE cell SET record = substr(record, 1, 200) WHERE id = 2")
    with Store.open(results) as store:
        assert len(store.cells(run=RUN)) == 5
        assert store.damaged == [
            "the record of mnist-cnn/ptq-default/host-tflite/cpu seed 0 in run 20261121-093000-a1b2 is damaged and left "
            "out: its text does not match its checksum; run the cell again"
        ]
        assert [key.recipe for key in store.pending(RUN)] == ["ptq-default", "ft-float32", "ptq-aeq-dyn8"]


def test_looking_at_an_old_store_upgrades_it_where_it_can_be_written(results):
    with Store.open(results, create=False) as store:
        assert len(store.cells(run=RUN)) == 6
    assert _rows(results, "SELECT version_num FROM alembic_version") == [(HEAD_REVISION,)]


def test_an_old_store_that_cannot_be_written_says_so(open_folder):
    with contextlib.closing(sqlite3.connect(store_path(open_folder))) as connection:
        connection.executescript(OLD.read_text(encoding="utf-8"))
    before = store_path(open_folder).read_bytes()
    with read_only(open_folder):
        with pytest.raises(HarnessError, match=r"older schema \(0001\).*read-only.*copy the results folder"):
            Store.open(open_folder, create=False)
    assert store_path(open_folder).read_bytes() == before


def test_an_upgrade_that_breaks_off_leaves_the_old_store(results, monkeypatch):
    import alembic.op

    monkeypatch.setattr(alembic.op, "create_index", lambda *a, **k: (_ for _ in ()).throw(RuntimeError("killed")))
    with pytest.raises(RuntimeError, match="killed"):
        Store.open(results)
    assert _rows(results, "SELECT version_num FROM alembic_version") == [("0001",)]
    assert _rows(results, "SELECT count(*) FROM cell") == [(7,)]
