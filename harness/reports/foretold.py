"""Predictions as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from harness.predict.prediction import Prediction

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = (
    "model", "device", "backend", "runtime", "runtime_assumed", "loads", "right", "fits", "finishes", "delegate",
    "delegated_nodes", "total_nodes", "partitions", "memory_bytes", "reasons", "advice", "refused",
)  # fmt: skip
_TYPES = {
    **dict.fromkeys(("loads", "right", "fits", "finishes", "runtime_assumed"), "boolean"),
    **dict.fromkeys(("delegated_nodes", "total_nodes", "partitions", "memory_bytes"), "Int64"),
}


class _Model(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def refused(self) -> str | None: ...


class _Foretold(Protocol):
    @property
    def model(self) -> _Model: ...
    @property
    def device(self) -> str: ...
    @property
    def predictions(self) -> Sequence[Prediction]: ...


def foretold_frame(found: Iterable[_Foretold]) -> pd.DataFrame:
    """A row per model, device and backend; one without a backend for a model that the converter refuses. What nobody can tell is
    missing; `reasons` and `advice` are sentences, one per line."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for one in found:
        head = {"model": one.model.name, "device": one.device, "refused": one.model.refused}
        rows += [{**head, **_row(p)} for p in one.predictions] or [head]
    return pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_TYPES)


def _row(p: Prediction) -> dict[str, Any]:
    return {
        "backend": p.backend,
        "runtime": p.runtime,
        "runtime_assumed": p.runtime_assumed,
        "loads": p.loads,
        "right": p.right,
        "fits": p.fits,
        "finishes": p.finishes,
        "delegate": p.delegate,
        "delegated_nodes": p.taken,
        "total_nodes": p.total_nodes,
        "partitions": p.partitions,
        "memory_bytes": p.memory.total_bytes,
        "reasons": "\n".join(dict.fromkeys(p.reasons)) or None,
        "advice": "\n".join(p.advice) or None,
    }
