"""Every field of a cell in the published JSON and in the Cells table: its type, what it means, how it is got.

One table of data behind schema.json, docs/reference/json-schema.md and the workbook's About sheet, so that they cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "text",
    "count",
    "ns",
    "bytes",
    "hz",
    "share",
    "number",
    "sha256",
    "outcome",
    "time_basis",
    "direction",
    "worker_start",
    "kernels",
    "quality",
    "sensors",
    "integers",
    "fingerprint",
    "fallback",
    "ops",
    "compiled",
    "prediction",
    "settings",
    "findings",
    "vendor",
    "figures",
    "op_check",
    "output_scores",
    "mlperf",
]


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field. `null` says when it does not apply; empty for a field that is always there."""

    name: str
    kind: Kind
    meaning: str
    null: str = ""


def _field(name: str, kind: Kind, meaning: str, null: str = "") -> Field:
    return Field(name=name, kind=kind, meaning=meaning, null=null)


_NOT_RUN = "the cell did not get that far"
_NOT_LOOKED = "the board does not tell, the record was made before anybody looked, or " + _NOT_RUN
_NO_CACHE = (
    "the backend's delegate keeps no graph cache (`{cache_dir}` in its profile), a finding says why, or " + _NOT_RUN
)
_NO_LAYERS = "the board does not tell what each layer costs"
_NO_METER = "no instrument measured beside the board, or " + _NOT_RUN
_NO_VENDOR = "the board has no such program, it cannot run this backend, or " + _NOT_RUN
_NO_LABELS = "there are no labels, or " + _NOT_RUN
_NO_METRIC = "the workload has no metric or no labels, or the record was made before metrics had names"
_NO_CLASSES = "the metric is not of classification, or " + _NO_LABELS
_NO_FLOAT = "there is no float model to compare with, or " + _NO_LABELS
_NO_RULES = "the cell did not get that far, or was measured before this was kept"
_NO_REFERENCE = "no reference was compared with"
_NO_EXACT = "these kernels are not known to be right for the model, it is no integer model, or " + _NO_REFERENCE
_BOARD = "the board does not tell"
_NO_COUNT = "the board tells a time instead, or " + _NOT_RUN
_NO_CYCLES = "the board counts no cycles, or " + _NOT_RUN
_NO_MCU = "not a microcontroller, or " + _NOT_RUN

