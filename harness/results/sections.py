"""The sections of a cell's record: what belongs together stands together, under the names that the published JSON has.

A `CellRecord` is all of them. Code that makes or reads one kind of figures names its section, so that it says by its type
what it touches, and `CellRecord.fill` takes a finished section over.

Times are integers in nanoseconds, sizes in bytes, shares and accuracies in 0..1. None means "does not apply" or "the
board does not tell"; a number is never invented to fill a column.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

#: which way a metric gets better
Direction = Literal["higher", "lower"]
#: the runtime's reference kernels, those that it takes by itself, or these without its default delegate
Kernels = Literal["reference", "default", "no-default-delegate"]
#: how a cell's worker came to be: forked from a server that had imported the runtime, or started from nothing
WorkerStart = Literal["forked", "fresh"]
#: what the board was like while a latency was taken
Quality = Literal["quiet", "noisy", "throttled"]
#: whose sensors were read: the board's own, or files in their place
SensorSource = Literal["board", "simulated"]


@dataclass(frozen=True, kw_only=True)
class FallbackOp:
    """A node that the delegate did not take, and why (None: the runtime does not tell)."""

    node: int
    op: str
    reason: str | None = None
    #: the coverage table said so before the push; None where there is no table
    predicted: bool | None = None


@dataclass(kw_only=True)
class Section:
    """What every section is: a group of fields of a record, all of which may be missing."""


@dataclass(kw_only=True)
class Model(Section):
    """Which model on which data: identities and sizes."""

    dataset_name: str | None = None
    dataset_note: str | None = None
    samples: int | None = None
    #: the model that recipes start from: the user's own file (names and contents of a SavedModel folder), or the key of the
    #: float training of a published workload (architecture, data, schedule, seed, package versions); no part of the cell's key
    model_sha256: str | None = None
    #: the .tflite that ran
    artifact_sha256: str | None = None
    size_bytes: int | None = None
    input_dtype: str | None = None
    output_dtype: str | None = None
    #: what an offline compiler made of the artifact before it travelled (docs/guides/vela.md): compiler, options, the original's
    #: identity, estimates. `artifact_sha256` and `size_bytes` are then those of the compiled file.
    compiled: dict[str, Any] | None = None
    #: what was expected before the push: {"runtime", "loads", "right", "fits", "delegated_nodes", "partitions", "reasons"}
    prediction: dict[str, Any] | None = None


@dataclass(kw_only=True)
class Score(Section):
    """How good the answers are, by the workload's metric; nothing of it where there is no metric or no labels."""

    #: the metric's name, what tables call its score, the unit of the score, and which way it gets better: tables made later,
    #: where nobody knows the metric any more, need no more than this
    metric: str | None = None
    metric_title: str | None = None
    metric_unit: str | None = None
    metric_direction: Direction | None = None
    #: its settings, by the names of its dataclass fields
    metric_settings: dict[str, Any] | None = None
    score: float | None = None
    #: 95 % interval; the metric says by which method
    score_low: float | None = None
    score_high: float | None = None
    #: this cell's score minus the float model's on the same samples, whichever way is better
    score_delta: float | None = None
    #: p of the paired test of that difference, and the test's name
    score_p: float | None = None
    score_test: str | None = None
    #: what the difference is taken to, such as "ai-edge-litert 2.3.0 default kernels"
    score_baseline: str | None = None
    #: the same for classification, where the score is the share of right answers
    accuracy: float | None = None
    accuracy_low: float | None = None
    accuracy_high: float | None = None
    accuracy_delta: float | None = None
    #: exact McNemar test on the discordant pairs
    mcnemar_p: float | None = None
    #: samples only the float model got right, and samples only this cell got right
    only_float_right: int | None = None
    only_cell_right: int | None = None
    #: which output of several the fields above are of
    score_output: str | None = None
    #: of a model with several judged outputs each one's score, the one above first: {"output"} and OUTPUT_FIELDS
    output_scores: list[dict[str, Any]] | None = None


#: what `Score.output_scores` has of each output: the fields of the same names
OUTPUT_FIELDS = (
    "metric",
    "metric_title",
    "metric_unit",
    "metric_direction",
    "metric_settings",
    "score",
    "score_low",
    "score_high",
    "score_delta",
    "score_p",
    "score_test",
    "only_float_right",
    "only_cell_right",
)


