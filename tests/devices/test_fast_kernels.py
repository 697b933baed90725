"""The fast kernels of devices/cortex_m/kernels/ on emulated cores: the portable outputs, and only their buffers touched."""

import functools
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.tflite.plan import scratch
from tests.support.bare_metal_build import BOARDS, FAST, PROGRAMS, BareBoard, compile_kernels, link_program, run_program

#: random layers per kind of kernel; fewer on the cores whose code is another core's, or slow to emulate
CASES = {"cortex-m3": 100, "cortex-m4": 1500, "cortex-m7": 300, "cortex-m55": 400}
#: what each core's build says of itself (fast.h)
KERNEL_SET = {"cortex-m3": 1, "cortex-m4": 2, "cortex-m7": 2, "cortex-m55": 3}
#: bytes of code that all fast kernels may have on Cortex-M4, compiled for size
CODE_LIMIT = 7168
#: the words of kn_conv_params and kn_conv_shape, in order
_PARAMS = (
    "stride_height",
    "stride_width",
    "dilation_height",
    "dilation_width",
    "pad_top",
    "pad_left",
    "input_offset",
    "weights_offset",
    "output_offset",
    "activation_min",
    "activation_max",
    "rounding",
)
_SHAPE = (
    "batches",
    "input_height",
    "input_width",
    "input_channels",
    "filter_height",
    "filter_width",
    "filter_channels",
    "output_height",
    "output_width",
    "output_channels",
)

Built = tuple[BareBoard, Path, list[Path]]

#: fast kernels with defects: FAST_DEFECT 0 is none, 1 a wrong output, 2 a byte behind the output, 3 a read behind the weights
_DEFECTIVE = """
#include "fast.h"
uint32_t fast_kernels(void) { return 2; }
uint32_t fast_conv_2d_scratch(const kn_conv_params *p, const kn_conv_shape *s) { (void)p, (void)s; return 0; }
uint32_t fast_depthwise_conv_2d_scratch(const kn_conv_params *p, const kn_conv_shape *s) { (void)p, (void)s; return 0; }
int fast_conv_2d(const kn_conv_params *p, const kn_conv_shape *s, const kn_channel_scales *c, const int8_t *i, const int8_t *w,
                 const int32_t *f, int8_t *t, uint32_t b, int8_t *o)
{ (void)p, (void)s, (void)c, (void)i, (void)w, (void)f, (void)t, (void)b, (void)o; return 0; }
int fast_depthwise_conv_2d(const kn_conv_params *p, const kn_conv_shape *s, const kn_channel_scales *c, const int8_t *i,
                           const int8_t *w, const int32_t *g, const int32_t *f, int8_t *t, uint32_t b, int8_t *o)
{ (void)p, (void)s, (void)c, (void)i, (void)w, (void)g, (void)f, (void)t, (void)b, (void)o; return 0; }
int fast_add(const kn_add_params *p, const kn_broadcast *b, int32_t s, const int8_t *i, const int8_t *j, int8_t *o)
{ (void)p, (void)b, (void)s, (void)i, (void)j, (void)o; return 0; }
int fast_fully_connected(const kn_fully_connected_params *params, const kn_channel_scales *scales, const int8_t *input,
                         const int8_t *weights, const int32_t *folded, int8_t *output)
{
    kn_fully_connected_params raw = *params;
    const int32_t outputs = params->batches * params->outputs;
    int32_t bias[50];
    raw.input_offset = 0;
    for (int32_t i = 0; i < params->outputs; ++i)
        bias[i] = kn_wrap_add(folded[i], params->input_offset * params->weights_offset * params->inputs);
    kn_fully_connected(&raw, scales, input, weights, bias, output);
    if (FAST_DEFECT == 1)
        output[outputs - 1] ^= 1;
    if (FAST_DEFECT == 2)
        output[outputs] = 0;
    if (FAST_DEFECT == 3)
        (void)*(volatile const int8_t *)(weights + params->inputs * params->outputs);
    return 1;
}
"""


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Built]:
    """Gives a core's board, a folder and the object files of all kernels for it; compiled once."""

    @functools.cache
    def build_for(core: str) -> Built:
        folder = tmp_path_factory.mktemp(core)
        return BOARDS[core], folder, compile_kernels(BOARDS[core], folder)

    return build_for


