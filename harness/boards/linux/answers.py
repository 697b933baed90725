"""What the agent answers, checked in this one place: each answer of docs/internals/agent-protocol.md as a model.

A board may run anything under the agent's name, and a delegate may write into its worker's memory. So nothing of an answer is
used before its types, ranges and lengths are right; what is not costs the cell that asked, and ends the session, because the
next answer could not be trusted either. Fields that nobody knows are left aside; free texts are cut, everything else is refused.
"""

from __future__ import annotations

import reprlib
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, FailFast, Field, ValidationError

from harness.boards.base import FailureKind, Phase, Started
from harness.core.bounds import MOST_BYTES, MOST_HZ, MOST_NS
from harness.core.errors import StableDeviceError
from harness.core.printable import one_line

#: what is kept of an error's words, and of a board log
_MOST_WORDS, MOST_LOG_BYTES = 4_000, 1 << 20
_MOST_TENSORS, _MOST_NODES, _MOST_AXES = 4_096, 1_000_000, 32
#: degrees Celsius that a processor can have; a sensor that says otherwise is broken, and tells nothing
_TEMPERATURES_C = (-100.0, 250.0)


class _FirstError(FailFast):
    """Ends at the first wrong item: a million of them would be a million complaints."""

    __hash__ = object.__hash__  # the types that it stands in are members of unions


FIRST_ERROR = _FirstError()


def _whole(value: Any) -> Any:
    """A text without halves of surrogate pairs: a board's file names and messages may hold bytes that are no UTF-8."""
    if isinstance(value, str) and not value.isprintable():
        return value.encode("utf-8", "replace").decode()
    return value


_Text = Annotated[str, BeforeValidator(_whole)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
#: one line about the board, as its fingerprint has it
Fact = Annotated[_Text, AfterValidator(lambda text: one_line(text, 200))]
Words = Annotated[_Text, AfterValidator(lambda text: text[:_MOST_WORDS])]
Path = Annotated[str, Field(pattern=r"^/[^\x00-\x1f\x7f]{1,4095}$")]
Nanoseconds = Annotated[int, Field(ge=0, le=MOST_NS)]
Bytes = Annotated[int, Field(ge=0, le=MOST_BYTES)]
Index = Annotated[int, Field(ge=0, lt=2**31)]


class MalformedAnswer(StableDeviceError):
    """The board speaks the agent's protocol wrongly: an answer is no answer to what was asked."""


class Answer(BaseModel):
    """A frame's header. Strict: a text is no number, and `true` is not 1."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


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

    name: Annotated[_Text, Field(max_length=1 << 16)]
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
    """The answer to `bench`: how many times came before it."""

    warmup: Index
    samples: Annotated[int, Field(ge=1, lt=2**31)]
    stable: bool


class Node(Answer):
    """Where a node ran."""

    node: Index
    op: Annotated[_Text, Field(min_length=1, max_length=1_000)]
    on: Literal["cpu", "xnnpack", "external"]
    partition: Index | None
    inputs: Annotated[list[Annotated[int, Field(ge=-1, lt=2**31)]], Field(max_length=1 << 16), FIRST_ERROR]
    outputs: Annotated[list[Annotated[int, Field(ge=-1, lt=2**31)]], Field(max_length=1 << 16), FIRST_ERROR]


class Placed(Answer):
    """The answer to `placement`; no nodes: the runtime does not tell."""

    nodes: Annotated[list[Node], Field(max_length=_MOST_NODES), FIRST_ERROR] | None
    external_partitions: Index | None = None
    note: Words = ""


def _believable(celsius: float) -> float | None:
    low, high = _TEMPERATURES_C
    return celsius if low <= celsius <= high else None


class Stats(Answer):
    """The answer to `stats`."""

    memory_peak_bytes: Bytes | None = None
    memory_baseline_bytes: Bytes | None = None
    governor: Fact | None = None
    frequency_hz: Annotated[int, Field(ge=0, le=MOST_HZ)] | None = None
    temperature_c: Annotated[float, Field(allow_inf_nan=False), AfterValidator(_believable)] | None = None


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
