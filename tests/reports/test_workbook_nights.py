"""The workbook of a night: what got worse stands first, and History has a line and a column for everything."""

from __future__ import annotations

import math
import zipfile
from dataclasses import replace

import pytest

from harness.reports.export import export_night
from harness.reports.night_view import NightView, view_night
from harness.reports.nights_table import HEADS, LATENCY, LEVEL, nights_rows
from harness.reports.report import Report
from harness.reports.verdicts.words import headline
from harness.reports.workbook import write_workbook
from harness.verdict.confirm import look
from harness.verdict.latency import Evidence
from tests.support.nights import RUNTIME, Nights, key, record
from tests.support.workbooks import read, rows_of, table_of

OTHER = "b" * 64
STEADY, COUNTED = key("ptq-float32"), key("ptq-int8-io", "cortex-m4", backend="cpu")


def confirmed(change: float) -> Evidence:
    """Eight fresh sessions a side, the new ones slower by so much."""
    old = [math.log(100_000) + 0.001 * n for n in range(8)]
    new = [y + math.log(change) for y in old]
    return Evidence(old=tuple(old), new=tuple(new), look=look(old, new, 0.005))


def night(found: Nights, slower: float = 1.0, size: int = 20_000, **fields):
    timed = record(starts_us=[us * slower for us in (100.0, 100.4, 99.7)], **fields)
    counted = record(COUNTED, starts_us=(), time_basis="guest-instructions", instructions=797_000, size_bytes=size)
    return found.run(
        timed, record(STEADY, quality="quiet"), counted, evidence=confirmed(slower) if slower != 1.0 else None
    )


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    """Seven nights; on the last one a cell is slower with another artifact, and another one's file has grown."""
    found = Nights(tmp_path_factory.mktemp("nights") / "results")
    for _ in range(6):
        night(found)
    night(found, 1.2, size=30_000, artifact_sha256=OTHER, quality="noisy")
    yield found
    found.store.close()


@pytest.fixture(scope="module")
def book(nights):
    path = export_night(nights.store, nights.results, nights.results / "n007", nights.last)
    return read(path.parent / "comparison.xlsx")


def test_the_workbook_opens_with_what_got_worse(book, nights):
    assert book.sheetnames[:3] == ["Answer", "Regressions", "Summary mnist-cnn"]
    texts = [str(row[0]) for row in rows_of(book["Answer"])]
    assert headline(nights.last) in texts[:4] and "regressions are open" in headline(nights.last)
    assert any("would have been seen in the median cell" in text for text in texts[:6])


def test_regressions_have_their_numbers_and_the_command_that_reproduces_them(book):
    rows = table_of(book["Regressions"], "group")
    worse = [row for row in rows if row["group"] == "Worse"]
    assert {row["quantity"] for row in worse} == {"latency", "flash", "size"} - {"flash"}
    (time,) = [row for row in worse if row["quantity"] == "latency"]
    assert time["cell"] == "mnist-cnn/ptq-int8-io/host-litert/cpu" and time["status"] == "worse"
    assert (time["before"], time["after"], time["unit"]) == (pytest.approx(100.0), pytest.approx(120.0), "µs")
    assert time["change"] == pytest.approx(0.2) and time["detectable"] < 0.1 and time["quality"] == "noisy"
    assert time["since"] == "n007" and "harness" in time["command"]
    (size,) = [row for row in worse if row["quantity"] == "size"]
    assert (size["before"], size["after"], size["change"]) == (20_000, 30_000, pytest.approx(0.5))
    assert len(book["Regressions"]._charts) == 1


