"""A microcontroller board that the firmware can be built for: a folder with `board.toml`, a port in C and its memory layout.

docs/guides/adding-an-mcu-board.md walks through one.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core import paths
from harness.core.errors import UserInputError, unknown_name
from harness.core.files import read_regular

#: the board that is a process of this machine
HOST_CORE = "host"
_FILE = "board.toml"
_FIELDS = {"core": str, "flags": list, "sources": list, "memory": str, "defines": dict, "emulation": dict}
_FLOAT_UNIT = frozenset({"-mfloat-abi=hard", "-mfloat-abi=softfp"})
_EMULATION_FIELDS = {"machine": str, "icount_shift": int}


@dataclass(frozen=True, kw_only=True)
class McuEmulation:
    """How QEMU makes the board.

    Attributes:
        machine: QEMU's name for it.
        icount_shift: one instruction takes 2^icount_shift ns of the board's time.
    """

    machine: str
    icount_shift: int


@dataclass(frozen=True, kw_only=True)
class McuBoard:
    """What a build needs to know of a board.

    Attributes:
        name: the folder's name; the firmware says it in its hello.
        core: such as cortex-m4; `host` for a process of this machine.
        flags: of the compiler, for the core.
        sources: the port's C files, in a fixed order.
        memory: the linker script that names the memories CODE and RAM; None for the host.
        defines: preprocessor names and values.
        emulation: None where QEMU has no such board.
    """

    name: str
    core: str
    flags: tuple[str, ...]
    sources: tuple[Path, ...]
    memory: Path | None
    defines: tuple[tuple[str, str], ...]
    emulation: McuEmulation | None

    @property
    def has_float_unit(self) -> bool:
        """Whether its flags make the compiler use one: then the firmware has float kernels."""
        return self.core == HOST_CORE or not _FLOAT_UNIT.isdisjoint(self.flags)


def ports_dir() -> Path:
    """The ports that came with the harness."""
    return paths.packaged_devices_dir() / "cortex_m" / "firmware" / "ports"


def known_boards() -> list[str]:
    """Names of the boards that came with the harness."""
    return sorted(path.parent.name for path in ports_dir().glob(f"*/{_FILE}"))


def load_board(board: str | os.PathLike[str]) -> McuBoard:
    """A board by its name, or by the path of its folder.

    Raises:
        UserInputError: no such board; its board.toml is wrong (with the field).
    """
    folder = Path(board).expanduser()
    if not (folder / _FILE).is_file():
        if isinstance(board, str) and os.sep not in board:
            if board not in known_boards():
                raise unknown_name("microcontroller board", board, known_boards())
            folder = ports_dir() / board
        else:
            raise UserInputError(
                f"the folder has no {_FILE}", where=str(board), hint="docs/guides/adding-an-mcu-board.md has one"
            )
    return _parse(folder.absolute())


def _parse(folder: Path) -> McuBoard:
    where = str(folder / _FILE)
    try:
        values = tomllib.loads(read_regular(folder / _FILE).decode("utf-8"))
    except (OSError, UnicodeDecodeError, RecursionError, tomllib.TOMLDecodeError) as error:
        raise UserInputError(f"it cannot be read: {error}", where=where) from None
    _check(values, _FIELDS, ("core", "flags", "sources"), where)
    emulation = values.get("emulation")
    if emulation is not None:
        _check(emulation, _EMULATION_FIELDS, tuple(_EMULATION_FIELDS), f"{where}, emulation")
        if not 0 <= emulation["icount_shift"] <= 10:
            raise UserInputError("icount_shift: QEMU takes 0 to 10", where=where)
    if values["core"] != HOST_CORE and "memory" not in values:
        raise UserInputError(
            "the field memory is missing: the linker script with the memories CODE and RAM", where=where
        )
    return McuBoard(
        name=folder.name,
        core=values["core"],
        flags=tuple(map(str, values["flags"])),
        sources=tuple(_file(folder, name, where) for name in values["sources"]),
        memory=_file(folder, values["memory"], where) if "memory" in values else None,
        defines=tuple(sorted((str(name), str(value)) for name, value in values.get("defines", {}).items())),
        emulation=McuEmulation(**emulation) if emulation is not None else None,
    )


def _check(values: dict[str, Any], fields: Mapping[str, type], needed: tuple[str, ...], where: str) -> None:
    for name, value in values.items():
        if name not in fields:
            raise UserInputError(f"unknown field {name}", where=where, hint=f"known: {', '.join(fields)}")
        if not isinstance(value, fields[name]):
            raise UserInputError(f"{name}: a {fields[name].__name__} is needed", where=where)
    for name in needed:
        if name not in values:
            raise UserInputError(f"the field {name} is missing", where=where)


def _file(folder: Path, name: str, where: str) -> Path:
    path = Path(os.path.normpath(folder / name))
    if not path.is_file():
        raise UserInputError(f"there is no file {name}", where=where)
    return path
