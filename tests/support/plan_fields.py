"""Single words of a plan's records: found by the names that plan.h gives them, changed, and what the runtime says of it."""

from __future__ import annotations

import re
import struct

import pytest

from tests.support import kernels_abi
from tests.support.plan_builder import with_crc
from tests.support.plan_runtime import RUNTIME, HostRuntime, PlanRefusedError

#: ops by the fields of their records
COUNTED = ("COPY", "LOOKUP", "RESCALE", "LEAKY_RELU", "HARD_SWISH", "QUANTIZE", "DEQUANTIZE", "FLIP_SIGN")
COUNTED_16 = ("LEAKY_RELU_16", "REQUANTIZE", "LOOKUP_16", "SIGMOID_16", "QUANTIZE_16", "DEQUANTIZE_16", "SQRT_16")
ONE_INPUT = (
    "MAX_POOL_2D",
    "AVERAGE_POOL_2D",
    "MEAN",
    "PAD",
    "SOFTMAX",
    "GATHER",
    "RESIZE_NEAREST",
    "REDUCE",
    "ARG_MAX",
    "RESIZE_BILINEAR",
    "L2_NORMALIZATION",
    "MAX_POOL_2D_16",
    "AVERAGE_POOL_2D_16",
    "MEAN_16",
    "SOFTMAX_16",
    "RESIZE_BILINEAR_16",
    *COUNTED,
    *COUNTED_16,
)


def refusal(runtime: HostRuntime, plan: bytes, **options: int) -> PlanRefusedError:
    """How the runtime refuses a plan; a plan that it takes fails the test."""
    with pytest.raises(PlanRefusedError) as refused:
        runtime.load(plan, **options)
    assert runtime.arena_used == 0
    return refused.value


def field_word(op: str, name: str) -> int:
    """The word of a record that holds a field, read from plan.h and kernels.h; `dims+1` is the second of an array."""
    name, _plus, offset = name.partition("+")
    headers = "".join(
        (RUNTIME / name).read_text() for name in ("plan.h", "plan_more.h", "plan_from_64.h", "plan_float.h")
    )
    text = re.sub(r"/\*.*?\*/", "", headers, flags=re.DOTALL)
    records = {match[2]: match[1] for match in re.finditer(r"typedef struct \{([^}]*)\} (\w+);", text)}
    words = _flatten(records, records[_RECORDS.get(op, f"plan_{op.lower()}")])
    return words.index(name) + int(offset or 0)


def _flatten(records: dict[str, str], body: str) -> list[str]:
    words: list[str] = []
    for kind, names in re.findall(r"(\w+) ([^;]+);", body):
        for name in names.split(","):
            if kind in records:
                words += _flatten(records, records[kind])
            elif kind.startswith("kn_"):
                for field, field_type in kernels_abi.structures()[kind]._fields_:
                    words += [field] * (kernels_abi.MAX_RANK if hasattr(field_type, "_length_") else 1)
            else:
                words.append(name.strip())
    return words


_RECORDS = {
    "CONV_2D": "plan_conv",
    "DEPTHWISE_CONV_2D": "plan_conv",
    "MAX_POOL_2D": "plan_pool",
    "AVERAGE_POOL_2D": "plan_pool",
    "SUB": "plan_add",
    "MAXIMUM": "plan_pair",
    "MINIMUM": "plan_pair",
    "FLIP_SIGN": "plan_copy",
    "ASSIGN": "plan_copy",
    "QUANTIZE_16": "plan_quantize",
    "DEQUANTIZE_16": "plan_quantize",
    "RESIZE_NEAREST": "plan_resize",
    "DEQUANTIZE": "plan_quantize",
    "TRANSPOSE_CONV": "plan_conv",
    "CONV_2D_16": "plan_conv_16",
    "DEPTHWISE_CONV_2D_16": "plan_conv_16",
    "TRANSPOSE_CONV_16": "plan_conv_16",
    "ADD_16": "plan_add",
    "SUB_16": "plan_add",
    "LEAKY_RELU_16": "plan_leaky_relu",
    "MAX_POOL_2D_16": "plan_pool",
    "AVERAGE_POOL_2D_16": "plan_pool",
    "MEAN_16": "plan_mean",
    "MUL_16": "plan_mul",
    "MAXIMUM_16": "plan_pair",
    "MINIMUM_16": "plan_pair",
    "DIV": "plan_mul",
    "CONV_2D_4": "plan_conv_4",
    "DEPTHWISE_CONV_2D_4": "plan_conv_4",
    "SOFTMAX_8_16": "plan_softmax",
    "RESIZE_BILINEAR_16": "plan_resize_bilinear",
    "BATCH_MATMUL_16": "plan_batch_matmul",
    "PRELU_16": "plan_prelu",
    "FLOAT_CONV_2D": "plan_conv",
    "FLOAT_DEPTHWISE_CONV_2D": "plan_conv",
    "FLOAT_TRANSPOSE_CONV": "plan_conv",
    "FLOAT_MAX_POOL_2D": "plan_pool",
    "FLOAT_AVERAGE_POOL_2D": "plan_pool",
    "FLOAT_ARG_MAX": "plan_arg_max",
}


def changed_plan(plan: bytes, op: str, changes: dict[str, int]) -> bytes:
    """A plan of one node with other values in some fields, and a checksum that is right again."""
    node = struct.unpack_from("<I", plan, 20)[0]
    changed = bytearray(plan)
    for name, value in changes.items():
        struct.pack_into("<I", changed, node + 4 * field_word(op, name), value & 0xFFFFFFFF)
    return with_crc(bytes(changed))
