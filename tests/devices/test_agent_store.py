"""The agent's file store: by hash, within its limit, safe beside other agents."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from agent.errors import Refused
from agent.store import Store


@pytest.fixture
def store(tmp_path: Path):
    """An empty store with room for 1000 bytes."""
    (tmp_path / "files").mkdir()
    store = Store(str(tmp_path))
    store.limit_bytes = 1000
    return store


def put(store, data: bytes) -> str:
    sha256 = hashlib.sha256(data).hexdigest()
    store.make_room(len(data))
    store.receive(sha256, lambda: iter([data]))
    return sha256


def test_what_is_stored_is_found_again(store):
    sha256 = put(store, b"model")
    assert store.have(sha256, lambda: None)
    assert not store.have("f" * 64, lambda: None)


def test_a_file_that_rotted_on_the_disk_is_removed(store):
    sha256 = put(store, b"model")
    Path(store.path(sha256)).write_bytes(b"mod3l")
    assert not store.have(sha256, lambda: None)
    assert not Path(store.path(sha256)).exists()


def test_the_files_unused_for_longest_go_first(store):
    old, new = put(store, b"o" * 400), put(store, b"n" * 400)
    os.utime(store.path(old), (1, 1))
    third = put(store, b"t" * 400)
    assert [Path(store.path(s)).exists() for s in (old, new, third)] == [False, True, True]


def test_files_in_use_by_any_agent_stay(store, tmp_path: Path):
    used = put(store, b"u" * 400)
    other_agent = Store(str(tmp_path))
    assert other_agent.have(used, lambda: None)
    os.utime(store.path(used), (1, 1))
    free = put(store, b"f" * 400)
    put(store, b"t" * 400)
    assert Path(store.path(used)).exists()
    assert not Path(store.path(free)).exists()


def test_a_file_over_the_limit_is_refused(store):
    with pytest.raises(Refused, match="cache limit"):
        store.make_room(1001)


def test_a_file_that_the_disk_has_no_room_for_is_refused(store):
    store.limit_bytes = 1 << 62
    with pytest.raises(Refused) as caught:
        store.make_room(1 << 60)
    assert caught.value.args[0] == "no_space"


def test_two_uploads_of_the_same_file_at_once_are_both_right(store, tmp_path: Path):
    other = Store(str(tmp_path))
    data = b"same" * 50
    sha256 = hashlib.sha256(data).hexdigest()

    def pieces():
        yield data[:100]
        other.receive(sha256, lambda: iter([data]))
        yield data[100:]

    store.receive(sha256, pieces)
    assert Path(store.path(sha256)).read_bytes() == data
    assert [p.name for p in (tmp_path / "files").iterdir()] == [sha256]


def test_an_abandoned_upload_is_cleared_away_a_running_one_is_not(tmp_path: Path):
    (tmp_path / "files").mkdir()
    stale, fresh = tmp_path / "files" / ".tmp-stale", tmp_path / "files" / ".tmp-fresh"
    stale.touch()
    fresh.touch()
    os.utime(stale, (1, 1))
    Store(str(tmp_path))
    assert (stale.exists(), fresh.exists()) == (False, True)
