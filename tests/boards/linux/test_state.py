"""What a model remembers never reaches the next sample, unless the samples are one sequence. Real runtimes."""

from __future__ import annotations

import numpy as np
import pytest

from harness.boards.base import BackendSpec, BenchPlan, Deadlines
from harness.boards.linux.board import AgentOptions, LinuxBoard
from harness.core.files import sha256_bytes
from harness.links.base import LocalLink, make_link
from tests.support.stateful_models import FIRST, lstm, running_sum, stored_constant
from tests.support.tiny_model import float_mlp

QUICK = BenchPlan(min_samples=20, min_ns=1, max_ns=1_000_000_000, warmup_max_ns=20_000_000)
KERNELS = ("default", "reference")
SAMPLES = np.random.default_rng(3).standard_normal((12, 4)).astype(np.float32)


@pytest.fixture(scope="module", params=["tflite_runtime", "ai_edge_litert"])
def board(request, tmp_path_factory):
    """A connected local board of each runtime."""
    python = request.getfixturevalue(
        {"tflite_runtime": "tflite_python", "ai_edge_litert": "litert_python"}[request.param]
    )
    options = AgentOptions(directory=str(tmp_path_factory.mktemp("board") / "agent"))
    board = LinuxBoard(
        name="local", link=make_link(LocalLink()), runtime_module=request.param, python=python, options=options
    )
    board.connect()
    yield board
    board.close()


@pytest.fixture(params=KERNELS)
def worker(request, board):
    worker = board.open_worker(BackendSpec(name="cpu", kernels=request.param), Deadlines())
    yield worker
    worker.close()


def push(board, folder, name, data):
    (folder / name).write_bytes(data)
    sha256 = sha256_bytes(data)
    board.ensure_file(folder / name, sha256)
    return sha256


def push_array(board, folder, array):
    np.save(folder / "x.npy", array)
    return push(board, folder, "x.npy", (folder / "x.npy").read_bytes())


@pytest.fixture
def asked(board, worker, tmp_path):
    """Loads a model and gives its answers to rows of SAMPLES; keywords are those of `evaluate`."""

    def load(model, shape=(4,)):
        x = push_array(board, tmp_path, SAMPLES.reshape(len(SAMPLES), *shape))
        worker.load(push(board, tmp_path, "model.tflite", model))

        def ask(count=12, **keywords):
            return worker.evaluate([x], count, **keywords).outputs[0].reshape(count, -1)

        ask.x = x
        return ask

    return load


@pytest.mark.parametrize(("model", "shape"), [(lstm(), (1, 4)), (running_sum(), (4,))], ids=["variables", "resources"])
def test_no_sample_sees_the_one_before(asked, worker, model, shape):
    ask = asked(model, shape)
    whole = ask()
    for row in (0, 5, 11):
        np.testing.assert_array_equal(ask(1, start=row)[0], whole[row])
    worker.first_invoke([ask.x])
    worker.bench(QUICK)
    worker.first_invoke([ask.x])
    np.testing.assert_array_equal(ask(), whole)


def test_a_resource_begins_with_its_first_value(asked):
    np.testing.assert_allclose(asked(running_sum())(), SAMPLES + FIRST, rtol=1e-6)


def test_the_first_invoke_and_the_timing_leave_nothing_behind(asked, worker):
    """Without a reset the sum would have grown with each of them."""
    ask = asked(running_sum())
    worker.first_invoke([ask.x])
    worker.bench(QUICK)
    np.testing.assert_allclose(ask(2), SAMPLES[:2] + FIRST, rtol=1e-6)


def test_a_sequence_carries_its_state_and_the_next_one_begins_anew(asked):
    answers = asked(running_sum())(beginnings=[0, 4, 9])
    expected = np.concatenate([FIRST + SAMPLES[a:b].cumsum(axis=0) for a, b in ((0, 4), (4, 9), (9, 12))])
    np.testing.assert_allclose(answers, expected, rtol=1e-5)


def test_variable_tensors_are_carried_within_a_sequence_too(asked):
    ask = asked(lstm(), (1, 4))
    alone, carried = ask(), ask(beginnings=[0, 6])
    np.testing.assert_array_equal(carried[[0, 6]], alone[[0, 6]])
    assert (np.abs(carried - alone).max(axis=1)[[1, 2, 7, 8]] > 1e-3).all()


def test_the_first_row_asked_for_begins_anew_wherever_it_lies(asked):
    answers = asked(running_sum())(3, start=5, beginnings=[0, 7])
    expected = np.stack([FIRST + SAMPLES[5], FIRST + SAMPLES[5:7].sum(axis=0), FIRST + SAMPLES[7]])
    np.testing.assert_allclose(answers, expected, rtol=1e-5)


def test_models_without_memory_are_as_they_were(asked):
    ask = asked(float_mlp())
    np.testing.assert_array_equal(ask(), ask(beginnings=[0]))
    np.testing.assert_allclose(asked(stored_constant())(), SAMPLES + FIRST, rtol=1e-6)
