"""Exact quantities: every change is told, in its direction, with its cause; what is the same is never told as changed."""

from dataclasses import replace

import pytest

from harness.results.record import Finding, Fingerprint
from harness.verdict.exact import compare_exact
from harness.verdict.quantities import time_text
from tests.support.nights import RUNTIME, record

OTHER_BYTES = "b" * 64


def verdict(quantity, before, after):
    found = [v for v in compare_exact(before, after) if v.quantity == quantity]
    return found[0] if found else None


def finding(code, severity="error"):
    return Finding(code=code, severity=severity, where="node 3", what="w")


@pytest.mark.parametrize(
    "before, after, status",
    [
        ("ok", "ok", "same"),
        ("ok", "undecided", "worse"),
        ("ok", "wrong", "worse"),
        ("ok", "unsupported", "worse"),
        ("undecided", "ok", "better"),
        ("unsupported", "ok", "better"),
        ("unsupported", "wrong", "worse"),
        ("ok", "estimated", "same"),
    ],
)
def test_outcomes_rank(before, after, status):
    found = verdict("outcome", record(outcome=before), record(outcome=after, reason="why"))
    assert found.status == status and found.gates


def test_a_failed_cell_tells_nothing_of_the_model():
    assert compare_exact(record(), record(outcome="failed")) == []
    assert compare_exact(record(outcome="failed"), record()) == []


@pytest.mark.parametrize(
    "quantity, field, before, after",
    [
        ("partitions", "partitions", 1, 2),
        ("arena", "arena_bytes", 4096, 4097),
        ("instructions", "instructions", 797_623, 797_624),
        ("flash", "model_bytes", 20_000, 20_008),
        ("size", "size_bytes", 20_000, 20_300),
    ],
)
def test_a_figure_that_grows_by_anything_is_worse_and_one_that_shrinks_better(quantity, field, before, after):
    small, large = record(**{field: before}), record(**{field: after})
    assert verdict(quantity, small, large).status == "worse" and verdict(quantity, small, large).open
    assert verdict(quantity, large, small).status == "better"
    assert verdict(quantity, small, small).status == "same"


def test_a_size_under_one_percent_informs_only():
    found = verdict("size", record(size_bytes=20_000), record(size_bytes=20_100))
    assert found.status == "worse" and not found.open


def test_counts_of_another_basis_are_not_compared():
    before = record(instructions=10, time_basis="guest-instructions")
    assert verdict("instructions", before, record(instructions=99, time_basis="device")) is None


def test_an_estimate_is_exact_and_informs():
    before, after = (record(time_basis="estimate", latency_median_ns=ns, outcome="estimated") for ns in (1000, 1001))
    found = verdict("estimate", before, after)
    assert found.status == "worse" and not found.open and verdict("estimate", record(), record()) is None


def test_a_node_that_leaves_its_delegate_is_named():
    ops = [{"node": 0, "op": "CONV_2D", "ran_on": "vx"}, {"node": 1, "op": "SOFTMAX", "ran_on": "vx"}]
    fallen = [ops[0], {**ops[1], "ran_on": "cpu"}]
    found = verdict("placement", record(ops=ops), record(ops=fallen))
    assert found.status == "worse" and "node 1 SOFTMAX vx -> cpu" in found.reason
    assert verdict("placement", record(ops=fallen), record(ops=ops)).status == "better"
    swapped = [{**ops[0], "ran_on": "cpu"}, ops[1]]
    assert verdict("placement", record(ops=fallen), record(ops=swapped)).status == "worse"


def test_nodes_of_another_graph_are_compared_by_what_is_left_on_the_cpu():
    before = [{"op": "CONV_2D", "ran_on": "vx"}, {"op": "SOFTMAX", "ran_on": "cpu"}]
    more = [{"op": "CONV_2D", "ran_on": "vx"}, {"op": "MUL", "ran_on": "cpu"}, {"op": "SOFTMAX", "ran_on": "cpu"}]
    assert verdict("placement", record(ops=before), record(ops=more)).status == "worse"
    taken = [{"op": "CONV_2D", "ran_on": "vx"}, {"op": "MUL", "ran_on": "vx"}, {"op": "SOFTMAX", "ran_on": "cpu"}]
    assert verdict("placement", record(ops=before), record(ops=taken)).status == "same"


def test_error_findings_gate_and_those_of_times_do_not():
    new = verdict("errors", record(), record(findings=[finding("not-bit-exact")]))
    assert new.open and "not-bit-exact" in new.reason
    assert verdict("errors", record(), record(findings=[finding("prediction-time")])).status == "same"
    warned = verdict("findings", record(), record(findings=[finding("float-op", "warning")]))
    assert warned.status == "worse" and not warned.open


def test_a_figure_that_is_not_told_any_more_is_told():
    found = verdict("arena", record(arena_bytes=5), record())
    assert found.status == "vanished" and not found.open
    assert verdict("arena", record(), record(arena_bytes=5)).status == "first"


def test_the_cause_is_the_artifact_the_environment_or_the_board():
    grown = {"arena_bytes": 9}
    before = record(arena_bytes=8)
    other = verdict("arena", before, record(**grown, artifact_sha256=OTHER_BYTES))
    assert other.cause == "artifact" and "with another artifact" in other.reason
    newer = replace(RUNTIME, runtime="ai_edge_litert 2.4.0")
    epoch = verdict("arena", before, record(**grown, fingerprint=newer))
    assert epoch.cause == "environment"
    assert "since runtime ai_edge_litert 2.3.0 -> ai_edge_litert 2.4.0" in epoch.reason
    board = verdict("arena", before, record(**grown))
    assert board.cause == "board" and "not the model" in board.reason


def test_harness_and_agent_are_recorded_only_and_the_compiler_of_a_count_is_not():
    before = record(arena_bytes=8)
    agent = Fingerprint(**{**RUNTIME.__dict__, "agent_sha256": "1" * 64, "harness_version": "9", "python": "3.12"})
    assert verdict("arena", before, record(arena_bytes=9, fingerprint=agent)).cause == "board"
    built = replace(RUNTIME, firmware="gcc 12.2")
    compiled = replace(RUNTIME, firmware="gcc 14.1")
    found = verdict(
        "instructions", record(instructions=5, fingerprint=built), record(instructions=6, fingerprint=compiled)
    )
    assert "since firmware gcc 12.2 -> gcc 14.1" in found.reason


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (850, "0.85 µs"),
        (32_800, "32.8 µs"),
        (999_700, "1 ms"),
        (6_761_063, "6.76 ms"),
        (1.24e9, "1.24 s"),
        (4.21e12, "4,210 s"),
    ],
)
def test_times_are_never_written_with_an_exponent(ns, text):
    assert time_text(ns) == text
