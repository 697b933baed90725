"""A realistic run in records: every outcome, four devices, two time bases, delegates with fallback, seeds, findings.

Figures follow what such models gave on real runtimes; nothing here is measured by the harness.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.results.objects import ObjectStore
from harness.results.record import CellKey, CellRecord, FallbackOp, Finding, Fingerprint, RunInfo
from harness.results.store import Store

RUN = "20261121-093000-a1b2"
DIGITS_NOTE = (
    "scikit-learn's bundled handwritten digits (1,797 images of 8x8), upscaled to 28x28; this is not MNIST, and its "
    "accuracies are not comparable with published MNIST figures"
)
REFERENCE = "tflite-runtime 2.14.0 BUILTIN_REF"
RULE = "integer outputs: at least 99 % within 1 quantization step of the reference, on 256 stratified samples"

#: recipe -> (size in bytes, accuracy, microseconds on the host CPU)
MNIST = {
    "ptq-float32": (83_904, 0.9601, 18.2),
    "ptq-default": (23_256, 0.9602, 14.1),
    "ptq-default-pt": (23_264, 0.9589, 13.9),
    "ptq-float16": (43_768, 0.9601, 18.4),
    "ptq-int8-io": (23_560, 0.9577, 5.94),
    "ptq-int16x8": (24_296, 0.9600, 61.0),
    "ptq-aeq-dyn8": (23_640, 0.9588, 14.6),
    "ft-float32": (83_904, 0.9614, 18.1),
    "qat-int8-io": (23_640, 0.9613, 6.02),
    "qat-dense-default": (84_560, 0.9611, 18.0),
    "qat-q[allvalues-pc]-int8-io": (23_700, 0.9605, 6.05),
}
SENSOR = {"ptq-float32": (32_100, 0.981, 210.0), "ptq-int8-io": (12_480, 0.979, 58.3)}

HOST = Fingerprint(
    runtime="ai_edge_litert 2.3.0",
    python="3.11.2",
    kernel="6.1.0-31-amd64",
    machine="x86_64",
    cpu_model="Intel(R) Xeon(R) Platinum",
    cpu_count=2,
    agent_sha256="ab" * 32,
    harness_version="0.1.0",
)
OLD = replace(HOST, runtime="tflite_runtime 2.14.0")
IMX = Fingerprint(
    runtime="tflite_runtime 2.16.2",
    delegate="/usr/lib/libvx_delegate.so",
    python="3.12.4",
    kernel="6.6.36-lts-next",
    machine="aarch64",
    cpu_model="ARM Cortex-A53",
    cpu_count=4,
    board_model="NXP i.MX8MPlus EVK board",
    bsp="NXP 6.6-scarthgap",
    governor="performance",
    agent_sha256="ab" * 32,
    harness_version="0.1.0",
)
TWIN = replace(
    IMX, cpu_model="QEMU Cortex-A53", delegate="integer-npu stand-in", governor=None, bsp="Debian 12 in QEMU 7.2"
)

#: (device, backend) -> fingerprint, time basis, factor on the host's time, delegate, share of nodes it takes, threads
COLUMNS = {
    ("host-litert", "cpu-ref"): (HOST, "device", 9.0, None, 0, 1),
    ("host-litert", "cpu"): (HOST, "device", 1.0, "XNNPACK", 6, 1),
    ("host-tflite", "cpu"): (OLD, "device", 4.1, None, 0, 1),
    ("imx8mp", "npu"): (IMX, "device", 61.0, "vx", 5, 4),
    ("imx8mp@qemu", "npu"): (TWIN, "host-emulated", 160.0, "npu-standin", 5, 4),
}
DENSE_TRAP = Finding(
    code="float-op-in-integer-recipe",
    severity="error",
    where="node 4 FULLY_CONNECTED",
    what="The recipe promises integer arithmetic, but FULLY_CONNECTED runs in float: its input carries no quantizer.",
    fix="Convert with a representative dataset (qat-dense-int8).",
)
SEPARATE_RELU = Finding(
    code="wrapped-without-weight-quantizer",
    severity="warning",
    where="conv2d",
    what="conv2d is followed by a separate ReLU, so QAT trains it without a weight quantizer.",
    fix="Put activation='relu' inside the layer.",
)


def make_key(workload: str, recipe: str, device: str, backend: str, seed: int = 0) -> CellKey:
    return CellKey(workload=workload, recipe=recipe, device=device, backend=backend, dataset="d1" * 32, seed=seed)


def ok_record(key: CellKey, figures: tuple[int, float, float], *, shift: float = 0.0) -> CellRecord:
    """A finished cell on one of COLUMNS with everything a board tells."""
    size, accuracy, host_us = figures
    fingerprint, basis, factor, delegate, taken, threads = COLUMNS[(key.device, key.backend)]
    accuracy += shift
    median = round(host_us * factor * 1000)
    names = ["RESHAPE", "CONV_2D", "MAX_POOL_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"]
    ran_on = [(delegate or "cpu").lower() if i < taken else "cpu" for i in range(6)]
    on_npu = key.backend == "npu"
    fallback = [
        FallbackOp(node=5, op="SOFTMAX", reason="output scale is not 1/256" if key.device == "imx8mp" else None)
    ]
    integer = key.recipe.endswith("-io")
    return CellRecord(
        key=key,
        run=RUN,
        outcome="ok",
        started_utc="2026-11-21T09:31:00+00:00",
        duration_ns=2_400_000_000,
        time_basis=basis,
        fingerprint=fingerprint,
        dataset_name="digits-28x28",
        dataset_note=DIGITS_NOTE,
        samples=360,
        artifact_sha256=f"{size:064x}",
        size_bytes=size,
        input_dtype="int8" if integer else "float32",
        output_dtype="int8" if integer else "float32",
        accuracy=accuracy,
        accuracy_low=accuracy - 0.021,
        accuracy_high=min(1.0, accuracy + 0.016),
        accuracy_delta=round(accuracy - 0.9601, 4),
        mcnemar_p=0.625,
        only_float_right=3,
        only_cell_right=1,
        load_ns=1_900_000,
        first_invoke_ns=4_200_000_000 if key.device == "imx8mp" else 88_000,
        latency_median_ns=median,
        latency_median_low_ns=median - 40,
        latency_median_high_ns=median + 55,
        latency_p90_ns=round(median * 1.08),
        latency_p99_ns=round(median * 1.31),
        latency_samples=1200,
        memory_peak_bytes=61_000_000,
        threads=threads,
        affinity=[0, 1, 2, 3] if on_npu else None,
        frequency_hz=1_800_000_000 if key.device == "imx8mp" else None,
        temperature_c=52.5 if key.device == "imx8mp" else None,
        governor=fingerprint.governor,
        delegate_name=delegate,
        delegated_nodes=taken if delegate else None,
        total_nodes=6,
        partitions=1 if taken else None,
        fallback=fallback if on_npu else [],
        ops=[
            {
                "node": i,
                "op": name,
                "ran_on": ran_on[i],
                "partition": 0 if i < taken else None,
                "inputs": [i],
                "outputs": [i + 1],
            }
            for i, name in enumerate(names)
        ],
        reference=REFERENCE,
        reference_rule=RULE,
        reference_samples=256,
        max_lsb_diff=1.0 if integer else None,
        mismatch_share=0.0 if integer else None,
        agreement=1.0,
        nrmse=0.0004,
        sample_ids_object="1" * 64,
        outputs_object="2" * 64,
        board_log="INFO: Created TensorFlow Lite delegate.\n",
    )


def _bare(record: CellRecord, outcome: str, reason: str) -> CellRecord:
    """The cell as it is when nothing was measured."""
    return CellRecord(
        key=record.key,
        run=RUN,
        outcome=outcome,
        reason=reason,
        started_utc=record.started_utc,
        time_basis=record.time_basis,
        fingerprint=record.fingerprint,
        dataset_name=record.dataset_name,
        dataset_note=record.dataset_note,
        artifact_sha256=record.artifact_sha256,
        size_bytes=record.size_bytes,
        threads=record.threads,
        total_nodes=6,
    )


def _wrong(record: CellRecord) -> CellRecord:
    return replace(
        record,
        outcome="wrong",
        accuracy=0.1135,
        accuracy_low=0.0845,
        accuracy_high=0.1504,
        accuracy_delta=-0.8466,
        agreement=0.109,
        nrmse=1.31,
        mcnemar_p=0.0,
        only_float_right=306,
        only_cell_right=2,
        reason=f"nrmse 1.31 is above 0.05 and agreement 0.109 below 0.97; reference {REFERENCE}",
    )


def make_records(*, with_twin: bool = False) -> list[CellRecord]:
    """The run's cells, in the order in which they ended. One planned cell has no record; see `make_info`."""
    records = []
    for device, backend in COLUMNS:
        if device == "imx8mp@qemu" and not with_twin:
            continue
        for recipe, figures in MNIST.items():
            record = ok_record(make_key("mnist-cnn", recipe, device, backend), figures)
            if recipe == "qat-dense-default":
                record.findings.append(DENSE_TRAP)
            records.append(_special(record))
    for device, backend in (("host-litert", "cpu"), ("host-tflite", "cpu")):
        for recipe, figures in SENSOR.items():
            record = ok_record(make_key("sensor-cnn", recipe, device, backend), figures)
            record.findings.append(SEPARATE_RELU)
            records.append(record)
    for seed, shift in ((1, 0.0033), (2, 0.0013), (3, -0.0019)):
        key = make_key("mnist-cnn", "qat-int8-io", "host-litert", "cpu", seed)
        records.append(ok_record(key, MNIST["qat-int8-io"], shift=shift))
    return [r for r in records if r.key != NOT_RUN_KEY]


