"""A model of the user's own as a workload: a .keras, .h5 or .tflite file, or a SavedModel folder, with an .npz of samples."""

from __future__ import annotations

import functools
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from harness.core.errors import UserInputError
from harness.core.files import exists, sha256_json, short_name
from harness.core.tensor import TensorIo
from harness.project.settings import DataSettings, PreprocessingSettings
from harness.workloads.archive import Archive, ArrayHeader
from harness.workloads.base import Dataset, Schedule, State, Workload
from harness.workloads.checks.inputs import refuse_open_inputs
from harness.workloads.checks.outputs import model_outputs, units_and_places
from harness.workloads.datasets import DataSource
from harness.workloads.digest import cached_digest
from harness.workloads.keras.signature import split_signature
from harness.workloads.metrics.base import Ends, Metric
from harness.workloads.npz import check_finite, check_kind, file_digest, npz_keys
from harness.workloads.outputs import OutputMetric, label_keys, output_name
from harness.workloads.prepare import fitting_shape, quantize_samples
from harness.workloads.random_inputs import RandomInputs
from harness.workloads.rows import Rows, StoredRows
from harness.workloads.sequences import checked_sequences
from harness.workloads.sources.function import is_function
from harness.workloads.sources.imported import Imported, import_data, is_plain_npz, read_about
from harness.workloads.sources.parts import Wanted
from harness.workloads.user_metric import Judged, chosen_metrics, data_words, ends_for

if TYPE_CHECKING:
    from harness.project.project import Project
    from harness.workloads.keras.graph import KerasOutput

#: raise it when samples are read differently: part of the digest
_READ_VERSION = 1
#: samples that take more than this as float32 stay in their file, and rows of them are read as they are needed
_WHOLE_BYTES = 256 << 20
#: an already trained model is only trained on gently, and on at most this many samples
_SCHEDULE = Schedule(
    epochs=0,
    batch_size=32,
    learning_rate=0.001,
    finetune_epochs=1,
    finetune_batch_size=32,
    finetune_samples=5000,
    finetune_learning_rate=0.0001,
)


@dataclass(frozen=True, kw_only=True)
class ModelEnds:
    """What is known about the user's model without running it.

    `input` has -1 where any size fits; None when the file does not say. `outputs` are all that the model has, in its order.
    `signature` is the name of a SavedModel's that has no layers.
    """

    kind: Literal["keras", "tflite"]
    input: TensorIo | None
    outputs: tuple[Ends, ...]
    keras_major: Literal[2, 3] = 2
    signature: str | None = None

    def is_logits(self, output: int) -> bool:
        """Whether the output at a position is no shares."""
        return not self.outputs[output].squashed


def model_ends(path: Path) -> ModelEnds:
    """Reads what a model file says about its one input and its outputs.

    Raises:
        UserInputError: missing, damaged or unsafe file, or a model with several inputs.
    """
    if path.suffix.lower() == ".tflite":
        return _tflite_ends(path)
    from harness.workloads.keras.file import is_qat, read_keras_file
    from harness.workloads.keras.graph import keras_ends

    file = read_keras_file(path)
    if is_qat(file):
        raise UserInputError(
            "the model is wrapped for quantization-aware training already",
            where=str(path),
            hint="give the float model it was made from; `harness audit` explains this one",
        )
    ends = keras_ends(file)
    shape = ends.input_shape
    io = TensorIo(name="input", dtype="float32", shape=(-1, *shape)) if shape is not None else None
    outputs = tuple(_keras_output(output, shape) for output in ends.outputs)
    outputs = tuple(replace(output, together=outputs) for output in outputs)
    signature = file.signature.name if file.signature is not None else None
    return ModelEnds(kind="keras", input=io, outputs=outputs, keras_major=file.keras_major, signature=signature)


def _keras_output(output: KerasOutput, input_shape: tuple[int, ...] | None) -> Ends:
    units, places = units_and_places(output.shape)
    return Ends(
        name=output.name,
        units=output.units if units is None else units,
        places=places,
        squashed=output.squashed_by is not None,
        squashed_by=output.squashed_by,
        shape=output.shape,
        input_shape=input_shape,
    )


