"""The record of one cell: every number with how it was got. Reports read records and nothing else.

Times are integers in nanoseconds, sizes in bytes, shares and accuracies in 0..1. None means "does not apply" or "the
board does not tell"; a number is never invented to fill a column.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from harness.core.finding import Finding, Severity
from harness.core.fingerprint import Fingerprint, TimeBasis

__all__ = [
    "CellKey",
    "CellRecord",
    "FallbackOp",
    "Finding",
    "Fingerprint",
    "Outcome",
    "RunInfo",
    "SCHEMA_VERSION",
    "Severity",
    "TimeBasis",
]

SCHEMA_VERSION = 1

Outcome = Literal["ok", "unsupported", "wrong", "failed"]


@dataclass(frozen=True, kw_only=True)
class CellKey:
    """What makes two cells the same cell. `dataset` is the dataset's SHA-256 digest."""

    workload: str
    recipe: str
    device: str
    backend: str
    dataset: str
    seed: int

    @property
    def text(self) -> str:
        return f"{self.workload}/{self.recipe}/{self.device}/{self.backend}"

    @property
    def text_with_seed(self) -> str:
        """`text`, and the seed where it is not 0: tells cells of one recipe apart."""
        return f"{self.text} seed {self.seed}" if self.seed else self.text


@dataclass(frozen=True, kw_only=True)
class FallbackOp:
    """A node that the delegate did not take, and why (None: the runtime does not tell)."""

    node: int
    op: str
    reason: str | None = None
    #: the coverage table said so before the push; None where there is no table
    predicted: bool | None = None


@dataclass(kw_only=True)
class CellRecord:
    """One finished cell. Field names are those of the published JSON (docs/reference/json-schema.md)."""

    key: CellKey
    run: str
    outcome: Outcome
    reason: str | None = None
    started_utc: str | None = None
    duration_ns: int | None = None
    attempts: int = 1
    time_basis: TimeBasis | None = None
    fingerprint: Fingerprint | None = None

    dataset_name: str | None = None
    dataset_note: str | None = None
    samples: int | None = None

    artifact_sha256: str | None = None
    size_bytes: int | None = None
    input_dtype: str | None = None
    output_dtype: str | None = None

    accuracy: float | None = None
    accuracy_low: float | None = None
    accuracy_high: float | None = None
    #: this cell's accuracy minus the LiteRT float32 model's on the same samples
    accuracy_delta: float | None = None
    #: exact McNemar test on the discordant pairs
    mcnemar_p: float | None = None
    #: samples only the float model got right, and samples only this cell got right
    only_float_right: int | None = None
    only_cell_right: int | None = None

    load_ns: int | None = None
    first_invoke_ns: int | None = None
    #: the same in a fresh worker that finds the delegate's graph cache as the first one left it
    load_cached_ns: int | None = None
    first_invoke_cached_ns: int | None = None
    latency_median_ns: int | None = None
    latency_median_low_ns: int | None = None
    latency_median_high_ns: int | None = None
    latency_p90_ns: int | None = None
    latency_p99_ns: int | None = None
    latency_samples: int | None = None
    #: exact counts per inference, on microcontrollers: instructions of an emulated core, cycles of a real one. The count is
    #: of the first sample; least and most are over all that were counted, because kernels may branch on data.
    instructions: int | None = None
    instructions_min: int | None = None
    instructions_max: int | None = None
    cycles: int | None = None
    cycles_min: int | None = None
    cycles_max: int | None = None
    counted_inferences: int | None = None
    #: what the vendor's own benchmark_model measured of the same model (docs/guides/vendor-benchmark.md): its mean, its first
    #: inference, and everything that it told
    vendor_latency_ns: int | None = None
    vendor_first_invoke_ns: int | None = None
    vendor_benchmark: dict[str, Any] | None = None
    memory_peak_bytes: int | None = None
    #: memory of a microcontroller: what tensors take as planned, the stack's high-water mark, the model as it lies on the board,
    #: the firmware's code and constants
    arena_bytes: int | None = None
    stack_peak_bytes: int | None = None
    model_bytes: int | None = None
    code_bytes: int | None = None
    threads: int | None = None
    affinity: list[int] | None = None
    frequency_hz: int | None = None
    temperature_c: float | None = None
    governor: str | None = None

    delegate_name: str | None = None
    delegated_nodes: int | None = None
    total_nodes: int | None = None
    partitions: int | None = None
    fallback: list[FallbackOp] = field(default_factory=list)
    #: one row per node of the model: {"node", "op", "ran_on", "inputs", "outputs"}, and {"vendor_ns"} where the vendor's
    #: benchmark timed the op; after an offline compiler also its
    #: estimates {"cycles", "estimate_ns"}, and the nodes are those of the model before it was compiled
    ops: list[dict[str, Any]] = field(default_factory=list)
    #: what an offline compiler made of the artifact before it travelled (docs/guides/vela.md): compiler, options, the original's
    #: identity, estimates. `artifact_sha256` and `size_bytes` are then those of the compiled file.
    compiled: dict[str, Any] | None = None
    #: what was expected before the push: {"runtime", "loads", "right", "fits", "delegated_nodes", "partitions", "reasons"}
    prediction: dict[str, Any] | None = None

    #: identity of the reference the outputs were compared with, such as "tflite-runtime 2.14.0 BUILTIN_REF"
    reference: str | None = None
    #: the rule that decided between ok and wrong, in words and with its bounds
    reference_rule: str | None = None
    reference_samples: int | None = None
    #: largest difference in units of the output's quantization step; None for float outputs
    max_lsb_diff: float | None = None
    #: share of outputs that differ by more than the rule's LSB bound
    mismatch_share: float | None = None
    #: share of samples with the reference's top-1 answer
    agreement: float | None = None
    #: RMS difference over the reference's RMS
    nrmse: float | None = None

    #: SHA-256 of the stored sample ids, outputs (results/objects) and raw latency samples
    sample_ids_object: str | None = None
    outputs_object: str | None = None
    latency_object: str | None = None
    #: raw counts per inference, in the order of the samples
    counts_object: str | None = None
    board_log: str | None = None
    findings: list[Finding] = field(default_factory=list)


@dataclass(kw_only=True)
class RunInfo:
    """One invocation: its id (sortable, such as `20261121-093000-a1b2`), what was asked, and how it ended."""

    run: str
    started_utc: str
    command: list[str]
    #: every planned cell, so that an interrupted run can resume and a report can show what is missing
    planned: list[CellKey] = field(default_factory=list)
    finished_utc: str | None = None
    #: running | finished | interrupted
    state: str = "running"
    environment: dict[str, Any] = field(default_factory=dict)
