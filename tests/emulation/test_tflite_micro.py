"""The adapter to TFLite Micro, on an emulated board, with a stand-in for the library that misbehaves on demand; and how a build
is pointed at a library. What the real one gives is in docs/guides/tflite-micro.md: the project has none of it.
"""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

import pytest

from harness.boards.connect import availability
from harness.boards.resolve import get_profile
from harness.core.errors import MissingPartError, UserInputError
from harness.emulation.mcu.firmware import build_firmware
from harness.emulation.mcu.machine import McuMachine
from harness.emulation.mcu.tflite_micro import TfliteMicro, tflite_micro
from harness.links.serial.messages import Code, RunFlag, Target
from tests.support.mcu_client import McuClient, Refused
from tests.support.places import SUPPORT

STAND_IN = SUPPORT / "tflite_micro_stand_in"
BOARD = "mps2-an386"
_CPU = ("-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", "-mthumb")
_CXX = ("-std=c++17", "-Os", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics", "-Wall", "-Wextra", "-Werror")
SAMPLE = bytes(range(1, 9))


def model(*lines: str) -> bytes:
    return "\n".join(("TFL3", *lines)).encode() + b"\0"


def archive(folder: Path, cpu: tuple[str, ...] = _CPU) -> Path:
    """The stand-in as a static library."""
    part, library = folder / "stand_in.o", folder / "libstand-in.a"
    command = [
        "arm-none-eabi-g++",
        *cpu,
        *_CXX,
        "-DTF_LITE_STATIC_MEMORY",
        f"-I{STAND_IN}",
        "-c",
        str(STAND_IN / "stand_in.cc"),
    ]
    subprocess.run([*command, "-o", str(part)], check=True)
    subprocess.run(["arm-none-eabi-ar", "rcsD", str(library), str(part)], check=True)
    return library


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory) -> TfliteMicro:
    return tflite_micro([str(STAND_IN)], str(archive(tmp_path_factory.mktemp("stand-in"))))


@pytest.fixture(scope="module")
def client(stand_in):
    with McuMachine(build_firmware(BOARD, tflite_micro=stand_in)) as machine:
        with McuClient.connect(machine.host, machine.port) as client:
            client.hello()
            yield client


def refusal(client: McuClient, *lines: str) -> Refused:
    with pytest.raises(Refused) as caught:
        client.load(model(*lines))
    return caught.value


def run(client: McuClient) -> bytes:
    """The outputs of SAMPLE."""
    client.upload(Target.SAMPLES, SAMPLE)
    client.run()
    return struct.unpack("<Q8s", client.read(Target.RESULTS, 0, 16))[1]


def test_the_board_says_which_runtime_answers(client, stand_in):
    facts = client.facts
    assert (facts.model_kind, facts.plan_version, facts.kernels, facts.ops) == (2, 0, 0, 0)
    assert facts.runtime == f"tflite-micro reference {stand_in.build.split()[1]}"


def test_a_model_is_pushed_as_it_is_and_runs(client):
    loaded = client.load(model("op ADD", "bias 3"))
    assert (loaded.input_bytes, loaded.output_bytes) == ((8,), (8,))
    assert client.stats().arena_used == 64
    assert run(client) == bytes(value + 3 for value in SAMPLE)


def test_inputs_are_set_before_every_inference(client):
    """The stand-in's output lies where its input does, as TFLite Micro's may."""
    client.load(model("op ADD", "bias 1"))
    client.upload(Target.SAMPLES, SAMPLE)
    client.run(count=3, flags=RunFlag.REPEAT)
    outputs = client.read(Target.RESULTS, 0, 3 * 16)
    assert [outputs[at + 8 : at + 16] for at in (0, 16, 32)] == [bytes(value + 1 for value in SAMPLE)] * 3


def answers(client: McuClient, count: int, flags: int = 0) -> list[int]:
    """The first byte of each output."""
    client.run(count=count, flags=flags)
    records = client.read(Target.RESULTS, 0, count * 16)
    return [records[at + 8] for at in range(0, count * 16, 16)]


def test_no_inference_sees_what_the_one_before_left(client):
    client.load(model("op ADD", "remember"))
    client.upload(Target.SAMPLES, SAMPLE * 4)
    assert answers(client, 4) == [SAMPLE[0]] * 4
    assert answers(client, 4, RunFlag.REPEAT) == [SAMPLE[0]] * 4


