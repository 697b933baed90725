"""Every random case generator by name, and how a test run seeds them."""

from __future__ import annotations

import zlib

import numpy as np

from tests.support import kernel_cases_conv, kernel_cases_pairs, kernel_cases_resize, kernel_cases_simple
from tests.support.kernel_cases import Case, Generator

#: "conv" -> conv_case, ...
GENERATORS: dict[str, Generator] = {
    name.removesuffix("_case"): getattr(module, name)
    for module in (kernel_cases_conv, kernel_cases_pairs, kernel_cases_simple, kernel_cases_resize)
    for name in sorted(vars(module))
    if name.endswith("_case") and not name.startswith("_")
}


def make_cases(name: str, count: int, *, seed: int = 0) -> list[Case]:
    """The same cases on every machine, for one generator, count and seed; a larger count extends a smaller one."""
    rng = np.random.default_rng([zlib.crc32(name.encode()), seed])
    return [GENERATORS[name](rng) for _ in range(count)]
