"""Data files that are not what they claim: a clear error, never a traceback, never more memory than a block."""

import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from harness.core import memory
from harness.core.errors import HarnessError, UserInputError
from harness.workloads.archive import Archive
from harness.workloads.digest import arrays_digest
from harness.workloads.npz import file_digest, read_arrays
from harness.workloads.npz_report import describe_npz
from harness.workloads.rows import StoredRows
from tests.support.npz_files import npy, npy_header, write_zeros, write_zip

X = np.arange(24, dtype=np.float32).reshape(6, 4)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "samples.npz"


def refusal(path: Path, key: str = "x") -> str:
    with pytest.raises(UserInputError) as caught:
        read_arrays(path, [key])
    assert caught.value.where == str(path)
    return str(caught.value)


@pytest.mark.parametrize(
    "array",
    [X, np.asfortranarray(X), X.astype(">f4"), np.float64(3.5), np.zeros((0, 4)), X[:, ::2], np.array([True, False])],
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_writes_is_read_as_it_was(path, array, save):
    save(path, x=array)
    read = read_arrays(path, ["x"])["x"]
    assert read.dtype == np.asarray(array).dtype and np.array_equal(read, array)


@pytest.mark.parametrize(
    "members, words",
    [
        ({"x": npy(X)}, "has no array 'x'.*beside them x, no array"),
        ({"x.npy": b"text"}, "'x' is truncated or corrupt .it is not in numpy's format"),
        ({"x.npy": b""}, "'x' is truncated or corrupt"),
        ({"x.npy": npy(np.array([object()]))}, "'x' holds pickled Python objects"),
        ({"x.npy": npy(np.zeros(3, [("a", "f4")]))}, "'x' holds records"),
        ({"x.npy": npy(X)[:-1]}, "should hold .*, and holds"),
        ({"x.npy": npy(X) + b"\0"}, "should hold .*, and holds"),
        (
            {"x.npy": npy_header("(8589934592, 4)")},
            r"should hold \[8589934592, 4\] of float32, 137.4 GB, and holds 0 bytes",
        ),
        ({"x.npy": npy_header("(8589934592,)", "'|u1'")}, "should hold"),
        ({"x.npy": npy_header("(-1,)")}, "its shape is"),
        ({"x.npy": npy_header("(True,)")}, "its shape is"),
        ({"x.npy": npy_header("(0, 99999999999999999999999)")}, "truncated or corrupt"),
        ({"x.npy": npy_header("3")}, "truncated or corrupt"),
        ({"x.npy": npy_header("()", "'no type'")}, "truncated or corrupt"),
        ({"x.npy": npy_header("()", "'<U999999999'")}, "should hold|truncated or corrupt"),
        ({"x.npy": npy_header("(" * 3000 + ")" * 3000)}, "truncated or corrupt"),
        ({"x.npy": npy_header("(1" + " + 1" * 2000 + ",)")}, "truncated or corrupt"),
        ({"x.npy": npy_header("__import__('os').system('true')")}, "truncated or corrupt"),
        ({"x.npy": b"\x93NUMPY\x02\x00\xff\xff\xff\xff"}, "its header claims 4294967295 bytes"),
        ({"x.npy": b"\x93NUMPY\x09\x00\x00\x00"}, "unknown format 9.0"),
    ],
)
def test_a_member_that_is_no_such_array_is_named(path, members, words):
    with pytest.raises(UserInputError, match=words):
        read_arrays(write_zip(path, members), ["x"])


def test_a_foreign_member_beside_the_arrays_is_left_alone_and_told(path):
    write_zip(path, {"x.npy": npy(X), "README.txt": b"hello", "sub/": b"", "__MACOSX/x.npy": b"junk"})
    assert np.array_equal(read_arrays(path, ["x"])["x"], X)
    assert any(line.startswith("beside") and "README.txt (no array)" in line for line in describe_npz(path))


def test_an_array_that_stands_twice_is_not_guessed_at(path):
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", npy(X))
        archive.writestr("x.npy", npy(X + 1))
    assert "several arrays 'x'" in refusal(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_unusual_packing_is_refused(path, method):
    write_zip(path, {"x.npy": npy(X)}, method)
    assert "packed by an unusual method" in refusal(path)


def test_an_encrypted_member_is_refused(path):
    write_zip(path, {"x.npy": npy(X)})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert "is encrypted" in refusal(path)


def test_a_size_that_packing_cannot_reach_is_refused(path):
    """The zip's own directory lies as the header does: 2 GiB in a few bytes."""
    header = npy_header("(2147483648,)", "'|u1'")
    write_zip(path, {"x.npy": header}, zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = (2147483648 + len(header)).to_bytes(4, "little")
    path.write_bytes(data)
    assert "claims 2.1 GB in" in refusal(path)


def test_a_decompression_bomb_is_refused_by_its_sizes(path, monkeypatch):
    monkeypatch.setattr("harness.workloads.archive._BOMB_BYTES", 16 << 20)
    write_zeros(path, "x", 20, 1 << 20)
    assert path.stat().st_size < 1 << 20
    assert "to 21.0 MB: a decompression bomb" in refusal(path)


def test_an_array_larger_than_the_memory_is_refused_before_it_is_read(path, monkeypatch):
    np.savez(path, x=X)
    monkeypatch.setattr(memory, "free_bytes", lambda: 100)
    assert "would take 96 bytes of memory, and 100 bytes are free" in refusal(path)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "socket"])
def test_what_is_no_file_is_refused_at_once(tmp_path, kind):
    import socket

    place = tmp_path / "x.npz"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    elif kind == "device":
        place.symlink_to("/dev/zero")
    else:
        socket.socket(socket.AF_UNIX).bind(str(place))
    with pytest.raises(UserInputError, match=f"is a {kind}|cannot be read"):
        read_arrays(place, ["x"])


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path, name):
    with pytest.raises(UserInputError, match="cannot be read"):
        read_arrays(tmp_path / name, ["x"])


