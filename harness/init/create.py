"""Makes a project: from a model file and samples to `harness.toml`, without a question."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import UserInputError
from harness.core.files import exists, write_bytes_atomic
from harness.core.formats import has_tflite_name
from harness.core.utf8 import require_text_name
from harness.init import choices as choose
from harness.init.asking import Preparation, ask_model
from harness.init.choices import Choices
from harness.init.writing import toml_key, toml_text
from harness.project.located_toml import parse_toml
from harness.project.project import FILE_NAME, Project
from harness.project.reading import read_settings
from harness.project.settings import DataSettings, InputPreprocessing, ModelSettings, PreprocessingSettings, Settings
from harness.workloads.input_names import ModelInput
from harness.workloads.keras.signature import split_signature
from harness.workloads.samples import Samples
from harness.workloads.sources.arrays import channels_first
from harness.workloads.sources.imported import Imported, values_key
from harness.workloads.user import ModelEnds, import_samples, model_ends, user_workload

_IN_FRONT = "the samples have their channels in front, and the model its last"


@dataclass(frozen=True, kw_only=True)
class Created:
    """A project file that was written, with what a reader should know at once.

    Attributes:
        summary: one line per choice.
    """

    project: Project
    summary: tuple[str, ...]


def create_project(
    model: str | os.PathLike[str],
    data: str | os.PathLike[str] | None = None,
    *,
    folder: str | os.PathLike[str] | None = None,
    force: bool = False,
    overlap: str = "error",
    devices: Sequence[str] = (),
    ask: bool = True,
    say: Callable[[str], None] = lambda text: None,
) -> Created:
    """Looks at a model and its data and writes `harness.toml`.

    Args:
        model: .keras, .h5, .tflite, a SavedModel folder, or `FOLDER#SIGNATURE` or `FILE.tflite#SIGNATURE`.
        data: an .npz, .csv, folder of images or sounds per class, or `module:function`; a .tflite does without.
        folder: where the file is written; default: the working folder.
        force: replace a file that is there.
        overlap: what becomes of samples that stand in two parts: `error`, `drop` or `allow`.
        devices: those to run on; none: those of this machine and the user's own boards, as far as they can be tried now.
        ask: build the float model and ask it which values it takes; False takes them as they are.
        say: told what is going on.

    Raises:
        UserInputError: there is a file already, model and data are wrong or do not fit together, or an unknown device.
        MissingPartError: an extra for the data's format is not installed, or no device can run.
    """
    named = choose.named_devices(devices) if devices else None
    place = Path(folder or Path.cwd()).absolute() / FILE_NAME
    if place.is_dir():
        raise UserInputError(
            "is a folder, and the project file has its name", where=str(place), hint="rename the folder"
        )
    if os.path.lexists(place) and not force:
        raise UserInputError(f"there is a {FILE_NAME} already", where=str(place), hint="--force replaces it")
    model_path = Path(model).expanduser().absolute()
    require_text_name(model_path)  # with the working folder, whose project file it would stand in
    file, signature = split_signature(model_path)
    if not exists(file):
        hint = "give a .keras, .h5 or .tflite file, or a SavedModel folder"
        raise UserInputError("no such file or folder", where=str(model_path), hint=hint)
    ends = model_ends(model_path)
    found = Choices()
    warnings = choose.model_warnings(model_path, ends)
    found.add("model", "path", _relative(file, place.parent), *choose.model_words(model_path, ends), *warnings)
    if signature is not None:
        found.add("model", "signature", signature)
    imported = None
    if data is None:
        user_workload(
            model_path, None
        )  # says what samples are needed for, and refuses what random ones say nothing about
        found.add(
            "score", "task", "none", "no data were given: random inputs, and agreement with the reference runtime"
        )
    else:
        data_path = Path(os.path.normpath(Path(data).expanduser().absolute()))
        imported = _looked_at(found, model_path, ends, data_path, place, overlap, ask, say)
    _add_run(found, ends, imported, named or choose.chosen_devices())
    text = toml_text(found, _heading(model_path, data, devices, place.parent))
    settings = read_settings(parse_toml(text, place), text, place)
    write_bytes_atomic(place, text.encode())
    summary = (*_summary(settings, imported), *warnings)
    return Created(project=Project(path=place, settings=settings), summary=summary)


def _looked_at(
    found: Choices,
    model: Path,
    ends: ModelEnds,
    data: Path,
    place: Path,
    overlap: str,
    ask: bool,
    say: Callable[[str], None],
) -> Imported:
    """The data: parts, metric, and how the model wants them."""
    say(f"reading {data.name}")
    in_front = channels_first(data, ends.input, ends.several)
    draft = _draft(place, model, data, overlap, in_front)
    imported = import_samples(data, ends, draft)
    Samples(path=imported.path, ends=ends, metric=None).check_shapes()
    _add_data(found, data, place, overlap, imported)
    scored = Choices()
    metric = choose.add_score(scored, imported.path, ends, data.name)
    prepared = Preparation()
    if metric is not None and ask:
        prepared = ask_model(user_workload(model, data, project=draft), say)
    elif metric is not None:
        prepared = Preparation(evidence=("the model was not asked, as was chosen: values go in as they are",))
    else:
        prepared = Preparation(evidence=("the model was not asked: there are no labels to judge its answers by",))
    _add_preprocessing(found, imported, ends.several, in_front, prepared)
    found.tables.update(scored.tables)
    return imported


def _draft(place: Path, model: Path, data: Path, overlap: str, in_front: Sequence[str]) -> Project:
    """The project before the model was asked: samples as they are stored."""
    layouts = {name: {"layout": "nchw"} for name in in_front}
    settings = Settings(
        model=ModelSettings(path=str(model)),
        data=DataSettings.model_validate({"path": str(data), "overlap": overlap}),
        preprocessing=PreprocessingSettings.model_validate(layouts.get("") or {"inputs": layouts}),
    )
    return Project(path=place, settings=settings)


def _add_data(found: Choices, data: Path, place: Path, overlap: str, imported: Imported) -> None:
    evidence = imported.evidence
    counts = ", ".join(f"{count:,} {name}" for name, count in imported.counts.items())
    found.add("data", "path", _relative(data, place.parent), imported.note, evidence.get("data.path", ""))
    if imported.classes:
        why = evidence.get("data.classes", "")
        found.add("data", "classes", imported.classes, f"in the order of the model's outputs: {why}")
    for key in ("label", "features"):
        if f"data.{key}" in evidence:
            found.add("data", key, None, f"{key}: {evidence[f'data.{key}']}")
    parts = evidence.get("data.test", "")
    if imported.split and "test" in imported.counts and len(imported.counts) > 1:
        found.add("data", "test", 0.2, f"{parts}: {counts}; the same parts every time, no content in two")
        found.add("data", "calibration", 0.1, "of the training part: calibrates activations, and is not trained on")
    else:
        found.add("data", "test", None, f"{parts}: {counts}" if parts else counts)
    checked = "no sample stands in two of them" if overlap == "error" else f"overlap was chosen as {overlap}"
    if not imported.split and len(imported.counts) > 1:
        found.add("data", "overlap", overlap, f"the parts were compared by content: {checked}")


def _add_preprocessing(
    found: Choices,
    imported: Imported,
    several: Sequence[ModelInput],
    in_front: Sequence[str],
    prepared: Preparation,
) -> None:
    if several:
        _add_inputs(found, imported, several, in_front, prepared)
        return
    values, change = f"stored: {imported.evidence['values']}", prepared.of("")
    found.add("preprocessing", "scale", change.scale, values, *prepared.evidence)
    found.add("preprocessing", "offset", change.offset)
    if in_front:
        found.add("preprocessing", "layout", "nchw", _IN_FRONT)
    for key, value in change.settings:
        found.add("preprocessing", key, value, "as the model answered, see above")
    if evidence := imported.evidence.get("preprocessing.resize"):
        found.add("preprocessing", "resize", "stretch", evidence)
    if evidence := imported.evidence.get("preprocessing.rate_hz"):
        found.add("preprocessing", "rate_hz", None, evidence)


def _add_inputs(
    found: Choices,
    imported: Imported,
    several: Sequence[ModelInput],
    in_front: Sequence[str],
    prepared: Preparation,
) -> None:
    """A table for each of several inputs."""
    for number, one in enumerate(several):
        table, change = f"preprocessing.inputs.{toml_key(one.name)}", prepared.of(one.name)
        values = f"stored: {imported.evidence[values_key(one.name)]}"
        found.add(table, "scale", change.scale, values, *(prepared.evidence if not number else ()))
        found.add(table, "offset", change.offset)
        if one.name in in_front:
            found.add(table, "layout", "nchw", _IN_FRONT)
        for key, value in change.settings:
            found.add(table, key, value, "as the model answered, see above")


def _add_run(
    found: Choices, ends: ModelEnds, imported: Imported | None, chosen: tuple[dict[str, int], list[str]]
) -> None:
    judged = any(
        choice.key == "metric"
        for table, choices in found.tables.items()
        if table.startswith("score")
        for choice in choices
    )
    trained = imported is not None and "train" in imported.counts
    devices, seen = chosen
    found.add("run", "devices", tuple(devices), *seen)
    recipes, why = choose.chosen_recipes(ends, trained=trained, judged=judged)
    if recipes:
        found.add("run", "recipes", recipes, why)
    number = len(choose.expanded(recipes)) if recipes else 1
    cells = number * sum(devices.values())
    budget, reckoned = choose.chosen_budget(cells)
    backends = sum(devices.values())
    found.add("run", "budget", budget, f"{number} model{'s' * (number != 1)} on {backends} backends: {reckoned}")
    if judged:
        found.add("run", "max_drop", None, "max_drop = 0.01 lets pytest accept no larger loss of the score")


def _heading(model: Path, data: str | os.PathLike[str] | None, devices: Sequence[str], folder: Path) -> list[str]:
    given = f" --data {_relative(Path(data).absolute(), folder)}" if data is not None else ""
    given += "".join(f" --device {name}" for name in devices)
    return [
        f"Written by `harness init {_relative(model, folder)}{given}`. What was seen stands above each choice;",
        "change what is not meant. `harness run`, `harness nightly` and pytest in this folder take it from here, and",
        "their options win. Every key: docs/reference/project-file.md.",
    ]


def _relative(path: Path, folder: Path) -> str:
    """A path as the file names it: from its own folder where it lies within or beside it, else absolute."""
    relative = os.path.relpath(path, folder)
    return str(path) if relative.startswith(f"..{os.sep}..{os.sep}") else relative


def preprocessing_words(settings: PreprocessingSettings) -> str:
    """What becomes of the samples, of each input where there are several."""
    if settings.inputs:
        return "; ".join(f"{name}: {_change_words(one)}" for name, one in settings.inputs.items())
    return _change_words(settings)


def _change_words(settings: InputPreprocessing) -> str:
    offset = f" {settings.offset:+g}" if settings.offset else ""
    values = "as they are" if settings.scale == 1 and not offset else f"value * {settings.scale:g}{offset}"
    further = [words for words in (settings.layout, settings.channels) if words not in ("nhwc", "rgb")]
    return ", ".join([values, *further])


def _summary(settings: Settings, imported: Imported | None) -> list[str]:
    run, prep = settings.run, settings.preprocessing
    lines = [f"model          {settings.model.path}"]
    if imported is not None:
        lines.append(f"data           {imported.note}")
        lines.append(f"preprocessing  {preprocessing_words(prep)}")
    finished = has_tflite_name(settings.model.path)
    agreement = f"agreement with the {'reference runtime' if finished else 'float model'}"
    outputs = ", ".join(f"{name} by {one.metric}" for name, one in settings.score.outputs.items() if one.metric)
    lines.append(f"judged by      {settings.score.metric or outputs or agreement}")
    lines.append(f"devices        {', '.join(run.devices)}")
    lines.append(f"budget         {run.budget}")
    return lines
