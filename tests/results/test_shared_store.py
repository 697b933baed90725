"""A store on a real PostgreSQL server: all that one in a file does, for several hosts, and no password anywhere."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import psycopg
import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.core.errors import HarnessError, UserInputError
from harness.core.fingerprint import Fingerprint
from harness.results.faults import CorruptStoreError, StoreGoneError
from harness.results.history import History
from harness.results.objects import ObjectStore, open_objects
from harness.results.overview import overview
from harness.results.record import CellRecord, RunInfo
from harness.results.revision import HEAD_REVISION
from harness.results.running import is_running, one_night, only_one
from harness.results.store import Store
from harness.results.trends import load_trends
from harness.verdict.past import load_past
from tests.results.test_store import _WRITER, KEY, begin
from tests.support.fixtures_results import RUN, make_info, make_records
from tests.support.fixtures_server import PASSWORD
from tests.support.nights import SERIES, Nights, key, record


def sql(url: str, statement: str) -> list[tuple]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def store(shared, tmp_path):
    with Store.open(tmp_path / "results") as opened:
        yield opened


# -- the same as in a file ------------------------------------------------------------------------------------------------


def test_a_realistic_run_round_trips_and_is_counted(store, tmp_path):
    records = make_records()
    store.begin_run(make_info(records))
    for one in records:
        store.add_cell(one)
    store.finish_run(RUN)
    assert store.cells(run=RUN) == records
    (found,) = overview(store.results_dir)
    assert found.counts_text == "46 ok, 1 wrong, 2 unsupported, 1 failed, 1 not run" and found.planned == 51
    assert not (tmp_path / "results" / "store.sqlite").exists()


def test_filters_are_globs_in_which_only_stars_and_question_marks_mean_something(store):
    begin(store)
    for recipe in ("ptq-a_b", "ptq-axb", "qat-q[last]-int8", "PTQ-upper", "50%"):
        store.add_cell(CellRecord(key=replace(KEY, recipe=recipe), run=RUN, outcome="ok"))
    assert {r.key.recipe for r in store.cells(recipe="ptq-*")} == {"ptq-a_b", "ptq-axb"}
    assert {r.key.recipe for r in store.cells(recipe="ptq-a_*")} == {"ptq-a_b"}
    assert {r.key.recipe for r in store.cells(recipe="qat-q[last]-*")} == {"qat-q[last]-int8"}
    assert {r.key.recipe for r in store.cells(recipe=("5?%", "PTQ-upper"))} == {"50%", "PTQ-upper"}


def test_figures_beyond_32_bits_and_seeds_of_64_are_stored(store):
    wide = replace(KEY, seed=2**62)
    begin(store, planned=[wide])
    store.add_cell(CellRecord(key=wide, run=RUN, outcome="ok", latency_median_ns=9_000_000_000, instructions=2**40))
    assert [(r.key, r.latency_median_ns, r.instructions) for r in store.cells()] == [(wide, 9_000_000_000, 2**40)]
    assert store.pending(RUN) == []


def test_revisions_stay_and_a_new_measurement_ends_them(store):
    begin(store)
    store.add_cell(CellRecord(key=KEY, run=RUN, outcome="ok"))
    assert store.add_revision(CellRecord(key=KEY, run=RUN, outcome="wrong")) == 1
    assert [r.outcome for r in store.revisions(RUN, KEY)] == ["ok", "wrong"]
    store.add_cell(CellRecord(key=KEY, run=RUN, outcome="ok"))
    assert [r.outcome for r in store.revisions(RUN, KEY)] == ["ok"]


def test_a_damaged_record_costs_itself_and_is_named(store, shared):
    begin(store)
    for seed in (0, 1):
        store.add_cell(CellRecord(key=replace(KEY, seed=seed), run=RUN, outcome="ok"))
    sql(shared, "UPDATE cell SET record = substr(record, 1, 30) WHERE seed = 1")
    assert [r.key.seed for r in store.cells()] == [0] and "seed 1" in store.damaged[0]


def test_nights_are_judged_as_in_a_file(shared, tmp_path, monkeypatch):
    def judged(folder):
        nights, told = Nights(folder), []
        for number in range(8):
            starts = (100.0 + number % 3, 100.4, 99.7)
            nights.run(
                record(starts_us=starts, arena_bytes=100 if number < 6 else 120), controls={"host-litert": [5e4]}
            )
            told.append([v.to_json() for v in nights.last.verdicts])
        nights.history.accept(key(), "arena", "n008", "meant")
        past = load_past(nights.history, SERIES, None, [key()])
        nights.history.set_baseline("release", "n002")
        nights.history.set_baseline("release", "n003")
        trends = load_trends(nights.history, SERIES, "n008", [key()])
        found = (told, past, nights.history.baselines()["release"][0], trends.figures, trends.levels)
        nights.store.close()
        return found

    on_server = judged(tmp_path / "a")
    monkeypatch.delenv("HARNESS_STORE")
    in_file = judged(tmp_path / "b")
    assert on_server[0] == in_file[0] and on_server[2:] == in_file[2:]
    assert on_server[1].times == in_file[1].times and on_server[1].times[key()].nights
    assert on_server[1].opened.keys() == in_file[1].opened.keys()


def test_the_migrations_make_the_same_tables_there(store):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from harness.results.schema import metadata

    with store._reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


# -- several hosts --------------------------------------------------------------------------------------------------------


def test_several_processes_write_at_once(shared, tmp_path):
    runs = [f"20260101-000000-{letter * 4}" for letter in "abc"]
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path / run), run, "25"], stdout=subprocess.DEVNULL)
        for run in runs
    ]
    assert [process.wait(timeout=120) for process in writers] == [0, 0, 0]
    with Store.open(tmp_path / "reader", create=False) as store:
        assert sorted(info.run for info in store.runs()) == runs
        assert [len(store.cells(run=run)) for run in runs] == [25, 25, 25]
    assert sql(shared, "SELECT number FROM run ORDER BY number") == [(1,), (2,), (3,)]


def test_another_host_has_the_objects(shared, tmp_path):
    Store.open(tmp_path / "a").close()
    outputs = np.arange(12, dtype=np.float32).reshape(3, 4)
    name = open_objects(tmp_path / "a").put_array(outputs)
    Store.open(tmp_path / "b").close()
    there = open_objects(tmp_path / "b")
    assert there.has(name) and np.array_equal(there.get_array(name), outputs)
    there.path(name).write_bytes(b"damaged copy")
    assert np.array_equal(there.get_array(name), outputs)
    with pytest.raises(UserInputError, match="there is no stored object"):
        there.get_array("0" * 64)


def test_another_host_has_the_accepted_artifact(shared, tmp_path):
    model = tmp_path / "model.tflite"
    model.write_bytes(b"TFL3 model")
    with Store.open(tmp_path / "a") as store:
        sha256 = History(store).keep_artifact(model)
    with Store.open(tmp_path / "b") as store:
        assert History(store).artifact(sha256) == b"TFL3 model"


def test_objects_may_be_in_a_folder_that_all_hosts_see(shared, tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_OBJECTS", str(tmp_path / "nas"))
    name = open_objects(tmp_path / "a").put_array(np.arange(3))
    assert open_objects(tmp_path / "b").get_array(name).tolist() == [0, 1, 2]
    assert ObjectStore(tmp_path, root=tmp_path / "nas").has(name)
    Store.open(tmp_path / "a").close()
    assert sql(shared, "SELECT count(*) FROM stored_object") == [(0,)]


def test_a_run_of_one_host_is_under_way_for_all_and_no_longer_than_its_process(shared, tmp_path):
    for host in "ab":
        Store.open(tmp_path / host).close()
    code = (
        "import sys, time; from pathlib import Path; from harness.results.running import only_one\n"
        "with only_one(Path(sys.argv[1]), sys.argv[2]): print('held', flush=True); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, tmp_path / "a", RUN], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    assert is_running(tmp_path / "b", RUN) and not is_running(tmp_path / "b", "another")
    with pytest.raises(UserInputError, match="is being run by another host"):
        with only_one(tmp_path / "b", RUN):
            pass
    process.kill()
    process.wait(timeout=30)
    process.stdout.close()
    # The server notices the broken line by itself.
    while is_running(tmp_path / "b", RUN):
        pass
    with only_one(tmp_path / "b", RUN):
        assert is_running(tmp_path / "a", RUN)
    assert not is_running(tmp_path / "a", RUN)


# -- bad input ------------------------------------------------------------------------------------------------------------


def test_nights_of_one_series_follow_each_other_on_all_hosts(shared, tmp_path):
    for host in "ab":
        Store.open(tmp_path / host).close()
    with one_night(tmp_path / "a", "main"):
        with (
            pytest.raises(UserInputError, match="series 'main' is running on another host, still after 0 s"),
            one_night(tmp_path / "b", "main", wait_s=0.0),
        ):
            raise AssertionError("two nights at once")
        with one_night(tmp_path / "b", "another", wait_s=0.0):
            pass
    with one_night(tmp_path / "b", "main", wait_s=0.0):
        pass


def test_a_database_of_something_else_is_refused_and_left_alone(shared, tmp_path):
    sql(shared, "CREATE TABLE photos (name TEXT)")
    with pytest.raises(CorruptStoreError, match="holds something else than a results store.*createdb"):
        Store.open(tmp_path)
    assert sql(shared, "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()") == [("photos",)]


def test_a_schema_of_its_own_lies_beside_other_tables(server, tmp_path, monkeypatch):
    url = server.new_database()
    sql(url, "CREATE TABLE photos (name TEXT)")
    sql(url, "CREATE SCHEMA harness")
    monkeypatch.setenv("HARNESS_STORE", f"{url}?options=-csearch_path%3Dharness")
    with Store.open(tmp_path) as store:
        begin(store)
    assert sql(url, "SELECT run FROM harness.run") == [(RUN,)]


def test_a_store_of_a_newer_harness_is_refused(store, shared):
    sql(shared, "UPDATE alembic_version SET version_num = '0999'")
    with pytest.raises(UserInputError, match=f"newer harness .schema 0999, this one knows up to {HEAD_REVISION}"):
        Store.open(store.results_dir)


def test_an_empty_database_is_not_read(shared, tmp_path):
    with pytest.raises(UserInputError, match="the results store is empty"):
        Store.open(tmp_path, create=False)


def test_a_wrong_password_a_missing_database_and_a_silent_server_are_told_apart(server, tmp_path, monkeypatch):
    for url, error, words in (
        (server.url("postgres", password="wrong-one"), UserInputError, "refuses the login.*authentication failed"),
        (server.url("nothing"), UserInputError, 'refuses the login.*"nothing" does not exist'),
        (server.url("postgres").replace(str(server.port), "1"), StoreGoneError, "does not answer"),
    ):
        monkeypatch.setenv("HARNESS_STORE", url)
        with pytest.raises(error, match=words) as found:
            Store.open(tmp_path)
        text = str(found.value)
        assert "wrong-one" not in text and PASSWORD not in text and "s3cret" not in text


def test_a_user_that_may_not_write_is_told(server, tmp_path, monkeypatch):
    url = server.new_database()
    sql(url, "DROP ROLE IF EXISTS looker")
    sql(url, "CREATE ROLE looker LOGIN PASSWORD 'looks'")
    monkeypatch.setenv("HARNESS_STORE", url.replace(url.split("@")[0], "postgresql://looker:looks"))
    with pytest.raises(UserInputError, match="does not let this user write.*grant it CREATE"):
        Store.open(tmp_path)


@pytest.mark.parametrize(
    "url", ["mysql://lab/harness", "postgresql://lab", "postgresql://lab:x/d", "results", "postgresql:///"]
)
def test_what_is_no_url_of_a_database_is_said(url, tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_STORE", url)
    with pytest.raises(UserInputError, match="HARNESS_STORE: .* names no PostgreSQL database .write postgresql://"):
        Store.open(tmp_path)


# -- passwords ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["postgresql://me:hush@lab/d", "postgresql://lab/d?user=me&password=hush"])
def test_a_password_on_the_command_line_is_refused(url, tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_STORE", "")
    for command in (["report"], ["nightly"], ["results", "prune"], ["baseline", "list"], ["judge", "latest"]):
        found = CliRunner().invoke(cli, [*command, "--store", url, "--results", str(tmp_path)], standalone_mode=False)
        assert isinstance(found.exception, UserInputError) and "PGPASSFILE" in str(found.exception)
        assert "hush" not in str(found.exception) + found.output


def test_a_password_file_opens_the_store_that_the_command_line_names(server, tmp_path, monkeypatch):
    url = server.new_database()
    monkeypatch.setenv("HARNESS_STORE", url)
    with Store.open(tmp_path) as store:
        begin(store)
        store.finish_run(RUN)
    monkeypatch.setenv("HARNESS_STORE", "")
    secrets = tmp_path / "pgpass"
    secrets.write_text(f"127.0.0.1:{server.port}:*:harness:{PASSWORD}\n")
    secrets.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(secrets))
    name = url.rpartition("/")[2]
    options = ["--store", server.url(name, password=None), "--results", str(tmp_path / "b")]
    found = CliRunner().invoke(cli, ["report", "--list", "--json", "-", *options], standalone_mode=False)
    assert found.exception is None, found.exception
    assert [row["run"] for row in json.loads(found.output)["runs"]] == [RUN]


def test_no_password_is_kept_or_shown(shared, store):
    words = ["harness", "run", "--store", shared, f"--store={shared}", "postgresql://lab/d?password=hush"]
    store.begin_run(RunInfo(run=RUN, started_utc="2026-11-21T09:30:00+00:00", command=words))
    kept = store.run(RUN).command
    assert kept[2] == "--store" and kept[3].startswith("postgresql://harness:***@127.0.0.1")
    shown = " ".join([*kept, store.where, repr(store.place), store.place.name, repr(store._database.server)])
    assert "s3cret" not in shown and "hush" not in shown and PASSWORD not in shown
    assert "s3cret" not in str(sql(shared, "SELECT run.*::text FROM run"))


def test_boards_on_this_machine_do_not_get_the_password(shared):
    from harness.links.local import start_process

    channel = start_process([sys.executable, "-c", "import os; print(sorted(os.environ))"], where="here", hint="")
    said = b""
    while b"\n" not in said:
        said += channel.recv_some(65536, 30.0)
    channel.close()
    assert b"PATH" in said and b"HARNESS_STORE" not in said


def test_fingerprints_and_errors_are_harness_errors_also_when_a_value_cannot_be_stored(store):
    begin(store)
    with pytest.raises(HarnessError, match="the results store failed"):
        store.add_cell(
            CellRecord(key=replace(KEY, recipe="a\0b"), run=RUN, outcome="ok", fingerprint=Fingerprint(runtime="x"))
        )
    assert store.cells() == []


def test_pytest_takes_the_options_and_refuses_a_password(monkeypatch):
    import os

    from harness.suites.plugin import _choose_place

    class Config:
        def __init__(self, **options):
            self.options = {"--store": None, "--objects": None, **options}

        def getoption(self, name):
            return self.options[name]

    for name in ("HARNESS_STORE", "HARNESS_OBJECTS"):
        monkeypatch.setenv(name, "")
    with pytest.raises(pytest.UsageError, match="PGPASSFILE"):
        _choose_place(Config(**{"--store": "postgresql://me:hush@lab/d"}))
    _choose_place(Config(**{"--store": "postgres://me@lab/d", "--objects": "nas"}))
    assert os.environ["HARNESS_STORE"] == "postgresql://me@lab/d"
    assert os.environ["HARNESS_OBJECTS"] == os.path.abspath("nas")


def test_how_to_resume_names_the_store_but_no_password(monkeypatch, tmp_path):
    from harness.results.place import command_options

    monkeypatch.setenv("HARNESS_STORE", "postgresql://me@lab/d")
    assert command_options(tmp_path) == f"--results {tmp_path} --store postgresql://me@lab/d"
    monkeypatch.setenv("HARNESS_STORE", "postgresql://me:hush@lab/d")
    assert command_options(tmp_path) == f"--results {tmp_path}"