def test_the_digest_of_a_large_file_is_that_of_its_arrays(path, monkeypatch):
    np.savez_compressed(
        path, x=np.arange(3000, dtype=np.int16).reshape(1000, 3), scale=np.float32(2), f=np.asfortranarray(X)
    )
    whole = arrays_digest(read_arrays(path, ["x", "scale", "f"]))
    monkeypatch.setattr("harness.workloads.npz._WHOLE_BYTES", 10)
    assert file_digest(path, ["x", "scale", "f"]) == whole


# Rows that stay in their file


@pytest.fixture
def stored(path, monkeypatch):
    """1,000 rows of three values, read in blocks of some ten rows."""
    monkeypatch.setattr("harness.workloads.archive.BLOCK_BYTES", 64)
    np.savez_compressed(path, x=np.arange(3000, dtype=np.int16).reshape(1000, 3))
    return StoredRows(path, "x", (1000, 3), lambda first, raw: raw.astype(np.float32) / 2)


@pytest.mark.parametrize(
    "which", [np.array([5, 999, 0, 5]), slice(0, 7), slice(990, None), slice(None, None, 100), np.array([], dtype=int)]
)
def test_stored_rows_are_those_of_the_array(stored, which):
    expected = np.arange(3000, dtype=np.float32).reshape(1000, 3)[which] / 2
    assert np.array_equal(stored[which], expected) and stored[which].dtype == np.float32


def test_stored_rows_that_do_not_fit_the_memory_are_refused(stored, monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda: 20_000)
    assert stored[:100].shape == (100, 3)
    with pytest.raises(UserInputError, match="ask for fewer with --samples"):
        stored[:1000]


def test_damage_in_the_middle_is_found_by_the_archives_checksum(path):
    np.savez(path, x=np.zeros((1000, 3), np.uint8))
    data = bytearray(path.read_bytes())
    data[1500] ^= 1
    path.write_bytes(data)
    with Archive(path) as archive, pytest.raises(UserInputError, match="truncated or corrupt"):
        list(archive.blocks("x"))


@pytest.mark.slow
def test_a_large_file_costs_no_more_memory_than_the_rows_that_are_asked_for(tmp_path):
    """Twenty of 1,200 samples, 300 MB of uint8 (1.2 GB as float32), for 100 MB beyond what the process takes anyway."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(tmp_path / "big.npz", "w") as archive, archive.open("x.npy", "w", force_zip64=True) as member:
        member.write(npy_header("(1200, 500, 500)", "'|u1'"))
        row = rng.integers(0, 255, 250_000, dtype=np.uint8).tobytes()
        for _ in range(1200):
            member.write(row)
    code = (
        "import resource, sys, numpy as np; from pathlib import Path\n"
        "from harness.core.tensor import TensorIo\n"
        "from harness.prepare.samples import needed_samples, sample_files\n"
        "from harness.workloads.datasets import DataSource\n"
        "from harness.workloads.metrics.base import Ends\n"
        "from harness.workloads.user import ModelEnds, Samples\n"
        "io = TensorIo(name='in', dtype='uint8', shape=(1, 500, 500), scale=1.0, zero_point=0)\n"
        "ends = ModelEnds(kind='tflite', input=io, outputs=(Ends(units=2, squashed=False),))\n"
        f"data = Samples(path=Path({str(tmp_path / 'big.npz')!r}), ends=ends, metric=None).load(DataSource())\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "count = needed_samples(data, [io], 20)\n"
        "(file,) = sample_files(data, np.arange(1200)[::-5][:count], [io])\n"
        "print(count, file.path.stat().st_size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HARNESS_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    count, size, more_kb = map(int, done.stdout.split())
    assert count == 20 and size < 6_000_000 and more_kb < 100_000


# Fuzzing


@pytest.mark.slow
def test_no_damage_makes_a_traceback(tmp_path):
    """Bytes flipped, cut, doubled and set in real files, for a few seconds: numbers or an error that names the file."""
    rng = np.random.default_rng(20261128)
    originals = []
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "good.npz", x_test=X, y_test=np.arange(6), x_train=np.asfortranarray(X), scale=np.float32(0.5))
        originals.append((tmp_path / "good.npz").read_bytes())
    path, ends_s, tried, refused = tmp_path / "bad.npz", time.monotonic() + 6, 0, 0
    while tried < 3000 and time.monotonic() < ends_s:
        path.write_bytes(_damaged(bytearray(originals[tried % 2]), rng))
        tried += 1
        try:
            describe_npz(path)
        except HarnessError as error:
            assert str(path) in str(error)
            refused += 1
    assert tried > 100 and refused > tried / 4


def _damaged(data: bytearray, rng: np.random.Generator) -> bytes:
    for _ in range(rng.integers(1, 4)):
        at, kind = int(rng.integers(len(data))), rng.integers(5)
        if kind == 0:
            data[at] ^= 1 << rng.integers(8)
        elif kind == 1:
            data[at : at + 4] = bytes([255] * 4)
        elif kind == 2:
            del data[at : at + int(rng.integers(1, 40))]
        elif kind == 3:
            data[at:at] = data[at : at + int(rng.integers(1, 200))]
        else:
            data[at] = ord(rng.choice(list("0123456789(),'<>|-")))
    return bytes(data)
