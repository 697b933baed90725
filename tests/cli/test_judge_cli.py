"""`harness judge`: a stored run by today's rules, as a user calls it."""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from harness.judge import cell as judge_cell
from harness.judge.rules import RULES_VERSION
from harness.measure import rule
from harness.results.layout import store_path
from harness.results.record import CellRecord
from harness.results.running import only_one
from harness.results.store import Store
from harness.run.options import RunOptions
from harness.session.session import run_session
from tests.support import tiny_model


@pytest.fixture(scope="module")
def measured(tmp_path_factory, tflite_python, litert_python) -> Path:
    """A run of a labelled integer model on two backends of this machine; tests take copies of it."""
    folder = tmp_path_factory.mktemp("judged")
    rng = np.random.default_rng(1)
    (folder / "tiny.tflite").write_bytes(tiny_model.mnist_cnn())
    np.savez(folder / "x.npz", x_test=rng.random((40, 28, 28, 1), np.float32), y_test=np.arange(40) % 10)
    options = RunOptions(
        workloads=(str(folder / "tiny.tflite"),),
        data=str(folder / "x.npz"),
        devices=("host-litert",),
        samples=24,
        budget_s=4.0,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CACHE_DIR", str(Path(tflite_python).parents[3]))
        result = run_session(options, folder / "results", command=["test"])
    assert {r.outcome for r in result.records} == {"ok"}, [r.reason for r in result.records]
    assert all(r.accuracy is not None and r.reference is not None for r in result.records)
    (folder / "tiny.tflite").unlink()
    (folder / "x.npz").unlink()
    return folder / "results"


@pytest.fixture
def results(measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that run, on a machine that has neither the model, nor its data, nor anything cached."""
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "empty"))
    return Path(shutil.copytree(measured, tmp_path / "results", symlinks=True))


@pytest.fixture
def stricter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tomorrow's rules."""
    make_stricter(monkeypatch)


def make_stricter(patch: pytest.MonkeyPatch) -> None:
    """A bound that nothing keeps, and outputs that tell however little they vary."""
    patch.setattr(rule, "_ERROR_BOUND_FEW", -1.0)
    patch.setattr(rule, "_blind", lambda figures: [])
    patch.setattr(judge_cell, "RULES_VERSION", 99)


def cells(results: Path) -> list[CellRecord]:
    with Store.open(results, create=False) as store:
        return store.cells(run="latest")


def test_a_run_by_the_rules_that_judged_it_gives_its_records_exactly(harness_cli, results):
    done = harness_cli("judge", "latest", "--results", results)
    assert (done.code, done.out) == (0, "")
    assert re.fullmatch(rf"nothing differs: \d+ cells? of run \S+ judged again by rules {RULES_VERSION}\n", done.err)
    assert len(cells(results)) == 2


def test_changed_rules_print_each_field_with_its_old_and_new_value(harness_cli, results, stricter):
    before = cells(results)
    done = harness_cli("judge", "latest", "--results", results)
    assert done.code == 0
    assert [line for line in done.out.splitlines() if not line.startswith(" ")] == [r.key.text for r in before]
    assert done.out.count('  outcome: "ok" -> "wrong"') == 2 and "  reason: null -> " in done.out
    assert "RMS difference <= -1 N" in done.out and "accuracy" not in done.out
    assert "2 of 2 cells" in done.err and "--write" in done.err
    assert cells(results) == before, "nothing is stored without --write"


def test_write_stores_a_revision_and_keeps_the_old_record(harness_cli, results, stricter):
    before = cells(results)
    assert harness_cli("judge", "latest", "--results", results, "--write").code == 0
    after = cells(results)
    assert [(r.outcome, r.revision, r.rules_version) for r in after] == [("wrong", 1, 99)] * 2
    with Store.open(results, create=False) as store:
        run = store.run("latest").run
        assert [store.revisions(run, r.key) for r in before] == [
            [old, new] for old, new in zip(before, after, strict=True)
        ]
    assert harness_cli("judge", "latest", "--results", results).out == "", (
        "by the rules of its revision nothing differs"
    )
    shown = harness_cli("judge", "--results", results, "--revisions").out
    assert shown.count(f"  0, rules {RULES_VERSION}: ok") == 2 and shown.count("  1, rules 99: wrong") == 2
    assert '    outcome: "ok" -> "wrong"' in shown
    report = harness_cli("report", "--results", results)
    assert report.code == 0 and "WRONG" in report.out


def test_going_back_to_the_first_rules_is_a_revision_too(harness_cli, results, monkeypatch):
    with monkeypatch.context() as patch:
        make_stricter(patch)
        assert harness_cli("judge", "--results", results, "--write").code == 0
    assert harness_cli("judge", "--results", results, "--write").code == 0
    assert [(r.outcome, r.revision, r.rules_version) for r in cells(results)] == [("ok", 2, RULES_VERSION)] * 2


def test_a_run_without_revisions_shows_none(harness_cli, results):
    done = harness_cli("judge", "--results", results, "--revisions")
    assert (done.code, done.out) == (0, "")
    assert "no record of run" in done.err and "has been judged again" in done.err


def test_a_run_that_still_runs_is_refused(harness_cli, results):
    with Store.open(results) as store:
        run = store.run("latest").run
        store.resume_run(run)
    with only_one(results, run):
        done = harness_cli("judge", run, "--results", results)
    assert done.code == 1 and f"run {run} is still running" in done.err
    assert harness_cli("judge", run, "--results", results).code == 0, "an interrupted one is not"


def test_cells_from_before_say_what_is_missing(harness_cli, results):
    with Store.open(results) as store:
        for record in store.cells(run="latest"):
            record.measurement_object = record.labels_object = None
            store.add_cell(record)
    done = harness_cli("judge", "--results", results, "--write")
    assert (done.code, done.out) == (1, "")
    assert (
        done.err.count("not judged again: stored by an earlier harness: measurement_object, labels_object missing") == 2
    )
    assert [r.revision for r in cells(results)] == [0, 0]


def test_a_damaged_record_is_named_and_is_no_agreement(harness_cli, results):
    with contextlib.closing(sqlite3.connect(store_path(results))) as connection, connection:
        connection.execute(
            "UPDATE cell SET checksum = 'x' || substr(checksum, 2) WHERE rowid = (SELECT min(rowid) FROM cell)"
        )
    done = harness_cli("judge", "latest", "--results", str(results))
    assert (done.code, done.out) == (1, "")
    assert done.err.count("not judged again: ") == 1 and "is damaged" in done.err


def test_a_damaged_object_costs_its_own_cell(harness_cli, results, stricter):
    from harness.results.objects import ObjectStore

    damaged, whole = cells(results)
    path = ObjectStore(results).path(damaged.measurement_object)
    path.write_bytes(path.read_bytes()[:100])
    done = harness_cli("judge", "--results", results)
    assert done.code == 1 and f"{damaged.key.text}: not judged again" in done.err and "is damaged" in done.err
    assert whole.key.text in done.out and damaged.key.text not in done.out


def test_revisions_and_write_do_not_go_together(harness_cli, results):
    done = harness_cli("judge", "--results", results, "--revisions", "--write")
    assert done.code == 1 and "--revisions" in done.err


def test_there_is_nothing_to_judge_where_nothing_ran(harness_cli, tmp_path):
    done = harness_cli("judge", "--results", tmp_path / "none")
    assert done.code == 1 and "no results store" in done.err and not (tmp_path / "none").exists()
