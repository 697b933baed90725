"""The workload that a project file describes: its model, its data made ready as it says, judged as it says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import UserInputError
from harness.core.files import exists
from harness.project.project import load_project
from harness.workloads.base import METRIC_OF_TASK, Workload
from harness.workloads.finished import is_finished

if TYPE_CHECKING:
    from harness.project.project import Project


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
    from harness.workloads.user import user_workload

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
    return user_workload(project.named_model, data or project.data, metric or metric_of(project), project=project)


def metric_of(project: Project) -> str | None:
    """The metric that a project names, by itself or by its task; None: what output and labels ask for.

    Raises:
        UserInputError: a task that no metric is known for, or one that another metric belongs to.
    """
    score = project.settings.score
    if score.task is None or score.task == "none":
        if score.task == "none" and score.metric is not None:
            what = f"score.metric: task 'none' is judged by no metric, and '{score.metric}' is one"
            raise UserInputError(what, where=str(project.path), hint="leave one of the two out")
        return score.metric
    if score.metric is not None:
        return score.metric
    if score.task not in TASKS:
        known = ", ".join([*TASKS, "none"])
        what = f"score.task: no metric is usual for the task '{score.task}'"
        raise UserInputError(
            what, where=str(project.path), hint=f"name the metric by score.metric, or a task of {known}"
        )
    return TASKS[score.task]