@dataclass(kw_only=True)
class Latency(Section):
    """Cold, cached and steady times."""

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
    #: starts of the worker that were timed, and the median of each, in their order: medians differ more between starts than
    #: the samples of one start let expect
    latency_starts: int | None = None
    latency_start_medians_ns: list[int] | None = None


@dataclass(kw_only=True)
class Vendor(Section):
    """What the vendor's own benchmark_model measured of the same model (docs/guides/vendor-benchmark.md)."""

    #: its mean, its first inference, and everything that it told
    vendor_latency_ns: int | None = None
    vendor_first_invoke_ns: int | None = None
    vendor_benchmark: dict[str, Any] | None = None


@dataclass(kw_only=True)
class Mlperf(Section):
    """What MLPerf Tiny's rules report, where a run was asked for it (docs/guides/mlperf-tiny.md)."""

    #: {"model", "task", "loops": [{"inferences", "elapsed_ns"}], "latency_ns", "inferences_per_s", "top1", "auc"}
    mlperf: dict[str, Any] | None = None


@dataclass(kw_only=True)
class Conditions(Section):
    """Under what conditions the times were taken."""

    threads: int | None = None
    affinity: list[int] | None = None
    #: which kernels of its runtime the backend asks for; None for records from before it was kept
    kernels: Kernels | None = None
    worker_start: WorkerStart | None = None
    quality: Quality | None = None
    #: of processors' time, over all starts: what other processes had, what a hypervisor took; and how long the timed process was
    #: ready and had no processor, as a share of the timing
    other_cpu_share: float | None = None
    steal_share: float | None = None
    wait_share: float | None = None
    #: involuntary context switches while timing
    preempted: int | None = None
    #: how much longer an invoke took at the end of a start than at its beginning, of the start that drifted most
    drift: float | None = None
    sensors: SensorSource | None = None
    #: after the cell; and the lowest and highest of what was read while it was timed
    frequency_hz: int | None = None
    frequency_min_hz: int | None = None
    temperature_c: float | None = None
    temperature_before_c: float | None = None
    temperature_max_c: float | None = None
    governor: str | None = None
    #: how long timing waited for a cooler board, in seconds
    cooled_s: float | None = None


@dataclass(kw_only=True)
class Counts(Section):
    """Exact counts per inference, on microcontrollers: instructions of an emulated core, cycles of a real one.

    The count is of the first sample; least and most are over all that were counted, because kernels may branch on data.
    """

    instructions: int | None = None
    instructions_min: int | None = None
    instructions_max: int | None = None
    cycles: int | None = None
    cycles_min: int | None = None
    cycles_max: int | None = None
    counted_inferences: int | None = None
    #: of the costs per layer in `ops`, which an inference of their own gave: `instructions`, `cycles` or `ns`
    layer_unit: str | None = None
    #: what of an inference is no layer's: converting inputs and outputs at the model's edges, and the rest of the whole (calling
    #: the runtime; below 0 where the layers one by one took longer than all of them at once)
    layer_edges: int | None = None
    layer_rest: int | None = None


@dataclass(kw_only=True)
class Energy(Section):
    """Energy of one inference, as an instrument beside the board measured it."""

    #: the median over the windows that were measured, and its 95 % interval, in nanojoules: with what the board takes at rest in
    #: the same time, and without
    energy_nj: float | None = None
    energy_low_nj: float | None = None
    energy_high_nj: float | None = None
    energy_net_nj: float | None = None
    energy_net_low_nj: float | None = None
    energy_net_high_nj: float | None = None
    #: mean power at rest, in watts
    energy_rest_w: float | None = None
    #: what measured: model and serial number, and the rail. Figures of two instruments or rails are never compared
    energy_instrument: str | None = None
    energy_rail: str | None = None
    #: samples a second that it gave, and windows that were measured
    energy_rate_hz: float | None = None
    energy_windows: int | None = None


