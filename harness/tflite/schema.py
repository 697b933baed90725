"""Names and option tables of the TFLite schema, from the `tflite` package, without importing all of that package.

`import tflite` loads 180 generated modules (about 0.25 s). The few that a file needs are loaded here one by one, from
their own files, under private names. Codes that the packaged schema (2.18) does not know keep their number, so that a
file written by a newer converter can still be read and described.
"""

from __future__ import annotations

import importlib.util
import re
import struct
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from harness.core.errors import MissingPartError

if TYPE_CHECKING:
    from harness.tflite.flatbuffer import Table

#: TensorType codes of schemas newer than the packaged one (LiteRT 2.x)
_NEWER_TYPES = {19: "INT2", 20: "UINT4"}
#: how each tensor type is stored: bits of one element (None: not numbers of one size)
TYPE_BITS: dict[str, int | None] = {
    "float32": 32,
    "float16": 16,
    "bfloat16": 16,
    "float64": 64,
    "int64": 64,
    "uint64": 64,
    "int32": 32,
    "uint32": 32,
    "int16": 16,
    "uint16": 16,
    "int8": 8,
    "uint8": 8,
    "int4": 4,
    "uint4": 4,
    "int2": 2,
    "bool": 8,
    "complex64": 64,
    "complex128": 128,
    "string": None,
    "resource": None,
    "variant": None,
}

#: option fields that hold codes: field name -> schema enum
_ENUM_FIELDS = {
    "fused_activation_function": "ActivationFunctionType",
    "padding": "Padding",
    "in_data_type": "TensorType",
    "out_data_type": "TensorType",
    "out_type": "TensorType",
    "output_type": "TensorType",
    "quantized_bias_type": "TensorType",
    "mode": "MirrorPadMode",
}


#: a method of generated code that reads a field: of the table alone, or one entry of a vector
_ACCESSOR = re.compile(r"^    def ([A-Z]\w*)\(self(?:, j)?\)", re.MULTILINE)


@cache
def _folder() -> Path:
    spec = importlib.util.find_spec("tflite")
    if spec is None or not spec.submodule_search_locations:
        raise MissingPartError(
            "the package 'tflite' (the schema of .tflite files) is missing", hint="pip install tflite"
        )
    return Path(spec.submodule_search_locations[0])


@cache
def _module(name: str) -> ModuleType | None:
    path = _folder() / f"{name}.py"
    if not path.is_file():
        return None
    spec = importlib.util.spec_from_file_location(f"harness.tflite._generated_{name}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def generated(name: str) -> ModuleType | None:
    """The generated module of one table, loaded alone; None when the packaged schema does not know the table."""
    return _module(name)


def field_name(generated_name: str) -> str:
    """The schema's name of a field that generated code calls by its camel-case name."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", generated_name).lower()


@cache
def _enum(name: str) -> dict[int, str]:
    module = _module(name)
    members = vars(getattr(module, name)) if module else {}
    return {value: key for key, value in members.items() if isinstance(value, int) and not key.startswith("_")}


def op_name(code: int) -> str:
    """The name of a builtin operator code, such as `CONV_2D`; `BUILTIN_300` when the schema does not know it."""
    return _enum("BuiltinOperator").get(code, f"BUILTIN_{code}")


def op_codes() -> dict[str, int]:
    """Every builtin operator that the packaged schema knows: name -> code."""
    return {name: code for code, name in _enum("BuiltinOperator").items()}


def type_name(code: int) -> str:
    """The name of a tensor type in lower case, such as `int8`; `type_25` when the schema does not know it."""
    return (_enum("TensorType").get(code) or _NEWER_TYPES.get(code) or f"type_{code}").lower()


def type_code(name: str) -> int:
    """The code of a tensor type by its lower-case name, such as 9 for `int8`.

    Raises:
        KeyError: no such type.
    """
    codes = {known.lower(): code for code, known in (_NEWER_TYPES | _enum("TensorType")).items()}
    return codes[name]


def options_class(code: int, *, second: bool = False) -> str | None:
    """The schema's name of an options union member (`second`: of the newer `builtin_options_2`)."""
    name = _enum("BuiltinOptions2" if second else "BuiltinOptions").get(code)
    return None if name == "NONE" else name


def read_options(table: Table, class_name: str) -> dict[str, Any]:
    """Every plain field of an options table, by its schema name, codes as words where the schema has words for them.

    Args:
        table: a table whose bounds were checked.
        class_name: such as `Conv2DOptions`.

    Raises:
        CorruptBuffer: when a vector of the table leads out of the file.
    """
    from harness.tflite.flatbuffer import CorruptBuffer

    module = _module(class_name)
    if module is None:
        return {}
    reader = getattr(module, class_name)()
    reader.Init(table.buffer.data, table.position)
    options: dict[str, Any] = {}
    try:
        for name, is_vector in _option_fields(class_name):
            value = getattr(reader, f"{name}AsNumpy" if is_vector else name)()
            if is_vector:
                value = [] if isinstance(value, int) else value.tolist()
                table.buffer.spend(8 * len(value))
            if isinstance(value, bytes):
                table.buffer.spend(len(value))
                value = value.decode(errors="replace")
            if isinstance(value, (bool, int, float, list, str)):
                field = field_name(name)
                if field in _ENUM_FIELDS and isinstance(value, int):
                    value = _enum(_ENUM_FIELDS[field]).get(value, value)
                options[field] = value
    except (struct.error, ValueError, OverflowError, TypeError, MemoryError) as error:
        raise CorruptBuffer(f"the {class_name} at byte {table.position} cannot be read: {error}") from None
    return options


@cache
def option_names() -> frozenset[str]:
    """The names of all option fields, as `read_options` gives them; read as text, because loading 130 modules takes a second."""
    classes = {name for union in ("BuiltinOptions", "BuiltinOptions2") for name in _enum(union).values()}
    paths = [path for name in classes if (path := _folder() / f"{name}.py").is_file()]
    members = {name for path in paths for name in _ACCESSOR.findall(path.read_text(encoding="utf-8"))}
    return frozenset(field_name(name) for name in members if not name.endswith(("AsNumpy", "Length", "IsNone")))


@cache
def _option_fields(class_name: str) -> tuple[tuple[str, bool], ...]:
    """(field, is it a vector) of a generated options class; nested tables are left out."""
    members = vars(getattr(_module(class_name), class_name))
    vectors = {name.removesuffix("AsNumpy") for name in members if name.endswith("AsNumpy")}
    fields = [(name, True) for name in vectors]
    for name, member in members.items():
        known = name in vectors or name == "Init" or name.endswith(("AsNumpy", "Length", "IsNone"))
        if not known and name[0].isupper() and hasattr(member, "__code__") and member.__code__.co_argcount == 1:
            fields.append((name, False))
    return tuple(sorted(fields))
