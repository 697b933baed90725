"""From a .tflite to a plan: what becomes a node, what does not, and where everything lies."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.core.errors import UserInputError
from harness.tflite.graph import read_graph
from harness.tflite.plan import KERNEL_SETS, Plan, dump, make_plan, read_plan
from harness.tflite.plan.memory import Block, Placement, Takeover, overlaps
from harness.tflite.plan.record import MAX_RANK
from harness.tflite.plan.words import RECORDS
from harness.tflite.plan.words_float import FLOAT_RECORDS
from tests.support import plan_models, tiny_model
from tests.support.kernel_cases import Quantized, pick_quantized
from tests.support.kernels_abi import structures
from tests.support.op_models import Tensor
from tests.support.places import ROOT
from tests.support.plan_builder import OPS
from tests.support.plan_net import Net

_PLAN_H = ROOT / "devices/cortex_m/runtime/plan.h"
_PLAN_MORE_H = ROOT / "devices/cortex_m/runtime/plan_more.h"
_PLAN_FROM_64_H = ROOT / "devices/cortex_m/runtime/plan_from_64.h"
_PLAN_FLOAT_H = ROOT / "devices/cortex_m/runtime/plan_float.h"
_C_TYPES = {ctypes.c_int32: "int32_t", ctypes.c_float: "float"}
_SHARED = os.environ.get("HARNESS_SHARED")
_PUBLISHED = [("ad01_int8.tflite", 2_260)] if _SHARED else []


def rng() -> np.random.Generator:
    return np.random.default_rng(4)


def ops(plan: Plan) -> list[str]:
    return [one.op for one in plan.ops]


def test_the_records_are_those_of_the_header() -> None:
    """Names, order and number of the words, from plan.h and kernels.h themselves."""
    headers = "".join(path.read_text() for path in (_PLAN_H, _PLAN_MORE_H, _PLAN_FROM_64_H, _PLAN_FLOAT_H))
    text = re.sub(r"/\*.*?\*/", "", headers, flags=re.DOTALL)
    assert {name: record.number for name, record in RECORDS.items()} == OPS
    structs = {name: body for body, name in re.findall(r"typedef struct \{(.*?)\} (\w+);", text, re.DOTALL)}
    records = {
        "CONV_2D": "conv",
        "DEPTHWISE_CONV_2D": "conv",
        "FULLY_CONNECTED": "fully_connected",
        "MAX_POOL_2D": "pool",
        "AVERAGE_POOL_2D": "pool",
        "MAXIMUM": "pair",
        "MINIMUM": "pair",
        "SUB": "add",
        "FLIP_SIGN": "copy",
        "ASSIGN": "copy",
        "QUANTIZE_16": "quantize",
        "DEQUANTIZE_16": "quantize",
        "RESIZE_NEAREST": "resize",
        "DEQUANTIZE": "quantize",
        "TRANSPOSE_CONV": "conv",
        "CONV_2D_16": "conv_16",
        "DEPTHWISE_CONV_2D_16": "conv_16",
        "TRANSPOSE_CONV_16": "conv_16",
        "ADD_16": "add",
        "SUB_16": "add",
        "LEAKY_RELU_16": "leaky_relu",
        "MAX_POOL_2D_16": "pool",
        "AVERAGE_POOL_2D_16": "pool",
        "MEAN_16": "mean",
        "MUL_16": "mul",
        "MAXIMUM_16": "pair",
        "MINIMUM_16": "pair",
        "DIV": "mul",
        "CONV_2D_4": "conv_4",
        "DEPTHWISE_CONV_2D_4": "conv_4",
        "SOFTMAX_8_16": "softmax",
        "RESIZE_BILINEAR_16": "resize_bilinear",
        "BATCH_MATMUL_16": "batch_matmul",
        "PRELU_16": "prelu",
        "FLOAT_CONV_2D": "conv",
        "FLOAT_DEPTHWISE_CONV_2D": "conv",
        "FLOAT_TRANSPOSE_CONV": "conv",
        "FLOAT_MAX_POOL_2D": "pool",
        "FLOAT_AVERAGE_POOL_2D": "pool",
        "FLOAT_ARG_MAX": "arg_max",
    }
    for name, record in RECORDS.items():
        words = _fields(structs, f"plan_{records.get(name, name.lower())}")
        assert words[0] == ("head", "uint32_t")
        assert [word.name for word in record.words] == [field for field, _ in words[1:]], name
        kinds = {"uint32_t": "operand", "int32_t": "int", "float": "float", "array": "array"}
        # A size among operands, and the bits of floats in a struct that integer kernels have too.
        other = {"scratch_bytes", *(("activation_min", "activation_max") if name in FLOAT_RECORDS else ())}
        assert [word.kind for word in record.words if word.name not in other] == [
            kinds[kind] for field, kind in words[1:] if field not in other
        ], name


def _fields(structs: dict[str, str], name: str) -> list[tuple[str, str]]:
    """(field, type) of a struct of plan.h, structs inside it (kernels.h's too) opened."""
    found: list[tuple[str, str]] = []
    for declaration in structs[name].split(";"):
        kind, _, names = declaration.strip().partition(" ")
        for field in names.split(",") if names else []:
            if kind in structs:
                found += _fields(structs, kind)
            elif kind.startswith("kn_"):
                found += [
                    (inner, "array" if getattr(inner_type, "_length_", 0) == MAX_RANK else _C_TYPES[inner_type])
                    for inner, inner_type in structures()[kind]._fields_
                ]
            else:
                found.append((field.strip(), kind))
    return found


def test_a_dynamic_batch_leaves_no_trace() -> None:
    plan = make_plan(plan_models.dynamic_batch(rng()).model())
    assert [op for op in ops(plan) if op != "FLIP_SIGN"] == ["CONV_2D", "FULLY_CONNECTED"]
    assert plan.folded_nodes == (1, 2, 3, 4)
    assert [(one.node, one.tflite_op) for one in plan.ops] == [(0, "CONV_2D"), (5, "FULLY_CONNECTED")]
    assert plan.inputs[0].shape == (1, 5, 4, 2)


def test_nodes_that_no_output_needs_are_left_out() -> None:
    net = Net(rng(), "int8")
    source = net.tensor((1, 8))
    net.unary("SOFTMAX", net.unary("RELU", source))
    kept = net.unary("RELU6", source)
    plan = make_plan(net.build([source], [kept]))
    assert [(one.op, one.node) for one in plan.ops] == [("RESCALE", 2)]
    assert plan.folded_nodes == (0, 1)


def test_a_reshape_is_another_name_for_the_same_memory() -> None:
    net = Net(rng(), "int8")
    source = net.tensor((1, 4, 2))
    flat = net.reshape(net.unary("RELU", source), (8,))
    plan = make_plan(net.build([source], [net.unary("LEAKY_RELU", flat)]))
    assert ops(plan) == ["RESCALE", "LEAKY_RELU"]
    assert plan.folded_nodes == (1,)
    assert plan.arena_bytes == 8, "all three in place"
    assert flat in next(span for span in plan.tensors if len(span.tensors) == 2).tensors


def test_padding_in_front_of_a_window_costs_no_memory() -> None:
    net = Net(rng(), "int8")
    image = net.tensor((1, 8, 8, 4))
    wide = net.moved("PAD", image, (1, 9, 9, 4), [[[0, 0], [0, 1], [0, 1], [0, 0]]], "PadOptions")
    small = net.conv(wide, 4, stride=2, depthwise=True, padding="VALID")
    plan = make_plan(net.build([image], [small]))
    assert ops(plan) == ["DEPTHWISE_CONV_2D"]
    assert plan.arena_bytes == 8 * 8 * 4 + 4 * 4 * 4
    assert ops(make_plan(net.build([image], [small, wide]))) == ["PAD", "DEPTHWISE_CONV_2D"]


def test_a_uint8_model_is_flipped_at_its_edges_in_place() -> None:
    net = Net(rng(), "uint8")
    source = net.tensor((1, 16))
    plan = make_plan(net.build([source], [net.unary("RELU", source)]))
    assert ops(plan) == ["FLIP_SIGN", "RESCALE", "FLIP_SIGN"]
    assert plan.arena_bytes == 16
    assert [entry.dtype for entry in (*read_plan(plan.data).inputs, *read_plan(plan.data).outputs)] == [
        "uint8",
        "uint8",
    ]
    assert (plan.inputs[0].dtype, plan.inputs[0].zero_point) == ("uint8", net.tensors[source].zero_points[0])


def test_a_quantize_between_equal_numbers_costs_nothing() -> None:
    """What the converter puts at the edges of an int8 model with uint8 inputs: scale the same, zero point 128 apart."""
    net = Net(rng(), "uint8")
    q = Quantized(scale=np.float32(0.5), zero_point=-128)
    source = net.tensor((1, 8), q)
    net.dtype = "int8"
    target = net.quantize(source, q)
    plan = make_plan(net.build([source], [net.unary("RELU", target)]))
    assert ops(plan) == ["FLIP_SIGN", "RESCALE"]


def test_constants_are_computed_on_the_host_and_stored_once() -> None:
    net = Net(rng(), "int8")
    source = net.tensor((1, 64))
    q = pick_quantized(net.rng, 0.02, 0.2)
    floats = net.raw(Tensor(shape=(1, 64), dtype="float32", data=net.rng.normal(0, 1, (1, 64)).astype(np.float32)))
    halves = net.raw(Tensor(shape=(1, 64), dtype="float16", data=np.ones((1, 64), np.float16)))
    wide = net.raw(Tensor(shape=(1, 64), dtype="float32"))
    net.node("DEQUANTIZE", [halves], [wide], "DequantizeOptions")
    first = net.pair("ADD", net.pair("ADD", source, net.quantize(floats, q)), net.quantize(floats, q))
    plan = make_plan(net.build([source], [net.pair("MUL", first, net.quantize(wide, q))]))
    assert ops(plan) == ["ADD", "ADD", "MUL"]
    assert plan.folded_nodes == (0, 1, 3, 5)
    assert plan.constants_bytes == 2 * 64


def test_inputs_outputs_and_their_order_are_those_of_the_model() -> None:
    network = plan_models.edges(rng())
    graph, plan = read_graph(network.model()), make_plan(network.model())
    assert [one.name for one in plan.inputs] == [graph.tensors[i].name for i in graph.inputs]
    assert [one.shape for one in plan.outputs] == [graph.tensors[i].shape for i in graph.outputs]
    read = read_plan(plan.data)
    assert [entry.elements for entry in read.outputs] == [graph.tensors[i].element_count for i in graph.outputs]
    assert plan.model_sha256 == hashlib.sha256(network.model()).hexdigest()


@pytest.mark.parametrize("kernels", KERNEL_SETS)
@pytest.mark.parametrize("name", sorted(plan_models.GENERATORS))
def test_nothing_alive_lies_on_anything_else(name: str, kernels: str) -> None:
    for case in plan_models.make_networks(name, 6):
        plan = make_plan(case.network.model(), kernels)
        blocks = [Block(size_bytes=span.size_bytes, first=span.first, last=span.last) for span in plan.tensors]
        names = [span.name for span in plan.tensors]
        assert len(set(names)) == len(names)
        taken = tuple(Takeover(old=names.index(span.over), new=i) for i, span in enumerate(plan.tensors) if span.over)
        placement = Placement(
            offsets=tuple(span.offset for span in plan.tensors),
            arena_bytes=plan.arena_bytes,
            takeovers=taken,
            lower_bound_bytes=0,
        )
        assert overlaps(blocks, placement) == []
        assert all(span.offset + span.size_bytes <= plan.arena_bytes for span in plan.tensors)
        assert all(span.last == len(plan.ops) for span in plan.tensors if span.role == "output")
        assert all(span.first == -1 for span in plan.tensors if span.role == "input")
        assert all(span.first == span.last for span in plan.tensors if span.role == "scratch")


def test_biases_for_the_fast_kernels_are_folded_and_only_there() -> None:
    network = plan_models.residual(rng(), edge="same").model()
    portable, fast = (read_plan(make_plan(network, kernels).data) for kernels in ("portable", "dsp"))
    assert "folded=" not in dump(make_plan(network, "portable"))
    weighted = sum(node.op in ("CONV_2D", "FULLY_CONNECTED") for node in fast.nodes)
    assert dump(make_plan(network, "dsp")).count("folded=") == weighted
    assert len(portable.constants) < len(fast.constants)


def test_the_bytes_do_not_depend_on_the_process() -> None:
    program = (
        "import hashlib, sys; from harness.tflite.plan import make_plan; from tests.support import plan_models;"
        "print(hashlib.sha256(make_plan(plan_models.resnet_like(), 'mve').data).hexdigest())"
    )
    here = hashlib.sha256(make_plan(plan_models.resnet_like(), "mve").data).hexdigest()
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "77"},
    )
    assert done.stdout.strip() == here


