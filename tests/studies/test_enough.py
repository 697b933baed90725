"""How many calibration samples are enough: the rule on cells whose answers are known, its words, its drawing, and its memory."""

import json

import numpy as np
import pytest

from harness.core.errors import UserInputError
from harness.core.finding import Finding
from harness.reports.studies.calibration import calibration_frame, enough_lines, matrix_rows
from harness.reports.studies.calibration_page import figure, write_calibration_page
from harness.studies.calibration import calibrations
from harness.variants.calibration import Calibration
from harness.verdict.enough import BUDGET, find_enough
from harness.verdict.scores import Answers
from tests.support.answered import FLOATS, LABELS, Told, wrong_at

TOTAL = 1000


class Book:
    """What cells answered, as `AnswerBook` has it."""

    def __init__(self, told):
        self._told = told

    def of(self, record):
        found = self._told.answers(record)
        return Answers(metric=found.metric, answers=found.answers, labels=found.labels, sample_ids=found.ids)


def study(wrong, *, base="ptq-int8-io", **changes):
    """(records, what is found) of calibrations by how many of 500 samples each errs on."""
    told = Told(LABELS, FLOATS)
    records = []
    for text, errors in wrong.items():
        answers = wrong_at(LABELS, range(errors))
        records.append(told.cell(f"{base}-cal[{text}]", answers, **changes))
    return records, find_enough(records, Book(told), total=TOTAL)


WRONG = {
    "all": 20, "first,1": 400, "first,10": 60, "first,100": 21, "stratified,1": 30, "stratified,10": 20,
    "worst,1": 400, "worst,10": 390, "worst,100": 300,
    **{f"random,{count},seed{seed}" if seed else f"random,{count}": errors + seed
       for count, errors in ((1, 300), (10, 22), (100, 20)) for seed in range(3)},
}  # fmt: skip


def test_enough_is_the_smallest_number_from_which_nothing_is_told():
    _, (found,) = study(WRONG)
    enough = {one.choice: one for one in found.enough}
    assert {choice: one.count for choice, one in enough.items()} == {
        "stratified": 10, "random": 10, "first": 100, "worst": None,
    }  # fmt: skip
    assert found.full == pytest.approx(0.96) and found.base == pytest.approx(0.96) and found.samples == 500
    assert enough["worst"].tried == (1, 10, 100) and enough["worst"].detectable is None


def test_the_smallest_loss_that_would_have_been_told_is_that_of_the_test():
    from scipy.stats import binomtest

    _, (found,) = study({"all": 20, "first,10": 20, "first,100": 20})
    lost = round(found.enough[0].detectable * 500)
    assert binomtest(0, lost, 0.5).pvalue <= BUDGET < binomtest(0, lost - 1, 0.5).pvalue


def test_one_number_that_is_told_makes_smaller_ones_too_few():
    _, (found,) = study({"all": 20, "first,1": 20, "first,10": 100, "first,100": 20})
    assert found.enough[0].count == 100


def test_a_cell_without_a_score_is_no_number_that_is_enough():
    told = Told(LABELS, FLOATS)
    records = [told.cell(f"ptq-int8-io-cal[{t}]", wrong_at(LABELS, range(20))) for t in ("all", "first,1", "first,10")]
    records[1].score, records[1].outcome, records[1].reason = None, "unsupported", "the converter refuses"
    (found,) = find_enough(records, Book(told), total=TOTAL)
    assert found.enough[0].count == 10
    assert found.points[0].why == "unsupported: the converter refuses"


def test_without_the_cell_of_all_samples_nothing_is_said():
    with pytest.raises(UserInputError, match="has not run"):
        study({"first,1": 20})
    told = Told(LABELS, FLOATS)
    record = told.cell("ptq-int8-io-cal[all]", FLOATS)
    record.score, record.outcome, record.reason = None, "unsupported", "too large"
    with pytest.raises(UserInputError, match="is unsupported: too large"):
        find_enough([record], Book(told), total=TOTAL)


