"""A model read as a tree and written again: nothing is lost, nothing unknown passes in silence."""

import contextlib

import numpy as np
import pytest

from harness.core.errors import HarnessError, UnsupportedError, UserInputError
from harness.tflite.cut.edit import Editor
from harness.tflite.cut.fields import fields_of
from harness.tflite.cut.tree import Record, read_tree, write_tree
from harness.tflite.graph import read_graph
from tests.support import tiny_model
from tests.support.quantized_ops import make_case


def same(a, b) -> bool:
    """Do two trees hold the same? A vector that is absent and an empty one are the same."""
    if isinstance(a, Record):
        names = {name for name in (*a.values, *b.values)}
        return a.table == b.table and all(same(a[name], b[name]) for name in names)
    if isinstance(a, list) or isinstance(b, list):
        return len(a or []) == len(b or []) and all(same(x, y) for x, y in zip(a or [], b or [], strict=True))
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    return a == b


def one_dense(**extra):
    """A tree of one FULLY_CONNECTED, and its editor."""
    editor = Editor()
    x = editor.tensor("x", (1, 4), "float32")
    w = editor.tensor("w", (2, 4), "float32", data=np.arange(8, dtype=np.float32).reshape(2, 4))
    y = editor.tensor("y", (1, 2), "float32")
    editor.add("FULLY_CONNECTED", [x, w, -1], [y], options="FullyConnectedOptions", **extra)
    return editor.finish([x], [y]), editor


@pytest.mark.parametrize(
    "model",
    [
        tiny_model.mnist_cnn(),
        tiny_model.sum_and_softmax(),
        make_case("DEPTHWISE_CONV_2D", "int8", "int8", per_channel=True).model,
        make_case("TRANSPOSE_CONV", "int16", "int8", per_channel=True).model,
        make_case("FULLY_CONNECTED", "float32", "int4", per_channel=True).model,
    ],
)
def test_what_is_written_is_what_was_read(model):
    tree = read_tree(model)
    again = read_tree(write_tree(tree))
    assert same(tree, again)
    before, after = read_graph(model), read_graph(write_tree(tree))
    assert (before.tensors, before.nodes, before.inputs, before.outputs) == (
        after.tensors, after.nodes, after.inputs, after.outputs,
    )  # fmt: skip


def test_fields_that_no_runtime_model_here_has_survive_too():
    tree, editor = one_dense()
    tensor = editor.tensors[1]
    tensor["sparsity"] = Record(
        "SparsityParameters",
        traversal_order=np.array([0, 1], np.int32),
        dim_metadata=[
            Record("DimensionMetadata", format=0, dense_size=2),
            Record(
                "DimensionMetadata", format=1, array_segments_type=3,
                array_segments=Record("Uint8Vector", values=np.array([0, 1, 2], np.uint8)),
                array_indices_type=2, array_indices=Record("Uint16Vector", values=np.array([3, 1], np.uint16)),
            ),
        ],
    )  # fmt: skip
    tensor["quantization"] = Record(
        "QuantizationParameters", min=np.array([-1], np.float32), max=np.array([1], np.float32), details_type=1,
        details=Record("CustomQuantization", custom=b"abc"),
    )  # fmt: skip
    tensor["shape_signature"] = np.array([-1, 4], np.int32)
    tensor["has_rank"] = True
    tree["metadata"] = [Record("Metadata", name=b"min_runtime_version", buffer=0)]
    tree["signature_defs"] = [
        Record(
            "SignatureDef", signature_key=b"serving_default", subgraph_index=0,
            inputs=[Record("TensorMap", name=b"x", tensor_index=0)], outputs=[],
        )
    ]  # fmt: skip
    again = read_tree(write_tree(tree))
    assert same(tree, again)
    assert again.rows("subgraphs")[0].rows("tensors")[1]["quantization"]["details"].table == "CustomQuantization"


def test_options_of_every_kind_are_known_by_slot_and_type():
    assert fields_of("Conv2DOptions")[:2] == (("padding", "int8"), ("stride_w", "int32"))
    assert fields_of("ReshapeOptions") == (("new_shape", "array:uint32"),)
    assert fields_of("VarHandleOptions") == (("container", "text"), ("shared_name", "text"))
    assert dict(fields_of("StablehloPadOptions"))["interior_padding"] == "array:uint64"
    # Two slots of this table were deprecated: what stands in them is no longer read by anyone.
    assert [kind for _, kind in fields_of("ResizeBilinearOptions")] == ["unused", "unused", "bool", "bool"]


