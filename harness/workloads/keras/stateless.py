"""Recurrent layers that keep their state between calls (`stateful=True`), described without it.

Such a layer writes its state into a variable, which no conversion here keeps, and its batch is fixed. Every sample starts from
the initial state anyway (docs/guides/adding-a-workload.md); where a workload carries it over a sequence, the runtime's own op
does.
"""

from __future__ import annotations

from typing import Any

from harness.workloads.keras.safety import objects

_BATCHES = ("batch_shape", "batch_input_shape", "build_input_shape")


def to_stateless(config: dict[str, Any]) -> None:
    """Takes the state between calls, and the batch that it fixed, out of a model description, in place."""
    layers = [node["config"] for node in objects(config) if isinstance(node.get("config"), dict)]
    stateful = [layer for layer in layers if layer.get("stateful") is True]
    for layer in stateful:
        layer["stateful"] = False
    if not stateful:
        return
    for node in objects(config):
        for name in _BATCHES:
            shape = node.get(name)
            if isinstance(shape, list) and len(shape) > 1 and isinstance(shape[0], int):
                node[name] = [None, *shape[1:]]
