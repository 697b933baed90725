"""What `harness.toml` adds to a command: whatever its command line leaves open, said in one line on stderr."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from harness.cli.out import echo
from harness.project.project import FILE_NAME, project_path

if TYPE_CHECKING:
    from harness.project.project import Project

#: parameters that take the project's model when nothing is named
_MODELS = ("workloads", "names", "targets", "model")
#: options with which a command is about something else than a model of the folder
_ELSEWHERE = ("resume", "bundle", "clean")
#: what belongs to the devices that it stands beside, and to no others
_OF_DEVICES = ("backends", "runtimes", "emulated")


class ProjectCommand(click.Command):
    """A command that takes from the project file what its command line leaves open.

    Args:
        needs: parameters without which it cannot run, wherever they come from: name -> what it is called to the user.
    """

    needs: dict[str, str] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        words = f"Leave {FILE_NAME} aside."
        self.params.append(click.Option(["--no-project"], is_flag=True, expose_value=False, help=words))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        left_aside = ctx.get_parameter_source("no_project") is ParameterSource.COMMANDLINE
        if not left_aside and not any(ctx.params.get(name) for name in _ELSEWHERE):
            path = project_path()
            if path is not None:
                _fill(ctx, path)
        return rest


def require(value: Any, what: str, example: str) -> None:
    """Ends a command that was given nothing to work on.

    Raises:
        UserInputError: `value` is empty; says what is missing, and where else it could stand.
    """
    if not value:
        from harness.core.errors import UserInputError

        raise UserInputError(f"no {what} named", hint=f"{example}; or write it into a {FILE_NAME} (`harness init`)")


def _fill(ctx: click.Context, path: Path) -> None:
    from harness.project.project import load_project

    project = load_project(path)
    taken = [*_model(ctx, project), *_settings(ctx, project)]
    if taken:
        echo(f"{_shown(path)}: {', '.join(taken)}", err=True)


def _given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


def _model(ctx: click.Context, project: Project) -> list[str]:
    """Puts the project in the place of the model, where none or its own is named. Returns what was taken, in words."""
    name = next(name for name in _MODELS if name in ctx.params)
    named = ctx.params[name]
    settings = project.settings
    words = [f"model {settings.model.path}"]
    if settings.data is not None and not ctx.params.get("data"):
        words.append(f"data {settings.data.path}")
    if name == "model":
        return _measured(ctx, project, words)
    own = [not _is_finished(project) and _is_model(text, project) for text in named]
    if not named:
        ctx.params[name] = _targets(project) if name == "targets" else (str(project.path),)
        return words
    if name == "targets" or not any(own):
        return []
    ctx.params[name] = tuple(str(project.path) if is_own else text for text, is_own in zip(named, own, strict=True))
    return words[1:]


def _targets(project: Project) -> tuple[str, ...]:
    """What `harness check` checks: a finished model as it is, of another one what its recipes make of it."""
    if _is_finished(project):
        return (str(project.named_model),)
    return tuple(f"{project.path}:{recipe}" for recipe in project.settings.run.recipes)


def _measured(ctx: click.Context, project: Project, words: list[str]) -> list[str]:
    """The model and samples of `harness measure`: those of the project, or its samples for another .tflite."""
    from harness.core.errors import UserInputError

    model = ctx.params["model"]
    if model is None:
        if not _is_finished(project):
            raise UserInputError(
                f"`measure` takes a finished .tflite, and the model of the project is {project.settings.model.path}",
                where=str(project.path),
                hint="quantize and run it with `harness run`, or name a .tflite",
            )
        ctx.params["model"] = model = str(project.named_model)
    elif not _is_model(model, project):
        words = words[1:]
    from harness.workloads.finished import is_finished

    if ctx.params.get("data") or project.data is None or not is_finished(Path(model)):
        return [w for w in words if w.startswith("model")]
    ctx.params["data"] = _samples(Path(model), project)
    if not ctx.params.get("metric"):
        from harness.workloads.project import metric_of

        ctx.params["metric"] = metric_of(project)
    return words


def _samples(model: Path, project: Project) -> str:
    """The project's samples, made ready for a finished model."""
    from harness.core.errors import UserInputError
    from harness.tflite.graph import read_graph
    from harness.workloads.finished import finished_model
    from harness.workloads.user import import_samples, model_ends

    assert project.data is not None
    if len(read_graph(finished_model(model).path).inputs) != 1:
        return str(project.data)
    try:
        return str(import_samples(project.data, model_ends(model), project).path)
    except UserInputError as error:
        hint = f"{error.hint}; " if error.hint else ""
        raise UserInputError(
            error.what,
            where=error.where,
            hint=f"{hint}give other samples by --data, or leave {FILE_NAME} aside by --no-project",
        ) from error


def _settings(ctx: click.Context, project: Project) -> list[str]:
    """Puts the settings of `[run]`, and of `[nightly]` before them, where the command line says nothing."""
    settings = project.settings
    found: dict[str, Any] = settings.run.model_dump(exclude={"max_drop"})
    if ctx.command.name == "nightly":
        found |= {name: value for name, value in settings.nightly.model_dump().items() if value}
    words = []
    for name, value in found.items():
        if name not in ctx.params or value in (None, (), False) or _given(ctx, name):
            continue
        if name in _OF_DEVICES and _given(ctx, "devices"):
            continue
        if name == "recipes" and _is_finished(project):
            continue
        if name == "samples":
            value = "all" if value == 0 else str(value)
        ctx.params[name] = value
        if name in ("devices", "recipes", "samples", "budget"):
            words.append(f"{name} {' '.join(value) if isinstance(value, tuple) else value}")
    return words


def _is_finished(project: Project) -> bool:
    return project.model.suffix.lower() == ".tflite"


def _is_model(text: str, project: Project) -> bool:
    try:
        return os.path.samefile(Path(text).expanduser(), project.model)
    except (OSError, ValueError):
        return False


def _shown(path: Path) -> str:
    """The file as it is seen from the working folder."""
    return os.path.relpath(path)
