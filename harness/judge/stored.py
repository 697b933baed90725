"""What a cell was judged by, as stored objects that its record names; read back, it is judged again.

    tensors_object       JSON: the prepared model but for its arrays and files: tensors, quantization steps, arithmetic, metric
    labels_object        labels of the evaluated samples          sample_ids_object     their ids
    float_answers_object the float model's answers on them        reference_object      the references' outputs
    outputs_object       outputs                                  latency_object, counts_object   raw samples
    recipe_object        JSON: what built it (harness.variants.definition)
    artifact_object      the .tflite, of cells that ran: nobody is judged by it, but it is what ships, and what `explain` cuts
    measurement_object   JSON: every other raw fact, and what the cell ran on; with the arrays that have no object of their own

What several cells share (labels, references, models) is the same object, and stored once.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.core.errors import HarnessError
from harness.core.plain import from_plain, to_plain
from harness.judge.cell import judge
from harness.prepare.prepared import PreparedModel
from harness.results.faults import CorruptStoreError
from harness.results.objects import FURTHER, JSON, SINGLE, ObjectStore
from harness.results.record import CellRecord
from harness.run.measurement import CellContext, Measurement
from harness.variants.definition import definition_of
from harness.workloads.metrics.registry import described, restored

#: arrays with an object of their own: path -> (field of the record, name in the object)
_OWN = {
    "measurement.bench.samples_ns": ("latency_object", SINGLE),
    "measurement.evaluated.counts.values": ("counts_object", SINGLE),
    "model.sample_ids": ("sample_ids_object", SINGLE),
    "model.labels": ("labels_object", SINGLE),
    "model.float_answers": ("float_answers_object", SINGLE),
}
#: the same of arrays that there are several of, one per output: beginning of the path -> (field, beginning of the name)
_PER_OUTPUT = {
    "measurement.evaluated.outputs.": ("outputs_object", "output_"),
    "model.reference.outputs.": ("reference_object", "output_"),
    "model.reference.companions.": ("reference_object", "companion_"),
    "model.exact.outputs.": ("reference_object", "exact_"),
}
#: labels and float answers of further outputs: path -> the same object as those of the main one, under another name
_FURTHER = re.compile(r"model\.further\.(\d+)\.(labels|float_answers)")
_FURTHER_FIELDS = {"labels_object": "labels", "float_answers_object": "float_answers"}
#: the raw samples of the worker's starts beside the first: path -> the same object under another name
_START = re.compile(r"measurement\.further\.(\d+)\.bench\.samples_ns")
_START_NAME = "start_"
#: where everything else is
_REST = "measurement_object"


class NotKeptError(HarnessError):
    """A record from before raw facts were kept: it cannot be judged again."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Grounds:
    """All that a cell is judged by."""

    measurement: Measurement
    model: PreparedModel
    context: CellContext

    def judge(self) -> CellRecord:
        """The cell's record by today's rules; it names no objects yet."""
        return judge(self.measurement, self.model, self.context)


def finisher(objects: ObjectStore) -> Callable[[Measurement, PreparedModel, CellContext], CellRecord]:
    """What makes a record of a measured cell: judges it, and keeps what it was judged by in `objects`."""

    def finish(measurement: Measurement, model: PreparedModel, context: CellContext) -> CellRecord:
        grounds = needed(Grounds(measurement=measurement, model=model, context=context))
        record = grounds.judge()
        for field, sha256 in keep(grounds, objects).items():
            setattr(record, field, sha256)
        if record.ran:
            record.artifact_object = keep_artifact(measurement, model, objects)
        definition = definition_of(model.artifact)
        if definition is not None:
            record.recipe_object = objects.put_json(definition)
        return record

    return finish


def needed(grounds: Grounds) -> Grounds:
    """The same without what judging does not look at: samples that were not evaluated, manifests, compiler settings."""
    measurement, model, context = grounds.measurement, grounds.model, grounds.context
    count = measurement.samples if measurement.failure is None and measurement.evaluated is not None else None

    def first(array: np.ndarray | None) -> np.ndarray | None:
        return None if array is None or count is None else array[:count]

    model = replace(
        model,
        artifact=replace(model.artifact, manifest={}),
        sample_ids=first(model.sample_ids),
        beginnings=None if model.beginnings is None or count is None else model.beginnings[model.beginnings < count],
        labels=first(model.labels),
        float_answers=first(model.float_answers),
        further=tuple(
            replace(one, labels=first(one.labels), float_answers=first(one.float_answers)) for one in model.further
        ),
        reference=None if count is None else model.reference,
        exact=None if count is None else model.exact,
        scores=None if count is None or model.scores is None else _needed_scores(model.scores),
    )
    if measurement.adaptation is not None and measurement.adaptation.artifact is not None:
        artifact = replace(measurement.adaptation.artifact, manifest={})
        measurement = replace(measurement, adaptation=replace(measurement.adaptation, artifact=artifact))
    context = replace(context, backend=replace(context.backend, compiler=None))
    return Grounds(measurement=measurement, model=model, context=context)


def _needed_scores(scores: PreparedModel) -> PreparedModel:
    """The same of the model of the scores."""
    return replace(scores, artifact=replace(scores.artifact, manifest={}), inputs=(), beginnings=None)


