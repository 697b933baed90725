"""Which cells an answer may name, and of every other one why not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from harness.core.errors import HarnessError
from harness.reports.values import clean
from harness.results.record import CellRecord
from harness.variants.recipe import Recipe, parse_recipe
from harness.workloads.checks.table import CODES, said_words

#: where nobody says which kernels a backend has: the name that profiles give the runtime's reference kernels
REFERENCE_BACKEND = "cpu-ref"
#: time bases whose figures are times of the board itself
OWN_TIMES = frozenset({"device", "device-cycles"})
#: what the others are, for a sentence
NO_TIMES = {
    "host-emulated": "its times are an emulator's",
    "guest-instructions": "instructions were counted, not time",
    "estimate": "its times are estimates",
}

#: characters of a finding in a reason; the table of findings has all of it
_FOUND = 160

Kind = Literal["outcome", "reference", "question", "audit", "finding", "delegate", "other-model", "guessing", "limit"]


@dataclass(frozen=True, kw_only=True)
class Exclusion:
    """A cell that the answer does not name.

    Attributes:
        kind: what sort of reason it is.
        reason: in words, without the cell's name.
    """

    record: CellRecord
    kind: Kind
    reason: str


def recipe_of(name: str) -> Recipe | None:
    """The recipe of a name; None for a finished model (`as-is`) and for names that no recipe has."""
    try:
        return parse_recipe(name)
    except HarnessError:
        return None


def is_control(name: str) -> bool:
    """Whether a recipe is a control: the float model, the one that was trained on without QAT, or a simulation."""
    recipe = recipe_of(name)
    if recipe is None:
        return False
    conversion = recipe.conversion
    return recipe.training.base == "finetune" or conversion.name == "float32" or conversion.simulated is not None


def is_float(name: str) -> bool:
    """Whether a recipe is the float model itself, as it was trained."""
    recipe = recipe_of(name)
    if recipe is None:
        return False
    return recipe.training.base == "float" and recipe.conversion.name == "float32" and not recipe.dynamic_batch


def has_own_times(record: CellRecord) -> bool:
    """Whether the cell's times are the board's, so that they can recommend it."""
    return record.time_basis in OWN_TIMES


def sound(records: Iterable[CellRecord]) -> tuple[list[CellRecord], list[Exclusion]]:
    """Parts the cells of one workload on one device: those that may be compared and named, and the others with their reasons."""
    good, bad = [], []
    for record in records:
        found = _against(record)
        if found is None:
            good.append(record)
        else:
            bad.append(found)
    return _of_one_model(good, bad)


def _of_one_model(good: list[CellRecord], bad: list[Exclusion]) -> tuple[list[CellRecord], list[Exclusion]]:
    """Figures of two different models under one name answer two questions: those of the newest stay."""
    told = {record.key.seed: record.model_sha256 for record in good if record.model_sha256 is not None}
    kept = []
    for record in good:
        newest = told.get(record.key.seed)
        if record.model_sha256 in (None, newest):
            kept.append(record)
        else:
            what = f"another model of the same name ({(record.model_sha256 or '')[:12]}, the newest is {(newest or '')[:12]})"
            bad.append(Exclusion(record=record, kind="other-model", reason=what))
    return kept, bad


def _against(record: CellRecord) -> Exclusion | None:
    def out(kind: Kind, reason: str) -> Exclusion:
        return Exclusion(record=record, kind=kind, reason=reason)

    if record.outcome != "ok":
        return out("outcome", _outcome_words(record))
    errors = {f.code: f.what for f in reversed(record.findings) if f.severity == "error"}
    asked = [code for code in reversed(errors) if code in CODES]
    if asked:
        return out("question", f"the score answers another question: {said_words(asked)}")
    if runs_reference_kernels(record):
        return out("reference", "reference kernels are for checking, not for shipping")
    if took_nothing(record):
        name = clean(record.delegate_name)
        return out("delegate", f"{name} took 0 of {record.total_nodes} nodes: a CPU's figures under its name")
    if errors:
        code, what = next(reversed(errors.items()))
        more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
        return out("finding", f"{clean(what, _FOUND)} ({code}){more}")
    return None


def runs_reference_kernels(record: CellRecord) -> bool:
    """Whether the cell's backend has the runtime's reference kernels."""
    return record.kernels == "reference" if record.kernels else record.key.backend == REFERENCE_BACKEND


def took_nothing(record: CellRecord) -> bool:
    """Whether the cell's external delegate was there and took no node."""
    return record.delegate_name not in (None, "XNNPACK") and record.delegated_nodes == 0


def _outcome_words(record: CellRecord) -> str:
    words = {
        "undecided": "undecided: its outputs cannot tell right from wrong",
        "estimated": "estimated: nothing ran",
    }
    return words.get(record.outcome) or f"{record.outcome}: {clean(record.reason, 100) or 'no reason was recorded'}"


def taken_share(record: CellRecord) -> float:
    """The share of nodes that an external delegate took."""
    if record.delegate_name in (None, "XNNPACK") or not record.total_nodes:
        return 0.0
    return (record.delegated_nodes or 0) / record.total_nodes


def effort(name: str) -> tuple[int, str]:
    """Sorts recipes by what they ask of their user: no training, training on, QAT; then by name."""
    recipe = recipe_of(name)
    steps = {"float": 0, "finetune": 1, "qat": 2}
    return (0 if recipe is None else steps[recipe.training.base], name)


def cost_ns(record: CellRecord) -> float | None:
    """What an inference takes on the board's own clock; None where its figures are no times of the board."""
    if not has_own_times(record):
        return None
    if record.latency_median_ns is not None:
        return float(record.latency_median_ns)
    return None


def cost_interval_ns(record: CellRecord) -> tuple[float, float] | None:
    """The 95 % interval of `cost_ns`; a median without one stands for itself."""
    cost = cost_ns(record)
    if cost is None:
        return None
    low, high = record.latency_median_low_ns, record.latency_median_high_ns
    return (cost, cost) if low is None or high is None else (float(low), float(high))
