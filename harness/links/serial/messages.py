"""What host and microcontroller tell each other: payloads as dataclasses, errors as exceptions.

See docs/internals/serial-protocol.md.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from harness.core.errors import StableDeviceError, TransientDeviceError
from harness.core.printable import visible

VERSION = 1
ANSWER = 0x80
#: a board must take frames of so many bytes of payload: WRITE with 256 bytes of data
LEAST_PAYLOAD = 264
#: what a count of ticks may be: beyond that no clock has run, and 64 signed bits hold it no more
MOST_TICKS = 2**63 - 1


class Type(IntEnum):
    HELLO = 0x01
    BEGIN = 0x02
    WRITE = 0x03
    COMMIT = 0x04
    RUN = 0x05
    READ = 0x06
    STATS = 0x07
    RESET = 0x08
    PROFILE = 0x09
    WORKING = 0x7C
    FAULT = 0x7D
    NAK = 0x7E
    ERROR = 0x7F


class Target(IntEnum):
    MODEL = 1
    SAMPLES = 2
    INPUTS = 3
    OUTPUTS = 4
    RESULTS = 5


class RunFlag(IntFlag):
    REPEAT = 1
    DIRECT = 2
    CARRY = 4
    WHILE_WORKING = 8


class Feature(IntFlag):
    """What a firmware can do beyond the first version 1."""

    TELLS_LAYERS = 1
    TELLS_WORK = 2


class Code(IntEnum):
    """Why a board refuses a request."""

    BAD_SESSION = 1
    BAD_ARGUMENT = 2
    UNKNOWN_TYPE = 3
    OUT_OF_ORDER = 4
    NO_MODEL = 5
    TOO_LARGE = 6
    HASH = 7
    BAD_MODEL = 8
    UNSUPPORTED_OP = 9
    RUN_FAILED = 10
    STORAGE = 11
    VERSION = 12


_FAULTS = {
    1: "hard fault",
    2: "memory fault",
    3: "bus fault",
    4: "usage fault",
    5: "an inference hung or took too long (watchdog)",
    6: "stack overflow",
}
_RESETS = {0: "power-on", 1: "request", 2: "fault", 3: "watchdog"}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Where a board's program failed; addresses and registers as the core had them (`status` is its fault status register)."""

    kind: int
    pc: int
    lr: int
    status: int
    address: int

    @property
    def name(self) -> str:
        return _FAULTS.get(self.kind, f"fault {self.kind}")

    @property
    def is_watchdog(self) -> bool:
        """True when an inference was ended because it took too long."""
        return self.kind == 5

    def __str__(self) -> str:
        return f"{self.name} at pc {self.pc:#010x}, lr {self.lr:#010x}, status {self.status:#010x}, address {self.address:#010x}"


@dataclass(frozen=True, kw_only=True)
class Hello:
    """A board's introduction.

    Attributes:
        max_payload, window: bytes in a frame, and requests under way, that the board takes.
        tick_unit: 1 timer ticks, 2 core cycles.
        model_kind: 1 plan, 2 .tflite.
        arena_bytes, model_bytes, sample_bytes: memory for each. `code_bytes`: text, constants, initialised data of the firmware.
        kernels: 1 portable, 2 DSP, 3 MVE.
        ops: bit n stands for op n of the plan format.
        boots: since power-on, where the board can tell.
        features: what the firmware can do beyond the first version 1.
        last_fault: of the start before this one, if it ended by a fault.
    """

    version: int
    session: int
    max_payload: int
    window: int
    clock_hz: int
    tick_hz: int
    tick_unit: int
    model_kind: int
    plan_version: int
    arena_bytes: int
    model_bytes: int
    sample_bytes: int
    code_bytes: int
    kernels: int
    ops: int
    boots: int
    reset_reason: int
    features: int
    last_fault: Fault | None
    board: str
    core: str
    runtime: str
    firmware: str

    @property
    def reset_name(self) -> str:
        return _RESETS.get(self.reset_reason, f"reason {self.reset_reason}")


@dataclass(frozen=True, kw_only=True)
class Stats:
    """Counts of a board. `frames_*` since its start; hashes are None where nothing is committed."""

    stack_peak: int
    stack_bytes: int
    arena_used: int
    arena_bytes: int
    model_bytes: int
    frames_good: int
    frames_bad: int
    frames_repeated: int
    model_sha256: str | None
    samples_sha256: str | None


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """What a board says of a committed model. `input_bytes` and `output_bytes`: one entry for each tensor."""

    arena_used: int
    load_ticks: int
    input_bytes: tuple[int, ...]
    output_bytes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class RunAnswer:
    """`done` inferences took `total_ticks`, copies of samples and results not counted."""

    done: int
    total_ticks: int