def test_history_has_a_row_per_cell_and_a_column_per_night_those_that_moved_first(book):
    sheet = book["History"]
    rows = table_of(sheet, "workload")
    nights = [name for name in rows[0] if name not in HEADS]
    assert [name.split("\n")[0] for name in nights] == [f"n{n:03d}" for n in range(1, 8)]
    first, level = rows[:2]
    assert (first["figure"], first["status"], first["quality"], first["nights"]) == (LATENCY, "worse", "noisy", 7)
    assert [first[name] for name in nights[:2]] == [100.0, 100.0] and first[nights[-1]] == pytest.approx(120.0)
    assert first["level"] == 100.0 and first["change"] == pytest.approx(0.2)
    assert level["figure"] == LEVEL and level[nights[0]] is None and level[nights[-1]] == 100.0
    by_figure = {(row["recipe"], row["figure"]) for row in rows}
    assert ("ptq-int8-io", "instructions") in by_figure and ("ptq-int8-io", "size (bytes)") in by_figure
    assert ("ptq-float32", "size (bytes)") not in by_figure  # it never moved
    assert rows[-1]["status"] == "same" and rows[-1]["quality"] == "quiet"
    assert len(sheet._charts) == 2 and sheet.freeze_panes is not None


def test_history_draws_a_line_in_each_row(nights, tmp_path):
    report = Report.of(nights.store.cells(run="n007"), nights.store.run("n007"), results=nights.results)
    write_workbook(report, tmp_path / "x.xlsx", view=view_night(report, nights.store))
    with zipfile.ZipFile(tmp_path / "x.xlsx") as archive:
        texts = [archive.read(n).decode() for n in archive.namelist() if n.startswith("xl/worksheets/sheet")]
    lines = sum(text.count("<x14:sparkline>") for text in texts)
    assert lines == sum(row.figure != LEVEL for row in nights_rows(view_night(report, nights.store), {}))


def test_the_stored_judgement_gives_the_same_regressions(book, nights, tmp_path):
    report = Report.of(nights.store.cells(run="n007"), nights.store.run("n007"), results=nights.results)
    write_workbook(report, tmp_path / "x.xlsx", view=view_night(report, nights.store))
    again = read(tmp_path / "x.xlsx")
    assert table_of(again["Regressions"], "group") == table_of(book["Regressions"], "group")


def test_a_first_night_and_a_run_by_day_say_that_nothing_is_compared(tmp_path):
    found = Nights(tmp_path / "results")
    found.run(record())
    report = Report.of(found.store.cells(run="n001"), found.store.run("n001"), results=found.results)
    write_workbook(report, tmp_path / "first.xlsx", view=view_night(report, found.store))
    first = read(tmp_path / "first.xlsx")
    assert "the first night" in str(first["Answer"]["A2"].value) + str(first["Answer"]["A3"].value)
    assert any("Nothing moved" in str(row[0]) for row in rows_of(first["Regressions"]))
    day = replace(report, info=replace(report.info, series=None))
    write_workbook(day, tmp_path / "day.xlsx", view=view_night(day, found.store))
    book = read(tmp_path / "day.xlsx")
    assert not {"Regressions", "History"} & set(book.sheetnames)
    assert any("harness nightly" in str(row[0]) for row in rows_of(book["Answer"])[:4])
    assert view_night(Report.of([]), found.store) == NightView()


def test_history_tells_of_epochs_and_accepted_levels(tmp_path):
    found = Nights(tmp_path / "results")
    for _ in range(3):
        found.run(record())
    newer = replace(RUNTIME, runtime="ai_edge_litert 2.4.0")
    for _ in range(2):
        found.run(record(fingerprint=newer))
    found.history.accept(key(), "*", "n004", "=the new runtime")
    report = Report.of(found.store.cells(run="n005"), found.store.run("n005"), results=found.results)
    write_workbook(report, tmp_path / "x.xlsx", view=view_night(report, found.store))
    texts = [row[0] for row in rows_of(read(tmp_path / "x.xlsx")["History"])]
    assert "n004: host-litert ran on something else: runtime ai_edge_litert 2.3.0 -> ai_edge_litert 2.4.0" in texts
    assert "n004: mnist-cnn/ptq-int8-io/host-litert/cpu, a new level was accepted: =the new runtime" in texts
    found.store.close()
