"""Folders of images and sounds, tables and modules, as users keep their samples."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from harness.core.tensor import TensorIo
from harness.project.settings import DataSettings, PreprocessingSettings
from harness.workloads.sources.imported import Imported, import_data
from harness.workloads.sources.parts import Wanted


def write_image(path: Path, pixels: np.ndarray) -> Path:
    """uint8 [h, w] or [h, w, 3] as the format of the file's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def colours(count: int = 12, size: int = 6, seed: int = 0) -> np.ndarray:
    """uint8 [N, size, size, 3] that are all different."""
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def image_folder(root: Path, classes: tuple[str, ...] = ("cat", "dog"), each: int = 12, **settings: int) -> Path:
    """`root/CLASS/NN.png`; the images of each class are other ones."""
    for number, name in enumerate(classes):
        for position, pixels in enumerate(
            colours(each, seed=settings.get("seed", 0) + number, size=settings.get("size", 6))
        ):
            write_image(root / name / f"{position:02}.png", pixels)
    return root


def write_wave(path: Path, wave: np.ndarray, rate: int = 8000) -> Path:
    """float [frames] or [frames, channels] in -1..1 as 16-bit PCM."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, rate, subtype="PCM_16")
    return path


def imported(
    path: Path,
    shape: tuple[int, ...] | None = None,
    *,
    dtype: str = "float32",
    finished: bool = False,
    data: Mapping[str, object] | None = None,
    preprocessing: Mapping[str, object] | None = None,
) -> tuple[Imported, dict[str, np.ndarray]]:
    """What becomes of samples, and the arrays that are kept."""
    io = None if shape is None else TensorIo(name="in", dtype=dtype, shape=(-1, *shape))
    found = import_data(
        path,
        Wanted(input=io, finished=finished),
        DataSettings.model_validate_json(json.dumps({"path": str(path), **(data or {})})),
        PreprocessingSettings.model_validate_json(json.dumps(preprocessing or {})),
    )
    with np.load(found.path) as arrays:
        return found, {key: arrays[key] for key in arrays.files if not key.endswith(".json")}
