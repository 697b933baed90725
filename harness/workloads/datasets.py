"""Where samples come from: the user's files, the Keras cache, what `harness data fetch` brought, the bundled digits.

Nothing here downloads. A published dataset that is not on this machine is replaced by scikit-learn's bundled digits,
and the dataset's note, which stands under every table, says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from harness.core import paths
from harness.core.errors import UserInputError
from harness.core.files import sha256_json
from harness.workloads import digits
from harness.workloads.base import Dataset, stratified_order
from harness.workloads.digest import arrays_digest, cached_digest
from harness.workloads.npz import check_labels, check_samples, read_arrays


@dataclass(frozen=True, kw_only=True)
class Published:
    """A public dataset in the Keras file layout: `x_train`, `y_train`, `x_test`, `y_test`, pixels 0..255 as uint8.

    `pattern` is the glob of its file names; the exact name `NAME.npz` goes first.
    """

    name: str
    title: str
    pattern: str
    sample_shape: tuple[int, ...]
    classes: int = 10


MNIST = Published(name="mnist", title="MNIST", pattern="mnist.npz", sample_shape=(28, 28))
CIFAR10 = Published(name="cifar10", title="CIFAR-10", pattern="cifar10*.npz", sample_shape=(32, 32, 3))
PUBLISHED = {dataset.name: dataset for dataset in (MNIST, CIFAR10)}


def fetched_dir() -> Path:
    """Where `harness data fetch` puts datasets."""
    return paths.cache_dir() / "data"


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """Which folders are searched for datasets, in this order: the user's, Keras' cache, the harness' own downloads.

    Attributes:
        data_dir: `--data-dir` or `$HARNESS_DATA_DIR`; None when the user gave none.
        keras_dir: the datasets folder of the Keras cache.
        fetched_dir: where `harness data fetch` puts files.
        parts: `test` leaves `x_train` and `y_train` out of loaded datasets, which saves time and memory where only
            evaluation is wanted. Digests stay the same.
        samples: how many test samples will be evaluated at most, None for all; of a large test set no more are made ready.
    """

    data_dir: Path | None = None
    keras_dir: Path | None = None
    fetched_dir: Path | None = None
    parts: Literal["all", "test"] = "all"
    samples: int | None = None

    @classmethod
    def default(cls, option: str | os.PathLike[str] | None = None) -> DataSource:
        """The source of a command: its `--data-dir` option, the environment and the usual folders.

        Raises:
            UserInputError: when the folder that the user named does not exist.
        """
        chosen = paths.data_dir(option)
        if chosen is not None and not chosen.is_dir():
            hint = "--data-dir or HARNESS_DATA_DIR names a folder that holds mnist.npz or cifar10.npz"
            raise UserInputError("the data folder does not exist", where=str(chosen), hint=hint)
        keras_home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
        return cls(data_dir=chosen, keras_dir=keras_home / "datasets", fetched_dir=fetched_dir())

    def test_only(self) -> DataSource:
        """The same source, for evaluation alone."""
        return replace(self, parts="test")

    def find(self, dataset: Published) -> Path | None:
        """The file that holds `dataset`, or None when there is none.

        Raises:
            UserInputError: when a folder holds several candidates and none has the exact name.
        """
        for folder in (self.data_dir, self.keras_dir, self.fetched_dir):
            if folder is None or not folder.is_dir():
                continue
            exact = folder / f"{dataset.name}.npz"
            if exact.is_file():
                return exact
            found = sorted(path for path in folder.glob(dataset.pattern) if path.is_file())
            if len(found) > 1:
                raise UserInputError(
                    f"holds several {dataset.title} files ({', '.join(p.name for p in found)})",
                    where=str(folder),
                    hint=f"keep one, or name the one to use {dataset.name}.npz",
                )
            if found:
                return found[0]
        return None


def read_published(path: Path, dataset: Published, parts: Literal["all", "test"] = "all") -> dict[str, np.ndarray]:
    """Reads and checks a published dataset's file.

    Args:
        parts: `test` leaves `x_train` unread (the big one); `y_train` is read always.

    Returns:
        `x_*`: uint8 [N, *sample_shape]; `y_*`: int64 [N].

    Raises:
        UserInputError: naming file, key and what was expected.
    """
    images = ("x_train", "x_test") if parts == "all" else ("x_test",)
    arrays = read_arrays(path, [*images, "y_train", "y_test"])
    for key in images:
        check_samples(arrays[key], path=path, key=key, sample_shape=dataset.sample_shape)
        if arrays[key].dtype != np.uint8:
            raise UserInputError(
                f"array '{key}' has dtype {arrays[key].dtype}, expected uint8 pixels 0..255",
                where=str(path),
                hint="save the raw pixels; the harness scales them itself",
            )
    for key in ("y_train", "y_test"):
        count = len(arrays[f"x_{key[2:]}"]) if f"x_{key[2:]}" in arrays else len(arrays[key])
        arrays[key] = check_labels(arrays[key], count=count, path=path, key=key, classes=dataset.classes)
    return arrays


@dataclass(frozen=True, kw_only=True)
class LabelRule:
    """A task made from a dataset's class numbers. `name` is part of the digest, so a changed rule gets a new name."""

    name: str
    note: str
    apply: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class View:
    """How a workload sees a published dataset, or the bundled digits where that is absent.

    Attributes:
        published: the dataset it wants.
        size: height and width of its images, pixels; images of another size are resized bilinearly.
        channels: 0 for [N, H, W], else [N, H, W, channels] (grey is repeated).
        max_train: at most this many training samples (a stratified choice, in file order); None for all.
        rule: what becomes of the class numbers; None leaves them.
        version: part of the digest; raise it when the transformation's code changes.
    """

    published: Published
    size: int
    channels: int = 0
    max_train: int | None = None
    rule: LabelRule | None = None
    version: int = 1

    def digest(self, source: DataSource) -> str:
        """The digest of what `load` returns, cheap: the digest of the file's content is remembered.

        It covers every array of the file (before scaling) and everything that the transformation depends on.
        """
        path = source.find(self.published)
        if path is None:
            kind = f"digits split {digits.SPLIT_VERSION}"
            raw = cached_digest(digits.digits_path(), kind, lambda: arrays_digest(digits.split_digits()))
        else:
            kind = f"{self.published.name} file 1"
            raw = cached_digest(path, kind, lambda: arrays_digest(read_published(path, self.published)))
        rule = self.rule.name if self.rule else None
        return sha256_json([raw, self.size, self.channels, self.max_train, rule, self.version])

    def load(self, source: DataSource) -> Dataset:
        """Reads, checks and transforms the samples to float32 in 0..1.

        Raises:
            UserInputError: naming file, key and what was expected.
        """
        path = source.find(self.published)
        if path is None:
            arrays, top = digits.split_digits(), digits.MAX_VALUE
        else:
            arrays, top = read_published(path, self.published, source.parts), 255
        chosen = self._chosen(arrays["y_train"])
        with_train = source.parts == "all"
        return Dataset(
            name=self._name(path),
            note=self._note(path, train=len(chosen), all_train=len(arrays["y_train"]), test=len(arrays["y_test"])),
            digest=self.digest(source),
            x_train=self._images(arrays["x_train"][chosen], top) if with_train else None,
            y_train=self._labels(arrays["y_train"][chosen]) if with_train else None,
            x_test=self._images(arrays["x_test"], top),
            y_test=self._labels(arrays["y_test"]),
            origin=str(path) if path else "bundled with scikit-learn",
        )

    def _chosen(self, labels: np.ndarray) -> np.ndarray:
        if self.max_train is None or len(labels) <= self.max_train:
            return np.arange(len(labels))
        return np.sort(stratified_order(labels, len(labels))[: self.max_train])

    def _images(self, raw: np.ndarray, top: int) -> np.ndarray:
        """uint8 [N, h, w] or [N, h, w, C] in 0..top -> float32 [N, size, size] or [N, size, size, channels] in 0..1."""
        x = raw.astype(np.float32) if raw.shape[1] == self.size else digits.upscale(raw, self.size)
        x /= np.float32(top)
        if self.channels and x.ndim == 3:
            x = np.repeat(x[..., None], self.channels, axis=3)
        return x

    def _labels(self, labels: np.ndarray) -> np.ndarray:
        return self.rule.apply(labels).astype(np.int64) if self.rule else labels

    def _name(self, path: Path | None) -> str:
        base = "digits" if path is None else path.stem.replace("_", "-")
        native = path is not None and self.published.sample_shape[0] == self.size
        size = "" if native else f"-{self.size}x{self.size}"
        return f"{base}{size}" + (f"-{self.rule.name}" if self.rule else "")

    def _note(self, path: Path | None, *, train: int, all_train: int, test: int) -> str:
        native = 8 if path is None else self.published.sample_shape[0]
        if path is None:
            what = f"scikit-learn's bundled handwritten digits, {native}x{native} upscaled to {self.size}x{self.size}"
        else:
            what = f"{self.published.title} ({path.name})"
            if native != self.size:
                what += f", {native}x{native} upscaled to {self.size}x{self.size}"
        if path is None and self.channels > 1:
            what += f", grey repeated in {self.channels} channels"
        counts = f"{train:,} train / {test:,} test"
        if train != all_train:
            counts = f"{train:,} of {all_train:,} train (stratified) / {test:,} test"
        words = [f"{what}, {counts}"]
        if path is None:
            words.append(f"not {self.published.title}")
        if self.rule:
            words.append(self.rule.note)
        return "; ".join(words)
