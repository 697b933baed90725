"""The results store: nothing gets lost, whatever happens to the process, the disk or the file."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import signal
import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.core.errors import HarnessError, UserInputError
from harness.results import codec
from harness.results.faults import CorruptStoreError
from harness.results.layout import new_run_id, store_path
from harness.results.record import OUTCOMES, CellKey, CellRecord, FallbackOp, Finding, Fingerprint, RunInfo
from harness.results.schema import HEAD_REVISION
from harness.results.store import Store
from tests.support.fixtures_results import MNIST, RUN, make_info, make_key, make_records, ok_record, read_only

KEY = make_key("mnist-cnn", "ptq-int8-io", "host-litert", "cpu")


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "results") as opened:
        yield opened


def begin(store: Store, run: str = RUN, planned=(KEY,), started: str = "2026-11-21T09:30:00+00:00") -> RunInfo:
    info = RunInfo(run=run, started_utc=started, command=["harness", "run"], planned=list(planned))
    store.begin_run(info)
    return info


# -- records come back as they went in ------------------------------------------------------------------------------------

_TEXT = st.text(max_size=12)
_INTS = st.integers(-(2**63), 2**63 - 1)
_FLOATS = st.floats(allow_nan=False, allow_infinity=False)
_JSON = st.recursive(
    st.none() | st.booleans() | _INTS | _FLOATS | _TEXT, lambda inner: st.lists(inner, max_size=2), max_leaves=4
)
_KEYS = st.builds(CellKey, workload=_TEXT, recipe=_TEXT, device=_TEXT, backend=_TEXT, dataset=_TEXT, seed=_INTS)
_MAYBE = {
    name: st.none() | {"int | None": _INTS, "float | None": _FLOATS, "str | None": _TEXT}[annotation]
    for name, annotation in ((f.name, f.type) for f in dataclasses.fields(CellRecord))
    if annotation in ("int | None", "float | None", "str | None")
}
_RECORDS = st.builds(
    CellRecord,
    key=_KEYS,
    run=st.just(RUN),
    outcome=st.sampled_from(list(OUTCOMES)),
    time_basis=st.none() | st.sampled_from(["device", "guest-instructions", "host-emulated", "estimate"]),
    fingerprint=st.none()
    | st.builds(Fingerprint, runtime=_TEXT, cpu_count=st.none() | _INTS, kernel=st.none() | _TEXT),
    affinity=st.none() | st.lists(_INTS, max_size=3),
    ops=st.lists(st.dictionaries(_TEXT, _JSON, max_size=3), max_size=3),
    fallback=st.lists(st.builds(FallbackOp, node=_INTS, op=_TEXT, reason=st.none() | _TEXT), max_size=2),
    findings=st.lists(
        st.builds(Finding, code=_TEXT, severity=st.sampled_from(["info", "error"]), where=_TEXT, what=_TEXT), max_size=2
    ),
    **_MAYBE,
)


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory):
    with Store.open(tmp_path_factory.mktemp("shared")) as opened:
        begin(opened)
        yield opened


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(record=_RECORDS)
def test_any_record_comes_back_unchanged(shared_store, record):
    shared_store.add_cell(record)
    stored = [r for r in shared_store.cells(run=RUN, seed=record.key.seed) if r.key == record.key]
    assert stored == [record]


def test_a_run_with_its_plan_and_environment_comes_back_unchanged(store):
    info = make_info(make_records())
    store.begin_run(info)
    assert store.run(RUN) == info


def test_numpy_numbers_are_stored_as_numbers(store):
    import numpy as np

    begin(store)
    store.add_cell(CellRecord(key=KEY, run=RUN, outcome="ok", accuracy=np.float64(0.5), latency_median_ns=np.int64(7)))
    [record] = store.cells()
    assert (record.accuracy, record.latency_median_ns) == (0.5, 7)


def test_a_nan_becomes_an_empty_value_and_a_finding(store):
    begin(store)
    store.add_cell(CellRecord(key=KEY, run=RUN, outcome="wrong", nrmse=float("nan"), max_lsb_diff=float("inf")))
    [record] = store.cells()
    assert (record.nrmse, record.max_lsb_diff) == (None, None)
    assert "nrmse = nan" in record.findings[0].what and "max_lsb_diff = inf" in record.findings[0].what


def test_a_record_of_a_later_harness_with_more_fields_can_be_read():
    data = codec.record_to_json(CellRecord(key=KEY, run=RUN, outcome="ok"))
    assert codec.record_from_json({**data, "energy_uj": 12}) == CellRecord(key=KEY, run=RUN, outcome="ok")


# -- cells and runs ------------------------------------------------------------------------------------------------------


def test_a_cell_is_seen_by_others_as_soon_as_it_is_added(store):
    begin(store)
    store.add_cell(CellRecord(key=KEY, run=RUN, outcome="ok"))
    with Store.open(store.results_dir, create=False) as reader:
        assert [r.key for r in reader.cells()] == [KEY]


def test_a_retried_cell_replaces_the_first_try(store):
    begin(store)
    store.add_cell(CellRecord(key=KEY, run=RUN, outcome="failed", reason="connection lost"))
    store.add_cell(CellRecord(key=KEY, run=RUN, outcome="ok", attempts=2))
    assert [(r.outcome, r.attempts, r.reason) for r in store.cells()] == [("ok", 2, None)]


def test_pending_cells_are_those_without_a_record_and_those_that_failed(store):
    keys = [make_key("mnist-cnn", recipe, "host-litert", "cpu") for recipe in MNIST]
    begin(store, planned=keys)
    for key, outcome in zip(keys, ("ok", "failed", "unsupported", "wrong"), strict=False):
        store.add_cell(CellRecord(key=key, run=RUN, outcome=outcome))
    assert store.pending("latest") == [keys[1], *keys[4:]]


def test_a_run_is_interrupted_resumed_and_finished(store):
    begin(store)
    store.finish_run(RUN, "interrupted")
    assert store.run(RUN).state == "interrupted" and store.run(RUN).finished_utc
    assert store.resume_run("latest").state == "running"
    store.finish_run(RUN)
    assert store.run(RUN).state == "finished"


def test_the_environment_can_be_told_once_boards_are_connected(store):
    begin(store)
    store.set_environment(RUN, {"devices": [{"device": "imx8mp", "kernel": "6.6"}]})
    assert store.run(RUN).environment["devices"][0]["kernel"] == "6.6"


def test_latest_gives_the_newest_record_of_each_key_over_all_runs(store):
    other = make_key("mnist-cnn", "ptq-float32", "host-litert", "cpu")
    begin(store, "20260101-000000-0000", started="2026-01-01T00:00:00+00:00")
    begin(store, "20260102-000000-0000", started="2026-01-02T00:00:00+00:00")
    store.add_cell(CellRecord(key=KEY, run="20260102-000000-0000", outcome="ok"))
    store.add_cell(CellRecord(key=KEY, run="20260101-000000-0000", outcome="wrong"))
    store.add_cell(CellRecord(key=other, run="20260101-000000-0000", outcome="ok"))
    newest = [(r.key.recipe, r.run[:8]) for r in store.cells(latest=True)]
    assert newest == [("ptq-float32", "20260101"), ("ptq-int8-io", "20260102")]


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({"recipe": "ptq-int8-io"}, 1),
        ({"recipe": "ptq-*"}, 2),
        ({"recipe": ["qat-q[last]*", "ptq-float32"]}, 2),
        ({"device": "imx*"}, 0),
        ({"outcome": "wrong"}, 1),
        ({"recipe": []}, 0),
        ({"seed": 0}, 3),
        ({"seed": [1, 2]}, 0),
    ],
)
def test_cells_are_filtered_by_names_and_globs(store, filters, count):
    recipes = ("ptq-int8-io", "ptq-float32", "qat-q[last]-int8-io")
    keys = [make_key("mnist-cnn", recipe, "host-litert", "cpu") for recipe in recipes]
    begin(store, planned=keys)
    for key, outcome in zip(keys, ("ok", "wrong", "ok"), strict=True):
        store.add_cell(CellRecord(key=key, run=RUN, outcome=outcome))
    assert len(store.cells(run=RUN, **filters)) == count


def test_a_run_is_found_by_the_beginning_of_its_id(store):
    begin(store, "20261121-093000-a1b2")
    begin(store, "20261122-093000-c3d4", started="2026-11-22T09:30:00+00:00")
    assert store.run("20261121").run == "20261121-093000-a1b2"
    assert store.run("latest").run == "20261122-093000-c3d4"
    with pytest.raises(UserInputError, match="several runs begin with '2026'"):
        store.run("2026")
    with pytest.raises(UserInputError, match="unknown run '20261121-093000-a1b3'.*did you mean 20261121-093000-a1b2"):
        store.run("20261121-093000-a1b3")


def test_a_store_without_runs_says_what_to_do(store):
    with pytest.raises(UserInputError, match="no runs yet.*harness nightly"):
        store.run("latest")


def test_a_cell_of_a_run_that_never_began_is_refused(store):
    with pytest.raises(UserInputError, match="unknown run"):
        store.add_cell(CellRecord(key=KEY, run="20990101-000000-0000", outcome="ok"))


def test_the_same_run_cannot_begin_twice(store):
    begin(store)
    with pytest.raises(HarnessError, match="exists already"):
        begin(store)


def test_run_ids_sort_by_time_and_differ_within_a_second():
    ids = [new_run_id() for _ in range(20)]
    assert len(set(ids)) == 20
    assert all(re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{4}", run) for run in ids)
    assert [run[:15] for run in ids] == sorted(run[:15] for run in ids)


# -- the schema ----------------------------------------------------------------------------------------------------------


def test_the_migrations_make_exactly_the_tables_that_the_code_uses(store):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from harness.results.schema import metadata
    from harness.results.upgrade import script_directory

    with store._reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    assert script_directory().get_current_head() == HEAD_REVISION


def test_a_store_of_a_newer_harness_is_refused_and_left_alone(store):
    begin(store)
    _execute(store.path, "UPDATE alembic_version SET version_num = '0999'")
    with pytest.raises(UserInputError, match="newer harness.*schema 0999.*upgrade the harness"):
        Store.open(store.results_dir)
    assert _execute(store.path, "SELECT count(*) FROM run") == [(1,)]


def _execute(path: Path, sql: str) -> list[tuple]:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize("content", [b"this is no database, but a text" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_no_store_is_an_error_and_stays_as_it_is(tmp_path, content):
    path = store_path(tmp_path)
    path.write_bytes(content)
    with pytest.raises(CorruptStoreError, match="not a readable results store.*move it away"):
        Store.open(tmp_path)
    assert path.read_bytes() == content


def test_a_truncated_store_is_an_error_when_its_lost_part_is_read(store, tmp_path):
    begin(store)
    for record in make_records()[:20]:
        store.add_cell(record)
    store.close()
    store.path.write_bytes(store.path.read_bytes()[: 3 * 4096])
    with pytest.raises(CorruptStoreError), Store.open(store.results_dir) as damaged:
        damaged.cells()


def test_another_programs_database_is_not_touched(tmp_path):
    _execute(store_path(tmp_path), "CREATE TABLE photos (name TEXT)")
    with pytest.raises(CorruptStoreError, match="not a results store"):
        Store.open(tmp_path)
    assert _execute(store_path(tmp_path), "SELECT name FROM sqlite_master") == [("photos",)]


def test_reading_needs_a_store_that_is_there(tmp_path):
    with pytest.raises(UserInputError, match="no results store here"):
        Store.open(tmp_path, create=False)
    assert list(tmp_path.iterdir()) == []


# -- folders and disks ---------------------------------------------------------------------------------------------------


def test_a_read_only_folder_is_refused_before_any_work(open_folder, shared_store):
    with read_only(open_folder):
        with pytest.raises(UserInputError, match="cannot write here.*--results"):
            Store.open(open_folder)
        assert list(open_folder.iterdir()) == []


def test_a_read_only_store_in_a_writable_folder_is_refused_before_any_work(open_folder):
    Store.open(open_folder).close()
    store_path(open_folder).chmod(0o444)
    with read_only(open_folder, mode=0o777), pytest.raises(UserInputError, match="store.sqlite: cannot write here"):
        Store.open(open_folder)


def test_a_folder_name_taken_by_a_file_is_refused(tmp_path):
    (tmp_path / "results").write_text("a file")
    with pytest.raises(UserInputError, match="not a folder"):
        Store.open(tmp_path / "results")


def test_a_store_in_a_read_only_folder_can_be_read(open_folder):
    with Store.open(open_folder) as store:
        begin(store)
        store.add_cell(CellRecord(key=KEY, run=RUN, outcome="ok"))
    store.path.chmod(stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)
    with read_only(open_folder), Store.open(open_folder, create=False) as reader:
        assert [r.key for r in reader.cells(run="latest")] == [KEY]
        with pytest.raises(UserInputError, match="cannot be written"):
            reader.add_cell(CellRecord(key=KEY, run=RUN, outcome="wrong"))


def test_a_full_disk_loses_the_new_cell_alone(store):
    begin(store)
    store.add_cell(CellRecord(key=KEY, run=RUN, outcome="ok"))
    with store._reading() as connection:  # the pool hands the same connection out again
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(HarnessError, match="no space left.*resume"):
        store.add_cell(CellRecord(key=replace(KEY, seed=1), run=RUN, outcome="ok", board_log="x" * 50_000))
    with Store.open(store.results_dir) as again:
        assert [r.key for r in again.cells()] == [KEY]
        again.add_cell(CellRecord(key=replace(KEY, seed=1), run=RUN, outcome="ok"))
        assert len(again.cells()) == 2


# -- several processes ---------------------------------------------------------------------------------------------------

_WRITER = """
import sys
from pathlib import Path
from harness.results.record import OUTCOMES, CellKey, CellRecord, RunInfo
from harness.results.store import Store
results, run, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with Store.open(results) as store:
    store.begin_run(RunInfo(run=run, started_utc="2026-11-21T09:30:00+00:00", command=[]))
    for seed in range(count):
        key = CellKey(workload="w", recipe="r", device="d", backend="cpu", dataset="0", seed=seed)
        store.add_cell(CellRecord(key=key, run=run, outcome="ok", board_log="x" * 2000))
        print(seed, flush=True)