#: planned, never reached
NOT_RUN_KEY = make_key("mnist-cnn", "ptq-aeq-dyn8", "imx8mp", "npu")


def _special(record: CellRecord) -> CellRecord:
    """The cells that do not end well."""
    key = record.key
    if key.device == "host-tflite" and key.recipe == "ptq-default":
        return _bare(record, "unsupported", "load: Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'.")
    if key.device == "host-tflite" and key.recipe == "ptq-aeq-dyn8":
        return _wrong(record)
    if key.backend == "npu" and key.recipe == "ptq-int16x8":
        return _bare(record, "unsupported", "load: vx: 16-bit activations with 8-bit weights are refused (CONV_2D)")
    if key.device == "imx8mp" and key.recipe == "ft-float32":
        return replace(_bare(record, "failed", "evaluate: the connection to imx8mp was lost"), attempts=2)
    return record


def make_info(records: list[CellRecord], *, state: str = "finished") -> RunInfo:
    """The run of these records, with one planned cell more than were run."""
    return RunInfo(
        run=RUN,
        started_utc="2026-11-21T09:30:00+00:00",
        finished_utc="2026-11-21T09:38:12.000Z",
        state=state,
        command=["harness", "run", "--device", "host-litert", "--seeds", "4"],
        planned=[*(r.key for r in records), NOT_RUN_KEY],
        environment={"harness": "0.1.0", "options": {"seeds": 4}},
    )


