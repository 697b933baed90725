"""How many calibration samples are enough: scores by number and choice of samples, each paired against that of all samples.

Pure functions over records and their stored answers. A number is enough from which on no test tells the score from the one that
all training samples give, with the drop that would have been told said beside it: a test that tells nothing proves no equality.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.core.errors import UserInputError
from harness.results.record import CellRecord
from harness.variants.calibration import CHOICES, Calibration, Choice
from harness.variants.recipe import parse_recipe
from harness.verdict.answers import AnswerBook, same_answers
from harness.verdict.scores import Compared, compare_scores, holm, smallest_loss

#: how often a study of samples that are all enough says of any of its numbers that it is not
BUDGET = 0.05


@dataclass(frozen=True, kw_only=True)
class CalibrationPoint:
    """One calibration.

    Attributes:
        score: on the test set; None where the cell gave none, and `why` says why.
        loss: how much worse than with all samples, in the score's unit, on the same samples.
        p: of that difference, two-sided; 1.0 where no answer that counts differs.
        told: the test tells it from all samples, after Holm's correction over the study.
        detectable: the smallest loss that this test would have told; None where it tells none.
    """

    calibration: Calibration
    score: float | None
    loss: float | None = None
    p: float | None = None
    told: bool = False
    detectable: float | None = None
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class EnoughSamples:
    """What a study says of one choice of samples.

    Attributes:
        count: the smallest number from which on nothing tells the score from all samples'; None: not even the largest tried.
        detectable: the smallest loss that every test from `count` on would have told; None where one could tell nothing.
        tried: the numbers, smallest first.
    """

    choice: Choice
    count: int | None
    detectable: float | None
    tried: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class CalibrationFound:
    """A study on one backend of a device.

    Attributes:
        workload, recipe, device, backend: what was calibrated, and where its scores are from.
        total: how many training samples there are.
        samples: how many test samples judged it.
        metric, unit: of the scores; unit None for a share of 1.
        lower_is_better: which way.
        full: the score with all samples.
        base: the float model's score on the same samples; None where there is none.
        points: every calibration, in the order of choices, numbers and seeds.
        enough: one per choice.
    """

    workload: str
    recipe: str
    device: str
    backend: str
    total: int
    samples: int
    metric: str
    unit: str | None
    lower_is_better: bool
    full: float
    base: float | None
    points: tuple[CalibrationPoint, ...]
    enough: tuple[EnoughSamples, ...]


def find_enough(records: Sequence[CellRecord], book: AnswerBook, *, total: int) -> list[CalibrationFound]:
    """One answer per workload, recipe and backend of a device, in the order of the records.

    Args:
        records: cells whose recipes say how they are calibrated (`-cal[...]`), one of them by all samples; others are left aside.
        total: how many training samples there are.

    Raises:
        UserInputError: no cell calibrated by all samples has a score; says what became of it.
    """
    groups: dict[tuple[str, str, str, str, int], dict[Calibration, CellRecord]] = {}
    for record in records:
        recipe = parse_recipe(record.key.recipe)
        if recipe.calibration is None:
            continue
        base = recipe.name.removesuffix(f"-cal[{recipe.calibration.text}]")
        key = (record.key.workload, base, record.key.device, record.key.backend, record.key.seed)
        groups.setdefault(key, {})[recipe.calibration] = record
    return [_found(key[:4], cells, book, total) for key, cells in groups.items()]


def _found(
    key: tuple[str, ...], cells: dict[Calibration, CellRecord], book: AnswerBook, total: int
) -> CalibrationFound:
    workload, recipe, device, backend = key
    full = cells.get(Calibration())
    if full is None or full.score is None:
        what = "has not run" if full is None else f"is {full.outcome}: {full.reason or 'it has no score'}"
        raise UserInputError(
            f"the model that all samples calibrate {what}; nothing can be compared with it",
            where=f"{workload}/{recipe}/{device}/{backend}",
            hint="a study needs labels, and a model that runs on the device",
        )
    others = {calibration: record for calibration, record in cells.items() if calibration.count is not None}
    points = _points(others, full, book)
    return CalibrationFound(
        workload=workload,
        recipe=recipe,
        device=device,
        backend=backend,
        total=total,
        samples=full.samples or 0,
        metric=full.metric_title or full.metric or "score",
        unit=full.metric_unit,
        lower_is_better=full.metric_direction == "lower",
        full=full.score,
        base=None if full.score_delta is None else full.score - full.score_delta,
        points=tuple(points),
        enough=tuple(_enough(choice, mine) for choice in CHOICES if (mine := _of(choice, points))),
    )


def _of(choice: Choice, points: Sequence[CalibrationPoint]) -> list[CalibrationPoint]:
    return [point for point in points if point.calibration.choice == choice]


def _points(others: dict[Calibration, CellRecord], full: CellRecord, book: AnswerBook) -> list[CalibrationPoint]:
    compared = {calibration: _compare(full, record, book) for calibration, record in others.items()}
    tested = [c for c, found in compared.items() if isinstance(found, Compared) and found.moved]
    found_p = [found.p for c in tested if isinstance(found := compared[c], Compared)]
    bounds = dict(zip(tested, holm(found_p, BUDGET), strict=True))
    points = []
    for calibration in sorted(others, key=_order):
        found, record = compared[calibration], others[calibration]
        if isinstance(found, str):
            points.append(CalibrationPoint(calibration=calibration, score=record.score, why=found))
            continue
        # A test of answers that are all the same takes nothing of the budget; what it could have told is what one alone could.
        bound = bounds.get(calibration, BUDGET)
        points.append(
            CalibrationPoint(
                calibration=calibration,
                score=record.score,
                loss=found.loss,
                p=found.p,
                told=calibration in bounds and found.p <= bound and found.loss != 0,
                detectable=smallest_loss(found, bound),
            )
        )
    return points


def _order(calibration: Calibration) -> tuple[int, int, int]:
    return CHOICES.index(calibration.choice), calibration.count or 0, calibration.seed


def _compare(full: CellRecord, record: CellRecord, book: AnswerBook) -> Compared | str:
    """The comparison with all samples, or why there is none."""
    if record.score is None:
        return f"{record.outcome}: {record.reason or 'it has no score'}"
    if same_answers(full, record):
        right_or_wrong = 0 if record.accuracy is not None else None
        return Compared(
            loss=0.0, p=1.0, test="identical outputs", samples=record.samples or 0, cut=False, before=record.score,
            after=record.score, only_before_right=right_or_wrong, only_after_right=right_or_wrong,
        )  # fmt: skip
    answers = [book.of(full), book.of(record)]
    if answers[0] is None or answers[1] is None:
        return "its stored answers cannot be read"
    found = compare_scores(answers[0], answers[1])
    return "it ran on other samples" if found is None else found


def _enough(choice: Choice, points: Sequence[CalibrationPoint]) -> EnoughSamples:
    counts = sorted({point.calibration.count or 0 for point in points})
    count: int | None = None
    for tried in reversed(counts):
        here = [point for point in points if point.calibration.count == tried]
        if any(point.told or point.why for point in here):
            break
        count = tried
    from_there = [] if count is None else [p for p in points if (p.calibration.count or 0) >= count]
    seen = [point.detectable for point in from_there]
    return EnoughSamples(
        choice=choice,
        count=count,
        detectable=None if not seen or None in seen else max(value for value in seen if value is not None),
        tried=tuple(counts),
    )
