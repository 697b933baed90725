"""Random cases of RESIZE_NEAREST_NEIGHBOR."""

from __future__ import annotations

import numpy as np

from harness.tflite.plan.ops_move import nearest_positions
from tests.support.kernel_cases import (
    Case,
    activation_tensor,
    index_tensor,
    pick_dtype,
    pick_quantized,
    random_int8,
    stored,
)
from tests.support.kernels_abi import Kernels, struct
from tests.support.op_models import Op, build_model

#: align_corners, half_pixel_centers; both at once is refused by the runtime
_MODES = ((False, False), (True, False), (False, True))


def resize_nearest_case(rng: np.random.Generator) -> Case:
    """Larger, smaller and equal sizes; sizes up to a few hundred along one dimension, where float rounding shows."""
    dtype, q = pick_dtype(rng), pick_quantized(rng)
    align_corners, half_pixel_centers = _MODES[int(rng.integers(0, 3))]
    long = rng.random() < 0.3
    sizes = (
        rng.integers(1, 400 if long else 12, 2),
        np.array([1, int(rng.integers(1, 4))]) if long else rng.integers(1, 12, 2),
    )
    values = random_int8(rng, (int(rng.integers(1, 3)), int(sizes[0][0]), int(sizes[1][0]), int(rng.integers(1, 5))))
    output_size = (int(sizes[0][1]), int(sizes[1][1]))
    flags = {"align_corners": align_corners, "half_pixel_centers": half_pixel_centers}
    rows, columns = (
        np.array(nearest_positions(values.shape[1 + i], output_size[i], **flags), np.int32) for i in range(2)
    )
    shape = struct(
        "kn_resize_shape",
        batches=values.shape[0],
        input_height=values.shape[1],
        input_width=values.shape[2],
        output_height=output_size[0],
        output_width=output_size[1],
        channels=values.shape[3],
    )
    output_shape = (values.shape[0], *output_size, values.shape[3])

    def run(kernels: Kernels) -> np.ndarray:
        output = np.empty(output_shape, np.int8)
        kernels.call("kn_resize_nearest", shape, rows, columns, values, output)
        return output

    op = Op(
        name="RESIZE_NEAREST_NEIGHBOR",
        options_table="ResizeNearestNeighborOptions",
        options={"AlignCorners": align_corners, "HalfPixelCenters": half_pixel_centers},
        version=3 if half_pixel_centers or align_corners else 2,
    )
    model = build_model(
        op,
        [activation_tensor(values.shape, dtype, q), index_tensor(np.array(output_size))],
        activation_tensor(output_shape, dtype, q),
    )
    return Case(
        op=op.name,
        text=f"{dtype} {values.shape} to {output_size} {flags}",
        model=model,
        inputs=(stored(values, dtype),),
        run=run,
        dtype=dtype,
    )