@dataclass(frozen=True, kw_only=True)
class NodeTicks:
    """Ticks of some of a model's nodes, in one inference.

    Attributes:
        nodes: how many the model has.
        ticks: of the nodes asked for, with what telling them apart took.
        own_ticks: what that took of each: the same walk over the nodes, in which none ran.
        total_ticks: of all nodes, and of telling them apart.
    """

    nodes: int
    ticks: tuple[int, ...]
    own_ticks: tuple[int, ...]
    total_ticks: int


#: the `detail` of an error of which no one node is the cause
NO_NODE = 0xFFFF


class BoardRefused(StableDeviceError):
    """The board answered a request with an error; line and board are fine. `code` says why, `detail` is a node where it fits."""

    def __init__(self, code: int, detail: int, text: str, *, request: str, where: str | None = None) -> None:
        name = Code(code).name.lower() if code in Code._value2member_map_ else f"error {code}"
        at = (
            f" (node {detail})"
            if code in (Code.BAD_MODEL, Code.UNSUPPORTED_OP)
            else f" (detail {detail})"
            if detail
            else ""
        )
        at = "" if detail == NO_NODE else at
        super().__init__(f"the board refuses {request}: {name}{at}{': ' + text if text else ''}", where=where)
        self.code = code
        self.detail = detail
        self.text = text
        self.request = request


class BoardFault(TransientDeviceError):
    """The board's program failed while it worked for the host, and has reset itself; everything it held is gone.

    Attributes:
        fault: what it said of it.
        request: what it was doing, such as `RUN`.
    """

    def __init__(self, fault: Fault, *, request: str, where: str | None = None) -> None:
        super().__init__(f"the board failed during {request}: {fault}", where=where)
        self.fault = fault
        self.request = request


class BoardRebooted(TransientDeviceError):
    """The board has started anew in the middle of a session, without a fault; everything it held is gone."""


class BoardLost(TransientDeviceError):
    """The board does not answer any more, or never did."""


class NotOurFirmware(StableDeviceError):
    """Something speaks on the line, but not this protocol."""


class ProtocolError(StableDeviceError):
    """A board that speaks the protocol wrongly, or another version of it."""


def board_text(data: bytes) -> str:
    """What a board wrote, safe to print: U+FFFD stands for what is no UTF-8 and for characters that a terminal would obey."""
    return visible(data.decode("utf-8", "replace"))


def checked_ticks(ticks: int, request: str) -> int:
    """A count of ticks that a board gave.

    Raises:
        ProtocolError: no board has run for so long.
    """
    if ticks > MOST_TICKS:
        raise ProtocolError(f"{request}: the board counts {ticks} ticks, more than any board has run", hint=_FLASH)
    return ticks


#: nodes of one answer to PROFILE; one more entry stands for all others
PROFILE_NODES = 14
_PROFILE_SLOTS = PROFILE_NODES + 1
_FLASH = "flash the firmware of this version of the harness"
_HELLO = struct.Struct("<HHHHIIBBHIIIIIQIBBxxIIIII")
_LATE_OPS = struct.Struct("<Q")
_STATS = struct.Struct("<8I32s32s")
_LOADED = struct.Struct("<IHHQ")
_RUN = struct.Struct("<IIQ")
#: nodes in all, nodes told, ticks of all; what telling took of each node's ticks, and these
_PROFILE = struct.Struct(f"<IIQ{_PROFILE_SLOTS}Q{_PROFILE_SLOTS}Q")
_FAULT = struct.Struct("<5I")


def parse_fault(payload: bytes) -> Fault:
    kind, pc, lr, status, address = _unpack(_FAULT, payload, "FAULT")
    return Fault(kind=kind, pc=pc, lr=lr, status=status, address=address)


def parse_hello(payload: bytes) -> Hello:
    """Raises ProtocolError: too short, or with a field that no board can have."""
    fields = _unpack(_HELLO, payload, "HELLO", exact=False)
    names = (
        "version",
        "session",
        "max_payload",
        "window",
        "clock_hz",
        "tick_hz",
        "tick_unit",
        "model_kind",
        "plan_version",
        "arena_bytes",
        "model_bytes",
        "sample_bytes",
        "code_bytes",
        "kernels",
        "ops",
        "boots",
        "reset_reason",
        "features",
    )
    strings, at = [], _HELLO.size
    for _ in range(4):
        end = at + 1 + payload[at] if at < len(payload) else len(payload) + 1
        if end > len(payload):
            raise ProtocolError("the answer to HELLO is too short", hint=_FLASH)
        strings.append(board_text(payload[at + 1 : end]))
        at = end
    fault = parse_fault(payload[_HELLO.size - _FAULT.size : _HELLO.size])
    board, core, runtime, firmware = strings
    known = dict(zip(names, fields, strict=False))
    if len(payload) >= at + _LATE_OPS.size:  # a firmware of before there were any ends here
        known["ops"] |= _LATE_OPS.unpack_from(payload, at)[0] << 64
    hello = Hello(
        **known,
        last_fault=fault if fault.kind else None,
        board=board,
        core=core,
        runtime=runtime,
        firmware=firmware,
    )
    _check_hello(hello)
    return hello


