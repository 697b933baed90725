"""Agents that answer nonsense: no traceback, no hang, no memory, and never a figure that cannot be."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np

from harness.boards.base import BackendSpec, BenchPlan, Deadlines
from harness.boards.linux.probe import _facts
from harness.core.bounds import MOST_BYTES, MOST_NS
from harness.core.errors import HarnessError
from harness.run import device as device_module
from tests.support.cells import model, run_cells
from tests.support.fuzzing import NASTY, cases, mutated_bytes, mutated_value
from tests.support.scripted_agent import Header, Said, encode_anyhow, good_answer, scripted_board


def nonsense(rng: random.Random, share: float):
    """A script that spoils that share of what is sent: fields, payloads, whole frames, their order and number."""

    def script(request: Header) -> Iterator[Said]:
        for said in good_answer(request):
            if rng.random() > share:
                yield said
                continue
            header, payload = said if isinstance(said, tuple) else (said, b"")
            what = rng.randrange(8)
            if what < 4:
                yield mutated_value(rng, header) if isinstance(header, dict) else header, payload
            elif what == 4:
                yield header, mutated_bytes(rng, payload)
            elif what == 5:
                yield mutated_bytes(rng, b"".join(encode_anyhow(header, payload)))
            elif what == 6:
                yield from [(header, payload)] * rng.choice((2, 30))
            else:
                yield {"type": rng.choice(("ok", "rows", "alive", "progress", "error", "failure", *NASTY))}

    def objects(request: Header) -> Iterator[Said]:
        for said in script(request):
            header = said[0] if isinstance(said, tuple) else said
            yield said if isinstance(header, dict | bytes) else b"\0\0\0\x04\0\0\0\0null"

    return objects


def assert_possible_ns(*values) -> None:
    for value in values:
        assert isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_NS


def ask_everything(board) -> None:
    facts = board.connect()
    assert isinstance(facts.runtime, str) and len(facts.runtime) <= 200
    board.delegate_text("/usr/lib/libvx_delegate.so")
    worker = board.open_worker(BackendSpec(name="cpu"), Deadlines())
    assert_possible_ns(worker.load("1" * 64).load_ns, worker.first_invoke(["1" * 64]))
    bench = worker.bench(BenchPlan(min_ns=1_000_000, warmup_max_ns=1_000_000))
    assert len(bench.samples_ns) >= 1 and bench.samples_ns.min() >= 0 and bench.samples_ns.max() <= MOST_NS
    evaluated = worker.evaluate(["1" * 64], 20, progress=lambda done, total: None)
    assert all(len(output) == 20 for output in evaluated.outputs) and len(evaluated.invoke_ns) == 20
    assert_possible_ns(evaluated.elapsed_ns)
    for node in worker.placement().nodes:
        assert isinstance(node.op, str) and node.node >= 0
    stats = worker.stats()
    for size in (stats.memory_peak_bytes, stats.memory_baseline_bytes):
        assert size is None or 0 <= size <= MOST_BYTES
    assert stats.temperature_c is None or np.isfinite(stats.temperature_c)
    worker.close()


def test_every_answer_is_good_or_an_error():
    ended = {True: 0, False: 0}
    for rng in cases("agent"):
        board = scripted_board(nonsense(rng, rng.choice((0.05, 0.2, 0.6))), operation_timeout_s=5.0)
        try:
            ask_everything(board)
            ended[True] += 1
        except HarnessError as error:
            assert len(str(error)) < 9_000
            ended[False] += 1
        finally:
            board.close()
    assert all(ended.values()), ended


def test_whole_cells_end_in_records_that_can_be(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    outcomes = set()
    for number, rng in enumerate(cases("cells")):
        folder = tmp_path / str(number)
        folder.mkdir()
        board = scripted_board(nonsense(rng, rng.choice((0.02, 0.1))), operation_timeout_s=5.0)
        monkeypatch.setattr(device_module, "ATTEMPTS", 1)
        (record,) = run_cells(folder, monkeypatch, board, [model(folder)], samples=20, again_s=0.0)
        outcomes.add(record.outcome)
        assert "internal error" not in (record.reason or ""), record.board_log
        if record.outcome == "ok":
            assert_possible_ns(record.load_ns, record.first_invoke_ns, record.latency_median_ns)
            assert record.latency_median_ns > 0 and record.latency_samples >= 1
            assert 0 <= record.accuracy <= 1 and record.total_nodes >= 1
    assert {"ok", "failed"} <= outcomes


def test_probed_facts_are_checked():
    good = {
        "machine": "aarch64",
        "hostname": "board",
        "kernel": "6.1",
        "python": "/usr/bin/python3",
        "python_version": "3.11.2",
        "cpu_model": None,
        "board_model": "A board",
        "system": "Debian",
        "cpu_count": 4,
        "memory_bytes": 1 << 30,
        "free_bytes": 1 << 30,
        "numpy": {"version": "1.26"},
        "runtimes": {"tflite_runtime": {"version": "2.14.0"}},
        "delegates": [],
    }
    for rng in cases("probe"):
        try:
            facts = _facts(mutated_value(rng, good))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            continue  # what `probe_board` makes an error of
        assert isinstance(facts.machine, str) and "\x1b" not in repr(facts)
        assert facts.problem is None or isinstance(facts.problem, str)
