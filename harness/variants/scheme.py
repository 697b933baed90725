"""How numbers are rounded, as published tables name it: bits, one range per tensor or per channel, symmetric or not.

`sim[...]` rounds a float model by such a scheme and computes in float: what quantization does to a score, also where no
runtime has a kernel for it (4-bit activations, asymmetric weights). Source: arXiv 1806.08342, sections 2 and 3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from harness.core.errors import UserInputError, unknown_name

_FLAGS = {
    "per-tensor": ("per_channel", False),
    "per-channel": ("per_channel", True),
    "symmetric": ("symmetric", True),
    "asymmetric": ("symmetric", False),
}
_LEAST_BITS, _MOST_BITS = 2, 8


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """A rounding of weights, and of activations where `activation_bits` says so (one asymmetric range per tensor, as in the
    paper; None: they stay in float)."""

    weight_bits: int = 8
    activation_bits: int | None = None
    per_channel: bool = True
    symmetric: bool = True

    @property
    def text(self) -> str:
        """The canonical form between the brackets: the bits always, the rest where it is not the default."""
        words = [f"w{self.weight_bits}"]
        if self.activation_bits is not None:
            words.append(f"a{self.activation_bits}")
        if not self.per_channel:
            words.append("per-tensor")
        if not self.symmetric:
            words.append("asymmetric")
        return ",".join(words)

    @property
    def weight_levels(self) -> tuple[int, int]:
        """The ends of the stored integers of a weight; symmetric ones leave the lowest out, so that 0 is in the middle."""
        if self.symmetric:
            most = (1 << (self.weight_bits - 1)) - 1
            return -most, most
        return 0, (1 << self.weight_bits) - 1


def parse_scheme(text: str) -> Scheme:
    """Reads what stands inside `sim[...]`: words in any order, separated by commas.

    `wN` and `aN` (bits of weights and activations, 2 to 8), `per-tensor | per-channel`, `symmetric | asymmetric`.

    Raises:
        UserInputError: for an unknown word.
    """
    scheme = Scheme()
    for word in (word.strip() for word in text.split(",")):
        bits = re.fullmatch(r"([wa])(\d+)", word)
        if word in _FLAGS:
            name, value = _FLAGS[word]
            scheme = replace(scheme, **{name: value})
        elif bits:
            scheme = _with_bits(scheme, bits[1], int(bits[2]))
        else:
            raise unknown_name("word of sim[...]", word, [*_FLAGS, "w8", "w4", "a8"])
    return scheme


def _with_bits(scheme: Scheme, kind: str, bits: int) -> Scheme:
    if not _LEAST_BITS <= bits <= _MOST_BITS:
        raise UserInputError(
            f"sim[...] rounds to {_LEAST_BITS} to {_MOST_BITS} bits, not to {bits}", hint="such as sim[w4,a8]"
        )
    return replace(scheme, weight_bits=bits) if kind == "w" else replace(scheme, activation_bits=bits)
