"""What the agent answers, checked in this one place: each answer of docs/internals/agent-protocol.md as a model.

A board may run anything under the agent's name, and a delegate may write into its worker's memory. So nothing of an answer is
used before its types, ranges and lengths are right; what is not costs the cell that asked, and ends the session, because the
next answer could not be trusted either. Fields that nobody knows are left aside; free texts are cut, everything else is refused.
"""

from __future__ import annotations

import reprlib
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError

from harness.boards.base import FailureKind, Phase, Started
from harness.boards.linux.answer import (
    FIRST_ERROR,
    Answer,
    Bytes,
    Celsius,
    Fact,
    Index,
    Nanoseconds,
    Path,
    Sha256,
    Text,
    Words,
)
from harness.boards.linux.sensed import ReadingAnswer, SurroundingsAnswer
from harness.core.bounds import MOST_HZ
from harness.core.errors import StableDeviceError
from harness.core.printable import one_line

#: what is kept of a board log
MOST_LOG_BYTES = 1 << 20
_MOST_TENSORS, _MOST_NODES, _MOST_AXES = 4_096, 1_000_000, 32


class MalformedAnswer(StableDeviceError):
    """The board speaks the agent's protocol wrongly: an answer is no answer to what was asked."""


class Done(Answer):
    """An answer that says nothing but that it was done."""


class Facts(Answer):
    """The board's part of a `Fingerprint`."""

    runtime: Annotated[Fact, Field(min_length=1)]
    python: Fact | None = None
    kernel: Fact | None = None
    machine: Fact | None = None
    cpu_model: Fact | None = None
    cpu_count: Annotated[int, Field(ge=1, le=1 << 16)] | None = None
    board_model: Fact | None = None
    bsp: Fact | None = None
    governor: Fact | None = None
    agent_sha256: Sha256 | None = None


class Hello(Answer):
    """The answer to `hello`."""

    facts: Facts
    vendor_benchmark: Path | None


class Have(Answer):
    """The answer to `have`."""

    have: bool


class LibraryFile(Answer):
    """A delegate's library: its hash, and its name behind links."""

    sha256: Sha256
    file: Fact


class Library(Answer):
    """The answer to `library`."""

    library: LibraryFile | None


class Opened(Answer):
    """The answer to `open`."""

    worker: Index
    started: Started
    started_why: Words | None


class Tensor(Answer):
    """An input or output as the runtime has it; -1 is an open dimension."""

    name: Annotated[Text, Field(max_length=1 << 16)]
    dtype: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    shape: Annotated[list[Annotated[int, Field(ge=-1, lt=2**31)]], Field(max_length=_MOST_AXES), FIRST_ERROR]
    scale: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    zero_point: Annotated[int, Field(ge=-(2**31), lt=2**31)] = 0


Tensors = Annotated[list[Tensor], Field(max_length=_MOST_TENSORS), FIRST_ERROR]


class Loaded(Answer):
    """The answer to `load`."""

    load_ns: Nanoseconds
    inputs: Tensors
    outputs: Tensors
    started: Started
    started_why: Words | None


class FirstInvoke(Answer):
    """The answer to `first_invoke`."""

    first_invoke_ns: Nanoseconds


class OutputKind(Answer):
    """What comes of an output: numpy's type, and the shape of one row."""

    dtype: Annotated[str, Field(pattern=r"^([|<>=]?[biu]1|\|b1|[<>=][iu][248]|[<>=]f[248])$")]
    shape: Annotated[list[Index], Field(max_length=_MOST_AXES), FIRST_ERROR]


class OutputKinds(Answer):
    """The frame before the rows of an evaluation."""

    outputs: Annotated[list[OutputKind], Field(max_length=_MOST_TENSORS), FIRST_ERROR]


class Evaluated(Answer):
    """The answer to `evaluate`."""

    elapsed_ns: Nanoseconds
    count: Index


class Benched(Answer):
    """The answer to `bench`: how many times came before it, and what went on meanwhile."""

    warmup: Index
    samples: Annotated[int, Field(ge=1, lt=2**31)]
    stable: bool
    surroundings: SurroundingsAnswer | None = None


class Node(Answer):
    """Where a node ran."""

    node: Index
    op: Annotated[Text, Field(min_length=1, max_length=1_000)]
    on: Literal["cpu", "xnnpack", "external"]
    partition: Index | None
    inputs: Annotated[list[Annotated[int, Field(ge=-1, lt=2**31)]], Field(max_length=1 << 16), FIRST_ERROR]
    outputs: Annotated[list[Annotated[int, Field(ge=-1, lt=2**31)]], Field(max_length=1 << 16), FIRST_ERROR]


class Placed(Answer):
    """The answer to `placement`; no nodes: the runtime does not tell."""

    nodes: Annotated[list[Node], Field(max_length=_MOST_NODES), FIRST_ERROR] | None
    external_partitions: Index | None = None
    note: Words = ""


class Stats(Answer):
    """The answer to `stats`."""

    memory_peak_bytes: Bytes | None = None
    memory_baseline_bytes: Bytes | None = None
    governor: Fact | None = None
    frequency_hz: Annotated[int, Field(ge=0, le=MOST_HZ)] | None = None
    temperature_c: Celsius | None = None


class Sensed(Answer):
    """The answer to `sensors`."""

    reading: ReadingAnswer
    simulated: bool


class Closed(Answer):
    """The answer to `close`; nothing of a cache where the backend has none."""

    cache_files: Index | None = None
    cache_bytes: Bytes | None = None
    cache_problem: Words | None = None


class Benchmark(Answer):
    """The answer to `vendor_benchmark`; no code: it was ended at its deadline."""

    code: Annotated[int, Field(ge=-(2**31), lt=2**31)] | None


class Rows(Answer):
    """The head of a frame with rows of an output, or with times (-1: of invokes, -2: of the warm-up)."""

    output: Annotated[int, Field(ge=-2, lt=_MOST_TENSORS)]


class Moved(Answer):
    """A sign of progress."""

    done: Index
    total: Index


class Failure(Answer):
    """A worker's bad end."""

    message: Words
    kind: FailureKind
    phase: Phase
    signal: Annotated[str, Field(pattern=r"^(SIG[A-Z0-9+-]{1,16}|signal \d{1,4})$")] | None = None


class Refusal(Answer):
    """The board said no."""

    code: Annotated[str, Field(max_length=40)]
    message: Words


Known = TypeVar("Known", bound=Answer)


def read(kind: type[Known], header: dict[str, Any], what: str) -> Known:
    """The answer that a header is.

    Args:
        what: what was asked, such as `load`.

    Raises:
        MalformedAnswer: it is none: the first two fields that are wrong, and what stands there.
    """
    try:
        return kind.model_validate(header)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False)
        words = "; ".join(f"{_place(e['loc'])}: {e['msg'].lower()}{_found(e)}" for e in wrong[:2])
        raise MalformedAnswer(f"the board's answer to `{what}` makes no sense: {words}", hint=HINT) from None


#: what to do about a board that speaks wrongly
HINT = "something other than the harness's agent may be answering, or the board's memory is faulty: restart it, then try again"


def _place(loc: tuple[int | str, ...]) -> str:
    return ".".join(map(str, loc)) or "all of it"


def _found(error: Any) -> str:
    """What stood there, in a few characters; of a missing field nothing does."""
    return "" if error["type"] == "missing" else f", found {one_line(reprlib.repr(error['input']), 60)}"


def log_text(payload: bytes | bytearray) -> str:
    """A board log: its end, where there is more than is kept."""
    return bytes(payload[-MOST_LOG_BYTES:]).decode("utf-8", "replace")
