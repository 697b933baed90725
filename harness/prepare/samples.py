"""Samples as they travel to boards: one .npy per model input, made once, proven whole before each use."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from harness.core.cached import HASH_SUFFIX, cached_file, whole_sha256
from harness.core.errors import UserInputError
from harness.core.files import sha256_json
from harness.core.paths import cache_dir
from harness.core.tensor import TensorIo
from harness.workloads.base import Dataset
from harness.workloads.prepare import fitting_shape, quantize_samples
from harness.workloads.rows import Rows, StoredRows, by_input, row_blocks

#: a test set up to this size (in the input's dtype) is made ready whole, so that its file serves every number of samples
_WHOLE_BYTES = 64 << 20


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """Samples of one model input as they travel to boards: .npy, [N, ...] without the batch axis, in the input's dtype."""

    path: Path
    sha256: str
    count: int


def needed_samples(dataset: Dataset, inputs: Sequence[TensorIo], asked: int | None) -> int:
    """How many test samples to make ready: all of a small set, and of a large one those that were asked for."""
    count = len(dataset.x_test)
    values = [math.prod(rows.shape) for rows in by_input(dataset.x_test).values()]
    size_bytes = sum(number * np.dtype(io.dtype).itemsize for number, io in zip(values, inputs, strict=True))
    return count if asked is None or size_bytes <= _WHOLE_BYTES else min(count, asked)


def sample_files(
    dataset: Dataset, order: np.ndarray, inputs: Sequence[TensorIo], names: Sequence[str] = ("",)
) -> tuple[InputFile, ...]:
    """The test samples in `order`, one file per input of a model, each in its input's dtype.

    Args:
        names: which of the dataset's inputs each of the model's is; the empty name for a dataset of one.

    Raises:
        UserInputError: the samples do not fit an input.
        HarnessError: the cache cannot be written, or is full.
    """
    rows = by_input(dataset.x_test)
    return tuple(
        _samples_file(rows[name], dataset.digest, order, io, name) for io, name in zip(inputs, names, strict=True)
    )


def _samples_file(rows: Rows, digest: str, order: np.ndarray, io: TensorIo, name: str) -> InputFile:
    """Rows in `order` as a .npy in the input's dtype, made once per dataset and input quantization."""
    fitting_shape(rows.shape, io)
    rule = [digest, sha256_json(order.tolist()), io.dtype, list(io.shape), float(io.scale).hex(), io.zero_point]
    key = sha256_json([*rule, name] if name else rule)
    path = cache_dir() / "samples" / f"{key}.npy"
    sha256 = cached_file(path, lambda file: _write(file, rows, order, io))
    return InputFile(path=path, sha256=sha256, count=len(order))


def cached_samples(sha256: str) -> Path | None:
    """The samples file of this hash that this machine has made, whole; None where it is not in the cache any more."""
    for promise in (cache_dir() / "samples").glob(f"*.npy{HASH_SUFFIX}"):
        with contextlib.suppress(OSError):
            path = promise.with_name(promise.name.removesuffix(HASH_SUFFIX))
            if promise.read_text().strip() == sha256 and whole_sha256(path) == sha256:
                return path
    return None


def random_inputs(io: Sequence[TensorIo], count: int, seed: int) -> tuple[InputFile, ...]:
    """Random samples in each input's own type, for a model that came without data.

    Floats are standard normal; integers are uniform over the whole range of their type (over 0..1 for bool), so that
    saturation is exercised.

    Raises:
        UserInputError: for an input type that random numbers make no sense for.
        HarnessError: the cache cannot be written, or is full.
    """
    files = []
    for position, tensor in enumerate(io):
        values = _random(tensor, count, np.random.default_rng([seed, position]))
        key = sha256_json(["random", seed, position, tensor.dtype, list(values.shape)])
        path = cache_dir() / "samples" / f"{key}.npy"
        sha256 = cached_file(path, lambda file, values=values: np.save(file, values, allow_pickle=False))  # type: ignore[misc]
        files.append(InputFile(path=path, sha256=sha256, count=count))
    return tuple(files)


def _random(tensor: TensorIo, count: int, rng: np.random.Generator) -> np.ndarray:
    shape = (count, *[max(1, d) for d in tensor.sample_shape])
    if tensor.dtype.startswith("float"):
        return rng.standard_normal(shape).astype(tensor.dtype)
    if tensor.dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if tensor.dtype in ("int8", "uint8", "int16"):
        limits = np.iinfo(tensor.dtype)
        return rng.integers(limits.min, limits.max + 1, shape).astype(tensor.dtype)
    raise UserInputError(
        f"input '{tensor.name}' has type {tensor.dtype}, which random values say nothing about",
        hint="give samples with --data samples.npz",
    )


def _write(file: IO[bytes], rows: Rows, order: np.ndarray, io: TensorIo) -> None:
    """Writes rows in `order` as a .npy; those that stay in their file are not all in memory at any time."""
    if not isinstance(rows, StoredRows):
        np.save(file, np.ascontiguousarray(quantize_samples(rows[order], io)), allow_pickle=False)
        return
    shape = fitting_shape((len(order), *rows.shape[1:]), io)
    dtype = np.dtype(io.dtype)
    np.lib.format.write_array_header_1_0(
        file, {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    )
    begin, row_bytes = file.tell(), math.prod(shape[1:]) * dtype.itemsize
    place = np.full(len(rows), -1, dtype=np.int64)
    place[order] = np.arange(len(order))
    for start, block in row_blocks(rows):
        there = place[start : start + len(block)]
        wanted = there >= 0
        for position, row in zip(there[wanted].tolist(), quantize_samples(block[wanted], io), strict=True):
            file.seek(begin + position * row_bytes)
            file.write(row.tobytes())