def raw_latency(record: CellRecord) -> np.ndarray:
    """Samples around the record's median, as a board would send them."""
    rng = np.random.default_rng(record.latency_median_ns)
    return (record.latency_median_ns * (1 + rng.exponential(0.03, 300))).astype(np.int64)


def fill_store(results: Path, records: list[CellRecord], info: RunInfo) -> Store:
    """A store with one run, its cells and their raw samples."""
    store, objects = Store.open(results), ObjectStore(results)
    store.begin_run(info)
    for record in records:
        if record.latency_median_ns is not None:
            record.latency_object = objects.put_array(raw_latency(record))
        store.add_cell(record)
    store.finish_run(info.run, info.state)
    return store


@pytest.fixture
def records() -> list[CellRecord]:
    return make_records()


@pytest.fixture(scope="session")
def filled_results(tmp_path_factory) -> Path:
    """A results folder with one run in its store, not exported; tests only read it."""
    results = tmp_path_factory.mktemp("filled-results")
    cells = make_records()
    fill_store(results, cells, make_info(cells)).close()
    return results


@pytest.fixture(scope="session")
def exported_results(tmp_path_factory) -> Path:
    """The same, with the twin and exported; tests only read it."""
    from harness.reports.export import export_run

    results = tmp_path_factory.mktemp("exported-results")
    cells = make_records(with_twin=True)
    with fill_store(results, cells, make_info(cells)) as store:
        export_run(store, RUN, results)
    return results


@contextlib.contextmanager
def read_only(folder: Path, mode: int = 0o555):
    """The folder with these permissions, seen as an ordinary user; root (in a container) would not be stopped by them."""
    folder.chmod(mode)
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if was_root:
            os.seteuid(0)
        folder.chmod(0o755)


@pytest.fixture
def open_folder():
    """A folder that other users can enter; pytest's own are closed to them."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)
