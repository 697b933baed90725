"""What `harness.toml` adds to a command or a call: whatever that leaves open, and in which words that is said."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.formats import has_tflite_name
from harness.project.project import FILE_NAME, load_project

if TYPE_CHECKING:
    from harness.project.project import Project

#: parameters that take the project's model when nothing is named
_MODELS = ("workloads", "names", "targets", "model")
#: what belongs to the devices that it stands beside, and to no others
_OF_DEVICES = ("backends", "runtimes", "emulated")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was asked for without the project.

    Attributes:
        command: `run`, `nightly`, `build`, `check`, `measure`: some settings are of one alone.
        params: parameter -> value as the command line has it; what the project gives is put in here.
        is_given: whether a parameter was given, so that the project says nothing of it.
    """

    command: str
    params: dict[str, Any]
    is_given: Callable[[str], bool]


def take_from(path: Path, asked: Asked) -> str | None:
    """Puts what is left open as the project file says; returns what was taken, in words, None for nothing.

    Raises:
        UserInputError: the file is wrong, or what it names does not fit what was asked.
    """
    project = load_project(path)
    taken = [*_model(asked, project), *_settings(asked, project)]
    return f"{os.path.relpath(path)}: {', '.join(taken)}" if taken else None


@dataclass(frozen=True, kw_only=True)
class TuneAsked:
    """Model, device and allowed drop of a search."""

    workload: str | None
    device: str | None
    max_drop: str | None
    emulated: bool


def take_tune(path: Path, asked: TuneAsked) -> tuple[TuneAsked, str | None]:
    """The same with what the project says, where no model is named, and in which words that is said.

    Raises:
        UserInputError: the file is wrong.
    """
    if asked.workload is not None:
        return asked, None
    project = load_project(path)
    settings = project.settings.run
    device, drop, emulated = asked.device, asked.max_drop, asked.emulated
    words = [f"model {project.settings.model.path}"]
    if device is None and settings.devices:
        device, emulated = settings.devices[0], emulated or settings.emulated
        words.append(f"device {device}")
    if drop is None and settings.max_drop is not None:
        drop = f"{settings.max_drop:g}"
        words.append(f"max-drop {drop}")
    filled = TuneAsked(workload=str(project.path), device=device, max_drop=drop, emulated=emulated)
    return filled, f"{os.path.relpath(path)}: {', '.join(words)}"


def _model(asked: Asked, project: Project) -> list[str]:
    """Puts the project in the place of the model, where none or its own is named. Returns what was taken, in words."""
    name = next(name for name in _MODELS if name in asked.params)
    named = asked.params[name]
    settings = project.settings
    words = [f"model {settings.model.path}"]
    if settings.data is not None and not asked.params.get("data"):
        words.append(f"data {settings.data.path}")
    if name == "model":
        return _measured(asked, project, words)
    own = [not _is_finished(project) and _is_model(text, project) for text in named]
    if not named:
        asked.params[name] = _targets(project) if name == "targets" else (str(project.path),)
        return words
    if name == "targets" or not any(own):
        return []
    asked.params[name] = tuple(str(project.path) if is_own else text for text, is_own in zip(named, own, strict=True))
    return words[1:]


def _targets(project: Project) -> tuple[str, ...]:
    """What `harness check` checks: a finished model as it is, of another one what its recipes make of it."""
    if _is_finished(project):
        return (str(project.named_model),)
    return tuple(f"{project.path}:{recipe}" for recipe in project.settings.run.recipes)


def _measured(asked: Asked, project: Project, words: list[str]) -> list[str]:
    """The model and samples of `harness measure`: those of the project, or its samples for another .tflite."""
    from harness.core.errors import UserInputError
    from harness.workloads.finished import is_finished

    model = asked.params["model"]
    if model is None:
        if not _is_finished(project):
            raise UserInputError(
                f"`measure` takes a finished .tflite, and the model of the project is {project.settings.model.path}",
                where=str(project.path),
                hint="quantize and run it with `harness run`, or name a .tflite",
            )
        asked.params["model"] = model = str(project.named_model)
    elif not _is_model(model, project):
        words = words[1:]
    if asked.params.get("data") or project.data is None or not is_finished(Path(model)):
        return [w for w in words if w.startswith("model")]
    asked.params["data"] = _samples(Path(model), project)
    if not asked.params.get("metric"):
        from harness.workloads.project import metric_of

        asked.params["metric"] = metric_of(project)
    return words


def _samples(model: Path, project: Project) -> str:
    """The project's samples, made ready for a finished model."""
    from harness.core.errors import UserInputError
    from harness.workloads.user import import_samples, model_ends

    assert project.data is not None
    try:
        return str(import_samples(project.data, model_ends(model), project).path)
    except UserInputError as error:
        hint = f"{error.hint}; " if error.hint else ""
        raise UserInputError(
            error.what,
            where=error.where,
            hint=f"{hint}give other samples by --data, or leave {FILE_NAME} aside by --no-project",
        ) from error


def is_open(value: Any) -> bool:
    """Whether an option says nothing. A number does: 0 samples are all."""
    return value is None or value is False or value == ()


def _settings(asked: Asked, project: Project) -> list[str]:
    """Puts the settings of `[run]`, and of `[nightly]` before them, where the command line says nothing."""
    settings = project.settings
    found: dict[str, Any] = settings.run.model_dump(exclude={"max_drop"})
    if asked.command == "nightly":
        found |= {name: value for name, value in settings.nightly.model_dump().items() if value}
    words = []
    for name, value in found.items():
        if name not in asked.params or is_open(value) or asked.is_given(name):
            continue
        if name in _OF_DEVICES and asked.is_given("devices"):
            continue
        if name == "recipes" and _is_finished(project):
            continue
        if name == "samples":
            value = "all" if value == 0 else str(value)
        asked.params[name] = value
        if name in ("devices", "recipes", "samples", "budget"):
            words.append(f"{name} {' '.join(value) if isinstance(value, tuple) else value}")
    return words


def _is_finished(project: Project) -> bool:
    return has_tflite_name(project.model)


def _is_model(text: str, project: Project) -> bool:
    try:
        return os.path.samefile(Path(text).expanduser(), project.model)
    except (OSError, ValueError):
        return False
