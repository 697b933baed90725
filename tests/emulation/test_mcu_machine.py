"""The firmware on emulated boards: what it answers, what it counts, how it fails."""

from __future__ import annotations

import struct
import subprocess
import sys
import time

import pytest

from harness.core.errors import UserInputError
from harness.emulation.mcu.firmware import build_firmware
from harness.emulation.mcu.machine import McuMachine, instructions
from harness.links.serial.messages import Code, RunFlag, Target, Type, parse_fault, parse_loaded
from harness.links.serial.port import SerialPort, SerialSettings
from harness.links.serial.session import SerialSession
from harness.tflite.plan import make_plan
from tests.support import tiny_model
from tests.support.fixtures_firmware import MCU_BOARDS
from tests.support.mcu_client import McuClient, Refused
from tests.support.plan_builder import PlanBuilder

TEST_FAULT = 0x70
UNDEFINED_INSTRUCTION, SILENT_RESET, HANG_NEXT = 1, 5, 6
RECORD = struct.Struct("<Q10s2x")


@pytest.fixture(params=MCU_BOARDS)
def board(request):
    return request.param


def connect(machine):
    client = McuClient.connect(machine.host, machine.port)
    client.hello()
    return client


def counted(client, machine, case, repeats=3):
    """Instructions and outputs of a sample's inferences; the model and the sample are loaded."""
    runs = []
    for _ in range(repeats):
        client.run(flags=RunFlag.REPEAT)
        ticks, outputs = RECORD.unpack(client.read(Target.RESULTS, 0, RECORD.size))
        runs.append((machine.instructions(ticks, client.facts.tick_hz), outputs))
    return runs


def test_a_board_starts_and_tells_what_it_is(board, record_property):
    firmware = build_firmware(board)
    start = time.monotonic()
    with McuMachine(firmware) as machine, connect(machine) as client:
        record_property("boot_ms", round(1e3 * (time.monotonic() - start)))
        facts = client.facts
        assert (facts.board, facts.core, facts.firmware) == (board, firmware.board.core, firmware.build)
        assert facts.code_bytes == firmware.code_bytes
        assert (facts.boots, facts.reset_reason, facts.last_fault) == (1, 0, None)
        assert facts.arena_bytes % 4 == 0 and facts.arena_bytes > 10_000
        # QEMU's cycle counter stands still, so nobody may call these ticks cycles.
        assert facts.tick_unit == 1
        stats = client.stats()
        assert 0 < stats.stack_peak < stats.stack_bytes
        assert stats.model_sha256 is None


def test_all_cores_give_the_same_outputs_and_counts_that_repeat(board, mnist_on):
    case = mnist_on(board)
    with McuMachine(build_firmware(board)) as machine, connect(machine) as client:
        loaded = client.load(case.plan)
        client.upload(Target.SAMPLES, case.sample)
        (one,) = set(counted(client, machine, case))
        assert loaded.input_bytes == (784,) and loaded.output_bytes == (10,)
        assert one[0] > 100_000
        client.write(Target.INPUTS, 0, case.sample[:100])
        for offset in range(100, 784, 228):
            client.write(Target.INPUTS, offset, case.sample[offset : offset + 228])
        client.run(flags=RunFlag.DIRECT)
        assert client.read(Target.OUTPUTS, 0, 10) == one[1]
        stats = client.stats()
        assert stats.arena_used == loaded.arena_used and stats.model_bytes == len(case.plan)
    assert one[1] == OUTPUTS.setdefault("mnist", one[1])


#: what the first board gave
OUTPUTS: dict[str, bytes] = {}


