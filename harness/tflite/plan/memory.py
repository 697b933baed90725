"""Where tensors lie in the arena: an offline planner over lifetimes. It knows blocks of bytes, and no ops.

Two blocks that are alive at one step must not overlap, except where one takes over from the other in place. Finding the
smallest arena is NP-hard (dynamic storage allocation); here several orders of placement are tried, then the best of them
is shuffled a little, until the lower bound is met or the tries are used up. The same blocks give the same offsets on
every machine.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: every block starts at a multiple of this many bytes: float32 and word loads need 4
ALIGNMENT = 4
#: pairs of blocks that one search may look at, and the tries that it never exceeds
_WORK = 300_000
_MOST_TRIES = 200


@dataclass(frozen=True, kw_only=True)
class Block:
    """Memory that is needed from step `first` to step `last`, both included."""

    size_bytes: int
    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class Takeover:
    """At the step where block `old` is read for the last time, block `new` is written, and may lie exactly on it."""

    old: int
    new: int


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Offsets in the order of the blocks.

    Attributes:
        takeovers: those that were used: `new` lies where `old` lies.
        lower_bound_bytes: no placement with these takeovers needs less: the most that is alive at one step.
    """

    offsets: tuple[int, ...]
    arena_bytes: int
    takeovers: tuple[Takeover, ...]
    lower_bound_bytes: int


def place_blocks(blocks: Sequence[Block], takeovers: Sequence[Takeover] = ()) -> Placement:
    """Offsets that keep all blocks apart while they are alive.

    Args:
        blocks: any order; sizes of 0 are allowed and take no room.
        takeovers: in-place steps that would be right. A block gives its place to one other and takes one other's; of
            competing takeovers the first or the last of the list is used, whichever needs less.

    Raises:
        ValueError: a negative size, a lifetime that ends before it starts, or a takeover between blocks that do not meet
            at exactly one step. That is a defect of the caller.
    """
    for block in blocks:
        if block.size_bytes < 0 or block.last < block.first:
            raise ValueError(f"{block} is no block")
    for one in takeovers:
        if blocks[one.old].last != blocks[one.new].first or blocks[one.new].last < blocks[one.old].last:
            raise ValueError(f"{one}: {blocks[one.old]} does not end where {blocks[one.new]} starts")
    best: Placement | None = None
    for choice in (takeovers, tuple(reversed(takeovers)), ()):
        placement = _place_with(blocks, choice)
        if best is None or placement.arena_bytes < best.arena_bytes:
            best = placement
    assert best is not None
    return best


def _place_with(blocks: Sequence[Block], takeovers: Iterable[Takeover]) -> Placement:
    used = _compatible(takeovers)
    groups = _groups(len(blocks), used)
    merged = [_merge([blocks[i] for i in group]) for group in groups]
    search = _Search(merged)
    offsets, arena_bytes = search.run()
    by_block = {block: offsets[g] for g, group in enumerate(groups) for block in group}
    return Placement(
        offsets=tuple(by_block[i] for i in range(len(blocks))),
        arena_bytes=arena_bytes,
        takeovers=tuple(used),
        lower_bound_bytes=search.lower_bound,
    )


def _compatible(takeovers: Iterable[Takeover]) -> list[Takeover]:
    """In order, those whose two ends are still free."""
    given: set[int] = set()
    taken: set[int] = set()
    used = []
    for one in takeovers:
        if one.old not in given and one.new not in taken:
            given.add(one.old)
            taken.add(one.new)
            used.append(one)
    return used


def _groups(count: int, takeovers: Sequence[Takeover]) -> list[list[int]]:
    """Blocks that share an offset, as chains; in the order of their first block."""
    successor = {one.old: one.new for one in takeovers}
    followers = set(successor.values())
    groups = []
    for start in range(count):
        if start not in followers:
            chain = [start]
            while chain[-1] in successor:
                chain.append(successor[chain[-1]])
            groups.append(chain)
    return groups


