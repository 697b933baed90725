"""Cells of one model on one device, read together."""

import dataclasses

import pytest

from harness.judge.neighbours import cross_checks
from harness.results.record import CellKey, CellRecord, FallbackOp


def cell(backend, **fields):
    key = CellKey(workload="w", recipe="ptq-int8-io", device="board", backend=backend, dataset="d", seed=0)
    values = {
        "outcome": "ok", "time_basis": "device", "samples": 256, "outputs_object": backend, "input_dtype": "int8",
        "max_lsb_diff": 0.0, "latency_median_ns": 1000, "latency_median_low_ns": 990, "latency_median_high_ns": 1010,
        "total_nodes": 5,
    }  # fmt: skip
    return CellRecord(key=key, run="r", **{**values, **fields})


def npu(**fields):
    values = {"delegate_name": "vx", "delegated_nodes": 5, "partitions": 1, "latency_median_ns": 100}
    values |= {"latency_median_low_ns": 99, "latency_median_high_ns": 101}
    return cell("npu", **{**values, **fields})


def codes(*records):
    return [(f.key.backend, f.finding.code, f.finding.severity) for f in cross_checks(records)]


def test_a_fast_npu_with_its_own_rounding_has_no_finding():
    assert codes(cell("cpu"), npu()) == []


def test_bit_identical_outputs_probably_did_not_run_on_the_npu():
    assert codes(cell("cpu"), npu(outputs_object="cpu")) == [("npu", "identical-to-cpu", "warning")]


def test_a_delegate_that_promises_identical_outputs_is_no_alarm():
    assert codes(cell("cpu"), npu(outputs_object="cpu", delegate_name="npu-standin")) == [
        ("npu", "identical-to-cpu", "info")
    ]


def test_an_npu_slower_than_the_cpu_is_told():
    slow = npu(latency_median_ns=1500, latency_median_low_ns=1450, latency_median_high_ns=1550)
    assert codes(cell("cpu"), slow) == [("npu", "delegate-slower", "warning")]


def test_an_emulated_npu_slower_than_the_cpu_is_no_warning():
    slow = npu(
        latency_median_ns=1500, latency_median_low_ns=1450, latency_median_high_ns=1550, time_basis="host-emulated"
    )
    assert codes(cell("cpu", time_basis="host-emulated"), slow) == [("npu", "delegate-slower", "info")]


def test_a_delegate_that_takes_nothing_as_predicted_is_no_error():
    left = [FallbackOp(node=0, op="CONV_2D", reason="float", predicted=True)]
    assert ("npu", "nothing-delegated", "warning") in codes(cell("cpu"), npu(delegated_nodes=0, fallback=left))


def test_slower_within_the_intervals_is_not_slower():
    assert codes(cell("cpu"), npu(latency_median_ns=1015, latency_median_low_ns=1005)) == []


def test_partial_delegation_that_loses_names_its_partitions():
    slow = npu(delegated_nodes=3, partitions=2, latency_median_ns=1500, latency_median_low_ns=1450)
    (found,) = cross_checks([cell("cpu"), slow])
    assert found.finding.code == "partial-delegation-costs"
    assert "2 of 5 nodes" in found.finding.what and "2 partitions" in found.finding.what


def test_nothing_delegated_is_an_error_about_the_row():
    assert ("npu", "nothing-delegated", "error") in codes(cell("cpu"), npu(delegated_nodes=0))


def test_xnnpack_beside_the_delegate_is_said():
    ops = [{"node": 0, "op": "CONV_2D", "ran_on": "xnnpack"}]
    assert codes(npu(ops=ops)) == [("npu", "xnnpack-beside-delegate", "info")]


@pytest.mark.parametrize("other", [{"device": "other"}, {"seed": 1}, {"recipe": "ptq-int8"}])
def test_other_cells_are_never_compared(other):
    stranger = cell("cpu")
    stranger.key = dataclasses.replace(stranger.key, **other)
    assert codes(stranger, npu(outputs_object="cpu")) == []


def test_times_of_different_bases_are_never_compared():
    slow = npu(latency_median_ns=1500, latency_median_low_ns=1450)
    assert codes(cell("cpu", time_basis="host-emulated"), slow) == []


def test_xnnpack_alone_is_not_an_external_delegate():
    assert (
        codes(cell("cpu-ref"), cell("cpu", delegate_name="XNNPACK", delegated_nodes=5, outputs_object="cpu-ref")) == []
    )
