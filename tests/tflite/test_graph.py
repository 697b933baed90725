"""Reading .tflite files: the same as a real interpreter sees, and nothing but clear errors from damaged ones."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.core.errors import UserInputError
from harness.tflite.graph import Graph, model_io, read_graph
from harness.tflite.unpack import unpack_elements
from tests.support.quantized_ops import make_case

CONV = make_case("CONV_2D", "int8", "int8", per_channel=True).model


def interpreter(model: bytes):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    # Without XNNPACK the tensors are exactly those of the file.
    return Interpreter(
        model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )


def edited(model: bytes, change) -> bytes:
    """The model after `change` was applied to its schema object."""
    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    change(tree)
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize("recipe", ["ptq-float32", "ptq-int8-io", "ptq-int16x8", "qat-default", "ptq-int8-io-dynbatch"])
def test_tensors_are_those_that_the_interpreter_reports(audit_models, recipe):
    path = audit_models.path("mnist-cnn", recipe)
    graph = read_graph(path)
    runtime = interpreter(path.read_bytes())
    runtime.allocate_tensors()
    details = {d["index"]: d for d in runtime.get_tensor_details()}
    for tensor in graph.tensors:
        seen = details[tensor.index]
        parameters = seen["quantization_parameters"]
        assert tensor.name == seen["name"]
        assert tensor.dtype == np.dtype(seen["dtype"]).name
        assert list(tensor.shape_signature or tensor.shape) == list(seen["shape_signature"])
        assert np.array_equal(np.array(tensor.scales, np.float32), parameters["scales"])
        assert list(tensor.zero_points) == list(parameters["zero_points"])
        if tensor.is_constant:
            assert np.array_equal(tensor.data(), runtime.get_tensor(tensor.index))


def test_nodes_are_those_that_the_interpreter_reports(audit_models):
    path = audit_models.path("mnist-cnn", "ptq-int8-io-dynbatch")
    seen = interpreter(path.read_bytes())._get_ops_details()
    nodes = read_graph(path).nodes
    assert [(n.op, n.inputs, n.outputs) for n in nodes] == [
        (d["op_name"], tuple(d["inputs"]), tuple(d["outputs"])) for d in seen
    ]


def test_inputs_and_outputs_carry_their_quantization(audit_models):
    (source,), (result,) = model_io(audit_models.graph("mnist-cnn", "ptq-int8-io"))
    assert (source.dtype, source.shape, source.zero_point) == ("int8", (1, 28, 28), -128)
    assert source.scale == pytest.approx(1 / 255, rel=1e-3)
    assert (result.dtype, result.shape) == ("int8", (1, 10))


def test_options_are_named_and_their_codes_are_words(audit_models):
    nodes = {n.op: n for n in audit_models.graph("mnist-cnn", "ptq-float32").nodes}
    conv, pool = nodes["CONV_2D"].options, nodes["MAX_POOL_2D"].options
    assert (conv["padding"], conv["stride_h"], conv["fused_activation_function"]) == ("VALID", 1, "RELU")
    assert (pool["filter_height"], pool["stride_w"]) == (2, 2)


def test_vector_options_are_lists():
    case = make_case("DEQUANTIZE", "float32", "int8", per_channel=False).model

    def squeeze(tree):
        operator = tree.subgraphs[0].operators[1]
        operator.builtinOptionsType, operator.builtinOptions = (
            schema.BuiltinOptions.SqueezeOptions,
            schema.SqueezeOptionsT(),
        )
        operator.builtinOptions.squeezeDims = np.array([0, 2], np.int32)

    assert read_graph(edited(case, squeeze)).nodes[1].options == {"squeeze_dims": [0, 2]}


def test_int4_weights_unpack_to_their_values():
    case = make_case("FULLY_CONNECTED", "float32", "int4", per_channel=False)
    weights = read_graph(case.model).tensors[1]
    assert (weights.dtype, weights.bits, weights.buffer_bytes) == ("int4", 4, 128)
    assert weights.data().shape == (8, 32)
    assert (weights.data() @ case.x[0] * weights.scales[0]) == pytest.approx(case.want[0], rel=1e-5)


@pytest.mark.parametrize(
    ("raw", "dtype", "values"),
    [
        (b"\xf8\x07", "int4", [-8, -1, 7]),
        (b"\xe4", "int2", [0, 1, -2, -1]),
        (b"\xf0", "uint4", [0, 15]),
        (b"\x80\x3f\x00\xc0", "bfloat16", [1.0, -2.0]),
    ],
)
def test_small_types_are_read_from_the_lowest_bits(raw, dtype, values):
    assert unpack_elements(memoryview(raw), dtype, len(values)).tolist() == values


def test_constants_that_do_not_fill_their_shape_are_corrupt():
    def shorten(tree):
        tree.buffers[1].data = tree.buffers[1].data[:-1]

    with pytest.raises(UserInputError, match="288 elements of int8 take 288 bytes, and 287 are stored"):
        read_graph(edited(CONV, shorten)).tensors[1].data()


def test_constants_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        read_graph(CONV).tensors[1].data()[0] = 1


def test_codes_of_newer_schemas_keep_their_number():
    def renumber(tree):
        tree.operatorCodes[0].builtinCode = 300
        tree.subgraphs[0].tensors[0].type, tree.subgraphs[0].tensors[3].type = 19, 99

    graph = read_graph(edited(CONV, renumber))
    assert graph.nodes[0].op == "BUILTIN_300"
    assert (graph.tensors[0].dtype, graph.tensors[3].dtype, graph.tensors[3].bits) == ("int2", "type_99", None)


def test_op_codes_of_old_writers_are_understood():
    def old(tree):
        tree.operatorCodes[0].builtinCode = 0  # field added in 2021; older files have the deprecated one only

    assert read_graph(edited(CONV, old)).nodes[0].op == "CONV_2D"


def test_custom_ops_keep_their_name():
    def customize(tree):
        code = tree.operatorCodes[0]
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        code.customCode = b"MyOp"

    node = read_graph(edited(CONV, customize)).nodes[0]
    assert (node.op, node.custom_name) == ("CUSTOM", "MyOp")


def test_more_subgraphs_are_noted_with_their_ops():
    def double(tree):
        tree.subgraphs.append(tree.subgraphs[0])

    graph = read_graph(edited(CONV, double))
    assert graph.subgraph_count == 2
    assert [n.op for n in graph.other_nodes] == ["CONV_2D"]


def test_weights_behind_the_flatbuffer_are_found():
    # Models over 2 GB keep their constants after the tables, by offset and size.
    values = read_graph(CONV).tensors[1].data().tobytes()

    def detach(offset):
        def change(tree):
            tree.buffers[1].data, tree.buffers[1].offset, tree.buffers[1].size = None, offset, len(values)

        return change

    size = len(edited(CONV, detach(1 << 20)))
    model = edited(CONV, detach(size)) + values
    assert read_graph(model).tensors[1].data().tobytes() == values
    with pytest.raises(UserInputError, match="outside of the file"):
        read_graph(model[:-1])


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "is empty"), (b"PK\x03\x04 a zip, really", "not a .tflite"), (b"\x10\0\0\0TFL3", "truncated or corrupt")],
)
def test_other_files_are_named_as_such(tmp_path, data, message):
    path = tmp_path / "model.tflite"
    path.write_bytes(data)
    with pytest.raises(UserInputError, match=message) as caught:
        read_graph(path)
    assert caught.value.where == str(path)


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(UserInputError, match="cannot be read: No such file"):
        read_graph(tmp_path / "absent.tflite")
    with pytest.raises(UserInputError, match="is a folder, expected a file"):
        read_graph(tmp_path)


def read_or_refuse(data: bytes) -> Graph | None:
    """The graph of maybe damaged bytes, all of it visited; None where the reader refused with an error of its own."""
    try:
        graph = read_graph(data)
        for tensor in graph.tensors:
            if tensor.is_constant:
                tensor.data()
        dataclasses.asdict(dataclasses.replace(graph, tensors=()))
    except UserInputError:
        return None
    return graph


def test_every_truncation_gives_a_clear_error():
    whole = read_or_refuse(CONV)
    assert whole is not None
    for length in range(len(CONV)):
        graph = read_or_refuse(CONV[:length])
        # Trailing bytes may be padding; anything that still reads must be the whole model.
        assert graph is None or graph.nodes == whole.nodes


@settings(max_examples=400, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, len(CONV) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_flipped_bytes_never_crash_the_reader(changes):
    data = bytearray(CONV)
    for position, value in changes:
        data[position] = value
    graph = read_or_refuse(bytes(data))
    assert graph is None or all(i < len(graph.tensors) for node in graph.nodes for i in (*node.inputs, *node.outputs))


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200))
def test_random_bytes_never_crash_the_reader(data):
    assert read_or_refuse(b"\x10\0\0\0TFL3" + data) is None


def test_tables_that_all_refer_to_one_are_refused():
    # 60,000 tensors that are one tensor with a name of 30 kB: 1.8 GB to read from a file of 300 kB.
    def share(tree):
        tree.subgraphs[0].tensors[0].name = b"x" * 30_000

    model = bytearray(edited(CONV, share))
    builder_end = len(model)
    tree = schema.Model.GetRootAs(bytes(model), 0)
    vector_field = tree.Subgraphs(0)._tab.Offset(4) + tree.Subgraphs(0)._tab.Pos
    target = tree.Subgraphs(0).Tensors(0)._tab.Pos
    count = 60_000
    # A new vector at the end cannot point back (offsets are unsigned), so the tensor is copied behind it.
    copy_start = builder_end + (-builder_end) % 4 + 4 + 4 * count
    model += b"\0" * (copy_start - builder_end)
    start = copy_start - 4 - 4 * count
    model[start : start + 4] = count.to_bytes(4, "little")
    shift = copy_start - target + (target - copy_start) % 4
    model += bytes(shift + target - copy_start) + bytes(model[:builder_end])[target:]
    vtable = target - int.from_bytes(model[target : target + 4], "little", signed=True)
    place = shift + target
    model[place : place + 4] = (place - vtable).to_bytes(4, "little", signed=True)
    for i in range(count):
        at = start + 4 + 4 * i
        model[at : at + 4] = (place - at).to_bytes(4, "little")
    model[vector_field : vector_field + 4] = (start - vector_field).to_bytes(4, "little")
    with pytest.raises(UserInputError, match="over and over"):
        read_graph(bytes(model))


def test_reading_needs_neither_tensorflow_nor_the_whole_schema_package():
    code = (
        "import sys, harness.tflite.graph; print([m for m in ('tensorflow', 'tflite', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
