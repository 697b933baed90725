"""The audit's entry points: a file, a built artifact, or what a build worker stores beside an artifact.

`audit_tflite` and `audit_qat` do the work; nothing here imports TensorFlow. A .keras or .h5 file is described in a process of
its own (`harness.variants.audit.worker`), because reading it takes TensorFlow.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError, MissingPartError, UserInputError
from harness.core.reasons import plain_reason, telling_line
from harness.tflite.graph import read_graph
from harness.variants.artifact import Artifact
from harness.variants.audit.mixed import note_findings
from harness.variants.audit.qat import audit_qat, is_quantization_aware
from harness.variants.audit.report import AUDIT_VERSION, AuditReport, sorted_findings
from harness.variants.audit.tflite import audit_graph, audit_tflite
from harness.variants.build.steps import DEADLINE_S, limit_s
from harness.variants.calibration_known import study_findings
from harness.variants.recipe import Recipe, parse_recipe
from harness.workloads.keras.env import worker_environment
from harness.workloads.keras.file import read_keras_file

__all__ = ["AuditReport", "audit_artifact", "audit_built", "audit_file", "audit_qat", "audit_tflite", "keras_summary"]

KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")
_DESCRIBE_DEADLINE_S = limit_s("loading", DEADLINE_S)


def audit_artifact(
    tflite_path: Path | str,
    recipe: Recipe,
    training_summary: dict[str, Any] | None,
    notes: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The audit that a build stores in an artifact's manifest. No TensorFlow, a few ms per model.

    Args:
        tflite_path: the converted model.
        recipe: what it was built by.
        training_summary: `harness.variants.qat.summary.describe` of the trained model (float or quantization-aware), or None.
        notes: how a `mixed[...]` recipe came to its file; None of all others.

    Returns:
        JSON-able: `version`; `findings`, of the training first and then of the file, gravest first; `tflite` and
        `training`, the two reports (`AuditReport.to_json`; `training` is None without a summary).
    """
    reports = [audit_tflite(tflite_path, recipe, training_summary)]
    if training_summary is not None:
        reports.insert(0, audit_qat(training_summary, recipe, f"training {recipe.training.name}"))
    reports[-1] = _with_notes(reports[-1], notes)
    findings = [finding for report in reports for finding in report.findings if not _noise(finding.code)]
    stored = AuditReport(target=str(tflite_path), kind="tflite", findings=sorted_findings(findings)).to_json()
    return {
        "version": AUDIT_VERSION,
        "findings": stored["findings"],
        "tflite": reports[-1].to_json(),
        "training": reports[0].to_json() if training_summary is not None else None,
    }


def _with_notes(report: AuditReport, notes: dict[str, Any] | None) -> AuditReport:
    """The report of a file with what only its making can tell."""
    return replace(report, findings=sorted_findings([*report.findings, *note_findings(notes)]))


def _noise(code: str) -> bool:
    """Findings that go without saying when training and file are audited together."""
    return code == "not-quantization-aware"


def audit_built(artifact: Artifact) -> list[AuditReport]:
    """The reports of a built artifact: its training's, where that was quantization-aware, and its file's.

    A refused combination has no file; a quantization-aware training behind it can still be explained.
    """
    recipe = parse_recipe(artifact.recipe)
    summary = artifact.manifest.get("training_summary")
    target = f"{artifact.workload}:{artifact.recipe}"
    reports: list[AuditReport] = []
    # A float training has nothing to explain, except where quantization-aware training was asked for.
    wrapped = recipe.training.base == "qat" and recipe.training.simulated is None
    if summary is not None and (wrapped or is_quantization_aware(summary)):
        reports.append(audit_qat(summary, recipe, f"{target} (training)"))
    if artifact.path is not None:
        report = audit_graph(read_graph(artifact.path), f"{target} (.tflite)", recipe, summary)
        report.findings[:] = sorted_findings([*report.findings, *study_findings(artifact)])
        reports.append(_with_notes(report, artifact.manifest.get("mixed")))
    return reports


def audit_file(path: Path | str, recipe: Recipe | None = None) -> AuditReport:
    """Audits a .tflite, .keras or .h5 file, told apart by their first bytes where they have telling ones.

    Raises:
        UserInputError: no such file, or not one of these, or damaged.
        MissingPartError: a Keras file, and TensorFlow is not installed.
    """
    path = Path(path)
    if not path.exists():
        raise UserInputError("no such file", where=str(path), hint="give a .tflite, .keras or .h5 file")
    if path.is_dir():
        if (path / "saved_model.pb").is_file():
            return audit_qat(keras_summary(path), recipe, str(path))
        raise UserInputError(
            "is a folder and no SavedModel", where=str(path), hint="give a .tflite, .keras or .h5 file"
        )
    if path.suffix.lower() in KERAS_SUFFIXES:
        return audit_qat(keras_summary(path), recipe, str(path))
    return audit_tflite(path, recipe)


def keras_summary(path: Path) -> dict[str, Any]:
    """The summary of a saved Keras model, taken in a process of its own.

    Raises:
        UserInputError, MissingPartError: as the loader says.
        HarnessError: the process died or took too long.
    """
    command = [sys.executable, "-m", "harness.variants.audit.worker", str(path)]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    environment = {**worker_environment(read_keras_file(path).keras_major), **quiet}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_DESCRIBE_DEADLINE_S, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        raise HarnessError(f"reading it took longer than {_DESCRIBE_DEADLINE_S:.0f} s", where=str(path)) from None
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        tail = plain_reason(telling_line(done.stderr, ("rror", "heck failed")))
        how = f"reading it ended with code {done.returncode}" + (f": {tail}" if tail else "")
        raise HarnessError(how, where=str(path)) from None
    if "error" in answer:
        kinds = {"UserInputError": UserInputError, "MissingPartError": MissingPartError}
        error = answer["error"]
        raise kinds.get(error["kind"], HarnessError)(error["what"], where=error["where"], hint=error["hint"])
    return answer["summary"]
