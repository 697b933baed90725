"""Files that are not what they claim to be: profiles, models, data, caches, stores. An error, or what they really hold."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest

from harness.boards.resolve import get_profile
from harness.core.cached import cached_file, whole_sha256
from harness.core.errors import HarnessError
from harness.core.files import sha256_file
from harness.core.paths import packaged_devices_dir
from harness.reports.report import Report
from harness.results.layout import store_path
from harness.results.objects import ObjectStore
from harness.results.overview import overview
from harness.results.store import Store
from harness.suites.suite import load_expectations
from harness.tflite.features import features, output_lsb
from harness.tflite.graph import model_io, read_graph
from harness.tflite.plan import make_plan
from harness.tflite.support import known_runtimes, runtime_supports
from harness.variants.audit.tflite import audit_tflite
from harness.workloads.npz import file_digest, read_arrays
from harness.workloads.npz_report import describe_npz
from tests.support import tiny_model
from tests.support.fixtures_results import RUN, fill_store, make_info, make_records
from tests.support.fuzzing import NASTY, cases, mutated_bytes

SQL_TEXTS = ("cell.record", "cell.checksum", "cell.recipe", "cell.outcome", "part.text", "part.sha256", "run.state")
SQL_TEXTS += ("run.command", "run.environment", "planned_cell.recipe", "alembic_version.version_num", "cell.seed")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))


def test_profiles(tmp_path):
    packaged = sorted(packaged_devices_dir().glob("*.yaml"))
    for rng in cases("profiles"):
        path = tmp_path / "board.yaml"
        text = rng.choice(packaged).read_bytes()
        if rng.random() < 0.5:
            lines = text.splitlines()
            at = rng.randrange(len(lines))
            name = lines[at].split(b":")[0]
            lines[at] = (
                name
                + b": "
                + str(rng.choice((*NASTY, "!!binary aGk=", "!!set {a}", "&a *a", "{{}}"))).encode(errors="replace")
            )
            text = b"\n".join(lines)
        path.write_bytes(mutated_bytes(rng, text) if rng.random() < 0.6 else text)
        with suppress(HarnessError):
            profile = get_profile("board", str(tmp_path))
            assert profile.name == "board" and profile.backends


def test_expectations_of_suites(tmp_path):
    good = b"- cell: mnist-cnn/ptq-*/host/cpu\n  outcome: unsupported\n  reason: an old runtime\n"
    for rng in cases("expectations"):
        (tmp_path / "expectations.yaml").write_bytes(mutated_bytes(rng, good * rng.randrange(1, 4)))
        with suppress(HarnessError):
            assert all(e.outcome and e.reason for e in load_expectations(tmp_path / "expectations.yaml"))


def test_models(tmp_path):
    models = [tiny_model.float_mlp(), tiny_model.int8_dense(), tiny_model.mnist_cnn(), tiny_model.sum_and_softmax()]
    for rng in cases("models"):
        data = mutated_bytes(rng, rng.choice(models))
        path = tmp_path / "model.tflite"
        path.write_bytes(data)
        with suppress(HarnessError):
            graph = read_graph(path)
            model_io(graph), features(graph), output_lsb(graph)
            for name, version in known_runtimes():
                runtime_supports(name, version, graph)
        with suppress(HarnessError):
            audit_tflite(path)
        with suppress(HarnessError):
            assert make_plan(path).arena_bytes >= 0


def test_data_files(tmp_path):
    path = tmp_path / "samples.npz"
    rng0 = np.random.default_rng(0)
    with open(path, "wb") as file:
        np.savez(file, x_test=rng0.random((20, 4), np.float32), y_test=np.arange(20) % 3)
    good = path.read_bytes()
    for rng in cases("data"):
        path.write_bytes(mutated_bytes(rng, good))
        with suppress(HarnessError):
            arrays = read_arrays(path, ["x_test"], ["y_test"])
            assert isinstance(arrays["x_test"], np.ndarray) and file_digest(path, ["x_test"])
        with suppress(HarnessError):
            describe_npz(path)


def test_cached_files(tmp_path):
    def write(file):
        file.write(bytes(range(256)) * 20)

    path = tmp_path / "cache" / "samples.npy"
    sha256 = cached_file(path, write)
    beside = path.parent / f"{path.name}.sha256"
    for rng in cases("cache"):
        for victim in rng.choice(((path,), (beside,), (path, beside))):
            victim.write_bytes(mutated_bytes(rng, victim.read_bytes()))
        assert whole_sha256(path) in (None, sha256)
        assert cached_file(path, write) == sha256 == sha256_file(path)


def test_objects(tmp_path):
    objects = ObjectStore(tmp_path)
    array = np.arange(1000, dtype=np.int64)
    sha256 = objects.put_array(array)
    good = objects.path(sha256).read_bytes()
    for rng in cases("objects"):
        objects.path(sha256).write_bytes(mutated_bytes(rng, good))
        with suppress(HarnessError):
            assert np.array_equal(objects.get_array(sha256), array)
        assert objects.put_array(array) == sha256 and np.array_equal(objects.get_array(sha256), array)


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz-store")
    records = make_records()[:12]
    fill_store(folder, records, make_info(records)).close()
    with closing(sqlite3.connect(store_path(folder))) as database:
        database.execute("PRAGMA journal_mode = DELETE")
    return folder


def read_it_all(folder: Path) -> None:
    """Everything that a report reads. A damaged record is named, and the others are what they were."""
    found = overview(folder)
    with Store.open(folder, create=False) as store:
        records = store.cells()
        infos = store.runs()
        report = Report.of(records, infos[0] if infos else None, damaged=(key for _, key in store.damaged_cells))
        assert report.counts_text and sum(one.cells for one in found) >= 0
        for record in records:
            assert isinstance(record.outcome, str) and (record.accuracy is None or 0 <= record.accuracy <= 1)


def test_values_in_a_store(stored, tmp_path):
    for rng in cases("store-values"):
        folder = tmp_path / "results"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(stored, folder)
        with closing(sqlite3.connect(store_path(folder))) as database, database:
            database.text_factory = bytes
            table, column = rng.choice(SQL_TEXTS).split(".")
            rows = database.execute(f"SELECT rowid, {column} FROM {table}").fetchall()
            number, value = rng.choice(rows)
            spoilt = rng.choice(
                (mutated_bytes(rng, bytes(str(value), "ascii") if not isinstance(value, bytes) else value), 7, b"")
            )
            if isinstance(spoilt, bytes) and rng.random() < 0.5:
                spoilt = spoilt.decode("latin-1")
            with suppress(sqlite3.IntegrityError):
                database.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (spoilt, number))
        with suppress(HarnessError):
            read_it_all(folder)
            with Store.open(folder, create=False) as store:
                # Only what was touched is missing; nothing was made up.
                assert len(store.cells()) >= (0 if table == "part" else 11)


def test_bytes_of_a_store(stored, tmp_path):
    good = store_path(stored).read_bytes()
    for rng in cases("store-bytes"):
        folder = tmp_path / "results"
        folder.mkdir(exist_ok=True)
        for left in folder.glob("store.sqlite*"):
            left.unlink()
        store_path(folder).write_bytes(mutated_bytes(rng, good))
        with suppress(HarnessError):
            read_it_all(folder)
            with Store.open(folder, create=False) as store:
                store.run(RUN)
