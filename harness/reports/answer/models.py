"""The picked model's own file: written beside a run's tables, from the objects that its cell was stored with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from harness.core.errors import HarnessError
from harness.core.files import write_bytes_atomic
from harness.reports.answer.answer import Answer
from harness.reports.values import file_name
from harness.results.faults import storage_faults
from harness.results.objects import SINGLE, ObjectStore
from harness.results.record import CellRecord

MODELS_NAME = "models"


def model_name(answer: Answer, beside: Sequence[Answer] = ()) -> str | None:
    """The name of the pick's file, such as `mnist-cnn__ptq-int8-io__host-litert__cpu.tflite`; None where there is no pick.

    Args:
        beside: the other answers of the report: two datasets of a workload need two names.
    """
    if answer.pick is None:
        return None
    key = answer.pick.record.key
    parts = [file_name(text) for text in (key.workload.removesuffix(".tflite"), key.recipe, key.device, key.backend)]
    if key.seed:
        parts.append(f"seed{key.seed}")
    if any(a is not answer and (a.workload, a.device) == (answer.workload, answer.device) for a in beside):
        parts.append(key.dataset[:6])
    return "__".join(parts) + ".tflite"


def model_bytes(record: CellRecord, objects: ObjectStore) -> bytes:
    """The .tflite that a cell measured, to the byte.

    Raises:
        HarnessError: it was not kept, its object is lost or damaged, or it is another file than the one that was measured.
    """
    if record.artifact_object is None:
        raise HarnessError(
            "the model's file was not kept",
            where=record.key.text_with_seed,
            hint="run the cell again with this harness",
        )
    data = objects.get_arrays(record.artifact_object)[SINGLE].tobytes()
    if hashlib.sha256(data).hexdigest() != record.artifact_sha256:
        raise HarnessError(
            "the stored model is not the one that was measured",
            where=record.key.text_with_seed,
            hint="run the cell again",
        )
    return data


def write_model(answer: Answer, objects: ObjectStore, place: Path) -> None:
    """Writes the pick's file.

    Raises:
        HarnessError: see `model_bytes`; or it cannot be written.
    """
    assert answer.pick is not None
    data = model_bytes(answer.pick.record, objects)
    with storage_faults(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        write_bytes_atomic(place, data)


def write_models(answers: Sequence[Answer], objects: ObjectStore, folder: Path) -> None:
    """Writes the file of every pick; `missing.txt` says of which there is none, and why."""
    missing = []
    for answer in answers:
        name = model_name(answer, answers)
        if name is None:
            continue
        try:
            write_model(answer, objects, folder / name)
        except HarnessError as error:
            missing.append(f"{name}: {error}")
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "missing.txt").write_text("\n".join(missing) + "\n", encoding="utf-8")


def model_path(answer: Answer, beside: Sequence[Answer], run_folder: Path | None) -> Path | None:
    """Where the pick's file lies in a run's folder; None where it does not."""
    name = model_name(answer, beside)
    if name is None or run_folder is None:
        return None
    place = run_folder / MODELS_NAME / name
    return place if place.is_file() else None
