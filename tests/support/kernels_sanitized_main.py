"""Runs random cases on the sanitized library; a script, started with AddressSanitizer's runtime preloaded.

Arguments: the library, and the cases per op. A finding ends the process with the sanitizer's report on stderr.
"""

import sys
from pathlib import Path

import numpy as np

from tests.support.kernel_catalog import GENERATORS, make_cases
from tests.support.kernels_abi import Kernels, struct

_EDGES = np.array([0, 1, -1, 2**31 - 1, -(2**31), 2**30], np.int32)


def run_hostile_sums(kernels: Kernels) -> None:
    """Biases, multipliers and shifts at the ends of their ranges: sums wrap, nothing is undefined."""
    for multiplier in _EDGES:
        for shift in (-31, 0, 30):
            for rounding in (0, 1):
                params = struct(
                    "kn_fully_connected_params",
                    batches=1,
                    inputs=4,
                    outputs=len(_EDGES),
                    input_offset=128,
                    weights_offset=-128,
                    output_offset=127,
                    activation_min=-128,
                    activation_max=127,
                    rounding=rounding,
                )
                scales = struct(
                    "kn_channel_scales",
                    multipliers=np.array([multiplier], np.int32),
                    shifts=np.array([shift], np.int32),
                    per_channel=0,
                )
                kernels.call(
                    "kn_fully_connected",
                    params,
                    scales,
                    np.full(4, 127, np.int8),
                    np.full(4 * len(_EDGES), -128, np.int8),
                    _EDGES.copy(),
                    np.empty(len(_EDGES), np.int8),
                )


def run_out_of_bounds(kernels: Kernels) -> None:
    """A shape that is one too long for its buffer: the sanitizer must end the process here."""
    kernels.call("kn_reshape", 4097, np.zeros(4096, np.int8), np.empty(4096, np.int8))


def main() -> None:
    kernels, count = Kernels(Path(sys.argv[1])), int(sys.argv[2])
    if sys.argv[3:] == ["--out-of-bounds"]:
        run_out_of_bounds(kernels)
    run_hostile_sums(kernels)
    done = sum(bool(case.run(kernels).size) for name in GENERATORS for case in make_cases(name, count, seed=1))
    print(f"{done} cases clean")


if __name__ == "__main__":
    main()
