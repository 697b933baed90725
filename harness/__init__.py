"""Hardware-in-the-loop benchmark harness for quantized TensorFlow Lite models.

Everything that a command does is a call here too, documented in docs/reference/python-api.md:

    import harness

    run = harness.run("mnist-cnn", devices="host-litert", recipes="ptq-*")
    harness.load_run("latest").to_frame()

Importing this imports next to nothing: a name is looked up in `CALLS` when it is first used. `harness/__init__.pyi` says the same
to type checkers, and a test holds the two together.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

__version__ = "0.1.0"

#: name -> the module that it comes from; a line here and one in `__init__.pyi` make a new call of the Python API
CALLS: dict[str, str] = {
    # runs
    "run": "harness.api.running",
    "measure": "harness.api.running",
    "load_run": "harness.api.runs",
    "runs": "harness.api.runs",
    "Run": "harness.api.runs",
    # models
    "build": "harness.api.models",
    "check": "harness.api.models",
    "audit": "harness.api.audits",
    # from a model file to a better variant
    "init": "harness.api.projects",
    "explain": "harness.api.explaining",
    "tune": "harness.api.searching",
    "diff": "harness.api.shipping",
    "export": "harness.api.shipping",
    # questions to stored runs
    "compare": "harness.api.questions",
    "recommend": "harness.api.questions",
    "history": "harness.api.questions",
    # nights
    "nightly": "harness.api.nights",
    "accept": "harness.api.nights",
    "bisect": "harness.api.nights",
    "baseline": "harness.api.nights",
    "baselines": "harness.api.nights",
    # a store as a whole
    "judge": "harness.api.stores",
    "export_results": "harness.api.stores",
    "import_results": "harness.api.stores",
    "prune_results": "harness.api.stores",
    "check_results": "harness.api.stores",
    # what there is
    "devices": "harness.api.places",
    "check_device": "harness.api.places",
    "flash_device": "harness.api.places",
    "add_device": "harness.api.places",
    "datasets": "harness.api.places",
    "dataset": "harness.api.places",
    "fetch_dataset": "harness.api.places",
    "check_dataset": "harness.api.places",
    "use_metric": "harness.api.metrics",
    # studies
    "study_calibration": "harness.api.studies",
    "study_schemes": "harness.api.studies",
    # errors
    "HarnessError": "harness.core.errors",
    "UserInputError": "harness.core.errors",
    "MissingPartError": "harness.core.errors",
    "UnsupportedError": "harness.core.errors",
    "DeviceError": "harness.core.errors",
}

__all__ = ["__version__", *CALLS]


class _Room(ModuleType):
    # A package of this harness that has the name of a call (`harness.run`): calling it is that call, and so are its help texts.

    def __call__(self, *args: Any, **settings: Any) -> Any:
        return _find(self.__name__.rpartition(".")[2])(*args, **settings)

    @property
    def __signature__(self) -> Any:
        import inspect

        return inspect.signature(_find(self.__name__.rpartition(".")[2]))

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return _find(self.__name__.rpartition(".")[2]).__doc__


class _Root(ModuleType):
    """This package: names of `CALLS` come when they are used."""

    def __getattr__(self, name: str) -> Any:
        if name not in CALLS:
            raise AttributeError(f"module 'harness' has no attribute '{name}'")
        if name in _rooms():
            return importlib.import_module(f"harness.{name}")
        value = _find(name)
        self.__dict__[name] = value
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        # The import system puts each package here when it is imported, whoever imports it.
        if name in CALLS and isinstance(value, ModuleType):
            value.__class__ = _Room
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*self.__dict__, *CALLS})


def _rooms() -> set[str]:
    """The packages of this one."""
    import pkgutil

    return {module.name for module in pkgutil.iter_modules(__path__) if module.ispkg}


def _find(name: str) -> Any:
    return getattr(importlib.import_module(CALLS[name]), name)


sys.modules[__name__].__class__ = _Root