@pytest.mark.parametrize("kernels", KERNEL_SETS)
@pytest.mark.parametrize(("name", "most_bytes"), [("resnet_like", 54_340), *_PUBLISHED])
def test_the_arena_is_no_larger_than_that_of_tflite_micro(name: str, most_bytes: int, kernels: str) -> None:
    """Measured with TensorFlow Lite Micro for MLPerf Tiny's image network and its autoencoder."""
    model = plan_models.resnet_like() if name == "resnet_like" else Path(_SHARED or "") / "models" / name
    assert make_plan(model, kernels).arena_bytes <= most_bytes


def test_a_plan_reads_back_and_prints() -> None:
    plan = make_plan(tiny_model.mnist_cnn())
    read = read_plan(plan.data)
    assert [node.op for node in read.nodes] == ops(plan) == ["CONV_2D", "MAX_POOL_2D", "FULLY_CONNECTED"]
    assert read.nodes[0].fields["filter_height"] == 3
    assert read.nodes[1].operands["input"] == read.nodes[0].operands["output"]
    text = dump(plan)
    assert "input 0: int8 x 784 at " in text
    assert "# node 1 MAX_POOL_2D 'pool'" in text
    lines = [line.split("  #")[0] for line in text.splitlines() if not line.startswith("of model")]
    assert "\n".join(lines).startswith(dump(plan.data).strip())


@pytest.mark.parametrize("at", [0, 4, 8, 16, 28, 40, 48, 70, -1])
def test_a_damaged_plan_is_noticed(at: int) -> None:
    data = bytearray(make_plan(tiny_model.int8_dense()).data)
    data[at] ^= 0x10
    with pytest.raises(UserInputError, match="damaged|version|header says|not a plan"):
        read_plan(bytes(data))


@pytest.mark.parametrize("length", [0, 3, 63, 64, 100])
def test_a_plan_that_was_cut_short_is_noticed(length: int) -> None:
    with pytest.raises(UserInputError, match="not a plan|header says"):
        dump(make_plan(tiny_model.int8_dense()).data[:length])


def test_an_unknown_kernel_set_and_an_unreadable_file_are_the_callers_errors(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="unknown kernel set 'dps'.*did you mean dsp"):
        make_plan(tiny_model.int8_dense(), "dps")  # type: ignore[arg-type]
    with pytest.raises(UserInputError, match="cannot be read: No such file"):
        make_plan(tmp_path / "none.tflite")
    (tmp_path / "bad.tflite").write_bytes(b"not a model")
    with pytest.raises(UserInputError, match="bad.tflite: is not a .tflite file"):
        make_plan(tmp_path / "bad.tflite")
