"""comparison.xlsx, read back with another library than the one that wrote it."""

from __future__ import annotations

import itertools
import resource
import zipfile
from dataclasses import replace

import pytest
from openpyxl.utils import get_column_letter

from harness.core.errors import HarnessError
from harness.reports.charts import POINT_COLUMNS, _Labels, chart_points
from harness.reports.fields import NAMES
from harness.reports.report import Report
from harness.reports.sheets import CELL_LIMIT
from harness.reports.summary import summaries
from harness.reports.summary_sheet import BLOCK
from harness.reports.workbook import sheet_name, write_workbook
from harness.results.record import CellRecord, Finding
from tests.support.fixtures_results import RUN, make_info, make_key, make_records, ok_record
from tests.support.workbooks import read, rows_of, table_of


@pytest.fixture(scope="module")
def book(exported_results):
    return read(exported_results / RUN / "comparison.xlsx")


def test_the_sheets_come_in_the_order_in_which_they_are_read(book):
    assert book.sheetnames == [
        "Answer",
        "Summary mnist-cnn",
        "Summary sensor-cnn",
        "Fallback",
        "Audit",
        "Environment",
        "Cells",
        "Problems",
        "Seeds",
        "Starts",
        "Ops",
        "Findings",
        "Chart points",
        "About",
    ]


def test_the_answer_stands_first_with_all_that_a_latency_needs(book):
    sheet = book["Answer"]
    texts = [row[0] for row in rows_of(sheet)]
    assert "not MNIST" in texts[1]
    said = "ship ptq-int8-io on cpu: -0.2 points, 3.1x faster, a quarter of the size"
    assert texts[2].startswith("Compared with no nights before")
    assert f"mnist-cnn on digits-28x28, host-litert: {said}" in texts[3:7]
    first = table_of(sheet, "role")[0]
    assert (first["role"], first["recipe"], first["backend"]) == ("pick", "ptq-int8-io", "cpu")
    assert first["median latency"] == "5.94 µs [5.90, 6.00] (n=1200), XNNPACK 6/6 nodes in 1 part"


def test_a_summary_has_a_block_per_device_with_accuracy_latency_outcome_and_placement(book):
    rows = rows_of(book["Summary mnist-cnn"])
    assert rows[3][:2] == ["recipe", "size (bytes)"] and rows[2][2] == "host-litert / cpu-ref\n1 thread, device clock"
    float32 = next(row for row in rows if row[0] == "ptq-float32")
    assert float32[1:6] == [83_904, "ok", 0.9601, "[.9391, .9761] n=360", 0]
    assert float32[6:10] == [163.8, "[163.8, 163.9]", 176.904, 1200]
    assert float32[12] == "memory 61.0 MB with the runtime; no delegate"


def test_unsupported_wrong_failed_and_not_run_are_told_apart_with_their_reasons(book):
    rows = {row[0]: row for row in rows_of(book["Summary mnist-cnn"])}
    tflite, npu = 2 + 2 * len(BLOCK), 2 + 3 * len(BLOCK)
    assert (
        rows["ptq-default"][tflite] == "unsupported" and "version '12'" in rows["ptq-default"][tflite + len(BLOCK) - 1]
    )
    assert rows["ptq-default"][tflite + 4] is None
    assert rows["ptq-aeq-dyn8"][tflite] == "wrong" and "nrmse 1.31" in rows["ptq-aeq-dyn8"][tflite + len(BLOCK) - 1]
    assert rows["ft-float32"][npu] == "failed" and "was lost" in rows["ft-float32"][npu + len(BLOCK) - 1]
    assert rows["ptq-aeq-dyn8"][npu] == "not run"


def test_every_sheet_says_what_the_data_are(book):
    for sheet in book.worksheets:
        if sheet.title != "Chart points":
            assert any("not MNIST" in str(v) for row in rows_of(sheet) for v in row), sheet.title


def test_heads_and_recipes_stay_in_view(book):
    assert book["Summary mnist-cnn"].freeze_panes == "C5"
    cells = book["Cells"]
    assert cells.freeze_panes == "D4"
    assert cells.auto_filter.ref.startswith("A3:")


