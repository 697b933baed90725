"""What a night's cells ran, kept in the store and brought back: model files with their samples, runtimes, agents, firmwares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from harness.boards.profile.model import Profile
from harness.boards.runtimes import with_runtimes
from harness.core.errors import HarnessError, UserInputError
from harness.core.files import sha256_bytes, sha256_file
from harness.emulation.mcu.firmware import program_of_build
from harness.envs.hostenv import DISTRIBUTIONS
from harness.judge.stored import recall
from harness.links.bootstrap import agent_source
from harness.prepare.prepared import PreparedModel
from harness.prepare.samples import InputFile, cached_samples
from harness.results.history import History
from harness.results.objects import open_objects
from harness.results.record import CellRecord


def keep_artifacts(
    history: History, records: Sequence[CellRecord], models: Mapping[tuple[str, str, int], PreparedModel]
) -> None:
    """Keeps the model files that a board was given: one of them may be the accepted one of a later night."""
    for record in records:
        key = record.key
        model = models.get((key.workload, key.recipe, key.seed))
        wanted = source_sha256(record)
        if (
            record.outcome == "failed"
            or model is None
            or model.artifact.path is None
            or wanted != model.artifact.sha256
        ):
            continue
        history.keep_artifact(model.artifact.path, wanted)


def keep_programs(history: History, records: Sequence[CellRecord]) -> None:
    """Keeps what ran the boards, agents and firmwares, of which records name the hash alone."""
    fingerprints = [record.fingerprint for record in records if record.fingerprint is not None]
    source = agent_source()
    if source.sha256 in {fingerprint.agent_sha256 for fingerprint in fingerprints}:
        history.keep_bytes(source.agent)
    for sha256, board, firmware in {(f.firmware_sha256, f.board_model, f.firmware) for f in fingerprints}:
        if sha256 is None:
            continue
        program = program_of_build(board or "", (firmware or "").partition(",")[0])
        if program is not None and sha256_file(program) == sha256:
            history.keep_artifact(program, sha256)


def source_sha256(record: CellRecord) -> str | None:
    """The model file that a record's board was given, before any offline compiler."""
    if record.compiled is not None:
        original = record.compiled.get("source_sha256")
        return str(original) if original else None
    return record.artifact_sha256


def kept_file(history: History, record: CellRecord, folder: Path) -> Path | None:
    """The model file of a record, written into a folder; None where it is not kept any more.

    Raises:
        HarnessError: the folder cannot be written.
    """
    sha256 = source_sha256(record)
    if sha256 is None:
        return None
    path = folder / f"{sha256}.tflite"
    if not path.exists():
        data = history.artifact(sha256) or _shipped(history, record, sha256)
        if data is None:
            return None
        path.write_bytes(data)
    return path


def _shipped(history: History, record: CellRecord, sha256: str) -> bytes | None:
    """The file among the record's own objects, which a cell that ended ok has."""
    if record.artifact_object is None:
        return None
    try:
        data = open_objects(history.store.results_dir).get_array(record.artifact_object).tobytes()
    except HarnessError:
        return None
    return data if sha256_bytes(data) == sha256 else None


def kept_model(history: History, record: CellRecord, folder: Path) -> PreparedModel:
    """A night's model as it was prepared: file, samples, labels, references.

    Args:
        folder: where the file may be written.

    Raises:
        HarnessError: what was kept of the night does not suffice; says what is missing and how to have it again.
    """
    model = recall(record, open_objects(history.store.results_dir)).model
    path = kept_file(history, record, folder)
    if path is None:
        raise UserInputError(
            f"the artifact of run {record.run} is not kept any more",
            where=record.key.text_with_seed,
            hint="take a newer night by --good or --bad, whose artifact is",
        )
    artifact = replace(model.artifact, path=path, sha256=source_sha256(record))
    return replace(model, artifact=artifact, inputs=tuple(_samples(file, record) for file in model.inputs))


def _samples(file: InputFile, record: CellRecord) -> InputFile:
    """The samples of a stored model where they lie now: no store keeps paths."""
    path = cached_samples(file.sha256)
    if path is None:
        raise UserInputError(
            f"the samples of run {record.run} are not in the cache of this machine any more",
            where=record.key.text_with_seed,
            hint="run the cell once by `harness run`, which makes them again",
        )
    return replace(file, path=path)


def package_of(runtime: str | None) -> str | None:
    """`ai-edge-litert==2.3.0` of a fingerprint's `ai-edge-litert 2.3.0`; None for a runtime that is no package here."""
    name, _, version = (runtime or "").partition(" ")
    name = name.replace("_", "-")
    return f"{name}=={version}" if name in DISTRIBUTIONS and version else None


def with_runtime_of(profile: Profile, record: CellRecord) -> Profile:
    """The device with the runtime that a record ran on.

    Raises:
        UserInputError: the board brings its own, or the record's is none that is installed from here.
        MissingPartError: no such package for this machine.
    """
    runtime = record.fingerprint.runtime if record.fingerprint is not None else None
    package = package_of(runtime)
    if package is None:
        raise UserInputError(f"the runtime '{runtime}' is none that can be installed from here", where=profile.name)
    return with_runtimes(profile, [package])[0]
