"""What a call asks for, with what `harness.toml` adds to it, as the options of a run: one conversion for every call."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api.calls import Data, Names, PathLike, data_file, names, seconds, text
from harness.api.calls import samples as sample_count

if TYPE_CHECKING:
    from harness.run.options import RunOptions

Project = PathLike | bool
"""Which `harness.toml` fills what a call leaves open: True: the nearest one, upward from the working folder; False: none; or its
path."""

#: with these a call is about something else than a model of the folder
_ELSEWHERE = ("bundle",)


def project_file(project: Project) -> Path | None:
    """The project file that a call takes; None for none.

    Raises:
        UserInputError: the one that was named is not there.
    """
    from harness.core.errors import UserInputError
    from harness.project.project import FILE_NAME, project_path

    if project is False:
        return None
    if project is True:
        return project_path()
    path = Path(project).expanduser()
    path = path / FILE_NAME if path.is_dir() else path
    if not path.is_file():
        raise UserInputError(f"there is no {FILE_NAME}", where=str(path), hint="`harness.init(model, data)` writes one")
    return path


@dataclass(frozen=True, kw_only=True)
class Filled:
    """Arguments after the project file was read.

    Attributes:
        taken: what came from it, in words; None for nothing.
    """

    values: dict[str, Any]
    taken: str | None = None


def with_project(command: str, project: Project, **arguments: Any) -> Filled:
    """Arguments of a call with what the project file says for those that were left open (None, empty or False).

    Args:
        command: the command of the same meaning.

    Raises:
        UserInputError: the file is wrong, or not there.
    """
    path = None if any(arguments.get(name) for name in _ELSEWHERE) else project_file(project)
    if path is None:
        return Filled(values=arguments)
    from harness.session.from_project import Asked, is_open, take_from

    values = dict(arguments)
    for name in ("workloads", "names", "targets", "devices", "backends", "recipes", "runtimes"):
        if name in values:
            values[name] = names(values[name])
    if values.get("data") is not None:
        values["data"] = data_file(values["data"])
    if values.get("model") is not None:
        values["model"] = text(values["model"])
    given = {name for name, value in values.items() if not is_open(value)}
    taken = take_from(path, Asked(command=command, params=values, is_given=given.__contains__))
    return Filled(values=values, taken=taken)


def require(value: Any, what: str, example: str) -> None:
    """Refuses a call that was given nothing to work on, by its arguments or a project.

    Raises:
        UserInputError: `value` is empty.
    """
    from harness.core.errors import UserInputError

    if not value:
        raise UserInputError(f"no {what} named", hint=f"{example}, or write it into a harness.toml (`harness.init`)")


def run_options(
    workloads: Names,
    devices: Names,
    *,
    recipes: Names = ("core",),
    backends: Names = (),
    runtimes: Names = (),
    seeds: int = 1,
    samples: int | str | None = None,
    budget: float | str | None = None,
    emulated: bool = False,
    data_dir: PathLike | None = None,
    data: Data | None = None,
    metric: str | None = None,
    devices_dir: PathLike | None = None,
    bundle: PathLike | None = None,
    jobs: int | None = None,
    deadline: float | str | None = None,
) -> RunOptions:
    """Arguments as `harness.run` takes them.

    Raises:
        UserInputError: a number, a duration or arrays that are none.
    """
    from harness.run.options import RunOptions

    return RunOptions(
        workloads=names(workloads),
        recipes=names(recipes),
        devices=names(devices),
        backends=names(backends),
        runtimes=names(runtimes),
        seeds=seeds,
        samples=sample_count(samples),
        budget_s=seconds(budget, "budget"),
        emulated=emulated,
        data_dir=text(data_dir),
        data=data_file(data),
        metric=metric,
        devices_dir=text(devices_dir),
        bundle=text(bundle),
        jobs=jobs,
        deadline_s=seconds(deadline, "deadline"),
    )
