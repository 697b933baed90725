"""The tables say what the records say, and never show a latency without what belongs to it."""

from __future__ import annotations

import re
import statistics
from dataclasses import replace

import pytest

from harness.reports import fallback, tables
from harness.reports.environment import environment_table
from harness.reports.fields import NAMES
from harness.reports.report import Report
from harness.reports.scores import share_delta_text, share_text
from harness.reports.seeds import seeds_table
from harness.reports.summary import summaries
from harness.reports.values import clean, duration_text, placement_text
from harness.results.record import CellRecord
from harness.variants.recipe import ALL
from tests.support.fixtures_results import MNIST, NOT_RUN_KEY, RUN, make_info, make_key, make_records, ok_record


@pytest.fixture
def mnist(records):
    return summaries(records, make_info(records).planned)[0]


def column_of(summary, device, backend):
    return next(c.text for c in summary.columns if (c.device, c.backend) == (device, backend))


# -- numbers as texts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (850, "850 ns"),
        (999, "999 ns"),
        (5_940, "5.94 µs"),
        (24_100, "24.1 µs"),
        (999_700, "1.00 ms"),
        (1_050_000, "1.05 ms"),
        (999_960_000, "1.00 s"),
        (90_000_000_000, "90.0 s"),
        (0, "0 ns"),
        (None, ""),
    ],
)
def test_durations_have_three_digits_in_the_unit_that_suits(ns, text):
    assert duration_text(ns) == text


def test_accuracies_and_differences_have_four_digits():
    assert [share_text(v) for v in (0.9577, 1.0, 0.0, None)] == [".9577", "1.000", ".0000", ""]
    assert [share_delta_text(v) for v in (0.0012, -0.031, 0.00001, None)] == ["+.0012", "-.0310", "±.0000", ""]


def test_texts_from_boards_lose_control_characters():
    assert clean("a\x1b[31mred\r\nline\ttab\u2028\udc80end") == "a [31mred line tab end"
    assert clean("abcdef", 4) == "abc…"


def test_a_delegate_that_took_nothing_is_named():
    record = replace(
        ok_record(make_key("w", "ptq-int8-io", "imx8mp", "npu"), (1, 0.9, 1.0)), delegated_nodes=0, partitions=0
    )
    assert placement_text(record) == "vx 0/6 nodes"
    assert placement_text(replace(record, delegated_nodes=None)) == "vx ?/6 nodes (not told)"
    assert placement_text(replace(record, delegated_nodes=4, partitions=2)) == "vx 4/6 nodes in 2 parts"


# -- the summary ---------------------------------------------------------------------------------------------------------


def test_recipes_stand_in_the_order_of_the_recipe_table(mnist):
    shown = [row.recipe for row in mnist.rows]
    assert shown == [recipe for recipe in ALL if recipe in MNIST]


def test_there_is_one_column_per_device_and_backend_with_threads_and_basis_in_its_head(mnist):
    assert [c.text for c in mnist.columns] == [
        "host-litert / cpu-ref (1 thread, device clock)",
        "host-litert / cpu (1 thread, device clock)",
        "host-tflite / cpu (1 thread, device clock)",
        "imx8mp / npu (4 threads, device clock)",
    ]


def test_every_latency_stands_with_outcome_sample_count_and_placement(records):
    for summary in summaries(records):
        for text in tables.summary_text(summary).drop(columns=["size (bytes)"]).stack():
            if re.search(r"\d (ns|µs|ms|s)\b", text):
                assert re.search(r"^(ok|WRONG|FAILED|X) ", text), text
                assert re.search(r"\(n=\d+\)", text) and re.search(r"no delegate|\d+/\d+ nodes", text), text


def test_every_latency_number_stands_with_outcome_sample_count_and_placement(records):
    for summary in summaries(records):
        frame = tables.summary_table(summary)
        for column in {name for name, _ in frame.columns}:
            timed = frame[column][frame[column]["latency_median_ns"].notna()]
            assert timed[["outcome", "latency_samples", "placement"]].notna().all().all()