FIELDS: tuple[Field, ...] = (
    _field("run", "text", "The run the cell belongs to.", "the document describes no run (audit, build)"),
    _field("workload", "text", "The trained model with its dataset and metric.", "an audited file belongs to none"),
    _field("recipe", "text", "How it is quantized: training and conversion.", "an audited file has none"),
    _field("device", "text", "The device profile's name.", "nothing ran (audit, build)"),
    _field("backend", "text", "Where on the device ops were to run.", "nothing ran (audit, build)"),
    _field("dataset", "text", "SHA-256 digest of the dataset; part of the cell's identity.", "no dataset was used"),
    _field("dataset_name", "text", "The dataset's name.", "no dataset was used"),
    _field("dataset_note", "text", "What the dataset is and where it came from.", "no dataset was used"),
    _field("seed", "count", "Seed of the training.", "not trained by the harness"),
    _field("samples", "count", "Test samples evaluated on the device.", _NOT_RUN),
    _field(
        "outcome",
        "outcome",
        "ok; unsupported (see reason); wrong (ran, but its outputs are not the reference's); undecided (ran, but its "
        "outputs cannot tell right from wrong); estimated (nothing ran); failed (board or link, not the model).",
    ),
    _field("reason", "text", "Why the outcome is not ok.", "the outcome is ok"),
    _field(
        "time_basis",
        "time_basis",
        "What every time or count in the row is: the device's own clock, its core's "
        "cycles, counted guest instructions, an emulator's time on its host, or an estimate. Different bases are not "
        "comparable.",
        _NOT_RUN,
    ),
    _field("metric", "text", "What the answers are judged by: the metric's name.", _NO_METRIC),
    _field("metric_title", "text", "What tables call its score.", _NO_METRIC + ", or before titles were kept"),
    _field("metric_unit", "text", "The unit of score.", "the score has none, or " + _NO_METRIC),
    _field("metric_direction", "direction", "Which way score gets better.", _NO_METRIC),
    _field("metric_settings", "settings", "The metric's settings by name.", _NO_METRIC + ", or before they were kept"),
    _field("score", "number", "The metric's figure over the evaluated samples, on the device.", _NO_LABELS),
    _field("score_low", "number", "Lower end of its 95 % interval.", _NO_LABELS),
    _field("score_high", "number", "Upper end of its 95 % interval.", _NO_LABELS),
    _field("score_delta", "number", "Score minus the float model's on the same samples.", _NO_FLOAT),
    _field("score_p", "share", "Paired test of that difference (two-sided p).", _NO_FLOAT),
    _field("score_test", "text", "The paired test's name.", _NO_FLOAT),
    _field("score_baseline", "text", "The runtime that ran the float model.", _NO_FLOAT),
    _field("accuracy", "share", "Share of samples answered rightly, on the device.", _NO_CLASSES),
    _field("accuracy_low", "share", "Lower end of the 95 % Wilson interval.", _NO_CLASSES),
    _field("accuracy_high", "share", "Upper end of the 95 % Wilson interval.", _NO_CLASSES),
    _field(
        "accuracy_delta",
        "number",
        "Accuracy minus that of the LiteRT float32 model on the same samples.",
        "there is no float model to compare with, or " + _NO_CLASSES,
    ),
    _field("mcnemar_p", "share", "Exact McNemar test of that difference (two-sided p).", "as accuracy_delta"),
    _field("only_float_right", "count", "Samples that only the float model got right.", "as accuracy_delta"),
    _field("only_cell_right", "count", "Samples that only this cell got right.", "as accuracy_delta"),
    _field("score_output", "text", "The output that the score is of.", "the model has one output, or " + _NO_LABELS),
    _field(
        "output_scores",
        "output_scores",
        "The score of each judged output: its name, and the fields above from metric to only_cell_right.",
        "one output is judged at most",
    ),
    _field(
        "model_sha256",
        "sha256",
        "The model that the recipes start from: the user's own file (a SavedModel folder: names and contents), or the "
        "key of a published workload's float training (architecture, data, schedule, seed, packages).",
        "it could not be told, or the record was made before it was kept",
    ),
    _field("artifact_sha256", "sha256", "The .tflite file that ran.", "it could not be built"),
    _field("size_bytes", "bytes", "Size of the .tflite file.", "it could not be built"),
    _field("input_dtype", "text", "The model's first input.", "it could not be built"),
    _field("output_dtype", "text", "The model's first output.", "it could not be built"),
    _field("load_ns", "ns", "Interpreter creation, delegate and allocation.", _NOT_RUN),
    _field(
        "first_invoke_ns",
        "ns",
        "The first invoke, in which an NPU compiles its graph; cold: the delegate's graph cache is empty.",
        _NOT_RUN,
    ),
    _field(
        "load_cached_ns",
        "ns",
        "As load_ns, in a fresh worker that finds the graph cache as the first one left it.",
        _NO_CACHE,
    ),
    _field(
        "first_invoke_cached_ns",
        "ns",
        "The first invoke of that worker: the compiled graph comes from the cache.",
        _NO_CACHE,
    ),
    _field(
        "latency_median_ns",
        "ns",
        "Median of the steady samples, invoke alone, after warm-up; of several starts, the median of their medians.",
        _NOT_RUN,
    ),
    _field(
        "latency_median_low_ns",
        "ns",
        "Lower end of its 95 % interval, which carries what starts differ by (measuring.md).",
        _NOT_RUN,
    ),
    _field("latency_median_high_ns", "ns", "Upper end of that interval.", _NOT_RUN),
    _field("latency_p90_ns", "ns", "90th percentile of the steady samples.", _NOT_RUN),
    _field("latency_p99_ns", "ns", "99th percentile of the steady samples.", _NOT_RUN),
    _field("latency_samples", "count", "Number of steady samples.", _NOT_RUN),
    _field("latency_starts", "count", "Starts of the worker that were timed.", _NO_RULES),
    _field("latency_start_medians_ns", "integers", "The median of each of those starts, in their order.", _NO_RULES),
    _field(
        "worker_start",
        "worker_start",
        "How the worker came to be: forked from a server that had imported the runtime, or started from nothing.",
        "the board has no such difference, or " + _NO_RULES,
    ),
    _field(
        "quality",
        "quality",
        "What the board was like while it was timed: quiet, noisy (other work, a clock that moved, drift) or throttled.",
        _NOT_LOOKED,
    ),
    _field(
        "other_cpu_share",
        "number",
        "Processor time that other processes had while timing, as a share of all processors'.",
        _NOT_LOOKED,
    ),
    _field("steal_share", "number", "What a hypervisor took of it, as a share.", _NOT_LOOKED),
    _field(
        "wait_share",
        "number",
        "How long the timed process was ready and had no processor, as a share of the timing (of several threads the sum).",
        _NOT_LOOKED,
    ),
    _field("preempted", "count", "Involuntary context switches of the timed process while timing.", _NOT_LOOKED),
    _field(
        "drift",
        "number",
        "How much longer an invoke took at the end of a start than at its beginning, as a share, of the start that drifted "
        "most; 0 where there is no trend.",
        "there are too few samples, or " + _NOT_LOOKED,
    ),
    _field(
        "sensors",
        "sensors",
        "Whose clock, temperature and throttling were read: the board's own, or simulated ones (`sensors` in the profile).",
        _NOT_LOOKED,
    ),
    _field("instructions", "count", "Instructions per inference, exact: of the first sample.", _NO_COUNT),
    _field(
        "instructions_min", "count", "The fewest of all inferences counted (kernels may branch on data).", _NO_COUNT
    ),
    _field("instructions_max", "count", "The most of all inferences counted.", _NO_COUNT),
    _field("cycles", "count", "Cycles of the core per inference: median over repeats of the first sample.", _NO_CYCLES),
    _field("cycles_min", "count", "The fewest of all inferences counted.", _NO_CYCLES),
    _field("cycles_max", "count", "The most of all inferences counted.", _NO_CYCLES),
    _field("counted_inferences", "count", "Inferences whose instructions or cycles were counted.", _NO_COUNT),
    _field("layer_unit", "text", "What `count` in `ops` is: instructions, cycles or ns.", _NO_LAYERS),
    _field(
        "layer_edges",
        "count",
        "What converting inputs and outputs at the model's edges takes of the whole.",
        _NO_LAYERS,
    ),
    _field(
        "layer_rest",
        "number",
        "What is left of the whole beside layers and edges: calling the runtime. Below 0 where the layers one by one took "
        "longer than all at once, as caches allow on real boards.",
        _NO_LAYERS,
    ),
    _field(
        "energy_nj", "number", "Energy of one inference in nanojoules, the median of the windows measured.", _NO_METER
    ),
    _field("energy_low_nj", "number", "Lower end of its 95 % interval.", _NO_METER),
    _field("energy_high_nj", "number", "Upper end of its 95 % interval.", _NO_METER),
    _field("energy_net_nj", "number", "The same without what the board takes at rest in that time.", _NO_METER),
    _field("energy_net_low_nj", "number", "Lower end of its 95 % interval.", _NO_METER),
    _field("energy_net_high_nj", "number", "Upper end of its 95 % interval.", _NO_METER),
    _field("energy_rest_w", "number", "Mean power at rest, before the loops, in watts.", _NO_METER),
    _field(
        "energy_instrument",
        "text",
        "What measured it: model and serial number, and the rail; figures of two of them are never compared.",
        _NO_METER,
    ),
    _field("energy_rail", "text", "Which supply was measured.", _NO_METER),
    _field("energy_rate_hz", "number", "Samples a second that the instrument gave.", _NO_METER),
    _field("energy_windows", "count", "Loops that were measured.", _NO_METER),
    _field("arena_bytes", "bytes", "Memory for tensors on a microcontroller, planned or as its runtime says.", _NO_MCU),
    _field("stack_peak_bytes", "bytes", "The most stack that the firmware has used since it started.", _NO_MCU),
    _field("model_bytes", "bytes", "The model as it lies on a microcontroller (a plan, or the .tflite).", _NO_MCU),
    _field(
        "code_bytes", "bytes", "The firmware's code, constants and initialised data: flash without the model.", _NO_MCU
    ),
    _field(
        "vendor_latency_ns", "ns", "Mean of the vendor's own benchmark_model on the same board and backend.", _NO_VENDOR
    ),
    _field("vendor_first_invoke_ns", "ns", "Its first inference.", _NO_VENDOR),
    _field("vendor_benchmark", "vendor", "All that it told: program, arguments, figures, time per op.", _NO_VENDOR),
    _field(
        "mlperf",
        "mlperf",
        "What MLPerf Tiny's rules report: task, five loops of at least 10 s, their median, top-1 and AUC.",
        "the run was not asked for it (`--mlperf`), or a finding says why not",
    ),
    _field(
        "memory_peak_bytes",
        "bytes",
        "The most resident memory that the worker process took on top of memory_baseline_bytes: what model and delegate "
        "take. Where that is null, Python, numpy and the runtime are counted too.",
        _BOARD,
    ),
    _field(
        "memory_baseline_bytes",
        "bytes",
        "What the worker held before the model: Python, numpy and the runtime. A process of one's own needs the sum.",
        "the record was made before it was kept, or " + _BOARD,
    ),
    _field("threads", "count", "Interpreter threads.", "the runtime has none to set"),
    _field(
        "kernels",
        "kernels",
        "Which kernels of its runtime the backend asks for: the reference ones, those it takes by itself, or these without "
        "its default delegate.",
        "the record was made before it was kept",
    ),
    _field("affinity", "integers", "CPU numbers the worker was bound to.", "it was not bound"),
    _field("governor", "text", "CPU frequency governor.", _BOARD),
    _field("frequency_hz", "hz", "CPU frequency, at the end of the cell.", _BOARD),
    _field("frequency_min_hz", "hz", "The lowest that was read before, during and after timing.", _BOARD),
    _field("temperature_c", "number", "Temperature in degrees Celsius, at the end of the cell.", _BOARD),
    _field("temperature_before_c", "number", "The same before the first start was timed.", _BOARD),
    _field("temperature_max_c", "number", "The highest that was read before, during and after timing.", _BOARD),
    _field(
        "cooled_s",
        "number",
        "How long timing waited for the board to cool, in seconds (`wait` in the profile).",
        "the profile asks for no such wait, or " + _NOT_RUN,
    ),
    _field("delegate_name", "text", "The delegate that was there.", "none was there"),
    _field("delegated_nodes", "count", "Nodes the delegate took.", "the runtime does not tell"),
    _field("total_nodes", "count", "Nodes of the model.", "the runtime does not tell"),
    _field("partitions", "count", "Parts into which the delegated nodes fell.", "the runtime does not tell"),
    _field(
        "fallback",
        "fallback",
        "Nodes the delegate did not take: node, op, the reason where it is known, and whether "
        "the coverage table had predicted it.",
    ),
    _field(
        "ops", "ops", "One entry per node: node, op, where it ran, its tensors, what it costs where the board tells."
    ),
    _field(
        "compiled",
        "compiled",
        "What an offline compiler made of the model before it travelled: compiler, options, the "
        "original file, estimates.",
        "the model ran as it was built",
    ),
    _field(
        "prediction",
        "prediction",
        "What was expected before the push: whether the runtime loads it and computes it "
        "rightly, whether it fits, what the delegate takes, and why not.",
        "it could not be built, or it failed",
    ),
    _field("reference", "text", "Identity of the reference the outputs were judged against.", _NO_REFERENCE),
    _field("reference_rule", "text", "The rule between ok and wrong, with its bounds.", _NO_REFERENCE),
    _field("reference_samples", "count", "Samples compared with the reference.", _NO_REFERENCE),
    _field(
        "reference_figures",
        "figures",
        "The numbers behind the verdict, per output: error, bias, noise, quantization_error, spread, step, disagreement.",
        _NO_REFERENCE,
    ),
    _field(
        "op_check",
        "op_check",
        "The ops one by one: how many are right, which are wrong and by how much, which were not checked.",
        "the outputs gave no reason to ask, or the board could not be asked",
    ),
    _field(
        "exact_reference",
        "text",
        "The reference kernels that max_lsb_diff and mismatch_share compare with.",
        _NO_EXACT,
    ),
    _field("max_lsb_diff", "number", "Largest difference to their outputs in quantization steps.", _NO_EXACT),
    _field("mismatch_share", "share", "Share of outputs that are more than one step off theirs.", _NO_EXACT),
    _field(
        "agreement",
        "share",
        "Share of samples with the reference's answer, where answers are classes.",
        "answers are no classes, or " + _NO_REFERENCE,
    ),
    _field("nrmse", "number", "RMS output difference over the reference's RMS.", _NO_REFERENCE),
    _field(
        "rules_version",
        "count",
        "Version of the rules that judged the cell.",
        "the cell was measured before rules had versions",
    ),
    _field("revision", "count", "0 as measured; one more each time that the stored objects were judged again."),
    _field("started_utc", "text", "When the cell started.", "it never started"),
    _field("duration_ns", "ns", "How long the whole cell took, upload included.", _NOT_RUN),
    _field("attempts", "count", "How often it was tried."),
    _field(
        "fingerprint",
        "fingerprint",
        "What the cell ran on: runtime, delegate, kernel, board. A changed fingerprint starts a new epoch.",
        "the device was never reached",
    ),
    _field("sample_ids_object", "sha256", "Stored ids of the evaluated samples (results/objects).", _NOT_RUN),
    _field("outputs_object", "sha256", "Stored raw outputs (results/objects).", _NOT_RUN),
    _field("latency_object", "sha256", "Stored raw latency samples of every start (results/objects).", _NOT_RUN),
    _field("counts_object", "sha256", "Stored raw counts per evaluated sample (results/objects).", _NO_COUNT),
    _field(
        "labels_object", "sha256", "Stored labels of the evaluated samples.", "there are no labels, or " + _NO_RULES
    ),
    _field(
        "float_answers_object",
        "sha256",
        "Stored answers of the float model on them.",
        "no float model, or " + _NO_RULES,
    ),
    _field("reference_object", "sha256", "Stored outputs of the reference.", "no reference, or " + _NO_RULES),
    _field(
        "tensors_object",
        "sha256",
        "Stored description of the model: its tensors with their quantization, and what else judging knew of it.",
        _NO_RULES,
    ),
    _field("artifact_object", "sha256", "Stored .tflite of artifact_sha256.", "nothing ran, or " + _NO_RULES),
    _field(
        "explanation_object",
        "sha256",
        "Stored explanation of `harness explain` (docs/guides/explain.md).",
        "nobody asked for one, or the cell was measured before there were any",
    ),
    _field(
        "recipe_object",
        "sha256",
        "Stored definition of what built it: the recipe with its settings, its schedule, versions of packages.",
        "it was not built here",
    ),
    _field(
        "measurement_object",
        "sha256",
        "Every other raw fact, stored: placement, statistics, failures, what was predicted, what the cell ran on.",
        _NO_RULES,
    ),
    _field("board_log", "text", "Last lines that the worker printed on the board.", "it printed nothing"),
    _field("findings", "findings", "What a reader should know: code, severity, where, what, fix."),
)

NAMES: tuple[str, ...] = tuple(field.name for field in FIELDS)
