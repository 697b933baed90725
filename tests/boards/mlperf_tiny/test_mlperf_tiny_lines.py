"""MLPerf Tiny's words by themselves: replies whole and spoilt, inputs and results there and back, batches that make sense."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.boards.base import BenchPlan
from harness.boards.mlperf_tiny.lines import LineSplitter, Reply, load_commands
from harness.boards.mlperf_tiny.model import HeldModel
from harness.boards.mlperf_tiny.profile import MlperfTinyProfile
from harness.boards.mlperf_tiny.worker import LAP_SHARE, MAX_BATCHES, MIN_BATCHES, lap_ns, plan_batches
from harness.boards.resolve import get_profile
from harness.core.errors import UserInputError
from harness.core.tensor import TensorIo

INFER = (
    "m-warmup-start-2",
    "m-warmup-done",
    "m-infer-start-10",
    "m-lap-us-100",
    "m-lap-us-2100",
    "m-infer-done",
    "m-results-[0.996,0.004]",
)
SHORT = """\
name: b
title: t
kind: mcu
link: {type: serial, port: /dev/ttyACM0}
runtime: mlperf-tiny
"""


def held(name: str, *, shape=(1, 4), scale: float = 1 / 256, zero_point: int = -128) -> HeldModel:
    """A model whose input and output are alike."""
    io = TensorIo(name="t", dtype="int8", shape=shape, scale=scale, zero_point=zero_point)
    return HeldModel(sha256="0" * 64, name=name, input=io, output=io)


def test_a_reply_to_infer_is_read_in_full():
    reply = Reply(lines=INFER)
    assert reply.results() == (0.996, 0.004) and reply.laps_us == (100, 2100) and reply.elapsed_us() == 2000
    assert reply.ran(10, 2) and not reply.ran(1, 2) and not reply.ran(10, 0)
    assert Reply(lines=("m-infer-start-10",)).ran(10, 7), "older firmware tells no warm-ups"


@pytest.mark.parametrize(
    "line",
    [
        "m-results-[]",
        "m-results-[1.0,",
        "m-results-[1.0,x]",
        "m-results-[nan]",
        "m-results-[inf,1]",
        "m-results-1.0",
        "m-resul\x00[1]",
    ],
)
def test_a_spoilt_line_of_results_is_none(line: str):
    assert Reply(lines=(line,)).results() is None


def test_laps_that_are_not_two_tell_no_time():
    assert Reply(lines=("m-lap-us-5",)).elapsed_us() is None
    assert Reply(lines=("m-lap-us-5", "m-lap-us-x7")).elapsed_us() is None
    assert Reply(lines=("m-lap-us-4294967290", "m-lap-us-10")).elapsed_us() == 16
    assert Reply(lines=("m-lap-us-9999999999", "m-lap-us-10")).elapsed_us() is None, "no 32-bit counter wraps there"


@given(st.lists(st.text(max_size=40), max_size=8))
def test_no_line_however_spoilt_breaks_a_reply(lines: list[str]):
    reply = Reply(lines=tuple(lines))
    results = reply.results()
    assert results is None or np.isfinite(results).all()
    assert isinstance(reply.buffer(), bytes) and (reply.elapsed_us() or 0) >= 0
    assert (reply.error is not None) == any(line.startswith("e-") for line in lines)
    whole = any(line.startswith("m-model-[") and line.endswith("]") for line in lines)
    assert whole or reply.in_brackets("m-model-") is None


@given(st.binary(max_size=300), st.lists(st.integers(1, 9), max_size=40))
def test_lines_do_not_depend_on_how_their_bytes_come(noise: bytes, cuts: list[int]):
    data = b"m-ready\r\n" + noise + b"\r\nm-name-dut-[x]\n"
    whole = LineSplitter().feed(data)
    splitter, pieces, at = LineSplitter(), [], 0
    for cut in (*cuts, len(data)):
        pieces += splitter.feed(data[at : at + cut])
        at += cut
    assert pieces == whole and whole[0] == "m-ready" and whole[-1] == "m-name-dut-[x]"


@given(st.binary(min_size=1, max_size=400))
def test_an_input_travels_in_commands_that_fit_the_firmwares_buffer(data: bytes):
    first, *rest = load_commands(data)
    assert first == f"db load {len(data)}"
    assert all(re.fullmatch(r"db ([0-9a-f]{2}){1,31}", command) and len(command) < 80 for command in rest)
    assert bytes.fromhex("".join(command[3:] for command in rest)) == data


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize(("scale", "zero_point"), [(1 / 256, -128), (0.0021, 0), (0.25, 3), (0.17, -7)])
def test_three_decimals_tell_every_value_of_an_output(scale: float, zero_point: int, cut: bool):
    every = np.arange(-128, 128).astype(np.int8)
    model = held("ic01", shape=(1, 256), scale=scale, zero_point=zero_point)
    real = (every.astype(np.float32) - zero_point) * np.float32(scale)
    told = [float(f"{np.trunc(value * 1000) / 1000 if cut else value:.3f}") for value in real.astype(np.float64)]
    assert model.exact and (model.decode(told) == every).all()


def test_finer_outputs_are_not_called_exact():
    assert not held("ic01", scale=0.002).exact and not held("ad01", scale=0.3).exact


def test_inputs_are_what_each_firmware_takes():
    sample = np.array([-128, -1, 0, 127], np.int8)
    assert held("ic01").encode(sample) == held("vww01").encode(sample) == bytes([0, 127, 128, 255])
    assert held("kws01").encode(sample) == sample.tobytes()
    model = held("ad01", scale=0.3924, zero_point=91)
    every = np.arange(-128, 128).astype(np.int8)
    real = np.frombuffer(model.encode(every), "<f4")
    # as the firmware quantizes
    assert (np.round(real / np.float32(0.3924)) + 91 == every).all()


@given(
    infer_ns=st.integers(1, 60_000_000_000),
    baud=st.sampled_from([9_600, 115_200, 921_600]),
    max_ns=st.integers(200_000_000, 15_000_000_000),
)
def test_batches_drown_the_lap_line_where_time_allows(infer_ns: int, baud: int, max_ns: int):
    plan = BenchPlan(max_ns=max_ns)
    batch = plan_batches(plan, infer_ns, lap_ns=lap_ns(baud))
    assert MIN_BATCHES <= batch.batches <= MAX_BATCHES and batch.inferences >= 1
    long_enough = batch.inferences * infer_ns >= lap_ns(baud) / LAP_SHARE * 0.999
    assert long_enough or batch.inferences * infer_ns >= max_ns // MIN_BATCHES
    if batch.batches > MIN_BATCHES:
        assert batch.batches * batch.inferences * infer_ns <= max_ns


# ------------------------------------------------------------------------------------------------------- profiles


def test_the_short_and_the_long_form_of_the_runtime(devices_dir: Path, write_profile):
    write_profile("b", SHORT)
    profile = get_profile("b", devices_dir)
    assert isinstance(profile, MlperfTinyProfile)
    assert (profile.runtime.module, profile.runtime.models, profile.link.baud) == ("mlperf-tiny", {}, 115_200)
    assert profile.samples == 200 and list(profile.backends) == ["cpu"]
    write_profile("b", SHORT.replace("mlperf-tiny", "{module: mlperf-tiny, models: {resnet/ptq-int8-io: ic01}}"))
    assert get_profile("b", devices_dir).runtime.models == {"resnet/ptq-int8-io": "ic01"}


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (
            "runtime: mlperf-tiny",
            "runtime: {module: mlperf-tiny, models: {x: ic02}}",
            "b.yaml:5:44: runtime.models.x: found",
        ),
        ("runtime: mlperf-tiny", "runtime: {module: mlperf-tiny, model: {}}", "did you mean models"),
        ("runtime: mlperf-tiny", "runtime: mlperf-tiny\ncore: cortex-m4", "unknown field 'core'"),
        ("runtime: mlperf-tiny", "runtime: mlperf-tiny\nemulation: {machine: mps2-an386}", "leave `emulation` out"),
        ("runtime: mlperf-tiny", "runtime: mlperf-tiny\ntime_basis: guest-instructions", "`time_basis` is `device`"),
        ("runtime: mlperf-tiny", "runtime: mlperf-tiny\nbackends: {npu: {}}", "the one backend `cpu`"),
    ],
)
def test_mistakes_are_told_with_what_is_allowed(devices_dir: Path, write_profile, old: str, new: str, complaint: str):
    write_profile("b", SHORT.replace(old, new))
    with pytest.raises(UserInputError) as error:
        get_profile("b", devices_dir)
    assert complaint in str(error.value)