def test_custom_options_and_both_options_unions_are_copied():
    tree, editor = one_dense()
    x, y = editor.subgraph.indices("inputs")[0], editor.subgraph.indices("outputs")[0]
    custom = editor.add("CUSTOM", [x], [y], custom="Mine")
    custom["custom_options"] = bytes(range(40))
    second = editor.add("STABLEHLO_COMPOSITE", [x], [y])
    second["builtin_options_2_type"] = 21
    second["builtin_options_2"] = Record("StableHLOCompositeOptions", name=b"odml.rms", decomposition_subgraph_index=0)
    operators = read_tree(write_tree(tree)).rows("subgraphs")[0].rows("operators")
    assert bytes(operators[1]["custom_options"]) == bytes(range(40))
    assert operators[2]["builtin_options_2"]["name"] == b"odml.rms"
    assert read_graph(write_tree(tree)).nodes[1].custom_name == "Mine"


def with_data_outside(large_options: bool = False) -> tuple[bytes, np.ndarray]:
    """A model whose weights (and custom options) lie behind the FlatBuffer, as those of models over 2 GB do."""
    tree, editor = one_dense()
    weights = np.arange(8, dtype=np.float32)
    buffer = tree.rows("buffers")[1]
    buffer["data"] = None
    buffer["offset"], buffer["size"] = 2, weights.nbytes
    if large_options:
        custom = editor.add("CUSTOM", [0], [2], custom="Mine")
        custom["large_custom_options_offset"], custom["large_custom_options_size"] = 2, 16
    place = -(-len(write_tree(tree)) // 16) * 16
    buffer["offset"] = place
    if large_options:
        custom["large_custom_options_offset"] = place + weights.nbytes
    return write_tree(tree).ljust(place, b"\0") + weights.tobytes() + b"0123456789abcdef", weights


def test_weights_outside_of_the_flatbuffer_are_taken_in():
    model, weights = with_data_outside()
    tree = read_tree(model)
    assert np.array_equal(read_graph(write_tree(tree)).tensors[1].data().ravel(), weights)
    again = read_tree(write_tree(tree)).rows("buffers")[1]
    assert again["offset"] is None and len(again["data"]) == weights.nbytes


def test_large_custom_options_are_taken_in():
    model, _ = with_data_outside(large_options=True)
    operator = read_tree(write_tree(read_tree(model))).rows("subgraphs")[0].rows("operators")[1]
    assert bytes(operator["custom_options"]) == b"0123456789abcdef"
    assert operator["large_custom_options_offset"] is None


def test_weights_in_a_file_of_their_own_are_refused_by_name():
    tree, editor = one_dense()
    editor.tensors[1]["external_buffer"] = 3
    with pytest.raises(UnsupportedError, match="'w' lie in another file"):
        read_tree(write_tree(tree))


def test_a_field_newer_than_the_schema_is_refused(monkeypatch):
    model = write_tree(one_dense(fields={"keep_num_dims": True, "asymmetric_quantize_inputs": True})[0])
    from harness.tflite.cut import tree

    known = fields_of("FullyConnectedOptions")[:2]
    monkeypatch.setattr(tree, "fields_of", lambda name: known if name == "FullyConnectedOptions" else fields_of(name))
    with pytest.raises(UnsupportedError, match="FullyConnectedOptions has fields that are newer"):
        read_tree(model)


def test_options_newer_than_the_schema_are_refused():
    tree, editor = one_dense()
    editor.subgraph.rows("operators")[0]["builtin_options_type"] = 250
    with pytest.raises(UnsupportedError, match="code 250"):
        read_tree(write_tree(tree))


def test_constants_are_aligned_as_the_schema_demands():
    model = write_tree(read_tree(tiny_model.mnist_cnn()))
    for tensor in read_graph(model).tensors:
        if tensor.raw is not None:
            place = model.find(bytes(tensor.raw[:64])) if len(tensor.raw) >= 64 else 0
            assert place % 16 == 0


def test_a_model_over_two_gigabytes_is_refused_before_it_is_made():
    tree, _ = one_dense()
    tree.rows("buffers")[1]["data"] = _Long(3 << 30)
    with pytest.raises(UnsupportedError, match="3.2 GB"):
        write_tree(tree)


class _Long:
    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length


@pytest.mark.parametrize("model", [b"", b"\x10\0\0\0TFL2" + bytes(20), b"\x10\0\0\0TFL3"])
def test_what_is_no_model_is_an_error(model):
    with pytest.raises(UserInputError):
        read_tree(model)


def test_damaged_models_are_errors_and_never_crashes():
    rng = np.random.default_rng(0)
    model = np.frombuffer(tiny_model.mnist_cnn(), np.uint8)
    structure = np.flatnonzero(model)  # most of the file is weights; hits there would test nothing
    for _ in range(400):
        damaged = model.copy()
        places = rng.choice(structure[-600:] if rng.random() < 0.5 else structure[:600], 4)
        damaged[places] = rng.integers(0, 256, 4)
        with contextlib.suppress(HarnessError):
            write_tree(read_tree(damaged.tobytes()))
