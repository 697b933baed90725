"""A project: `harness.init`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from harness.api.calls import Names, PathLike, names, told
from harness.init.create import Created, create_project


@told
def init(
    model: PathLike,
    data: PathLike | None = None,
    *,
    folder: PathLike | None = None,
    overlap: Literal["error", "drop", "allow"] = "error",
    devices: Names = (),
    ask: bool = True,
    force: bool = False,
    progress: Callable[[str], None] = lambda text: None,
) -> Created:
    """Looks at a model and its data and writes `harness.toml`: task, metric, preprocessing, devices, budget, and why.

    Args:
        model: .keras, .h5, .tflite, a SavedModel folder, or `FOLDER#SIGNATURE` or `FILE.tflite#SIGNATURE`.
        data: an .npz, a .csv, a folder of images or sounds per class, or `module:function`; a .tflite does without.
        folder: where the file is written; default: the working folder.
        overlap: what becomes of a sample that stands in two parts of the data; `drop` keeps it in the test part alone.
        devices: those to run on, such as `imx8mp@qemu`; none: this machine's and your own boards that can be tried now.
        ask: build the float model and see which values it takes; False takes the values as they are.
        force: replace a file that is there.
        progress: told what is going on.

    Returns:
        The project that was written, `project`, and `summary`, a line per choice.

    Raises:
        UserInputError: there is a file already, or model and data are wrong or do not fit together.
        MissingPartError: an extra for the data's format is not installed, or no device can run.
    """
    return create_project(
        model, data, folder=folder, force=force, overlap=overlap, devices=names(devices), ask=ask, say=progress
    )