def test_unsupported_shows_an_x_with_its_reason(mnist):
    text = tables.summary_text(mnist).loc["ptq-default", column_of(mnist, "host-tflite", "cpu")]
    assert text == "X\nload: Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'."


def test_wrong_and_failed_are_marked_with_their_reasons(mnist):
    frame = tables.summary_text(mnist, reason_limit=None)
    wrong = frame.loc["ptq-aeq-dyn8", column_of(mnist, "host-tflite", "cpu")]
    failed = frame.loc["ft-float32", column_of(mnist, "imx8mp", "npu")]
    assert wrong.startswith("WRONG .1135 [.0845, .1504] n=360\n") and "nrmse 1.31 is above 0.05" in wrong
    assert failed == "FAILED\nevaluate: the connection to imx8mp was lost"


def test_a_planned_cell_without_a_record_is_shown_as_not_run(mnist):
    assert tables.summary_text(mnist).loc[NOT_RUN_KEY.recipe, column_of(mnist, "imx8mp", "npu")] == "not run"


def test_an_x_without_a_reason_says_that_there_is_none():
    record = CellRecord(key=make_key("w", "ptq-int8", "d", "cpu"), run=RUN, outcome="unsupported")
    assert tables.cell_text(record) == "X\nno reason was recorded"


def test_times_of_two_bases_never_share_a_column():
    device = ok_record(make_key("w", "ptq-float32", "imx8mp", "npu"), (1, 0.9, 1.0))
    other = replace(ok_record(make_key("w", "ptq-int8-io", "imx8mp", "npu"), (1, 0.9, 1.0)), time_basis="estimate")
    [summary] = summaries([device, other])
    assert [c.detail for c in summary.columns] == ["4 threads, device clock", "estimate"]
    assert tables.summary_text(summary).loc["ptq-int8-io"].tolist()[1:2] == ["not run"]


def test_a_table_with_two_time_bases_says_that_they_must_not_be_compared():
    cells = make_records(with_twin=True)
    notes = summaries(cells)[0].notes
    assert any("must not be compared" in note and "emulated on the host" in note for note in notes)
    assert not any("must not be compared" in note for note in summaries(make_records())[0].notes)


def test_a_table_of_emulated_times_alone_says_what_they_are():
    cells = [r for r in make_records(with_twin=True) if r.key.device == "imx8mp@qemu"]
    assert "says nothing about a real board" in summaries(cells)[0].notes[0]


def test_the_first_seed_is_shown_and_other_outcomes_of_other_seeds_are_told():
    base = ok_record(make_key("w", "qat-int8-io", "host-litert", "cpu", 0), (1, 0.9, 1.0))
    bad = replace(base, key=replace(base.key, seed=1), outcome="wrong", accuracy=0.1)
    [summary] = summaries([bad, base])
    text = tables.summary_text(summary).iloc[0, 1]
    assert text.startswith("ok .9000") and text.endswith("1 of 2 seeds wrong")
    assert any("Seed 0 of 2 is shown" in note for note in summary.notes)


def test_one_workload_on_two_datasets_gives_two_tables(records):
    moved = [replace(r, key=replace(r.key, dataset="ee" * 32), dataset_name="mnist") for r in records[:3]]
    assert [s.title for s in summaries([*records, *moved])] == [
        "mnist-cnn on digits-28x28",
        "sensor-cnn on digits-28x28",
        "mnist-cnn on mnist",
    ]


def test_without_labels_the_agreement_stands_for_the_accuracy():
    record = replace(ok_record(make_key("mine.tflite", "as-is", "host-litert", "cpu"), (1, 0.9, 1.0)), accuracy=None)
    assert tables.cell_text(record).startswith("ok agreement 1.000 n=256\n")


# -- long tables ---------------------------------------------------------------------------------------------------------


def test_the_cells_table_has_every_field_of_every_cell(records):
    frame = tables.cells_table(records)
    assert len(frame) == len(records)
    assert set(NAMES) - {"fingerprint"} <= set(frame.columns)
    assert frame["fingerprint_runtime"].notna().all()
    assert frame["latency_median_ns"].dtype == "Int64" and frame["accuracy"].dtype == "Float64"


