"""Describes a saved Keras model as JSON on stdout: `python -m harness.variants.audit.worker FILE`.

A process of its own, because it imports TensorFlow. The last line of stdout is the answer: `{"summary": ...}` or
`{"error": {"kind", "what", "where", "hint"}}`.
"""

from __future__ import annotations

import json
import os
import sys
import zipfile
import zlib
from pathlib import Path

from harness.core.errors import HarnessError, UserInputError


def answer(path: Path) -> dict:
    """The answer for one file; errors that a user can act on are part of it."""
    from harness.variants.qat.summary import describe
    from harness.workloads.keras.load import load_keras_model

    try:
        try:
            return {"summary": describe(load_keras_model(path))}
        except UserInputError:
            summary = _structure(path)
            if summary is None:
                raise
            return {"summary": summary}
    except HarnessError as error:
        kind = type(error).__name__
        return {"error": {"kind": kind, "what": error.what, "where": error.where, "hint": error.hint}}


def _structure(path: Path) -> dict | None:
    """The summary without values of a sound .keras file with quantize wrappers; None for any other file.

    TFMOT 0.8.1 writes such files and cannot read them back: a wrapper that was called counts some variables twice, one
    that was rebuilt does not. Layers, quantizers and shapes stand in the description all the same.
    """
    from harness.variants.qat.summary import describe
    from harness.workloads.keras.env import import_tf
    from harness.workloads.keras.file import read_keras_file
    from harness.workloads.keras.load import plain_description
    from harness.workloads.keras.safety import class_names

    file = read_keras_file(path)
    config = plain_description(file.config)
    if file.kind != "keras" or "QuantizeWrapperV2" not in set(class_names(config)) or not _is_archive_sound(path):
        return None
    keras = import_tf().keras
    import tensorflow_model_optimization as tfmot

    with tfmot.quantization.keras.quantize_scope():
        summary = describe(keras.models.model_from_json(json.dumps(config)))
    for layer in summary["layers"]:
        for variable in layer["variables"]:
            for key in ("value", "channel_min", "channel_max"):
                variable.pop(key, None)
    summary["without_values"] = True
    return summary


def _is_archive_sound(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None and "model.weights.h5" in archive.namelist()
    except (OSError, zipfile.BadZipFile, zlib.error):
        return False


def main() -> int:
    # Whatever the loader or TensorFlow prints goes to stderr: stdout carries the answer alone.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    print(json.dumps(answer(Path(sys.argv[1])), allow_nan=False), file=out, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
