"""The raw latency samples of a cell as a histogram: counted here, because a page with all samples could not be sent."""

from __future__ import annotations

from typing import Any

from harness.core.errors import HarnessError
from harness.results.objects import ObjectStore
from harness.results.record import CellRecord

#: bars of a histogram; samples beyond the 99th percentile are counted in the last one's words, not drawn
BINS = 40
_PERCENTILE = 99.0


def histogram(record: CellRecord, objects: ObjectStore) -> dict[str, Any] | None:
    """A cell's samples in bars of equal width, all starts of its worker together.

    Returns:
        {"low": ns, "width": ns, "counts": [...], "beyond": samples above the 99th percentile, "samples": all}; None where
        there are no samples, or they cannot be read any more.
    """
    import numpy as np

    if record.latency_object is None:
        return None
    try:
        arrays = objects.get_arrays(record.latency_object)
    except HarnessError:
        return None
    parts = [np.asarray(a).ravel() for a in arrays.values() if np.issubdtype(a.dtype, np.number)]
    values = np.concatenate(parts).astype(np.float64) if parts else np.empty(0)
    values = values[np.isfinite(values)]
    if not values.size:
        return None
    low, high = float(values.min()), float(np.percentile(values, _PERCENTILE))
    if high <= low:
        high = max(low + 1.0, float(values.max()))
    counts, edges = np.histogram(values[values <= high], BINS, (low, high))
    return {
        "low": low,
        "width": float(edges[1] - edges[0]),
        "counts": counts.tolist(),
        "beyond": int((values > high).sum()),
        "samples": int(values.size),
    }
