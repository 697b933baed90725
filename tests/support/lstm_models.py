"""Quantized models of one LSTM: random sizes, scales and weights, with and without an input gate, a clip and biases."""

from __future__ import annotations

import numpy as np

from harness.tflite.cut.edit import Editor
from harness.tflite.cut.tree import write_tree
from tests.support.kernel_cases import Case
from tests.support.kernels_abi import struct
from tests.support.plan_builder import PlanBuilder
from tests.support.wide_cases import RANGES, pick_scale

_TANH = 4
_INPUT_GATE = (1, 5, 12)


def lstm(rng: np.random.Generator, steps: int, dtype: str = "int8") -> Case:
    """Inputs are [steps, batches, times, inputs], or [steps, times, batches, inputs]."""
    wide = dtype == "int16"
    batches, times, inputs, units = (int(n) for n in rng.integers(1, 6, 4))
    major, coupled = bool(rng.random() < 0.3), bool(rng.random() < 0.3) and not wide
    cell_bits = int(rng.integers(0, 7))
    clip = float(rng.choice([0.0, 0.0, 0.6, 3.0]))
    source = pick_scale(rng, 1e-5, 1e-3) if wide else pick_scale(rng, 1e-3, 0.1)
    low, high = RANGES[dtype]
    hidden = float(np.float32(rng.uniform(0.5, 1.2) / (high + 1)))
    zero_point, zero = (0, 0) if wide else (int(rng.integers(-20, 21)), int(rng.integers(-128, 128)))
    # Converters are to store one quantization three times, and do not always.
    apart = int(rng.integers(-1, 2)) if rng.random() < 0.4 and not wide else 0
    editor = Editor()
    shape = (times, batches) if major else (batches, times)
    x = editor.tensor("x", (*shape, inputs), dtype, scales=[source], zero_points=[zero])
    places = [-1] * 24
    places[0] = x
    for first, columns in ((1, inputs), (5, units)):
        for place in range(first, first + 4):
            if coupled and place in _INPUT_GATE:
                continue
            values = rng.integers(-127, 128, (units, columns)).astype(np.int8)
            scale = pick_scale(rng, 1e-3, 0.02)
            places[place] = editor.tensor(f"w{place}", values.shape, "int8", data=values, scales=[scale])
    for place in range(12, 16):
        if coupled and place in _INPUT_GATE:
            continue
        most, kind = (2**24, "int64") if wide else (2**14, "int32")
        values = rng.integers(-most, most, units).astype(kind)
        places[place] = editor.tensor(f"b{place}", (units,), kind, data=values, scales=[source * 0.01])
    places[18] = editor.tensor("h", (batches, units), dtype, scales=[hidden], zero_points=[zero_point], variable=True)
    places[19] = editor.tensor("c", (batches, units), "int16", scales=[2.0 ** (cell_bits - 15)], variable=True)
    inner = [editor.tensor(f"i{place}", (0,), "int16", scales=[2.0**-12]) for place in range(4)]
    inner.append(editor.tensor("i4", (0,), dtype, scales=[hidden], zero_points=[zero_point + apart]))
    y = editor.tensor("y", (*shape, units), dtype, scales=[hidden], zero_points=[zero_point])
    fields = {"fused_activation_function": _TANH, "cell_clip": clip, "time_major": major}
    node = editor.add(
        "UNIDIRECTIONAL_SEQUENCE_LSTM", places, [y], options="UnidirectionalSequenceLSTMOptions", fields=fields
    )
    node["intermediates"] = np.array(inner, np.int32)
    return Case(
        op="LSTM",
        text=f"{dtype} {batches}x{times}x{inputs}, {units} units, time major {major}, coupled {coupled}, 2^{cell_bits - 15}, "
        f"clip {clip}, apart {apart}",
        model=write_tree(editor.finish([x], [y])),
        inputs=(rng.integers(low, high + 1, (steps, *shape, inputs)).astype(dtype),),
        run=lambda _kernels: np.empty(0),
    )


def lstm_16(rng: np.random.Generator, steps: int) -> Case:
    return lstm(rng, steps, "int16")


def lstm_plan(rng: np.random.Generator) -> bytes:
    """A plan of one LSTM and nothing else, of any numbers that the runtime takes."""
    plan = PlanBuilder()
    batches, steps, inputs, units = (int(n) for n in rng.integers(1, 5, 4))
    gates = int(rng.integers(3, 5))
    source, state = plan.arena(batches * steps * inputs), plan.arena(4 * batches * units)
    target = plan.arena(batches * steps * units)
    params = struct(
        "kn_lstm_params",
        batches=batches,
        steps=steps,
        inputs=inputs,
        units=units,
        gates=gates,
        time_major=int(rng.integers(0, 2)),
        input_offset=int(rng.integers(-127, 129)),
        state_zero_point=int(rng.integers(-128, 128)),
        hidden_zero_point=int(rng.integers(-128, 128)),
        hidden_multiplier=int(rng.integers(1 << 30, 1 << 31)),
        hidden_shift=int(rng.integers(-31, 31)),
        cell_integer_bits=int(rng.integers(0, 7)),
        cell_clip=int(rng.choice([0, 1, 4096, 32767])),
    )
    plan.node(
        "LSTM",
        source,
        state,
        plan.constant(rng.integers(-128, 128, (gates, units, inputs)).astype(np.int8)),
        plan.constant(rng.integers(-128, 128, (gates, units, units)).astype(np.int8)),
        plan.constant(rng.integers(-(2**31), 2**31, (gates, units)).astype(np.int32)),
        plan.constant(rng.integers(0, 1 << 31, 2 * gates).astype(np.int32)),
        plan.constant(rng.integers(-31, 31, 2 * gates).astype(np.int32)),
        target,
        params,
    )
    plan.input(source, "int8", batches * steps * inputs)
    plan.output(target, "int8", batches * steps * units)
    return plan.build()


def lstm_16_plan(rng: np.random.Generator) -> bytes:
    """The same of 16-bit activations."""
    plan = PlanBuilder()
    batches, steps, inputs, units = (int(n) for n in rng.integers(1, 5, 4))
    source, state = plan.arena(2 * batches * steps * inputs), plan.arena(4 * batches * units)
    target = plan.arena(2 * batches * steps * units)
    params = struct(
        "kn_lstm_16_params",
        batches=batches,
        steps=steps,
        inputs=inputs,
        units=units,
        time_major=int(rng.integers(0, 2)),
        hidden_multiplier=int(rng.integers(1 << 30, 1 << 31)),
        hidden_shift=int(rng.integers(-31, 31)),
        cell_integer_bits=int(rng.integers(0, 7)),
        cell_clip=int(rng.choice([0, 1, 4096, 32767])),
    )
    plan.node(
        "LSTM_16",
        source,
        state,
        plan.constant(rng.integers(-128, 128, (4, units, inputs)).astype(np.int8)),
        plan.constant(rng.integers(-128, 128, (4, units, units)).astype(np.int8)),
        plan.constant(rng.integers(-(2**62), 2**62, (4, units)).astype(np.int64)),
        plan.constant(rng.integers(0, 1 << 31, 8).astype(np.int32)),
        plan.constant(rng.integers(-31, 8, 8).astype(np.int32)),
        plan.constant(rng.integers(0, 65536, 256).astype(np.uint16)),
        target,
        params,
    )
    plan.input(source, "int16", batches * steps * inputs)
    plan.output(target, "int16", batches * steps * units)
    return plan.build()
