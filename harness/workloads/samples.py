"""The user's .npz as a model of the user's own wants it."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.core.errors import UserInputError
from harness.core.files import sha256_json
from harness.core.tensor import TensorIo
from harness.workloads.archive import Archive, ArrayHeader
from harness.workloads.base import Dataset, State
from harness.workloads.datasets import DataSource
from harness.workloads.digest import cached_digest
from harness.workloads.input_keys import InputKeys, array_of, input_keys
from harness.workloads.metrics.base import Metric
from harness.workloads.npz import check_finite, check_kind, file_digest, npz_keys
from harness.workloads.outputs import OutputMetric, label_keys
from harness.workloads.prepare import fitting_shape, is_whole_input, whole_numbers
from harness.workloads.rows import InputRows, Rows, StoredRows
from harness.workloads.rows import Samples as AllSamples
from harness.workloads.sequences import checked_sequences
from harness.workloads.sources.imported import Imported, read_about, told_of_source
from harness.workloads.user_metric import data_words, ends_for

if TYPE_CHECKING:
    from harness.workloads.user import ModelEnds

#: raise it when samples are read differently: part of the digest
_READ_VERSION = 1
#: samples that take more than this as float32 stay in their file, and rows of them are read as they are needed
_WHOLE_BYTES = 256 << 20


@dataclass(frozen=True, kw_only=True)
class Samples:
    """The user's .npz as the model wants it. `x_test`/`y_test` (and `x_train`/`y_train`), or `x`/`y`, or `x` alone.

    Of a model with several inputs, `x_test_NAME` (`x_train_NAME`, `x_NAME` or `NAME`) are the samples of the input NAME.
    Of a model with several outputs, `y_test_NAME` (`y_train_NAME`, `y_NAME`) are the labels of the output NAME, which may be its
    position; the plain names are the first one's.

    `sequence`, the number of each evaluated sample's sequence, makes the model's state be carried within one.

    Two numbers may stand beside them: `scale` and `offset`, applied as x * scale + offset (`scale_NAME` and `offset_NAME` of one
    of several inputs). Without them values go in as they are (uint8 pixels as 0..255). Where the dtype of `x` is the integer
    dtype of a .tflite's input, the values are
    the tensor's own and reach the model unchanged.
    """

    path: Path
    ends: ModelEnds
    metric: Metric | None
    output: int = 0
    further: tuple[OutputMetric, ...] = ()

    def digest(self, source: DataSource) -> str:
        """The digest of what `load` returns; remembered per file."""
        rules: list[Any] = [self.ends.kind, data_words(self.metric), _rule(self.ends.input)]
        more = sorted({key for base in _LABELS for key in self._label_keys(base).values()} - set(_KNOWN_KEYS))
        if self.ends.several:
            keys = npz_keys(self.path)
            rules.append([[one.name, _rule(one.io)] for one in self.ends.several])
            found = self._inputs(keys)
            arrays = [key for part in found.parts.values() for key in part.values()]
            more += sorted({*arrays, *self._scale_keys(found, keys)} - {*more, *_KNOWN_KEYS})
        if self.output or self.further:
            rules.append([self.output, *([one.output, data_words(one.metric)] for one in self.further)])
        tag = f"user {_READ_VERSION}" + "".join(f" {key}" for key in more)
        return sha256_json([cached_digest(self.path, tag, lambda: self._raw_digest(more)), rules])

    def _raw_digest(self, more: list[str]) -> str:
        return file_digest(self.path, [k for k in npz_keys(self.path) if k in (*_KNOWN_KEYS, *more)])

    def _inputs(self, keys: Sequence[str]) -> InputKeys:
        """Where the samples of each input stand."""
        return input_keys(keys, self.ends.several, str(self.path))

    def _scale_keys(self, found: InputKeys, keys: Sequence[str]) -> list[str]:
        """The arrays that scale the samples of an input."""
        names = next(iter(found.parts.values()), {"": ""})
        return [key for name in names for base in _SCALES if (key := array_of(base, name)) in keys]

    def _io(self, name: str) -> TensorIo | None:
        """What is known of an input."""
        return next((one.io for one in self.ends.several if one.name == name), self.ends.input)

    def _label_keys(self, base: str) -> dict[int, str]:
        """Position of each output that has labels -> their array."""
        return label_keys(npz_keys(self.path), base, self.ends.outputs, str(self.path))

    def load(self, source: DataSource) -> Dataset:
        """Reads, checks and converts the samples.

        Raises:
            UserInputError: naming file, key and what was expected.
        """
        with told_of_source(self.path), Archive(self.path) as archive:
            return self._load(archive, source)

    def check_shapes(self) -> None:
        """Refuses samples that do not fit the model, by their headers alone.

        Raises:
            UserInputError: naming file, key and what was expected.
        """
        with told_of_source(self.path), Archive(self.path) as archive:
            found = self._inputs(archive.keys)
            for part in (found.test, "x_train", "x_calibration"):
                for name, key in found.parts.get(part, {}).items():
                    header = archive.header(key)
                    self._check_kind(header)
                    self._fitting(header, name)
                self._same_count(archive, found, part)

    def _load(self, archive: Archive, source: DataSource) -> Dataset:
        keys, about = archive.keys, read_about(self.path)
        found = self._inputs(keys)
        split = found.test == "x_test"
        x_key, y_key = found.test, "y_test" if split else "y"
        train_keys = ("x_train", "y_train", "y_calibration") if split and source.parts == "all" else ()
        label_arrays = [key for base in (y_key, *train_keys[1:]) for key in self._label_keys(base).values()]
        small = [key for key in (*label_arrays, *self._scale_keys(found, keys), SEQUENCE) if key in keys]
        arrays = {key: archive.read(key) for key in small}
        x_test = self._samples(archive, found, x_key, arrays)
        y_test, y_test_of = self._labels(arrays, y_key, len(x_test))
        x_train = y_train = x_calibration = y_calibration = None
        y_train_of: dict[str, np.ndarray] = {}
        if train_keys and "x_train" in found.parts:
            x_train = self._samples(archive, found, "x_train", arrays)
            y_train, y_train_of = self._labels(arrays, "y_train", len(x_train))
        if train_keys and "x_calibration" in found.parts:
            x_calibration = self._samples(archive, found, "x_calibration", arrays)
            y_calibration, _ = self._labels(arrays, "y_calibration", len(x_calibration))
        elif source.parts == "all" and x_train is None:
            x_train = x_test  # calibrates activations; without labels nothing is trained on what is evaluated
        return Dataset(
            name=self.path.stem,
            note=self._note(archive, found, about),
            digest=self.digest(source),
            x_train=x_train,
            y_train=y_train,
            x_test=x_test,
            y_test=y_test,
            y_train_of=y_train_of,
            y_test_of=y_test_of,
            origin=str(self.path) if about is None else about.source,
            sequences=self._sequences(arrays, len(x_test)),
            x_calibration=x_calibration,
            y_calibration=y_calibration,
        )

    @property
    def state(self) -> State:
        """Where a model that remembers starts anew, as the file says."""
        return "sequence" if SEQUENCE in npz_keys(self.path) else "sample"

    def _sequences(self, arrays: dict[str, np.ndarray], count: int) -> np.ndarray | None:
        if SEQUENCE not in arrays:
            return None
        return checked_sequences(arrays[SEQUENCE], count, str(self.path), SEQUENCE)

    def _samples(self, archive: Archive, found: InputKeys, part: str, arrays: dict[str, np.ndarray]) -> AllSamples:
        """A part's samples, of each input where there are several."""
        rows = {name: self._rows(archive, key, name, arrays) for name, key in found.parts.get(part, {"": part}).items()}
        self._same_count(archive, found, part)
        return InputRows(rows) if self.ends.several else rows[""]

    def _same_count(self, archive: Archive, found: InputKeys, part: str) -> None:
        counts = {key: archive.header(key).shape[:1] for key in found.parts.get(part, {}).values()}
        if len(set(counts.values())) > 1:
            told = ", ".join(f"'{key}' {count[0]:,}" for key, count in counts.items())
            raise UserInputError(f"the arrays hold different numbers of samples: {told}", where=str(self.path))

    def _rows(self, archive: Archive, key: str, name: str, arrays: dict[str, np.ndarray]) -> Rows:
        """One input's, [N, *its shape]: float32, or the whole numbers that one of several takes. In memory, or in the file when
        they are many.
        """
        header = archive.header(key)
        self._check_kind(header)
        shape = self._fitting(header, name)
        scaling = self._scaling(header, name, arrays)
        convert = functools.partial(self._converted, key, shape[1:], *scaling)
        whole = self._whole(name)
        if whole is not None:
            convert = functools.partial(self._whole_numbers, key, shape[1:], scaling, whole)
        dtype = np.dtype(np.float32 if whole is None else whole.dtype)
        if math.prod(shape) * dtype.itemsize > _WHOLE_BYTES and not header.in_fortran_order:
            return StoredRows(self.path, key, shape, convert, dtype)
        archive.require_memory(header, math.prod(shape) * dtype.itemsize)
        return convert(0, archive.read(key))

    def _check_kind(self, header: ArrayHeader) -> None:
        # An input of several may take one number per sample, or yes and no for each place: a mask.
        kinds, axes = ("uifb", 1) if self.ends.several else ("uif", 2)
        check_kind(header.shape, header.dtype, path=self.path, key=header.key, kinds=kinds, axes=axes)

    def _fitting(self, header: ArrayHeader, name: str) -> tuple[int, ...]:
        """The samples' shape as the model takes them, with the number of samples in front."""
        io = self._io(name)
        if io is None:
            return header.shape
        try:
            return fitting_shape(header.shape, io)
        except UserInputError as error:
            what = f"array '{header.key}' does not fit the model: {error.what}"
            raise UserInputError(what, where=str(self.path), hint=error.hint) from error

    def _whole(self, name: str) -> TensorIo | None:
        """An input of several that takes whole numbers, such as indices of words: they are kept as such."""
        io = self._io(name) if name else None
        return io if io is not None and is_whole_input(io) else None

    def _scaling(
        self, header: ArrayHeader, name: str, arrays: dict[str, np.ndarray]
    ) -> tuple[np.float32, np.float32, np.float32]:
        """What turns stored values into real ones: (x - zero point) * scale + offset."""
        io = self._io(name)
        if io is not None and _are_tensor_values(header.dtype, io) and self._whole(name) is None:
            return np.float32(io.zero_point), np.float32(io.scale), np.float32(0)
        scale, offset = (
            self._number(arrays, array_of(base, name), plain) for base, plain in zip(_SCALES, (1.0, 0.0), strict=True)
        )
        return np.float32(0), np.float32(scale), np.float32(offset)

    def _converted(
        self,
        key: str,
        sample: tuple[int, ...],
        zero_point: np.float32,
        scale: np.float32,
        offset: np.float32,
        first: int,
        raw: np.ndarray,
    ) -> np.ndarray:
        """Stored rows, the first of which is number `first`, as float32 [n, *sample]."""
        check_finite(raw, path=self.path, key=key, first=first)
        x = raw.reshape(len(raw), *sample).astype(np.float32)
        if zero_point:
            x -= zero_point
        if scale != 1:
            x *= scale
        if offset:
            x += offset
        return x

    def _whole_numbers(
        self,
        key: str,
        sample: tuple[int, ...],
        scaling: tuple[np.float32, np.float32, np.float32],
        io: TensorIo,
        first: int,
        raw: np.ndarray,
    ) -> np.ndarray:
        """Stored rows as the whole numbers of an input's type, [n, *sample]."""
        check_finite(raw, path=self.path, key=key, first=first)
        plain = scaling == (0, 1, 0)
        x = raw.reshape(len(raw), *sample) if plain else self._converted(key, sample, *scaling, first, raw)
        try:
            return whole_numbers(x, io)
        except UserInputError as error:
            what = f"array '{key}' does not fit the input '{io.name}': {error.what}"
            raise UserInputError(what, where=str(self.path), hint=error.hint) from error

    def _number(self, arrays: dict[str, np.ndarray], key: str, default: float) -> float:
        if key not in arrays:
            return default
        if arrays[key].size != 1 or arrays[key].dtype.kind not in "uif" or not np.isfinite(arrays[key]).all():
            what = (
                f"array '{key}' is {arrays[key].dtype} of shape {list(arrays[key].shape)}, expected one finite number"
            )
            raise UserInputError(what, where=str(self.path))
        return float(arrays[key].reshape(()))

    def _labels(
        self, arrays: dict[str, np.ndarray], base: str, count: int
    ) -> tuple[np.ndarray | None, dict[str, np.ndarray]]:
        """The labels of the main output, and those of the others by its name, of the arrays that are called by `base`."""
        places = self._label_keys(base)

        def checked(position: int, metric: Metric | None) -> np.ndarray | None:
            key = places.get(position)
            if metric is None or key is None:
                return None
            if len(arrays[key]) != count:
                what = f"array '{key}' has {len(arrays[key])} labels for {count} samples"
                raise UserInputError(what, where=str(self.path))
            return metric.checked(arrays[key], ends_for(self.ends.outputs[position], self.path, key))

        others = {one.name: checked(one.output, one.metric) for one in self.further}
        return checked(self.output, self.metric), {name: rows for name, rows in others.items() if rows is not None}

    def _note(self, archive: Archive, found: InputKeys, about: Imported | None) -> str:
        keys = archive.keys
        headers = {name: archive.header(key) for name, key in found.parts[found.test].items()}
        forms = [_named(f"{x.dtype} {'x'.join(map(str, x.shape[1:]))}", name) for name, x in headers.items()]
        count, form = next(iter(headers.values())).shape[0], f"samples of {' and '.join(forms)}"
        words = [f"{self.path.name}, {count:,} {form}"] if about is None else [about.note, form]
        words += [_named(self._values(x, name, keys, about), name) for name, x in headers.items()]
        if self.ends.kind == "keras" and not {"x_train", "x_calibration"} & set(found.parts):
            words.append("the evaluated samples calibrate activations too, and nothing is trained on")
        if SEQUENCE in keys:
            words.append("the model's state is carried within a sequence of samples")
        if self.metric is None:
            words.append("no labels: agreement with the reference only")
        return "; ".join(words)

    def _values(self, x: ArrayHeader, name: str, keys: Sequence[str], about: Imported | None) -> str:
        """What becomes of the stored values of an input."""
        io = self._io(name)
        if io is not None and _are_tensor_values(x.dtype, io):
            return f"values of the {io.dtype} input as they are"
        if any(array_of(base, name) in keys for base in _SCALES):
            return "scaled by the file's scale and offset" if about is None else "scaled as the project says"
        return "values as they are"


def _named(words: str, name: str) -> str:
    return f"{name}: {words}" if name else words


#: the array that says which samples follow each other
SEQUENCE = "sequence"
_SCALES = ("scale", "offset")
_LABELS = ("y_test", "y_train", "y_calibration", "y")
_KNOWN_KEYS = (
    *("x_train", "y_train", "x_calibration", "y_calibration", "x_test", "y_test", "x", "y", "scale", "offset"),
    SEQUENCE,
)


def _rule(io: TensorIo | None) -> Any:
    return io and [io.dtype, list(io.shape), io.scale, io.zero_point]


def _are_tensor_values(dtype: np.dtype, io: TensorIo) -> bool:
    return io.dtype in ("int8", "uint8", "int16") and dtype == io.dtype
