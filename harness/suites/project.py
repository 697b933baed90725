"""`harness.toml` in pytest: options that the command line leaves open, and a suite where there is none to write."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from harness.core.errors import HarnessError
from harness.project.project import FILE_NAME, load_project, project_path
from harness.suites.suite import Suite

if TYPE_CHECKING:
    from harness.project.settings import RunSettings
    from harness.suites.session import SuiteCell

#: settings of `[run]` -> pytest's options of the same meaning
_OPTIONS = {"devices": "device", "backends": "backend", "runtimes": "runtime", "samples": "samples", "budget": "budget"}
#: what belongs to the devices that it stands beside
_OF_DEVICES = ("backends", "runtimes")


def fill_options(config: pytest.Config) -> Path | None:
    """Takes from the project file what pytest's command line leaves open; returns the file, None where there is none.

    Raises:
        UserInputError: the file is wrong.
    """
    path = None if config.getoption("--no-project") else project_path(config.invocation_params.dir)
    if path is not None:
        _fill(config, load_project(path).settings.run)
    return path


def _fill(config: pytest.Config, run: RunSettings) -> None:
    option, has_devices = config.option, bool(config.option.device)
    for setting, name in _OPTIONS.items():
        value = getattr(run, setting)
        if value in (None, ()) or getattr(option, name) or (has_devices and setting in _OF_DEVICES):
            continue
        if setting == "samples":
            value = "all" if value == 0 else str(value)
        setattr(option, name, list(value) if isinstance(value, tuple) else value)
    if run.emulated and not has_devices:
        option.emulated = True


class ProjectSuite(pytest.Module):
    """The suite of a project file: every cell of its matrix is a test, as of a file with `SUITE` and `test_cell` in it."""

    def _getobj(self) -> ModuleType:
        settings = load_project(self.path).settings
        module = ModuleType(FILE_NAME.replace(".", "_"), f"The cells of {self.path.name}.")
        module.__file__ = str(self.path)
        recipes = settings.run.recipes
        module.__dict__["SUITE"] = Suite(workload=str(self.path), recipes=recipes, max_score_drop=settings.run.max_drop)
        module.__dict__["test_cell"] = _test_cell
        return module


class BrokenProject(pytest.File):
    """A project file that is wrong: an error where it is collected, and nowhere else."""

    def collect(self) -> list[pytest.Item]:
        """Raises CollectError with what is wrong, by file, line and key."""
        try:
            load_project(self.path)
        except HarnessError as error:
            raise self.CollectError(str(error)) from None
        return []


def _test_cell(cell: SuiteCell) -> None:
    """What a suite promises of a cell."""
    cell.check()
