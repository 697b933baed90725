"""What was predicted of a cell beside what happened to it: contradictions are findings that say what to correct."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from harness.core.finding import Finding
from harness.predict.coverage import NodeCoverage
from harness.predict.prediction import Prediction
from harness.results.record import CellRecord


def compare_prediction(prediction: Prediction, record: CellRecord) -> list[Finding]:
    """Where a cell's record contradicts what was predicted: loading, correctness, memory, placement per operator.

    A cell that failed for reasons of board or link contradicts nothing. The fixes say what to correct: usually a data file.
    """
    found = [
        _compare_load(prediction, record),
        _compare_right(prediction, record),
        _compare_fit(prediction, record),
        _compare_time(prediction, record),
    ]
    return [finding for finding in found if finding] + list(_compare_placement(prediction, record))


def _loaded(record: CellRecord) -> bool | None:
    """Did the runtime load it? None when the record cannot tell."""
    if record.load_ns is not None or record.ran:
        return True
    refused = record.outcome == "unsupported" and (record.reason or "").startswith(("load:", "start:"))
    return False if refused else None


def _compare_load(prediction: Prediction, record: CellRecord) -> Finding | None:
    loaded = _loaded(record)
    if prediction.loads is None or loaded is None or prediction.loads == loaded:
        return None
    expected = "would load" if prediction.loads else f"would not load ({'; '.join(prediction.reasons[:2])})"
    seen = "it loaded" if loaded else f"it did not ({record.reason})"
    return Finding(
        code="prediction-load",
        severity="warning",
        where=record.key.text,
        what=f"predicted for {prediction.runtime}: the model {expected}; {seen}",
        fix=_runtime_fix(prediction, record),
    )


def _runtime_fix(prediction: Prediction, record: CellRecord) -> str:
    ran = record.fingerprint.runtime if record.fingerprint else None
    if ran and ran != prediction.runtime:
        again = f"check again with --runtime {ran.replace(' ', '==')}"
        return f"the board has {ran}, the prediction was for {prediction.runtime}: {again}"
    return "correct the runtime's data file (docs/guides/adding-a-delegate.md), or look for a delegate's part in the board log"


def _compare_right(prediction: Prediction, record: CellRecord) -> Finding | None:
    """Only a comparison with a reference can contradict: an `ok` cell without one was not checked."""
    if prediction.right is None or record.outcome not in ("ok", "wrong"):
        return None
    right = record.outcome == "ok"
    if prediction.right == right or (right and record.reference is None):
        return None
    if right:
        expected = f"predicted to be computed wrongly ({'; '.join(prediction.reasons[:2])})"
        return Finding(
            code="prediction-right",
            severity="warning",
            where=record.key.text,
            what=f"{expected}, but the outputs agree with {record.reference}",
            fix=_runtime_fix(prediction, record),
        )
    culprit = f"the delegate {prediction.delegate} or the runtime" if prediction.delegate else f"{prediction.runtime}"
    return Finding(
        code="prediction-right",
        severity="error",
        where=record.key.text,
        what=f"nothing known speaks against this model, but its outputs are wrong ({record.reason})",
        fix=f"{culprit} computes it differently: run the same model on another backend to tell which",
    )


def _compare_fit(prediction: Prediction, record: CellRecord) -> Finding | None:
    if prediction.fits is not False or not record.ran:
        return None
    return Finding(
        code="prediction-fit",
        severity="warning",
        where=record.key.text,
        what="predicted not to fit, but it ran",
        fix="raise `limits` in the device's profile",
    )


def _compare_time(prediction: Prediction, record: CellRecord) -> Finding | None:
    if prediction.finishes is not False or not record.ran:
        return None
    return Finding(
        code="prediction-time",
        severity="warning",
        where=record.key.text,
        what="an inference was predicted to take so long that the watchdog ends it, but it ran",
        fix="the kernels have become faster: correct the figures in harness/boards/mcu/duration.py",
    )


def _compare_placement(prediction: Prediction, record: CellRecord) -> Iterable[Finding]:
    """One finding per operator and direction, with the nodes it concerns."""
    if prediction.nodes is None or not record.ops:
        return
    ran_on = {row["node"]: row["ran_on"] for row in record.ops}
    names = {record.delegate_name, prediction.delegate, "delegate"}
    wrong: dict[tuple[str, bool], list[NodeCoverage]] = defaultdict(list)
    for node in prediction.nodes:
        if node.node in ran_on and (ran_on[node.node] in names) != node.taken:
            wrong[node.op, node.taken].append(node)
    for (op, taken), nodes in wrong.items():
        listed = ", ".join(str(node.node) for node in nodes)
        where = f"node{'s' if len(nodes) > 1 else ''} {listed}"
        expected = "the delegate" if taken else f"the CPU ({nodes[0].reason})"
        actual = f"the CPU ({_logged_reason(record, nodes[0].node)})" if taken else "the delegate"
        yield Finding(
            code="prediction-placement",
            severity="warning",
            where=f"{record.key.text} {where}",
            what=f"{op}: predicted on {expected}, ran on {actual}",
            fix=f"correct the table of {prediction.delegate} for this version of it (docs/guides/adding-a-delegate.md)",
        )


def _logged_reason(record: CellRecord, node: int) -> str:
    reasons = [entry.reason for entry in record.fallback if entry.node == node and entry.reason]
    return reasons[0] if reasons else "the delegate does not say why"