@dataclass(kw_only=True)
class Memory(Section):
    """What a cell takes of its board."""

    #: of a Linux board's worker: the most that it took on top of what it held before the model (Python, numpy, the runtime),
    #: and that. Without the second the first holds both: the record is of an agent that did not tell them apart.
    memory_peak_bytes: int | None = None
    memory_baseline_bytes: int | None = None
    #: of a microcontroller: what tensors take as planned, the stack's high-water mark, the model as it lies on the board, the
    #: firmware's code and constants
    arena_bytes: int | None = None
    stack_peak_bytes: int | None = None
    model_bytes: int | None = None
    code_bytes: int | None = None


@dataclass(kw_only=True)
class Placement(Section):
    """Where the nodes ran."""

    delegate_name: str | None = None
    delegated_nodes: int | None = None
    total_nodes: int | None = None
    partitions: int | None = None
    fallback: list[FallbackOp] = field(default_factory=list)
    #: one row per node of the model: {"node", "op", "ran_on", "inputs", "outputs"}, and {"vendor_ns"} where the vendor's
    #: benchmark timed the op; {"count", "share", "macs", "macs_per_count"} where the board told what each layer costs
    #: (`harness.results.layers`); after an offline compiler also its
    #: estimates {"cycles", "estimate_ns"}, and the nodes are those of the model before it was compiled
    ops: list[dict[str, Any]] = field(default_factory=list)


@dataclass(kw_only=True)
class Reference(Section):
    """How far the outputs are from the reference's, and the rule that decided."""

    #: identity of the reference the outputs were judged against, such as "float twin on ai-edge-litert 2.3.0"
    reference: str | None = None
    #: the rule that decided between ok and wrong, in words and with its bounds
    reference_rule: str | None = None
    reference_samples: int | None = None
    #: the numbers behind the verdict, one entry per output (harness/measure/figures.py: OutputFigures): error, bias, noise,
    #: quantization_error, spread, step, disagreement, own_disagreement, ...; of a model that ends in a choice those of the scores
    #: behind it first
    reference_figures: list[dict[str, Any]] | None = None
    #: the ops one by one, where they were asked: {"verdict", "right", "wrong": [{"node", "op", "reason", ...}], "not_checked"}
    op_check: dict[str, Any] | None = None
    #: whose outputs the next two are about: the reference kernels that some boards promise to equal; None where these say
    #: nothing of the model
    exact_reference: str | None = None
    #: largest difference in units of the output's quantization step; None for float outputs
    max_lsb_diff: float | None = None
    #: share of outputs that differ by more than one step
    mismatch_share: float | None = None
    #: share of samples with the reference's answer, where answers are classes
    agreement: float | None = None
    #: RMS difference over the reference's RMS
    nrmse: float | None = None


@dataclass(kw_only=True)
class Objects(Section):
    """SHA-256 names of stored arrays (harness/results/objects.py): what was measured, and what judging it again needs."""

    sample_ids_object: str | None = None
    outputs_object: str | None = None
    #: raw latency samples, int64 nanoseconds: `array` of the first start of the worker, `start_2` and so on of the others
    latency_object: str | None = None
    #: raw counts per inference, in the order of the samples
    counts_object: str | None = None
    #: labels of the evaluated samples, the float model's answers on them, the reference's outputs
    labels_object: str | None = None
    float_answers_object: str | None = None
    reference_object: str | None = None
    #: output tensors with their quantization, and what else judging knew of the model
    tensors_object: str | None = None
    #: the .tflite of `artifact_sha256`, uint8, of cells that ran
    artifact_object: str | None = None
    #: what the artifact was built by, JSON (harness/variants/definition.py): the recipe's definition, schedule and packages
    recipe_object: str | None = None
    #: what `harness explain` found of the cell last (harness/explain/document.py)
    explanation_object: str | None = None
    #: every other raw fact: placement, statistics, failures, what was predicted, what the cell ran on
    measurement_object: str | None = None


#: the sections by their names, in the order of the published fields
SECTIONS: dict[str, type[Section]] = {
    "model": Model,
    "score": Score,
    "latency": Latency,
    "vendor": Vendor,
    "mlperf": Mlperf,
    "conditions": Conditions,
    "counts": Counts,
    "energy": Energy,
    "memory": Memory,
    "placement": Placement,
    "reference": Reference,
    "objects": Objects,
}
