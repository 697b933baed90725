"""What a cell was judged by is stored, named by its record, and read back whole."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from harness.boards.adapt import StageFacts
from harness.boards.base import BackendSpec, BenchResult, Counts, WorkerStats
from harness.core.errors import UserInputError
from harness.core.plain import to_plain
from harness.core.tensor import TensorIo
from harness.judge.across import with_cross_findings
from harness.judge.again import judge_again
from harness.judge.stored import NotKeptError, finisher, recall
from harness.measure.figures import figures_of
from harness.measure.op_facts import OpFacts, OpsFacts
from harness.predict.prediction import Prediction
from harness.prepare.prepared import JudgedOutput, ReferenceOutputs
from harness.results.codec import record_from_json, record_to_json
from harness.results.faults import CorruptStoreError
from harness.results.objects import ObjectStore
from harness.run.measurement import Adaptation, CachedStart, Failure, FurtherStart, Measurement
from harness.tflite.memory import MemoryEstimate
from harness.variants.definition import changed, definition_of, recipe_of
from harness.variants.recipe import parse_recipe
from harness.workloads.metrics.registry import get_metric
from tests.judge.facts import COUNT, LABELS, OUTPUTS, context, measured, model

TWIN = model(
    reference=ReferenceOutputs(
        identity="float twin", outputs=(OUTPUTS,), companions=(OUTPUTS + 0.01,), kind="twin", trusted=True
    ),
    arithmetic=("integer",),
)
_WHOLE = figures_of([OUTPUTS], [OUTPUTS], [OUTPUTS], steps=[None], classes=[None])
OPS = OpsFacts(
    ops=(
        OpFacts(node=0, op="CONV_2D", dtype="int8", samples=32, off=np.array([90, 10]), worst_steps=0.01),
        OpFacts(node=1, op="ADD", dtype="float32", arithmetic="float", samples=40, whole=_WHOLE),
        OpFacts(node=2, op="SUM", dtype="int8", skipped="no"),
    ),
    unchecked=(7,),
)
CHOICE = model(
    artifact=replace(model().artifact, outputs=(TensorIo(name="class", dtype="int64", shape=(1, 1)),)),
    metric=get_metric("class_number"),
    reference=ReferenceOutputs(identity="float twin", outputs=(LABELS[:, None],), kind="twin", trusted=True),
    scores=replace(TWIN, metric=None, labels=None, sample_ids=None, float_answers=None),
)
ANGLES = np.linspace(0, 1, COUNT, dtype=np.float32)[:, None]
TWO = model(
    artifact=replace(
        model().artifact, outputs=(model().artifact.outputs[0], TensorIo(name="angle", dtype="float32", shape=(1, 1)))
    ),
    reference=ReferenceOutputs(identity="float twin", outputs=(OUTPUTS, ANGLES), kind="twin", trusted=True),
    lsb=(None, None),
    output_name="kind",
    further=(
        JudgedOutput(
            output=1,
            name="angle",
            metric=get_metric("rmse", unit="rad"),
            labels=ANGLES + np.float32(0.1),
            float_answers=ANGLES,
        ),
    ),
)
TWO_RAN = replace(measured(), evaluated=replace(measured().evaluated, outputs=(OUTPUTS, ANGLES)))
PREDICTED = Prediction(
    device="board",
    backend="cpu",
    runtime="runtime 1.0",
    runtime_assumed=False,
    delegate=None,
    loads=False,
    right=None,
    nodes=None,
    total_nodes=2,
    partitions=None,
    fits=None,
    memory=MemoryEstimate(file_bytes=5, arena_bytes=7, complete=True),
    reasons=("too new",),
)
REFUSED = Adaptation(
    refused="unsupported", reason="does not fit", stages=(StageFacts(name="plan", facts={"arena_bytes": 9}),)
)
CRASH = Failure(source="worker", what="it ended", kind="signal", phase="evaluate", signal="SIGSEGV", board_log="last")
COUNTED = BenchResult(
    samples_ns=np.zeros(0, np.int64),
    warmup_ns=np.zeros(0, np.int64),
    warmup_stable=True,
    counts=Counts(unit="instructions", values=np.array([100, 101], np.int64)),
)

#: two more starts: one that was timed, one that ended badly
FURTHER = (
    FurtherStart(
        load_ns=3,
        first_invoke_ns=4,
        bench=BenchResult(
            samples_ns=np.arange(950, 1250, dtype=np.int64), warmup_ns=np.array([990], np.int64), warmup_stable=True
        ),
    ),
    FurtherStart(failure=CRASH),
)


@pytest.fixture
def objects(tmp_path):
    return ObjectStore(tmp_path / "results")


def finished(objects, measurement, prepared=None, where=None):
    """The record as a store gives it back."""
    record = finisher(objects)(measurement, prepared or model(), where or context())
    return record_from_json(record_to_json(record))


CELLS = {
    "ok": (measured(), None, None),
    "wrong": (measured(np.roll(OUTPUTS, 1, axis=1)), None, None),
    "fewer samples": (measured(OUTPUTS[:16]), None, None),
    "no labels": (measured(), model(labels=None, float_answers=None, metric=None, reference=None), None),
    "counts in place of times": (measured(bench=COUNTED, first_invoke_ns=None), None, None),
    "a prediction that came out otherwise": (measured(prediction=PREDICTED), None, None),
    "no prediction": (measured(unpredictable="no data file"), None, None),
    "refused by its board": (Measurement(started_utc="x", adaptation=REFUSED), None, None),
    "not built": (Measurement(started_utc="x"), model(artifact=replace(model().artifact, refused="no")), None),
    "crashed twice": (measured(failure=CRASH, earlier=(CRASH,), attempts=2), None, None),
    "device gone": (Measurement(started_utc="x", failure=Failure(source="device", what="gone")), None, None),
    "not a number": (measured(stats=WorkerStats(temperature_c=float("nan"))), None, None),
    "cached start": (measured(cached=CachedStart(load_ns=3, first_invoke_ns=4)), None, None),
    "several starts": (measured(started="forked", further=FURTHER), None, None),
    "delegate": (measured(), None, context(backend=BackendSpec(name="npu", delegate_path="/x.so", env={"A": "b"}))),
    "a float twin": (measured(), TWIN, None),
    "an exact reference": (
        measured(),
        replace(TWIN, exact=ReferenceOutputs(identity="exact", outputs=(OUTPUTS,))),
        None,
    ),
    "ops asked": (measured(np.roll(OUTPUTS, 1, axis=1), ops=OPS), None, None),
    "several outputs": (TWO_RAN, TWO, None),
    "scores of a choice": (measured(LABELS[:, None], scores=(OUTPUTS,)), CHOICE, None),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_stored_cell_is_judged_again_from_its_objects_alone(objects, name):
    (record,) = with_cross_findings([finished(objects, *CELLS[name])], objects.get_arrays)
    (again,) = judge_again([record], objects)
    assert (again.problem, again.changes) == (None, ())
    assert again.record == record


def test_facts_come_back_as_they_were(objects):
    facts = measured(prediction=PREDICTED, adaptation=Adaptation(artifact=model().artifact))
    grounds = recall(finished(objects, facts, model(), context()), objects)
    assert grounds.context == context()
    assert grounds.measurement.prediction == PREDICTED and grounds.measurement.placement == facts.placement
    assert np.array_equal(grounds.measurement.bench.samples_ns, facts.bench.samples_ns)
    assert np.array_equal(grounds.measurement.bench.warmup_ns, facts.bench.warmup_ns)
    assert np.array_equal(grounds.measurement.evaluated.invoke_ns, facts.evaluated.invoke_ns)
    assert np.array_equal(grounds.model.reference.outputs[0], OUTPUTS)
    assert grounds.model.labels.tolist() == LABELS.tolist() and grounds.model.artifact.outputs[0].shape == (1, 10)


def test_the_labels_of_every_output_come_back_under_its_metric(objects):
    record = finished(objects, TWO_RAN, TWO)
    (angle,) = recall(record, objects).model.further
    assert (angle.output, angle.name, angle.metric) == (1, "angle", get_metric("rmse", unit="rad"))
    assert np.array_equal(angle.labels, ANGLES + np.float32(0.1)) and np.array_equal(angle.float_answers, ANGLES)
    assert [one["output"] for one in record.output_scores] == ["kind", "angle"]
    assert record.output_scores[1]["score"] == pytest.approx(0.1) and record.output_scores[1]["score_delta"] == 0.0


def test_the_raw_samples_of_every_start_are_kept_in_one_object(objects):
    record = finished(objects, measured(started="forked", further=FURTHER))
    assert (record.latency_starts, record.latency_start_medians_ns) == (2, [1000, 1100])
    assert {name: len(a) for name, a in objects.get_arrays(record.latency_object).items()} == {
        "array": 200,
        "start_2": 300,
    }
    assert "start-failed" in {finding.code for finding in record.findings}
    (again,) = recall(record, objects).measurement.further[:1]
    assert np.array_equal(again.bench.samples_ns, FURTHER[0].bench.samples_ns)


def test_a_record_from_before_starts_were_counted_is_judged_again(objects):
    record = finished(objects, measured())
    old = replace(record, latency_starts=None, latency_start_medians_ns=None, rules_version=2)
    (again,) = judge_again([old], objects)
    assert {change.field: change.new for change in again.changes} == {
        "latency_starts": 1,
        "latency_start_medians_ns": [1000],
    }


def test_the_file_that_ships_is_kept_with_cells_that_ran(objects, tmp_path):
    import hashlib

    file = tmp_path / "m.tflite"
    file.write_bytes(b"weights")
    built = replace(model().artifact, path=file, sha256=hashlib.sha256(b"weights").hexdigest())
    record = finished(objects, measured(), model(artifact=built))
    assert objects.get_array(record.artifact_object).tobytes() == b"weights"
    # What the board was given instead, such as a plan, is not what ships.
    pushed = model(artifact=replace(model().artifact, path=tmp_path / "plan"))
    adapted = finished(objects, measured(adaptation=Adaptation(artifact=built)), pushed)
    assert adapted.artifact_object == record.artifact_object
    wrong = finished(objects, measured(np.roll(OUTPUTS, 1, axis=1)), model(artifact=built))
    assert wrong.outcome == "wrong" and wrong.artifact_object == record.artifact_object  # `harness explain` cuts it
    file.write_bytes(b"other")
    assert finished(objects, measured(), model(artifact=built)).artifact_object is None


def test_the_record_names_what_it_was_judged_by(objects):
    record = finished(objects, measured(OUTPUTS[:16]))
    assert objects.get_array(record.labels_object).tolist() == LABELS[:16].tolist()
    assert objects.get_array(record.sample_ids_object).tolist() == list(range(16))
    assert objects.get_array(record.float_answers_object).tolist() == LABELS[:16].tolist()
    assert np.array_equal(objects.get_arrays(record.reference_object)["output_0"], OUTPUTS)
    assert np.array_equal(objects.get_arrays(record.outputs_object)["output_0"], OUTPUTS[:16])
    assert objects.get_json(record.tensors_object)["metric"]["name"] == "top1"


def test_what_cells_share_is_stored_once(objects):
    one = finished(objects, measured())
    other = finished(objects, measured(first_invoke_ns=6_000_000), where=context(run="r2"))
    shared = [f.name for f in fields(one) if f.name.endswith("_object") and f.name != "measurement_object"]
    assert [getattr(one, name) for name in shared] == [getattr(other, name) for name in shared]
    assert one.measurement_object != other.measurement_object
    assert len(list(objects.root.rglob("*.npz"))) == len({getattr(one, n) for n in shared} - {None}) + 2


def test_a_failed_cell_names_nothing_that_tables_show(objects):
    record = finished(objects, *CELLS["crashed twice"])
    named = [f.name for f in fields(record) if f.name.endswith("_object") and getattr(record, f.name)]
    assert named == ["tensors_object", "measurement_object"]
    assert recall(record, objects).measurement.evaluated.outputs[0].shape == (COUNT, 10)


def test_a_reference_with_its_companion_and_the_ops_come_back_as_they_were(objects):
    grounds = recall(finished(objects, measured(ops=OPS), TWIN), objects)
    assert grounds.model.reference.kind == "twin" and grounds.model.arithmetic == ("integer",)
    assert np.array_equal(grounds.model.reference.companions[0], OUTPUTS + 0.01)
    first, second, third = grounds.measurement.ops.ops
    assert first.off.tolist() == [90, 10] and second.whole == OPS.ops[1].whole and third.skipped == "no"
    assert grounds.measurement.ops.unchecked == (7,)


def test_what_was_stored_before_twins_is_judged_by_what_it_has_and_says_what_is_missing(objects):
    """A record of rules 2: a runtime's stored outputs, no companions, bounds that are gone."""
    io = replace(model().artifact.outputs[0], dtype="int8", scale=1 / 256, zero_point=-128)
    stored = np.where(OUTPUTS > 0, 127, -128).astype(np.int8)
    old = model(
        artifact=replace(model().artifact, outputs=(io,)),
        lsb=(1 / 256,),
        reference=ReferenceOutputs(identity="tflite-runtime 2.14.0 BUILTIN_REF", outputs=(stored,)),
    )
    for outputs, verdict in ((stored, "ok"), (np.roll(stored, 1, axis=1), "undecided")):
        record = finished(objects, measured(outputs), old)
        tensors = objects.get_json(record.tensors_object)
        del tensors["arithmetic"], tensors["exact"], tensors["scores"]
        for name in ("companions", "kind", "trusted", "why"):
            del tensors["reference"][name]
        record.tensors_object = objects.put_json({**tensors, "tolerance": {"integer_lsb": 2}, "rounding_steps": [1.0]})
        (again,) = judge_again([record], objects)
        assert (again.problem, again.record.outcome) == (None, verdict)
        assert "coarse, because the answers of its float twin were not kept" in again.record.reference_rule


