"""The console's findings: each place is named once."""

from __future__ import annotations

import io
from dataclasses import replace

from harness.core.finding import Finding
from harness.reports.console import make_console, print_report
from harness.reports.report import Report
from tests.support.fixtures_results import make_records


def test_a_place_that_names_its_model_is_not_named_twice():
    record = make_records()[0]
    model = f"{record.key.workload}/{record.key.recipe}"
    places = [model, f"{model}/{record.key.device}/{record.key.backend}", "CONV_2D (node 1)"]
    found = [Finding(code="c", severity="warning", where=where, what="it", fix="mend it") for where in places]
    text = io.StringIO()
    print_report(Report.of([replace(record, findings=found)]), console=make_console(file=text, width=300))
    places[2] = f"{model}: CONV_2D (node 1)"
    assert f"    {'; '.join(places)}\n" in text.getvalue()
