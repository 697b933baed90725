"""Which C files a plan needs, found by the linker rather than by a list that somebody has to keep.

The runtime's dispatch is shipped as the measured firmware has it, with every op: a dispatch of fewer ops is other machine code,
with other counts. What it calls for ops that the plan does not have is left out of the link instead: these functions are
declared weak under names that nobody defines, so that the linker leaves out kernels which are never reached. The plan's checker
knows the plan's own ops alone and refuses any other.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from harness.emulation.mcu.firmware import runtime_includes, runtime_sources
from harness.export.mcu.toolchain import Toolchain
from harness.tflite.plan.words import RECORDS, ops_defines, ops_mask

#: files that call kernels by the op of a node
DISPATCH = ("plan_run.c", "plan_run_more.c", "plan_run_float.c", "plan_run_from_64.c", "plan_run_int4.c")
_CHECKER = "plan_check"
_ENTRY = "library_root"
#: all that a program calls of the library, which is where the linker begins
_ROOT = f"""#include "runtime.h"
int {_ENTRY}(void);
int {_ENTRY}(void)
{{
    rt_error error = {{0, 0}};
    const rt_tensor in = rt_input(0), out = rt_output(0);
    rt_unload();
    return rt_load(in.data, in.bytes, out.data, out.bytes, &error) + rt_reset(&error) + rt_invoke(&error);
}}
"""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What of the runtime goes into a library.

    Attributes:
        ops: names of the plan's ops, in order.
        ops_mask: bit n: op n of plan.h.
        sources: C files.
        left_out: functions that a dispatch file names and the library does not have, by the file's name.
        names: external names of the sources, all of which get the library's prefix.
    """

    ops: tuple[str, ...]
    ops_mask: int
    sources: tuple[Path, ...]
    left_out: dict[str, tuple[str, ...]]
    names: tuple[str, ...]

    def defines(self, source: str) -> tuple[str, ...]:
        """What a file is compiled with beside the flags of all: the checker knows the plan's ops alone."""
        return ops_defines(self.ops_mask) if is_checker(source) else ()


def is_checker(source: str) -> bool:
    """Whether a file validates plans."""
    return source.startswith(_CHECKER)


def select(ops: Collection[str], toolchain: Toolchain) -> Selection:
    """What a plan with these ops needs.

    Args:
        ops: of plans (harness.tflite.plan.words.RECORDS).

    Raises:
        HarnessError: the runtime does not build here.
    """
    mask = ops_mask(ops)
    sources = runtime_sources()
    includes = [f"-I{folder}" for folder in runtime_includes()]
    narrow = [*includes, *ops_defines(mask)]
    with tempfile.TemporaryDirectory(prefix="harness-export-") as temporary:
        root = Path(temporary)
        (root / "root.c").write_text(_ROOT)
        whole = {source.name: root / f"{source.stem}.o" for source in sources}
        fewer = {
            source.name: root / f"{source.stem}-narrow.o"
            for source in sources
            if source.name in DISPATCH or is_checker(source.name)
        }
        jobs = [(source, whole[source.name], includes) for source in sources if not is_checker(source.name)]
        jobs += [(source, fewer[source.name], narrow) for source in sources if source.name in fewer]
        toolchain.compile([*jobs, (root / "root.c", root / "root.o", includes)])
        objects = {name: fewer.get(name, whole[name]) for name in whole}
        kept = _linked(toolchain, root, [path.name for path in objects.values()])
        owned = {name: toolchain.names(path, only_global=True) for name, path in objects.items()}
        wanted = {name: toolchain.names(whole[name], defined=False) for name in DISPATCH}
    chosen = tuple(source for source in sources if owned[source.name] & kept)
    everything = set().union(*owned.values())
    names = {source.name for source in chosen}
    left_out = {name: tuple(sorted((wanted[name] & everything) - kept)) for name in DISPATCH if name in names}
    return Selection(
        ops=tuple(sorted(set(ops), key=lambda op: RECORDS[op].number)),
        ops_mask=mask,
        sources=chosen,
        left_out=left_out,
        names=tuple(sorted(set().union(*(owned[name] for name in names)))),
    )


def _linked(toolchain: Toolchain, folder: Path, objects: list[str]) -> set[str]:
    """Names of all that the linker keeps of the objects."""
    flags = ["-nostartfiles", "-Wl,--gc-sections", f"-Wl,-e,{_ENTRY}", f"-Wl,-u,{_ENTRY}"]
    toolchain.run([*toolchain.flags, *flags, "root.o", *objects, "-o", "root.elf"], folder, "the library")
    return toolchain.names(folder / "root.elf")