def test_within_a_sequence_it_does(client):
    client.load(model("op ADD", "remember"))
    client.upload(Target.SAMPLES, SAMPLE * 4)
    assert answers(client, 1) == [SAMPLE[0]]
    assert answers(client, 3, RunFlag.CARRY) == [SAMPLE[0] + n for n in (1, 2, 3)]
    assert answers(client, 1) == [SAMPLE[0]]


def test_a_library_that_cannot_reset_says_so(client):
    client.load(model("op ADD", "reset:kernel"))
    client.upload(Target.SAMPLES, SAMPLE)
    with pytest.raises(Refused) as caught:
        client.run()
    assert caught.value.code == Code.RUN_FAILED


def test_a_model_after_another_finds_the_first_one_gone(client):
    """The bias counts interpreters that live."""
    for bias in (1, 2, 3):
        client.load(model("op ADD", f"bias {bias}"))
        assert run(client) == bytes(value + bias for value in SAMPLE)


def test_ops_that_are_not_registered_are_named(client):
    refused = refusal(client, "op ADD", "op CUMSUM", "op MY_OWN")
    assert (refused.code, refused.detail) == (Code.UNSUPPORTED_OP, 1)
    assert refused.text == "this firmware's TFLite Micro was not given the op CUMSUM, MY_OWN"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("schema 4",), "the .tflite has schema version 4, the library has 3"),
        (("no graph",), "no graph with inputs and outputs"),
    ],
)
def test_a_model_that_is_none_is_refused(client, lines, words):
    refused = refusal(client, *lines)
    assert refused.code == Code.BAD_MODEL and words in refused.text


def test_a_damaged_file_is_refused_before_the_library_sees_it(client):
    with pytest.raises(Refused, match=r"not a \.tflite file, or it is damaged") as caught:
        client.load(b"TFL3 and no end")
    assert caught.value.code == Code.BAD_MODEL


def test_a_model_too_large_for_the_arena(client):
    refused = refusal(client, "op ADD", "load:arena")
    assert refused.code == Code.TOO_LARGE
    assert refused.text == "Failed to resize buffer. Requested: 5000, available 64, missing: 4936"


def test_what_a_kernel_prints_becomes_the_reason(client):
    refused = refusal(client, "op ADD", "load:kernel")
    assert (refused.code, refused.detail) == (Code.UNSUPPORTED_OP, 17)
    assert refused.text.startswith(
        "Type INT64 (-4) not supported, scale 0.250.; Node CUMSUM (number 17f) failed to prepare"
    )
    assert len(refused.text) <= 120


def test_a_library_without_texts_says_so(client):
    refused = refusal(client, "op ADD", "load:silent")
    assert refused.code == Code.UNSUPPORTED_OP and "without the texts" in refused.text


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("abort", "gave up (abort)"),
        ("assert", "check failed: a == b (kernel.cc:12)"),
        ("halted", "HALTED"),
    ],
)
def test_a_library_that_gives_up_brings_no_board_down(client, how, words):
    boots = client.hello().boots
    refused = refusal(client, "op ADD", f"load:{how}")
    assert refused.code == Code.UNSUPPORTED_OP and words in refused.text
    client.load(model("op ADD", f"run:{how}"))
    with pytest.raises(Refused) as caught:
        run(client)
    assert caught.value.code == Code.RUN_FAILED and words in caught.value.text
    with pytest.raises(Refused, match="no model is loaded"):
        run(client)
    assert client.hello().boots == boots


def test_an_inference_that_fails_is_told(client):
    client.load(model("op ADD", "run:kernel"))
    with pytest.raises(Refused) as caught:
        run(client)
    assert caught.value.code == Code.RUN_FAILED and caught.value.text.startswith("Type INT64 (-4) not supported")


# ------------------------------------------------------------------------------------------------ pointing at a build


def test_nothing_named_says_what_to_name():
    with pytest.raises(UserInputError, match=r"HARNESS_TFLM_INCLUDE.*HARNESS_TFLM_LIBRARY") as caught:
        tflite_micro(environ={}, where="my-board")
    assert "docs/guides/tflite-micro.md" in str(caught.value) and "my-board" in str(caught.value)


def test_the_environment_names_a_build(stand_in):
    environ = {
        "HARNESS_TFLM_INCLUDE": os.pathsep.join(map(str, stand_in.include)),
        "HARNESS_TFLM_LIBRARY": str(stand_in.library),
        "HARNESS_TFLM_DEFINES": "USE_TFLM_COMPRESSION LEVEL=2",
    }
    found = tflite_micro(environ=environ)
    assert (found.include, found.library) == (stand_in.include, stand_in.library)
    assert "-DUSE_TFLM_COMPRESSION" in found.flags and "-DLEVEL=2" in found.flags


