"""Float32 models that keep state, SVDF and LSTM: what each step is in float64, and plans of one such node."""

from __future__ import annotations

import numpy as np

from harness.tflite.cut.edit import Editor
from harness.tflite.cut.tree import write_tree
from tests.support.float_cases import TINY, FloatCase, U, real
from tests.support.kernel_cases import Case
from tests.support.plan_builder import NONE, PlanBuilder

_TANH, _RELU = 4, 1
_INPUT_GATE = (1, 5, 12)


def svdf(rng: np.random.Generator, steps: int) -> FloatCase:
    """Inputs are [steps, batches, inputs]."""
    batches, inputs, units, rank, memory = (int(n) for n in rng.integers(1, 6, 5))
    filters = units * rank
    feature, time, bias = real(rng, (filters, inputs)), real(rng, (filters, memory)), real(rng, (units,))
    x, with_bias, relu = real(rng, (steps, batches, inputs)), bool(rng.random() < 0.7), bool(rng.random() < 0.5)
    editor = Editor()
    source = editor.tensor("x", (batches, inputs), "float32")
    parts = [editor.tensor(name, data.shape, "float32", data=data) for name, data in (("f", feature), ("t", time))]
    bias_at = editor.tensor("bias", (units,), "float32", data=bias) if with_bias else -1
    kept = editor.tensor("state", (batches, filters * memory), "float32", variable=True)
    y = editor.tensor("y", (batches, units), "float32")
    fields = {"rank": rank, "fused_activation_function": _RELU if relu else 0}
    editor.add("SVDF", [source, *parts, bias_at, kept], [y], options="SVDFOptions", fields=fields)
    state, sizes = np.zeros((2, batches, filters, memory))
    exact, bound = [], []
    for values in x.astype(np.float64):
        for kept_values, one, other in ((state, values, feature), (sizes, abs(values), abs(feature))):
            kept_values[:] = np.roll(kept_values, -1, axis=-1)
            kept_values[..., -1] = one @ other.T.astype(np.float64)
        total = ((state * time).sum(-1)).reshape(batches, units, rank).sum(-1) + (bias if with_bias else 0)
        size_of = ((sizes * abs(time)).sum(-1)).reshape(batches, units, rank).sum(-1) + (abs(bias) if with_bias else 0)
        exact.append(np.maximum(total, 0) if relu else total)
        bound.append((inputs + memory * rank + 4) * U * size_of + TINY)
    case = Case(
        op="SVDF",
        text=f"{batches}x{inputs}, {units} units of rank {rank}, memory {memory}, bias {with_bias}, relu {relu}",
        model=write_tree(editor.finish([source], [y])),
        inputs=(x,),
        run=lambda _kernels: np.empty(0),
    )
    return FloatCase(case, np.stack(exact), np.stack(bound))


def lstm(rng: np.random.Generator, steps: int) -> FloatCase:
    """Inputs are [steps, batches, times, inputs], or [steps, times, batches, inputs]."""
    batches, times, inputs, units = (int(n) for n in rng.integers(1, 6, 4))
    major, coupled = bool(rng.random() < 0.3), bool(rng.random() < 0.3)
    clip = float(np.float32(rng.choice([0.0, 0.0, 0.6, 3.0])))
    shape = (times, batches) if major else (batches, times)
    x = real(rng, (steps, *shape, inputs))
    editor = Editor()
    places, weights = [-1] * 24, {}
    places[0] = editor.tensor("x", (*shape, inputs), "float32")
    for place, size in [*((p, (units, inputs)) for p in range(1, 5)), *((p, (units, units)) for p in range(5, 9))]:
        weights[place] = real(rng, size, 0.2)
    weights.update({place: real(rng, (units,), 0.2) for place in range(12, 16)})
    for place, data in weights.items():
        if not (coupled and place in _INPUT_GATE):
            places[place] = editor.tensor(f"w{place}", data.shape, "float32", data=data)
    places[18], places[19] = (editor.tensor(n, (batches, units), "float32", variable=True) for n in "hc")
    y = editor.tensor("y", (*shape, units), "float32")
    fields = {"fused_activation_function": _TANH, "cell_clip": clip, "time_major": major}
    editor.add("UNIDIRECTIONAL_SEQUENCE_LSTM", places, [y], options="UnidirectionalSequenceLSTMOptions", fields=fields)
    exact = _lstm64(x.astype(np.float64), weights, coupled=coupled, major=major, clip=clip)
    # Gates and cells stay below a few units; an error of one step is carried to the next ones, less a forget gate.
    bound = np.full(exact.shape, 64 * (inputs + units + 8) * U)
    case = Case(
        op="LSTM",
        text=f"{batches}x{times}x{inputs}, {units} units, time major {major}, coupled {coupled}, clip {clip}",
        model=write_tree(editor.finish([places[0]], [y])),
        inputs=(x,),
        run=lambda _kernels: np.empty(0),
    )
    return FloatCase(case, exact, bound)


