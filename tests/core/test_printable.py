"""Texts from outside, made safe for where they are shown, and every border at which something is printed."""

from __future__ import annotations

import ast
import csv
import io
import zipfile
from dataclasses import replace

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from harness.cli import main as cli_main
from harness.cli.progress import describe
from harness.core.errors import UserInputError
from harness.core.printable import one_line, printable, spreadsheet_text, visible
from harness.core.safe_console import SafeConsole
from harness.reports.console import make_console, print_report
from harness.reports.csvs import csv_texts
from harness.reports.markdown import markdown
from harness.reports.report import Report
from harness.reports.run_list import lines
from harness.reports.workbook import sheet_name, write_workbook
from harness.results.record import FallbackOp, Finding
from tests.support.fixtures_results import make_info, make_key, ok_record
from tests.support.places import ROOT

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eabc\u2066\x00\ud800"
OBEYED = set("\x1b\x07\x9b\u202e\u2066\x00\ud800\r")


def is_safe(text: str) -> bool:
    return not OBEYED & set(text)


@given(st.text(st.characters(exclude_categories=()), max_size=200))
def test_nothing_that_a_terminal_obeys_gets_through(text):
    for safe in (printable(text), visible(text), one_line(text)):
        assert all(c in "\n\t" or c.isprintable() or c.isspace() or ord(c) > 0x377 for c in safe) and is_safe(safe)
        assert safe == safe.encode().decode()
    assert "\n" not in visible(text) + one_line(text)


def test_text_that_harms_nobody_stays_as_it_is():
    for text in ("Prüfstand µC 板 😀", "two\nlines\tand a tab", "", "-1.5 %"):
        assert printable(text) == text


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "－", "＋", "＠"])
def test_what_a_spreadsheet_would_compute_is_a_text(start):
    assert spreadsheet_text(f"{start}HYPERLINK(1)")[0] == "'"
    assert spreadsheet_text(-1.5) == -1.5 and spreadsheet_text("a=b") == "a=b"


# -- every border


@pytest.fixture
def evil_report() -> Report:
    """A run in which everything that comes from outside is hostile."""
    record = ok_record(make_key("mnist-cnn", "ptq-int8-io", "imx8mp", "npu"), (23_560, 0.95, 6.0))
    finding = Finding(code="c", severity="error", where=EVIL, what=f"=cmd|{EVIL}", fix=EVIL)
    record = replace(
        record,
        outcome="wrong",
        reason=f"=1+1 {EVIL}",
        board_log=f"@SUM(A1) {EVIL}\nsecond line",
        governor=EVIL,
        dataset_name=f"+{EVIL}",
        dataset_note=f"-{EVIL}",
        delegate_name=EVIL,
        reference_rule=EVIL,
        fallback=[FallbackOp(node=5, op=EVIL, reason=EVIL)],
        findings=[finding],
        fingerprint=replace(record.fingerprint, runtime=EVIL, board_model=f"={EVIL}", bsp=EVIL),
    )
    record.ops[0] |= {"op": EVIL, "ran_on": EVIL}
    info = make_info([record])
    info.command = ["harness", "run", EVIL]
    return Report.of([record], info)


def test_the_console_shows_it_harmless(evil_report):
    out = io.StringIO()
    print_report(evil_report, console=make_console(file=out, width=160))
    assert is_safe(out.getvalue()) and "owned" in out.getvalue()


def test_colours_of_the_console_stay():
    out = io.StringIO()
    SafeConsole(file=out, force_terminal=True, color_system="standard").print(Text(EVIL, style="red"))
    assert out.getvalue().count("\x1b[31m") == 1 and "\x07" not in out.getvalue() and "\x9b" not in out.getvalue()


def test_csv_files_hold_it_harmless_and_without_formulas(evil_report):
    for name, text in csv_texts(evil_report).items():
        assert is_safe(text), name
        cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
        assert cells and not any(cell.startswith(("=", "@")) for cell in cells), name


def test_markdown_holds_it_harmless(evil_report):
    assert is_safe(markdown(evil_report))


def test_the_workbook_holds_it_harmless_and_without_formulas(evil_report, tmp_path):
    write_workbook(evil_report, tmp_path / "book.xlsx")
    with zipfile.ZipFile(tmp_path / "book.xlsx") as book:
        for name in book.namelist():
            text = book.read(name).decode()
            assert is_safe(text.replace("\r\n", "\n")) and "_x001B_" not in text, name
            assert "<f>" not in text or name.startswith("xl/charts"), name
    assert sheet_name(f"Summary {EVIL}", set()).isprintable()


def test_the_list_of_runs_and_a_finished_cell_are_one_line_each(evil_report):
    (head, line) = lines([(evil_report.info, "1 wrong")])
    assert is_safe(line) and "\n" not in line and head.startswith("run ")
    assert "\n" not in describe(evil_report.records[0])


def test_errors_and_tracebacks_of_commands_are_harmless(monkeypatch, capsys):
    for error in (UserInputError(EVIL, where=EVIL, hint=EVIL), ZeroDivisionError(EVIL)):

        def fail(error=error, **_options):
            raise error

        monkeypatch.setattr(cli_main.cli, "main", fail)
        assert cli_main._run() in (1, 4)
        said = capsys.readouterr()
        assert is_safe(said.err) and "owned" in said.err


def test_a_file_with_a_hostile_name_is_told_harmlessly(tmp_path):
    name = "a\x1b[2J\x07.npz"
    (tmp_path / name).write_bytes(b"no archive")
    done = CliRunner().invoke(cli_main.cli, ["data", "check", str(tmp_path / name)])
    assert done.exit_code != 0 and is_safe(done.output)


def test_commands_print_through_one_function():
    for path in sorted((ROOT / "harness" / "cli").glob("*.py")):
        if path.name == "out.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr == "echo":
                pytest.fail(f"{path.name}:{node.lineno}: click.echo; use harness.cli.out.echo")
