"""The C library of a plan: sources under the library's own names, the plan as a constant array, a public header, a CMake file."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness import __version__
from harness.core.errors import UserInputError
from harness.core.files import sha256_bytes
from harness.core.tensor import TensorIo
from harness.emulation.mcu.board import McuBoard
from harness.emulation.mcu.firmware import runtime_includes
from harness.export.folder import write_text
from harness.export.mcu.selection import DISPATCH, Selection, is_checker
from harness.export.mcu.toolchain import Toolchain
from harness.export.shipped import Shipped
from harness.export.templates import fill
from harness.tflite.plan.base import Plan
from harness.tflite.plan.words import built_ops

_PACKAGE = "harness.export.mcu"
_INCLUDE = re.compile(r'^#include "(?:[^"]*/)?([^"/]+)"', re.MULTILINE)
_CTYPES = {
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "int32": "int32_t",
    "int64": "int64_t",
    "float32": "float",
}
#: the runtime's functions that are public, and what they are called then; all others get the prefix alone
_PUBLIC = {"rt_invoke": "invoke", "rt_reset": "reset", "rt_unload": "unload"}
#: words of C and C++ that no library can be called
_RESERVED = (
    "auto break case char class const continue default delete do double else enum export extern float for "
    "friend goto if inline int long main namespace new operator private protected public register return "
    "short signed sizeof static struct switch template this throw try typedef union unsigned using "
    "virtual void volatile while"
)
_WORDS_A_LINE = 8


@dataclass(frozen=True, kw_only=True)
class Library:
    """What a library is made of.

    Attributes:
        name: its prefix, such as `kws`.
        board: whose core and flags it has.
    """

    name: str
    board: McuBoard
    shipped: Shipped
    plan: Plan
    selection: Selection
    toolchain: Toolchain

    @property
    def sources(self) -> list[str]:
        """Its C files, below `src/`."""
        return [f"{self.name}.c", f"{self.name}_plan.c", *(source.name for source in self.selection.sources)]

    @property
    def flags(self) -> tuple[str, ...]:
        """Of the compiler, without those of the core."""
        core = set(self.core_flags)
        return tuple(
            f for f in self.toolchain.flags if f not in core and f not in ("-std=c11", "-Wconversion", "-Werror")
        )

    @property
    def core_flags(self) -> tuple[str, ...]:
        """Flags that the whole program has in common."""
        return (*self.board.flags, "-mthumb")

    def values(self) -> dict[str, Any]:
        """What the templates are filled with."""
        return {
            "name": self.name,
            "NAME": self.name.upper(),
            "title": f"{self.shipped.record.key.workload} {self.shipped.record.key.recipe}",
            "core": self.board.core,
            "harness": __version__,
            "model_sha256": self.shipped.sha256,
            "plan_sha256": sha256_bytes(self.plan.data),
            "plan_bytes": len(self.plan.data),
            "arena_bytes": self.plan.arena_bytes,
            "inputs": [_tensor(io) for io in self.plan.inputs],
            "outputs": [_tensor(io) for io in self.plan.outputs],
            "keeps_state": self.shipped.keeps_state,
            "kernels": self.plan.kernels,
            "sources": self.sources,
            "flags": self.flags,
            "core_flags": " ".join(self.core_flags),
        }


def library_name(wanted: str | None, workload: str) -> str:
    """The prefix of every name of a library: what was asked for, else made of the workload's name.

    Raises:
        UserInputError: no name of C.
    """
    if wanted is not None:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,30}", wanted) or wanted in _RESERVED.split():
            raise UserInputError(
                f"'{wanted}' cannot begin the names of a C library",
                where="--name",
                hint="lower-case letters, digits and underscores, a letter first, at most 31, and no word of C",
            )
        return wanted
    text = re.sub(r"[^a-z0-9]+", "_", workload.removesuffix(".tflite").lower()).strip("_")[:24].strip("_")
    if not text or text[0].isdigit():
        text = f"net_{text}".rstrip("_")
    return f"{text}_net" if text in _RESERVED.split() else text


def write_library(library: Library, folder: Path) -> None:
    """Writes `include/`, `src/` and the CMake file."""
    values, name, source = library.values(), library.name, folder / "src"
    write_text(folder / "include" / f"{name}.h", fill(_PACKAGE, "header.h.txt", **values))
    write_text(source / f"{name}.c", fill(_PACKAGE, "library.c.txt", **values))
    write_text(source / f"{name}_plan.c", _plan_text(name, library.plan.data))
    write_text(folder / "CMakeLists.txt", fill(_PACKAGE, "CMakeLists.txt.txt", **values))
    write_text(source / _names_file(name), _names_text(name, library.selection.names))
    for path in library.selection.sources:
        write_text(source / path.name, _prologue(library, path.name) + _flat(path.read_text(encoding="utf-8")))
    for path in _headers(library.selection.sources):
        write_text(source / path.name, _flat(path.read_text(encoding="utf-8")))


def _tensor(io: TensorIo) -> dict[str, Any]:
    """What the templates ask of a tensor; stored types as a plan has them."""
    dtype = {"bool": "uint8", "int4": "int8"}.get(io.dtype, io.dtype)
    count = math.prod(io.shape)
    return {
        "name": io.name,
        "dtype": io.dtype,
        "ctype": _CTYPES[dtype],
        "shape": io.shape or (1,),
        "elements": count,
        "bytes": count * np.dtype(dtype).itemsize,
        "scale": io.scale,
        "scale_text": _float(io.scale),
        "zero_point": io.zero_point,
    }


def _float(value: float) -> str:
    """A float32 literal of C with all of its digits."""
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if any(c in text for c in ".en") else f"{text}.0f"


def _names_file(name: str) -> str:
    return f"{name}_names.h"


def _names_text(name: str, names: tuple[str, ...]) -> str:
    lines = [f"#define {one} {name}_{_PUBLIC.get(one, one)}" for one in names]
    return (
        f"/* Every external name of the library begins with {name}_, so that a program can hold several exported models. */\n"
        f"#ifndef {name.upper()}_NAMES_H\n#define {name.upper()}_NAMES_H\n\n" + "\n".join(lines) + "\n\n#endif\n"
    )


def _prologue(library: Library, file: str) -> str:
    """What stands before a source of the harness: its names, and what this library does without."""
    lines = [f'#include "{_names_file(library.name)}"']
    if is_checker(file):
        lines.append(f"/* {', '.join(library.selection.ops)} */")
        lines += [f"#define {name} {mask}" for name, mask in built_ops(library.selection.ops_mask).items()]
    left_out = library.selection.left_out.get(file, ()) if file in DISPATCH else ()
    if left_out:
        lines.append(
            "/* Never reached: the plan has no such op, and its check refuses any other plan. Nobody defines these. */"
        )
    for one in left_out:
        absent = f"{library.name}_left_out_{one}"
        lines += [f"#undef {one}", f"#define {one} {absent}", f"#pragma weak {absent}"]
    return "\n".join(lines) + "\n"


def _flat(text: str) -> str:
    """A source whose includes lie beside it."""
    return _INCLUDE.sub(r'#include "\1"', text)


def _headers(sources: tuple[Path, ...]) -> list[Path]:
    """Every header that the sources include, also by way of others."""
    from harness.core.paths import packaged_devices_dir

    folders = [*runtime_includes(), packaged_devices_dir() / "cortex_m" / "protocol"]
    known = {path.name: path for folder in folders for path in sorted(folder.glob("*.h"))}
    found: dict[str, Path] = {}
    waiting = [*sources, known["runtime.h"]]
    if "runtime.h" in known:
        found["runtime.h"] = known["runtime.h"]
    while waiting:
        for name in _INCLUDE.findall(waiting.pop().read_text(encoding="utf-8")):
            if name not in found:
                found[name] = known[name]
                waiting.append(known[name])
    return [found[name] for name in sorted(found)]


def _plan_text(name: str, data: bytes) -> str:
    """The plan as words, which a compiler reads faster than bytes; little-endian, as every Cortex-M is."""
    words = np.frombuffer(data, "<u4")
    rows = [
        "    " + " ".join(f"0x{word:08x}u," for word in words[start : start + _WORDS_A_LINE].tolist())
        for start in range(0, len(words), _WORDS_A_LINE)
    ]
    upper = name.upper()
    return (
        f"/* The plan of {name}. */\n"
        f'#include "../include/{name}.h"\n\n'
        f"#ifndef {upper}_PLAN_SECTION\n"
        f'#define {upper}_PLAN_SECTION ".rodata.{name}_plan"\n'
        "#endif\n\n"
        f"__attribute__((section({upper}_PLAN_SECTION), aligned({upper}_ALIGNMENT)))\n"
        f"const uint32_t {name}_plan[{upper}_PLAN_BYTES / 4u] = {{\n" + "\n".join(rows) + "\n};\n"
    )
