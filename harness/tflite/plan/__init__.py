"""Plans: what the Cortex-M firmware runs, made from a .tflite on the host.

See docs/internals/plan-maker.md and docs/internals/plan-format.md.

    plan = make_plan(Path("model.tflite"), "dsp")
    board.push(plan.data)

`check` tells beforehand, and without a board, why a model cannot run there.
"""

from harness.tflite.plan.base import KERNEL_SETS, KernelSet, Plan, PlanOp, TensorSpan, Unsupported
from harness.tflite.plan.dump import dump
from harness.tflite.plan.layout import ReadPlan, read_plan
from harness.tflite.plan.make import PlanUnsupported, check, make_plan

__all__ = [
    "KERNEL_SETS",
    "KernelSet",
    "Plan",
    "PlanOp",
    "PlanUnsupported",
    "ReadPlan",
    "TensorSpan",
    "Unsupported",
    "check",
    "dump",
    "make_plan",
    "read_plan",
]