"""


def writer(results: Path, run: str, count: int) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(results), run, str(count)], stdout=subprocess.PIPE, text=True
    )


def test_two_runs_may_start_and_write_at_once(tmp_path):
    writers = [writer(tmp_path, run, 25) for run in ("20260101-000000-aaaa", "20260101-000000-bbbb")]
    assert [process.wait(timeout=120) for process in writers] == [0, 0]
    for process in writers:
        process.stdout.close()
    with Store.open(tmp_path, create=False) as store:
        assert [len(store.cells(run=info.run)) for info in store.runs()] == [25, 25]


def test_a_killed_run_keeps_every_cell_that_was_added(tmp_path):
    process = writer(tmp_path, RUN, 100_000)
    told = [int(process.stdout.readline()) for _ in range(10)]
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    process.stdout.close()
    with Store.open(tmp_path) as store:
        seeds = [r.key.seed for r in store.cells(run="latest")]
        assert seeds[: len(told)] == told and seeds == list(range(len(seeds)))
        assert store.run("latest").state == "running"


def test_a_realistic_run_round_trips(store):
    records = [ok_record(make_key("mnist-cnn", recipe, "imx8mp", "npu"), figures) for recipe, figures in MNIST.items()]
    begin(store, planned=[r.key for r in records])
    for record in records:
        store.add_cell(record)
    assert store.cells(run=RUN) == records
