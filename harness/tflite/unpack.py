"""From the bytes of a constant to numpy."""

from __future__ import annotations

import numpy as np

#: tensor types that numpy has under the same name
_NUMPY_TYPES = {
    "float32",
    "float16",
    "float64",
    "int64",
    "uint64",
    "int32",
    "uint32",
    "int16",
    "uint16",
    "int8",
    "uint8",
    "bool",
    "complex64",
    "complex128",
}


def unpack_elements(raw: memoryview, dtype: str, count: int) -> np.ndarray:
    """`count` elements of a constant, as stored in a .tflite (little endian, row-major).

    int4 holds two and int2 four elements a byte, the lowest bits first (TFLite `PackInt4ValuesDenselyInPlace`); both
    come out as int8. bfloat16 comes out as float32, exactly.

    Returns:
        [count], read-only.

    Raises:
        ValueError: the bytes do not hold exactly `count` elements, or the type is not one of numbers.
    """
    if dtype in _NUMPY_TYPES:
        kind = np.dtype(dtype).newbyteorder("<")
        _check(len(raw), count * kind.itemsize, count, dtype)
        return np.frombuffer(raw, dtype=kind, count=count)
    if dtype == "bfloat16":
        _check(len(raw), 2 * count, count, dtype)
        values = (np.frombuffer(raw, dtype="<u2", count=count).astype(np.uint32) << 16).view(np.float32)
    elif dtype in ("int4", "uint4"):
        _check(len(raw), (count + 1) // 2, count, dtype)
        values = _fields(raw, 4, count, signed=dtype == "int4")
    elif dtype == "int2":
        _check(len(raw), (count + 3) // 4, count, dtype)
        values = _fields(raw, 2, count, signed=True)
    else:
        raise ValueError(f"elements of type {dtype} are not numbers that this harness can read")
    values.flags.writeable = False
    return values


def _check(have_bytes: int, want_bytes: int, count: int, dtype: str) -> None:
    if have_bytes != want_bytes:
        raise ValueError(f"{count} elements of {dtype} take {want_bytes} bytes, and {have_bytes} are stored")


def _fields(raw: memoryview, bits: int, count: int, *, signed: bool) -> np.ndarray:
    packed = np.frombuffer(raw, dtype=np.uint8)
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    values = ((packed[:, None] >> shifts) & ((1 << bits) - 1)).reshape(-1)[:count].astype(np.int8)
    return np.where(values >= 1 << (bits - 1), values - (1 << bits), values).astype(np.int8) if signed else values
