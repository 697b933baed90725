"""Samples by a function of the user's own, `module:function`: the module lies in the folder that the name starts from.

It is the user's code and runs as such, because it was named; nothing of what it returns is taken as code.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.errors import UserInputError
from harness.core.files import exists
from harness.workloads.arrays import flat
from harness.workloads.input_names import ModelInput
from harness.workloads.metrics.base import Ends
from harness.workloads.sources.arrays import found_arrays, several_arrays
from harness.workloads.sources.parts import Found

_NAME = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")
_RETURNS = (
    "a function returns (x, y), or ((x_train, y_train), (x_test, y_test)), or a dict of arrays called x_train, y_train, "
    "x_test, y_test or x, y; of a model with several inputs each x is a dict of one array per input, and of one with several "
    "outputs each y is a dict of labels by output"
)


def is_function(path: Path) -> bool:
    """Whether a path is `FOLDER/module:function`."""
    return _NAME.fullmatch(path.name) is not None and not exists(path)


def call_function(path: Path, several: Sequence[ModelInput] = (), outputs: Sequence[Ends] = ()) -> Found:
    """The arrays that a function returns.

    Args:
        path: `FOLDER/module:function`; the module is FOLDER/module.py.
        several: the inputs of a model with more than one.
        outputs: the model's.

    Raises:
        UserInputError: no such module or function, it raised, or what it returned is no arrays.
    """
    match = _NAME.fullmatch(path.name)
    assert match is not None
    module, name = match.groups()
    function = getattr(_imported(path.parent, module), name, None)
    if not callable(function):
        raise UserInputError(f"the module has no function '{name}'", where=str(_file(path.parent, module)))
    where = f"{_file(path.parent, module)}, {name}()"
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is the command's, which may be JSON
            returned = function()
    # Whatever code of the user's raises, and sys.exit(), which would end the command as if it were done.
    except (Exception, SystemExit) as error:
        raise UserInputError(f"raised {_words(error)}", where=where, hint=_RETURNS) from None
    arrays = {key: _array(value, key, where) for key, value in flat(_named(returned, where)).items()}
    known = {key: array for key, array in arrays.items() if array is not None}
    found = (
        several_arrays(known, where, several, outputs)
        if several
        else found_arrays(known, where, others=[], outputs=outputs)
    )
    found.what = f"{module}:{name}"
    return found


def _file(folder: Path, module: str) -> Path:
    return folder / Path(*module.split(".")).with_suffix(".py")


def _imported(folder: Path, module: str) -> Any:
    """The module of the folder, also where an installed one has the same name."""
    file = _file(folder, module)
    if not file.is_file():
        hint = f"`module:function` names a module in the working folder: write {file.name}, or give a file or folder"
        raise UserInputError("no such module", where=str(file), hint=hint)
    spec = importlib.util.spec_from_file_location(f"harness_data_{module.replace('.', '_')}", file)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(folder))
    try:
        with contextlib.redirect_stdout(sys.stderr):
            spec.loader.exec_module(loaded)
    except (Exception, SystemExit) as error:
        raise UserInputError(f"does not import: {_words(error)}", where=str(file)) from None
    finally:
        sys.path.remove(str(folder))
    return loaded


def _words(error: BaseException) -> str:
    """An error of the user's code and the line that raised it."""
    line = ""
    if frames := [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]:
        frames = [f for f in frames if "importlib" not in f.filename] or frames
        line = f" (line {frames[-1].lineno} of {Path(frames[-1].filename).name})"
    return f"{type(error).__name__}: {' '.join(str(error).split()) or 'no words'}{line}"


def _named(returned: Any, where: str) -> Mapping[str, Any]:
    if isinstance(returned, Mapping) and all(isinstance(key, str) for key in returned):
        return returned
    if isinstance(returned, tuple) and len(returned) == 2:
        first, second = returned
        if all(isinstance(pair, tuple) and len(pair) == 2 for pair in returned):
            return {"x_train": first[0], "y_train": first[1], "x_test": second[0], "y_test": second[1]}
        return {"x": first, "y": second}
    if hasattr(returned, "__array__") and not isinstance(returned, (str, bytes)):
        return {"x": returned}
    raise UserInputError(f"returned {type(returned).__name__}, no samples", where=where, hint=_RETURNS)


def _array(value: Any, key: str, where: str) -> np.ndarray | None:
    if value is None:
        return None
    if isinstance(value, np.ma.MaskedArray) and np.ma.getmaskarray(value).any():
        count = int(np.ma.getmaskarray(value).sum())
        what = f"'{key}' masks {count:,} values, and a model takes all"
        raise UserInputError(what, where=where, hint="fill them, value.filled(...), or leave their samples out")
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise UserInputError(f"'{key}' is no array: {error}", where=where, hint=_RETURNS) from None
    if array.dtype.kind not in "uifb":
        raise UserInputError(f"'{key}' is an array of {array.dtype}, expected numbers", where=where, hint=_RETURNS)
    return array
