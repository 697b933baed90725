"""No plan, however hostile, makes the runtime touch what is not its own; and the runtime fits on the chips it is for.

HARNESS_PLAN_FUZZ=20000000 runs that many mutated plans instead of the quick set.
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
from pathlib import Path

import pytest

from tests.support.bare_metal_build import BOARDS, PROGRAMS, compile_kernels, link_program, run_program
from tests.support.fixtures_plan import valid_plans
from tests.support.places import SUPPORT
from tests.support.plan_builder import OPS
from tests.support.plan_runtime import CRC32, DEVICES, FLAGS, INCLUDES, RUNTIME, SANITIZERS, compile_host, sources

_QUICK_CASES = 200_000
#: one of each instruction set; the firmware's own tests build for M3 and M7 too
_CORES = ("cortex-m0", "cortex-m4", "cortex-m55")
#: what a runtime without an operating system may need: memory functions, and integer and float helpers of libgcc
_MEMORY = {"memcpy", "memmove", "memset"}
#: of the 64 KB that the whole firmware may have on a Cortex-M4
_CODE_LIMIT = 42 * 1024


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = SUPPORT / "plan_fuzz_main.c"
    return compile_host(tmp_path_factory.mktemp("fuzz") / "plan_fuzz", *SANITIZERS, "-O1", str(source))


@pytest.fixture(scope="module")
def seeds(plan_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many valid plans of every op, so that each is mutated as often."""
    found = valid_plans(plan_library, 30)
    path = tmp_path_factory.mktemp("seeds") / "plans"
    fewest = min(len(plans) for plans in found.values())
    chosen = [plan for plans in found.values() for plan in plans[:: max(1, len(plans) // fewest)]]
    path.write_bytes(b"".join(struct.pack("<I", len(plan)) + plan for plan in chosen))
    return path


def test_mutated_plans_stay_inside_their_memory(fuzzer: Path, seeds: Path) -> None:
    """Under AddressSanitizer and UBSan. Both outcomes must be common for every op, else the fuzzer tests nothing."""
    cases = int(os.environ.get("HARNESS_PLAN_FUZZ", _QUICK_CASES))
    done = subprocess.run([str(fuzzer), str(seeds), str(cases), "1"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    counts = {
        int(op): (int(accepted), int(refused)) for op, accepted, refused in map(str.split, done.stdout.splitlines())
    }
    assert set(counts) == set(OPS.values())
    assert sum(map(sum, counts.values())) == cases
    assert min(accepted for accepted, _ in counts.values()) >= cases // 4000, counts
    assert min(refused for _, refused in counts.values()) >= cases // 400, counts


@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_the_fuzzer_notices_a_plan_that_changes_behind_the_checks(seed: str, fuzzer: Path, seeds: Path) -> None:
    done = subprocess.run([str(fuzzer), str(seeds), "5000", seed, "--after-load"], capture_output=True, text=True)
    assert done.returncode != 0
    assert any(sign in done.stderr for sign in ("AddressSanitizer", "runtime error", "wrote beside its output"))


@pytest.mark.parametrize(("core", "share"), [("cortex-m4", 100), ("cortex-m55", 500)])
def test_mutated_plans_stay_inside_their_memory_with_the_fast_kernels(
    core: str, share: int, plan_library: Path, tmp_path: Path
) -> None:
    """On an emulated core, for the fast kernels are machine code of that core. Arenas end at a fence in memory."""
    found = valid_plans(plan_library, 80, ("conv", "depthwise", "fully_connected"))
    plans = [
        plan
        for op in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
        for plan in found[op]
        if struct.unpack_from("<I", plan, 12)[0] % 16 == 0
    ]
    words = [word for plan in plans for word in (len(plan) // 4, *struct.unpack(f"<{len(plan) // 4}I", plan))]
    (tmp_path / "seeds.c").write_text(
        "#include <stdint.h>\nextern const uint32_t seed_words[];\nconst uint32_t seed_words[] = {"
        + ",".join(f"{word}u" for word in (*words, 0))
        + "};\n"
    )
    board = BOARDS[core]
    c_files = [PROGRAMS / "fuzz_plan.c", tmp_path / "seeds.c", CRC32, *sorted(RUNTIME.glob("plan_*.c"))]
    program = link_program(
        board,
        tmp_path,
        c_files,
        compile_kernels(board, tmp_path / "kernels"),
        [f"-I{RUNTIME}", f"-I{SUPPORT}"],
    )
    output = run_program(board, program, 1, int(os.environ.get("HARNESS_PLAN_FUZZ", _QUICK_CASES)) // share)
    kernels, seeds, ran, refused = map(int, output.splitlines()[-1].split())
    assert (kernels, seeds) == ({"cortex-m4": 2, "cortex-m55": 3}[core], len(plans))
    assert min(ran, refused) > (ran + refused) // 20 > 0
    with pytest.raises(RuntimeError, match="fault|wrote be"):
        run_program(board, program, 1, 1000, 1)


def _compile(core: str, folder: Path) -> list[Path]:
    """The runtime and the kernels as the firmware compiles them; a warning is an error."""
    objects = []
    for source in sources():
        objects.append(folder / f"{Path(source).stem}.o")
        command = [
            "arm-none-eabi-gcc",
            f"-mcpu={core}",
            "-mthumb",
            *FLAGS,
            "-Os",
            "-ffreestanding",
            "-ffunction-sections",
            "-fdata-sections",
            *INCLUDES,
            "-c",
            "-o",
            str(objects[-1]),
            source,
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return objects


def _sizes(objects: list[Path]) -> tuple[int, int, int]:
    """Text (with constants), initialised data, zeroed data: bytes."""
    command = ["arm-none-eabi-size", "-t", *map(str, objects)]
    total = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1].split()
    return int(total[0]), int(total[1]), int(total[2])


@pytest.mark.parametrize("core", _CORES)
def test_it_compiles_without_a_c_library_a_heap_or_large_state(core: str, tmp_path: Path) -> None:
    objects = _compile(core, tmp_path)
    listing = subprocess.run(
        ["arm-none-eabi-nm", *map(str, objects)], check=True, capture_output=True, text=True
    ).stdout
    lines = [line.split() for line in listing.splitlines() if line.strip() and not line.endswith(":")]
    defined = {line[-1] for line in lines if line[-2] != "U"}
    foreign = {line[-1] for line in lines if line[-2] == "U"} - defined - _MEMORY
    # without fast_dsp.c or fast_mve.c, which are compiled in on the cores that have them
    foreign -= {name for name in foreign if name.startswith("fast_")}
    assert all(name.startswith(("__aeabi_", "__gnu_thumb1_case_")) for name in foreign), foreign
    text, data, bss = _sizes(objects)
    assert text <= _CODE_LIMIT
    assert (data, bss) == (0, 16), "the state is the place of a plan, of its arena, and whether its nodes had answers"


def test_the_page_of_the_format_numbers_the_ops_as_the_header_does() -> None:
    page = (DEVICES.parent / "docs" / "internals" / "plan-format.md").read_text().split("## Nodes")[1]
    documented = {}
    for numbers, names in re.findall(r"^\| ([\d, ]+) \| ([^|]+) \|", page, re.MULTILINE):
        plain = re.sub(r"\(.*?\)", "", names)
        documented.update(zip((name.strip() for name in plain.split(",")), map(int, numbers.split(",")), strict=True))
    assert documented == OPS
