"""One table of misreadings: the page says what the code does, and the code says nothing that is not in it."""

from __future__ import annotations

import re

from harness.core.finding import Finding
from harness.workloads.checks.table import CODES, ROWS, TABLE, is_misread, misread
from tests.support.places import ROOT

PAGE = ROOT / "docs" / "reference" / "questions.md"


def test_the_page_has_the_rows_of_the_table_in_its_order():
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.read_text().splitlines()
        if line.startswith("| `")
    ]
    expected = [
        [f"`{r.code}`", r.verdict, r.what, r.sign, r.alarms]
        for when in ("before", "after")
        for r in TABLE
        if r.when == when
    ]
    assert rows == expected


def test_every_row_is_made_somewhere_and_nothing_else_is():
    source = "\n".join(path.read_text() for path in sorted((ROOT / "harness").rglob("*.py")))
    made = set(re.findall(r'misread\(\s*"([a-z-]+)"', source))
    assert made == CODES
    assert len(ROWS) == len(TABLE)


def test_what_is_refused_names_no_finding():
    assert {row.verdict for row in TABLE if row.code not in CODES} == {"refused"}


def test_a_finding_of_the_table_is_an_error_with_the_tables_remedy():
    finding = misread("one-class", "w", "all labels are 3")
    assert (finding.severity, finding.fix) == ("error", ROWS["one-class"].fix)
    assert is_misread([finding])
    assert not is_misread([Finding(code="one-class", severity="info", where="", what="")])
    assert not is_misread([Finding(code="other", severity="error", where="", what="")])
