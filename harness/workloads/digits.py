"""The embedded default data: the 1,797 handwritten digits (8x8, 0..16) that scikit-learn carries in its package.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998 (its
test part). Importing scikit-learn costs about a second, so the data file is read from the installed package directly.
"""

from __future__ import annotations

import gzip
import importlib.util
import zlib
from pathlib import Path

import numpy as np

from harness.core.errors import MissingPartError
from harness.workloads.base import stratified_order

SAMPLES = 1797
TEST_SAMPLES = 500
TRAIN_SAMPLES = SAMPLES - TEST_SAMPLES
#: the largest pixel value in the file
MAX_VALUE = 16
#: raise it when the split below changes: it is part of the dataset's digest
SPLIT_VERSION = 1
_SPLIT_SEED = 1797


def digits_path() -> Path:
    """The data file inside the installed scikit-learn, found without importing it.

    Raises:
        MissingPartError: when scikit-learn is not installed or lacks the file.
    """
    spec = importlib.util.find_spec("sklearn")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if path.is_file():
            return path
    what = "the bundled digits come with scikit-learn, which is not installed"
    raise MissingPartError(what, hint="pip install scikit-learn")


def read_digits() -> tuple[np.ndarray, np.ndarray]:
    """All digits in file order: images uint8 [1797, 8, 8] with values 0..16, labels int64 [1797].

    Raises:
        MissingPartError: when the file is missing or damaged.
    """
    path = digits_path()
    try:
        text = gzip.decompress(path.read_bytes()).decode("ascii")
        numbers = np.array(text.replace("\n", ",").rstrip(",").split(","), dtype=np.float32)
        table = numbers.reshape(SAMPLES, 65).astype(np.uint8)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        hint = "pip install --force-reinstall scikit-learn"
        raise MissingPartError(f"scikit-learn's digits are damaged ({error})", where=str(path), hint=hint) from error
    return np.ascontiguousarray(table[:, :64]).reshape(SAMPLES, 8, 8), table[:, 64].astype(np.int64)


def split_digits() -> dict[str, np.ndarray]:
    """The digits in a fixed, stratified split: `x_train` [1297, 8, 8], `x_test` [500, 8, 8], uint8; `y_*` int64."""
    images, labels = read_digits()
    order = stratified_order(labels, SAMPLES, seed=_SPLIT_SEED)
    test, train = order[:TEST_SAMPLES], order[TEST_SAMPLES:]
    return {"x_train": images[train], "y_train": labels[train], "x_test": images[test], "y_test": labels[test]}


def upscale(images: np.ndarray, size: int) -> np.ndarray:
    """Bilinear resize with half-pixel centres and the border repeated.

    Args:
        images: [N, H, W], any numeric dtype.
        size: height and width of the result, pixels.

    Returns:
        float32, [N, size, size], in the range of the input.
    """
    rows, cols = _taps(images.shape[1], size), _taps(images.shape[2], size)
    x = images.astype(np.float32)
    x = x[:, rows[0], :] * (1 - rows[2])[None, :, None] + x[:, rows[1], :] * rows[2][None, :, None]
    return x[:, :, cols[0]] * (1 - cols[2]) + x[:, :, cols[1]] * cols[2]


def _taps(source: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each target pixel: the two source pixels it lies between, and the float32 weight of the second."""
    place = np.clip((np.arange(target) + 0.5) * (source / target) - 0.5, 0, source - 1)
    low = np.floor(place).astype(np.int64)
    return low, np.minimum(low + 1, source - 1), (place - low).astype(np.float32)