def test_outcomes_and_accuracy_losses_are_coloured_by_rules(book):
    rules = [rule for found in book["Summary mnist-cnn"].conditional_formatting for rule in found.rules]
    formulas = {formula for rule in rules for formula in rule.formula}
    assert {'"ok"', '"wrong"', '"unsupported"', '"failed"', '"not run"', "-0.03", "-0.01"} <= formulas


def test_the_cells_sheet_has_every_field_with_numbers_as_numbers(book):
    table = table_of(book["Cells"], "run")
    assert len(table) == len(make_records(with_twin=True))
    assert set(NAMES) - {"fingerprint"} <= set(table[0])
    assert isinstance(table[0]["latency_median_ns"], int) and isinstance(table[0]["accuracy"], float)


def test_the_about_sheet_explains_every_field_outcome_and_time_basis(book):
    words = {str(value) for row in rows_of(book["About"]) for value in row}
    assert set(NAMES) | {"ok", "wrong", "unsupported", "failed", "not run", "device", "host-emulated"} <= words
    assert any("99 % within 1 quantization step" in word for word in words)


def test_charts_show_ok_cells_alone_and_one_time_basis_each(book):
    charts = book["Summary mnist-cnn"]._charts
    assert len(charts) == 3  # two time bases, and size
    points = table_of(book["Chart points"], POINT_COLUMNS[0])
    assert {point["outcome"] for point in points} == {"ok"}
    shown = [series.tx.strRef for chart in charts[:2] for series in chart.series]
    assert len(shown) == 5


def test_a_series_covers_exactly_its_own_points(exported_results):
    import re

    points = chart_points(summaries(make_records(with_twin=True)))
    with zipfile.ZipFile(exported_results / RUN / "comparison.xlsx") as archive:
        names = sorted(n for n in archive.namelist() if n.startswith("xl/charts/chart"))
        text = archive.read(names[0]).decode()
    for name, first, last in re.findall(r"<c:tx>.*?<c:v>(.*?)</c:v>.*?<c:xVal>.*?\$H\$(\d+):\$H\$(\d+)", text, re.S):
        mine = points[(points["device_backend"] == name) & (points["workload"] == "mnist-cnn")]
        assert (int(first) - 3, int(last) - 3) == (mine.index[0], mine.index[-1]), name


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0", "http://example.org", "{=1}"])
def test_a_text_from_a_board_never_becomes_a_formula_or_link(tmp_path, text):
    record = CellRecord(
        key=make_key("w", "ptq-int8", "d", "cpu"), run=RUN, outcome="failed", reason=text, board_log=text
    )
    write_workbook(Report.of([record]), tmp_path / "x.xlsx")
    book = read(tmp_path / "x.xlsx")
    [found] = [cell for row in book["Problems"].iter_rows() for cell in row if cell.value == text]
    assert found.data_type == "s" and found.hyperlink is None
    with zipfile.ZipFile(tmp_path / "x.xlsx") as archive:
        sheets = [archive.read(n).decode() for n in archive.namelist() if n.startswith("xl/worksheets/sheet")]
    assert not any("<f>" in sheet for sheet in sheets)


def test_a_text_longer_than_a_cell_can_hold_is_cut_visibly(tmp_path):
    record = CellRecord(key=make_key("w", "r", "d", "cpu"), run=RUN, outcome="failed", board_log="x" * (CELL_LIMIT + 9))
    write_workbook(Report.of([record]), tmp_path / "x.xlsx")
    log = table_of(read(tmp_path / "x.xlsx")["Cells"], "run")[0]["board_log"]
    assert len(log) == CELL_LIMIT and log.endswith("…")


def test_workloads_that_are_file_paths_give_valid_sheets(tmp_path):
    long = "/data/models/" + "a" * 40
    cells = [ok_record(make_key(f"{long}{n}.tflite", "as-is", "host-litert", "cpu"), (1000, 0.9, 5.0)) for n in (1, 2)]
    write_workbook(Report.of(cells), tmp_path / "x.xlsx")
    names = read(tmp_path / "x.xlsx").sheetnames[1:3]
    assert len(set(names)) == 2 and all(len(name) <= 31 and "/" not in name for name in names)


