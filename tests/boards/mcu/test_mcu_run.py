"""Whole cells on emulated microcontrollers: records, refusals before the push, faults and retries, cores against each other."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from harness.boards.mcu.adapt import EXACT_REFERENCE
from harness.boards.mcu.board import McuBoard
from harness.judge.cores import core_checks
from harness.reports.report import Report
from harness.reports.tables import mcu_table
from harness.results.objects import ObjectStore
from tests.support import tiny_model
from tests.support.fixtures_mcu_board import KilledLine, breakable_line, emulated_line, hang_next, mcu_profile
from tests.support.lstm_models import lstm

FIRST = "r0"


def test_a_cell_is_exact_counted_and_the_same_again(mcu_run, prepare_mcu):
    model = prepare_mcu(tiny_model.mnist_cnn(), samples=8, reference=True)
    (record,) = mcu_run(model)
    assert (record.outcome, record.attempts, record.samples) == ("ok", 1, 8), record.reason
    assert record.time_basis == "guest-instructions"
    assert record.exact_reference == EXACT_REFERENCE and record.max_lsb_diff == 0 and record.reference_samples == 8
    assert record.latency_median_ns is None and record.first_invoke_ns is None and record.load_ns is None
    assert record.instructions_min <= record.instructions <= record.instructions_max and record.cycles is None
    assert record.counted_inferences == 8 + 3 and record.threads is None and record.counts_object
    assert record.artifact_sha256 == model.artifact.sha256 and record.size_bytes == model.artifact.size_bytes
    assert record.arena_bytes >= 26 * 26 * 12 and record.model_bytes > 20_000 and record.code_bytes < 64 << 10
    assert record.stack_peak_bytes > 0 and record.total_nodes == 3 and {op["ran_on"] for op in record.ops} == {"cpu"}
    assert record.prediction["loads"] and record.prediction["right"] and record.prediction["fits"]
    assert not [f for f in record.findings if f.severity != "info"]
    (again,) = mcu_run(model)
    names = (
        "instructions",
        "instructions_min",
        "instructions_max",
        "outputs_object",
        "counts_object",
        "stack_peak_bytes",
    )
    assert [getattr(record, name) for name in names] == [getattr(again, name) for name in names]


def test_a_float_cell_is_judged_counted_layer_by_layer_and_the_same_on_every_core_with_the_unit(mcu_run, prepare_mcu):
    model = prepare_mcu(tiny_model.float_mlp(), "ptq-float32", samples=8, reference=True)
    profiles = tuple(mcu_profile(f"cortex-{core}@qemu", samples=8) for core in ("m4", "m55", "m3"))
    first, other, refused = mcu_run(model, profiles=profiles)
    for record in (first, other):
        assert record.outcome == "ok" and record.prediction["loads"], record.reason
        assert [op["op"] for op in record.ops] == ["FULLY_CONNECTED", "FULLY_CONNECTED", "SOFTMAX"]
        assert all(op["count"] > 0 for op in record.ops) and record.instructions > sum(op["count"] for op in record.ops)
    assert first.outputs_object == other.outputs_object
    assert not [f for f in first.findings if f.code == "not-bit-exact"]
    assert refused.outcome == "unsupported" and "this build has no float kernels" in refused.reason


def test_what_fits_is_predicted_by_the_board_that_runs_it(mcu_run, prepare_mcu):
    """A profile with the limits of another board must not contradict the run, which asks the board."""
    profile = mcu_profile()
    small = profile.model_copy(
        update={"limits": profile.limits.model_copy(update={"arena_bytes": 100, "model_bytes": 100})}
    )
    (record,) = mcu_run(prepare_mcu(tiny_model.int8_dense(), samples=4), profiles=(small,))
    assert record.outcome == "ok" and record.prediction["fits"] is True
    assert not [finding for finding in record.findings if finding.code.startswith("prediction")]


def test_other_cores_answer_to_the_bit_as_the_m4(mcu_run, prepare_mcu, tmp_path):
    model = prepare_mcu(tiny_model.int8_dense(), samples=40)
    profiles = tuple(
        mcu_profile(f"cortex-{core}@qemu", samples=count) for core, count in (("m4", 40), ("m0", 8), ("m3", 8))
    )
    base, small, third = mcu_run(model, profiles=profiles)
    assert [r.outcome for r in (base, small, third)] == ["ok"] * 3, [r.reason for r in (base, small, third)]
    for other in (small, third):
        found = next(f for f in other.findings if f.code == "identical-across-cores")
        assert "all 8 samples" in found.what and "cortex-m4@qemu" in found.what
    # a core that answers otherwise is told: the stored outputs of one are changed by one bit
    objects = ObjectStore(tmp_path / "results")
    outputs = {name: np.array(values) for name, values in objects.get_arrays(third.outputs_object).items()}
    outputs["output_0"][5, 0] ^= 1
    wrong = replace(third, outputs_object=objects.put_arrays(outputs))
    (finding,) = [c.finding for c in core_checks([base, wrong], objects.get_arrays)]
    assert (finding.code, finding.severity) == ("cores-differ", "error") and "1 of 8 samples" in finding.what
    assert "sample 5" in finding.what


def test_models_that_cannot_run_are_refused_before_anything_is_pushed(mcu_run, prepare_mcu):
    pushed = []

    def make(profile):
        from harness.boards.connect import connect

        board = connect(profile)
        original = board.ensure_file
        board.ensure_file = lambda source, sha256, progress=None: pushed.append(source) or original(source, sha256)
        return board

    float_model = prepare_mcu(tiny_model.float_mlp(), "ptq-float32", samples=4)
    large = prepare_mcu(_wide_model(), "ptq-int8-io", samples=4)
    refused, too_large = mcu_run(float_model, large, profiles=(mcu_profile("cortex-m0@qemu"),), make=make)
    assert refused.outcome == "unsupported" and refused.reason.startswith(
        "plan: node 0 FULLY_CONNECTED: float arithmetic"
    )
    assert "ptq-int8-io" in refused.reason
    assert too_large.outcome == "unsupported" and too_large.reason.startswith("does not fit: ")
    assert f"{too_large.model_bytes:,} bytes, the board has 196,608 for a model" in too_large.reason
    assert pushed == []
    for record in (refused, too_large):
        assert not [f for f in record.findings if f.code.startswith("prediction")], record.findings


def test_a_hang_fails_its_cell_and_the_next_one_runs(mcu_run, prepare_mcu):
    slow = prepare_mcu(tiny_model.mnist_cnn(), "slow", samples=2)
    quick = prepare_mcu(tiny_model.int8_dense(), "quick", samples=2)
    profile = mcu_profile()
    tight = profile.model_copy(update={"deadlines": profile.deadlines.model_copy(update={"first_invoke_s": 0.1})})

    class Hangs(McuBoard):
        """Every inference of the first model, from its first one on."""

        def announce(self, adapted, *, samples):
            super().announce(adapted, samples=samples)
            self.first = adapted.model.recipe == "slow"

        def open_worker(self, backend, deadlines):
            worker = super().open_worker(backend, deadlines)
            if self.first:
                hang_next(self)
            return worker

    hung, good = mcu_run(slow, quick, profiles=(tight,), make=lambda p: Hangs(p, breakable_line(p)))
    assert (
        hung.outcome == "failed" and "watchdog" in hung.reason and hung.attempts == 2 and "watchdog" in hung.board_log
    )
    assert good.outcome == "ok", good.reason


def test_a_board_that_loses_power_in_a_cell_is_started_again_and_the_cell_retried(mcu_run, prepare_mcu):
    model = prepare_mcu(tiny_model.int8_dense(), samples=6)
    lines = []

    def make(profile):
        line = emulated_line(profile, KilledLine, lives=0 if lines else 1)
        lines.append(line)
        board = McuBoard(profile, line)
        original = board.samples
        # The power goes when the samples are about to travel: the model is there already.
        board.samples = lambda sha256: line.strike() or original(sha256)
        return board

    (record,) = mcu_run(model, make=make)
    assert (record.outcome, record.attempts) == ("ok", 2), record.reason
    assert len(lines) == 2


def test_a_model_with_state_that_is_interrupted_begins_its_sequence_anew(mcu_run, prepare_mcu, tmp_path):
    """One sequence of six samples; the power goes before the fourth. The half sequence leaves nothing behind."""
    cases = (lstm(np.random.default_rng(seed), 1) for seed in range(100))
    case = next(case for case in cases if case.inputs[0].shape[1] == 1)
    model = replace(prepare_mcu(case.model, samples=6), beginnings=np.array([0]))
    lines = []

    def make(profile):
        line = emulated_line(profile, KilledLine, lives=0 if lines else 1)
        lines.append(line)
        board = McuBoard(profile, line)
        ask, asked = board.ask, []

        def struck(phase, request):
            asked.append(phase)
            if asked.count("evaluate") == 4:
                line.strike()
            return ask(phase, request)

        board.ask = struck
        return board

    (whole,) = mcu_run(model)
    (broken,) = mcu_run(model, make=make)
    assert (whole.outcome, broken.outcome, broken.attempts, len(lines)) == ("ok", "ok", 2, 2), broken.reason
    outputs = [ObjectStore(tmp_path / "results").get_arrays(r.outputs_object)["output_0"] for r in (whole, broken)]
    assert np.array_equal(*outputs) and len(np.unique(outputs[0], axis=0)) > 1


def test_a_board_that_cannot_be_had_fails_every_cell_with_the_reason(mcu_run, prepare_mcu):
    model = prepare_mcu(tiny_model.int8_dense(), samples=2)
    (record,) = mcu_run(model, profiles=(mcu_profile(board="my-nucleo"),))
    assert record.outcome == "failed" and "the profile wants 'my-nucleo'" in record.reason


# ------------------------------------------------------------------------------------------------------------- tables


def test_tables_show_instructions_as_instructions_and_never_as_a_time(mcu_run, prepare_mcu, tmp_path):
    from harness.reports.export import export_run
    from harness.results.store import Store

    (record,) = mcu_run(prepare_mcu(tiny_model.int8_dense(), samples=6))
    shown = f"{record.instructions:,} instructions"
    with Store.open(tmp_path / "results") as store:
        folder = export_run(store, FIRST, tmp_path / "results")
    summary = (folder / "summary.md").read_text()
    assert shown in summary and "## Microcontrollers" in summary and f"arena {record.arena_bytes} B" in summary
    assert " ns (" not in summary and "µs" not in summary and "latency" not in summary.split("## How to read this")[0]
    (cell,) = json.loads((folder / "run.json").read_text())["cells"]
    assert (cell["instructions"], cell["latency_median_ns"], cell["cycles"]) == (record.instructions, None, None)
    row = mcu_table([record]).iloc[0]
    assert row["instructions"] == record.instructions and row["code_bytes"] == record.code_bytes
    import openpyxl

    sheets = openpyxl.load_workbook(folder / "comparison.xlsx")
    heads = [str(c.value) for c in sheets["Summary w"][4]]
    assert "instructions per inference" in heads and "arena (bytes)" in heads and "median latency (µs)" not in heads
    assert sheets["Microcontrollers"].max_row == 4
    assert Report.of([record]).summaries[0].columns[0].detail == "guest instructions"


def test_cycles_of_a_real_board_stand_with_their_time():
    from harness.reports.values import latency_text
    from tests.support.fixtures_results import make_records

    record = replace(
        make_records()[0],
        time_basis="device-cycles",
        cycles=168_000,
        counted_inferences=5,
        latency_median_ns=1_000_000,
        delegate_name=None,
    )
    assert latency_text(record) == "168,000 cycles, 1.00 ms (n=5), no delegate"


@pytest.mark.parametrize("values", [[100, 100, 100], [100, 101, 100]])
def test_instructions_that_differ_between_repeats_are_told(values):
    from harness.boards.base import Counts
    from harness.judge.counts import note_repeats
    from tests.support.fixtures_results import make_records

    record = replace(make_records()[0], findings=[], counted_inferences=None)
    note_repeats(record, Counts(unit="instructions", values=np.array(values)))
    assert (record.instructions, record.instructions_min, record.instructions_max) == (100, 100, max(values))
    assert [f.code for f in record.findings] == ([] if max(values) == 100 else ["count-not-repeatable"])


def _wide_model() -> bytes:
    """A FULLY_CONNECTED whose weights alone are 240 KB."""
    weights = np.random.default_rng(1).integers(-127, 128, (600, 400), dtype=np.int8)
    tensors = [
        tiny_model.Tensor(name="in", shape=(1, 400), dtype="int8", scale=0.5, zero_point=-1),
        tiny_model.Tensor(name="w", shape=weights.shape, dtype="int8", scale=0.01, data=weights),
        tiny_model.Tensor(name="b", shape=(600,), dtype="int32", scale=0.005, data=np.zeros(600, np.int32)),
        tiny_model.Tensor(name="out", shape=(1, 600), dtype="int8", scale=0.25, zero_point=3),
    ]
    node = tiny_model.Node(op="FULLY_CONNECTED", inputs=(0, 1, 2), outputs=(3,), options="FullyConnectedOptions")
    return tiny_model.build(tensors, [node], inputs=(0,), outputs=(3,), versions={"FULLY_CONNECTED": 4})


def test_ops_are_asked_one_by_one_where_outputs_cannot_tell(mcu_run, prepare_mcu):
    """Each op becomes a plan of its own; the board runs them all, and runs the next cell as before."""
    model = prepare_mcu(tiny_model.mnist_cnn(), samples=8, reference=True)
    flat = replace(model, reference=replace(model.reference, companions=_without_spread(model.reference.outputs)))
    # With exact outputs to hold them against, bits decide, and nothing needs to be asked.
    flat, exact = replace(flat, exact=None), replace(flat, recipe="ptq-default")
    undecided, decided, plain = mcu_run(flat, exact, replace(model, recipe="ptq-int8-io"))
    assert undecided.outcome == "ok" and undecided.op_check["verdict"] == "ok", undecided.reason
    assert undecided.op_check["right"] == 3 and undecided.op_check["not_checked"] == []
    assert "decided-by-ops" in {f.code for f in undecided.findings}
    assert decided.outcome == "ok" and decided.op_check is None and decided.max_lsb_diff == 0, decided.reason
    assert "decided-by-bits" in {f.code for f in decided.findings}
    assert plain.outcome == "ok" and plain.max_lsb_diff == 0, plain.reason


def _without_spread(outputs):
    """Companions that are all the same: then the model's own error drowns what could be told."""
    return tuple(np.zeros_like(values) for values in outputs)
