"""Finds workloads: files of this package that export `WORKLOAD`, entry points, or a model of the user's own."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import pkgutil
from pathlib import Path

import harness.workloads
from harness.core.errors import UserInputError, unknown_name
from harness.core.utf8 import require_text_name
from harness.project.project import FILE_NAME as PROJECT_FILE
from harness.workloads.base import Workload

MODEL_SUFFIXES = (".keras", ".h5", ".hdf5", ".tflite")
ENTRY_POINT_GROUP = "harness.workloads"


def workload_names() -> list[str]:
    """Every known workload's name, sorted."""
    return sorted(_workloads())


def usual_workload_names() -> list[str]:
    """Those that commands take which are given none, sorted."""
    return sorted(name for name, workload in _workloads().items() if not workload.by_name_only)


def get_workload(name_or_path: str, *, data: Path | None = None, metric: str | None = None) -> Workload:
    """A workload by name, or one made of the user's own model file.

    Args:
        name_or_path: a known name, the path of a .keras, .h5 or .tflite file or a SavedModel folder, or of a project file, which
            says model, data and metric itself.
        data: the samples of a model of the user's own; in place of the project's.
        metric: what a model of the user's own is judged by; None: what its output and labels ask for.

    Raises:
        UserInputError: unknown name, missing file, or a model or data file that does not hold what it should.
    """
    if Path(name_or_path).name == PROJECT_FILE:
        from harness.workloads.project import project_workload

        return project_workload(Path(name_or_path), data, metric)
    if _looks_like_path(name_or_path):
        require_text_name(name_or_path)
        from harness.workloads.user import user_workload

        return user_workload(Path(name_or_path).expanduser(), data, metric)
    workload = _in_its_place(name_or_path)
    if workload is None:
        known = _workloads()
        if name_or_path not in known:
            raise unknown_name("workload", name_or_path, known)
        workload = known[name_or_path]
    if metric is not None:
        raise UserInputError(
            f"workload '{name_or_path}' is judged by its own metric, '{metric}' does not apply",
            hint="a metric is chosen for a model file of your own",
        )
    if data is not None:
        raise UserInputError(
            f"workload '{name_or_path}' brings its own dataset, a file of samples does not apply",
            where=str(data),
            hint="give a folder with mnist.npz or cifar10.npz by --data-dir, or a model file instead of the name",
        )
    return workload


def _in_its_place(name: str) -> Workload | None:
    """The workload `some-name` of the file `some_name.py`: found without importing every file and entry point."""
    module = name.replace("-", "_")
    if not module.isidentifier() or importlib.util.find_spec(f"harness.workloads.{module}") is None:
        return None
    workload = getattr(importlib.import_module(f"harness.workloads.{module}"), "WORKLOAD", None)
    return workload if isinstance(workload, Workload) and workload.name == name else None


def _looks_like_path(text: str) -> bool:
    named = text.partition("#")[0]
    suffixes = (Path(text).suffix.lower(), Path(named).suffix.lower())
    return "/" in text or not set(suffixes).isdisjoint(MODEL_SUFFIXES) or Path(named, "saved_model.pb").is_file()


@functools.cache
def _packaged() -> dict[str, Workload]:
    """Name -> workload, of the files in this package that export `WORKLOAD`."""
    found: dict[str, Workload] = {}
    for module in pkgutil.iter_modules(harness.workloads.__path__):
        workload = getattr(importlib.import_module(f"harness.workloads.{module.name}"), "WORKLOAD", None)
        if workload is not None:
            _add(found, workload, f"harness.workloads.{module.name}")
    return found


@functools.cache
def _workloads() -> dict[str, Workload]:
    """Name -> workload, those of other packages included.

    Raises:
        UserInputError: an entry point that does not load or is no workload, or a name that stands twice.
    """
    from importlib.metadata import entry_points

    found = dict(_packaged())
    for point in entry_points(group=ENTRY_POINT_GROUP):
        try:
            workload = point.load()
        except Exception as error:
            raise UserInputError(
                f"the entry point '{point.name}' cannot be loaded ({type(error).__name__}: {error})",
                where=point.value,
                hint="repair or uninstall the package that brings it",
            ) from error
        _add(found, workload, point.value)
    return found


def _add(found: dict[str, Workload], workload: object, where: str) -> None:
    if not isinstance(workload, Workload):
        what = f"expected a harness Workload, found {type(workload).__name__}"
        raise UserInputError(what, where=where, hint="see docs/guides/adding-a-workload.md")
    if workload.name in found:
        what = f"the workload name '{workload.name}' is taken"
        raise UserInputError(what, where=where, hint="rename the workload, or uninstall the package that brings it")
    found[workload.name] = workload
