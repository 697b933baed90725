"""What the user gave for a workload that a record knows by its name: the file or project that a command takes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness.core.errors import HarnessError
from harness.project.project import FILE_NAME, load_project
from harness.workloads.keras.signature import split_signature
from harness.workloads.user import workload_name


def given_workload(name: str, given: Iterable[str]) -> str:
    """The one of a run's workloads that goes by a name; the name itself where none does, as of the published ones.

    Args:
        given: names, paths of models, or paths of project files, as stored with the run.
    """
    every = {text: _names(Path(text)) for text in map(str, given)}
    # What is called so itself comes before a signature of a file that is.
    exact = (text for text, names in every.items() if name in names[:2])
    return next(exact, next((text for text, names in every.items() if name in names), name))


def _names(path: Path) -> tuple[str, ...]:
    if path.name != FILE_NAME:
        return str(path), workload_name(path), workload_name(split_signature(path)[0])
    try:
        model = load_project(path).named_model
    except (HarnessError, OSError):  # it is gone or broken by now, so that the name is all there is
        return ()
    return (workload_name(model),)