@pytest.fixture(params=list(BOARDS))
def built(request: pytest.FixtureRequest, build: Callable[[str], Built]) -> Built:
    """The same for each core in turn."""
    return build(request.param)


def _check_program(built: Built) -> Path:
    board, folder, objects = built
    return link_program(board, folder, [PROGRAMS / "check_fast.c", PROGRAMS / "cases.c"], objects)


def _numbers(output: str) -> list[list[str]]:
    """The words of each line that a program printed; QEMU's own warnings left out."""
    return [line.split() for line in output.splitlines() if not line.startswith("qemu-system-arm: warning")]


def test_fast_kernels_give_the_portable_outputs_and_touch_nothing_but_their_buffers(built: Built) -> None:
    core = built[0].core
    tallies = {
        name: [int(word) for word in words]
        for name, *words in _numbers(run_program(built[0], _check_program(built), 20, CASES[core]))
    }
    assert tallies.pop("kernels") == [KERNEL_SET[core]]
    assert set(tallies) == {"conv", "depthwise", "fully_connected", "add"}
    for kind, (cases, taken) in tallies.items():
        assert cases == CASES[core]
        # The portable kernels have groups, fewer channels than a block and too little scratch, single rounding and repeated
        # rows of ADD: what the cases have now and then.
        least = 0.5 if kind == "add" else 0.75
        assert taken >= least * cases if KERNEL_SET[core] > 1 else taken == 0, kind


def test_the_planner_gives_the_scratch_that_the_kernels_ask_for(built: Built) -> None:
    kernels = {1: "portable", 2: "dsp", 3: "mve"}[KERNEL_SET[built[0].core]]
    lines = _numbers(run_program(built[0], _check_program(built), 5, 400, 1))
    assert len(lines) == 400
    asked = 0
    for line in lines:
        kind, wanted, *words = map(int, line)
        params, shape = dict(zip(_PARAMS, words, strict=False)), dict(zip(_SHAPE, words[len(_PARAMS) :], strict=True))
        planned = (
            scratch.depthwise_conv_2d_scratch(kernels, shape)
            if kind
            else scratch.conv_2d_scratch(kernels, params, shape)
        )
        assert planned == wanted, (params, shape)
        asked += wanted > 0
    assert asked > 100 if kernels != "portable" else asked == 0


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m55"])
def test_a_defective_kernel_is_found(core: str, build: Callable[[str], Built]) -> None:
    board, folder, objects = build(core)
    source = folder / "defective.c"
    source.write_text(_DEFECTIVE)
    portable = [path for path in objects if not path.name.startswith("fast")]
    for defect, complaint in enumerate((None, "differs at", "wrote around the output|fault", "fault")):
        program = link_program(
            board,
            folder,
            [PROGRAMS / "check_fast.c", PROGRAMS / "cases.c", source],
            portable,
            [f"-DFAST_DEFECT={defect}"],
        )
        if complaint is None:
            run_program(board, program, 1, 100)
        else:
            with pytest.raises(RuntimeError, match=complaint):
                run_program(board, program, 1, 100)


def test_fast_kernels_need_nothing_but_memory_functions_and_have_no_writable_globals(built: Built) -> None:
    objects = [str(path) for path in built[2] if path.name.startswith("fast")]
    undefined = subprocess.run(["arm-none-eabi-nm", "-u", *objects], check=True, capture_output=True, text=True).stdout
    names = {line.split()[1] for line in undefined.splitlines() if line.startswith(" ")}
    assert {name for name in names if not name.startswith(("fast_", "dsp_", "mve_", "kn_"))} <= {
        "memcpy",
        "memset",
        "memmove",
    }
    sizes = subprocess.run(
        ["arm-none-eabi-size", *objects], check=True, capture_output=True, text=True
    ).stdout.splitlines()[1:]
    assert len(sizes) == len(list(FAST.glob("*.c")))
    assert all(line.split()[1:3] == ["0", "0"] for line in sizes)
    assert sum(int(line.split()[0]) for line in sizes) <= CODE_LIMIT
