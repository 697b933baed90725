"""Profiles of microcontrollers: what they may say, where the port comes from, their twins, and what is predicted for them."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.boards.connect import availability, backend_spec
from harness.boards.mcu.model import mcu_model, profile_facts
from harness.boards.mcu.predict import predict_mcu
from harness.boards.mcu.profile import McuProfile, McuRuntimeProfile
from harness.boards.mcu.twin import emulated_board
from harness.boards.predict import predict
from harness.boards.registry import kind_of
from harness.boards.resolve import get_profile, list_profiles
from harness.core.errors import UnsupportedError, UserInputError
from harness.emulation.mcu.board import ports_dir
from harness.links.serial.profile import SerialLinkProfile, is_port
from harness.tflite.graph import read_graph
from harness.tflite.macs import model_macs
from tests.support import tiny_model
from tests.support.places import ROOT

CORES = ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m55")
NUCLEO = """\
name: nucleo
title: a board on the bench
kind: mcu
core: cortex-m4
board: my-nucleo
link:
  type: serial
  port: /dev/serial/by-id/usb-STMicroelectronics_STM32_STLink_066BFF-if02
  port_env: NUCLEO_PORT
  baud: 921600
"""


@pytest.mark.parametrize("core", CORES)
def test_the_packaged_profiles_have_a_twin_on_a_machine_with_their_core(core: str, devices_dir: Path):
    twin = get_profile(core, devices_dir, emulated=True)
    assert isinstance(twin, McuProfile)
    assert (twin.name, twin.core, twin.time_basis, list(twin.backends)) == (
        f"{core}@qemu",
        core,
        "guest-instructions",
        ["cpu"],
    )
    assert emulated_board(twin).core == core and twin.board == emulated_board(twin).name
    assert twin.samples == (1000 if core == "cortex-m4" else 64)


def test_a_real_board_needs_a_port_and_its_absence_says_what_to_do(devices_dir: Path, monkeypatch):
    monkeypatch.delenv("HARNESS_CORTEX_M4_PORT", raising=False)
    profile = get_profile("cortex-m4", devices_dir)
    state = availability(profile)
    assert not state.ok
    for word in ("HARNESS_CORTEX_M4_PORT", "local.yaml", "cortex-m4: {link: {port:", "--emulated"):
        assert word in str(state.reason)


def test_a_port_that_does_not_exist_is_told_and_its_board_is_not_ready(
    devices_dir: Path, monkeypatch, harness_cli, tmp_path
):
    profile, kind = get_profile("cortex-m4", devices_dir), kind_of(get_profile("cortex-m4", devices_dir))
    monkeypatch.setenv("HARNESS_CORTEX_M4_PORT", "/dev/serial/by-id/none-of-these")
    assert kind.availability(profile).ok  # a run tries: the board may be plugged in until then
    assert "there is no port /dev/serial/by-id/none-of-these" in str(kind.absence(profile))
    lines = harness_cli("devices", "list").out.splitlines()
    [listed] = [line for line in lines if line.startswith("cortex-m4 ")]
    assert "not there" in listed and "ready" not in listed
    monkeypatch.setenv("HARNESS_CORTEX_M4_PORT", "/dev/null")
    assert kind.absence(profile) is None
    monkeypatch.setenv("HARNESS_CORTEX_M4_PORT", "socket://127.0.0.1:1")
    assert kind.absence(profile) is None


def test_a_board_of_the_users_own(devices_dir: Path, write_profile, monkeypatch):
    write_profile("nucleo", NUCLEO)
    profile = get_profile("nucleo", devices_dir)
    assert isinstance(profile, McuProfile) and profile.board == "my-nucleo" and profile.runtime.module == "plan"
    found = profile.link.settings(profile.place({}))
    assert found.port.endswith("-if02") and found.baud == 921_600
    named = profile.link.settings(profile.place({"NUCLEO_PORT": "socket://127.0.0.1:5000"}))
    assert named.port == "socket://127.0.0.1:5000"
    with pytest.raises(UserInputError, match="NUCLEO_PORT holds 'COM'"):
        profile.link.settings(profile.place({"NUCLEO_PORT": "COM"}))
    assert backend_spec(profile, "cpu").threads == 0
    with pytest.raises(UserInputError, match="has no emulated twin"):
        get_profile("nucleo", devices_dir, emulated=True)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("core: cortex-m4", "core: cortex-m5", "nucleo.yaml:4:7: core"),
        ("core: cortex-m4\n", "", "the field 'core' is missing"),
        ("baud: 921600", "baud: 12", "baud: found 12; allowed: at least 300"),
        ("port: /dev/serial", "port: dev/serial", "link.port: found"),
        ("type: serial", "type: ssh", "link.type: found"),
        ("  baud: 921600\n", "  baud: 921600\nbackends: {npu: {}}\n", "has the one backend `cpu`"),
        ("  baud: 921600\n", "  baud: 921600\nbackends: {cpu: {threads: 2}}\n", "nothing to set but `samples`"),
        (
            "  baud: 921600\n",
            "  baud: 921600\nemulation: {machine: mps2-an385}\n",
            "has a cortex-m3, the profile's core is",
        ),
        ("  baud: 921600\n", "  baud: 921600\nemulation: {machine: mps2-an368}\n", "mps2-an386"),
        ("  baud: 921600\n", "  baud: 921600\nemulation: {machine: mps2-an386, cpu: x}\n", "'cpu'"),
        ("  baud: 921600\n", "  baud: 921600\nemulation: {machine: mps2-an386, samples: some}\n", "samples"),
    ],
)
def test_mistakes_are_told_with_what_is_allowed(devices_dir: Path, write_profile, old: str, new: str, complaint: str):
    write_profile("nucleo", NUCLEO.replace(old, new))
    with pytest.raises(UserInputError) as error:
        get_profile("nucleo", devices_dir, emulated="emulation" in new)
    assert complaint in str(error.value)


COMPILE = (
    "{tool: vela, accelerator: ethos-u55-128, system_config: Ethos_U55_High_End_Embedded, memory_mode: Shared_Sram}"
)


def test_an_offline_compiler_may_stand_before_a_microcontroller(devices_dir: Path, write_profile):
    write_profile("nucleo", NUCLEO + f"backends: {{cpu: {{}}, npu: {{samples: 4, compile: {COMPILE}}}}}\n")
    profile = get_profile("nucleo", devices_dir)
    assert backend_spec(profile, "cpu").compiler is None
    assert backend_spec(profile, "npu").compiler.accelerator == "ethos-u55-128"


def test_the_estimates_for_a_microcontroller_are_a_twins(devices_dir: Path, write_profile):
    backends = f"backends: {{cpu: {{}}, npu: {{compile: {COMPILE}}}}}\n"
    write_profile("nucleo", NUCLEO + backends + "emulation: {machine: vela-estimate}\n")
    twin = get_profile("nucleo@vela", devices_dir)
    assert (twin.name, twin.kind, twin.time_basis, list(twin.backends)) == ("nucleo@vela", "mcu", "estimate", ["npu"])
    assert availability(twin).ok and backend_spec(twin, "npu").threads == 0
    write_profile("nucleo", NUCLEO + backends + "time_basis: estimate\n")
    with pytest.raises(UserInputError, match="estimates for a microcontroller are a twin's"):
        get_profile("nucleo", devices_dir)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("/dev/ttyACM0", True),
        ("/dev/serial/by-id/usb-x_y-if02-port0", True),
        ("/dev/pts/7", True),
        ("COM12", True),
        ("socket://127.0.0.1:5000", True),
        ("rfc2217://lab-host:4001", True),
        ("socket://127.0.0.1", False),
        ("http://127.0.0.1:80", False),
        ("/dev/../etc/passwd", False),
        ("ttyACM0", False),
        ("/dev/x y", False),
        ("", False),
        ("rfc2217://lab-host:4001?ign_set_control", True),
        ("socket://lab-host:4001?ign_set_control", False),
        ("rfc2217://lab-host:4001?logging=debug", False),
        ("rfc2217://[::1]:65535", True),
        ("socket://lab-host:65536", False),
        ("socket://lab-host:0", False),
        ("rfc2217://lab-host:99999?ign_set_control", False),
    ],
)
def test_what_counts_as_a_port(text: str, good: bool):
    assert is_port(text) == good


def test_the_list_shows_microcontrollers_without_opening_anything(devices_dir: Path, write_profile, harness_cli):
    write_profile("nucleo", NUCLEO)
    shown = harness_cli("devices", "list", "--devices-dir", devices_dir)
    line = next(line for line in shown.out.splitlines() if line.startswith("nucleo"))
    assert "not there" in line and "serial /dev/serial/by-id/usb-ST" in line and "921600 baud" in line and "cpu" in line
    assert {e.name for e in list_profiles(devices_dir) if e.profile and e.profile.kind == "mcu"} == {*CORES, "nucleo"}


# ------------------------------------------------------------------------------------------------------- predictions


@pytest.mark.parametrize(
    ("seconds", "finishes", "words"), [(60, True, None), (0.003, None, "may end it"), (0.0005, False, "ends it")]
)
def test_an_inference_that_the_watchdog_would_end_is_foretold(devices_dir: Path, tmp_path, seconds, finishes, words):
    """int8_dense(1000, 1000): 1.3 to 2.8 million instructions, of 7.8 million a second."""
    profile = get_profile("cortex-m4@qemu", devices_dir)
    deadlines = profile.deadlines.model_copy(update={"evaluate_s": seconds})
    profile = profile.model_copy(update={"deadlines": deadlines})
    (tmp_path / "m.tflite").write_bytes(tiny_model.int8_dense(1000, 1000))
    graph = read_graph(tmp_path / "m.tflite")
    assert model_macs(graph) == 1_000_000
    found = predict(graph, graph.size_bytes, profile, backend_spec(profile, "cpu"))
    assert found.finishes is finishes and found.loads
    told = " ".join(found.reasons)
    assert words is None and not told or words in told and "1,000,000 multiply-accumulates" in told
    assert words is None or any("deadlines" in line for line in found.advice)


def test_nothing_is_said_of_the_pace_of_a_real_board(devices_dir: Path, tmp_path):
    profile = get_profile("cortex-m4", devices_dir)
    graph = read_graph(tiny_model.int8_dense())
    (tmp_path / "m.tflite").write_bytes(tiny_model.int8_dense())
    graph = read_graph(tmp_path / "m.tflite")
    assert predict(graph, graph.size_bytes, profile, backend_spec(profile, "cpu")).finishes is None


def test_a_float_model_is_refused_before_the_push_with_every_op(tmp_path: Path):
    prediction = _predict(tmp_path, tiny_model.float_mlp(), "cortex-m3@qemu")
    assert prediction.loads is False and prediction.right is None and prediction.runtime_assumed
    assert any("FULLY_CONNECTED: float arithmetic" in reason for reason in prediction.reasons)
    assert any("ptq-int8-io" in line for line in prediction.advice)


def test_a_float_model_runs_where_the_core_has_a_floating_point_unit(tmp_path: Path):
    for device in ("cortex-m4@qemu", "cortex-m7@qemu", "cortex-m55@qemu"):
        prediction = _predict(tmp_path, tiny_model.float_mlp(), device)
        assert (prediction.loads, prediction.right, prediction.fits) == (True, True, True), device


def test_an_int8_model_fits_the_board_with_its_exact_sizes(tmp_path: Path):
    prediction = _predict(tmp_path, tiny_model.mnist_cnn(), "cortex-m4@qemu")
    assert (prediction.loads, prediction.right, prediction.fits, prediction.reasons) == (True, True, True, ())
    assert prediction.memory.complete and prediction.memory.arena_bytes >= 26 * 26 * 12


def test_a_model_that_does_not_fit_is_told_with_both_sizes(tmp_path: Path):
    profile = get_profile("cortex-m0@qemu")
    small = profile.model_copy(
        update={"limits": profile.limits.model_copy(update={"arena_bytes": 8000, "model_bytes": 20_000})}
    )
    prediction = _predict(tmp_path, tiny_model.mnist_cnn(), small)
    assert prediction.fits is False and prediction.loads is True
    arena, plan = prediction.memory.arena_bytes, prediction.memory.file_bytes
    assert any(f"{arena:,} bytes of arena, the board has 8,000" in reason for reason in prediction.reasons)
    assert any(f"the plan has {plan:,} bytes, the board has 20,000" in reason for reason in prediction.reasons)


def test_without_limits_nobody_knows_whether_it_fits(devices_dir: Path, write_profile, tmp_path: Path):
    write_profile("nucleo", NUCLEO)
    assert _predict(tmp_path, tiny_model.mnist_cnn(), get_profile("nucleo", devices_dir)).fits is None


def test_of_a_runtime_that_reads_tflite_files_only_a_lower_bound_is_known(
    devices_dir: Path, write_profile, tmp_path: Path
):
    write_profile("nucleo", NUCLEO + "runtime: {module: tflite-micro}\nlimits: {arena_bytes: 100, model_bytes: 100}\n")
    prediction = _predict(tmp_path, tiny_model.mnist_cnn(), get_profile("nucleo", devices_dir))
    assert prediction.loads is None and prediction.fits is False
    assert any("needs at least" in r or "need at least" in r for r in prediction.reasons)


def test_a_connected_boards_facts_win_over_the_profile(tmp_path: Path):
    """The run decides by them, so that a prediction by anything else would contradict it."""
    profile = get_profile("cortex-m4@qemu")
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_model.mnist_cnn())
    options = {"profile": profile, "backend": backend_spec(profile, "cpu"), "runtime": "plan 1 (dsp)"}
    facts = profile_facts(profile)
    assert predict(read_graph(path), 1, **options, board=facts).fits is True
    small = predict(read_graph(path), 1, **options, board=replace(facts, arena_bytes=8000))
    assert small.fits is False and "the board has 8,000 of arena" in small.reasons[0]
    without = predict(read_graph(path), 1, **options, board=replace(facts, plan_ops=frozenset({1})))
    assert without.loads is False and "was built without" in without.reasons[0]


@pytest.mark.parametrize("runtime", ["plan", "tflite-micro"])
@pytest.mark.parametrize(
    ("inputs", "outputs", "words"),
    [
        ((2, 8), (2, 8), r"the input 'in' has the shape \[2, 8\]; the output 'out' has the shape \[2, 8\]"),
        ((8,), (8,), r"the input 'in' has the shape \[8\]"),
        ((1, 8), (8,), r"^the output 'out' has the shape \[8\]: the first axis must be a batch of 1 "),
    ],
)
def test_models_without_a_batch_of_one_are_refused(tmp_path: Path, runtime: str, inputs, outputs, words: str):
    shapes = {"in": inputs, "out": outputs}
    tensors = [tiny_model.Tensor(name=name, shape=shape, dtype="int8", scale=0.5) for name, shape in shapes.items()]
    node = tiny_model.Node(op="RELU" if inputs == outputs else "RESHAPE", inputs=(0,), outputs=(1,))
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_model.build(tensors, [node], inputs=(0,), outputs=(1,)))
    facts = replace(profile_facts(get_profile("cortex-m4@qemu")), plans=runtime == "plan")
    with pytest.raises(UnsupportedError, match=words) as error:
        mcu_model(read_graph(path), path, facts)
    assert "convert the model with a first axis of 1" in error.value.hint


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"X" + data[1:], lambda data: b""])
def test_a_damaged_plan_in_the_cache_is_made_again(tmp_path: Path, monkeypatch, damage):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_model.int8_dense())
    facts = profile_facts(get_profile("cortex-m4@qemu"))
    made = mcu_model(read_graph(path), path, facts)
    good = made.path.read_bytes()
    made.path.write_bytes(damage(good))
    assert mcu_model(read_graph(path), path, facts) == made and made.path.read_bytes() == good
    written = made.path.stat().st_mtime_ns
    mcu_model(read_graph(path), path, facts)
    assert made.path.stat().st_mtime_ns == written  # a good one is left alone


def test_a_twin_of_the_users_own_port(devices_dir: Path, write_profile):
    """A copy of a packaged port in a folder beside the profile, as its owner would have it."""
    folder = devices_dir / "ports" / "my-m4"
    shutil.copytree(ports_dir() / "mps2-an386", folder)
    board = folder / "board.toml"
    text = board.read_text()
    for path in re.findall(r'"(\.\./[^"]+)"', text):
        text = text.replace(f'"{path}"', f'"{(ports_dir() / "mps2-an386" / path).resolve()}"')
    board.write_text(text)
    write_profile("nucleo", NUCLEO + "emulation: {machine: ./ports/my-m4}\n")
    twin = get_profile("nucleo", devices_dir, emulated=True)
    assert twin.board == "my-m4" and emulated_board(twin).emulation.machine == "mps2-an386"
    assert availability(twin).ok
    board.write_text(text.partition("[emulation]")[0])
    with pytest.raises(UserInputError, match=r"board.toml of ./ports/my-m4 has no \[emulation\]"):
        get_profile("nucleo", devices_dir, emulated=True)


def test_a_twin_that_cannot_be_hides_no_other_device_in_the_list(devices_dir: Path, write_profile, harness_cli):
    write_profile("nucleo", NUCLEO + "emulation: {machine: ./gone}\n")
    shown = harness_cli("devices", "list", "--devices-dir", devices_dir)
    assert shown.code == 0 and "nucleo@qemu" in shown.out and "the folder has no board.toml" in shown.out
    assert "cortex-m4@qemu" in shown.out


def _predict(folder: Path, data: bytes, profile):
    profile = get_profile(profile) if isinstance(profile, str) else profile
    path = folder / "model.tflite"
    path.write_bytes(data)
    return predict_mcu(read_graph(path), len(data), profile, backend_spec(profile, "cpu"))


def test_harness_check_needs_no_board(tmp_path: Path, harness_cli):
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_model.mnist_cnn())
    shown = harness_cli("check", path, "--device", "cortex-m4@qemu", "--strict")
    assert shown.code == 0 and "plan (assumed)" in shown.out and "yes" in shown.out
    path.write_bytes(tiny_model.float_mlp())
    shown = harness_cli("check", path, "--device", "cortex-m3@qemu", "--strict")
    assert shown.code == 1 and "float arithmetic" in shown.out


def test_every_field_of_a_microcontrollers_profile_is_documented():
    page = ROOT.joinpath("docs", "reference", "devices.md").read_text()
    own = page.split("### Fields of microcontrollers")[1].split("\n## ")[0]
    for section in (SerialLinkProfile, McuRuntimeProfile):
        for field in section.model_fields:
            assert f"{field}`" in own, field
    for name in ("core", "board", "limits.arena_bytes", "limits.model_bytes", "emulation.machine"):
        assert f"`{name}`" in own, name
