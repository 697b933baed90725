"""What every layer of a model answers, recorded while the model is called once. The same in Keras 2 and 3."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

#: values that are kept of one answer, spread over it evenly
_KEPT = 4096


def trace(model: Any, samples: Any) -> dict[str, np.ndarray]:
    """Answers by layer, in the order in which the layers ran.

    Args:
        model: a Keras model, run eagerly.
        samples: what it is called with, of several inputs a list.

    Returns:
        `path#call` -> at most 4,096 values, float32, where `path` is made of the names of models around the layer and
        its own, and `call` counts from 0.
    """
    found: dict[str, np.ndarray] = {}
    calls: dict[str, int] = {}

    def record(path: str, answer: Any) -> None:
        if not hasattr(answer, "shape"):
            return  # several outputs: what reads them tells
        values = np.asarray(answer, dtype=np.float32).reshape(-1)
        step = max(1, -(-values.size // _KEPT))
        found[f"{path}#{calls.get(path, 0)}"] = values[::step]
        calls[path] = calls.get(path, 0) + 1

    with contextlib.ExitStack() as stack:
        for path, layer in _operations(model):
            stack.enter_context(_recorded(layer, path, record))
        model(samples, training=False)
    return found


def _operations(model: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Layers and operations of a model and of the models within it."""
    for layer in getattr(model, "operations", None) or model.layers:
        path = f"{prefix}{layer.name}"
        if hasattr(layer, "layers") and hasattr(layer, "get_layer"):
            yield from _operations(layer, f"{path}/")
        else:
            yield path, layer


@contextlib.contextmanager
def _recorded(layer: Any, path: str, record: Any) -> Iterator[None]:
    """Listens to a layer's calls. Keras looks `call` up on the object, so that one of the object's own comes first."""
    original = layer.call

    def call(*args: Any, **kwargs: Any) -> Any:
        answer = original(*args, **kwargs)
        record(path, answer)
        return answer

    # Past Keras' own __setattr__, which would track the function as part of the model.
    object.__setattr__(layer, "call", call)
    try:
        yield
    finally:
        object.__delattr__(layer, "call")
