"""Scores of any metric in every form of report: name, unit, direction; less may be better. And the outcomes that tables know."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import openpyxl
import pytest

from harness.reports import tables
from harness.reports.charts import chart_points
from harness.reports.console import make_console, print_report
from harness.reports.csvs import csv_texts
from harness.reports.markdown import markdown
from harness.reports.report import Report
from harness.reports.scores import delta_text, metric_title, score_head, score_text
from harness.reports.seeds import seeds_table
from harness.reports.summary import summaries
from harness.reports.workbook import write_workbook
from harness.results.record import OUTCOMES, CellRecord
from tests.support.fixtures_results import MNIST, make_key, ok_record

#: recipe -> mean absolute error in K
ERRORS = {"ptq-float32": 1.2, "ptq-default": 1.208, "ptq-float16": 1.2, "ptq-int8-io": 1.25, "ptq-int16x8": 0.0123}


def regression(recipe: str, error: float, unit: str | None = "K") -> CellRecord:
    """A cell judged by its mean absolute error; the float model's is 1.2."""
    record = ok_record(make_key("thermo", recipe, "host-litert", "cpu"), MNIST[recipe])
    blank = {
        name: None for name in ("accuracy", "accuracy_low", "accuracy_high", "accuracy_delta", "mcnemar_p", "agreement")
    }
    return replace(
        record,
        **blank,
        metric="mean_absolute_error",
        metric_unit=unit,
        metric_direction="lower",
        score=error,
        score_low=error * 0.9,
        score_high=error * 1.1,
        score_delta=error - 1.2,
        score_p=0.01,
        score_test="exact paired permutation",
    )


@pytest.fixture
def thermo() -> list[CellRecord]:
    return [regression(recipe, error) for recipe, error in ERRORS.items() if recipe != "ptq-int16x8"]


def printed(records: list[CellRecord]) -> str:
    text = io.StringIO()
    print_report(records, console=make_console(file=text, width=200))
    return text.getvalue()


def test_a_score_stands_with_its_unit_interval_and_samples():
    record = regression("ptq-int8-io", 1.25)
    assert score_text(record) == "1.250 K [1.125, 1.375] n=360"
    assert score_text(record, narrow=True) == "1.250 K [1.12,1.38] n=360"
    assert (delta_text(record), score_head([record])) == ("+0.0500 K", "mean absolute error (K, lower is better)")
    assert score_text(regression("ptq-int8-io", 12_345.6, None)) == "12,346 [11,111, 13,580] n=360"
    f1 = replace(record, metric="f1", metric_unit=None, metric_direction="higher", score=0.91, score_delta=-0.012)
    assert (score_text(f1)[:5], delta_text(f1), score_head([f1])) == (".9100", "-.0120", "macro F1 (higher is better)")


def test_accuracies_read_as_they_always_did():
    record = ok_record(make_key("mnist-cnn", "ptq-int8-io", "host-litert", "cpu"), MNIST["ptq-int8-io"])
    assert score_text(record) == ".9577 [.9367, .9737] n=360"
    assert (delta_text(record), score_head([record]), score_head([])) == ("-.0024", "accuracy", "accuracy")


def test_a_metric_whose_package_is_gone_keeps_its_name():
    assert metric_title("dice_loss") == "dice loss" and metric_title("f1_positive") == "F1"


def test_tables_name_a_score_as_its_record_does(thermo):
    foreign = [
        replace(r, metric="dice_loss", metric_title="Dice loss (soft)", metric_settings={"unit": "K"}) for r in thermo
    ]
    assert score_head(foreign) == "Dice loss (soft) (K, lower is better)"
    assert "Score: Dice loss (soft) (K, lower is better)" in printed(foreign)


def test_unit_and_direction_stand_beside_scores_in_csv_and_seeds(thermo):
    files = csv_texts(Report.of([*thermo, *(replace(r, key=replace(r.key, seed=1)) for r in thermo)]))
    [summary] = [name for name in files if name.startswith("summary-")]
    for name, columns in (
        (summary, ("metric", "metric_title", "metric_unit", "metric_direction")),
        ("seeds.csv", ("metric", "metric_head", "metric_unit", "metric_direction")),
    ):
        row = next(csv.DictReader(io.StringIO(files[name])))
        values = [value for column in columns for key, value in row.items() if key.split(": ")[-1] == column]
        title = "mean absolute error" + (" (K, lower is better)" if name == "seeds.csv" else "")
        assert values == ["mean_absolute_error", title, "K", "lower"], name


