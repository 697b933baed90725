"""A sample of benchmarks/bench_wrong.py: no right pair is called wrong, known and planted defects are found."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from benchmarks.bench_wrong import FLOAT, OLD, Runtimes, print_tables, read_results, run_bench
from benchmarks.wrong.defects import DEFECTS
from benchmarks.wrong.generated import generated
from benchmarks.wrong.output_step import rounding_steps
from benchmarks.wrong.subject import folder_subjects
from harness.tflite.graph import read_graph
from tests.support import tiny_model

SUBJECTS = ("cnn-int8-pt", "attention-int8", "attention-hybrid", "autoencoder-int16")
SAMPLE = tuple(
    d for d in DEFECTS if d.name in ("output stuck", "kernel mirrored", "one channel negated", "output + 4 LSB")
)


@pytest.fixture(scope="module")
def result():
    with Runtimes() as runtimes:
        subjects = generated(runtimes.get(FLOAT), samples=64, names=SUBJECTS)
        yield run_bench(subjects, runtimes, packages=(OLD, FLOAT), defects=SAMPLE)


def test_no_right_pair_is_called_wrong(result):
    right = [pair for pair in result.pairs if not pair.known_bad]
    assert len(right) >= 18 and {pair.model for pair in right} == set(SUBJECTS)
    assert [pair for pair in right if "wrong" in (pair.verdict, pair.with_ops, pair.few)] == []
    assert max(pair.error for pair in right) < 1.5 and max(pair.bias for pair in right) < 0.3


def test_the_rule_before_called_right_pairs_wrong(result):
    assert any(pair.old_wrong for pair in result.pairs if not pair.known_bad)


def test_every_known_defect_of_a_runtime_is_found(result):
    bad = [pair for pair in result.pairs if pair.known_bad]
    assert {(pair.model, pair.runtime, pair.kernels) for pair in bad} >= {
        ("attention-int8", OLD, "reference"),
        ("attention-hybrid", OLD, "default"),
    }
    assert [pair for pair in bad if pair.verdict != "wrong"] == []
    assert all(pair.ops_wrong for pair in bad)


def test_planted_defects_are_found_and_ops_find_more(result):
    assert len(result.found) > 20 and {found.defect for found in result.found} == {d.name for d in SAMPLE}
    gross = [found for found in result.found if found.size == "gross"]
    assert np.mean([found.outputs for found in gross]) > 0.9
    assert np.mean([found.with_ops for found in result.found if found.harmful]) > 0.9
    assert all(found.ops for found in gross)


def test_the_tables_say_what_was_measured(result, capsys, tmp_path):
    (tmp_path / "half.json").write_text(json.dumps(asdict(result)))
    print_tables(read_results([tmp_path / "half.json"]))
    read = capsys.readouterr().out
    print_tables(result)
    said = capsys.readouterr().out
    assert read == said and f"| {OLD} | reference | 2 | 0 |" in said
    assert "| by outputs | 0 | 0 |" in said and "| kernel mirrored | gross |" in said and "| **all** |" in said


def test_a_folder_of_models_is_measured_with_or_without_samples(tmp_path):
    (tmp_path / "random.tflite").write_bytes(tiny_model.int8_dense())
    (tmp_path / "given.tflite").write_bytes(tiny_model.int8_dense())
    np.savez(tmp_path / "given.npz", x_test=np.zeros((9, 16)), task=np.array("none"))
    given, random = folder_subjects(tmp_path, samples=5)
    assert (given.name, given.task, given.feeds[0].shape) == ("given", "none", (5, 16))
    assert np.array_equal(given.feeds[0], np.full((5, 16), -1, np.int8))
    assert (random.task, random.feeds[0].dtype) == ("multiclass", np.int8) and len(np.unique(random.feeds[0])) > 20


def test_one_step_before_a_final_softmax_may_become_several_of_the_output():
    tensors = [
        tiny_model.Tensor(name="x", shape=(1, 4), dtype="int8", scale=0.1),
        tiny_model.Tensor(name="y", shape=(1, 4), dtype="int8", scale=1 / 256, zero_point=-128),
    ]
    node = tiny_model.Node(op="SOFTMAX", inputs=(0,), outputs=(1,), options="SoftmaxOptions", fields={"Beta": 1.0})
    graph = read_graph(tiny_model.build(tensors, [node], inputs=(0,), outputs=(1,)))
    assert rounding_steps(graph) == (pytest.approx(0.25 * 0.1 * 256, rel=1e-6),)


def test_other_outputs_allow_one_step():
    assert rounding_steps(read_graph(tiny_model.int8_dense())) == (1.0,)
    assert rounding_steps(read_graph(tiny_model.float_mlp())) == (1.0,)