def test_sheet_names_are_unique_without_regard_to_case():
    taken: set[str] = set()
    assert [sheet_name(t, taken) for t in ("Net", "net", "a:b[c]?", "''")] == ["Net", "net-2", "a-b-c--", "--"]


def test_no_cells_give_a_workbook_that_opens(tmp_path):
    write_workbook(Report.of([]), tmp_path / "x.xlsx")
    assert "About" in read(tmp_path / "x.xlsx").sheetnames


def test_a_full_disk_leaves_the_old_workbook(tmp_path):
    path = tmp_path / "x.xlsx"
    path.write_bytes(b"old")
    cells = make_records()
    noisy = [
        replace(r, board_log="".join(chr(33 + (i * i * n) % 90) for i in range(8000))) for n, r in enumerate(cells, 7)
    ]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, hard))
    try:
        with pytest.raises(HarnessError, match="no space left"):
            write_workbook(Report.of(noisy, make_info(cells)), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["x.xlsx"]


def test_charts_have_error_bars_from_the_sheet_of_points(book, exported_results):
    with zipfile.ZipFile(exported_results / RUN / "comparison.xlsx") as archive:
        chart = archive.read("xl/charts/chart1.xml").decode()
    columns = {name: get_column_letter(POINT_COLUMNS.index(name) + 1) for name in POINT_COLUMNS[-6:]}
    for name in ("score_below", "score_above", "latency_below_us", "latency_above_us"):
        assert f"'Chart points'!${columns[name]}$3" in chart, name
    point = table_of(book["Chart points"], POINT_COLUMNS[0])[0]
    assert point["score_below"] == pytest.approx(0.021) and point["score_above"] == pytest.approx(0.016)
    assert (point["latency_below_us"], point["latency_above_us"]) == pytest.approx((0.04, 0.055))


def test_charts_lie_below_each_other(book):
    for sheet in book.worksheets:
        places = sorted((c.anchor._from.row, c.anchor.to.row) for c in sheet._charts)
        assert all(first[1] < second[0] for first, second in itertools.pairwise(places)), sheet.title


def test_labels_of_a_chart_do_not_lie_on_each_other():
    room = _Labels(1.0, 1000.0, 0.9, 1.0, log=True)
    assert room.take("ptq-int8-io", 10.0, 0.95)
    assert not room.take("qat-int8-io", 11.0, 0.951)
    assert room.take("qat-int8-io", 11.0, 0.99) and room.take("ptq-float32", 300.0, 0.95)


def test_findings_of_severity_info_are_folded_under_the_others(tmp_path):
    cells = make_records()
    note = Finding(code="x", severity="info", where="here", what="worth knowing", fix="")
    write_workbook(
        Report.of([replace(cells[0], findings=[note, *cells[-6].findings]), *cells[1:]]), tmp_path / "x.xlsx"
    )
    sheet = read(tmp_path / "x.xlsx")["Findings"]
    rows = [row[0].row for row in sheet.iter_rows() if row[0].value == "info"]
    assert rows == [sheet.max_row]
    assert sheet.row_dimensions[rows[0]].hidden and sheet.row_dimensions[rows[0]].outlineLevel == 1
    assert any("1 finding of severity info is folded" in str(v) for row in rows_of(sheet) for v in row)


def test_rows_are_never_higher_than_a_few_lines(tmp_path):
    long = replace(make_records()[0], outcome="failed", reason="word " * 2000)
    write_workbook(Report.of([long]), tmp_path / "x.xlsx")
    for sheet in read(tmp_path / "x.xlsx").worksheets:
        heights = [d.height for d in sheet.row_dimensions.values() if d.height is not None]
        assert max(heights, default=0) <= 90, sheet.title


def test_the_audit_has_every_model_once_with_what_was_found_gravest_first(book):
    table = table_of(book["Audit"], "workload")
    found = [(row["workload"], row["recipe"], row["severity"]) for row in table if row["severity"]]
    models = {(r.key.workload, r.key.recipe, r.key.seed) for r in make_records(with_twin=True)}
    assert {(row["workload"], row["recipe"], row["seed"]) for row in table} == models
    assert ("mnist-cnn", "qat-dense-default", "error") in found and len(set(found)) == len(found)
    quiet = next(row for row in table if row["recipe"] == "ptq-int8-io" and row["workload"] == "mnist-cnn")
    assert (quiet["what"], quiet["size_bytes"], quiet["input_dtype"]) == ("nothing was found", 23_560, "int8")


def test_the_quality_of_a_latency_stands_beside_it_in_every_sheet_with_latencies(tmp_path):
    noisy = [replace(r, quality="noisy" if r.ran else None) for r in make_records()]
    write_workbook(Report.of(noisy), tmp_path / "x.xlsx")
    book = read(tmp_path / "x.xlsx")
    for name, head in (("Cells", "run"), ("Starts", "workload"), ("Seeds", "workload"), ("Chart points", "workload")):
        rows = [
            row for row in table_of(book[name], head) if row.get("latency_median_ns") or row.get("latency_median_us")
        ]
        assert {row["quality"] for row in rows} <= {"noisy"}, name
        assert rows or name == "Seeds"
    summary = {row[0]: row for row in rows_of(book["Summary mnist-cnn"])}
    heads = rows_of(book["Summary mnist-cnn"])[3]
    assert summary["ptq-int8-io"][heads.index("while timing")] == "noisy"
    answer = table_of(book["Answer"], "role")[0]
    assert ", noisy), XNNPACK" in answer["median latency"]


# -- large tables


def many(count: int) -> list[CellRecord]:
    """So many cells of a few recipes on devices that are only names."""
    one = ok_record(make_key("w", "ptq-int8-io", "host-litert", "cpu"), (1000, 0.9, 5.0))
    return [replace(one, key=make_key("w", "ptq-int8-io", f"board-{n // 4}", "cpu", n % 4)) for n in range(count)]


def test_a_table_longer_than_a_sheet_is_cut_with_a_note(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.reports.frame_sheet.MOST_ROWS", 20)
    write_workbook(Report.of(many(40)), tmp_path / "x.xlsx")
    sheet = read(tmp_path / "x.xlsx")["Cells"]
    texts = [str(row[0].value) for row in sheet.iter_rows()]
    assert sheet.max_row <= 20
    assert any("of 40 rows are left out; the CSV file has all of them" in text for text in texts)


def test_a_workbook_that_is_written_row_by_row_says_the_same(tmp_path, monkeypatch):
    cells = [replace(r, board_log="=1+1\n" + "x" * 40_000) for r in make_records()]
    write_workbook(Report.of(cells), tmp_path / "memory.xlsx")
    monkeypatch.setattr("harness.reports.workbook._LARGE", 100)
    write_workbook(Report.of(cells), tmp_path / "disk.xlsx")
    whole, large = read(tmp_path / "memory.xlsx"), read(tmp_path / "disk.xlsx")
    assert whole.sheetnames == large.sheetnames
    for sheet in whole.worksheets:
        if sheet.title == "Cells":  # without the columns that have no value
            heads = set(table_of(large["Cells"], "run")[0])
            kept = [{k: v for k, v in row.items() if k in heads} for row in table_of(sheet, "run")]
            assert table_of(large["Cells"], "run") == kept and len(heads) < len(table_of(sheet, "run")[0])
        else:
            assert rows_of(sheet) == rows_of(large[sheet.title]), sheet.title
        heights = {row: d.height for row, d in sheet.row_dimensions.items()}
        assert heights == {row: d.height for row, d in large[sheet.title].row_dimensions.items()}, sheet.title


def test_a_full_disk_while_a_large_workbook_is_written_leaves_the_old_one(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.reports.workbook._LARGE", 100)
    path = tmp_path / "x.xlsx"
    path.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    report = Report.of(make_records())
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, hard))
    try:
        with pytest.raises(HarnessError, match="no space left"):
            write_workbook(report, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["x.xlsx"]
