"""Quantized models that keep state: random ones of one SVDF, and a running sum in a resource variable."""

from __future__ import annotations

import numpy as np

from harness.tflite.cut.edit import Editor
from harness.tflite.cut.tree import Record, write_tree
from tests.support.kernel_cases import Case
from tests.support.wide_cases import pick_scale

_RELU = 1


def svdf(rng: np.random.Generator, steps: int) -> Case:
    """Inputs are [steps, batches, inputs]."""
    batches, inputs, units, rank, memory = (int(n) for n in rng.integers(1, 6, 5))
    filters = units * rank
    source, state = pick_scale(rng, 1e-3, 0.1), pick_scale(rng, 1e-5, 1e-3)
    feature, time = pick_scale(rng, 1e-3, 0.02), pick_scale(rng, 1e-5, 1e-4)
    output = state * time * 32768 * 8000 * float(np.sqrt(memory * rank)) / 128
    editor = Editor()
    x = editor.tensor("x", (batches, inputs), "int8", scales=[source], zero_points=[int(rng.integers(-128, 128))])
    weights = editor.tensor(
        "feature",
        (filters, inputs),
        "int8",
        data=rng.integers(-127, 128, (filters, inputs)).astype(np.int8),
        scales=[feature],
    )
    times = editor.tensor(
        "time",
        (filters, memory),
        "int16",
        data=rng.integers(-32767, 32768, (filters, memory)).astype(np.int16),
        scales=[time],
    )
    bias = -1
    if rng.random() < 0.7:
        values = rng.integers(-(2**24), 2**24, units).astype(np.int32)
        bias = editor.tensor("bias", (units,), "int32", data=values, scales=[state * time])
    kept = editor.tensor("state", (batches, filters * memory), "int16", scales=[state], variable=True)
    y = editor.tensor("y", (batches, units), "int8", scales=[output], zero_points=[int(rng.integers(-128, 128))])
    fields = {"rank": rank, "fused_activation_function": _RELU}
    editor.add("SVDF", [x, weights, times, bias, kept], [y], options="SVDFOptions", fields=fields)
    return Case(
        op="SVDF",
        text=f"{batches}x{inputs}, {units} units of rank {rank}, memory {memory}, bias {bias >= 0}",
        model=write_tree(editor.finish([x], [y])),
        inputs=(rng.integers(-128, 128, (steps, batches, inputs)).astype(np.int8),),
        run=lambda _kernels: np.empty(0),
    )


def running_sum(dtype: str = "int8", size: int = 4, *, first: bool = True) -> bytes:
    """[1, size] -> all inputs so far, and 10 steps of the scale: a resource variable that a graph run once fills.

    Args:
        first: without, nothing gives the variable its first value.
    """
    scale = {"scales": [0.5], "zero_points": [3 if dtype == "int8" else 0]}
    editor = Editor()
    handle = editor.tensor("handle", (1,), "resource")
    x, before, y = (editor.tensor(name, (1, size), dtype, **scale) for name in ("x", "before", "y"))
    if first:
        editor.add("CALL_ONCE", [], [], options="CallOnceOptions", fields={"init_subgraph_index": 1})
    editor.add("VAR_HANDLE", [], [handle], options="VarHandleOptions", fields={"shared_name": b"sum"})
    editor.add("READ_VARIABLE", [handle], [before], options="ReadVariableOptions")
    editor.add("ADD", [before, x], [y], options="AddOptions", fields={"pot_scale_int16": False})
    editor.add("ASSIGN_VARIABLE", [handle, y], [], options="AssignVariableOptions")
    tree = editor.finish([x], [y])
    tree.rows("subgraphs").append(Record("SubGraph"))
    once = Editor(tree, 1)
    handle = once.tensor("handle", (1,), "resource")
    value = once.tensor("value", (1, size), dtype, data=np.full((1, size), 13, dtype), **scale)
    once.add("VAR_HANDLE", [], [handle], options="VarHandleOptions", fields={"shared_name": b"sum"})
    once.add("ASSIGN_VARIABLE", [handle, value], [], options="AssignVariableOptions")
    once.finish([], [])
    return write_tree(tree)
