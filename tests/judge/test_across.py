"""What a run's cells say together is made anew each time, and changes nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.core.finding import Finding
from harness.judge.across import with_cross_findings
from harness.judge.cell import judge
from tests.judge.facts import context, measured, model

STALE = Finding(code="nothing-delegated", severity="error", where="w", what="of an earlier measurement")
OWN = Finding(code="warm-up-unstable", severity="info", where="w", what="its own")


def no_arrays(_sha256: str) -> dict[str, np.ndarray]:
    raise AssertionError("nothing has to be read")


def test_findings_of_neighbours_are_made_anew_and_a_cells_own_stay():
    record = judge(measured(), model(), context())
    record.findings = [STALE, OWN]
    (found,) = with_cross_findings([record], no_arrays)
    assert [f.code for f in found.findings] == ["warm-up-unstable"]
    assert record.findings == [STALE, OWN], "the records that came in are left as they were"


def test_a_delegate_that_took_nothing_is_told_once_however_often_it_is_asked():
    record = replace(judge(measured(), model(), context()), delegate_name="vx", delegated_nodes=0)
    once = with_cross_findings([record], no_arrays)
    assert [f.code for f in once[0].findings] == ["nothing-delegated", "xnnpack-beside-delegate"]
    assert with_cross_findings(once, no_arrays) == once
