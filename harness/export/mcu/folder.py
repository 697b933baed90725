"""The folder of a microcontroller's cell: a C library of the plan that was measured, built and tried before it is handed out."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from harness.boards.mcu.profile import KERNEL_NAMES
from harness.core.errors import HarnessError, UnsupportedError, UserInputError
from harness.emulation.mcu.board import McuBoard, known_boards, load_board
from harness.export.facts import against_lines, manifest_facts, measured_lines
from harness.export.folder import licence_text, write_manifest, write_text
from harness.export.mcu.example import Example, board_defines, link_arguments, write_example
from harness.export.mcu.library import Library, library_name, write_library
from harness.export.mcu.proof import Proof, prove
from harness.export.mcu.selection import select
from harness.export.mcu.toolchain import Toolchain, require_core
from harness.export.shipped import Shipped
from harness.export.templates import fill, table_cell
from harness.tflite.plan import make_plan
from harness.tflite.plan.base import KernelSet, Plan

_PACKAGE = "harness.export.mcu"
#: how the firmware's plan runtime calls itself in a record: `plan 1 (dsp)`
RUNTIME = "plan "
_QEMU = (
    "qemu-system-arm -M {machine} -nodefaults -nic none -display none -monitor none "
    "-icount shift={shift},align=off,sleep=on -serial stdio -device loader,file={name}-example.elf,cpu-num=0"
)


def write_mcu(
    shipped: Shipped,
    folder: Path,
    *,
    name: str | None = None,
    board: str | os.PathLike[str] | None = None,
    anyway: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> list[str]:
    """Fills an empty folder.

    Args:
        name: what the library's names begin with; None: made of the workload's.
        board: the name or the folder of the board's port; None: what the firmware called itself.
        anyway: also where the firmware that was measured is another build than the one made here.
        say: told of long waits.

    Returns:
        What is in it, a line each.

    Raises:
        UserInputError: no usable name or board; another firmware was measured.
        UnsupportedError: the cell did not run on the plan runtime.
        MissingPartError: no compiler, no QEMU.
        HarnessError: what was exported does not build, or does not do what was measured.
    """
    if not shipped.runtime.startswith(RUNTIME):
        raise UnsupportedError(
            f"the board's runtime is '{shipped.runtime}', which no library is made of",
            where=shipped.record.key.text,
            hint="export a cell of a board with the harness's own firmware",
        )
    port = _board(shipped, board)
    require_core(port)
    plan = _plan(shipped)
    toolchain = Toolchain.of(port)
    doubts = _doubts(shipped, port, plan, toolchain, given=board is not None, say=say)
    if doubts and not anyway:
        raise UserInputError(
            doubts[0],
            where=shipped.record.key.text,
            hint="run the cell again, or give --anyway, which writes this into the README",
        )
    say("building the library and trying it")
    selection = select([op.op for op in plan.ops], toolchain)
    library = Library(
        name=library_name(name, shipped.record.key.workload),
        board=port,
        shipped=shipped,
        plan=plan,
        selection=selection,
        toolchain=toolchain,
    )
    write_library(library, folder)
    shift = port.emulation.icount_shift if port.emulation and _is_emulated(shipped) else None
    example = None
    if shipped.samples is not None:
        example = write_example(library, shipped.samples, folder, icount_shift=shift)
    proof = prove(library, example, folder)
    write_text(folder / "LICENSE", licence_text())
    write_text(folder / "README.md", _readme(library, example, proof, doubts))
    write_manifest(folder, {**_facts(library, example, proof), "doubts": list(doubts)})
    return _said(library, proof)


def _is_emulated(shipped: Shipped) -> bool:
    return shipped.record.time_basis == "guest-instructions"


def _board(shipped: Shipped, given: str | os.PathLike[str] | None) -> McuBoard:
    """The port of the firmware that was measured.

    Raises:
        UserInputError: none is known here.
    """
    if given is not None:
        return load_board(given)
    print_ = shipped.record.fingerprint
    called = print_.board_model if print_ is not None else None
    if called in known_boards():
        return load_board(str(called))
    raise UserInputError(
        f"the board calls itself '{called}', and no port of that name came with the harness",
        where=shipped.record.key.text,
        hint="name the folder that its firmware is built of: --board path/to/my-board",
    )


def _plan(shipped: Shipped) -> Plan:
    """The plan, made anew of the measured file: the same bytes for the same file and kernels."""
    word = shipped.runtime.partition("(")[2].rstrip(")")
    if word not in KERNEL_NAMES.values():
        raise HarnessError(f"nobody here knows the kernels '{word}'", where=shipped.record.key.text)
    return make_plan(shipped.tflite, kernels=cast(KernelSet, word))


def _doubts(
    shipped: Shipped, port: McuBoard, plan: Plan, toolchain: Toolchain, *, given: bool, say: Callable[[str], None]
) -> tuple[str, ...]:
    """What says that the library is not what was measured, a sentence each."""
    from harness.emulation.mcu.firmware import build_firmware

    record, found = shipped.record, []
    for what, measured, here in (
        ("the plan", record.model_bytes, len(plan.data)),
        ("its arena", record.arena_bytes, plan.arena_bytes),
    ):
        if measured is not None and measured != here:
            found.append(f"{what} had {measured:,} bytes when it was measured and has {here:,} now")
    if record.code_bytes is None or record.fingerprint is None or not record.fingerprint.firmware:
        return tuple(found)
    measured_build = record.fingerprint.firmware.partition(",")[0].strip()
    build = build_firmware(port, progress=say).build
    fewer = [op.op for op in plan.ops]  # a firmware may have been built with just the ops of this model
    if measured_build != build and measured_build != build_firmware(port, ops=fewer, progress=say).build:
        found.append(
            f"the firmware that was measured is the build {measured_build}, and {toolchain.version} makes {build} of "
            f"{'that port' if given else 'this harness'}: other sources, another compiler, or one with other ops"
        )
    return tuple(found)


def _readme(library: Library, example: Example | None, proof: Proof, doubts: tuple[str, ...]) -> str:
    shipped, record = library.shipped, library.shipped.record
    against = against_lines(shipped)
    if doubts:
        against += ["> **It is not certain that this is what was measured:**", *[f"> {text}" for text in doubts], ""]
    whole = example is not None and example.whole
    tensors = [_tensor_row(f"input {i}", t) for i, t in enumerate(library.values()["inputs"])]
    tensors += [_tensor_row(f"output {i}", t) for i, t in enumerate(library.values()["outputs"])]
    return fill(
        _PACKAGE,
        "README.md.txt",
        **{
            **library.values(),
            "title": table_cell(f"{record.key.workload} / {record.key.recipe} for {library.board.core}"),
            "plan_bytes": f"{len(library.plan.data):,}",
            "arena_bytes": f"{library.plan.arena_bytes:,}",
        },
        against=against,
        measured=measured_lines(shipped),
        proved=_proved(library, example, proof),
        kernel_files=len(library.selection.sources),
        samples=len(shipped.samples) if shipped.samples is not None else 0,
        compile_line=_compile_line(library),
        compiler=library.toolchain.version,
        tensors=tensors,
        stack=f"{record.stack_peak_bytes:,}" if record.stack_peak_bytes else "",
        example_line=_example_line(library, example) if example is not None and whole else "",
        qemu_line=_qemu_line(library) if example is not None and whole and example.icount_shift is not None else "",
        reading=proof.reading,
        counted=record.instructions is not None,
    )


def _proved(library: Library, example: Example | None, proof: Proof) -> str:
    """What was tried when it was exported, as a sentence."""
    built = f"compiled from this folder alone with {library.toolchain.version}, warnings as errors"
    if proof.ran is not None:
        return (
            f"When it was exported, the library and its example were {built}, and ran on the emulated {proof.ran}: "
            "every output to the bit and every count to the instruction as measured."
        )
    tried = "The library was" if example is None else "The library and its example were"
    return f"{tried} {built}, when it was exported, and not run."


def _compile_line(library: Library) -> str:
    program = os.path.basename(library.toolchain.compiler)
    return shlex.join([program, *library.toolchain.flags, "-Iinclude", "-c"]) + " src/*.c"


def _example_line(library: Library, example: Example) -> str:
    includes = [f"-Iexample/{place}" for place in example.includes]
    words = [
        os.path.basename(library.toolchain.compiler),
        *library.toolchain.flags,
        *includes,
        *board_defines(library.board),
        *link_arguments(library, example, Path()),
    ]
    sources = [f"example/{name}" for name in example.sources]
    return f"{shlex.join(words)} src/*.c {shlex.join([*sources, '-o', f'{library.name}-example.elf'])}"


def _qemu_line(library: Library) -> str:
    emulation = library.board.emulation
    assert emulation is not None
    return _QEMU.format(machine=shlex.quote(emulation.machine), shift=emulation.icount_shift, name=library.name)


def _tensor_row(what: str, tensor: dict[str, Any]) -> list[str]:
    quantized = [tensor["scale_text"].rstrip("f"), str(tensor["zero_point"])] if tensor["scale"] else ["-", "-"]
    return [what, table_cell(tensor["name"]), tensor["dtype"], " x ".join(map(str, tensor["shape"])), *quantized]


def _facts(library: Library, example: Example | None, proof: Proof) -> dict[str, Any]:
    values, samples = library.values(), library.shipped.samples
    return {
        "kind": "microcontroller",
        **manifest_facts(library.shipped),
        "library": library.name,
        "core": library.board.core,
        "kernels": library.plan.kernels,
        "ops": list(library.selection.ops),
        "plan": {
            "sha256": values["plan_sha256"],
            "size_bytes": values["plan_bytes"],
            "arena_bytes": values["arena_bytes"],
        },
        "compiler": library.toolchain.version,
        "firmware_code_bytes": library.shipped.record.code_bytes,
        "flags": list(library.toolchain.flags),
        "counter_instructions": proof.reading,
        "example_counts": None
        if samples is None or samples.counts is None or example is None
        else [int(count) for count in samples.counts],
    }


def _said(library: Library, proof: Proof) -> list[str]:
    plan = f"plan {len(library.plan.data):,} bytes, arena {library.plan.arena_bytes:,} bytes"
    lines = [f"C library {library.name} for {library.board.core}: {len(library.sources)} source files, {plan}"]
    if proof.ran is not None:
        lines.append(
            f"built and run on the emulated {proof.ran}: outputs to the bit, counts to the instruction as measured"
        )
        lines += [f"  {line}" for line in proof.lines]
    else:
        lines.append("built with warnings as errors; not run")
    return lines
