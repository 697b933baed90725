"""Bundles: everything a lab host needs to run built models, in one folder, so that it needs no TensorFlow and no dataset.

    bundle.json             what is in it: one entry per workload x recipe x seed
    models/<sha256>.tflite  manifests/<sha256>.json
    samples/<sha256>.npy    in each model's input dtype; shared between models with the same input
    arrays/<sha256>.npy     sample ids, labels, reference outputs, the float model's answers

Files are named by their content's hash and checked against it on reading. A bundle appears whole, by one rename.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import harness
from harness.core.errors import HarnessError, UserInputError
from harness.core.files import read_regular, sha256_bytes, sha256_file, write_json_atomic
from harness.core.finding import Finding
from harness.core.tensor import TensorIo
from harness.prepare.prepared import InputFile, JudgedOutput, PreparedModel, ReferenceOutputs
from harness.variants.artifact import Artifact
from harness.workloads.base import METRIC_OF_TASK
from harness.workloads.metrics.base import Metric
from harness.workloads.metrics.classes import NO_ANSWER
from harness.workloads.metrics.registry import described, get_metric, restored

#: 3: `beginnings` of sequences, which an older harness would run as samples that stand alone
#: 4: references are float twins with companions, which an older harness would take for stored outputs
#: 5: several outputs are judged, of which an older harness would judge the first by the metric of another
BUNDLE_SCHEMA = 5
INDEX = "bundle.json"

_FOLDERS = {"models": ".tflite", "manifests": ".json", "samples": ".npy", "arrays": ".npy"}
_COPY_BYTES = 1 << 20
_REBUILD_HINT = "copy or build the bundle again: harness build --bundle DIR"


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A bundle that was read and checked. Paths in `models` point into `folder`."""

    folder: Path
    harness_version: str
    created_utc: str
    models: tuple[PreparedModel, ...]


