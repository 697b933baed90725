"""A model beside the one that MLPerf Tiny's firmware holds: it must be that one, and answers as the firmware does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.boards.adapt import Adapted, NotAdapted, StageFacts
from harness.boards.mlperf_tiny.model import RESULT_STEP, HeldModel, held_model
from harness.core.errors import UnsupportedError
from harness.core.finding import Finding
from harness.core.tensor import TensorIo
from harness.workloads.metrics.autoencoder_auc import AutoencoderAuc

if TYPE_CHECKING:
    from harness.boards.mlperf_tiny.profile import MlperfTinyProfile
    from harness.prepare.prepared import PreparedModel


def adapt_to_firmware(model: PreparedModel, profile: MlperfTinyProfile, firmware: str) -> Adapted | NotAdapted:
    """The model as the firmware answers, when it is the one that the firmware holds. Nothing travels but samples.

    The stage is `held`; its facts: `name`, what the firmware calls the model, and `scored`, whether it answers with a score in
    place of outputs.

    Args:
        model: the cell's.
        profile: says which model of the host goes by which of the firmware's names.
        firmware: the name that the connected firmware tells.
    """
    artifact = model.artifact
    assert artifact.path is not None and artifact.sha256 is not None
    try:
        _require_no_state(artifact.path)
        held = held_model(
            profile,
            firmware=firmware,
            workload=model.workload,
            recipe=model.recipe,
            path=artifact.path,
            sha256=artifact.sha256,
            inputs=artifact.inputs,
            outputs=artifact.outputs,
        )
    except UnsupportedError as error:
        return NotAdapted(outcome="unsupported", reason=str(error))
    answering, findings = _scored(model, held) if held.scored else _rounded(model, held)
    stage = StageFacts(name="held", facts={"name": held.name, "scored": held.scored})
    return Adapted(model=answering, artifact=artifact, stages=(stage,), form=held, findings=findings)


def _require_no_state(path: Path) -> None:
    """The firmware has no command that puts a model into its initial state.

    Raises:
        UnsupportedError: the model remembers earlier inferences.
    """
    from harness.tflite.graph import read_graph
    from harness.tflite.state import keeps_state

    if keeps_state(read_graph(path)):
        raise UnsupportedError(
            "the model remembers earlier inferences, and MLPerf Tiny's firmware has no command that resets it",
            hint="measure it on a board with Linux, or with TFLite Micro in this project's firmware",
        )


def _scored(model: PreparedModel, held: HeldModel) -> tuple[PreparedModel, tuple[Finding, ...]]:
    """The model as the firmware answers: one score per sample in place of the outputs, in the reference too. There is no
    share of right answers without a threshold, and the firmware has none; labels are for the autoencoder's AUC, which is of this
    score, and for that of `--mlperf`.
    """
    anomaly = isinstance(model.metric, AutoencoderAuc)
    reference = model.reference
    if reference is not None:
        rows = np.load(model.inputs[0].path, mmap_mode="r", allow_pickle=False)[: len(reference.outputs[0])]
        reference = replace(
            reference,
            outputs=(held.scores(np.asarray(rows), reference.outputs[0]),),
            companions=reference.companions and (held.scores(np.asarray(rows), reference.companions[0]),),
        )
    score = TensorIo(name="mean squared error", dtype="float32", shape=(1, 1))
    finding = Finding(
        code="score-only",
        severity="info",
        where=f"{model.workload}/{model.recipe}",
        what=f"the firmware of {held.name} answers with the mean squared difference between input and output; that is compared "
        "with the reference's, and there is no accuracy",
        fix="measure the same .tflite on another runtime for its outputs",
    )
    answering = replace(
        model,
        artifact=replace(model.artifact, outputs=(score,)),
        reference=reference,
        float_answers=model.float_answers if anomaly else None,
        metric=model.metric if anomaly else None,
        further=(),
        exact=None,
        lsb=(RESULT_STEP,),
    )
    return answering, (finding,)


def _rounded(model: PreparedModel, held: HeldModel) -> tuple[PreparedModel, tuple[Finding, ...]]:
    """Results have three decimals: where a quantization step is smaller, what they hide is no difference."""
    if held.exact:
        return model, ()
    hidden = RESULT_STEP / held.output.scale
    finding = Finding(
        code="results-rounded",
        severity="info",
        where=f"{model.workload}/{model.recipe}",
        what=f"the firmware tells results with three decimals, and a step of the output is {held.output.scale:.3g}: outputs are "
        f"known to {hidden:.3g} LSB",
        fix="nothing can be done on this board",
    )
    # Cut off or rounded, a result may be a whole step of its own too low: N has to hold half of two of them.
    steps = tuple(None if step is None else max(step, 2 * RESULT_STEP) for step in model.lsb)
    return replace(model, lsb=steps), (finding,)
