"""The schema of `harness.toml`. What each key means stands in docs/reference/project-file.md."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from harness.core.fields import Line, LocalPath, Part, inconsistent, not_allowed, text

#: raised when a file of before would mean something else
VERSION = 1

Name = Annotated[str, text(r"[A-Za-z][A-Za-z0-9_.-]{0,79}", "a name of letters, digits, '_', '.' and '-'")]
Metric = Annotated[
    str,
    text(
        r"[A-Za-z][A-Za-z0-9_.-]{0,79}(\([^()\x00-\x1f\x7f;]{0,160}\))?",
        'a metric\'s name, such as "rmse" or "rmse(unit=K)"',
    ),
]
Signature = Annotated[str, text(r"[^\x00-\x1f\x7f/#]{1,200}", "the name of a signature, without '/' and '#'")]
Duration = Annotated[str, text(r"(\d+(\.\d+)?[smh])+", 'a duration such as "90s", "8m" or "1h30m"')]
_Share = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
_Number = Annotated[float, Field(allow_inf_nan=False)]
_Size = Annotated[int, Field(ge=1, le=1 << 20)]


class ModelSettings(Part):
    """`[model]`.

    Attributes:
        path: .keras, .h5, .tflite or a SavedModel folder; relative to the project file.
        signature: of a SavedModel or .tflite with several, or of a SavedModel whose graph is wanted in place of its Keras layers.
    """

    path: LocalPath
    signature: Signature | None = None


class DataSettings(Part):
    """`[data]`.

    Attributes:
        path: an .npz, .csv or folder, relative to the project file, or `module:function` of a module beside it.
        test, calibration: shares of the samples where the data bring no parts of their own; calibration's is of what is left for
            training. Without `test`: 0.2, and all of them for a finished .tflite.
        overlap: what becomes of a sample that stands in two parts: `error`, `drop` (it stays in the test part alone) or `allow`.
        classes: of folders, the classes in the order of the model's outputs; empty: sorted by name.
        label: of a .csv, the column of the labels; `features`: those of the model's input; empty: all others.
    """

    path: Line
    test: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    calibration: _Share = 0.1
    overlap: Literal["error", "drop", "allow"] = "error"
    classes: tuple[Line, ...] = ()
    label: Line | None = None
    features: tuple[Line, ...] = ()


class InputPreprocessing(Part):
    """`[preprocessing.inputs.NAME]`: from the values of the data to those that one input takes.

    Attributes:
        scale, offset: value * scale + offset.
        layout: of the samples as they are stored. All become `nhwc`, which the model takes: `nchw` has channels in front, `nwhc`
            rows and columns exchanged, and `planes` is `nchw` that was given the shape of `nhwc` without moving a value.
        channels: of the images as the model takes them: `bgr` turns the order of the colours round.
    """

    scale: _Number = 1.0
    offset: _Number = 0.0
    layout: Literal["nhwc", "nchw", "nwhc", "planes"] = "nhwc"
    channels: Literal["rgb", "bgr"] = "rgb"

    @model_validator(mode="after")
    def _scales(self) -> InputPreprocessing:
        if self.scale == 0:
            raise inconsistent("a scale of 0 makes all samples the same")
        return self


class PreprocessingSettings(InputPreprocessing):
    """`[preprocessing]`: the same of a model with one input, and what is done with files.

    Attributes:
        resize: what becomes of images of another size: `stretch`, `crop` (the middle, scaled to cover) or `never` (an error).
        rate_hz: of the sound that the model takes; other sound is resampled.
        inputs: of a model with several inputs, by their names.
    """

    resize: Literal["stretch", "crop", "never"] = "stretch"
    rate_hz: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    inputs: dict[str, InputPreprocessing] = Field(default_factory=dict)


class OutputScore(Part):
    """`[score.outputs.NAME]`: what one output is judged by.

    Attributes:
        task: what it does, in a word; short for a metric. `none`: it is judged by nothing, on purpose.
        metric: with settings in brackets where it has some. Neither: what output and labels ask for.
    """

    task: Name | None = None
    metric: Metric | None = None


class ScoreSettings(OutputScore):
    """`[score]`: the same of a model with one output, or of the first that has labels.

    Attributes:
        outputs: of a model with several outputs, by their names.
    """

    outputs: dict[Line, OutputScore] = Field(default_factory=dict)


class RunSettings(Part):
    """`[run]`: what `harness run`, `measure`, `build`, `check` and pytest take where the command line does not say it.

    Attributes:
        samples: per cell; 0 is all.
        max_drop: the largest worsening of the score that pytest accepts, in its unit.
    """

    devices: tuple[Line, ...] = ()
    backends: tuple[Line, ...] = ()
    recipes: Annotated[tuple[Line, ...], Field(min_length=1)] = ("core",)
    runtimes: tuple[Line, ...] = ()
    samples: Annotated[int, Field(ge=0)] | None = None
    budget: Duration | None = None
    emulated: bool = False
    max_drop: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class NightlySettings(Part):
    """`[nightly]`: where `harness nightly` differs from `[run]`."""

    devices: tuple[Line, ...] = ()
    recipes: tuple[Line, ...] = ()
    budget: Duration | None = None
    series: Line | None = None


def _known_version(value: int) -> int:
    if value != VERSION:
        raise not_allowed(f"{VERSION}, the one that this version reads")
    return value


class Settings(Part):
    """A whole project file."""

    version: Annotated[int, AfterValidator(_known_version)] = VERSION
    model: ModelSettings
    data: DataSettings | None = None
    preprocessing: PreprocessingSettings = PreprocessingSettings()
    score: ScoreSettings = ScoreSettings()
    run: RunSettings = RunSettings()
    nightly: NightlySettings = NightlySettings()
