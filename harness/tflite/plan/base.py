"""What the planner hands out: the plan, where its parts come from, and why a model has none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from harness.core.tensor import TensorIo

#: which build of the firmware the plan is for (devices/cortex_m/kernels/fast.h)
KernelSet = Literal["portable", "dsp", "mve"]
Role = Literal["input", "output", "tensor", "scratch", "state"]
KERNEL_SETS: tuple[str, ...] = get_args(KernelSet)


@dataclass(frozen=True, kw_only=True)
class Unsupported:
    """One reason why the runtime of the plan cannot run a model.

    Attributes:
        node: of the .tflite; None where the model's inputs, outputs or constants are meant.
        op: of the .tflite, such as `CONV_2D`; `model` where no node is meant.
        hint: what to do about it.
    """

    node: int | None
    op: str
    reason: str
    hint: str | None = None

    def __str__(self) -> str:
        where = self.op if self.node is None else f"node {self.node} {self.op}"
        return f"{where}: {self.reason} ({self.hint})" if self.hint else f"{where}: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class PlanOp:
    """One node of the plan. `node` and `tflite_op` name where it comes from; None for the sign flips and copies at the edges."""

    op: str
    node: int | None
    tflite_op: str | None
    output: str


@dataclass(frozen=True, kw_only=True)
class TensorSpan:
    """One place in the arena, for one tensor or several that share the memory (a RESHAPE's input and output).

    Attributes:
        tensors: tensors of the .tflite; empty for scratch and for what the planner added.
        first, last: nodes of the plan, both included. -1: before the first one (an input); the number of nodes: after the
            last one (an output).
        over: the name of the span whose place this one took over, in place; None mostly.
    """

    name: str
    role: Role
    tensors: tuple[int, ...]
    offset: int
    size_bytes: int
    first: int
    last: int
    over: str | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A model as the firmware takes it (docs/internals/plan-format.md).

    Attributes:
        data: the bytes to push.
        arena_bytes: what the model needs of the board's arena, inputs and outputs among it.
        model_sha256: of the .tflite that it was made from.
        inputs, outputs: as the .tflite says, in its order; dynamic dimensions are 1.
        ops: one entry per node of the plan.
        tensors: one entry per place in the arena.
        folded_nodes: nodes of the .tflite that need no node in the plan: computed on the host, only names for memory, or needed
            by no output.
        lower_bound_bytes: no arrangement of these tensors in this order of nodes needs less arena.
    """

    data: bytes
    arena_bytes: int
    model_sha256: str
    kernels: KernelSet
    inputs: tuple[TensorIo, ...]
    outputs: tuple[TensorIo, ...]
    ops: tuple[PlanOp, ...]
    tensors: tuple[TensorSpan, ...]
    folded_nodes: tuple[int, ...]
    constants_bytes: int
    lower_bound_bytes: int