def test_counts_are_the_same_after_a_restart_under_load_and_with_a_busy_line(mnist_on):
    case = mnist_on("mps2-an386")
    firmware = build_firmware("mps2-an386")
    seen = set()
    for load in (False, True):
        spin = [sys.executable, "-c", "while True: pass"]
        hogs = [subprocess.Popen(spin) for _ in range(2)] if load else []
        try:
            with McuMachine(firmware) as machine, connect(machine) as client:
                client.load(case.plan)
                client.upload(Target.SAMPLES, case.sample)
                seen.update(counted(client, machine, case))
                # Bytes that come during an inference wait until it has been counted.
                client.send(Type.RUN, struct.pack("<IIII", 0, 20, RunFlag.REPEAT, 0))
                for _ in range(2):
                    client.send(Type.STATS)
                client.wait_for(Type.STATS + 0x80)
                client.wait_for(Type.STATS + 0x80)
                for number in range(20):
                    ticks, outputs = RECORD.unpack(client.read(Target.RESULTS, number * RECORD.size, RECORD.size))
                    seen.add((machine.instructions(ticks, client.facts.tick_hz), outputs))
        finally:
            for hog in hogs:
                hog.kill()
                hog.wait()
    assert len(seen) == 1


def test_an_inference_that_takes_too_long_is_ended_by_the_watchdog(board, mnist_on):
    case = mnist_on(board)
    with McuMachine(build_firmware(board)) as machine, connect(machine) as client:
        client.load(case.plan)
        client.upload(Target.SAMPLES, case.sample)
        # A generous limit changes nothing.
        assert client.run(deadline_ms=60_000).done == 1
        client.send(Type.RUN, struct.pack("<IIII", 0, 1, 0, 1))
        fault = parse_fault(client.wait_for(Type.FAULT).payload)
        assert fault.is_watchdog and fault.pc != 0
        client.wait_for(Type.ERROR)  # it is up again
        facts = client.hello()
        assert facts.last_fault == fault and facts.reset_reason == 3 and facts.boots == 2
        with pytest.raises(Refused) as refused:
            client.run()
        assert refused.value.code == Code.NO_MODEL


@pytest.mark.parametrize("board", ["mps2-an386", "mps3-an547"])
def test_a_deadline_may_be_longer_than_the_watchdog_can_count(board, mnist_on):
    """A round of the counter is made short here; 2^32 ticks are 171 s on the MPS2, and hours of the emulator's time."""
    case = mnist_on(board)
    round_ms, clock_khz = 1, 25_000 if board.startswith("mps2") else 32
    short = build_firmware(board, test_faults=True, extra_flags=(f"-DCMSDK_WATCHDOG_ROUND={round_ms * clock_khz}u",))
    with McuMachine(short) as machine, connect(machine) as client:
        client.load(case.plan)
        client.upload(Target.SAMPLES, case.sample)
        client.run()
        ticks = RECORD.unpack(client.read(Target.RESULTS, 0, RECORD.size))[0]
        took_ms = ticks / client.facts.tick_hz * 1e3
        assert took_ms > 20 * round_ms
        assert client.run(deadline_ms=int(took_ms * 2)).done == 1
        assert client.run(deadline_ms=60_000).done == 1
        # Nothing of a longer deadline is left in a shorter one, and in none.
        assert client.run().done == 1
        client.send(Type.RUN, struct.pack("<IIII", 0, 1, 0, int(took_ms / 2)))
        fault = parse_fault(client.wait_for(Type.FAULT).payload)
        assert fault.is_watchdog and fault.pc != 0


@pytest.mark.parametrize("board", ["mps2-an386", "microbit"])
def test_work_goes_on_past_its_deadline_and_a_hang_does_not(board, mnist_on):
    case = mnist_on(board)
    patient = RunFlag.REPEAT | RunFlag.WHILE_WORKING
    with McuMachine(build_firmware(board, test_faults=True)) as machine, connect(machine) as client:
        client.load(case.plan)
        client.upload(Target.SAMPLES, case.sample)
        ((count, outputs),) = set(counted(client, machine, case))
        limit_ms = round(600 * client.run(flags=RunFlag.REPEAT).total_ticks / client.facts.tick_hz)
        assert limit_ms > 10
        assert client.run(flags=patient, deadline_ms=limit_ms).done == 1
        ticks, same = RECORD.unpack(client.read(Target.RESULTS, 0, RECORD.size))
        looks = [frame for frame in client.heard if frame.type == Type.WORKING]
        assert same == outputs and looks
        # What the looks took is off, but for the way into the handler and back.
        assert 0 <= machine.instructions(ticks, client.facts.tick_hz) - count < 200 * len(looks)
        client.request(TEST_FAULT, struct.pack("<I", HANG_NEXT))
        client.heard.clear()
        client.send(Type.RUN, struct.pack("<IIII", 0, 1, patient, limit_ms))
        fault = parse_fault(client.wait_for(Type.FAULT).payload)
        assert fault.is_watchdog and fault.pc != 0
        assert len([frame for frame in client.heard if frame.type == Type.WORKING]) == 1


