"""What becomes of a model before it travels: stages that combine, and why nothing travels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.boards.adapt import Adapted, NotAdapted, adapt
from harness.boards.base import BackendSpec
from harness.boards.mcu.adapt import EXACT_REFERENCE, adapt_for_mcu
from harness.boards.mcu.model import McuFacts, McuModel
from harness.core.files import sha256_file
from harness.prepare.prepared import InputFile, PreparedModel, with_graph_facts
from harness.tflite.graph import read_graph
from harness.variants.build.build import artifact_from_file
from tests.support.fake_board import FakeBoard
from tests.support.fixtures_vela import U65
from tests.support.tiny_model import Node, Tensor, build

PLAIN = BackendSpec(name="cpu")
COMPILED = BackendSpec(name="npu", delegate_name="ethosu", compiler=U65)
PLANS = McuFacts(plans=True, kernels=2, arena_bytes=200_000, model_bytes=200_000)
TFLITE_MICRO = replace(PLANS, plans=False)


class Microcontroller(FakeBoard):
    """A board with the stage of a microcontroller, without a line."""

    facts = PLANS

    def adapt(self, model, backend, *, say):
        return adapt_for_mcu(model, self.facts)


@pytest.fixture
def board() -> FakeBoard:
    """A board that says nothing of its own."""
    return FakeBoard("b", None)


@pytest.fixture
def mcu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Microcontroller:
    """A microcontroller with the plan runtime."""
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    return Microcontroller("m", None)


def prepared(path: Path) -> PreparedModel:
    """A finished model without samples."""
    return with_graph_facts(
        PreparedModel(
            workload="w",
            metric=None,
            recipe="as-is",
            seed=0,
            artifact=artifact_from_file(path),
            dataset_name="none",
            dataset_note="",
            dataset_digest="d" * 64,
        )
    )


def test_a_board_that_says_nothing_takes_the_file_as_it_is(board, vela_model):
    model = prepared(vela_model("int8_dense"))
    found = adapt(board, model, PLAIN)
    assert isinstance(found, Adapted) and found.runs
    assert found.model is model and found.artifact is model.artifact and found.stages == ()


def test_a_plan_travels_and_tables_name_the_tflite_that_it_was_made_from(mcu, vela_model):
    model = prepared(vela_model("int8_dense"))
    found = adapt(mcu, model, PLAIN)
    assert isinstance(found, Adapted) and isinstance(found.form, McuModel)
    assert (
        found.artifact == model.artifact and found.model.artifact.sha256 == found.form.sha256 != model.artifact.sha256
    )
    (stage,) = found.stages
    assert stage.name == "plan" and stage.facts["exact_reference"] == EXACT_REFERENCE
    assert stage.facts["model_bytes"] == found.form.path.stat().st_size and stage.facts["arena_bytes"] > 0


def test_too_large_a_model_is_unsupported_with_what_it_needs(mcu, vela_model):
    mcu.facts = replace(PLANS, model_bytes=100)
    found = adapt(mcu, prepared(vela_model("int8_dense")), PLAIN)
    assert isinstance(found, NotAdapted) and found.outcome == "unsupported"
    assert "the board has 100 for a model" in found.reason and found.stages[0].facts["model_bytes"] > 100


def test_the_compiler_comes_before_any_board_and_the_compiled_file_travels(board, vela_model, vela_shared):
    source = vela_model("mnist_cnn")
    found = adapt(board, prepared(source), COMPILED)
    assert isinstance(found, Adapted)
    assert found.model.artifact == found.artifact and found.artifact.sha256 == sha256_file(found.artifact.path)
    (stage,) = found.stages
    assert stage.name == "vela" and stage.facts["compiled"]["source_sha256"] == sha256_file(source)
    assert [(n["op"], n["place"]) for n in stage.facts["nodes"]] == [
        ("CONV_2D", "npu"),
        ("MAX_POOL_2D", "npu"),
        ("FULLY_CONNECTED", "npu"),
    ]


def test_samples_follow_the_inputs_of_the_compiled_file(board, tmp_path, vela_shared):
    ends = [("b", 0.5), ("a", 0.25), ("out", 0.75)]
    tensors = [Tensor(name=name, shape=(1, 4, 4, 8), dtype="int8", scale=scale) for name, scale in ends]
    add = Node(op="ADD", inputs=(0, 1), outputs=(2,), options="AddOptions")
    (tmp_path / "two.tflite").write_bytes(build(tensors, [add], inputs=(0, 1), outputs=(2,)))
    files = tuple(InputFile(path=tmp_path, sha256=name, count=1) for name, _ in ends[:2])
    found = adapt(board, replace(prepared(tmp_path / "two.tflite"), inputs=files), COMPILED)
    assert isinstance(found, Adapted), found.reason
    graph = read_graph(found.artifact.file)
    names = [graph.tensors[index].name for index in graph.inputs]
    assert sorted(names) == ["a", "b"] == sorted(file.sha256 for file in found.model.inputs)
    assert [file.sha256 for file in found.model.inputs] == names == [io.name for io in found.artifact.inputs]


def test_the_compiler_comes_before_a_microcontroller_too(mcu, vela_model, vela_shared):
    mcu.facts = TFLITE_MICRO
    found = adapt(mcu, prepared(vela_model("mnist_cnn")), COMPILED)
    assert isinstance(found, Adapted) and [s.name for s in found.stages] == ["vela", "file"]
    assert found.model.artifact.sha256 == found.artifact.sha256 == found.form.sha256
    # The board runs the command stream of the NPU, and what was left as it was on the core.
    assert [(n.op, n.ran_on) for n in found.form.nodes] == [("CUSTOM", "ethos-u")]
    mixed = adapt(mcu, prepared(vela_model("float_io")), COMPILED)
    assert [n.ran_on for n in mixed.form.nodes] == ["cpu", "ethos-u", "cpu"]


def test_what_a_board_cannot_do_with_a_compiled_file_keeps_what_the_compiler_said(mcu, vela_model, vela_shared):
    found = adapt(mcu, prepared(vela_model("mnist_cnn")), COMPILED)
    assert isinstance(found, NotAdapted) and found.outcome == "unsupported"
    assert found.reason.startswith("plan: node 0 ethos-u: a custom op") and [s.name for s in found.stages] == ["vela"]


def test_a_model_that_the_compiler_leaves_to_the_cpu_never_meets_the_board(board, vela_model, vela_shared):
    found = adapt(board, prepared(vela_model("float_mlp")), COMPILED)
    assert isinstance(found, NotAdapted) and found.outcome == "unsupported"
    assert found.reason.startswith("compile: no op for the NPU")
    (stage,) = found.stages
    assert "compiled" not in stage.facts and all(n["place"] == "cpu" and n["reason"] for n in stage.facts["nodes"])


@pytest.mark.parametrize("name, backend", [("int8_dense", PLAIN), ("mnist_cnn", COMPILED)])
def test_facts_of_stages_are_plain_data(mcu, vela_model, vela_shared, name, backend):
    mcu.facts = PLANS if backend is PLAIN else TFLITE_MICRO
    for stage in adapt(mcu, prepared(vela_model(name)), backend).stages:
        assert json.loads(json.dumps(stage.facts)) == stage.facts


def test_the_board_never_hears_of_the_compiler():
    assert "compiler" not in COMPILED.on_board() and COMPILED.on_board()["delegate_name"] == "ethosu"
