"""What there is: `harness.devices`, `harness.datasets`, and samples of your own by `harness.dataset`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api.calls import PathLike, text, told

if TYPE_CHECKING:
    import pandas as pd


@told
def devices(*, devices_dir: PathLike | None = None) -> pd.DataFrame:
    """Every device that can be found and every emulated twin: `harness devices list`.

    Args:
        devices_dir: a folder with profiles, searched first.

    Returns:
        Index `name`; `title`, `kind`, `link`, `runtime`, `backends`, `available`, `reason`, `absent`, `in_use_by`, `path`, ...:
        as the command's JSON has them.
    """
    import pandas as pd

    from harness.boards.listing import device_rows

    return pd.DataFrame(device_rows(text(devices_dir))).set_index("name")


@told
def datasets(*, data_dir: PathLike | None = None) -> pd.DataFrame:
    """Which dataset each workload would use now: `harness data list`. Nothing is downloaded.

    Returns:
        Index `workload`; `dataset`, `note`, `from`, `test_samples`, `digest`.
    """
    import pandas as pd

    from harness.workloads.listing import dataset_rows

    return pd.DataFrame(dataset_rows(text(data_dir))).set_index("workload")


@told
def dataset(
    samples: pd.DataFrame | Any = None,
    labels: Any = None,
    *,
    label: str | None = None,
    test: float = 0.25,
    seed: int = 0,
    folder: PathLike | None = None,
    **arrays: Any,
) -> Path:
    """Samples in memory as the .npz that `data=` takes; the same content is stored once.

        harness.dataset(frame, label="species")                        # a table: split, classes in proportion
        harness.dataset(x, y)                                          # arrays: all of them are test samples
        harness.dataset(x_train=..., y_train=..., x_test=..., y_test=...)
        harness.dataset(x_test={"photo": ..., "facts": ...}, y_test=...)   # a model with several inputs

    Args:
        samples: a DataFrame with one sample per row, or an array [N, ...] as the model takes it.
        labels: of an array, [N] or [N, 1].
        label: of a DataFrame, the column of class numbers or of numbers to be met.
        test: of a DataFrame with labels, the share of rows to test on.
        seed: of that split.
        folder: where the file goes; None: the harness' cache.
        arrays: by the keys that an .npz has, in the place of `samples`.

    Returns:
        The file.

    Raises:
        UserInputError: no numbers, no such column, or both ways at once.
    """
    from harness.core.errors import UserInputError
    from harness.workloads.arrays import split_frame, stored_arrays

    if (samples is None) == (not arrays):
        raise UserInputError("a dataset is a table or an array, or arrays by their names", hint="give one of the two")
    if samples is None:
        found = dict(arrays)
    elif hasattr(samples, "columns"):
        found = split_frame(samples, label, test, seed)
    else:
        found = {"x": samples} if labels is None else {"x": samples, "y": labels}
    return stored_arrays(found, None if folder is None else Path(folder).expanduser())
