"""Pruning takes what nobody needs: the next night is judged exactly as if nothing had gone."""

from __future__ import annotations

import os
import shutil
from contextlib import closing

import numpy as np
import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.core.errors import UserInputError
from harness.results.history import History
from harness.results.prune import prune
from harness.results.record import RunInfo
from harness.results.running import only_one
from harness.results.store import Store
from harness.results.transfer import rows_of
from harness.verdict.keep import what_to_keep
from tests.support.nights import Nights, answered, key, record

LABELS = np.arange(200) % 10
GONE = key("ptq-float16")


def night(nights, number):
    """A night: the arena is worse from the sixth on, a cell vanishes after the third, another's size improves at the fourth."""
    answers = LABELS.copy()
    wrong = slice(3 * number, 3 * number + 1 + number % 3)
    answers[wrong] = (LABELS[wrong] + 1) % 10
    drift = 0.1 * ((number * 7) % 5)
    main = answered(record(starts_us=(100 + drift, 100.4, 99.7)), nights.objects, answers, LABELS)
    main.arena_bytes = 100 if number < 6 else 120
    cells = [main, record(key("ptq-float32"), size_bytes=20_000 if number < 4 else 15_000, arena_bytes=50)]
    if number < 3:
        cells.append(record(GONE))
    return nights.run(*cells, controls={"host-litert": [5e4 + number]})


def make(folder):
    nights = Nights(folder)
    for number in range(20):
        night(nights, number)
    nights.history.set_baseline("release", "n003")
    nights.store.begin_run(RunInfo(run="day", started_utc="2026-01-01T00:00:00+00:00", command=[]))
    nights.store.finish_run("day")
    return nights


def age(results):
    """Makes every object older than the hour in which it may belong to a cell that is being stored."""
    for path in results.glob("objects/??/*.npz"):
        os.utime(path, (1, 1))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nights") / "results"
    make(folder).store.close()
    age(folder)
    return folder


@pytest.fixture
def results(made, tmp_path):
    shutil.copytree(made, tmp_path / "results")
    return tmp_path / "results"


def told(results, count=20):
    """What two more nights say."""
    nights = Nights(results, count=count)
    with closing(nights.store):
        return [[v.to_json() for v in night(nights, number).verdicts] for number in (count, count + 1)]


@pytest.mark.parametrize("keep", [1, 14])
def test_the_next_nights_are_judged_as_if_nothing_had_gone(made, results, tmp_path, keep):
    with Store.open(results) as store:
        done = prune(store, what_to_keep(store, nights=keep))
        assert done.records > 0 and done.objects > 0
    shutil.copytree(made, tmp_path / "whole")
    assert told(results) == told(tmp_path / "whole")


def test_what_stays_is_said_with_its_reason(results):
    with Store.open(results) as store:
        done = prune(store, what_to_keep(store, nights=2))
        left = {(r.run, r.key.recipe) for r in store.cells()}
    assert {run for run, _ in left} >= {"n019", "n020", "n003", "n001", "n007"}
    # The level, the regression's first night, and the newest record of a cell that vanished.
    assert ("n001", "ptq-int8-io") in left and ("n007", "ptq-int8-io") in left and ("n003", GONE.recipe) in left
    assert ("n005", "ptq-float32") in left  # the improvement of the fifth night is the level since
    assert ("n010", "ptq-int8-io") not in left and set(done.kept) <= {
        "a level",
        "an open regression",
        "the newest of its cell",
    }
    assert done.runs >= 14


def test_a_dry_run_says_the_same_and_changes_nothing(results):
    before = {path: path.read_bytes() for path in sorted(results.rglob("*.npz"))}
    call = CliRunner().invoke
    dry = call(
        cli, ["results", "prune", "--keep-nights", "3", "--dry-run", "--results", str(results)], standalone_mode=False
    )
    assert dry.exception is None and {path: path.read_bytes() for path in sorted(results.rglob("*.npz"))} == before
    with Store.open(results, create=False) as store:
        count = len(store.cells())
    real = call(cli, ["results", "prune", "--keep-nights", "3", "--results", str(results)], standalone_mode=False)
    assert real.exception is None and real.output == dry.output.replace("would go", "gone")
    with Store.open(results, create=False) as store:
        assert len(store.cells()) < count and store.damaged == []
    again = call(cli, ["results", "prune", "--keep-nights", "3", "--results", str(results)], standalone_mode=False)
    assert "gone: 0 records" in again.output and " 0 objects" in again.output


def test_every_object_that_a_kept_record_names_is_there_and_no_other(results):
    with Store.open(results) as store:
        prune(store, what_to_keep(store, nights=2))
        named = {getattr(r, f) for r in store.cells() for f in vars(r) if f.endswith("_object") and getattr(r, f)}
        with store._reading() as connection:
            named |= {row["object"] for row in rows_of(connection, "kept_artifact")}
        assert {path.stem for path in results.glob("objects/??/*.npz")} == named
        for name in named:
            store.objects.get_arrays(name)


def test_model_files_of_kept_records_stay(results, tmp_path):
    from harness.core.files import sha256_bytes

    with Store.open(results) as store:
        history = History(store)
        for name, data in (("kept", b"kept"), ("gone", b"gone")):
            (tmp_path / name).write_bytes(data)
            history.keep_artifact(tmp_path / name)
        store.begin_run(RunInfo(run="n021", started_utc="2026-01-01T00:00:00+00:00", command=[], series="s"))
        from dataclasses import replace

        store.add_cell(replace(record(artifact_sha256=sha256_bytes(b"kept")), run="n021"))
        store.finish_run("n021")
        age(results)
        assert prune(store, what_to_keep(store, nights=2)).artifacts == 1
        assert history.artifact(sha256_bytes(b"kept")) == b"kept" and history.artifact(sha256_bytes(b"gone")) is None


def test_young_objects_stay_because_their_record_may_be_on_its_way(results):
    with Store.open(results) as store:
        young = store.objects.put_array(np.arange(77))
        prune(store, what_to_keep(store, nights=2))
        assert store.objects.has(young)


def test_nothing_is_pruned_while_a_run_is_under_way(results):
    with Store.open(results) as store:
        store.begin_run(RunInfo(run="now", started_utc="2026-01-01T00:00:00+00:00", command=[]))
        with only_one(results, "now"):
            with pytest.raises(UserInputError, match="run now is under way"):
                prune(store, what_to_keep(store))


def test_a_pruned_run_says_so(results):
    with Store.open(results) as store:
        prune(store, what_to_keep(store, nights=2))
    found = CliRunner().invoke(cli, ["report", "n010", "--results", str(results)], standalone_mode=False)
    assert isinstance(found.exception, UserInputError) and "was pruned" in str(found.exception)
    listed = CliRunner().invoke(cli, ["report", "--list", "--results", str(results)], standalone_mode=False)
    assert "pruned" in listed.output and listed.exception is None


def test_a_shared_store_is_pruned_with_its_objects(server, tmp_path, monkeypatch):
    import psycopg

    url = server.new_database()
    monkeypatch.setenv("HARNESS_STORE", url)
    nights = make(tmp_path / "results")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE stored_object SET stored_utc = '2020-01-01T00:00:00.000Z'")
    age(tmp_path / "results")
    done = prune(nights.store, what_to_keep(nights.store, nights=2))
    with psycopg.connect(url) as connection:
        left = connection.execute("SELECT sha256 FROM stored_object").fetchall()
    named = {getattr(r, f) for r in nights.store.cells() for f in vars(r) if f.endswith("_object") and getattr(r, f)}
    assert done.objects > 0 and {sha for (sha,) in left} == named
    nights.store.close()
