"""Files of the cache: proven whole before each use, made again when they are not, never a traceback."""

from __future__ import annotations

import errno
import os

import pytest

from harness.core.cached import cached_file, whole_sha256
from harness.core.errors import HarnessError
from harness.core.files import sha256_bytes

CONTENT = b"samples" * 100


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "samples" / "one.npy"


def made(path) -> int:
    """Asks for the file; how often its content had to be written."""
    calls = []

    def write(file):
        calls.append(1)
        file.write(CONTENT)

    assert cached_file(path, write) == sha256_bytes(CONTENT)
    assert path.read_bytes() == CONTENT
    return len(calls)


def test_a_file_is_made_once(path):
    assert [made(path), made(path)] == [1, 0]


@pytest.mark.parametrize("where", ["content", "hash"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "gone", "folder", "pipe", "no text"])
def test_whatever_happened_to_it_it_is_made_again(path, where, damage):
    made(path)
    victim = path if where == "content" else path.with_name(f"{path.name}.sha256")
    data = bytearray(victim.read_bytes())
    if damage in ("gone", "folder", "pipe"):
        victim.unlink()
    if damage == "flipped":
        data[3] ^= 1
        victim.write_bytes(data)
    elif damage == "cut":
        victim.write_bytes(data[:-5])
    elif damage == "empty":
        victim.write_bytes(b"")
    elif damage == "no text":
        victim.write_bytes(b"\xff\xfe\0" * 30)
    elif damage == "pipe":
        os.mkfifo(victim)
    elif damage == "folder":
        victim.mkdir()
        # What cannot be replaced is told; nothing is deleted that the harness did not make.
        with pytest.raises(HarnessError, match="cache cannot be written"):
            made(path)
        return
    assert whole_sha256(path) is None
    assert made(path) == 1
    assert whole_sha256(path) == sha256_bytes(CONTENT)


@pytest.mark.parametrize(
    "number, words", [(errno.ENOSPC, "no space left in the cache"), (errno.EROFS, "the cache cannot be written")]
)
def test_a_full_or_read_only_disk_is_told_with_what_to_do(path, number, words):
    def write(_):
        raise OSError(number, os.strerror(number))

    with pytest.raises(HarnessError, match=words) as caught:
        cached_file(path, write)
    assert caught.value.where == str(path.parent) and "HARNESS_CACHE_DIR" in caught.value.hint
    assert list(path.parent.iterdir()) == []
