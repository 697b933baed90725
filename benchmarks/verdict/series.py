"""Series whose truth is known: nights of cells whose times never change but by chance, or by what is planted.

Figures after what was measured on real machines (docs/internals/verdict.md): standard deviation between fresh starts 0.48 %,
between nights (median of 3 starts) 0.86 %; lag-1 autocorrelation of nights 0.18, here 0.5 to be harsh; a slow mode in 18 % of
the starts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

KINDS = ("gaussian", "t3", "ar1", "bimodal", "outliers", "drift", "common")
STARTS = 3
START_SD, NIGHT_SD = 0.0048, 0.0080


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """Times of one board, natural logarithms.

    Attributes:
        kind: of KINDS, or `recorded`.
        sessions: [cells, nights, starts], unchanged cells.
        controls: [controls, nights].
        fresh: gives sessions of a night's cells for a confirmation, float [2, 16] (a side, sessions): called with cell and night.
    """

    kind: str
    sessions: np.ndarray
    controls: np.ndarray
    fresh: Callable[[int, int], np.ndarray]


def generated(kind: str, cells: int, nights: int, *, controls: int = 5, seed: int = 0) -> Series:
    """A board's nights.

    Args:
        kind: gaussian; t3: tails of Student's t with 3 degrees; ar1: nights that resemble the one before; bimodal: 18 % of
            starts 10 % slower; outliers: 3 % of starts 5 to 40 % slower; drift: the whole board slower by 0.05 % a night;
            common: nights in which the whole board is faster or slower (SD 2 %).
    """
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    rows = cells + controls
    night = NIGHT_SD * _unit(rng, (rows, nights), kind)
    if kind == "ar1":
        for t in range(1, nights):
            night[:, t] = 0.5 * night[:, t - 1] + np.sqrt(0.75) * night[:, t]
    if kind == "drift":
        night += 0.0005 * np.arange(nights)
    if kind == "common":
        night += 0.02 * rng.standard_normal(nights)
    night += 10.0 + rng.random((rows, 1))
    sessions = night[:, :, None] + _starts(rng, (rows, nights, STARTS), kind)

    def fresh(cell: int, at: int) -> np.ndarray:
        return night[cell, at] + _starts(rng, (2, 16), kind)

    values = np.median(sessions, axis=2)
    return Series(kind=kind, sessions=sessions[:cells], controls=values[cells:], fresh=fresh)


def _unit(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """Noise of standard deviation 1."""
    return rng.standard_t(3, shape) / np.sqrt(3) if kind == "t3" else rng.standard_normal(shape)


def _starts(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> np.ndarray:
    noise = START_SD * _unit(rng, shape, kind)
    if kind == "bimodal":
        noise += 0.0953 * (rng.random(shape) < 0.18)
    if kind == "outliers":
        noise += (rng.random(shape) < 0.03) * rng.uniform(0.05, 0.35, shape)
    return noise


def recorded(folder: object, *, seed: int = 0, loads: str = "all") -> Series:
    """Recorded nights, in a random order, of which five cells are controls.

    Args:
        folder: with `nights_*.npz` and `sessions_*.npz`.
        loads: `quiet`: only nights without load; `all`.
    """
    from pathlib import Path

    files = sorted(Path(str(folder)).glob("nights_*.npz"))
    if not files:
        raise SystemExit(f"{folder} holds no nights_*.npz")
    rng = np.random.default_rng([seed, len(loads)])
    parts, kept = [], []
    for file in files:
        data = np.load(file)
        wall = data["wall_ns"]
        parts.append(_medians(wall))
        kept.append(np.array([loads == "all" or str(load) == "quiet" for load in data["load"]]))
    values = np.concatenate(parts, axis=1)[:, np.concatenate(kept)]
    pools = [
        _medians(part)
        for file in sorted(Path(str(folder)).glob("sessions_*.npz"))
        for part in _walls(np.load(file), loads)
    ]
    pool = np.concatenate(pools, axis=1) if pools else values.reshape(len(values), -1)
    order = rng.permutation(values.shape[1])
    values = values[:, order]
    rows = rng.permutation(len(values))
    controls, cells = rows[:5], rows[5:]
    pool = pool[cells]

    def fresh(cell: int, at: int) -> np.ndarray:
        # A block of sessions that followed each other, dealt to both sides at random.
        block = pool[cell, _block(rng, pool.shape[1])]
        return (
            rng.permutation(np.resize(block, 32)).reshape(2, 16)
            if len(block) < 32
            else rng.permutation(block[:32]).reshape(2, 16)
        )

    return Series(
        kind=f"recorded, {loads}", sessions=values[cells], controls=np.median(values[controls], axis=2), fresh=fresh
    )


def _block(rng: np.random.Generator, count: int) -> np.ndarray:
    """Indices of 16 sessions that were recorded in one go, drawn twice (with the night's own noise in both)."""
    start = 16 * int(rng.integers(0, max(1, count // 16)))
    return rng.integers(start, min(start + 16, count), 32)


def _walls(data: object, loads: str) -> list[np.ndarray]:
    names = [name for name in data.files if name.startswith("wall_ns")]  # type: ignore[attr-defined]
    load = [str(text) for text in data["load"]]  # type: ignore[index]
    return [data[name] for i, name in enumerate(names) if loads == "all" or load[i] == "quiet"]  # type: ignore[index]


def _medians(wall_ns: np.ndarray) -> np.ndarray:
    """ln of the median of the last axis, samples of 0 left out."""
    values = np.where(wall_ns > 0, wall_ns.astype(np.float32), np.nan)
    return np.log(np.nanmedian(values, axis=-1)).astype(np.float64)