def test_parts_that_are_not_there_are_named(stand_in, tmp_path):
    include, library = [str(STAND_IN)], str(stand_in.library)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.a").write_text("no archive")
    (tmp_path / "thin.a").write_bytes(b"!<thin>\n")
    for folders, archive_path, words in (
        ([str(tmp_path / "gone")], library, "headers does not exist: .*gone"),
        ([str(tmp_path / "empty")], library, r"has tensorflow/lite/micro/micro_interpreter\.h"),
        (include, str(tmp_path / "gone.a"), r"library cannot be read: .*gone\.a: No such file"),
        (include, str(tmp_path / "empty"), "library cannot be read: .*Is a directory"),
        (include, str(tmp_path / "text.a"), "no static library"),
        (include, str(tmp_path / "thin.a"), "no static library that contains its objects"),
    ):
        with pytest.raises(UserInputError, match=words):
            tflite_micro(folders, archive_path, environ={})
    with pytest.raises(UserInputError, match="no definition"):
        tflite_micro(include, library, ["-DX"], environ={})


def test_a_library_for_another_core_is_told_with_the_linkers_words(tmp_path):
    other = tflite_micro([str(STAND_IN)], str(archive(tmp_path, ("-mcpu=cortex-m4", "-mfloat-abi=soft", "-mthumb"))))
    with pytest.raises(MissingPartError, match=r"VFP register arguments[^$]*floating-point ABI"):
        build_firmware(BOARD, tflite_micro=other)


def test_a_build_is_made_anew_when_the_library_or_a_header_changes(stand_in, tmp_path):
    first = build_firmware(BOARD, tflite_micro=stand_in)
    assert first.build != build_firmware(BOARD).build
    assert first == build_firmware(BOARD, tflite_micro=stand_in)
    folder = tmp_path / "headers" / "tensorflow" / "lite" / "micro"
    folder.mkdir(parents=True)
    header = STAND_IN / "tensorflow" / "lite" / "micro" / "micro_interpreter.h"
    (folder / header.name).write_text(header.read_text().replace("return 64;", "return 80;"))
    changed = tflite_micro([str(tmp_path / "headers"), str(STAND_IN)], str(stand_in.library))
    assert build_firmware(BOARD, tflite_micro=changed).build != first.build


def test_kernels_of_cmsis_nn_are_recognised(stand_in, tmp_path):
    library = tmp_path / "lib.a"
    library.write_bytes(stand_in.library.read_bytes() + b"arm_fully_connected_s8\0")
    assert tflite_micro([str(STAND_IN)], str(library)).kernels == "cmsis-nn"


PROFILE = """name: m4-tflm
title: An emulated M4 with TFLite Micro
kind: mcu
core: cortex-m4
link: {{type: serial, port_env: HARNESS_M4_TFLM_PORT}}
runtime:
  module: {module}
  tflite_micro: {{include: [{include}], library: {library}}}
emulation: {{machine: mps2-an386, samples: 4}}
"""


def test_a_profile_names_a_build(devices_dir, write_profile, stand_in):
    write_profile("m4-tflm", PROFILE.format(module="tflite-micro", include=STAND_IN, library=stand_in.library))
    profile = get_profile("m4-tflm@qemu", devices_dir)
    assert availability(profile).ok
    line = profile.link.make_line(profile.place())
    try:
        address = line.open()
        host, _, port = address.port.removeprefix("socket://").partition(":")
        with McuClient.connect(host, int(port)) as client:
            assert client.hello().model_kind == 2
    finally:
        line.close()


def test_a_profile_whose_build_is_not_there_says_why(devices_dir, write_profile, tmp_path):
    write_profile("m4-tflm", PROFILE.format(module="tflite-micro", include=STAND_IN, library=tmp_path / "gone.a"))
    assert "gone.a: No such file" in str(availability(get_profile("m4-tflm@qemu", devices_dir)).reason)


def test_a_build_for_the_plan_runtime_is_a_mistake(devices_dir, write_profile):
    write_profile("m4-tflm", PROFILE.format(module="plan", include=STAND_IN, library="x.a"))
    with pytest.raises(UserInputError, match="with `runtime.module: tflite-micro` alone"):
        get_profile("m4-tflm", devices_dir)