def keep(grounds: Grounds, objects: ObjectStore) -> dict[str, str]:
    """Stores what a cell was judged by.

    Returns:
        Field of the record -> the object's SHA-256.

    Raises:
        HarnessError: it cannot be written.
    """
    arrays: dict[str, np.ndarray] = {}
    bare = tuple(replace(one, metric=None) for one in grounds.model.further)
    model = to_plain(replace(grounds.model, metric=None, further=bare), arrays, "model")
    model["metric"] = described(grounds.model.metric)
    model["further_metrics"] = [described(one.metric) for one in grounds.model.further]
    facts = {
        "measurement": to_plain(grounds.measurement, arrays, "measurement"),
        "context": to_plain(grounds.context, arrays, "context"),
    }
    grouped: dict[str, dict[str, np.ndarray]] = {_REST: {JSON: _text(facts)}}
    for path, array in arrays.items():
        field, name = _place(path) if grounds.measurement.failure is None and array.size else (_REST, path)
        grouped.setdefault(field, {})[name] = array
    return {"tensors_object": objects.put_json(model)} | {
        field: objects.put_arrays(group) for field, group in grouped.items()
    }


def keep_artifact(measurement: Measurement, model: PreparedModel, objects: ObjectStore) -> str | None:
    """Stores the .tflite that a cell was built as, so that it can be shipped, or measured again, when no cache has it any more.

    Returns:
        The object's SHA-256; None where the file is gone, or is not the one that was measured any more.
    """
    adaptation = measurement.adaptation
    artifact = model.artifact if adaptation is None or adaptation.artifact is None else adaptation.artifact
    if artifact.path is None:
        return None
    try:
        data = artifact.path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(data).hexdigest() != artifact.sha256:
        return None
    return objects.put_array(np.frombuffer(data, np.uint8))


def recall(record: CellRecord, objects: ObjectStore) -> Grounds:
    """What a stored cell was judged by.

    Raises:
        NotKeptError: the record is from before this was kept; says what is missing.
        UserInputError: an object is lost, or nobody here knows the metric.
        CorruptStoreError: an object is damaged.
    """
    if record.measurement_object is None or record.tensors_object is None:
        lost = ", ".join(missing(record))
        raise NotKeptError(f"stored by an earlier harness: {lost} missing", hint="its record stays; run the cell again")
    rest = objects.get_arrays(record.measurement_object)
    arrays = {path: array for path, array in rest.items() if path != JSON}
    for path, (field, name) in _OWN.items():
        if sha256 := getattr(record, field):
            found = objects.get_arrays(sha256)
            arrays[path] = found.pop(name)
            if kind := _FURTHER_FIELDS.get(field):
                arrays |= {f"model.further.{name.removeprefix(FURTHER)}.{kind}": rows for name, rows in found.items()}
            if field == "latency_object":
                arrays |= {_start_path(name): samples for name, samples in found.items()}
    for prefix, (field, kind) in _PER_OUTPUT.items():
        if sha256 := getattr(record, field):
            stored = objects.get_arrays(sha256)
            arrays |= {prefix + name.removeprefix(kind): a for name, a in stored.items() if name.startswith(kind)}
    try:
        facts = json.loads(rest[JSON].tobytes())
        tensors = objects.get_json(record.tensors_object)
        metric = restored(tensors["metric"], tensors["workload"])
        model = from_plain(PreparedModel, {**tensors, "metric": None}, arrays)
        further = tuple(
            replace(one, metric=restored(stored, tensors["workload"]))
            for one, stored in zip(model.further, tensors.get("further_metrics", []), strict=True)
        )
        return Grounds(
            measurement=from_plain(Measurement, facts["measurement"], arrays),
            model=replace(model, metric=metric, further=further),
            context=from_plain(CellContext, facts["context"], arrays),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptStoreError(
            f"its raw facts cannot be read ({error})",
            where=str(objects.path(record.measurement_object)),
            hint="they may be of a newer harness",
        ) from error


def missing(record: CellRecord) -> list[str]:
    """The objects that judging a record again needs and that it does not name."""
    wanted = {
        "measurement_object": True,
        "tensors_object": True,
        "labels_object": record.score is not None,
        "float_answers_object": record.score_delta is not None,
        "reference_object": record.reference is not None,
    }
    return [field for field, is_wanted in wanted.items() if is_wanted and getattr(record, field) is None]


def _place(path: str) -> tuple[str, str]:
    for prefix, (field, kind) in _PER_OUTPUT.items():
        if path.startswith(prefix):
            return field, kind + path.removeprefix(prefix)
    if match := _START.fullmatch(path):
        return "latency_object", f"{_START_NAME}{int(match[1]) + 2}"
    if match := _FURTHER.fullmatch(path):
        return f"{match[2]}_object", f"{FURTHER}{match[1]}"
    return _OWN.get(path, (_REST, path))


def _start_path(name: str) -> str:
    return f"measurement.further.{int(name.removeprefix(_START_NAME)) - 2}.bench.samples_ns"


def _text(value: Mapping[str, Any]) -> np.ndarray:
    """A JSON value as the bytes of its text, uint8."""
    return np.frombuffer(json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode(), np.uint8)