def _check_hello(hello: Hello) -> None:
    """Raises ProtocolError for a field outside what docs/internals/serial-protocol.md allows."""
    bounds = (
        ("max_payload", hello.max_payload >= LEAST_PAYLOAD, f"at least {LEAST_PAYLOAD}"),
        ("window", hello.window >= 1, "at least 1"),
        ("tick_hz", hello.tick_hz >= 1, "at least 1"),
        ("tick_unit", hello.tick_unit in (1, 2), "1 or 2"),
        ("model_kind", hello.model_kind in (1, 2), "1 or 2"),
    )
    wrong = [f"{name} is {getattr(hello, name)}, which must be {rule}" for name, good, rule in bounds if not good]
    if wrong:
        raise ProtocolError(f"the answer to HELLO is wrong: {'; '.join(wrong)}", hint=_FLASH)


def parse_stats(payload: bytes) -> Stats:
    *counts, model, samples = _unpack(_STATS, payload, "STATS")
    names = (
        "stack_peak",
        "stack_bytes",
        "arena_used",
        "arena_bytes",
        "model_bytes",
        "frames_good",
        "frames_bad",
        "frames_repeated",
    )
    said = dict(zip(names, counts, strict=True))
    for part, whole in (("stack_peak", "stack_bytes"), ("arena_used", "arena_bytes")):
        if said[part] > said[whole]:
            raise ProtocolError(f"STATS: {part} is {said[part]}, more than the {said[whole]} of {whole}", hint=_FLASH)
    return Stats(
        **said,
        model_sha256=model.hex() if any(model) else None,
        samples_sha256=samples.hex() if any(samples) else None,
    )


def parse_loaded(payload: bytes) -> LoadedModel:
    arena_used, inputs, outputs, load_ticks = _unpack(_LOADED, payload, "COMMIT", exact=False)
    if len(payload) != _LOADED.size + 4 * (inputs + outputs):
        raise ProtocolError(f"the answer to COMMIT has {len(payload)} bytes for {inputs} inputs and {outputs} outputs")
    sizes = struct.unpack_from(f"<{inputs + outputs}I", payload, _LOADED.size)
    load_ticks = checked_ticks(load_ticks, "COMMIT")
    return LoadedModel(
        arena_used=arena_used, load_ticks=load_ticks, input_bytes=sizes[:inputs], output_bytes=sizes[inputs:]
    )


def parse_run(payload: bytes) -> RunAnswer:
    done, _, total_ticks = _unpack(_RUN, payload, "RUN")
    return RunAnswer(done=done, total_ticks=checked_ticks(total_ticks, "RUN"))


def parse_profile(payload: bytes) -> NodeTicks:
    """Raises ProtocolError: a count that no board can have."""
    nodes, told, total, *rows = _unpack(_PROFILE, payload, "PROFILE")
    if not 0 < told <= min(nodes, PROFILE_NODES):
        raise ProtocolError(f"PROFILE: {told} nodes told of {nodes}, at most {PROFILE_NODES} can be", hint=_FLASH)
    own, took = rows[:told], rows[_PROFILE_SLOTS : _PROFILE_SLOTS + told]
    checked_ticks(total + max(took) + max(own), "PROFILE")
    return NodeTicks(
        nodes=nodes,
        ticks=tuple(took),
        own_ticks=tuple(own),
        total_ticks=total,
    )


def parse_error(payload: bytes) -> tuple[int, int, str]:
    """(code, detail, text) of an ERROR frame."""
    code, detail = _unpack(struct.Struct("<HH"), payload, "ERROR", exact=False)
    return code, detail, board_text(payload[4:])


def parse_number(payload: bytes, request: str, bits: int) -> int:
    """An answer that is one unsigned number of so many bits."""
    return _unpack(struct.Struct({8: "<B", 16: "<H", 32: "<I"}[bits]), payload, request)[0]


def _unpack(layout: struct.Struct, payload: bytes, name: str, *, exact: bool = True) -> tuple:
    if len(payload) < layout.size or (exact and len(payload) != layout.size):
        raise ProtocolError(f"{name} with {len(payload)} bytes of payload instead of {layout.size}")
    return layout.unpack_from(payload)
