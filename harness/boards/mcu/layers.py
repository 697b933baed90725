"""What each node of a model costs on a microcontroller: its counter read between nodes, that reading's own cost taken off.

The board walks over its nodes twice: without running any, which is what telling them apart costs, and for good. The difference
is what a node takes of a timed inference, in which nothing of this is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from harness.boards.base import LayerCost, LayerCosts
from harness.boards.mcu.clock import McuClock
from harness.boards.mcu.model import PlanNode
from harness.links.serial.messages import NodeTicks, ProtocolError


def layer_costs(
    nodes: Sequence[PlanNode], clock: McuClock, told: Callable[[int], NodeTicks], *, where: str
) -> LayerCosts:
    """Asks a board for all nodes, as many at a time as it tells.

    Args:
        nodes: what an inference of the loaded model runs, in order.
        clock: of the board.
        told: one inference that tells of the nodes from a given one on.
        where: the board's name.

    Raises:
        ProtocolError: the board runs another number of nodes than the plan has.
        WorkerFailure, DeviceError: as `told` does.
    """
    took: list[int] = []
    own: list[int] = []
    while len(took) < len(nodes):
        answer = told(len(took))
        if answer.nodes != len(nodes):
            raise ProtocolError(f"PROFILE: the board runs {answer.nodes} nodes, its plan has {len(nodes)}", where=where)
        took += answer.ticks
        own += answer.own_ticks
    # Each row by itself: a difference of ticks could be off by two, which is more than half an instruction.
    took_counts, own_counts = _in_unit(clock, took), _in_unit(clock, own)
    counts: dict[int | None, int] = {}
    macs: dict[int | None, int] = {}
    for node, all_of_it, overhead in zip(nodes, took_counts, own_counts, strict=False):
        counts[node.node] = counts.get(node.node, 0) + max(0, all_of_it - overhead)
        macs[node.node] = macs.get(node.node, 0) + node.macs
    edges = sorted(counts, key=lambda node: node is None)
    return LayerCosts(
        unit=clock.unit or "ns",
        layers=tuple(LayerCost(node=node, count=counts[node], macs=macs[node]) for node in edges),
        own=sum(own_counts),
    )


def _in_unit(clock: McuClock, ticks: Sequence[int]) -> list[int]:
    values = np.array(ticks, np.int64)
    counts = clock.counts(values)
    return [int(value) for value in (clock.ns(values) if counts is None else counts.values)]