def _merge(blocks: Sequence[Block]) -> Block:
    size = max(block.size_bytes for block in blocks)
    return Block(size_bytes=-(-size // ALIGNMENT) * ALIGNMENT, first=blocks[0].first, last=max(b.last for b in blocks))


class _Search:
    """Tries orders of placement for blocks whose sizes are multiples of the alignment."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = blocks
        self.neighbours, self.lower_bound = _meetings(blocks)

    def run(self) -> tuple[list[int], int]:
        """(offsets, bytes of arena) of the best order found."""
        best: tuple[int, list[int], list[int]] | None = None
        for order in self._orders():
            offsets, arena = self._place(order)
            if best is None or arena < best[0]:
                best = (arena, offsets, order)
        assert best is not None
        if best[0] > self.lower_bound:
            best = self._shuffle(*best)
        return best[1], best[0]

    def _orders(self) -> list[list[int]]:
        blocks, indices = self.blocks, range(len(self.blocks))
        # How much is alive beside a block: those in the most crowded steps are the hardest to place.
        crowd = [blocks[i].size_bytes + sum(blocks[j].size_bytes for j in self.neighbours[i]) for i in indices]
        keys = (
            lambda i: (-blocks[i].size_bytes, blocks[i].first, i),
            lambda i: (-blocks[i].size_bytes * (1 + blocks[i].last - blocks[i].first), i),
            lambda i: (-crowd[i], -blocks[i].size_bytes, i),
            lambda i: (blocks[i].first, -blocks[i].size_bytes, i),
            lambda i: (-blocks[i].last, -blocks[i].size_bytes, i),
            lambda i: (blocks[i].first - blocks[i].last, -blocks[i].size_bytes, i),
        )
        return [sorted(indices, key=key) for key in keys]

    def _shuffle(self, arena: int, offsets: list[int], order: list[int]) -> tuple[int, list[int], list[int]]:
        """Moves a block that reaches the top, or any other, further to the front: kept when the arena does not grow."""
        chance = random.Random(20)
        meetings = sum(len(found) for found in self.neighbours) + len(order)
        for _ in range(min(_MOST_TRIES, max(4, _WORK // meetings))):
            top = [i for i in order if self.blocks[i].size_bytes and offsets[i] + self.blocks[i].size_bytes == arena]
            moved = chance.choice(top) if top and chance.random() < 0.5 else chance.choice(order)
            tried = [i for i in order if i != moved]
            tried.insert(chance.randrange(order.index(moved) + 1), moved)
            new_offsets, new_arena = self._place(tried)
            if new_arena <= arena:
                arena, offsets, order = new_arena, new_offsets, tried
            if arena == self.lower_bound:
                break
        return arena, offsets, order

    def _place(self, order: Sequence[int]) -> tuple[list[int], int]:
        """Best fit: each block into the smallest gap that its placed neighbours leave, else above them."""
        offsets, placed, arena = [0] * len(self.blocks), [False] * len(self.blocks), 0
        for i in order:
            size = self.blocks[i].size_bytes
            taken = sorted(
                (offsets[j], offsets[j] + self.blocks[j].size_bytes) for j in self.neighbours[i] if placed[j]
            )
            offsets[i] = _best_gap(taken, size)
            placed[i] = True
            arena = max(arena, offsets[i] + size)
        return offsets, arena


def _best_gap(taken: Sequence[tuple[int, int]], size: int) -> int:
    top, best, best_size = 0, -1, 0
    for start, end in taken:
        gap = start - top
        if gap >= size and (best < 0 or gap < best_size):
            best, best_size = top, gap
        top = max(top, end)
    return top if best < 0 else best


def _meetings(blocks: Sequence[Block]) -> tuple[list[list[int]], int]:
    """For each block those that are alive at one of its steps; and the most bytes alive at any step."""
    neighbours: list[list[int]] = [[] for _ in blocks]
    alive: list[int] = []
    most = 0
    for i in sorted(range(len(blocks)), key=lambda k: (blocks[k].first, k)):
        if not blocks[i].size_bytes:
            continue
        alive = [j for j in alive if blocks[j].last >= blocks[i].first]
        for j in alive:
            neighbours[i].append(j)
            neighbours[j].append(i)
        alive.append(i)
        most = max(most, sum(blocks[j].size_bytes for j in alive))
    return neighbours, most


def overlaps(blocks: Sequence[Block], placement: Placement) -> list[tuple[int, int]]:
    """Pairs of blocks that lie on each other while both are alive and are not a takeover: what a right placement has none of."""
    allowed = {(one.old, one.new) for one in placement.takeovers}
    neighbours, _ = _meetings(blocks)
    found = []
    for i, j in ((i, j) for i, near in enumerate(neighbours) for j in near if i < j):
        low, high = sorted((i, j), key=lambda k: placement.offsets[k])
        if placement.offsets[low] + blocks[low].size_bytes > placement.offsets[high]:
            if (i, j) in allowed or (j, i) in allowed:
                a, b = (i, j) if (i, j) in allowed else (j, i)
                if placement.offsets[a] == placement.offsets[b] and blocks[a].last == blocks[b].first:
                    continue
            found.append((i, j))
    return found
