"""Whether an inference ends before the watchdog of an emulated board ends it: estimated from the model's multiply-accumulates.

The watchdog ends a hang after its deadline, and work after a hundred deadlines (devices/cortex_m/firmware/watch.h).

An emulated board's clock counts instructions, so that its pace is known: 2^icount_shift ns each, 7.8 million a second with a
shift of 7. What a multiply-accumulate takes depends on the layer. Seen with the kernels as they are, for whole models: dense
layers (an autoencoder of 264,192) take the least, small depthwise and 1x1 convolutions (MobileNet 0.25 at 128 pixels, 13.6
million) the most. Nothing is estimated for real boards, whose pace nobody knows before they are measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.boards.mcu.profile import KERNEL_NAMES, McuProfile
from harness.boards.mcu.twin import EmulatedLineProfile
from harness.tflite.arithmetic import node_arithmetic, weights_of
from harness.tflite.graph import Graph
from harness.tflite.macs import model_macs

#: instructions per multiply-accumulate, least and most that were seen, by the kernel set
INSTRUCTIONS_PER_MAC: dict[str, tuple[float, float]] = {"portable": (6.0, 13.0), "dsp": (1.3, 2.8), "mve": (0.35, 1.8)}
#: of float32 kernels, on cores with the unit: many channels, and few of them
_FLOAT_PER_MAC = (2.8, 15.0)
#: WATCH_DEADLINES of the firmware: so many deadlines an inference may take as long as it works
LONGEST_DEADLINES = 100


@dataclass(frozen=True, kw_only=True)
class Duration:
    """What is expected of one inference.

    Attributes:
        finishes: False: the watchdog ends it. None: it may.
        reason: the estimate in words; None where nothing speaks against it.
        advice: what helps.
    """

    finishes: bool | None
    reason: str | None = None
    advice: str | None = None


def expected_duration(graph: Graph, profile: McuProfile, kernels: int) -> Duration:
    """An inference on an emulated board against the shortest deadline of its profile; says nothing of a real one.

    Args:
        kernels: kernel set of the board, by its number in docs/internals/serial-protocol.md.
    """
    link, bounds = profile.link, _bounds(graph, kernels)
    if not isinstance(link, EmulatedLineProfile) or link.board.emulation is None or bounds is None:
        return Duration(finishes=None)
    per_second = 1e9 / 2**link.board.emulation.icount_shift
    deadlines = profile.deadlines
    limit_s = LONGEST_DEADLINES * min(deadlines.first_invoke_s, deadlines.evaluate_s, deadlines.bench_s)
    macs = model_macs(graph)
    least_s, most_s = (macs * each / per_second for each in bounds)
    if most_s <= limit_s:
        return Duration(finishes=True)
    certain = least_s > limit_s
    reason = (
        f"an inference takes about {least_s:.0f} to {most_s:.0f} s of the board's time (estimated from {macs:,} "
        f"multiply-accumulates at {per_second / 1e6:.1f} million instructions a second), and its watchdog "
        f"{'ends' if certain else 'may end'} it after {limit_s:g} s, {LONGEST_DEADLINES} deadlines"
    )
    needed_s = max(1.0, most_s / LONGEST_DEADLINES)
    longer = f"`deadlines: {{first_invoke_s: {needed_s:.0f}, evaluate_s: {needed_s:.0f}, bench_s: {needed_s:.0f}}}`"
    advice = f"longer deadlines in the profile's `emulation:` block ({longer}), or a smaller model"
    return Duration(finishes=False if certain else None, reason=reason, advice=advice)


def _bounds(graph: Graph, kernels: int) -> tuple[float, float] | None:
    """Instructions per multiply-accumulate, least and most; None: nobody has counted them."""
    weighted = [node_arithmetic(graph, node) for node in graph.nodes if weights_of(graph, node) is not None]
    real = [kind in ("float", "weight-only") for kind in weighted]
    found = [] if real and all(real) else [INSTRUCTIONS_PER_MAC.get(KERNEL_NAMES.get(kernels, ""))]
    found += [_FLOAT_PER_MAC] if any(real) else []
    known = [bounds for bounds in found if bounds is not None]
    return (min(low for low, _ in known), max(high for _, high in known)) if len(known) == len(found) else None