def test_console_and_markdown_say_what_the_score_is(thermo):
    for text in (printed(thermo), markdown(Report.of(thermo))):
        assert "Score: mean absolute error (K, lower is better)" in text
        assert "1.250 K" in text and "accuracy" not in text.split("How to read this")[0]


def test_frames_have_metric_and_score(thermo):
    cells = tables.cells_table(thermo)
    assert cells["metric"].unique().tolist() == ["mean_absolute_error"]
    assert cells["score"].tolist() == [1.2, 1.208, 1.2, 1.25] or sorted(cells["score"]) == [1.2, 1.2, 1.208, 1.25]
    assert cells["accuracy"].isna().all()
    seeds = seeds_table([thermo[0], replace(thermo[0], key=replace(thermo[0].key, seed=1), score=1.3)])
    assert (seeds.loc[0, "metric"], seeds.loc[0, "score_min"], seeds.loc[0, "score_max"]) == (
        "mean_absolute_error",
        1.2,
        1.3,
    )


def test_the_workbook_heads_its_columns_by_the_metric_and_colours_what_grew(thermo, tmp_path):
    write_workbook(Report.of(thermo), tmp_path / "book.xlsx")
    book = openpyxl.load_workbook(tmp_path / "book.xlsx")
    sheet = book["Summary thermo"]
    assert sheet.cell(4, 4).value == "mean absolute error (K, lower is better)"
    formats = {str(r.sqref): [(f.operator, f.formula) for f in r.rules] for r in sheet.conditional_formatting}
    bounds = [rule for rules in formats.values() for rule in rules if rule[0] == "greaterThanOrEqual"]
    assert [round(float(formula[0]), 4) for _, formula in bounds] == [0.036, 0.012]
    values = {sheet.cell(row, 1).value: sheet.cell(row, 4).value for row in range(5, 9)}
    assert values["ptq-int8-io"] == 1.25


def test_charts_of_errors_mark_the_least(thermo):
    points = chart_points(summaries(thermo))
    assert points["metric"].unique().tolist() == ["mean absolute error (K, lower is better)"]
    assert points["score"].notna().all()


# -- outcomes ------------------------------------------------------------------------------------------------------------


def of_outcome(outcome: str) -> CellRecord:
    record = ok_record(make_key("mnist-cnn", f"r-{outcome}", "host-litert", "cpu"), MNIST["ptq-int8-io"])
    return replace(record, outcome=outcome, reason=None if outcome in ("ok", "estimated") else f"because {outcome}")


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_has_its_word_colour_and_place_in_every_form(outcome, tmp_path):
    report = Report.of([of_outcome(outcome)])
    word = {"unsupported": "X", "ok": "ok", "estimated": "estimated"}.get(outcome, outcome.upper())
    assert report.counts_text == f"1 {outcome}"
    for text in (printed([of_outcome(outcome)]), markdown(report)):
        assert f"{word} " in text or f"| {word}" in text or f"{word}\n" in text
    write_workbook(report, tmp_path / "book.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "book.xlsx")["Summary mnist-cnn"]
    rules = [r for f in sheet.conditional_formatting for r in f.rules if r.formula == [f'"{outcome}"']]
    assert len(rules) == 1
    assert sheet.cell(5, 3).value == outcome


def test_what_did_not_end_well_is_a_problem_and_an_estimate_is_not():
    frame = tables.problems_table([of_outcome(outcome) for outcome in OUTCOMES])
    assert frame["outcome"].tolist() == ["wrong", "undecided", "failed", "unsupported"]
    assert frame["reason"].tolist() == [f"because {o}" for o in frame["outcome"]]


def test_only_what_is_ok_is_recommended_or_drawn():
    cells = [of_outcome(outcome) for outcome in OUTCOMES]
    [summary] = summaries(cells)
    [answer] = Report.of(cells).answers
    assert {c.record.outcome for c in answer.candidates} == {"ok"}
    assert chart_points([summary])["outcome"].unique().tolist() == ["ok"]