def write_bundle(folder: str | os.PathLike[str], models: Sequence[PreparedModel]) -> Path:
    """Packs prepared models; refused combinations go along as such.

    Args:
        folder: the bundle to make. A bundle that is there already is replaced; any other content is refused.

    Returns:
        The bundle's absolute path.

    Raises:
        UserInputError: nothing to pack, or `folder` holds something else.
        HarnessError: it cannot be written.
    """
    target = Path(folder).expanduser().absolute()
    if not models:
        raise UserInputError(
            "there is nothing to pack", where=str(target), hint="name at least one workload and recipe"
        )
    _check_replaceable(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _replacing(target) as temporary:
            writer = _Writer(temporary)
            entries = [writer.entry(model) for model in models]
            created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            write_json_atomic(
                temporary / INDEX,
                {
                    "schema": BUNDLE_SCHEMA,
                    "harness": harness.__version__,
                    "created_utc": created,
                    "models": entries,
                },
            )
    except OSError as error:
        raise HarnessError(
            f"the bundle cannot be written ({error.strerror or error})",
            where=str(target),
            hint="free space or choose another folder",
        ) from error
    return target


def read_bundle(folder: str | os.PathLike[str]) -> Bundle:
    """Reads a bundle and checks every file in it against its hash.

    Raises:
        UserInputError: no bundle, one of a newer harness, or a file that is missing, truncated or changed.
    """
    root = Path(folder).expanduser().absolute()
    try:
        index = json.loads(read_regular(root / INDEX))
    except FileNotFoundError:
        raise UserInputError("no bundle here", where=str(root), hint="make one: harness build --bundle DIR") from None
    except OSError as error:
        raise UserInputError(f"not readable ({error.strerror})", where=str(root)) from error
    except (ValueError, RecursionError) as error:
        raise UserInputError(f"damaged ({error})", where=str(root / INDEX), hint=_REBUILD_HINT) from error
    if isinstance(index, dict) and isinstance(index.get("schema"), int) and index["schema"] > BUNDLE_SCHEMA:
        raise UserInputError(
            f"made by a newer harness (bundle schema {index['schema']}, this one reads {BUNDLE_SCHEMA})",
            where=str(root),
            hint="update the harness on this machine",
        )
    reader = _Reader(root)
    try:
        models = tuple(reader.model(entry) for entry in index["models"])
        return Bundle(folder=root, harness_version=index["harness"], created_utc=index["created_utc"], models=models)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        what = f"damaged ({type(error).__name__}: {error})"
        raise UserInputError(what, where=str(root / INDEX), hint=_REBUILD_HINT) from error


class _Writer:
    """Adds files to a bundle under construction, each content once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in _FOLDERS:
            (root / name).mkdir()

    def entry(self, model: PreparedModel) -> dict[str, Any]:
        """One entry of the index; see `_Reader.model` for the way back."""
        artifact = model.artifact
        return {
            "workload": model.workload,
            "metric": described(model.metric),
            "max_accuracy_drop": model.max_accuracy_drop,
            "recipe": model.recipe,
            "seed": model.seed,
            "model_sha256": model.model_sha256,
            "dataset": {"name": model.dataset_name, "note": model.dataset_note, "digest": model.dataset_digest},
            "artifact": {
                "key": artifact.key,
                "refused": artifact.refused,
                "size_bytes": artifact.size_bytes,
                "inputs": [asdict(tensor) for tensor in artifact.inputs],
                "outputs": [asdict(tensor) for tensor in artifact.outputs],
                "model": self.file("models", artifact.path) if artifact.path else None,
                "manifest": self.data("manifests", json.dumps(artifact.manifest, sort_keys=True).encode()),
            },
            "inputs": [{"file": self.file("samples", i.path), "count": i.count} for i in model.inputs],
            "sample_ids": self.array(model.sample_ids),
            "beginnings": self.array(model.beginnings),
            "labels": self.array(model.labels),
            "output": model.output,
            "output_name": model.output_name,
            "left_out": list(model.left_out),
            "further": [self.judged(one) for one in model.further],
            "reference": self.reference(model.reference),
            "exact": self.reference(model.exact),
            "scores": None if model.scores is None else self.entry(model.scores),
            "float_answers": self.array(model.float_answers),
            "float_identity": model.float_identity,
            "lsb": list(model.lsb),
            "arithmetic": list(model.arithmetic),
            "node_count": model.node_count,
            "suppressed": model.suppressed,
            "endless": model.endless,
            "findings": [asdict(finding) for finding in model.findings],
        }

    def judged(self, one: JudgedOutput) -> dict[str, Any]:
        """A further output's part of an entry."""
        return {
            "output": one.output,
            "name": one.name,
            "metric": described(one.metric),
            "labels": self.array(one.labels),
            "float_answers": self.array(one.float_answers),
        }

    def reference(self, reference: ReferenceOutputs | None) -> dict[str, Any] | None:
        """A reference's part of an entry."""
        if reference is None:
            return None
        return {
            "identity": reference.identity,
            "outputs": [self.array(output) for output in reference.outputs],
            "companions": reference.companions and [self.array(output) for output in reference.companions],
            "kind": reference.kind,
            "trusted": reference.trusted,
            "why": reference.why,
        }

    def file(self, folder: str, source: Path) -> str:
        """Copies a file and returns its hash, taken of the copy."""
        handle, name = tempfile.mkstemp(dir=self.root)
        with os.fdopen(handle, "wb") as copy, open(source, "rb") as original:
            shutil.copyfileobj(original, copy, _COPY_BYTES)
        digest = sha256_file(Path(name))
        os.chmod(name, 0o644)
        os.replace(name, _place(self.root, folder, digest))
        return digest

    def data(self, folder: str, data: bytes) -> str:
        digest = sha256_bytes(data)
        _place(self.root, folder, digest).write_bytes(data)
        return digest

    def array(self, array: np.ndarray | None) -> str | None:
        if array is None:
            return None
        buffer = io.BytesIO()
        np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
        return self.data("arrays", buffer.getvalue())


class _Reader:
    """Reads entries; every file is checked once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._checked: set[Path] = set()

    def model(self, entry: dict[str, Any]) -> PreparedModel:
        dataset, artifact = entry["dataset"], self._artifact(entry)
        return PreparedModel(
            workload=entry["workload"],
            metric=_metric(entry),
            max_accuracy_drop=entry["max_accuracy_drop"],
            recipe=entry["recipe"],
            seed=entry["seed"],
            model_sha256=entry.get("model_sha256"),
            artifact=artifact,
            dataset_name=dataset["name"],
            dataset_note=dataset["note"],
            dataset_digest=dataset["digest"],
            inputs=tuple(
                InputFile(path=self.path("samples", i["file"]), sha256=i["file"], count=i["count"])
                for i in entry["inputs"]
            ),
            sample_ids=self.array(entry["sample_ids"]),
            beginnings=self.array(entry.get("beginnings")),
            labels=self.array(entry["labels"]),
            output=entry.get("output", 0),
            output_name=entry.get("output_name", ""),
            left_out=tuple(entry.get("left_out", ())),
            further=tuple(self._judged(one, entry["workload"]) for one in entry.get("further", ())),
            reference=self._reference(entry["reference"]),
            exact=self._reference(entry.get("exact")),
            scores=None if entry.get("scores") is None else self.model(entry["scores"]),
            float_answers=self._float_answers(entry),
            float_identity=entry["float_identity"],
            lsb=tuple(entry["lsb"]),
            arithmetic=tuple(entry.get("arithmetic", ())),
            node_count=entry["node_count"],
            suppressed=entry.get("suppressed", False),
            endless=entry.get("endless"),
            findings=tuple(Finding(**finding) for finding in entry["findings"]),
        )

    def _judged(self, stored: dict[str, Any], workload: str) -> JudgedOutput:
        return JudgedOutput(
            output=stored["output"],
            name=stored["name"],
            metric=restored(stored["metric"], workload),
            labels=self.array(stored["labels"]),
            float_answers=self.array(stored["float_answers"]),
        )

    def _reference(self, stored: dict[str, Any] | None) -> ReferenceOutputs | None:
        """A reference's outputs. Before schema 4 these were a runtime's."""
        if stored is None:
            return None
        companions = stored.get("companions")
        return ReferenceOutputs(
            identity=stored["identity"],
            outputs=tuple(self._stored(digest) for digest in stored["outputs"]),
            companions=companions and tuple(self._stored(digest) for digest in companions),
            kind=stored.get("kind", "runtime"),
            trusted=stored.get("trusted"),
            why=stored.get("why"),
        )

    def _float_answers(self, entry: dict[str, Any]) -> np.ndarray | None:
        if "float_answers" in entry:
            return self.array(entry["float_answers"])
        # Schema 1 kept only whether the float model was right, which is all that classification asks.
        right, labels = self.array(entry["float_right"]), self.array(entry["labels"])
        return None if right is None or labels is None else np.where(right, labels, NO_ANSWER)

    def _artifact(self, entry: dict[str, Any]) -> Artifact:
        stored = entry["artifact"]
        return Artifact(
            key=stored["key"],
            workload=entry["workload"],
            recipe=entry["recipe"],
            seed=entry["seed"],
            path=self.path("models", stored["model"]) if stored["model"] else None,
            refused=stored["refused"],
            sha256=stored["model"],
            size_bytes=stored["size_bytes"],
            inputs=tuple(TensorIo(**{**io, "shape": tuple(io["shape"])}) for io in stored["inputs"]),
            outputs=tuple(TensorIo(**{**io, "shape": tuple(io["shape"])}) for io in stored["outputs"]),
            manifest=json.loads(self.path("manifests", stored["manifest"]).read_bytes()),
        )

    def path(self, folder: str, digest: str) -> Path:
        """The checked path of a file. Raises UserInputError when it is not what its name says."""
        path = _place(self.root, folder, digest)
        if path not in self._checked:
            try:
                found = sha256_file(path)
            except OSError as error:
                raise UserInputError(
                    f"a file of the bundle is not readable ({error.strerror})", where=str(path), hint=_REBUILD_HINT
                ) from error
            if found != digest:
                raise UserInputError(
                    "truncated or changed: its content does not match its hash", where=str(path), hint=_REBUILD_HINT
                )
            self._checked.add(path)
        return path

    def array(self, digest: str | None) -> np.ndarray | None:
        return None if digest is None else self._stored(digest)

    def _stored(self, digest: str) -> np.ndarray:
        return np.load(self.path("arrays", digest), allow_pickle=False)


def _metric(entry: dict[str, Any]) -> Metric | None:
    """The metric of an entry; schema 1 had the name of a task in its place."""
    if "metric" in entry:
        return restored(entry["metric"], entry["workload"])
    name = METRIC_OF_TASK.get(entry["task"])
    return None if name is None else get_metric(name)


def _place(root: Path, folder: str, digest: str) -> Path:
    """Where a content lies. Only hashes are taken from the index, so it cannot point outside the bundle."""
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ValueError(f"'{digest}' is no SHA-256")
    return root / folder / f"{digest}{_FOLDERS[folder]}"


def _check_replaceable(target: Path) -> None:
    """Refuses to replace what is not a bundle."""
    if not target.exists() and not target.is_symlink():
        return
    if not target.is_dir() or target.is_symlink():
        raise UserInputError("exists and is no folder", where=str(target), hint="choose another name")
    if any(target.iterdir()) and not (target / INDEX).is_file():
        raise UserInputError("exists and is no bundle", where=str(target), hint="choose a new or empty folder")


@contextlib.contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """A folder beside `target` that takes its place if the block ends well, and vanishes otherwise."""
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".tmp-{target.name}-"))
    os.chmod(temporary, 0o755)
    try:
        yield temporary
        old = None
        if target.exists():
            old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".tmp-{target.name}-old-"))
            os.rename(target, old / "bundle")
        try:
            os.rename(temporary, target)
        except OSError:
            if old is not None:
                os.rename(old / "bundle", target)
            raise
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
