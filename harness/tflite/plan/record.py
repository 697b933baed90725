"""What describes one record of a plan: its number and its words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: kn_* arrays: KN_MAX_RANK
MAX_RANK = 6

Kind = Literal["operand", "int", "array", "float"]


@dataclass(frozen=True, kw_only=True)
class Word:
    """One field: `array` is MAX_RANK words, everything else one."""

    name: str
    kind: Kind

    @property
    def count(self) -> int:
        return MAX_RANK if self.kind == "array" else 1


@dataclass(frozen=True, kw_only=True)
class Record:
    """The words after the head, in order. `listed`: CONCATENATION's three lists follow."""

    number: int
    words: tuple[Word, ...]
    listed: bool = False

    @property
    def length(self) -> int:
        """Words with the head, without lists."""
        return 1 + sum(word.count for word in self.words)


def words_of(*parts: str) -> tuple[Word, ...]:
    """Names as in plan.h: `@name` an operand, `name[]` an array, `name:f` a float, else an int32."""
    made = []
    for name in " ".join(parts).split():
        if name.startswith("@"):
            made.append(Word(name=name[1:], kind="operand"))
        elif name.endswith("[]"):
            made.append(Word(name=name[:-2], kind="array"))
        elif name.endswith(":f"):
            made.append(Word(name=name[:-2], kind="float"))
        else:
            made.append(Word(name=name, kind="int"))
    return tuple(made)


#: what the records of ops with weights have in common: at the front, and the whole of them
WEIGHTED = "@input @weights @bias @folded @multipliers @shifts @scratch @output scratch_bytes per_channel"
CONV = (
    WEIGHTED,
    "stride_height stride_width dilation_height dilation_width pad_top pad_left input_offset weights_offset "
    "output_offset activation_min activation_max rounding batches input_height input_width input_channels filter_height "
    "filter_width filter_channels output_height output_width output_channels",
)
DENSE = (
    WEIGHTED,
    "batches inputs outputs input_offset weights_offset output_offset activation_min activation_max rounding",
)
