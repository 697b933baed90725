"""What a hybrid kernel does to its input: rounding to 8 bits with a scale made of the input itself, said in float ops."""

from __future__ import annotations

import numpy as np

from harness.tflite.cut.edit import Editor
from harness.tflite.cut.tree import Record

_LEVELS = 127
#: keeps an input of zeros from being divided by zero
_SMALLEST = 1e-30


def dynamic_rounding(editor: Editor, source: int, target: int, *, row_length: int | None) -> list[Record]:
    """The operators that write into `target` what a hybrid kernel makes of `source`: s * floor(x / s + 1/2), s = max |x| / 127.

    Args:
        editor: of the subgraph that both tensors are in.
        source, target: float tensors of one shape.
        row_length: how many values share a scale, as whole trailing axes; None: all of a sample (convolutions).
    """
    shape = editor.tensors[source].indices("shape")
    first = _first_axis(shape, row_length)
    axes = _constant(editor, np.arange(first, len(shape)), "int32")
    whole = [int(n) for n in shape]
    reduced = [n if axis < first else 1 for axis, n in enumerate(whole)]
    sizes = _tensor(editor, whole)
    largest, raw_step, step = (_tensor(editor, reduced) for _ in range(3))
    ratio, shifted, steps = (_tensor(editor, whole) for _ in range(3))
    return [
        editor.operator("ABS", [source], [sizes], options="AbsOptions"),
        editor.operator("REDUCE_MAX", [sizes, axes], [largest], options="ReducerOptions", fields={"keep_dims": True}),
        editor.operator("MUL", [largest, _constant(editor, 1 / _LEVELS)], [raw_step], options="MulOptions"),
        editor.operator("MAXIMUM", [raw_step, _constant(editor, _SMALLEST)], [step], options="MaximumMinimumOptions"),
        editor.operator("DIV", [source, step], [ratio], options="DivOptions"),
        editor.operator("ADD", [ratio, _constant(editor, 0.5)], [shifted], options="AddOptions"),
        editor.operator("FLOOR", [shifted], [steps]),
        editor.operator("MUL", [steps, step], [target], options="MulOptions"),
    ]


def _first_axis(shape: tuple[int, ...], row_length: int | None) -> int:
    """The first of the trailing axes that hold `row_length` values; the first after the batch where no axes fit."""
    length = 1
    for axis in range(len(shape) - 1, -1, -1):
        length *= shape[axis]
        if row_length is not None and length == row_length:
            return axis
    return min(1, len(shape) - 1) if shape else 0


def _tensor(editor: Editor, shape: list[int]) -> int:
    return editor.tensor("dynamic rounding", shape, "float32")


def _constant(editor: Editor, value: float | np.ndarray, dtype: str = "float32") -> int:
    data = np.asarray(value, dtype)
    return editor.tensor("dynamic rounding", data.shape, dtype, data=data)
