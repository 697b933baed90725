"""The same firmware as a process of this machine, under sanitizers: whatever is asked, it answers and stays inside its memory."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import struct
import subprocess
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.emulation.mcu.firmware import build_firmware
from harness.links.serial.messages import Code, RunFlag, Target, Type, parse_fault, parse_profile
from harness.links.serial.port import SerialPort, SerialSettings
from harness.links.serial.session import SerialSession
from tests.support.mcu_client import McuClient, Refused
from tests.support.plan_builder import PlanBuilder

SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
TEST_FAULT = 0x70
UNDEFINED_INSTRUCTION, SILENT_RESET = 1, 5


@contextlib.contextmanager
def running(firmware) -> Iterator[tuple[subprocess.Popen, socket.socket]]:
    mine, theirs = socket.socketpair()
    # Sanitizers that handle signals themselves would keep the firmware from telling its faults.
    options = "handle_segv=0:handle_sigill=0:handle_sigbus=0"
    environment = {**os.environ, "FIRMWARE_FD": str(theirs.fileno()), "ASAN_OPTIONS": options}
    process = subprocess.Popen([firmware.elf], pass_fds=[theirs.fileno()], env=environment, stderr=subprocess.PIPE)
    theirs.close()
    try:
        yield process, mine
    finally:
        mine.close()
        _, said = process.communicate(timeout=30)
        assert b"Sanitizer" not in said and b"runtime error" not in said, said.decode()
        # It ends by itself when its line is closed: with 1 where it was still speaking.
        assert process.returncode in (0, 1)


@pytest.fixture(scope="module")
def sanitized():
    return build_firmware("host", test_faults=True, extra_flags=SANITIZERS)


@pytest.fixture
def client(sanitized):
    with running(sanitized) as (_, line), McuClient(line) as client:
        client.hello()
        yield client


@pytest.fixture
def loaded(client, mnist_on):
    client.case = mnist_on("host")
    client.load(client.case.plan)
    client.upload(Target.SAMPLES, client.case.sample * 3)
    return client


def refused(call, *arguments, **named) -> Refused:
    with pytest.raises(Refused) as caught:
        call(*arguments, **named)
    assert caught.value.text
    return caught.value


def test_samples_are_run_in_order_and_their_records_read(loaded):
    assert loaded.run(0, 3).done == 3
    records = loaded.read(Target.RESULTS, 0, 3 * 20)
    outputs = {records[20 * i + 8 : 20 * i + 18] for i in range(3)}
    assert len(outputs) == 1
    assert loaded.run(2, 5, RunFlag.REPEAT).done == 5
    assert len(loaded.read(Target.RESULTS, 0, 5 * 20)) == 100
    assert refused(loaded.read, Target.RESULTS, 0, 101).code == Code.BAD_ARGUMENT


@pytest.mark.parametrize(
    "first, count, flags, code",
    [
        (0, 0, 0, Code.BAD_ARGUMENT),
        (0, 4, 0, Code.BAD_ARGUMENT),
        (3, 1, 0, Code.BAD_ARGUMENT),
        (0xFFFFFFFF, 1, 0, Code.BAD_ARGUMENT),
        (0xFFFFFFFF, 0xFFFFFFFF, 0, Code.BAD_ARGUMENT),
        (0, 0xFFFFFFFF, RunFlag.REPEAT, Code.TOO_LARGE),
        (0, 2, RunFlag.DIRECT, Code.BAD_ARGUMENT),
        (0, 1, 16, Code.BAD_ARGUMENT),
    ],
)
def test_a_run_beyond_what_is_there_is_refused(loaded, first, count, flags, code):
    assert refused(loaded.run, first, count, flags).code == code
    assert loaded.run().done == 1


@pytest.mark.parametrize(
    "sample, node, flags",
    [(3, 0, 0), (0xFFFFFFFF, 0, 0), (0, 3, 0), (0, 0xFFFFFFFF, 0), (0, 0, RunFlag.REPEAT), (0, 0, RunFlag.CARRY)],
)
def test_a_profile_of_what_is_not_there_is_refused(loaded, sample, node, flags):
    def profile(*words):
        return loaded.request(Type.PROFILE, struct.pack("<IIII", *words))

    assert refused(profile, sample, node, flags, 0).code == Code.BAD_ARGUMENT
    found = parse_profile(profile(2, 1, 0, 0))
    assert found.nodes == 3 and len(found.ticks) == len(found.own_ticks) == 2 and found.total_ticks > 0
    loaded.run()
    assert loaded.read(Target.RESULTS, 8, 10) == loaded.read(Target.OUTPUTS, 0, 10)


def test_without_a_model_there_is_nothing_to_profile(client):
    assert refused(client.request, Type.PROFILE, bytes(16)).code == Code.NO_MODEL


def test_a_transfer_counts_only_as_a_whole(client, mnist_on):
    plan = mnist_on("host").plan
    assert refused(client.run).code == Code.NO_MODEL
    assert refused(client.write, Target.MODEL, 0, b"x").code == Code.OUT_OF_ORDER
    assert refused(client.commit, Target.MODEL).code == Code.OUT_OF_ORDER
    assert refused(client.begin, Target.INPUTS, plan).code == Code.BAD_ARGUMENT
    assert refused(client.begin, Target.MODEL, b"").code == Code.BAD_ARGUMENT
    client.begin(Target.MODEL, plan)
    assert client.write(Target.MODEL, 0, plan[:64]) == 64
    assert refused(client.write, Target.MODEL, 32, plan[32:64]).code == Code.OUT_OF_ORDER
    assert refused(client.write, Target.MODEL, 128, plan[128:160]).code == Code.OUT_OF_ORDER
    assert refused(client.commit, Target.MODEL).code == Code.OUT_OF_ORDER
    huge = struct.pack("<B3xI", Target.MODEL, client.facts.model_bytes + 1) + bytes(32)
    assert refused(client.request, Type.BEGIN, huge).code == Code.TOO_LARGE
    wrong = struct.pack("<B3xI", Target.MODEL, 4) + hashlib.sha256(b"other").digest()
    client.request(Type.BEGIN, wrong)
    client.write(Target.MODEL, 0, b"data")
    assert refused(client.commit, Target.MODEL).code == Code.HASH
    assert client.stats().model_sha256 is None
    client.load(plan)
    assert client.begin(Target.MODEL, plan), "it is there already"
    assert client.stats().model_sha256 == hashlib.sha256(plan).hexdigest()


def test_repeated_writes_change_nothing(loaded):
    """An answer that was lost on the line makes the host send again what the board has done already."""
    sample = loaded.case.sample
    loaded.run()
    outputs = loaded.read(Target.RESULTS, 8, 10)
    loaded.write(Target.INPUTS, 0, sample)
    again = struct.pack("<B3xI", Target.INPUTS, 0) + bytes(len(sample))
    loaded.send(Type.WRITE, again, sequence=loaded.sequence)
    assert struct.unpack("<I", loaded.wait_for(Type.WRITE + 0x80).payload) == (len(sample),)
    loaded.run(flags=RunFlag.DIRECT)
    assert loaded.read(Target.OUTPUTS, 0, 10) == outputs


def test_faults_and_resets_survive_the_restart_of_the_process(client):
    for request, kind in ((1, 4), (4, 5)):
        client.send(TEST_FAULT, struct.pack("<I", request))
        fault = parse_fault(client.wait_for(Type.FAULT).payload)
        client.wait_for(Type.ERROR)
        facts = client.hello()
        assert fault.kind == kind and facts.last_fault == fault
        assert client.hello().last_fault == fault, "until the next reset it is told to every host"
    client.request(Type.RESET)
    client.wait_for(Type.ERROR)
    facts = client.hello()
    assert (facts.boots, facts.reset_reason, facts.last_fault) == (4, 1, None)


def test_a_watchdog_that_resets_without_a_word_is_told_by_the_next_hello(client):
    client.send(TEST_FAULT, struct.pack("<I", UNDEFINED_INSTRUCTION))
    client.wait_for(Type.ERROR)
    assert client.hello().last_fault.pc == 0 and client.facts.last_fault.kind == 4
    client.heard.clear()
    client.send(TEST_FAULT, struct.pack("<I", SILENT_RESET))
    client.wait_for(Type.ERROR)
    assert client.heard == []
    facts = client.hello()
    assert (facts.boots, facts.reset_reason) == (3, 3)
    assert facts.last_fault is not None and facts.last_fault.is_watchdog and facts.last_fault.pc == 0
    client.request(Type.RESET)
    client.wait_for(Type.ERROR)
    assert client.hello().last_fault is None


def test_outputs_that_share_memory_must_not_sum_up_beyond_32_bits():
    """Each lies in the arena, but a record has them all: 32 x 128 MiB would be a record of 0 bytes."""
    firmware = build_firmware("host", extra_flags=(f"-DARENA_BYTES={ARENA_BYTES:#x}u",))
    with running(firmware) as (_, line), McuClient(line) as client:
        client.hello()
        for outputs in (9, 32, 60):
            assert refused(client.load, plan_of_outputs(outputs)).code == Code.TOO_LARGE
            assert refused(client.run).code == Code.NO_MODEL
        assert client.load(plan_of_outputs(8)).output_bytes == (ARENA_BYTES,) * 8
        client.upload(Target.SAMPLES, b"x")
        assert refused(client.run).code == Code.TOO_LARGE


ARENA_BYTES = 128 << 20


def plan_of_outputs(count: int) -> bytes:
    """No node; an input of one byte and so many outputs, each of which is the whole arena."""
    plan = PlanBuilder()
    plan.arena(ARENA_BYTES)
    plan.input(0, "int8", 1)
    for _ in range(count):
        plan.output(0, "int8", ARENA_BYTES)
    return plan.build()


ANY_WORD = st.integers(0, 2**32 - 1)
REQUESTS = st.one_of(
    st.tuples(st.integers(2, 7), st.binary(max_size=64)),
    st.tuples(st.integers(0, 0x7B), st.binary(max_size=1032)).filter(
        lambda r: r[0] not in (Type.HELLO, Type.RESET, TEST_FAULT)
    ),
    st.builds(
        lambda target, offset, data: (3, struct.pack("<B3xI", target, offset) + data),
        st.integers(0, 6),
        ANY_WORD | st.integers(0, 4000),
        st.binary(max_size=900),
    ),
    st.builds(
        lambda *words: (5, struct.pack("<IIII", *words, 0)),
        ANY_WORD | st.integers(0, 4),
        st.integers(0, 4) | st.just(2**32 - 1),
        st.integers(0, 15),
    ),
    st.builds(
        lambda *words: (Type.PROFILE, struct.pack("<IIII", *words, 0)),
        ANY_WORD | st.integers(0, 3),
        ANY_WORD | st.integers(0, 4),
        ANY_WORD | st.integers(0, 3),
    ),
    st.builds(
        lambda target, *words: (6, struct.pack("<B3xII", target, *words)),
        st.integers(0, 6),
        ANY_WORD | st.integers(0, 100),
        ANY_WORD | st.integers(0, 1032),
    ),
    st.builds(
        lambda target, size: (2, struct.pack("<B3xI", target, size) + bytes(32)),
        st.integers(0, 4),
        ANY_WORD | st.integers(0, 2000),
    ),
    st.builds(lambda target: (4, struct.pack("<B3x", target)), st.integers(0, 4)),
)


def test_no_request_however_hostile_reaches_beyond_its_memory(sanitized, mnist_on):
    case = mnist_on("host")
    with running(sanitized) as (_, line), McuClient(line) as client:
        client.hello()

        @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(REQUESTS, min_size=1, max_size=20), st.booleans())
        def ask(requests, with_model):
            if with_model:
                client.load(case.plan)
                client.upload(Target.SAMPLES, case.sample * 2)
            for kind, payload in requests:
                with contextlib.suppress(Refused):
                    client.request(kind, payload)
            client.stats()

        ask()
        assert client.hello().boots == 1


def test_it_runs_on_a_pseudo_terminal_as_a_real_board_does(mnist_on):
    case = mnist_on("host")
    process = subprocess.Popen([build_firmware("host").elf], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        with SerialPort(SerialSettings(port=process.stdout.readline().strip())) as port:
            session = SerialSession(port)
            assert session.hello().board == "host"
            session.upload(Target.MODEL, case.plan)
            session.write_inputs(case.sample)
            assert session.run(direct=True, deadline_s=60).done == 1
            assert any(session.read(Target.OUTPUTS, 0, 10))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
