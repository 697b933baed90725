"""What an explanation says and advises, its stored form, and what nodes take by counts."""

import dataclasses

import pytest

from harness.core.errors import UserInputError
from harness.explain.advice import Situation, advise
from harness.explain.cost import counted_nodes, from_prefixes
from harness.explain.document import Explanation, Layer, LayerError, LayerLoss, OpDivergence, Piece
from harness.explain.loss import loss_samples
from harness.explain.words import answer_of
from harness.results.record import CellKey
from harness.variants.recipe import parse_recipe

SHIFTED = OpDivergence(
    where="alone", kind="wrong kernel", pattern="every output is 4 steps too high", beyond=0.97, worst=4.4, unit="steps"
)
RIGHT = dataclasses.replace(SHIFTED, kind="exact", pattern=None, beyond=0.0, not_nearest=0.0, worst=0.5)
NOISY = LayerError(
    sqnr_db=12.0, own_db=13.0, cosine=0.97, from_rounding=1.0, used=0.9, bulk=0.1, bits=3.0, outliers=((5, 30.0),)
)
QUIET = dataclasses.replace(NOISY, sqnr_db=40.0, own_db=42.0, outliers=(), bulk=0.9, bits=8.0)
KEY = CellKey(workload="net", recipe="ptq-int8-io", device="imx8mp@qemu", backend="npu", dataset="d", seed=0)
WHERE = Situation(
    workload="net",
    recipe="ptq-int8-io",
    device="imx8mp@qemu",
    backend="npu",
    backends=("cpu-ref", "cpu", "npu"),
    delegate="npu-standin",
    key=KEY,
)


def layer(node, op="CONV_2D", *, alone=RIGHT, **facts):
    return Layer(node=node, op=op, name=f"t{node}", dtype="int8", alone=alone, ran_on="npu-standin", **facts)


def explanation(*layers, **facts):
    values = {"cell": "c", "run": "r", "asked": "?", "answer": "", "device": "imx8mp@qemu", "backend": "npu"}
    return Explanation(artifact_sha256="0" * 64, layers=layers, **(values | facts))


def test_the_first_wrong_op_is_the_answer_with_its_numbers():
    e = explanation(layer(0), layer(1, "ADD", alone=SHIFTED), layer(2, "ADD", alone=SHIFTED), first_wrong=1)
    text = answer_of(e)
    assert "node 1 ADD is the first op at which imx8mp@qemu, backend npu, leaves the reference: a wrong kernel" in text
    assert (
        "97% of its outputs are more than 1 step off, the worst by 4.4 steps; every output is 4 steps too high" in text
    )
    assert text.endswith("when it runs alone; so is node 2 ADD")


def test_a_wrong_partition_of_right_ops_is_the_answer():
    e = explanation(layer(0), pieces=(Piece(partition=1, nodes=(0, 4), verdict="wrong", reason="e"),), first_wrong=0)
    assert "partition 1 (nodes 0 to 4) as a whole is not" in answer_of(e)


def test_the_layer_that_regains_the_loss_is_the_answer():
    lost = layer(
        3,
        error=NOISY,
        loss=LayerLoss(regained=0.05, low=0.03, high=0.07, p=1e-6, error_left=0.1),
        cause="outlier channel 5",
    )
    other = layer(4, error=QUIET, loss=LayerLoss(regained=0.002, low=-0.01, high=0.01, p=0.8, error_left=1.0))
    e = explanation(lost, other, metric="accuracy", score=0.90, float_score=0.952, loss_samples=500, error_samples=100)
    text = answer_of(e)
    assert "accuracy is 0.9000 where float has 0.9520 on 500 samples" in text
    assert "node 3 CONV_2D alone back in float gives +0.0500 [+0.0300, +0.0700] of it: outlier channel 5" in text
    tried = advise(e, WHERE)
    assert tried[0].what == "recipe ptq-int16x8" and "--recipe ptq-int16x8 --device imx8mp@qemu" in tried[0].command
    for advice in tried:
        parse_recipe(advice.what.removeprefix("recipe "))


def test_a_chance_among_many_layers_accuses_none():
    layers = [layer(n, error=QUIET, loss=LayerLoss(regained=0.01, low=-0.001, high=0.02, p=0.02)) for n in range(30)]
    e = explanation(*layers, metric="accuracy", score=0.90, float_score=0.92, loss_samples=500, error_samples=100)
    assert "no layer alone explains the difference" in answer_of(e)


def test_a_loss_that_so_few_samples_cannot_tell_is_not_explained():
    e = explanation(
        layer(0, error=QUIET), metric="accuracy", score=0.958, float_score=0.96, lost_p=0.6, loss_samples=500
    )
    assert (
        "which so few cannot tell from no loss; node 0 CONV_2D adds most error (42.0 dB below its signal)"
        in answer_of(e)
    )
    assert advise(e, WHERE) == []


def test_what_was_seen_in_the_run_is_advised_first_and_what_failed_there_never():
    seen = {("ptq-default", "npu"): "ok", ("ptq-int8-io", "cpu"): "wrong", ("ptq-int8-io", "cpu-ref"): "ok"}
    where = dataclasses.replace(WHERE, seen=seen, delegate="vx")
    tried = advise(explanation(layer(1, "ADD", alone=SHIFTED), first_wrong=1), where)
    assert [advice.what for advice in tried][:1] == ["backend cpu-ref"] and "it was ok there" in tried[0].why
    assert [a.what for a in tried if a.what.startswith("recipe")] == ["recipe ptq-default", "recipe ptq-int16x8"]


def test_a_wrong_op_of_the_stand_in_can_be_left_to_the_cpu():
    tried = advise(explanation(layer(1, "ADD", alone=SHIFTED), first_wrong=1), WHERE)
    assert tried[0].what.startswith("leave ADD to the CPU: the delegate's option `refuse: ADD`")
    assert tried[1].what == "backend cpu" and "--backend cpu" in tried[1].command
    assert any("runtime ai-edge-litert" in advice.what for advice in tried)


def test_nothing_lost_needs_nothing():
    right = layer(0, error=dataclasses.replace(QUIET, own_db=None))
    e = explanation(right, metric="accuracy", score=0.9, float_score=0.9, loss_samples=9, error_samples=9)
    assert advise(e, WHERE) == []


def test_the_stored_form_is_read_back_and_damage_is_told():
    e = explanation(layer(0, error=NOISY, loss=LayerLoss(regained=0.1, error_left=float("inf"))), first_wrong=None)
    assert Explanation.from_json(e.to_json()) == e
    with pytest.raises(UserInputError, match="explain the cell again"):
        Explanation.from_json({"cell": 3})


def test_prefixes_give_each_node_its_own_count():
    costs = from_prefixes({0: 120.0, 1: 150.0, 3: 1000.0})
    assert [costs[n].value for n in (0, 1, 3)] == [120.0, 30.0, 850.0]
    assert sum(cost.value for cost in costs.values()) == 1000.0 and costs[3].method == "prefix"


def test_counts_between_nodes_leave_out_what_is_no_nodes():
    costs = counted_nodes({0: 12, 1: 30, None: 500})
    assert {node: cost.value for node, cost in costs.items()} == {0: 12, 1: 30} and costs[1].method == "counter"


def test_the_same_model_gets_the_same_number_of_samples():
    assert loss_samples(1000, 5, 10_000) == 500
    assert loss_samples(1000, 5, 90) == 90
    assert loss_samples(12_500_000, 20, 3000) == 380
    assert loss_samples(10**10, 50, 3000) == 64
    assert loss_samples(10**10, 50, 3000, asked=1000) == 1000
