"""What of a cell ships: what was measured, by its hash, and of an `ok` cell alone unless it is asked for anyway."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.boards.base import BackendSpec
from harness.core.errors import HarnessError, UserInputError
from harness.core.files import sha256_bytes
from harness.core.fingerprint import Fingerprint
from harness.core.tensor import TensorIo
from harness.export.export import export
from harness.export.shipped import Samples, Shipped, ship
from harness.results.record import CellKey, CellRecord
from tests.support import tiny_model
from tests.support.answered_store import answered_store

DATA = tiny_model.int8_dense()


@pytest.fixture
def stored(tmp_path: Path):
    (tmp_path / "files").mkdir()
    records = answered_store(tmp_path / "results", tmp_path / "files", devices=("board",))
    from harness.results.objects import ObjectStore

    return {record.key.recipe: record for record in records}["ptq-int8-io"], ObjectStore(tmp_path / "results")


def shipped(**changes) -> Shipped:
    key = CellKey(workload="w", recipe="as-is", device="board", backend="npu", dataset="d" * 64, seed=0)
    record = CellRecord(
        key=key, run="r0", outcome="ok", samples=2, fingerprint=Fingerprint(runtime="tflite-runtime 2.14.0")
    )
    io = TensorIo(name="in|put\n", dtype="int8", shape=(1, 16), scale=0.5, zero_point=-1)
    values = {
        "record": record,
        "tflite": DATA,
        "inputs": (io,),
        "outputs": (io,),
        "backend": BackendSpec(name="npu"),
        "samples": Samples(inputs=(np.zeros((2, 16), np.int8),), outputs=(np.zeros((2, 10), np.int8),)),
        "keeps_state": False,
    }
    return Shipped(**{**values, **changes})


def test_a_cell_that_is_not_ok_ships_only_when_asked_for_anyway(stored):
    record, objects = stored
    wrong = replace(record, outcome="wrong", reason="it computes nonsense")
    with pytest.raises(UserInputError, match="the cell's outcome is wrong, not ok: it computes nonsense"):
        ship(wrong, objects, samples=0)
    for outcome in ("failed", "unsupported", "estimated"):
        with pytest.raises(UserInputError, match=f"nothing ran: the cell is {outcome}"):
            ship(replace(record, outcome=outcome), objects, samples=0, anyway=True)


def test_a_file_that_was_not_kept_is_taken_from_the_user_by_its_hash(stored, tmp_path: Path):
    record, objects = stored
    path = tmp_path / "given.tflite"
    path.write_bytes(DATA)
    lost = replace(record, artifact_object=None, artifact_sha256=sha256_bytes(DATA))
    with pytest.raises(HarnessError, match="the model's file was not kept") as told:
        ship(lost, objects, samples=0)
    assert "--model" in str(told.value)
    assert ship(lost, objects, samples=0, model=path).tflite == DATA
    path.write_bytes(DATA + b"\0")
    with pytest.raises(UserInputError, match="is not the file that was measured"):
        ship(lost, objects, samples=0, model=path)


def test_samples_that_are_gone_are_told(stored, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "empty"))
    record, objects = stored
    path = tmp_path / "given.tflite"
    path.write_bytes(DATA)
    record = replace(record, artifact_sha256=sha256_bytes(DATA))
    with pytest.raises(HarnessError, match="--samples 0"):
        ship(record, objects, model=path)


def test_anyway_is_written_into_the_readme_first(tmp_path: Path):
    made = export(shipped(despite=("the cell's outcome is wrong, not ok",)), tmp_path / "x")
    head = (made.folder / "README.md").read_text().splitlines()[:6]
    assert "> **This was exported although it should not ship:**" in head
    assert "> the cell's outcome is wrong, not ok" in head


def test_settings_of_a_profile_get_into_the_loader_as_literals_alone(tmp_path: Path):
    hostile = 'a"\'; import os; os.abort() #\n"""'
    backend = BackendSpec(
        name=hostile, threads=3, affinity=(1, 2), delegate_path=f"/lib/{hostile}", delegate_options={hostile: "{cache_dir}/x"},
        env={"A_B": hostile},
    )  # fmt: skip
    folder = export(shipped(backend=backend), tmp_path / "x").folder
    code = (
        f"import sys; sys.path.insert(0, {str(folder)!r}); import load, selftest; "
        "print(load.THREADS, load.CPUS, ascii(load.DELEGATE), ascii(load.DELEGATE_OPTIONS), ascii(load.ENVIRONMENT))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    expected = (3, [1, 2], backend.delegate_path, backend.delegate_options, backend.env)
    assert done.stdout.strip() == " ".join(ascii(value) for value in expected), done.stderr
    table = [line for line in (folder / "README.md").read_text().splitlines() if line.startswith("| input 0")]
    assert table == [r"| input 0 | in\|put | int8 | 1 x 16 | 0.5 | -1 |"]


def test_nothing_is_left_of_an_export_that_fails(tmp_path: Path):
    other = replace(shipped().record, fingerprint=Fingerprint(runtime="mlperf-tiny 1.0"))
    with pytest.raises(HarnessError, match="nothing is exported for a cell that ran on 'mlperf-tiny 1.0'"):
        export(shipped(record=other), tmp_path / "x")
    assert list(tmp_path.iterdir()) == []
