"""What a board can do, whatever link and runtime stand behind it: the seam between measuring and driving.

`harness.boards.linux.board` implements it with the agent over a link, `harness.boards.mcu.board` with frames over a serial line.
Boards know nothing of training; they get files, and give raw numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from harness.boards.adapt import Adapted, NotAdapted
from harness.boards.surroundings import Reading, Surroundings
from harness.core.errors import HarnessError, StableDeviceError
from harness.core.fingerprint import Fingerprint, TimeBasis
from harness.core.tensor import TensorIo

if TYPE_CHECKING:
    from harness.prepare.prepared import PreparedModel
    from harness.tflite.vela.compiler import VelaOptions

Progress = Callable[[int, int], None]
"""Called with (done, total)."""

#: in a backend's environment and delegate options: the agent's own folder for compiled graphs
CACHE_DIR = "{cache_dir}"

#: where in a cell a worker ended; `delegate` is the part of `load` in which the delegate's library loads, before the model does
Phase = Literal["start", "delegate", "load", "first_invoke", "evaluate", "bench", "placement", "stats", "layers"]
#: exception: the runtime said no; signal: the worker was killed or crashed; deadline: it hung; exit: it left by itself
FailureKind = Literal["exception", "signal", "deadline", "exit"]
#: how a worker's process came to be: copied from one that had imported the runtime, or as an interpreter of its own
Started = Literal["forked", "fresh"]


class WorkerFailure(HarnessError):
    """The worker of one cell ended badly, while the board and the link are fine. The caller decides the outcome.

    Attributes:
        kind: how it ended.
        phase: in which request.
        signal: the signal's name, such as `SIGSEGV`, for kind `signal`.
        board_log: the last lines the worker printed.
    """

    def __init__(
        self,
        what: str,
        *,
        kind: FailureKind,
        phase: Phase,
        signal: str | None = None,
        board_log: str = "",
        where: str | None = None,
    ) -> None:
        super().__init__(what, where=where)
        self.kind = kind
        self.phase = phase
        self.signal = signal
        self.board_log = board_log


@dataclass(frozen=True, kw_only=True)
class BackendSpec:
    """Where ops run on a device, as its profile says.

    Attributes:
        kernels: `reference` (BUILTIN_REF), `default` (with XNNPACK where the runtime has it) or `no-default-delegate`.
        threads: interpreter threads; 0 where the runtime has none to set.
        affinity: CPU numbers the worker is bound to; empty means not bound.
        delegate_path: the external delegate's library on the board.
        delegate_options: passed to the delegate as text.
        env: environment variables set in the worker before the delegate loads.
        cache: what a worker finds in its delegate's graph cache, where `uses_cache`: nothing, or what the last one left.
        compiler: an offline compiler that a model goes through on this machine before it travels; None: there is none.
    """

    name: str
    kernels: Literal["reference", "default", "no-default-delegate"] = "default"
    threads: int = 1
    affinity: tuple[int, ...] = ()
    delegate_path: str | None = None
    delegate_name: str | None = None
    delegate_options: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    cache: Literal["empty", "kept"] = "empty"
    compiler: VelaOptions | None = None

    def on_board(self) -> dict[str, Any]:
        """What a board needs to know of it, as plain values: all but the compiler, which works on this machine."""
        return {name: value for name, value in asdict(self).items() if name != "compiler"}

    @property
    def uses_cache(self) -> bool:
        """True when the delegate keeps compiled graphs in a folder of the agent's (`{cache_dir}` in a value)."""
        return any(CACHE_DIR in value for value in (*self.env.values(), *self.delegate_options.values()))


@dataclass(frozen=True, kw_only=True)
class GraphCacheUse:
    """What a worker's delegate left in its graph cache.

    Attributes:
        files, size_bytes: how much it is.
        problem: why the agent emptied it, such as its size; None: it stays for the next worker.
    """

    files: int
    size_bytes: int
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Deadlines:
    """Seconds a request may take before the worker is killed. The first invoke has its own: an NPU compiles there."""

    load_s: float = 60.0
    first_invoke_s: float = 120.0
    evaluate_s: float = 900.0
    bench_s: float = 120.0

    def of_one_inference(self, limit_s: float | None) -> Deadlines:
        """The same with another limit for the first invoke, and no shorter one for all samples; None: as they are."""
        if limit_s is None:
            return self
        return replace(self, first_invoke_s=limit_s, evaluate_s=max(self.evaluate_s, limit_s))


