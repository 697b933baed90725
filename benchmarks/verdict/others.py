"""What else says "worse": fixed 5 %, a prediction interval, asv's detection, Otava. Each over the same nights as ours.

asv and Otava are asked where they are installed; they are no part of the product, and no requirement of it. Otava pins an older
numpy than the product uses, and gives the same results with the newer one, so it is installed without its requirements.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from statistics import NormalDist

import numpy as np

#: how to have what is left out
INSTALL = "pip install asv && pip install --no-deps apache-otava"
#: called with values [cells, nights]; bool [cells]: the last night is called worse
Detector = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way to judge the last night of a series by all nights before it.

    Attributes:
        detect: None where its package is not installed.
        slow: it takes milliseconds a series, and is asked about fewer nights.
    """

    name: str
    detect: Detector | None
    slow: bool = False


def fixed(values: np.ndarray) -> np.ndarray:
    """5 % over the last night."""
    return values[:, -1] - values[:, -2] > np.log(1.05)


def prediction_interval(values: np.ndarray) -> np.ndarray:
    """Beyond a robust one-sided prediction interval at 1e-5."""
    past = values[:, -31:-1]
    level = np.median(past, axis=1)
    spread = 1.4826 * np.median(np.abs(past - level[:, None]), axis=1)
    width = spread * np.sqrt(1 + 1.57 / past.shape[1])
    return values[:, -1] - level > -NormalDist().inv_cdf(1e-5) * np.maximum(width, 1e-6)


def asv_steps(values: np.ndarray) -> np.ndarray:
    """asv's own step detection and its rule of a regression, 5 %."""
    from asv import step_detect

    found = []
    for row in np.exp(values):
        steps = step_detect.detect_steps(row.tolist())
        latest, _, regressions = step_detect.detect_regressions(steps, threshold=0.05)
        found.append(latest is not None and bool(regressions))
    return np.array(found)


def otava(p: float) -> Detector:
    """A change point of E-divisive at most two nights old, upwards, at this p."""

    def detect(values: np.ndarray) -> np.ndarray:
        from otava.analysis import compute_change_points

        found = []
        for row in values:
            points, _ = compute_change_points(row.tolist(), window_len=30, max_pvalue=p, min_magnitude=0.0)
            late = [point for point in points if point.index >= len(row) - 2]
            found.append(any(row[point.index :].mean() > row[: point.index].mean() for point in late))
        return np.array(found)

    return detect


def methods() -> list[Method]:
    """All of them, in the order of the table."""
    has_asv, has_otava = find_spec("asv") is not None, find_spec("otava") is not None
    return [
        Method(name="fixed 5 % against last night", detect=fixed),
        Method(name="prediction interval, 1e-5", detect=prediction_interval),
        Method(name="asv", detect=asv_steps if has_asv else None, slow=True),
        Method(name="Otava, p 1e-3", detect=otava(1e-3) if has_otava else None, slow=True),
        Method(name="Otava, p 1e-4", detect=otava(1e-4) if has_otava else None, slow=True),
    ]
