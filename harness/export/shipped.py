"""What of a measured cell ships: the model's file by its hash, what it ran with, samples with the device's outputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.boards.base import BackendSpec
from harness.core.errors import HarnessError, UserInputError
from harness.core.files import sha256_bytes
from harness.core.printable import one_line
from harness.core.tensor import TensorIo
from harness.judge.stored import NotKeptError, recall
from harness.prepare.samples import cached_samples
from harness.reports.answer.models import model_bytes
from harness.results.objects import ObjectStore
from harness.results.record import CellRecord
from harness.run.measurement import Measurement
from harness.tflite.graph import model_io, read_graph, read_tflite
from harness.tflite.state import keeps_state

#: samples with their outputs that go along, unless asked for otherwise
SAMPLES = 4
#: samples take at most so many bytes, as long as there is one
_SAMPLES_BYTES = 4 << 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """The first samples of the cell, and what the device answered.

    Attributes:
        inputs: one array per model input, [n, ...] in its dtype, without the batch axis.
        outputs: the same of the model's outputs.
        counts: int64 [n], instructions or cycles of each inference; None where nothing is counted.
    """

    inputs: tuple[np.ndarray, ...]
    outputs: tuple[np.ndarray, ...]
    counts: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.inputs[0]) if self.inputs else 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Shipped:
    """All that an export is made of.

    Attributes:
        record: the measured cell.
        tflite: the file that was measured, to the byte.
        inputs, outputs: of the model, open dimensions as 1.
        backend: what it ran with.
        samples: None where none go along.
        keeps_state: the model carries something from one inference to the next: every sample begins anew.
        despite: what speaks against shipping, where it was asked for anyway.
    """

    record: CellRecord
    tflite: bytes
    inputs: tuple[TensorIo, ...]
    outputs: tuple[TensorIo, ...]
    backend: BackendSpec
    samples: Samples | None
    keeps_state: bool
    despite: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Of the .tflite."""
        return sha256_bytes(self.tflite)

    @property
    def runtime(self) -> str:
        """What it ran on, such as `ai-edge-litert 2.3.0`."""
        return self.record.fingerprint.runtime if self.record.fingerprint is not None else ""


def ship(
    record: CellRecord, objects: ObjectStore, *, samples: int = SAMPLES, anyway: bool = False, model: Path | None = None
) -> Shipped:
    """What of a cell ships.

    Args:
        samples: so many of its first samples go along, fewer where they are large; 0: none.
        anyway: also of a cell that is not `ok`; what speaks against it is then in `despite`.
        model: the model's file, for a cell whose file was not kept; its hash must be the measured one's.

    Raises:
        UserInputError: the cell is not `ok`; another file than the one that was measured; nothing ran.
        HarnessError: the file, the raw facts or the samples are gone.
    """
    name = record.key.text_with_seed
    despite = _against(record)
    if not record.ran:
        raise UserInputError(
            f"nothing ran: the cell is {record.outcome}"
            + (f" ({one_line(record.reason, 200)})" if record.reason else ""),
            where=name,
            hint="export a cell whose model ran on the device",
        )
    if despite and not anyway:
        raise UserInputError(
            "; ".join(despite),
            where=name,
            hint="export another cell, or give --anyway, which writes this into the README",
        )
    data = _file(record, objects, model)
    graph = read_graph(data)
    inputs, outputs = model_io(graph)
    state = keeps_state(graph)
    measurement, backend, files = _facts(record, objects)
    rows = None
    if samples > 0:
        rows = _samples(record, measurement, files, 1 if state else samples)
    return Shipped(
        record=record,
        tflite=data,
        inputs=tuple(_fixed(io) for io in inputs),
        outputs=tuple(_fixed(io) for io in outputs),
        backend=backend,
        samples=rows,
        keeps_state=state,
        despite=despite,
    )


def _fixed(io: TensorIo) -> TensorIo:
    from dataclasses import replace

    return replace(io, shape=tuple(max(1, size) for size in io.shape))


def _against(record: CellRecord) -> tuple[str, ...]:
    """Why a cell should not ship, a sentence each."""
    found = []
    if record.outcome != "ok":
        reason = f": {one_line(record.reason, 300)}" if record.reason else ""
        found.append(f"the cell's outcome is {record.outcome}, not ok{reason}")
    return tuple(found)


def _file(record: CellRecord, objects: ObjectStore, given: Path | None) -> bytes:
    """The measured .tflite.

    Raises:
        HarnessError: it was not kept, or what is there is another one.
    """
    name = record.key.text_with_seed
    if given is not None:
        data = read_tflite(given.expanduser())
        if sha256_bytes(data) != record.artifact_sha256:
            raise UserInputError(
                f"is not the file that was measured: its SHA-256 is {sha256_bytes(data)[:12]}, the cell's "
                f"{(record.artifact_sha256 or 'unknown')[:12]}",
                where=str(given),
                hint=f"measure this file, or leave --model out ({name})",
            )
        return data
    if record.artifact_object is None:
        raise HarnessError(
            f"the model's file was not kept (its SHA-256 is {record.artifact_sha256})"
            if record.artifact_sha256
            else "the model's file was not kept",
            where=name,
            hint="give the file with --model, or run the cell again",
        )
    return model_bytes(record, objects)


def _facts(record: CellRecord, objects: ObjectStore) -> tuple[Measurement, BackendSpec, tuple[str, ...]]:
    """The raw facts, the backend, and the hashes of the samples' files.

    Raises:
        HarnessError: they are gone.
    """
    try:
        grounds = recall(record, objects)
    except NotKeptError as error:
        raise HarnessError(error.what, where=record.key.text_with_seed, hint="run the cell again") from error
    return grounds.measurement, grounds.context.backend, tuple(file.sha256 for file in grounds.model.inputs)


def _samples(record: CellRecord, measurement: Measurement, files: tuple[str, ...], wanted: int) -> Samples:
    """The first samples and their outputs.

    Raises:
        HarnessError: there are none, or the samples are gone.
    """
    name, evaluated = record.key.text_with_seed, measurement.evaluated
    if evaluated is None or not files:
        raise HarnessError(
            "the cell has no outputs", where=name, hint="give --samples 0 to export it without a self-test"
        )
    arrays = []
    for sha256 in files:
        path = cached_samples(sha256)
        if path is None:
            raise HarnessError(
                "the samples that it was measured with are not in the cache of this machine any more",
                where=name,
                hint="run the cell again, which makes them anew, or give --samples 0 to export it without a self-test",
            )
        arrays.append(np.load(path, mmap_mode="r", allow_pickle=False))
    row_bytes = sum(array[0].nbytes for array in (*arrays, *evaluated.outputs))
    count = min(
        wanted, len(evaluated.outputs[0]), *(len(a) for a in arrays), max(1, _SAMPLES_BYTES // max(1, row_bytes))
    )
    counts = evaluated.counts.values[:count] if evaluated.counts is not None else None
    return Samples(
        inputs=tuple(np.ascontiguousarray(array[:count]) for array in arrays),
        outputs=tuple(np.ascontiguousarray(array[:count]) for array in evaluated.outputs),
        counts=None if counts is None else np.asarray(counts, dtype=np.int64),
    )
