"""One signature cut out of a .tflite computes what the runtime computes when it is asked for that signature by name."""

from __future__ import annotations

import numpy as np
import pytest

from harness.core.errors import UserInputError
from harness.tflite.cut.signature import one_signature
from harness.tflite.cut.tree import Record, read_tree, write_tree
from harness.tflite.graph import read_graph
from tests.support import odd_models, question_models, tiny_model
from tests.support.signed_models import signed

MODELS = {"classify": question_models.classifier("two"), "digits": tiny_model.mnist_cnn()}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_it_computes_what_the_runtime_does_by_name(name):
    from ai_edge_litert.interpreter import Interpreter

    whole = signed(MODELS)
    cut = one_signature(whole, name, description="")
    runner = Interpreter(model_content=whole).get_signature_runner(name)
    alone = Interpreter(model_content=cut)
    ((key, details),) = runner.get_input_details().items()
    x = np.random.default_rng(0).integers(0, 100, details["shape"]).astype(details["dtype"])
    wanted, found = runner(**{key: x}), alone.get_signature_runner(name)(**{key: x})
    assert wanted.keys() == found.keys() and alone.get_signature_list().keys() == {name}
    for output, values in wanted.items():
        np.testing.assert_array_equal(found[output], values)


def test_it_is_the_model_that_it_was_and_the_same_bytes_every_time():
    cut = one_signature(signed(MODELS), "digits", description="why")
    graph, before = read_graph(cut), read_graph(MODELS["digits"])
    assert graph.nodes == before.nodes and graph.subgraph_count == 1 and graph.description == "why"
    assert [t.raw for t in graph.tensors] == [t.raw for t in before.tensors]
    assert graph.output_names == {graph.outputs[0]: before.tensors[before.outputs[0]].name}
    assert cut == one_signature(signed(MODELS), "digits", description="why")


def test_what_its_nodes_call_comes_along():
    tree = read_tree(odd_models.branches())
    tree["signature_defs"] = [
        Record("SignatureDef", signature_key=key.encode(), subgraph_index=number)
        for number, key in enumerate(("choose", "double"))
    ]
    model = write_tree(tree)
    assert read_graph(one_signature(model, "choose", description="")).subgraph_count == 3
    assert [node.op for node in read_graph(one_signature(model, "double", description="")).nodes] == ["MUL"]


@pytest.mark.parametrize(
    "model, hint",
    [
        (signed(MODELS), "it has classify, digits"),
        (MODELS["digits"], "it has none: leave the name behind the file out"),
    ],
)
def test_a_name_that_is_not_there_is_told_with_those_that_are(model, hint):
    with pytest.raises(UserInputError, match="has no signature 'nix'") as caught:
        one_signature(model, "nix", description="")
    assert caught.value.hint == hint


def test_a_signature_that_names_what_is_not_there_is_refused():
    tree = read_tree(signed(MODELS))
    tree.rows("signature_defs")[0].rows("outputs")[0]["tensor_index"] = 99
    tree.rows("signature_defs")[1]["subgraph_index"] = 7
    with pytest.raises(UserInputError, match="of signature 'classify' is tensor 99"):
        one_signature(write_tree(tree), "classify", description="")
    with pytest.raises(UserInputError, match="signature 'digits' is subgraph 7 of 2"):
        one_signature(write_tree(tree), "digits", description="")
