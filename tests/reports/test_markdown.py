"""summary.md, the CSV files and the terminal: the same facts, readable, and nothing smuggled in by a board's text."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace

import pytest

from harness.reports.console import make_console, print_report
from harness.reports.csvs import csv_texts, write_csvs
from harness.reports.markdown import escape, markdown
from harness.reports.report import Report
from harness.reports.values import duration_interval_text, memory_text
from harness.results.record import CellRecord, Finding
from tests.support.fixtures_results import RUN, make_info, make_key, make_records, ok_record

HOSTILE = "a|b <script>alert(1)</script> [click](http://x) `code` *bold* =1+1\nnew line \x1b[31m"


@pytest.fixture(scope="module")
def report():
    cells = make_records(with_twin=True)
    return Report.of(cells, make_info(cells))


@pytest.fixture(scope="module")
def text(report):
    return markdown(report)


def hostile_record() -> CellRecord:
    return CellRecord(
        key=make_key("w", "ptq-int8", "d", "cpu"), run=RUN, outcome="failed", reason=HOSTILE, dataset_name=HOSTILE
    )


def console_text(cells, width):
    console = make_console(file=io.StringIO(), width=width)
    print_report(cells, console=console)
    return console.file.getvalue()


# -- Markdown ------------------------------------------------------------------------------------------------------------


def test_the_summary_answers_first_then_shows_tables_problems_findings_and_environment(text):
    heads = re.findall(r"^##? .*", text, re.M)
    assert heads == [
        f"# Run {RUN}: mnist-cnn, sensor-cnn on host-litert, host-tflite, imx8mp, imx8mp@qemu",
        "## What to ship",
        "## mnist-cnn on digits-28x28",
        "## sensor-cnn on digits-28x28",
        "## What did not work",
        "## Spread over seeds",
        "## Fallback",
        "## Findings",
        "## Environment",
        "## How to read this",
    ]
    sentences = [line for line in text.splitlines() if line.startswith("- mnist-cnn on digits-28x28, ")]
    assert sentences[0] == (
        "- mnist-cnn on digits-28x28, host-litert: **ship ptq-int8-io on cpu: -0.2 points, 3.1x faster, a quarter of the size** "
        "(`models/mnist-cnn__ptq-int8-io__host-litert__cpu.tflite`)"
    )


def test_every_table_has_as_many_cells_in_each_row_as_in_its_head(text):
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1, table[:200]


def test_every_section_names_the_data(text):
    for section in re.split(r"^## ", text, flags=re.M)[1:-1]:
        assert "not MNIST" in section, section.splitlines()[0]


def test_an_unfinished_run_says_so():
    cells = make_records()
    assert "This run is interrupted" in markdown(Report.of(cells, make_info(cells, state="interrupted")))


def test_a_run_in_which_all_is_well_says_so():
    good = ok_record(make_key("w", "ptq-int8-io", "host-litert", "cpu"), (1, 0.9, 5.0))
    assert "Every cell that ran is ok." in markdown(Report.of([good]))


def test_cells_that_were_not_run_are_not_called_well():
    good = ok_record(make_key("w", "ptq-int8-io", "host-litert", "cpu"), (1, 0.9, 5.0))
    missing = replace(good.key, recipe="ptq-float32")
    info = replace(make_info([good]), planned=[good.key, missing])
    assert "1 planned cell has no record" in markdown(Report.of([good], info))


def test_a_hostile_text_stays_text_in_markdown():
    safe = escape(HOSTILE)
    assert "<script>" not in safe and "[click](" not in safe and "\x1b" not in safe
    assert re.search(r"(?<!\\)\|", safe) is None and re.search(r"(?<!\\)`", safe) is None
    assert escape("CONV_2D [.93, .97]") == "CONV_2D [.93, .97]"


# -- CSV -----------------------------------------------------------------------------------------------------------------


def test_there_is_one_csv_per_sheet(report, tmp_path):
    names = sorted(path.name for path in write_csvs(report, tmp_path))
    assert names == sorted(
        [
            "summary-mnist-cnn.csv",
            "summary-sensor-cnn.csv",
            "cells.csv",
            "problems.csv",
            "seeds.csv",
            "starts.csv",
            "ops.csv",
            "fallback.csv",
            "findings.csv",
            "audit.csv",
            "environment.csv",
        ]
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == names


def test_csv_numbers_are_the_records_numbers(report):
    rows = list(csv.DictReader(io.StringIO(csv_texts(report)["cells.csv"])))
    by_key = {(r["workload"], r["recipe"], r["device"], r["backend"], r["seed"]): r for r in rows}
    for record in report.records:
        key = record.key
        row = by_key[(key.workload, key.recipe, key.device, key.backend, str(key.seed))]
        assert row["latency_median_ns"] == ("" if record.latency_median_ns is None else str(record.latency_median_ns))
        assert row["accuracy"] == ("" if record.accuracy is None else str(record.accuracy))


def test_a_csv_text_never_starts_like_a_formula():
    texts = ("=1+1", "+1", "-1", "@x")
    cells = [replace(hostile_record(), key=make_key("w", f"r{i}", "d", "cpu"), reason=t) for i, t in enumerate(texts)]
    rows = list(csv.DictReader(io.StringIO(csv_texts(Report.of(cells))["problems.csv"])))
    assert sorted(row["reason"] for row in rows) == sorted(f"'{t}" for t in texts)


def test_negative_numbers_stay_numbers_in_csv(report):
    rows = csv.DictReader(io.StringIO(csv_texts(report)["cells.csv"]))
    assert "-0.0024" in {row["accuracy_delta"] for row in rows}


# -- the terminal --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_the_console_keeps_to_its_width_and_shows_every_device(report, width):
    shown = console_text(report, width)
    assert max(len(line) for line in shown.splitlines()) <= width
    for column in report.summaries[0].columns:
        assert column.name in shown


def test_the_console_shows_a_latency_with_samples_and_placement(report):
    shown = console_text(report, 120)
    block = shown.split("host-litert / cpu  1 thread")[1].split("\n\n")[0]
    row = re.sub(r"\s+", " ", block.split("ptq-int8-io")[1].split("ptq-int16x8")[0])
    assert "5.94 µs [5.90,6.00] n=1200 XNNPACK 6/6" in row
    assert re.search(r"WRONG +\.1135", shown) and "not run" in shown and "FAILED" in shown


def test_every_column_of_a_block_has_a_head_also_where_a_row_needs_two_lines(report):
    for width in (80, 200):
        heads = re.sub(r"\s+", " ", console_text(report, width).split("host-litert / cpu  1 thread")[1].split("──")[0])
        assert "recipe bytes outcome accuracy [95 %] Δ float32 median [95 %] placement memory" in heads


def test_full_reasons_stand_below_the_tables(report):
    shown = re.sub(r"\s+", " ", console_text(report, 120))
    assert "unsupported load: Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'." in shown
    assert "reference tflite-runtime 2.14.0 BUILTIN_REF" in shown


def test_a_hostile_text_cannot_steer_the_terminal():
    shown = console_text([replace(hostile_record(), reason="[bold]x[/bold] \x1b]0;title\x07 [/nonsense]")], 120)
    assert "\x1b" not in shown and "\x07" not in shown and "[bold]x[/bold]" in shown


def test_records_alone_are_enough_to_print():
    assert "mnist-cnn on digits-28x28" in console_text(make_records(), 100)


def test_findings_of_severity_info_are_counted_and_shown_on_demand(report):
    note = Finding(code="x", severity="info", where="here", what="worth knowing", fix="")
    folded = Report.of([replace(r, findings=[*r.findings, note]) for r in report.records], report.info)
    count = sum(folded.frames["Findings"]["severity"] == "info")
    shown = re.sub(r"\s+", " ", console_text(folded, 120))
    assert f"{count} findings of severity info are not shown; `harness report {RUN} --all-findings`" in shown
    assert "worth knowing" not in shown
    console = make_console(file=io.StringIO(), width=120)
    print_report(folded, console=console, all_findings=True)
    assert "info worth knowing" in console.file.getvalue() and "not shown" not in console.file.getvalue()
    before, inside = markdown(folded).split(f"<details><summary>{count} findings of severity info are folded here")
    assert "worth knowing" not in before and "worth knowing" in inside.split("</details>")[0]


def test_a_row_of_a_csv_file_is_a_line_of_it(report):
    cells = [replace(r, board_log="one\ntwo\r\n\u2028three\x0bfour\n") for r in report.records]
    text = csv_texts(Report.of(cells))["cells.csv"]
    assert len(text.splitlines()) == len(cells) + 1
    assert {row["board_log"] for row in csv.DictReader(io.StringIO(text))} == {"one | two | three | four"}


def test_memory_of_a_linux_board_says_what_is_counted(records):
    record = replace(records[0], memory_peak_bytes=1_180_000, memory_baseline_bytes=48_200_000)
    assert memory_text(record) == "memory 1.18 MB beside the runtime's 48.2 MB"
    assert memory_text(replace(record, memory_baseline_bytes=None)) == "memory 1.18 MB with the runtime"


@pytest.mark.parametrize(
    "times, text",
    [
        ((5_940, 5_900, 5_995), "[5.90, 6.00]"),
        ((163_800, 163_760, 163_855), "[163.8, 163.9]"),
        ((2_912_000, 2_911_960, 2_912_055), "[2.9120, 2.9121]"),
        ((850, 840, 871), "[840, 871]"),
        ((1_000_000, 1_000_000, 1_000_000), "[1.00, 1.00]"),
    ],
)
def test_the_ends_of_an_interval_are_told_apart_in_the_unit_of_its_median(times, text):
    assert duration_interval_text(*times) == text
