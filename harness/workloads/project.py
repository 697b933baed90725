"""The workload that a project file describes: its model, its data made ready as it says, judged as it says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import UserInputError
from harness.core.files import exists
from harness.project.project import load_project
from harness.workloads.base import METRIC_OF_TASK, Workload
from harness.workloads.finished import is_finished
from harness.workloads.metrics.base import Ends
from harness.workloads.metrics.registry import get_metric
from harness.workloads.outputs import NONE, asked_text, joined, output_name, position_of

if TYPE_CHECKING:
    from harness.project.project import Project
    from harness.project.settings import OutputScore


#: a word for what a model does -> the metric that is usual for it
TASKS = {str(task): name for task, name in METRIC_OF_TASK.items()} | {"regression": "mean_absolute_error"}


def project_workload(path: Path, data: Path | None = None, metric: str | None = None) -> Workload:
    """The workload of a `harness.toml`.

    Args:
        data: samples in place of the project's; they are made ready in the same way.
        metric: in place of the project's.

    Raises:
        UserInputError: the file is wrong, or what it names is missing or does not fit together.
    """
    from harness.workloads.user import model_ends, user_workload

    project = load_project(path)
    if not exists(project.model):
        raise UserInputError(
            f"model.path: there is no {project.model}",
            where=str(project.path),
            hint="paths start from the project file",
        )
    if project.settings.model.signature is not None and not (project.model.is_dir() or is_finished(project.model)):
        what = f"model.signature: {project.model.name} is no SavedModel folder and no .tflite: it has no signatures"
        raise UserInputError(what, where=project.where("model", "signature"), hint="leave the key out")
    if project.settings.score.outputs:
        _check_outputs(project, model_ends(project.named_model).outputs)
    return user_workload(project.named_model, data or project.data, metric or metric_of(project), project=project)


def metric_of(project: Project) -> str | None:
    """The metrics that a project names, by themselves or by their tasks, as `--metric` takes them; None: what outputs and labels
    ask for.

    Raises:
        UserInputError: an unknown metric, a task that no metric is known for, or one that another metric belongs to; names the
            line.
    """
    score = project.settings.score
    if score.task == NONE and score.outputs:
        what = f"score.task: '{NONE}' leaves all labels aside, and [score.outputs.{next(iter(score.outputs))}] asks for some"
        raise UserInputError(what, where=project.where("score", "task"), hint="leave one of the two out")
    main = _metric(score, project, ("score",))
    # A task of none drops the labels when the data are read, so that there is nothing to leave out.
    found = [] if main is None or score.task == NONE else [main]
    for name, one in score.outputs.items():
        metric = _metric(one, project, ("score", "outputs", name))
        if metric is not None:
            found.append(asked_text(name, metric, project.where("score", "outputs", name)))
    return joined(found)


def _metric(score: OutputScore, project: Project, key: tuple[str, ...]) -> str | None:
    """The metric of one table; `none` where its output is left out, None where labels and output decide.

    Raises:
        UserInputError: as `metric_of`.
    """
    at = ".".join(key)
    if score.task == NONE or score.metric == NONE:
        if score.metric not in (None, NONE):
            what = f"{at}.metric: task '{NONE}' is judged by no metric, and '{score.metric}' is one"
            raise UserInputError(what, where=project.where(*key, "metric"), hint="leave one of the two out")
        return NONE
    if score.metric is not None:
        try:
            get_metric(score.metric)
        except UserInputError as error:
            where = project.where(*key, "metric")
            raise UserInputError(f"{at}.metric: {error.what}", where=where, hint=error.hint) from error
        return score.metric
    if score.task is not None and score.task not in TASKS:
        known = ", ".join([*TASKS, NONE])
        what = f"{at}.task: no metric is usual for the task '{score.task}'"
        hint = f"name the metric by {at}.metric, or a task of {known}"
        raise UserInputError(what, where=project.where(*key, "task"), hint=hint)
    return None if score.task is None else TASKS[score.task]


def _check_outputs(project: Project, outputs: Sequence[Ends]) -> None:
    """Refuses a table for an output that is not there, or two for one.

    Raises:
        UserInputError: names the line, and the outputs that there are.
    """
    known = ", ".join(output_name(outputs, position) for position in range(len(outputs)))
    taken: dict[int, str] = {}
    for name in project.settings.score.outputs:
        where = project.where("score", "outputs", name)
        try:
            position = position_of(outputs, name)
        except UserInputError as error:
            hint = f"the model has {known}"
            raise UserInputError(f"score.outputs.{name}: {error.what}", where=where, hint=hint) from error
        if position in taken:
            what = f"score.outputs.{name}: is the output of [score.outputs.{taken[position]}], too"
            raise UserInputError(what, where=where, hint="leave one of the two out")
        taken[position] = name