def test_the_ops_table_tells_where_each_node_ran(records):
    frame = tables.ops_table(records)
    npu = frame[(frame["device"] == "imx8mp") & (frame["recipe"] == "ptq-int8-io")]
    assert npu["ran_on"].tolist() == ["vx"] * 5 + ["cpu"]


def test_the_fallback_table_has_every_node_and_a_reason_for_each_that_was_left():
    frame = tables.fallback_table(make_records(with_twin=True))
    assert set(frame["delegate"].dropna()) == {"vx", "npu-standin"}
    left = frame[frame["ran_on"] == "cpu"]
    assert set(left["reason"]) == {"output scale is not 1/256", "the runtime does not tell"}
    assert frame[frame["ran_on"].isin(["vx", "npu-standin"])]["reason"].isna().all()
    one = frame[(frame["device"] == "imx8mp") & (frame["recipe"] == "ptq-int8-io")]
    assert one["node"].tolist() == list(range(6)) and set(one["delegated"]) == {5} and set(one["partitions"]) == {1}


def test_a_cell_that_did_not_run_stands_in_the_fallback_table_with_its_reason():
    records = [r for r in make_records() if r.key.backend == "npu" and r.outcome == "unsupported"]
    assert records
    frame = tables.fallback_table(records)
    assert frame["node"].isna().all() and set(frame["ran_on"]) == {"nowhere"} and frame["reason"].str.len().gt(0).all()


def test_what_was_predicted_of_a_node_that_the_delegate_took():
    record = next(r for r in make_records() if r.key.backend == "npu" and r.outcome == "ok")
    surprised = replace(record, prediction={"left_nodes": [0, 5]})
    told = tables.fallback_table([surprised]).set_index("node")["predicted"]
    assert told[0] == "no" and told[1] == "yes"
    (cell,) = fallback.cells([surprised])
    assert cell.lines[-1] == "0 RESHAPE: delegated, although predicted to stay"


def test_a_models_finding_is_listed_once_with_the_devices_it_was_seen_on(records):
    frame = tables.findings_table(records)
    assert frame["severity"].tolist() == ["error", "warning", "warning"]
    assert frame["seen_on"].iloc[0] == "host-litert/cpu-ref, host-litert/cpu, host-tflite/cpu, imx8mp/npu"


def test_the_problems_table_starts_with_what_is_wrong(records):
    assert tables.problems_table(records)["outcome"].tolist() == ["wrong", "failed", "unsupported", "unsupported"]


def test_the_environment_shows_every_device_and_what_changed_during_the_run(records):
    changed = replace(records[0], fingerprint=replace(records[0].fingerprint, kernel="6.1.0-99"))
    frame = environment_table([changed, *records[1:]], make_info(records))
    kernel = frame[(frame["device"] == "host-litert") & (frame["backend"] == "cpu-ref") & (frame["item"] == "kernel")]
    assert kernel["value"].tolist() == ["6.1.0-99 | 6.1.0-31-amd64"]
    assert "dataset of mnist-cnn" in set(frame["item"]) and RUN in set(frame["value"])


def test_the_seeds_table_shows_the_spread_where_there_is_one(records):
    [row] = seeds_table(records).to_dict("records")
    assert (row["recipe"], row["seeds"], row["ok"]) == ("qat-int8-io", "0, 1, 2, 3", 4)
    assert (row["score_min"], row["score_max"]) == pytest.approx((0.9594, 0.9646))
    assert row["score_sd"] == pytest.approx(statistics.stdev((0.9613, 0.9646, 0.9626, 0.9594)))


def test_every_table_names_the_dataset(records):
    report = Report.of(records, make_info(records))
    for name, frame in report.frames.items():
        assert "digits-28x28" in frame.to_csv(), name
    assert all("not MNIST" in note for note in report.dataset_notes)


def test_no_records_give_empty_tables_not_errors():
    report = Report.of([])
    assert report.summaries == [] and report.counts_text == "no cells"
    assert all(frame.empty for frame in report.frames.values())


def test_a_report_counts_what_was_not_run(records):
    assert Report.of(records, make_info(records)).counts_text == "46 ok, 1 wrong, 2 unsupported, 1 failed, 1 not run"