def test_a_record_from_before_says_what_is_missing(objects):
    record = finished(objects, measured())
    for name in ("measurement_object", "tensors_object", "labels_object", "reference_object"):
        setattr(record, name, None)
    with pytest.raises(
        NotKeptError, match="measurement_object, tensors_object, labels_object, reference_object missing"
    ):
        recall(record, objects)


def test_a_lost_object_costs_its_cell_and_no_other(objects):
    lost, whole = finished(objects, measured()), finished(objects, measured(first_invoke_ns=6_000_000))
    objects.path(lost.measurement_object).unlink()
    first, second = judge_again([lost, whole], objects)
    assert "no stored object" in first.problem and first.record == lost and first.changes == ()
    assert (second.problem, second.changes) == (None, ())


@pytest.mark.parametrize("facts", [{}, {"measurement": {"started_utc": 7}, "context": {}}, {"measurement": []}])
def test_facts_that_cannot_be_read_are_named_and_never_guessed(objects, facts):
    record = finished(objects, measured())
    record.measurement_object = objects.put_json(facts)
    with pytest.raises(CorruptStoreError, match="raw facts cannot be read"):
        recall(record, objects)


def test_the_beginnings_of_sequences_are_kept_as_far_as_samples_were_evaluated(tmp_path):
    """A cell that is run again from the store (a bisection) carries its state as it did that night."""
    objects = ObjectStore(tmp_path)
    beginnings = np.array([0, 3, COUNT + 2])
    record = finisher(objects)(measured(), replace(TWIN, beginnings=beginnings), context())
    assert recall(record, objects).model.beginnings.tolist() == [0, 3]


