"""Samples as they travel: made once, whole or made again, and no more of a large set than is asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.core.errors import HarnessError, UserInputError
from harness.core.tensor import TensorIo
from harness.prepare import samples
from harness.prepare.samples import InputFile, needed_samples, random_inputs, sample_files
from harness.workloads.base import Dataset
from harness.workloads.rows import StoredRows

IO = TensorIo(name="in", dtype="int8", shape=(1, 4), scale=0.5, zero_point=-3)
X = np.arange(80, dtype=np.float32).reshape(20, 4)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))


def dataset(x) -> Dataset:
    return Dataset(name="d", note="", digest="0" * 64, x_train=None, y_train=None, x_test=x, y_test=None)


def samples_file(data: Dataset, order: np.ndarray, io: TensorIo) -> InputFile:
    """The file of a model with one input."""
    (file,) = sample_files(data, order, [io])
    return file


@pytest.mark.parametrize("damage", [lambda data: data[:-7], lambda data: data[:-1] + b"\x55", lambda data: b""])
def test_a_damaged_samples_file_is_made_again(damage):
    order = np.arange(20)[::-1]
    first = samples_file(dataset(X), order, IO)
    whole = first.path.read_bytes()
    first.path.write_bytes(damage(whole))
    assert samples_file(dataset(X), order, IO) == first and first.path.read_bytes() == whole


@pytest.mark.parametrize("damage", [lambda data: data[:-7], lambda data: data[:-1] + bytes([data[-1] ^ 1])])
def test_damaged_random_inputs_are_made_again(damage):
    (first,) = random_inputs([IO], 10, 0)
    whole = first.path.read_bytes()
    first.path.write_bytes(damage(whole))
    assert random_inputs([IO], 10, 0) == (first,) and first.path.read_bytes() == whole


def test_samples_that_stay_in_their_file_travel_as_those_in_memory_do(tmp_path, monkeypatch):
    np.savez(tmp_path / "x.npz", x=X)
    stored = StoredRows(tmp_path / "x.npz", "x", X.shape, lambda first, raw: raw)
    monkeypatch.setattr("harness.workloads.archive.BLOCK_BYTES", 50)
    order = np.array([7, 3, 19, 0, 11])
    from_file, in_memory = (
        samples_file(replace(dataset(x), digest=digest * 64), order, IO) for x, digest in ((stored, "1"), (X, "2"))
    )
    assert from_file.path != in_memory.path
    assert np.array_equal(np.load(from_file.path), np.load(in_memory.path))


def test_of_a_large_set_only_what_is_asked_for_is_made_ready(monkeypatch):
    assert needed_samples(dataset(X), [IO], 5) == 20
    monkeypatch.setattr(samples, "_WHOLE_BYTES", 79)
    assert [needed_samples(dataset(X), [IO], asked) for asked in (5, 50, None)] == [5, 20, 20]


def test_samples_that_do_not_fit_the_model_are_told_before_anything_is_written(tmp_path):
    with pytest.raises(UserInputError, match="the model takes"):
        samples_file(dataset(X), np.arange(20), replace(IO, shape=(1, 5)))
    assert not (tmp_path / "cache").exists()


def test_a_model_without_a_batch_axis_takes_each_sample_whole():
    io = replace(IO, shape=(4,))
    assert np.load(samples_file(dataset(X), np.arange(20), io).path).shape == (20, 4)
    assert np.load(random_inputs([io], 3, 0)[0].path).shape == (3, 4)


def test_a_fixed_batch_is_told_as_what_it_is():
    with pytest.raises(UserInputError, match="takes 8 samples at once: its input is .8, 4.*batch of 1"):
        samples_file(dataset(X), np.arange(20), replace(IO, shape=(8, 4)))


def test_a_full_cache_disk_is_told(monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", "/dev/full/cache")
    with pytest.raises(HarnessError, match="HARNESS_CACHE_DIR"):
        samples_file(dataset(X), np.arange(20), IO)
