"""The arena planner on its own: nothing that is alive at one step lies on anything else, and little memory is wasted."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.tflite.plan.memory import ALIGNMENT, Block, Placement, Takeover, overlaps, place_blocks


@st.composite
def block_lists(draw: st.DrawFn) -> list[Block]:
    """Up to 25 blocks within 20 steps, some without bytes."""
    blocks = []
    for _ in range(draw(st.integers(0, 25))):
        first = draw(st.integers(-1, 18))
        blocks.append(Block(size_bytes=draw(st.integers(0, 100)), first=first, last=first + draw(st.integers(0, 6))))
    return blocks


def possible_takeovers(blocks: list[Block]) -> list[Takeover]:
    return [
        Takeover(old=i, new=j)
        for i, old in enumerate(blocks)
        for j, new in enumerate(blocks)
        if i != j and old.last == new.first and old.first < new.first
    ]


def bytes_on_each_other(blocks: list[Block], placement: Placement) -> set[tuple[int, int]]:
    """Worked out byte by byte: who shares a byte with whom at some step."""
    found = set()
    for step in range(-1, 40):
        owner: dict[int, int] = {}
        for i, block in enumerate(blocks):
            if block.first <= step <= block.last:
                for byte in range(placement.offsets[i], placement.offsets[i] + block.size_bytes):
                    if byte in owner:
                        found.add((owner[byte], i))
                    owner[byte] = i
    return found


@settings(max_examples=50, deadline=None)
@given(block_lists())
def test_blocks_that_are_alive_together_never_share_a_byte(blocks: list[Block]) -> None:
    placement = place_blocks(blocks)
    assert bytes_on_each_other(blocks, placement) == set()
    assert overlaps(blocks, placement) == []
    assert all(offset % ALIGNMENT == 0 for offset in placement.offsets)
    assert all(o + b.size_bytes <= placement.arena_bytes for o, b in zip(placement.offsets, blocks, strict=True))
    assert placement.arena_bytes >= placement.lower_bound_bytes


@settings(max_examples=50, deadline=None)
@given(block_lists())
def test_only_a_takeover_shares_bytes_and_only_at_the_step_where_it_happens(blocks: list[Block]) -> None:
    placement = place_blocks(blocks, possible_takeovers(blocks))
    used = {(one.old, one.new) for one in placement.takeovers}
    assert {tuple(sorted(pair)) for pair in bytes_on_each_other(blocks, placement)} <= {
        tuple(sorted(pair)) for pair in used
    }
    for old, new in used:
        assert placement.offsets[old] == placement.offsets[new]
        assert blocks[old].last == blocks[new].first
    assert len({old for old, _ in used}) == len({new for _, new in used}) == len(used), "one gives to one"
    assert placement.arena_bytes <= place_blocks(blocks).arena_bytes, "in place never costs memory"


@settings(max_examples=40, deadline=None)
@given(block_lists())
def test_the_same_blocks_give_the_same_places(blocks: list[Block]) -> None:
    assert place_blocks(blocks, possible_takeovers(blocks)) == place_blocks(blocks, possible_takeovers(blocks))


def test_overlaps_are_found_where_there_are_some() -> None:
    """The check of this file can fail."""
    blocks = [Block(size_bytes=8, first=0, last=1), Block(size_bytes=8, first=1, last=2)]
    wrong = Placement(offsets=(0, 4), arena_bytes=12, takeovers=(), lower_bound_bytes=16)
    assert overlaps(blocks, wrong) == [(0, 1)]
    assert bytes_on_each_other(blocks, wrong) == {(0, 1)}


def test_a_chain_of_equal_tensors_takes_two_places_and_in_place_one() -> None:
    chain = [Block(size_bytes=100, first=i - 1, last=i) for i in range(10)]
    assert place_blocks(chain).arena_bytes == 200
    takeovers = [Takeover(old=i, new=i + 1) for i in range(9)]
    assert place_blocks(chain, takeovers).arena_bytes == 100


def test_a_takeover_that_would_cost_memory_is_left_out() -> None:
    """In place, the large old block would keep its size for as long as the small new one lives."""
    blocks = [
        Block(size_bytes=1000, first=0, last=1),
        Block(size_bytes=4, first=1, last=5),
        Block(size_bytes=1000, first=3, last=5),
    ]
    assert place_blocks(blocks, [Takeover(old=0, new=1)]).arena_bytes == 1004


def test_a_residual_network_reaches_the_lower_bound() -> None:
    """Input, two convolutions and a skip connection, three times: what a plain first fit in order of time wastes."""
    sizes = [3072, 16384, 16384, 16384, 8192, 8192, 8192, 4096, 4096, 4096, 64, 10]
    lives = [(-1, 0), (0, 3), (1, 2), (2, 3), (3, 5), (4, 6), (5, 6), (6, 8), (7, 9), (8, 9), (9, 10), (10, 11)]
    blocks = [Block(size_bytes=size, first=first, last=last) for size, (first, last) in zip(sizes, lives, strict=True)]
    placement = place_blocks(blocks)
    assert placement.arena_bytes == placement.lower_bound_bytes


def test_many_blocks_take_little_time() -> None:
    """A chain of 3,000 tensors: the number of tries follows from the work, so that no model holds up a build."""
    blocks = [Block(size_bytes=(i * 7919) % 4096, first=i - 1, last=i + i % 3) for i in range(3000)]
    placement = place_blocks(blocks)
    assert overlaps(blocks, placement) == []
    assert placement.arena_bytes <= 1.2 * placement.lower_bound_bytes


@pytest.mark.parametrize(
    ("blocks", "takeovers"),
    [
        ([Block(size_bytes=-1, first=0, last=0)], []),
        ([Block(size_bytes=1, first=2, last=1)], []),
        ([Block(size_bytes=1, first=0, last=1), Block(size_bytes=1, first=2, last=3)], [Takeover(old=0, new=1)]),
    ],
)
def test_nonsense_is_refused(blocks: list[Block], takeovers: list[Takeover]) -> None:
    with pytest.raises(ValueError, match="block|end"):
        place_blocks(blocks, takeovers)
