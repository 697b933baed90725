"""Sample files as the agent reads them: what `numpy.save` writes of plain numbers, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from agent.samples import open_feeds


def details(array: np.ndarray, shape: tuple[int, ...]) -> dict[str, object]:
    return {"index": 7, "name": "in", "dtype": array.dtype.type, "shape": np.array(shape, np.int32)}


def feed(path: Path, array: np.ndarray, shape: tuple[int, ...]):
    (found,) = open_feeds(np, [details(array, shape)], [str(path)])
    return found


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64", "float16", "float32", "float64", "bool"])
def test_what_numpy_saves_is_read_back(tmp_path, dtype, version):
    array = np.arange(5 * 6).reshape(5, 2, 3).astype(dtype)
    with open(tmp_path / "x.npy", "wb") as file:
        np.lib.format.write_array(file, array, version)
    found = feed(tmp_path / "x.npy", array, (1, 2, 3))
    assert found.index == 7 and found.rows.dtype == array.dtype
    np.testing.assert_array_equal(found.rows, array[:, None])


@pytest.mark.parametrize("shape", [(1,), (1, 1), (3,), (1, 2, 1, 3)])
def test_rows_take_the_shape_of_the_input(tmp_path, shape):
    row = shape[1:] if shape[0] == 1 else shape
    array = np.random.default_rng(0).standard_normal((4, *row)).astype(np.float32)
    np.save(tmp_path / "x.npy", array)
    found = feed(tmp_path / "x.npy", array, shape)
    assert found.rows.shape == (4, *shape)
    np.testing.assert_array_equal(found.rows.reshape(array.shape), array)


PLAIN = np.zeros((5, 4), np.int8)


@pytest.mark.parametrize(
    "array, words",
    [
        (np.asfortranarray(np.ones((5, 4), np.int8)), "no plain numbers in C order"),
        (np.array([{"a": 1}], dtype=object), "no plain numbers"),
        (np.zeros(3, [("a", "i1"), ("b", "f4")]), "no plain numbers"),
        (np.array(["text"]), "no plain numbers"),
        (np.int8(3), "wants samples of int8 .*, the file holds int8 \\[\\]"),
        (np.zeros((5, 4), np.uint8), "the file holds uint8 \\[5, 4\\]"),
        (np.zeros((5, 4), ">i2"), "the file holds int16"),
        (np.zeros((5, 3), np.int8), "the file holds int8 \\[5, 3\\]"),
        (np.zeros((0, 4), np.int8), "are empty"),
    ],
)
def test_another_array_is_told(tmp_path, array, words):
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=words):
        feed(tmp_path / "x.npy", PLAIN, (1, 4))


@pytest.mark.parametrize("keep", [0, 5, 7, 9, 40, 127, 130])
def test_a_file_that_ends_early_is_told(tmp_path, keep):
    np.save(tmp_path / "x.npy", PLAIN)
    data = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(data[:keep])
    with pytest.raises(ValueError, match="no usable .npy file|end early"):
        feed(tmp_path / "x.npy", PLAIN, (1, 4))


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ValueError, match="no usable .npy file"):
        feed(tmp_path / "none.npy", PLAIN, (1, 4))
