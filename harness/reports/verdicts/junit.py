"""A judgement as JUnit XML: one test case per cell, failed where a regression is open, in error where its board failed."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from harness.reports.values import clean
from harness.reports.verdicts.words import is_alarm
from harness.results.record import CellKey, CellRecord
from harness.verdict.command import bisection
from harness.verdict.night import Judgement
from harness.verdict.verdict import Verdict, by_urgency


def junit(judgement: Judgement, records: Sequence[CellRecord]) -> bytes:
    """The XML document, UTF-8.

    Args:
        records: of the run, for cells about which nothing was said.
    """
    by_cell: dict[CellKey, list[Verdict]] = {}
    for verdict in by_urgency(judgement.verdicts):
        by_cell.setdefault(verdict.key, []).append(verdict)
    recorded = {record.key: record for record in records}
    keys = sorted({*by_cell, *recorded, *judgement.not_run}, key=lambda key: (key.device, key.text_with_seed))
    root = ET.Element("testsuites", name=clean(f"harness nightly {judgement.series}"))
    suites: dict[str, ET.Element] = {}
    for key in keys:
        suite = suites.get(key.device)
        if suite is None:
            suite = suites[key.device] = ET.SubElement(root, "testsuite", name=clean(key.device))
        series = None if judgement.two_runs else judgement.place
        case = _case(suite, key, by_cell.get(key, []), recorded.get(key), series=series)
        if judgement.no_history is not None and len(case) == 1:  # it has its properties, and neither failure nor error
            ET.SubElement(case, "skipped", message=clean("not compared: no history could be read"))
    for suite in suites.values():
        suite.set("tests", str(len(suite)))
        for kind, plural in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            suite.set(plural, str(sum(case.find(kind) is not None for case in suite)))
    ET.indent(root)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True)


def _case(
    suite: ET.Element, key: CellKey, verdicts: Sequence[Verdict], record: CellRecord | None, *, series: str | None
) -> ET.Element:
    """Adds a cell's test case. `series`: where its store is, as options; None where two runs were compared."""
    seed = f"/seed{key.seed}" if key.seed else ""
    case = ET.SubElement(
        suite,
        "testcase",
        classname=clean(f"{key.device}.{key.backend}"),
        name=clean(f"{key.workload}/{key.recipe}{seed}"),
    )
    if record is not None and record.duration_ns is not None:
        case.set("time", f"{record.duration_ns / 1e9:.3f}")
    properties = ET.SubElement(case, "properties")
    for verdict in verdicts:
        if verdict.status != "same" or verdict.quantity in ("latency", "score"):
            _property(properties, f"verdict.{verdict.quantity}", verdict.status)
            _property(properties, f"reason.{verdict.quantity}", verdict.reason)
        if verdict.detectable is not None:
            _property(properties, f"detectable_change.{verdict.quantity}", f"{verdict.detectable:.4f}")
        if (loss := verdict.numbers.get("smallest_loss")) is not None:
            _property(properties, f"detectable_loss.{verdict.quantity}", f"{loss:.4f}")
        if verdict.open and verdict.since:
            _property(properties, f"since.{verdict.quantity}", verdict.since)
    commands = [v.command for v in verdicts if is_alarm(v) and v.command]
    if commands:
        _property(properties, "reproduce", commands[0])
    finders = [] if series is None else [command for v in verdicts if (command := bisection(v, series)) is not None]
    if finders:
        _property(properties, "bisect", finders[0])
    opened = [v for v in verdicts if v.open]
    if opened:
        text = "\n".join([*(v.reason for v in opened), *(f"reproduce: {c}" for c in commands[:1])])
        failure = ET.SubElement(case, "failure", type="worse", message=clean(opened[0].reason))
        failure.text = "\n".join(clean(line) for line in text.split("\n"))
    elif record is not None and record.outcome == "failed":
        ET.SubElement(case, "error", type="device", message=clean(record.reason or "the board or its link failed"))
    elif record is None and not verdicts:
        ET.SubElement(case, "error", type="not run", message="planned, and not run")
    elif record is not None and record.outcome == "unsupported":
        ET.SubElement(case, "skipped", message=clean(record.reason or "unsupported"))
    return case


def _property(properties: ET.Element, name: str, value: str) -> None:
    ET.SubElement(properties, "property", name=name, value=clean(value))
