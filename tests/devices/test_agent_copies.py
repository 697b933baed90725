"""Each worker loads a copy of the model's file of its own, which goes when the worker does."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from agent import copies
from agent.copies import Copies
from agent.errors import Refused
from agent.store import Store

MODEL = b"a model" * 1000


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "files").mkdir()
    return Store(str(tmp_path))


@pytest.fixture
def sha256(store: Store) -> str:
    digest = hashlib.sha256(MODEL).hexdigest()
    store.receive(digest, lambda: iter([MODEL]))
    return digest


def copied(store: Store) -> list[Path]:
    return sorted(Path(store.folder).glob(copies.PREFIX + "*"))


def test_every_worker_has_a_copy_of_its_own(store: Store, sha256: str):
    held = Copies(store)
    first, second = held.of(1, sha256, lambda: None), held.of(2, sha256, lambda: None)
    assert len({first, second, store.path(sha256)}) == 3
    assert Path(first).read_bytes() == Path(second).read_bytes() == MODEL


def test_a_copy_goes_with_its_worker_and_with_its_next_load(store: Store, sha256: str):
    held = Copies(store)
    held.of(1, sha256, lambda: None)
    again = held.of(1, sha256, lambda: None)
    assert [str(path) for path in copied(store)] == [again]
    held.drop(1)
    held.drop(1)
    assert copied(store) == [] and Path(store.path(sha256)).read_bytes() == MODEL


def test_what_workers_left_behind_goes(store: Store, sha256: str):
    held = Copies(store)
    held.of(1, sha256, lambda: None)
    kept = held.of(2, sha256, lambda: None)
    held.keep_only({2})
    assert [str(path) for path in copied(store)] == [kept]


def test_a_large_file_or_a_full_disk_is_loaded_where_it_lies(store: Store, sha256: str, monkeypatch):
    monkeypatch.setattr(copies, "LIMIT_BYTES", 10)
    assert Copies(store).of(1, sha256, lambda: None) == store.path(sha256)
    monkeypatch.undo()
    monkeypatch.setattr(store, "free_bytes", lambda: 1000)
    assert Copies(store).of(1, sha256, lambda: None) == store.path(sha256)
    assert copied(store) == []


def test_a_file_that_is_not_there_is_refused(store: Store):
    with pytest.raises(Refused):
        Copies(store).of(1, "f" * 64, lambda: None)


def test_copies_of_dead_agents_go_and_those_of_living_ones_stay(store: Store, sha256: str):
    living = Copies(store)
    kept = living.of(1, sha256, lambda: None)
    lost = Path(store.folder) / (copies.PREFIX + "lost")
    lost.write_bytes(MODEL)
    for path in (Path(kept), lost):
        os.utime(path, (1, 1))
    Copies(store)
    assert [str(path) for path in copied(store)] == [kept]
