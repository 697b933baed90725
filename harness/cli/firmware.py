"""`harness devices firmware`: the program to flash on a microcontroller."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.out import echo

if TYPE_CHECKING:
    from harness.emulation.mcu.board import McuBoard
    from harness.emulation.mcu.elf import Room
    from harness.emulation.mcu.firmware import Firmware

_BIN, _ELF = ".bin", ".elf"


@click.command("firmware")
@click.argument("board", metavar="BOARD_OR_FOLDER")
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False), help="Copy it to FILE.elf, or its bare bytes to FILE.bin."
)
@click.option(
    "--tflite-micro", "with_tflite_micro", is_flag=True, help="With your own TFLite Micro (HARNESS_TFLM_...)."
)
@click.option(
    "--model",
    "models",
    multiple=True,
    type=click.Path(),
    help="Just the ops of this .tflite, which is smaller; repeatable. Default: all ops, so that any model can be pushed.",
)
def firmware_command(board: str, output: str | None, with_tflite_micro: bool, models: tuple[str, ...]) -> int:
    """Compile the firmware of a microcontroller board, and say where it is.

    BOARD_OR_FOLDER is a board that came with the harness, or the folder of your own (docs/guides/adding-an-mcu-board.md).

    \b
    Examples:
      harness devices firmware mps2-an386
      harness devices firmware path/to/my-board --output my-board.bin
      harness devices firmware path/to/my-board --model kws.tflite --output my-board.bin
    """
    from harness.emulation.mcu.board import HOST_CORE, load_board
    from harness.emulation.mcu.firmware import build_firmware

    target = _target(output)
    found = load_board(board)
    if target is not None and target.suffix == _BIN and found.core == HOST_CORE:
        raise _no_file(
            output, f"{found.name} is a program of this machine and has no bare bytes", "write it to FILE.elf"
        )
    ops = _ops_of(models, found, with_tflite_micro)
    library = None
    if with_tflite_micro:
        from harness.emulation.mcu.tflite_micro import tflite_micro

        library = tflite_micro(where=found.name)
    made = build_firmware(found, tflite_micro=library, ops=ops, progress=lambda line: echo(line, err=True))
    place = str(made.elf) if target is None else str(target)
    address = None if target is None else _write(made, target)
    echo(f"{found.name}: {found.core}, build {made.build}, {made.compiler}")
    if found.core != HOST_CORE:
        from harness.emulation.mcu.elf import memory_bytes, room

        echo(f"  {made.code_bytes:,} bytes of flash, {memory_bytes(made.elf):,} bytes of RAM with stack and buffers")
        echo(f"  room {_room_text(room(made.elf))}")
    if ops is not None:
        echo(f"  with just these ops: {', '.join(ops)}; a model that needs another one is unsupported on it")
    echo(f"  {place}{'' if address is None else f', for the address {address:#010x}'}")
    return 0


def _ops_of(models: tuple[str, ...], board: McuBoard, tflite_micro: bool) -> list[str] | None:
    """The ops of plans of these models for a board; None: all.

    Raises:
        UserInputError: with a runtime that runs no plans; a file that cannot be read.
        UnsupportedError: no plan can be made of a model; says why.
    """
    if not models:
        return None
    from typing import cast

    from harness.boards.mcu.profile import CORE_KERNELS, KERNEL_NAMES
    from harness.core.errors import UserInputError
    from harness.tflite.plan import KernelSet, make_plan
    from harness.tflite.plan.words import RECORDS
    from harness.workloads.finished import finished_model

    if tflite_micro:
        raise UserInputError(
            "chooses the plan runtime's ops, and TFLite Micro has its own",
            where="--model",
            hint="leave one of the two out",
        )
    kernels = cast(KernelSet, KERNEL_NAMES[CORE_KERNELS.get(board.core, 1)])
    ops = {op.op for model in models for op in make_plan(finished_model(Path(model)).path, kernels).ops}
    return sorted(ops, key=lambda op: RECORDS[op].number)


def _room_text(found: Room) -> str:
    """What is left for a model, in words."""
    if found.model_bytes is None or found.arena_bytes is None:
        return "for models: the board itself says it (harness devices check NAME), its memory.ld does not"
    where = " of flash beside the program" if found.model_in_code else ""
    fast = (
        f", in faster memory those that need at most {found.fast_arena_bytes:,}"
        if found.fast_arena_bytes is not None
        else ""
    )
    return (
        f"for a model: {found.model_bytes:,} bytes{where}; for its tensors: {found.arena_bytes:,} bytes of arena{fast}"
    )


def _target(output: str | None) -> Path | None:
    """The file to write, its ending checked before anything is compiled."""
    if output is None:
        return None
    path = Path(output).expanduser()
    if path.suffix not in (_ELF, _BIN):
        raise _no_file(output, "the ending says no form of a firmware", "write it to FILE.elf or FILE.bin")
    if not path.parent.is_dir():
        raise _no_file(output, "there is no such folder", f"make it: mkdir -p {path.parent}")
    return path


def _write(made: Firmware, target: Path) -> int | None:
    """Writes the file; returns the address of bare bytes."""
    from harness.core.files import write_named
    from harness.emulation.mcu.elf import flat_image

    address, data = flat_image(made.elf) if target.suffix == _BIN else (None, made.elf.read_bytes())
    try:
        write_named(target, data)
    except OSError as error:
        raise _no_file(str(target), f"it cannot be written: {error.strerror or error}", "choose another file") from None
    return address


def _no_file(where: str | None, what: str, hint: str) -> Exception:
    from harness.core.errors import UserInputError

    return UserInputError(what, where=where, hint=hint)