@pytest.mark.parametrize("board", ["mps2-an386", "microbit"])
def test_the_stack_peak_is_the_loaded_models_own(board):
    plans = {
        model: make_plan(model(), MCU_BOARDS[board]).data for model in (tiny_model.mnist_cnn, tiny_model.int8_dense)
    }
    seen = []
    for order in (list(plans), list(plans)[::-1]):
        with McuMachine(build_firmware(board)) as machine, connect(machine) as client:
            peaks = {}
            for model in order:
                loaded = client.load(plans[model])
                client.upload(Target.SAMPLES, bytes(sum(loaded.input_bytes)))
                client.run()
                peaks[model.__name__] = client.stats().stack_peak
            seen.append(peaks)
    assert seen[0] == seen[1]
    assert 0 < seen[0]["int8_dense"] < seen[0]["mnist_cnn"]


@pytest.mark.parametrize("board", ["mps2-an386", "microbit"])
def test_a_fault_is_forgotten_by_a_reset_that_it_did_not_cause(board):
    with McuMachine(build_firmware(board, test_faults=True)) as machine, connect(machine) as client:
        for number, (request, kind) in enumerate(((UNDEFINED_INSTRUCTION, None), (SILENT_RESET, 5))):
            client.send(TEST_FAULT, struct.pack("<I", request))
            client.wait_for(Type.ERROR)
            fault = client.hello().last_fault
            assert fault is not None and kind in (None, fault.kind)
            client.request(Type.RESET)
            client.wait_for(Type.ERROR)
            facts = client.hello()
            assert (facts.boots, facts.reset_reason, facts.last_fault) == (2 * number + 3, 1, None)


@pytest.mark.parametrize("board", ["mps2-an386", "mps3-an547", "microbit", "mps2-an385"])
def test_faults_are_told_and_kept_over_the_reset(board):
    """1: an undefined instruction. 2: an address where nothing is. 3: the stack runs over. 4: a hang with the watchdog armed."""
    kinds = {1: 4, 2: 3, 3: 6, 4: 5}
    if board == "microbit":
        kinds |= {1: 1, 2: 1}  # Armv6-M has one kind of fault
    with McuMachine(build_firmware(board, test_faults=True)) as machine, connect(machine) as client:
        for number, (request, kind) in enumerate(kinds.items()):
            client.send(TEST_FAULT, struct.pack("<I", request))
            fault = parse_fault(client.wait_for(Type.FAULT).payload)
            client.wait_for(Type.ERROR)
            facts = client.hello()
            assert fault.kind == kind, request
            assert facts.last_fault == fault
            assert facts.boots == number + 2
            assert facts.reset_reason == (3 if kind == 5 else 2)
            assert (fault.pc != 0) == (kind != 6)


def test_no_request_breaks_a_firmware_that_was_not_built_for_it():
    with McuMachine(build_firmware("mps2-an386")) as machine, connect(machine) as client:
        for request in range(1, 6):
            with pytest.raises(Refused) as refused:
                client.request(TEST_FAULT, struct.pack("<I", request))
            assert refused.value.code == Code.UNKNOWN_TYPE
        assert client.hello().boots == 1


def test_a_reset_that_was_asked_for_is_no_fault(board):
    with McuMachine(build_firmware(board)) as machine, connect(machine) as client:
        client.request(Type.RESET)
        client.wait_for(Type.ERROR)  # the board says that it knows no session any more
        facts = client.hello()
        assert (facts.boots, facts.reset_reason, facts.last_fault) == (2, 1, None)


