"""Which Keras a model is built with, and what its description says that the build has to know. No TensorFlow."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.variants.recipe import Recipe
from harness.workloads.base import Workload
from harness.workloads.keras.file import read_keras_file
from harness.workloads.keras.safety import layer_text, objects

#: raise it when loading a Keras 3 model or copying it into Keras 2 gives something else
READER_VERSION = 2
_RECURRENT = {"ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "GRU", "LSTM", "RNN", "SimpleRNN"}


def readers(workload: Workload, recipe: Recipe) -> tuple[int, ...]:
    """The Kerases that can build a combination, the best first; the next one is tried where there is no copy in one.

    A file of Keras 3 is converted from Keras 3. TFMOT needs its copy in Keras 2, and so does the training that QAT is
    compared with, as long as there is one. LSTMs are converted from the copy too: only Keras 2 marks them so that the
    converter makes one op of each, which quantizes, instead of a loop.
    """
    if workload.keras_major == 2 or recipe.training.base == "qat":
        return (2,)
    if recipe.training.base == "finetune" and _is_signature(workload):
        return (2,)  # which says why there is no copy
    if recipe.training.base == "finetune" or _lstms(workload):
        return (2, 3)
    return (3,)


def loops(workload: Workload) -> tuple[str, ...]:
    """The recurrent layers of the user's own model that a .tflite keeps as loops, as messages name them."""
    if workload.model_path is None:
        return ()
    found = [node for node in _recurrent(workload) if not node["config"].get("unroll")]
    # An LSTM becomes one op as a rule: what else there is comes first.
    return tuple(layer_text(node) for node in sorted(found, key=lambda node: node["class_name"] == "LSTM"))


def _is_signature(workload: Workload) -> bool:
    return workload.model_path is not None and read_keras_file(Path(workload.model_path)).signature is not None


def _lstms(workload: Workload) -> bool:
    return any(node["class_name"] == "LSTM" for node in _recurrent(workload))


def _recurrent(workload: Workload) -> Iterator[dict[str, Any]]:
    path = Path(workload.model_file)
    try:
        stamp = path.stat().st_mtime_ns
    except OSError:
        stamp = 0
    yield from _recurrent_of(path, stamp)


@functools.lru_cache(maxsize=32)
def _recurrent_of(path: Path, stamp: int) -> tuple[dict[str, Any], ...]:
    nodes = objects(read_keras_file(path).config)
    return tuple(n for n in nodes if n.get("class_name") in _RECURRENT and isinstance(n.get("config"), dict))
