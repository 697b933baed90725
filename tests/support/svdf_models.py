"""Quantized models that keep state: random ones of one SVDF, and a running sum in a resource variable."""

from __future__ import annotations

import numpy as np

from harness.tflite import quantized_params as qp
from harness.tflite.cut.edit import Editor
from harness.tflite.cut.tree import Record, write_tree
from harness.tflite.graph import read_graph
from tests.support.kernel_cases import Case
from tests.support.wide_cases import pick_scale

_RELU = 1


def svdf(rng: np.random.Generator, steps: int, memory_dtype: str = "int16") -> Case:
    """Inputs are [steps, batches, inputs]. With a memory of int8, as TensorFlow Lite Micro has it, time weights are int8 too."""
    small = memory_dtype == "int8"
    most = 127 if small else 32767
    batches, inputs, units, rank, memory = (int(n) for n in rng.integers(1, 6, 5))
    filters = units * rank
    source, state = pick_scale(rng, 1e-3, 0.1), pick_scale(rng, 1e-5, 1e-3)
    feature, time = pick_scale(rng, 1e-3, 0.02), pick_scale(rng, 1e-5, 1e-4)
    if small:
        state, time = state * 256, time * 256
    output = state * time * most * most / 4 * float(np.sqrt(memory * rank)) / 128
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
        memory_dtype,
        data=rng.integers(-most, most + 1, (filters, memory)).astype(memory_dtype),
        scales=[time],
    )
    bias = -1
    if rng.random() < 0.7:
        span = 2**12 if small else 2**24
        values = rng.integers(-span, span, units).astype(np.int32)
        bias = editor.tensor("bias", (units,), "int32", data=values, scales=[state * time])
    zero_point = int(rng.integers(-128, 128)) if small else 0
    shape = (batches, filters * memory)
    kept = editor.tensor("state", shape, memory_dtype, scales=[state], zero_points=[zero_point], variable=True)
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


def svdf_8_outputs(model: bytes, samples: np.ndarray) -> np.ndarray:
    """What a model of `svdf` with a memory of int8 gives, from the definition: int8 [steps, batches * units]."""
    graph = read_graph(model)
    x, feature, time, bias, state = (graph.input_at(graph.nodes[0], i) for i in range(5))
    y = graph.tensors[graph.outputs[0]]
    f32 = [np.float32(one.scales[0]) for one in (x, feature, time, state, y)]
    first = qp.quantize_multiplier(float(f32[0] * f32[1] / f32[3]))
    second = qp.quantize_multiplier(float(f32[3] * f32[2] / f32[4]))
    rank, zero = graph.nodes[0].options["rank"], state.zero_points[0]
    memory = np.zeros((x.shape[0], *time.shape), np.int64)  # less its zero point
    found = []
    for sample in samples:
        newest = (sample.astype(np.int64) - x.zero_points[0]) @ feature.data().astype(np.int64).T
        scaled = np.clip(_requantized(newest, first), -128, 127) + zero
        memory = np.concatenate(
            [memory[:, :, 1:], (scaled.astype(np.int8).astype(np.int64) - zero)[:, :, None]], axis=2
        )
        sums = (memory * time.data().astype(np.int64)).sum(axis=2).reshape(x.shape[0], -1, rank).sum(axis=2)
        sums += 0 if bias is None else bias.data()
        found.append(np.clip(_requantized(sums, second) + y.zero_points[0], -128, 127).astype(np.int8).ravel())
    return np.array(found)


def _requantized(values: np.ndarray, scale: qp.Multiplier) -> np.ndarray:
    """KN_ROUND_DOUBLE in exact integers, for sums that fit 32 bits."""
    high = (values * 2 ** max(scale.shift, 0) * scale.multiplier + 2**30) >> 31
    down = max(-scale.shift, 0)
    rounded = (np.abs(high) + (2**down >> 1)) >> down
    return np.where(high < 0, -rounded, rounded)


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
