"""How the agent times a model, and tells where its nodes ran."""

from __future__ import annotations

import array
import itertools
from pathlib import Path

import numpy as np
from agent.frames import MAX_PAYLOAD_BYTES, FrameBuffer
from agent.placement import node_list, placement
from agent.runs import Runs
from agent.samples import Feed

# -- timing


class Instant:
    """An interpreter that takes no time."""

    def invoke(self) -> None:
        pass

    def set_tensor(self, index, value) -> None:
        pass


def test_more_samples_than_one_frame_holds_leave_in_pieces(tmp_path: Path):
    count = MAX_PAYLOAD_BYTES // 8 + 1
    with open(tmp_path / "frames", "wb") as file:
        runs = Runs(np, Instant(), file.fileno())
        runs.feeds = [Feed(0, np.zeros((1, 1)), None)]
        answer = runs.bench({"warmup_max_ns": 1, "min_samples": count, "min_ns": 1, "max_ns": 1 << 62})
    buffer = FrameBuffer()
    buffer.data += (tmp_path / "frames").read_bytes()
    frames = list(iter(buffer.pop, None))
    assert answer["samples"] == count
    assert sum(len(payload) for header, payload in frames if header["output"] == -1) == 8 * count


def test_warm_up_ends_when_three_windows_agree():
    runs = Runs(np, None, -1)
    windows = iter([100_000, 50_000, 40_000, 40_300, 40_500, 1])
    runs.sample = lambda *_: array.array("q", [next(windows)] * 10)
    samples, stable = runs.warm_up(10**12)
    assert stable
    assert samples[-1] == 40_500


def test_a_warm_up_that_never_settles_says_so():
    runs = Runs(np, None, -1)
    medians = itertools.cycle([100_000, 200_000])
    runs.sample = lambda *_: array.array("q", [next(medians)] * 10)
    assert runs.warm_up(20_000_000)[1] is False


# -- placement


def placement_of(before, after):
    answer = placement(before, after)
    return [(row["on"], row["partition"]) for row in answer["nodes"]], answer["external_partitions"]


CHAIN = [("CONV_2D", [0, 10, 11], [1]), ("RESIZE", [1], [2]), ("CONV_2D", [2, 12, 13], [3]), ("SOFTMAX", [3], [4])]


def test_a_delegate_there_before_allocation_is_the_external_one():
    both = [*CHAIN, ("DELEGATE", [0, 10, 11], [1]), ("DELEGATE", [2, 12, 13], [4])]
    places, partitions = placement_of(both, both)
    assert places == [("external", 0), ("cpu", None), ("external", 1), ("external", 1)]
    assert partitions == 2


def test_xnnpack_takes_what_the_external_delegate_left():
    before = [*CHAIN, ("DELEGATE", [0, 10, 11], [1])]
    places, partitions = placement_of(before, [*before, ("DELEGATE", [2, 12, 13], [4])])
    assert places == [("external", 0), ("cpu", None), ("xnnpack", 1), ("xnnpack", 1)]
    assert partitions == 1


def test_a_delegate_that_claims_nothing_leaves_all_nodes_on_the_cpu():
    places, partitions = placement_of(CHAIN, CHAIN)
    assert places == [("cpu", None)] * 4
    assert partitions == 0


def test_a_runtime_that_does_not_list_its_nodes_says_so():
    assert placement(node_list(object()), None)["nodes"] is None
