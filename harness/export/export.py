"""Makes the folder that ships of a measured cell: for a board with Linux or for a microcontroller, by what it ran on."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import UnsupportedError
from harness.export.folder import new_folder
from harness.export.linux.folder import runtime_package, write_linux
from harness.export.shipped import Shipped


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A finished export: where it is, and what is in it, a line each."""

    folder: Path
    lines: tuple[str, ...]


def export(
    shipped: Shipped,
    folder: Path,
    *,
    force: bool = False,
    anyway: bool = False,
    name: str | None = None,
    board: str | os.PathLike[str] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Exported:
    """Makes `folder`, whole or not at all.

    Args:
        force: an export that is there already is replaced.
        anyway: for a microcontroller: also where another firmware was measured than is built here.
        name: for a microcontroller: what the names of the C library begin with.
        board: for a microcontroller: the port of its firmware.
        say: told of long waits.

    Raises:
        UserInputError: the place is not free, or cannot be written; see `write_mcu`.
        UnsupportedError: nothing can be exported for what the cell ran on.
        HarnessError: what was exported does not build or does not do what was measured.
    """
    from harness.export.mcu.folder import RUNTIME, write_mcu

    folder = Path(os.path.abspath(folder))
    with new_folder(folder, force=force) as making:
        if shipped.runtime.startswith(RUNTIME):
            lines = write_mcu(shipped, making, name=name, board=board, anyway=anyway, say=say)
        elif runtime_package(shipped.runtime) is not None:
            lines = write_linux(shipped, making)
        else:
            raise UnsupportedError(
                f"nothing is exported for a cell that ran on '{shipped.runtime or 'nothing that is known'}'",
                where=shipped.record.key.text_with_seed,
                hint="export a cell of a board with Linux, or of a microcontroller with the harness's own firmware",
            )
    return Exported(folder=folder, lines=tuple(lines))
