"""Where the samples of each input stand among named arrays: `x_test` for the one input, `x_test_NAME` for each of several."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from harness.core.errors import UserInputError
from harness.workloads.input_names import ModelInput

#: parts that are given as such, and all samples as one
_PARTS = ("x_test", "x_train", "x_calibration", "x_val")
_WHOLE = "x"
#: arrays beside the samples: an input that is called so has its samples as `x_NAME` only
_BESIDE = ("y", "sequence")
_LABELS = ("y_", "scale_", "offset_")


@dataclass(frozen=True, kw_only=True)
class InputKeys:
    """The arrays of samples in a file.

    Attributes:
        parts: `x_test`, `x_train`, `x_calibration`, `x_val` or `x` -> input -> array; the one input's name is empty.
        others: arrays that are none of these.
    """

    parts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    others: tuple[str, ...] = ()

    @property
    def test(self) -> str:
        """What the evaluated samples are called: `x_test`, or `x`; of a file without any, `x`."""
        return "x_test" if "x_test" in self.parts else _WHOLE

    @property
    def labels(self) -> str:
        """What the labels of the evaluated samples are called: `y_test`, or `y`."""
        return "y_test" if "x_test" in self.parts else "y"


def array_of(base: str, name: str) -> str:
    """What an array beside the samples of an input is called: `scale` of the one input, `scale_NAME` of one of several."""
    return f"{base}_{name}" if name else base


def input_keys(keys: Sequence[str], inputs: Sequence[ModelInput], where: str) -> InputKeys:
    """Finds the samples of a model among the arrays of a file.

    Args:
        keys: the names of the arrays.
        inputs: those of a model with several; none for a model with one.

    Raises:
        UserInputError: of several inputs one has no array, or an array is no input's.
    """
    if not inputs:
        parts = {part: {"": part} for part in (*_PARTS, _WHOLE) if part in keys}
        return InputKeys(parts=parts, others=tuple(key for key in keys if key not in parts))
    parts = {part: found for part in _PARTS if (found := _found(keys, part, inputs))}
    if "x_test" not in parts or len(parts["x_test"]) < len(inputs):
        # An input may be called `test_a`, whose whole samples are `x_test_a`.
        whole = _found(keys, _WHOLE, inputs)
        if len(whole) == len(inputs) or "x_test" not in parts:
            parts = {_WHOLE: whole} if whole else {}
    taken = {key for part in parts.values() for key in part.values()}
    others = tuple(key for key in keys if key not in taken)
    for part, found in parts.items():
        if missing := [one.name for one in inputs if one.name not in found]:
            raise _unfit(f"has no array for the model's input '{missing[0]}'", keys, inputs, where, part)
    if strange := [key for key in others if not _is_beside(key)]:
        raise _unfit(f"the array '{strange[0]}' is of no input of the model", keys, inputs, where)
    if not parts:
        raise _unfit("has no samples for the model", keys, inputs, where)
    return InputKeys(parts=parts, others=others)


def _found(keys: Collection[str], part: str, inputs: Sequence[ModelInput]) -> dict[str, str]:
    """Input -> array, of those that have one in a part."""
    found: dict[str, str] = {}
    for one in inputs:
        names = (one.name, *one.aliases)
        wanted = [f"{part}_{name}" for name in names]
        if part == _WHOLE:
            wanted += [name for name in names if not _is_beside(name)]
        if (key := next((key for key in wanted if key in keys), None)) is not None:
            found[one.name] = key
    return found


def _is_beside(key: str) -> bool:
    """Whether an array is no input's by its name: labels, sequences, scales."""
    return key in _BESIDE or key.startswith(_LABELS)


def _unfit(
    what: str, keys: Sequence[str], inputs: Sequence[ModelInput], where: str, part: str = "x_test"
) -> UserInputError:
    names = ", ".join(f"'{one.name}'" for one in inputs)
    wanted = ", ".join(f"{part}_{one.name}" for one in inputs)
    return UserInputError(
        f"{what}; the model has the inputs {names}, and the file has the arrays {', '.join(keys) or 'none'}",
        where=where,
        hint=f"a model with several inputs takes one array for each, called like it: {wanted}, or the names alone",
    )