def _lstm64(x: np.ndarray, weights: dict[int, np.ndarray], *, coupled: bool, major: bool, clip: float) -> np.ndarray:
    """[steps, ...] one inference after the other, the state going on."""

    def logistic(values: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-values))

    sequence = x if major else np.swapaxes(x, 1, 2)
    steps, times, batches, _ = sequence.shape
    units = weights[12].size
    hidden, cell = np.zeros((2, batches, units))
    made = np.zeros((steps, times, batches, units))
    for step in range(steps):
        for time in range(times):
            values = sequence[step, time]

            def gate(which: int, values: np.ndarray = values, hidden: np.ndarray = hidden) -> np.ndarray:
                return values @ weights[1 + which].T + hidden @ weights[5 + which].T + weights[12 + which]

            forget = logistic(gate(1))
            let_in = 1 - forget if coupled else logistic(gate(0))
            cell = forget * cell + let_in * np.tanh(gate(2))
            if clip:
                cell = np.clip(cell, -clip, clip)
            hidden = logistic(gate(3)) * np.tanh(cell)
            made[step, time] = hidden
    return made if major else np.swapaxes(made, 1, 2)


def float_state_plans(rng: np.random.Generator) -> tuple[bytes, bytes]:
    """FLOAT_SVDF and FLOAT_LSTM, each as a plan of one node: what the planner makes of them belongs together."""
    plan = PlanBuilder()
    batches, inputs, units, rank, memory = (int(n) for n in rng.integers(1, 5, 5))
    filters = units * rank
    source, state = plan.arena(4 * batches * inputs), plan.arena(4 * batches * filters * memory)
    target = plan.arena(4 * batches * units)
    plan.node(
        "FLOAT_SVDF",
        source,
        state,
        plan.constant(real(rng, (filters, inputs))),
        plan.constant(real(rng, (filters, memory))),
        plan.constant(real(rng, (units,))) if rng.random() < 0.7 else NONE,
        target,
        [batches, inputs, filters, rank, memory],
        -np.inf,
        np.inf,
    )
    plan.input(source, "float32", batches * inputs)
    plan.output(target, "float32", batches * units)
    other = PlanBuilder()
    batches, steps, inputs, units = (int(n) for n in rng.integers(1, 5, 4))
    gates = int(rng.integers(3, 5))
    source, state = other.arena(4 * batches * steps * inputs), other.arena(8 * batches * units)
    target = other.arena(4 * batches * steps * units)
    other.node(
        "FLOAT_LSTM",
        source,
        state,
        other.constant(real(rng, (gates, units, inputs))),
        other.constant(real(rng, (gates, units, units))),
        other.constant(real(rng, (gates, units))),
        target,
        [batches, steps, inputs, units, gates, int(rng.integers(0, 2))],
        float(rng.choice([0.0, 1.0])),
    )
    other.input(source, "float32", batches * steps * inputs)
    other.output(target, "float32", batches * steps * units)
    return plan.build(), other.build()
