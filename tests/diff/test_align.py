"""Nodes are aligned by what they compute and by what is around them, whatever their tensors are called."""

from __future__ import annotations

import pytest

from harness.diff.align import align
from harness.diff.diff import diff_models
from harness.diff.side import Side
from harness.tflite.graph import Graph, read_graph
from tests.diff.nets import renamed, residual
from tests.support import tiny_model


def side(data: bytes) -> Side:
    return Side(name="m", data=data)


def ops(graph: Graph, nodes) -> list[str]:
    return [graph.nodes[node].op for node in nodes]


def test_a_renamed_model_is_the_same_model():
    one = residual()
    other = renamed(one)
    assert one != other
    found = diff_models(side(one), side(other))
    assert found.sameness == "equivalent" and not any(row.differs for row in found.rows)
    assert [(row.a.node, row.b.node) for row in found.rows] == [(n, n) for n in range(len(found.rows))]
    assert diff_models(side(one), side(one)).sameness == "identical"


def test_an_op_that_was_put_in_is_the_only_one_added():
    a, b = read_graph(residual()), read_graph(renamed(residual(extra=True)))
    found = align(a, b)
    assert ops(b, found.added) == ["TANH"] and found.removed == () and found.moved == () and found.rewired == ()
    back = align(b, a)
    assert ops(b, back.removed) == ["TANH"] and back.added == ()


def test_an_op_that_went_past_another_is_moved():
    a, b = read_graph(residual()), read_graph(renamed(residual(relu_first=True)))
    found = align(a, b)
    assert found.removed == found.added == () and len(found.pairs) == len(a.nodes)
    assert [a.nodes[i].op for i, _ in found.moved] in (["RELU"], ["MAX_POOL_2D"])
    assert all(a.nodes[i].op == b.nodes[j].op for i, j in found.pairs)


def test_a_layer_of_another_width_is_changed_where_it_stands():
    found = diff_models(side(residual()), side(renamed(residual(filters=16))))
    changed = [row for row in found.rows if row.differs]
    assert {row.state for row in changed} == {"changed"}
    assert [row.a.op for row in changed] == ["CONV_2D", "MEAN", "FULLY_CONNECTED"]
    conv = changed[0]
    assert ("weights", "shape", "[8, 3, 3, 4]", "[16, 3, 3, 4]") in [
        (c.role, c.aspect, c.before, c.after) for c in conv.tensors
    ]
    assert (conv.constants_a, conv.constants_b) == (4 * (8 * 36 + 8), 4 * (16 * 36 + 16))


def test_other_weights_are_values_alone():
    found = diff_models(side(residual(seed=0)), side(residual(seed=1)))
    assert {change.aspect for row in found.rows for change in row.tensors} == {"values"}
    assert found.sameness == "different" and not found.edges and not found.versions


@pytest.mark.parametrize("swap", [False, True])
def test_branches_in_another_order_of_storage_are_the_same_wires(swap: bool):
    from tests.support.small_nets import Net

    def net(first_wide: bool) -> bytes:
        made = Net((4, 4, 4))
        (x,) = made.inputs
        weights = {3: made.rng.standard_normal((4, 3, 3, 4)), 1: made.rng.standard_normal((4, 1, 1, 4))}
        order = (3, 1) if first_wide else (1, 3)
        branches = {k: made.conv(x, 4, kernel=k, weights=weights[k], bias=[0.0] * 4) for k in order}
        return made.model(made.add(branches[3], branches[1]))

    found = diff_models(side(net(True)), side(net(not swap)))
    assert [row.state for row in found.rows] == ["same"] * 3
    assert found.sameness == ("equivalent" if swap else "identical")


def test_a_float_model_and_its_quantized_twin_are_node_by_node():
    a, b = read_graph(tiny_model.float_mlp()), read_graph(tiny_model.float_mlp(version=9))
    assert align(a, b).pairs == tuple((n, n) for n in range(3))
    found = diff_models(side(tiny_model.float_mlp()), side(tiny_model.float_mlp(version=9)))
    assert found.versions == {"FULLY_CONNECTED": (1, 9)}
    assert [row.state for row in found.rows] == ["changed", "changed", "same"]


def test_models_that_have_nothing_in_common_are_all_removed_and_added():
    found = diff_models(side(tiny_model.float_mlp()), side(residual()))
    assert {row.state for row in found.rows if row.a and row.b} <= {"changed", "moved", "rewired"}
    assert len([r for r in found.rows if r.b is None]) + len([r for r in found.rows if r.a and r.b]) == 3
