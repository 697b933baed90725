"""Data files that nobody should trust: zips and .npy headers made byte by byte."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np


def npy(array: np.ndarray) -> bytes:
    """An array as the bytes of a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def npy_header(shape: str, descr: str = "'<f4'", order: str = "False", version: int = 1) -> bytes:
    """The header of a .npy file with whatever it should claim."""
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    width = 2 if version == 1 else 4
    return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(width, "little") + text


def write_zip(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    """A zip of these members."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def write_zeros(path: Path, key: str, count: int, row_bytes: int) -> Path:
    """An .npz with `count` rows of `row_bytes` zero bytes (uint8), deflated; never in memory as a whole."""
    header = npy_header(f"({count}, {row_bytes})", "'|u1'")
    piece = bytes(1 << 20)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
            member.write(header)
            left = count * row_bytes
            while left:
                member.write(piece[: min(left, len(piece))])
                left -= min(left, len(piece))
    return path
