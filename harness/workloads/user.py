"""A model of the user's own as a workload: a .keras, .h5 or .tflite file, or a SavedModel folder, with an .npz of samples."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from harness.core.errors import UserInputError
from harness.core.files import exists
from harness.core.tensor import TensorIo
from harness.project.settings import DataSettings, PreprocessingSettings
from harness.workloads.base import Schedule, Workload
from harness.workloads.checks.inputs import refuse_open_inputs
from harness.workloads.checks.outputs import model_outputs, units_and_places
from harness.workloads.finished import finished_model, is_finished, model_stem, plain_name
from harness.workloads.input_names import ModelInput, graph_inputs
from harness.workloads.keras.signature import split_signature
from harness.workloads.metrics.base import Ends
from harness.workloads.outputs import output_name
from harness.workloads.prepare import is_whole_input, quantize_samples
from harness.workloads.random_inputs import RandomInputs
from harness.workloads.samples import Samples
from harness.workloads.sources.function import is_function
from harness.workloads.sources.imported import Imported, import_data, is_plain_npz, read_about
from harness.workloads.sources.parts import Wanted
from harness.workloads.user_metric import Judged, chosen_metrics

if TYPE_CHECKING:
    from harness.project.project import Project
    from harness.workloads.keras.graph import KerasInput, KerasOutput

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

    `input` has -1 where any size fits; None when the file does not say, and for a model with several, which `several` has.
    `outputs` are all that the model has, in its order.
    `signature` is the name of a SavedModel's that has no layers.
    """

    kind: Literal["keras", "tflite"]
    input: TensorIo | None
    outputs: tuple[Ends, ...]
    keras_major: Literal[2, 3] = 2
    signature: str | None = None
    several: tuple[ModelInput, ...] = ()

    def is_logits(self, output: int) -> bool:
        """Whether the output at a position is no shares."""
        return not self.outputs[output].squashed


def model_ends(path: Path) -> ModelEnds:
    """Reads what a model file says about its inputs and outputs.

    Raises:
        UserInputError: missing, damaged or unsafe file, or an input that no samples can be given for.
    """
    if is_finished(path):
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
    shape = ends.inputs[0].shape if len(ends.inputs) == 1 else None
    io = TensorIo(name="input", dtype="float32", shape=(-1, *shape)) if shape is not None else None
    outputs = tuple(_keras_output(output, shape) for output in ends.outputs)
    outputs = tuple(replace(output, together=outputs) for output in outputs)
    signature = file.signature.name if file.signature is not None else None
    return ModelEnds(
        kind="keras",
        input=io,
        outputs=outputs,
        keras_major=file.keras_major,
        signature=signature,
        several=_several(ends.inputs, str(path)),
    )


def _several(inputs: Sequence[KerasInput], where: str) -> tuple[ModelInput, ...]:
    """The inputs of a Keras model that has more than one."""
    if len(inputs) < 2:
        return ()
    from harness.workloads.keras.precision import input_type

    found = []
    for one in inputs:
        if one.shape is None:
            what = f"the model does not say the shape of its input '{one.name}'"
            raise UserInputError(what, where=where, hint="save it with inputs of a fixed shape")
        io = TensorIo(name=one.name, dtype=input_type(one.dtype), shape=(-1, *one.shape))
        found.append(ModelInput(name=one.name, io=io))
    return tuple(found)


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

    graph = replace(read_graph(finished_model(path).path), source=str(path))
    if not graph.inputs or not graph.outputs:
        what = (
            f"the model has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs, expected one of each at least"
        )
        raise UserInputError(what, where=str(path))
    refuse_open_inputs(graph)
    if len(graph.inputs) > 1:
        return ModelEnds(kind="tflite", input=None, outputs=model_outputs(graph), several=graph_inputs(graph))
    tensor = graph.tensors[graph.inputs[0]]
    shape = tensor.shape_signature or tensor.shape
    scale, zero_point = (tensor.scales[0], tensor.zero_points[0]) if tensor.is_quantized else (0.0, 0)
    if shape[:1] in ((1,), (-1,)):
        shape = (-1, *shape[1:])
    io = TensorIo(name=tensor.name, dtype=tensor.dtype, shape=shape, scale=scale, zero_point=zero_point)
    return ModelEnds(kind="tflite", input=io, outputs=model_outputs(graph))


def user_workload(
    path: Path, data: Path | None, metric_name: str | None = None, *, project: Project | None = None
) -> Workload:
    """A workload made of the user's model and samples.

    Args:
        path: .keras, .h5, .tflite, a SavedModel folder, or `FOLDER#SIGNATURE` or `FILE.tflite#SIGNATURE`.
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
        inputs = {one.name: one.io for one in ends.several}
        if ends.input is not None:
            inputs = {"": ends.input}
        for name, io in inputs.items():
            _refuse_random(io, name, path)
        if metric_name is not None:
            raise UserInputError(f"the metric '{metric_name}' needs samples with labels", hint="give an .npz by --data")
        samples: Samples | RandomInputs = RandomInputs(io=inputs)
        judged = Judged()
    else:
        data = imported(data.expanduser().absolute(), ends, project)
        Samples(path=data, ends=ends, metric=None).check_shapes()
        judged = chosen_metrics(data, ends.outputs, metric_name, ends.several)
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
        output_names=tuple(output_name(ends.outputs, place) for place in range(len(ends.outputs))),
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


def _refuse_random(io: TensorIo, name: str, path: Path) -> None:
    """Refuses random values for an input of which they say nothing."""
    if is_whole_input(io) and io.dtype != "bool":
        what = f"input '{name}' of {io.dtype}" if name else f"{io.dtype} input"
        hint = f"one array per input, such as x_{name}, in" if name else "samples by"
        raise UserInputError(
            f"the {what} carries no quantization scale, so random values say nothing about the model",
            where=str(path),
            hint=f"give {hint} --data samples.npz",
        )
    quantize_samples(np.zeros((1, *(max(axis, 1) for axis in io.sample_shape)), np.float32), io)


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
        Wanted(input=ends.input, finished=ends.kind == "tflite", several=ends.several, outputs=ends.outputs),
        settings.data if settings is not None and settings.data is not None else DataSettings(path=str(data)),
        settings.preprocessing if settings is not None else PreprocessingSettings(),
        labels=settings is None or settings.score.task != "none",
    )


def workload_name(path: Path) -> str:
    """The file's stem, and the signature that is named behind it, in the characters of a test id; a published workload's name is
    never taken.
    """
    from harness.workloads.registry import workload_names

    stem = plain_name(model_stem(path))
    return f"user-{stem}" if stem in workload_names() else stem
