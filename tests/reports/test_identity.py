"""Two different files of one name stand in no table, chart, spread or file together without saying so."""

import io
from dataclasses import replace

import pytest

from harness.reports.charts import chart_points
from harness.reports.console import make_console, print_report
from harness.reports.csvs import csv_texts
from harness.reports.identity import newest_per_model, told_apart
from harness.reports.jsonout import document
from harness.reports.markdown import markdown
from harness.reports.report import Report
from harness.reports.workbook import write_workbook
from tests.support.fixtures_results import make_info, make_key, ok_record

OLD, NEW = "a1" * 32, "b2" * 32


def cell(recipe, model, run, seed=0, accuracy=0.95, workload="net"):
    key = make_key(workload, recipe, "host-litert", "cpu", seed)
    return replace(ok_record(key, (23_560, accuracy, 5.94)), model_sha256=model, run=run)


@pytest.fixture
def mixed():
    """Yesterday's file with two recipes, today's with one of them and another."""
    return [
        cell("ptq-float32", OLD, "run-1"),
        cell("ptq-int8-io", OLD, "run-1"),
        cell("ptq-float32", NEW, "run-2", accuracy=0.7),
        cell("ptq-float16", NEW, "run-2", accuracy=0.7),
    ]


def names(records):
    return [r.key.workload for r in records]


def test_each_model_has_a_name_of_its_own_and_tables_of_its_own(mixed):
    report = Report.of(mixed)
    assert [(s.workload, [row.recipe for row in s.rows]) for s in report.summaries] == [
        ("net [a1a1a1a1]", ["ptq-float32", "ptq-int8-io"]),
        ("net [b2b2b2b2]", ["ptq-float32", "ptq-float16"]),
    ]
    assert all(len({r.model_sha256 for r in s.records()}) == 1 for s in report.summaries)
    assert OLD in report.summaries[0].notes[0] and "another model of the same name" in report.summaries[0].notes[0]


def test_every_form_of_the_report_tells_them_apart(mixed, tmp_path):
    report = Report.of(mixed)
    text = io.StringIO()
    print_report(report, console=make_console(file=text, width=120))
    assert "net [a1a1a1a1]" in text.getvalue() and "net [b2b2b2b2]" in text.getvalue()
    assert "## net [a1a1a1a1]" in markdown(report)
    files = csv_texts(report)
    assert {"summary-net-a1a1a1a1.csv", "summary-net-b2b2b2b2.csv"} <= set(files)
    for name in ("cells.csv", "ops.csv", "findings.csv"):
        rows = files[name].splitlines()[1:]
        assert all("net [" in row for row in rows if "net" in row), name
    assert set(chart_points(report.summaries)["workload"]) == {"net [a1a1a1a1]", "net [b2b2b2b2]"}
    write_workbook(report, tmp_path / "book.xlsx")
    cells = document(None, report.records)["cells"]
    assert {(c["workload"], c["model_sha256"]) for c in cells} == {("net", OLD), ("net", NEW)}


def test_one_model_keeps_its_name(mixed):
    assert names(told_apart(mixed[:2])) == ["net", "net"]
    assert Report.of(mixed[:2]).summaries[0].notes == ()


def test_seeds_of_a_published_workload_are_one_model_and_those_of_a_later_training_another():
    first = [cell("ptq-float32", f"{seed}a" * 32, "run-1", seed) for seed in range(3)]
    later = [cell("ptq-float32", f"{seed}b" * 32, "run-2", seed) for seed in range(3)]
    assert set(names(told_apart(first))) == {"net"}
    both = told_apart([*first, *later])
    assert names(both) == ["net [0a0a0a0a]"] * 3 + ["net [0b0b0b0b]"] * 3
    seeds = Report.of([*first, *later]).frames["Seeds"]
    assert list(seeds["workload"]) == ["net [0a0a0a0a]", "net [0b0b0b0b]"] and list(seeds["cells"]) == [3, 3]


def test_a_run_that_was_resumed_with_another_file_is_two_models():
    cells = [cell("ptq-float32", OLD, "run-1"), cell("ptq-int8-io", NEW, "run-1")]
    assert names(told_apart(cells)) == ["net [a1a1a1a1]", "net [b2b2b2b2]"]


def test_what_does_not_say_its_model_belongs_to_the_only_one_and_else_to_none(mixed):
    unsaid = cell("ptq-default", None, "run-0")
    assert set(names(told_apart([unsaid, *mixed[:2]]))) == {"net"}
    assert names(told_apart([unsaid, *mixed]))[0] == "net [unknown model]"


def test_the_newest_of_each_model_counts_and_one_that_does_not_say_gives_way(mixed):
    again, unsaid = cell("ptq-float32", OLD, "run-3"), cell("ptq-float32", None, "run-0")
    kept = newest_per_model([unsaid, *mixed, again])
    assert [(r.model_sha256, r.run) for r in kept if r.key.recipe == "ptq-float32"] == [(OLD, "run-3"), (NEW, "run-2")]


def test_another_workload_is_not_renamed(mixed):
    assert names(told_apart([*mixed, cell("ptq-float32", "c3" * 32, "run-2", workload="other")]))[-1] == "other"


def test_what_was_planned_and_ran_is_not_shown_as_missing(mixed):
    cells = [mixed[0], replace(mixed[1], model_sha256=NEW)]
    report = Report.of(cells, replace(make_info(cells), planned=[c.key for c in cells]))
    assert report.not_run == 0
    assert all(cell is not None for s in report.summaries for row in s.rows for cell in row.cells)


def test_estimates_have_no_spread_over_seeds():
    cells = [replace(cell("ptq-int8-io", OLD, "run-1", seed), outcome="estimated") for seed in range(3)]
    assert Report.of(cells).frames["Seeds"].empty
