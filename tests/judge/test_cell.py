"""Raw facts of a cell become its record, the same each time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.boards.base import BackendSpec, BenchResult, GraphCacheUse, NodePlace, PlacementResult, WorkerFailure
from harness.core.finding import Finding
from harness.judge.cell import judge
from harness.run.measurement import CachedStart, Failure, Measurement, VendorRun
from tests.judge.facts import OUTPUTS, context, measured, model
from tests.support import vendor_outputs


def codes(record):
    return [finding.code for finding in record.findings]


def test_a_cell_that_ran_to_its_end_is_ok_with_all_its_figures():
    record = judge(measured(), model(), context())
    assert (record.outcome, record.reason, record.run, record.threads) == ("ok", None, "r1", 2)
    assert (record.samples, record.accuracy, record.accuracy_delta, record.reference) == (40, 1.0, 0.0, "oracle 1.0")
    assert (record.load_ns, record.first_invoke_ns, record.latency_samples) == (1_000_000, 5_000_000, 200)
    assert record.latency_median_low_ns <= record.latency_median_ns <= record.latency_median_high_ns
    assert (record.delegate_name, record.delegated_nodes, record.total_nodes) == ("XNNPACK", 1, 2)
    assert (record.memory_peak_bytes, record.memory_baseline_bytes) == (1 << 20, 48 << 20)
    assert record.governor == "performance"
    assert (record.board_log, record.duration_ns, record.started_utc) == (
        "worker log",
        7,
        "2026-01-01T00:00:00+00:00",
    )


def test_the_same_facts_give_the_same_record():
    assert judge(measured(), model(), context()) == judge(measured(), model(), context())


def test_outputs_that_are_not_the_references_are_wrong():
    record = judge(measured(np.roll(OUTPUTS, 1, axis=1)), model(), context())
    assert record.outcome == "wrong" and "oracle 1.0" in record.reason and record.accuracy == 0.0


def test_a_model_that_was_not_built_is_unsupported_with_the_converters_words():
    refused = model(artifact=replace(model().artifact, refused="16x8-bit not yet supported"))
    record = judge(Measurement(started_utc="x"), refused, context())
    assert (record.outcome, record.reason) == ("unsupported", "not built: 16x8-bit not yet supported")


def test_a_failed_cell_keeps_no_figures_of_what_came_before():
    record = judge(measured(failure=Failure(source="device", what="no route to host")), model(), context())
    assert (record.outcome, record.reason) == ("failed", "no route to host")
    assert (record.load_ns, record.latency_median_ns, record.outputs_object) == (None, None, None)


def worker(kind, phase="evaluate", signal=None):
    error = WorkerFailure("it ended", kind=kind, phase=phase, signal=signal, board_log="last words")
    return Failure.of_worker(error)


@pytest.mark.parametrize(
    "failure, earlier, outcome, words",
    [
        (worker("exception", "load"), [], "unsupported", "load: it ended"),
        (worker("exception", "delegate"), [], "failed", "the delegate does not load: it ended"),
        (worker("signal", signal="SIGSEGV"), [], "failed", "evaluate: it ended"),
        (worker("signal", signal="SIGSEGV"), [worker("signal", signal="SIGSEGV")], "unsupported", "SIGSEGV each time"),
        (worker("signal", signal="SIGSEGV"), [worker("signal", "load", "SIGSEGV")], "failed", "evaluate: it ended"),
        (worker("signal", signal="SIGKILL"), [worker("signal", signal="SIGKILL")], "failed", "evaluate: it ended"),
        (worker("deadline"), [worker("deadline")], "failed", "evaluate: it ended"),
        (Failure(source="defect", what="KeyError: 'x'"), [], "failed", "internal error: KeyError"),
        (Failure(source="cell", what="no such file"), [], "failed", "no such file"),
    ],
)
def test_what_a_bad_end_means(failure, earlier, outcome, words):
    record = judge(Measurement(started_utc="x", failure=failure, earlier=tuple(earlier)), model(), context())
    assert record.outcome == outcome and words in record.reason
    assert record.board_log == (failure.board_log or None)


def test_a_clock_that_ran_backwards_is_no_figure():
    backwards = BenchResult(samples_ns=np.array([5, -1]), warmup_ns=np.zeros(0), warmup_stable=True)
    with pytest.raises(ValueError, match="clock ran backwards"):
        judge(measured(bench=backwards), model(), context())


def test_how_the_worker_came_to_be_stands_in_the_record_also_of_a_failed_cell():
    forked = judge(measured(started="forked"), model(), context())
    assert (forked.worker_start, codes(forked)) == ("forked", [])
    gone = Failure(source="device", what="gone")
    fresh = judge(measured(started="fresh", started_why="no fork here", failure=gone), model(), context())
    assert (fresh.worker_start, codes(fresh)) == ("fresh", ["worker-started-fresh"])
    assert "no fork here" in fresh.findings[0].what


def test_latency_that_had_not_settled_is_told():
    samples = np.arange(100, 300)
    assert codes(
        judge(
            measured(bench=BenchResult(samples_ns=samples, warmup_ns=samples, warmup_stable=False)), model(), context()
        )
    ) == ["warm-up-unstable"]


def test_a_backend_that_is_the_reference_itself_says_so():
    on_reference = context(backend=BackendSpec(name="cpu-ref", kernels="reference"))
    reference = replace(model().reference, identity="runtime 1.0 BUILTIN_REF")
    assert codes(judge(measured(), model(reference=reference), on_reference)) == ["reference-is-device"]


NPU = BackendSpec(name="npu", delegate_path="/usr/lib/libvx.so", delegate_name="vx")


def test_with_a_delegate_its_share_is_counted_and_what_it_left_is_listed():
    nodes = (NodePlace(node=0, op="CONV_2D", ran_on="vx"), NodePlace(node=1, op="ADD", ran_on="xnnpack"))
    placement = PlacementResult(nodes=nodes, delegated_nodes=1, partitions=1)
    record = judge(measured(placement=placement), model(), context(backend=NPU))
    assert (record.delegate_name, record.delegated_nodes, record.partitions) == ("vx", 1, 1)
    assert [(op.node, op.op) for op in record.fallback] == [(1, "ADD")]


LEFT = GraphCacheUse(files=1, size_bytes=9)


@pytest.mark.parametrize(
    "use, cached, code, figures",
    [
        (LEFT, CachedStart(load_ns=3, first_invoke_ns=40_000), None, (3, 40_000)),
        (LEFT, CachedStart(load_ns=3, first_invoke_ns=4_900_000), "graph-cache-no-gain", (3, 4_900_000)),
        (LEFT, CachedStart(failure=worker("exception", "first_invoke")), "cached-start-failed", (None, None)),
        (GraphCacheUse(files=0, size_bytes=0), None, "graph-cache-unused", (None, None)),
        (GraphCacheUse(files=1, size_bytes=9, problem="too large"), None, "graph-cache-emptied", (None, None)),
        (None, None, None, (None, None)),
    ],
)
def test_the_cached_start_is_a_figure_or_a_finding(use, cached, code, figures):
    placement = PlacementResult(nodes=(NodePlace(node=0, op="ADD", ran_on="vx"),), delegated_nodes=1, partitions=1)
    facts = measured(placement=placement, cache_use=use, cached=cached)
    record = judge(facts, model(), context(backend=NPU))
    assert (record.load_cached_ns, record.first_invoke_cached_ns) == figures
    assert codes(record) == ([code] if code else [])


def vendor(output, code=0):
    return VendorRun(program="/usr/bin/benchmark_model", arguments=("-x",), deadline_s=9, code=code, output=output)


def test_the_vendors_figures_stand_beside_ours_and_a_difference_is_told():
    record = judge(measured(vendor=(vendor(vendor_outputs.PLAIN), vendor(vendor_outputs.PROFILED))), model(), context())
    assert (record.vendor_latency_ns, record.vendor_first_invoke_ns) == (1_250_340_000, 1_512_391_000)
    assert record.vendor_benchmark["program"] == "/usr/bin/benchmark_model"
    assert record.vendor_benchmark["arguments"] == ["-x"]
    assert [op.get("vendor_ns") for op in record.ops] == [861_000, None]
    assert codes(record) == ["vendor-benchmark-differs"] and record.outcome == "ok"


@pytest.mark.parametrize(
    "run, words",
    [
        (vendor("", None), "it was ended after 9 s"),
        (vendor("no such option\n", 3), "exit status 3: no such option"),
        (vendor("", -11), "signal 11"),
        (vendor("hello"), "no line `Inference timings in us`"),
    ],
)
def test_a_vendors_program_without_figures_is_a_finding_and_nothing_else(run, words):
    record = judge(measured(vendor=(run,)), model(), context())
    assert codes(record) == ["vendor-benchmark-failed"] and words in record.findings[0].what
    assert (record.outcome, record.vendor_latency_ns) == ("ok", None)


@pytest.mark.parametrize("code", ["runtime-wrong", "runtime-refuses"])
def test_what_an_audit_says_of_a_runtime_stands_only_where_that_runtime_ran(code):
    about = Finding(code=code, severity="error", where="runtime 1.0", what="computes wrong values there")
    other = replace(about, where="runtime 2.0")
    record = judge(measured(), model(findings=(about, other)), context())
    assert [f for f in record.findings if f.code == code] == [about]