def test_false_alarms_stay_below_their_budget():
    """Calibrations that only differ by chance: 30 tests a study, 30 studies."""
    rng = np.random.default_rng(0)
    base = wrong_at(LABELS, range(250))
    alarms = 0
    for _ in range(30):
        told = Told(LABELS, base)
        records = [told.cell("ptq-int8-io-cal[all]", base)]
        for seed in range(1, 31):
            lost = rng.binomial(24, 0.5)
            answers = wrong_at(base, list(rng.choice(np.arange(250, 500), lost, replace=False)))
            won = rng.choice(250, 24 - lost, replace=False)
            answers[won] = LABELS[won]
            records.append(told.cell(f"ptq-int8-io-cal[random,10,seed{seed}]", answers))
        (found,) = find_enough(records, Book(told), total=TOTAL)
        alarms += found.enough[0].count is None
    assert alarms <= 30 * BUDGET + 4


def test_words_and_tables_say_it():
    _, (found,) = study(WRONG)
    lines = "\n".join(enough_lines(found))
    assert "10 are enough" in lines and "points would have been told" in lines
    assert "not even 100 samples are enough" in lines
    heads, rows = matrix_rows(found)
    assert heads == ["samples", "stratified", "random", "first", "worst"]
    assert rows[0] == ["1", "0.9400*", "0.3960 to 0.4000 *3 of 3", "0.2000*", "0.2000*"]
    assert rows[-1][0] == "1,000 (all)"
    frame = calibration_frame([found])
    assert len(frame) == len(WRONG) and frame.iloc[-1]["choice"] == "all" and frame["seed"].max() == 2
    assert frame.query("choice == 'first' and count == 1")["loss"].item() == pytest.approx(0.76)


def test_it_is_drawn_with_every_draw_and_without_anything_to_run(tmp_path):
    records, found = study(WRONG, device="<script>alert(1)</script>")
    drawn = figure(found[0])
    random = next(trace for trace in drawn.data if trace.name == "random, each draw")
    assert len(random.x) == 9 and max(random.y) == pytest.approx(0.96)
    path = tmp_path / "r" / "run" / "calibration.html"
    write_calibration_page(found, tmp_path / "r", path)
    text = path.read_text()
    assert "<script>alert(1)" not in text and "10 are enough" in text
    source = text.split('<script src="')[1].split('"')[0]
    assert (path.parent / source).is_file()


def test_a_study_tries_what_is_below_all_samples():
    found = calibrations(50, counts=(1, 10, 100), draws=2)
    assert found[0] == Calibration() and len(found) == 1 + 2 * (2 + 1 + 1 + 1)
    assert calibrations(50, counts=(100,)) == [Calibration()]
    assert {c.choice for c in calibrations(50, choices=("first",))[1:]} == {"first"}


@pytest.mark.parametrize(
    "recipe, used, code, words",
    [
        (
            "ptq-int8-io",
            {"count": 200},
            "calibration-enough",
            "200 stratified training samples of 1,000 calibrate it; a study (run 20261121-093000-c0de, ",
        ),
        ("ptq-int8-io", {"count": 5}, "calibration-too-few", "at least 10"),
        ("ptq-int8-io-cal[worst,100]", {"count": 100}, "calibration-too-few", "all of them"),
        ("ptq-int8-io-cal[all]", {"count": None}, "calibration-enough", "all 1,000 training samples"),
    ],
)
def test_the_audit_of_the_same_model_says_it(tmp_path, monkeypatch, recipe, used, code, words):
    from harness.variants import calibration_known
    from harness.variants.artifact import Artifact
    from harness.variants.build.build import BuildRequest
    from harness.variants.build.keys import KeyMaker
    from harness.variants.recipe import parse_recipe
    from harness.workloads.datasets import DataSource
    from harness.workloads.registry import get_workload

    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path))
    request = BuildRequest(workload=get_workload("mnist-cnn"), recipe=parse_recipe("ptq-int8-io"), source=DataSource())
    key = KeyMaker().keys(request.workload, request.recipe, request.source, 0).training_key
    artifact = Artifact(
        key="k", workload="mnist-cnn", recipe=recipe, seed=0, path=None, refused="x",
        manifest={"training_key": key, "representative": used},
    )  # fmt: skip
    assert calibration_known.study_findings(artifact) == []
    _, (found,) = study(WRONG)
    calibration_known.remember(request, found, "20261121-093000-c0de")
    (finding,) = calibration_known.study_findings(artifact)
    assert isinstance(finding, Finding) and finding.code == code and words in finding.what
    (kept,) = (tmp_path / "studies").iterdir()
    kept.write_text(json.dumps({"schema": 1}))
    assert calibration_known.study_findings(artifact) == [], "a damaged memory says nothing"
