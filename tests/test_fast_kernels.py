"""The fast kernels of devices/cortex_m/kernels/ on emulated cores: the portable kernels' outputs to the bit, and nothing touched but buffers."""

import subprocess
from pathlib import Path

import pytest

from tests.bare_metal_build import BOARDS, FAST, PROGRAMS, BareBoard, compile_kernels, link_program, run_program

#: random layers per kind of kernel and seed
CASES = 1500
#: what each core's build says of itself (fast.h)
KERNEL_SET = {"cortex-m3": 1, "cortex-m4": 2, "cortex-m7": 2, "cortex-m55": 1}


@pytest.fixture(scope="module", params=list(BOARDS))
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[BareBoard, Path, list[Path]]:
    """A board, its folder and the object files of all kernels for it."""
    board = BOARDS[request.param]
    folder = tmp_path_factory.mktemp(board.core)
    return board, folder, compile_kernels(board, folder)


def _program(built: tuple[BareBoard, Path, list[Path]], *options: str) -> Path:
    board, folder, objects = built
    return link_program(board, folder, [PROGRAMS / "check_fast.c", PROGRAMS / "cases.c"], objects, options)


def _tallies(output: str) -> dict[str, list[int]]:
    """What check_fast.c prints: a name and numbers per line."""
    lines = [line.split() for line in output.splitlines() if not line.startswith("qemu-system-arm: warning")]
    return {words[0]: [int(word) for word in words[1:]] for words in lines}


def test_fast_kernels_give_the_portable_kernels_outputs_and_touch_nothing_else(built) -> None:
    board = built[0]
    tallies = _tallies(run_program(board, _program(built), 20, CASES))
    assert tallies.pop("kernels") == [KERNEL_SET[board.core]]
    assert set(tallies) == {"conv", "depthwise", "fully_connected"}
    for kind, (cases, taken) in tallies.items():
        assert cases == CASES
        # Groups, fewer channels than a block and too little scratch are left to the portable kernels; that is what cases_layer draws less often.
        assert taken >= 0.8 * cases if KERNEL_SET[board.core] > 1 else taken == 0, kind
