"""Frozen facts as plain data and back: dataclasses as JSON values, with their arrays apart.

`to_plain` follows what it is given; `from_plain` follows the types that the dataclasses state, so that a field which somebody
adds is kept without another line here. Fields that a later harness wrote are left aside, and fields that an earlier one did
not know take their defaults.
"""

from __future__ import annotations

import builtins
import dataclasses
import math
import sys
import types
import typing
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

#: stands where an array was, with its name
_ARRAY = "$array"
#: stands where a number was that JSON has no word for
_FLOAT = "$float"


def to_plain(value: Any, arrays: dict[str, np.ndarray], path: str) -> Any:
    """A value as JSON values.

    Args:
        value: None, booleans, numbers, texts, arrays, and dataclasses, sequences and mappings of these. Paths of this machine
            say nothing elsewhere and become null.
        arrays: takes the arrays that are met, each by the path that leads to it, such as `bench.samples_ns`.
        path: where the value itself stands.

    Raises:
        TypeError: for anything else, with its path.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.ndarray):
        arrays[path] = value
        return {_ARRAY: path}
    if isinstance(value, int | np.integer | np.bool_):
        return value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else {_FLOAT: str(float(value))}
    if isinstance(value, PurePath):
        return None
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [f.name for f in dataclasses.fields(value) if f.init]
        return {name: to_plain(getattr(value, name), arrays, f"{path}.{name}") for name in fields}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item, arrays, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item, arrays, f"{path}.{index}") for index, item in enumerate(value)]
    raise TypeError(f"{path}: a {type(value).__name__} cannot be kept")


def from_plain(kind: type[T], data: Any, arrays: Mapping[str, np.ndarray]) -> T:
    """The value that `to_plain` made plain.

    Args:
        kind: the dataclass that it was.
        arrays: by the paths that the data name.

    Raises:
        ValueError: the data are no such value, or an array is missing; says where.
    """
    return _make(kind, data, arrays, kind.__name__)


def _make(kind: Any, data: Any, arrays: Mapping[str, np.ndarray], where: str) -> Any:
    origin, members = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if data is None and type(None) in members:
            return None
        (kind,) = [member for member in members if member is not type(None)]
        return _make(kind, data, arrays, where)
    if kind is Any or kind is object:
        return _float(data)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, data, arrays, where)
    if kind is np.ndarray:
        return _array(data, arrays, where)
    if origin in (tuple, list):
        return _sequence(origin, members, data, arrays, where)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        _expect(isinstance(data, dict), data, where)
        return {key: _make(members[1], item, arrays, f"{where}.{key}") for key, item in data.items()}
    if origin is typing.Literal:
        _expect(data in members, data, where)
        return data
    if isinstance(kind, type) and issubclass(kind, PurePath):
        return None
    return _scalar(kind, data, where)


def _dataclass(kind: Any, data: Any, arrays: Mapping[str, np.ndarray], where: str) -> Any:
    _expect(isinstance(data, dict), data, where)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        if field.init and field.name in data:
            value = data[field.name]
            # A field that holds nothing needs no type: it may be one that only a type checker imports.
            stated = _stated(kind, field) if value is not None else Any
            values[field.name] = _make(stated, value, arrays, f"{where}.{field.name}")
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from None


def _stated(kind: type, field: dataclasses.Field[Any]) -> Any:
    """The type of a field, whose annotation is text in the module of the class that declares it."""
    if not isinstance(field.type, str):
        return field.type
    owner = next(base for base in kind.__mro__ if field.name in base.__dict__.get("__annotations__", {}))
    # The annotation is source code of the harness itself, as in typing.get_type_hints; no data gets here.
    return eval(field.type, {**vars(builtins), **vars(sys.modules[owner.__module__])})


def _sequence(kind: type, members: tuple[Any, ...], data: Any, arrays: Mapping[str, np.ndarray], where: str) -> Any:
    _expect(isinstance(data, list), data, where)
    one = kind is list or members[1:] == (Ellipsis,)
    stated = [members[0]] * len(data) if one else list(members)
    _expect(len(stated) == len(data), data, where)
    return kind(
        _make(member, item, arrays, f"{where}.{index}")
        for index, (member, item) in enumerate(zip(stated, data, strict=True))
    )


def _array(data: Any, arrays: Mapping[str, np.ndarray], where: str) -> np.ndarray:
    _expect(isinstance(data, dict) and set(data) == {_ARRAY}, data, where)
    if data[_ARRAY] not in arrays:
        raise ValueError(f"{where}: the array {data[_ARRAY]} is missing")
    return arrays[data[_ARRAY]]


def _scalar(kind: type, data: Any, where: str) -> Any:
    data = _float(data)
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    _expect(isinstance(data, kind) and isinstance(data, bool) == (kind is bool), data, where)
    return data


def _float(data: Any) -> Any:
    """The number that JSON has no word for, where the data stand for one."""
    if isinstance(data, dict) and set(data) == {_FLOAT} and data[_FLOAT] in ("nan", "inf", "-inf"):
        return float(data[_FLOAT])
    return data


def _expect(right: bool, data: Any, where: str) -> None:
    if not right:
        raise ValueError(f"{where}: found {str(data)[:60]!r}")