def test_what_built_an_artifact_is_kept_where_the_tables_built_it(tmp_path):
    objects = ObjectStore(tmp_path)
    recipe = parse_recipe("ptq-int8-io")
    manifest = {
        "conversion": recipe.conversion.to_json(),
        "packages": {"tensorflow": "2.21.0"},
        "schedule": {"epochs": 3},
    }
    built = replace(TWIN, artifact=replace(TWIN.artifact, recipe="ptq-int8-io", manifest=manifest))
    definition = objects.get_json(finisher(objects)(measured(), built, context()).recipe_object)
    assert recipe_of(definition) == recipe and definition["packages"] == manifest["packages"]
    other = replace(recipe, conversion=replace(recipe.conversion, per_channel=False))
    told = changed(definition, {**definition, "recipe": to_plain(other, {}, ""), "packages": {"tensorflow": "2.20.0"}})
    assert told == ["conversion.per_channel yes -> no", "tensorflow 2.21.0 -> 2.20.0"]
    finished = replace(TWIN, artifact=replace(TWIN.artifact, manifest={}))
    assert finisher(objects)(measured(), finished, context()).recipe_object is None
    elsewhere = {**manifest, "conversion": other.conversion.to_json()}
    assert definition_of(replace(built.artifact, manifest=elsewhere)) is None
    with pytest.raises(UserInputError, match="definition of a recipe cannot be read"):
        recipe_of({"recipe": {"training": 3}})
