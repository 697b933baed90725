"""What there is: `harness.devices`, `harness.datasets`, and samples of your own by `harness.dataset`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api.calls import Data, Names, PathLike, data_file, names, text, told

if TYPE_CHECKING:
    import pandas as pd

    from harness.boards.kind import CheckStep
    from harness.boards.linux.add import AddedBoard


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


@told
def fetch_dataset(
    name: str,
    *,
    url: str | None = None,
    sha256: str | None = None,
    folder: PathLike | None = None,
    force: bool = False,
    progress: Callable[[int, int | None], None] = lambda done_bytes, total_bytes: None,
) -> Path:
    """Downloads a published dataset, `mnist` or `cifar10`: `harness data fetch`. Nothing else ever downloads one.

    Args:
        url: a mirror that holds the same file.
        sha256: of that file, in place of the published one's.
        folder: where it goes; None: the harness' cache, where it is found by itself.
        force: also where the file is there.
        progress: told (bytes that came, bytes in all or None).

    Raises:
        HarnessError: an unknown name, no connection, or a file that is another one.
    """
    from harness.workloads.fetch import fetch_dataset as fetch

    place = None if folder is None else Path(folder).expanduser()
    return fetch(name, url=url, sha256=sha256, folder=place, force=force, on_progress=progress).path


@told
def check_dataset(data: Data, *, model: PathLike | None = None) -> list[str]:
    """Reads samples and says what they are: `harness data check`.

    Args:
        data: an .npz, a .csv, a folder of images or sounds, `module:function`, or arrays by their names.
        model: that they are to fit.

    Returns:
        What was found, a sentence each, as the command prints it.

    Raises:
        UserInputError: naming file, key and what was expected.
    """
    from harness.workloads.described import described_samples

    path = data_file(data)
    assert path is not None
    return described_samples(Path(path), model=None if model is None else Path(model))


@dataclass(frozen=True, eq=False)
class DeviceCheck:
    """What became of each step of a device's check."""

    device: str
    steps: tuple[CheckStep, ...]

    def __repr__(self) -> str:
        return f"<harness check of {self.device}: {'ok' if self.is_good else 'failed'}>"

    @property
    def is_good(self) -> bool:
        """Whether every step went well: what makes the command end with 0."""
        return all(step.ok for step in self.steps)

    def to_frame(self) -> pd.DataFrame:
        """A row per step: `step`, `ok`, `detail`."""
        import pandas as pd

        rows = [{"step": step.name, "ok": step.ok, "detail": step.detail} for step in self.steps]
        return pd.DataFrame(rows, columns=["step", "ok", "detail"])


@told
def check_device(
    name: str,
    *,
    emulated: bool = False,
    devices_dir: PathLike | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> DeviceCheck:
    """Connects to a device and runs a tiny model on each of its backends: `harness devices check`. The board is leased meanwhile.

    Args:
        emulated: the device's emulated twin.
        devices_dir: a folder with profiles, searched first.
        note: told what is going on.

    Raises:
        HarnessError: no such device. What the board does wrong is a step that failed.
    """
    from harness.boards.check import check_device as steps_of
    from harness.boards.resolve import get_profile

    profile = get_profile(name, text(devices_dir), emulated=emulated)
    return DeviceCheck(profile.name, tuple(steps_of(profile, progress=note)))


@told
def flash_device(
    name: str,
    *,
    build: bool = False,
    emulated: bool = False,
    devices_dir: PathLike | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> str:
    """Brings a microcontroller's firmware onto its board and proves that it runs: `harness devices flash`.

    Args:
        build: compile the firmware first, where that was not done yet.
        emulated: the device's emulated twin.
        devices_dir: a folder with profiles, searched first.
        note: told what is going on.

    Returns:
        What was done, in words; a board that runs the firmware already is left alone.

    Raises:
        HarnessError: no such device, it cannot be flashed from here, or it does not run what it was given.
    """
    from harness.boards.flashing import flash_device as flash

    return flash(name, text(devices_dir), emulated=emulated, build=build, say=note)


@told
def add_device(
    address: str,
    *,
    fingerprint: str | None = None,
    name: str | None = None,
    user: str | None = None,
    port: int = 22,
    keys: Names = (),
    jump: str | None = None,
    jump_fingerprint: str | None = None,
    python: str = "python3",
    folder: PathLike | None = None,
    force: bool = False,
) -> AddedBoard:
    """Looks at a board over SSH and writes its profile: `harness devices add`.

    Nobody is asked whether a host key is the board's: it is pinned already, or `fingerprint` is what the board itself says of it
    (`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`).

    Args:
        address: `HOST` or `USER@HOST`.
        fingerprint, jump_fingerprint: `SHA256:...` of the host keys.
        name: the device's name; None: made of the board's model.
        user, port, keys, jump: how to log in, as in a profile.
        python: the interpreter on the board.
        folder: where the profile goes; None: `./devices` where there is one, else the user's settings.
        force: replace a profile of that name.

    Returns:
        `name`, `path` of the profile, `facts` of the board, `notes`.

    Raises:
        HarnessError: the key is not known or another one, the login is refused, or the board lacks something.
    """
    from harness.boards.linux.add import add_board, ssh_link
    from harness.boards.linux.enroll import enroll_link

    link = ssh_link(address, user=user, port=port, keys=names(keys), jump=jump)
    enroll_link(link, fingerprint=fingerprint, jump_fingerprint=jump_fingerprint)
    return add_board(link, name=name, python=python, folder=text(folder), force=force)
