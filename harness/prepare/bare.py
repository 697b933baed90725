"""A model file as boards take it, of which nothing is judged: what a device check runs, and single ops cut out of a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from harness.core.files import sha256_file
from harness.prepare.prepared import InputFile, PreparedModel
from harness.tflite.graph import model_io, read_graph
from harness.variants.artifact import AS_IS, Artifact


def bare_model(
    path: Path,
    inputs: tuple[InputFile, ...],
    *,
    dataset_name: str,
    dataset_note: str = "",
    dataset_digest: str | None = None,
    sample_ids: np.ndarray | None = None,
) -> PreparedModel:
    """A .tflite with its samples, ready to travel: no audit, no metric, no reference.

    Args:
        inputs: the samples as files, one per input of the model, in its order.
        dataset_digest: of the samples; None for the model's own hash.
        sample_ids: int64 [N].

    Raises:
        UserInputError: the file is no .tflite.
    """
    sha256 = sha256_file(path)
    model_inputs, model_outputs = model_io(read_graph(path))
    artifact = Artifact(
        key=sha256,
        workload=path.stem,
        recipe=AS_IS,
        seed=0,
        path=path,
        sha256=sha256,
        size_bytes=path.stat().st_size,
        inputs=model_inputs,
        outputs=model_outputs,
    )
    return PreparedModel(
        workload=path.stem,
        metric=None,
        recipe=AS_IS,
        seed=0,
        artifact=artifact,
        dataset_name=dataset_name,
        dataset_note=dataset_note,
        dataset_digest=sha256 if dataset_digest is None else dataset_digest,
        inputs=inputs,
        sample_ids=sample_ids,
    )
