"""The kernel library through ctypes. Structures are read from kernels.h, so that the tests cannot drift from the header."""

from __future__ import annotations

import ctypes
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.kernels_build import KERNELS

MAX_RANK = 6
_STRUCT = re.compile(r"typedef struct \{(?P<body>.*?)\} (?P<name>kn_\w+);", re.DOTALL)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_INT_FUNCTIONS = re.compile(r"^int(?:32_t)? (kn_\w+)\(", re.MULTILINE)


class Kernels:
    """A loaded library. `call` converts dictionaries to structures and arrays to pointers."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))

    def call(self, function: str, *arguments: Any) -> int:
        """Calls `function`; returns its result (of the functions that have one)."""
        entry = getattr(self._library, function)
        entry.restype = ctypes.c_int if function in _functions_with_result() else None
        return entry(*[_argument(value) for value in arguments])


@cache
def structures() -> dict[str, type[ctypes.Structure]]:
    """Every `typedef struct` of kernels*.h as a ctypes structure."""
    found = {}
    headers = "".join(path.read_text() for path in sorted(KERNELS.glob("kernels*.h")))
    for match in _STRUCT.finditer(_COMMENT.sub("", headers)):
        fields = [
            field
            for declaration in match["body"].split(";")
            if declaration.strip()
            for field in _fields(declaration.strip())
        ]
        found[match["name"]] = type(match["name"], (ctypes.Structure,), {"_fields_": fields})
    return found


def struct(name: str, **values: Any) -> ctypes.Structure:
    """A structure with every field given; sequences fill the front of array fields, arrays stand for pointers."""
    kind = structures()[name]
    made = kind()
    expected = {field for field, _type in kind._fields_}
    if set(values) != expected:
        raise TypeError(f"{name}: missing {sorted(expected - set(values))}, unknown {sorted(set(values) - expected)}")
    made.kept_alive = values
    for field, field_type in kind._fields_:
        value = values[field]
        if issubclass(field_type, ctypes.Array):
            setattr(made, field, field_type(*[int(v) for v in value]))
        elif isinstance(value, np.ndarray):
            setattr(made, field, value.ctypes.data_as(field_type))
        else:
            setattr(made, field, float(value) if field_type is ctypes.c_float else int(value))
    return made


def pointers(arrays: list[np.ndarray | None]) -> ctypes.Array:
    """A C array of pointers."""
    made = (ctypes.c_void_p * len(arrays))(*[None if a is None else a.ctypes.data for a in arrays])
    made.kept_alive = arrays
    return made


def _argument(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        if not value.flags["C_CONTIGUOUS"]:
            raise ValueError("kernels take dense arrays")
        return ctypes.c_void_p(value.ctypes.data)
    if isinstance(value, ctypes.Structure):
        return ctypes.byref(value)
    if isinstance(value, np.float32):
        return ctypes.c_float(value)
    if isinstance(value, float):
        return ctypes.c_double(value)
    if isinstance(value, (int, np.integer)):
        return ctypes.c_int32(int(value))
    return value


def _fields(declaration: str) -> list[tuple[str, Any]]:
    pointer = re.fullmatch(r"const (int8_t|int32_t) (\*\w+(?:, \*\w+)*)", declaration)
    if pointer:
        kind = ctypes.POINTER({"int8_t": ctypes.c_int8, "int32_t": ctypes.c_int32}[pointer[1]])
        return [(name.strip().removeprefix("*"), kind) for name in pointer[2].split(",")]
    if declaration.startswith("float "):
        return [(name.strip(), ctypes.c_float) for name in declaration.removeprefix("float ").split(",")]
    names = declaration.removeprefix("int32_t ")
    if names == declaration:
        raise ValueError(f"kernels.h: a field that the tests cannot read: {declaration}")
    fields: list[tuple[str, Any]] = []
    for name in names.split(","):
        array = re.fullmatch(r"(\w+)\[KN_MAX_RANK\]", name.strip())
        fields.append((array[1], ctypes.c_int32 * MAX_RANK) if array else (name.strip(), ctypes.c_int32))
    return fields


@cache
def _functions_with_result() -> frozenset[str]:
    text = "".join(
        (KERNELS / name).read_text()
        for name in ("kernels.h", "kernels_more.h", "kernels_rare.h", "kernels_16.h", "prepare.h")
    )
    return frozenset(_INT_FUNCTIONS.findall(text))