def _tflite_ends(path: Path) -> ModelEnds:
    from harness.tflite.graph import read_graph

    graph = read_graph(path)
    if len(graph.inputs) != 1 or not graph.outputs:
        what = f"the model has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs, expected one input"
        raise UserInputError(what, where=str(path), hint="`harness measure` takes models with several inputs")
    refuse_open_inputs(graph)
    tensor = graph.tensors[graph.inputs[0]]
    shape = tensor.shape_signature or tensor.shape
    scale, zero_point = (tensor.scales[0], tensor.zero_points[0]) if tensor.is_quantized else (0.0, 0)
    if shape[:1] in ((1,), (-1,)):
        shape = (-1, *shape[1:])
    io = TensorIo(name=tensor.name, dtype=tensor.dtype, shape=shape, scale=scale, zero_point=zero_point)
    return ModelEnds(kind="tflite", input=io, outputs=model_outputs(graph))


@dataclass(frozen=True, kw_only=True)
class Samples:
    """The user's .npz as the model wants it. `x_test`/`y_test` (and `x_train`/`y_train`), or `x`/`y`, or `x` alone.

    Of a model with several outputs, `y_test_NAME` (`y_train_NAME`, `y_NAME`) are the labels of the output NAME, which may be its
    position; the plain names are the first one's.

    `sequence`, the number of each evaluated sample's sequence, makes the model's state be carried within one.

    Two numbers may stand beside them: `scale` and `offset`, applied as x * scale + offset. Without them values go in as
    they are (uint8 pixels as 0..255). Where the dtype of `x` is the integer dtype of a .tflite's input, the values are
    the tensor's own and reach the model unchanged.
    """

    path: Path
    ends: ModelEnds
    metric: Metric | None
    output: int = 0
    further: tuple[OutputMetric, ...] = ()

    def digest(self, source: DataSource) -> str:
        """The digest of what `load` returns; remembered per file."""
        io = self.ends.input
        rules: list[Any] = [
            self.ends.kind,
            data_words(self.metric),
            io and [io.dtype, list(io.shape), io.scale, io.zero_point],
        ]
        more = sorted({key for base in _LABELS for key in self._label_keys(base).values()} - set(_KNOWN_KEYS))
        if self.output or self.further:
            rules.append([self.output, *([one.output, data_words(one.metric)] for one in self.further)])
        tag = f"user {_READ_VERSION}" + "".join(f" {key}" for key in more)
        return sha256_json([cached_digest(self.path, tag, lambda: self._raw_digest(more)), rules])

    def _raw_digest(self, more: list[str]) -> str:
        return file_digest(self.path, [k for k in npz_keys(self.path) if k in (*_KNOWN_KEYS, *more)])

    def _label_keys(self, base: str) -> dict[int, str]:
        """Position of each output that has labels -> their array."""
        return label_keys(npz_keys(self.path), base, self.ends.outputs, str(self.path))

    def load(self, source: DataSource) -> Dataset:
        """Reads, checks and converts the samples.

        Raises:
            UserInputError: naming file, key and what was expected.
        """
        with Archive(self.path) as archive:
            return self._load(archive, source)

    def check_shapes(self) -> None:
        """Refuses samples that do not fit the model, by their headers alone.

        Raises:
            UserInputError: naming file, key and what was expected.
        """
        with Archive(self.path) as archive:
            for key in ("x_test" if "x_test" in archive.keys else "x", "x_train", "x_calibration"):
                if key in archive.keys:
                    header = archive.header(key)
                    check_kind(header.shape, header.dtype, path=self.path, key=key)
                    self._fitting(header)

    def _load(self, archive: Archive, source: DataSource) -> Dataset:
        keys, about = archive.keys, read_about(self.path)
        split = "x_test" in keys
        x_key, y_key = ("x_test", "y_test") if split else ("x", "y")
        train_keys = ("x_train", "y_train", "y_calibration") if split and source.parts == "all" else ()
        label_arrays = [key for base in (y_key, *train_keys[1:]) for key in self._label_keys(base).values()]
        small = [key for key in (*label_arrays, "scale", "offset", SEQUENCE) if key in keys]
        arrays = {key: archive.read(key) for key in small}
        x_test = self._samples(archive, x_key, arrays)
        y_test, y_test_of = self._labels(arrays, y_key, len(x_test))
        x_train = y_train = x_calibration = y_calibration = None
        y_train_of: dict[str, np.ndarray] = {}
        if train_keys and "x_train" in keys:
            x_train = self._samples(archive, "x_train", arrays)
            y_train, y_train_of = self._labels(arrays, "y_train", len(x_train))
        if train_keys and "x_calibration" in keys:
            x_calibration = self._samples(archive, "x_calibration", arrays)
            y_calibration, _ = self._labels(arrays, "y_calibration", len(x_calibration))
        elif source.parts == "all" and x_train is None:
            x_train = x_test  # calibrates activations; without labels nothing is trained on what is evaluated
        return Dataset(
            name=self.path.stem,
            note=self._note(keys, archive.header(x_key), about),
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

    def _samples(self, archive: Archive, key: str, arrays: dict[str, np.ndarray]) -> Rows:
        """float32 [N, *the model's input shape]; in memory, or in the file when they are many."""
        header = archive.header(key)
        check_kind(header.shape, header.dtype, path=self.path, key=key)
        shape = self._fitting(header)
        convert = functools.partial(self._converted, key, shape[1:], *self._scaling(header, arrays))
        if math.prod(shape) * 4 > _WHOLE_BYTES and not header.in_fortran_order:
            return StoredRows(self.path, key, shape, convert)
        archive.require_memory(header, math.prod(shape) * 4)
        return convert(0, archive.read(key))

    def _fitting(self, header: ArrayHeader) -> tuple[int, ...]:
        """The samples' shape as the model takes them, with the number of samples in front."""
        if self.ends.input is None:
            return header.shape
        try:
            return fitting_shape(header.shape, self.ends.input)
        except UserInputError as error:
            what = f"array '{header.key}' does not fit the model: {error.what}"
            raise UserInputError(what, where=str(self.path), hint=error.hint) from error

    def _scaling(self, header: ArrayHeader, arrays: dict[str, np.ndarray]) -> tuple[np.float32, np.float32, np.float32]:
        """What turns stored values into real ones: (x - zero point) * scale + offset."""
        io = self.ends.input
        if io is not None and _are_tensor_values(header.dtype, io):
            return np.float32(io.zero_point), np.float32(io.scale), np.float32(0)
        scale, offset = (self._number(arrays, name, default) for name, default in (("scale", 1.0), ("offset", 0.0)))
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

    def _note(self, keys: list[str], x: ArrayHeader, about: Imported | None) -> str:
        form = f"samples of {x.dtype} {'x'.join(map(str, x.shape[1:]))}"
        words = [f"{self.path.name}, {x.shape[0]:,} {form}"] if about is None else [about.note, form]
        io = self.ends.input
        if io is not None and _are_tensor_values(x.dtype, io):
            words.append(f"values of the {io.dtype} input as they are")
        elif "scale" in keys or "offset" in keys:
            words.append("scaled by the file's scale and offset" if about is None else "scaled as the project says")
        else:
            words.append("values as they are")
        if self.ends.kind == "keras" and not {"x_train", "x_calibration"} & set(keys):
            words.append("the evaluated samples calibrate activations too, and nothing is trained on")
        if SEQUENCE in keys:
            words.append("the model's state is carried within a sequence of samples")
        if self.metric is None:
            words.append("no labels: agreement with the reference only")
        return "; ".join(words)


#: the array that says which samples follow each other
SEQUENCE = "sequence"
_LABELS = ("y_test", "y_train", "y_calibration", "y")
_KNOWN_KEYS = (
    *("x_train", "y_train", "x_calibration", "y_calibration", "x_test", "y_test", "x", "y", "scale", "offset"),
    SEQUENCE,
)


def _are_tensor_values(dtype: np.dtype, io: TensorIo) -> bool:
    return io.dtype in ("int8", "uint8", "int16") and dtype == io.dtype


def user_workload(
    path: Path, data: Path | None, metric_name: str | None = None, *, project: Project | None = None
) -> Workload:
    """A workload made of the user's model and samples.

    Args:
        path: .keras, .h5, .tflite, a SavedModel folder, or `FOLDER#SIGNATURE`.
        data: an .npz (see `Samples`), or whatever `import_data` makes one of; a .tflite does without, then its inputs are random.
        metric_name: what it is judged by; None: what output and labels ask for.
        project: says how the samples become the model's; None: the usual ways.

    Raises:
        UserInputError: a file is missing or damaged, the model carries code, or model, samples and metric do not fit.
    """
    path = path.expanduser().absolute()
    if not exists(split_signature(path)[0]):
        known = "a known workload, or a .keras, .h5 or .tflite file or SavedModel folder"
        raise UserInputError("no such file or folder", where=str(path), hint=f"expected {known}")
    ends = model_ends(path)
    if data is None:
        if ends.kind == "keras":
            raise UserInputError(
                "a model of your own needs samples: they calibrate activations and measure accuracy",
                where=str(path),
                hint="give them by --data: an .npz with x_train, y_train, x_test, y_test (or x and y), a .csv, a folder of "
                "images or .wav per class, or module:function",
            )
        assert ends.input is not None
        if not (ends.input.dtype.startswith("float") or ends.input.scale > 0):
            raise UserInputError(
                f"the {ends.input.dtype} input carries no quantization scale, so random values say nothing about the model",
                where=str(path),
                hint="give samples by --data samples.npz",
            )
        quantize_samples(np.zeros((1, *(max(axis, 1) for axis in ends.input.sample_shape)), np.float32), ends.input)
        if metric_name is not None:
            raise UserInputError(f"the metric '{metric_name}' needs samples with labels", hint="give an .npz by --data")
        samples: Samples | RandomInputs = RandomInputs(io=ends.input)
        judged = Judged()
    else:
        data = imported(data.expanduser().absolute(), ends, project)
        Samples(path=data, ends=ends, metric=None).check_shapes()
        judged = chosen_metrics(data, ends.outputs, metric_name)
        samples = Samples(path=data, ends=ends, metric=judged.metric, output=judged.output, further=judged.further)
    build_model = None
    if ends.kind == "keras":
        from harness.workloads.keras.load import load_keras_model

        build_model = functools.partial(load_keras_model, path)
    return Workload(
        name=workload_name(path),
        title=f"{path.name} (a model of your own)",
        metric=judged.metric,
        output=judged.output,
        output_name=output_name(ends.outputs, judged.output) if len(ends.outputs) > 1 else "",
        further=judged.further,
        left_out=judged.left_out,
        metric_text=metric_name,
        load_dataset=samples.load,
        dataset_digest=samples.digest,
        build_model=build_model,
        schedule=_SCHEDULE,
        model_path=str(path),
        data_path=str(data) if data else None,
        from_logits=ends.is_logits(judged.output),
        logits_of={one.name: ends.is_logits(one.output) for one in judged.further},
        state=samples.state if isinstance(samples, Samples) else "sample",
        keras_major=ends.keras_major,
    )


def imported(data: Path, ends: ModelEnds, project: Project | None) -> Path:
    """The .npz of samples in any form. An .npz outside of a project is taken as it is."""
    if project is None and is_plain_npz(data) or read_about(data) is not None:
        return data
    return import_samples(data, ends, project).path


def import_samples(data: Path, ends: ModelEnds, project: Project | None) -> Imported:
    """Samples in any form as an .npz for this model.

    Raises:
        UserInputError: as `import_data`.
    """
    settings = project.settings if project is not None else None
    if project is not None and is_function(data):
        project.refuse_foreign()
    return import_data(
        data,
        Wanted(input=ends.input, finished=ends.kind == "tflite"),
        settings.data if settings is not None and settings.data is not None else DataSettings(path=str(data)),
        settings.preprocessing if settings is not None else PreprocessingSettings(),
        labels=settings is None or settings.score.task != "none",
    )


def workload_name(path: Path) -> str:
    """The file's stem in the characters of a test id; a published workload's name is never taken."""
    from harness.workloads.registry import workload_names

    stem = short_name(re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-.") or "model")
    return f"user-{stem}" if stem in workload_names() else stem