@dataclass(frozen=True, kw_only=True)
class LoadResult:
    """What the runtime said of the loaded model. `load_ns` covers interpreter creation, delegate and allocation; None where the
    board tells no time.
    """

    load_ns: int | None
    inputs: tuple[TensorIo, ...]
    outputs: tuple[TensorIo, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Counts:
    """Exact work per invoke, on boards that count it.

    Attributes:
        unit: `instructions` of an emulated core, `cycles` of a real one.
        values: int64 [count].
    """

    unit: Literal["instructions", "cycles"]
    values: np.ndarray


@dataclass(frozen=True, kw_only=True)
class EvalResult:
    """Outputs of `count` invokes in file order.

    Attributes:
        outputs: one array per model output, [count, ...] without the batch axis, in the model's output dtype.
        invoke_ns: int64 [count], `perf_counter_ns` around `invoke` alone; empty where the board tells no time.
        elapsed_ns: the whole loop on the device.
        counts: where the board counts instead.
    """

    outputs: tuple[np.ndarray, ...]
    invoke_ns: np.ndarray
    elapsed_ns: int
    counts: Counts | None = None


@dataclass(frozen=True, kw_only=True)
class BenchPlan:
    """How long to time: warm up until stable, then at least `min_samples` and `min_ns`, never over `max_ns`."""

    min_samples: int = 200
    min_ns: int = 1_000_000_000
    max_ns: int = 15_000_000_000
    warmup_max_ns: int = 3_000_000_000


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """Raw samples, int64 nanoseconds, warm-up apart.

    Attributes:
        samples_ns: empty where the board tells no time.
        counts: where the board counts: the same sample over and over.
        pace_ns: how long an invoke keeps the host waiting, where that is something else than the latency.
        batch: inferences per sample, each sample being their mean: more than one where a board times batches alone.
        batch_overhead_ns: what is no inference in the time of one batch, at most.
        surroundings: what went on meanwhile; None where the board does not tell.
    """

    samples_ns: np.ndarray
    warmup_ns: np.ndarray
    warmup_stable: bool
    counts: Counts | None = None
    pace_ns: int | None = None
    batch: int = 1
    batch_overhead_ns: int = 0
    surroundings: Surroundings | None = None


@dataclass(frozen=True, kw_only=True)
class NodePlace:
    """Where one node of the model ran: `cpu`, `xnnpack` or the delegate's name."""

    node: int
    op: str
    ran_on: str
    partition: int | None = None
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PlacementResult:
    """Measured from the interpreter's node list before and after allocation. None counts: the runtime does not tell."""

    nodes: tuple[NodePlace, ...]
    delegated_nodes: int | None
    partitions: int | None
    xnnpack_nodes: int | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class WorkerStats:
    """What the board tells of the worker and itself; None where it does not.

    Attributes:
        memory_peak_bytes: the most it took on top of `memory_baseline_bytes`.
        memory_baseline_bytes: what it held before the model, with the runtime imported.
    """

    memory_peak_bytes: int | None = None
    memory_baseline_bytes: int | None = None
    arena_bytes: int | None = None
    stack_peak_bytes: int | None = None
    model_bytes: int | None = None
    code_bytes: int | None = None
    governor: str | None = None
    frequency_hz: int | None = None
    temperature_c: float | None = None


@dataclass(frozen=True, kw_only=True)
class LayerCost:
    """What one node of the model costs.

    Attributes:
        node: of the .tflite; None: what converts inputs and outputs at the model's edges.
        count: in the unit of `LayerCosts`; what a counter cannot resolve may be 0.
        macs: multiply-accumulates.
    """

    node: int | None
    count: int
    macs: int = 0


@dataclass(frozen=True, kw_only=True)
class LayerCosts:
    """What each node costs in one inference of the first sample, in which the board read its counter between nodes. No other
    figure is of that inference.

    Attributes:
        unit: `instructions` of an emulated core, `cycles` of a real one, or `ns` where only a timer runs.
        layers: one entry per node that the board runs, those of the edges last.
        own: what reading the counter took, of all nodes; taken off already.
    """

    unit: Literal["instructions", "cycles", "ns"]
    layers: tuple[LayerCost, ...]
    own: int


@dataclass(frozen=True, kw_only=True)
class Loop:
    """Inferences of one sample without a pause, and the board's time for all of them; None where it tells none."""

    inferences: int
    elapsed_ns: int | None


@dataclass(frozen=True, kw_only=True)
class ProgramRun:
    """How a program on the board ended: its exit code (None: it was ended at its deadline), and the last MiB it printed."""

    code: int | None
    output: str


class Worker(Protocol):
    """One cell's process on the board. Every method may raise WorkerFailure, or DeviceError when the link is gone.

    Attributes:
        cache_use: after `close`: what is in the delegate's graph cache; None for a backend without one.
        started, started_why: how its process came to be, and why it is `fresh`; None where there is but one way. Known before
            anything runs, so also of a worker that ends badly.
    """

    cache_use: GraphCacheUse | None = None
    started: Started | None = None
    started_why: str | None = None

    def load(self, model_sha256: str) -> LoadResult: ...
    def first_invoke(self, input_sha256s: Sequence[str]) -> int | None:
        """Nanoseconds of the first invoke, on the first row of the input files; None where the board tells no time."""
        ...

    def evaluate(
        self,
        input_sha256s: Sequence[str],
        count: int,
        *,
        start: int = 0,
        progress: Progress | None = None,
        beginnings: Sequence[int] | np.ndarray | None = None,
    ) -> EvalResult:
        """Runs `count` samples from row `start`.

        Args:
            beginnings: rows before which a model that remembers earlier inferences is put into its initial state, beside `start`;
                None: before every row.
        """
        ...

    def bench(self, plan: BenchPlan) -> BenchResult: ...
    def placement(self) -> PlacementResult: ...
    def stats(self) -> WorkerStats: ...
    def loop(self, row: int, least_ns: int, least_inferences: int) -> Loop:
        """One loop of inferences, as MLPerf Tiny's rules want it; on boards whose `bench` has but one sample of that.

        Args:
            row: of the samples, which the board may take no notice of.
            least_ns, least_inferences: how long it is at least, and how many.
        """
        bench = self.bench(
            BenchPlan(min_samples=least_inferences, min_ns=least_ns, max_ns=least_ns + (least_ns >> 1), warmup_max_ns=0)
        )
        times = bench.samples_ns
        return Loop(
            inferences=len(times) * bench.batch, elapsed_ns=int(times.sum()) * bench.batch if len(times) else None
        )

    def layers(self) -> LayerCosts | None:
        """What each node costs, once all else was asked; None: the board does not tell."""
        return None

    def close(self) -> str:
        """Ends the worker; returns its board log (stderr and stray prints, bounded)."""
        ...


class Board(Protocol):
    """A connected board. Classes that derive from it get the answers of a board that has nothing special to say.

    Attributes:
        one_dataset_at_a_time: it has room for one set of samples, so that cells with the same samples run one after the other.
        vendor_benchmark: the vendor's own benchmark program on the board, once connected; None where there is none.
        fresh_starts: every worker is a process of its own, so that figures of two workers differ as those of two days do.
    """

    name: str
    fresh_starts: bool = False
    one_dataset_at_a_time: bool = False
    vendor_benchmark: str | None = None

    def connect(self) -> Fingerprint: ...
    def close(self) -> None: ...
    def interrupt(self) -> None:
        """Ends, from another thread, whatever the board is asked for now; that call raises TransientDeviceError."""
        ...

    def adapt(self, model: PreparedModel, backend: BackendSpec, *, say: Callable[[str], None]) -> Adapted | NotAdapted:
        """The form in which the model travels to this board, or why it cannot; nothing is sent. An offline compiler of the
        backend has been through it before (`harness.boards.adapt.adapt`). The board is connected.

        Raises:
            HarnessError: of this model alone, such as a file that cannot be read.
        """
        return Adapted(model=model, artifact=model.artifact)

    def announce(self, adapted: Adapted, *, samples: int) -> None:
        """Told before each attempt at a cell: what it brings, and how many samples it will ask for. The board may be another
        object than the one that adapted the model: connections are made again.
        """
        return None

    def ensure_file(self, source: Path, sha256: str, *, progress: Progress | None = None) -> bool:
        """Makes a file of this hash present on the board; returns False when it was there already.

        Model files are .tflite; samples are .npy, [N, ...] without the batch axis, in the model's input dtype.
        """
        ...

    def open_worker(self, backend: BackendSpec, deadlines: Deadlines) -> Worker: ...

    @property
    def time_basis(self) -> TimeBasis | None:
        """What the figures of the connected board are; None: what its profile says."""
        return None

    def sense(self) -> Reading | None:
        """What the connected board's sensors say now; None: it has none, or does not tell.

        Raises:
            DeviceError: the link is gone.
        """
        return None

    def facts_for_prediction(self) -> object | None:
        """What the connected board says of itself that its kind predicts by; None: nothing but its fingerprint."""
        return None

    def delegate_text(self, path: str) -> str:
        """A delegate's identity, such as its path with the library's hash.

        Raises:
            DeviceError: the link is gone.
        """
        return path

    def run_vendor_benchmark(
        self, model_sha256: str, backend: BackendSpec, arguments: Sequence[str], deadline_s: float
    ) -> ProgramRun:
        """Runs `vendor_benchmark` on a model that is on the board, with a backend's CPUs and environment.

        Raises:
            DeviceError: the link is gone, or there is no such program.
        """
        raise StableDeviceError("there is no vendor's benchmark on this board", where=self.name)