def test_a_model_in_flash_can_be_replaced(mnist_on):
    case = mnist_on("microbit")
    with McuMachine(build_firmware("microbit")) as machine, connect(machine) as client:
        first = client.load(case.plan)
        assert client.begin(Target.MODEL, case.plan)
        with pytest.raises(Refused) as refused:
            client.load(bytes(range(256)) * 40)
        assert refused.value.code == Code.BAD_MODEL
        # In pieces that end anywhere, although flash takes whole words.
        client.begin(Target.MODEL, case.plan)
        offset = 0
        while offset < len(case.plan):
            piece = case.plan[offset : offset + 1 + (offset * 7919) % 253]
            offset = client.write(Target.MODEL, offset, piece)
        assert parse_loaded(client.commit(Target.MODEL)).input_bytes == first.input_bytes


def test_a_model_in_flash_is_not_written_again_after_a_reset(mnist_on):
    case = mnist_on("microbit")
    other = bytearray(case.plan)
    other[-1] ^= 1
    with McuMachine(build_firmware("microbit")) as machine, connect(machine) as client:
        loaded = client.load(case.plan)
        client.request(Type.RESET)
        client.wait_for(Type.ERROR)
        client.hello()
        assert client.stats().model_sha256 is None and not client.begin(Target.MODEL, bytes(other))
        # Erased by that; what is announced again has to be written again.
        assert not client.begin(Target.MODEL, case.plan)
        client.load(case.plan)
        client.request(Type.RESET)
        client.wait_for(Type.ERROR)
        client.hello()
        assert client.begin(Target.MODEL, case.plan)
        assert parse_loaded(client.commit(Target.MODEL)).input_bytes == loaded.input_bytes


def test_tensors_lie_in_the_fastest_memory_that_they_fit_into(mnist_on):
    """The M55 board has half a megabyte of DTCM, and four megabytes of slower memory."""
    case = mnist_on("mps3-an547")
    with McuMachine(build_firmware("mps3-an547")) as machine, connect(machine) as client:
        whole = client.stats().arena_bytes
        assert whole == client.facts.arena_bytes == 4 << 20
        client.load(case.plan)
        assert client.stats().arena_bytes < 512 << 10
        large = PlanBuilder()
        large.arena(1 << 20)
        large.input(0, "int8", 1)
        large.output(0, "int8", 1)
        client.load(large.build())
        assert client.stats().arena_bytes == whole


def test_the_harness_own_session_speaks_to_it(mnist_on):
    case = mnist_on("mps3-an547")
    with McuMachine(build_firmware("mps3-an547")) as machine, SerialPort(SerialSettings(port=machine.url)) as port:
        session = SerialSession(port)
        hello = session.hello()
        session.upload(Target.MODEL, case.plan)
        session.upload(Target.SAMPLES, case.sample)
        assert session.run(count=1, deadline_s=60).done == 1
        ticks, outputs = RECORD.unpack(session.read(Target.RESULTS, 0, RECORD.size))
        assert machine.instructions(ticks, hello.tick_hz) > 0 and any(outputs)


def test_a_board_ends_with_its_owner():
    code = (
        "import sys, time\n"
        "from harness.emulation.mcu.firmware import build_firmware\n"
        "from harness.emulation.mcu.machine import McuMachine\n"
        "machine = McuMachine(build_firmware('mps2-an386'))\n"
        "print(machine.port, flush=True)\n"
        "time.sleep(600)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    port = int(owner.stdout.readline())
    with McuClient.connect("127.0.0.1", port) as client:
        client.hello()
        owner.kill()
        owner.wait()
        # The line is closed when QEMU is gone; a board that lived on would let this time out.
        with pytest.raises((EOFError, ConnectionError)):
            while True:
                client.receive()


@pytest.mark.parametrize("count", [0, 1, 2, 1000, 123_456_789, 2**40])
@pytest.mark.parametrize("tick_hz, shift", [(25_000_000, 7), (32_000_000, 7), (16_000_000, 8), (25_000_000, 10)])
def test_ticks_become_whole_instructions(count, tick_hz, shift):
    ns = count << shift
    for start_ns in range(0, 1000, 7):  # wherever between two ticks the first reading falls
        ticks = (start_ns + ns) * tick_hz // 10**9 - start_ns * tick_hz // 10**9
        assert instructions(ticks, tick_hz, shift) == count


def test_a_counter_too_slow_for_exact_counts_is_refused():
    with pytest.raises(UserInputError, match="icount_shift"):
        instructions(1, 1_000_000, 7)
