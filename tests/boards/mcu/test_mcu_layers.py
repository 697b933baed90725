"""Costs per layer: exact where instructions are counted, and nothing of them in any other figure."""

from __future__ import annotations

import numpy as np
import pytest

from harness.boards.base import BackendSpec, BenchPlan, Deadlines
from harness.boards.mcu.board import McuBoard
from harness.boards.mcu.model import mcu_model
from harness.results.layers import layer_costs
from harness.tflite.graph import read_graph
from tests.support import tiny_model
from tests.support.fixtures_mcu_board import emulated_line, mcu_profile

BACKEND = BackendSpec(name="cpu", threads=0)


def chain(layers: int) -> bytes:
    """int8 [1, 16] through so many FULLY_CONNECTED of 16: more nodes than one answer of a board tells of."""
    rng = np.random.default_rng(4)
    tensors = [tiny_model.Tensor(name="in", shape=(1, 16), dtype="int8", scale=0.5)]
    nodes = []
    for number in range(layers):
        weights = rng.integers(-127, 128, (16, 16), dtype=np.int8)
        before, first = 0 if number == 0 else len(tensors) - 1, len(tensors)
        tensors += [
            tiny_model.Tensor(name=f"w{number}", shape=(16, 16), dtype="int8", scale=0.01, data=weights),
            tiny_model.Tensor(name=f"b{number}", shape=(16,), dtype="int32", scale=0.005, data=np.zeros(16, np.int32)),
            tiny_model.Tensor(name=f"t{number}", shape=(1, 16), dtype="int8", scale=0.5),
        ]
        nodes.append(
            tiny_model.Node(
                op="FULLY_CONNECTED",
                inputs=(before, first, first + 1),
                outputs=(first + 2,),
                options="FullyConnectedOptions",
            )
        )
    return tiny_model.build(tensors, nodes, inputs=(0,), outputs=(len(tensors) - 1,), versions={"FULLY_CONNECTED": 4})


def measured(board: McuBoard, data: bytes, folder) -> tuple[int, object]:
    """Instructions of an inference, and what its layers cost."""
    name = f"s{len(data)}"
    path, samples = folder / f"{name}.tflite", folder / f"{name}.npy"
    path.write_bytes(data)
    made = mcu_model(read_graph(path), path, board.facts)
    shape = (3, *made.inputs[0].shape[1:])
    np.save(samples, np.random.default_rng(1).integers(-128, 128, shape, dtype=np.int8))
    board.expect(made, samples=3)
    board.ensure_file(samples, name)
    worker = board.open_worker(BACKEND, Deadlines())
    worker.load(made.sha256)
    worker.first_invoke([name])
    before = set(worker.bench(BenchPlan()).counts.values)
    worker.evaluate([name], 3)
    layers = worker.layers()
    (count,) = before | set(worker.bench(BenchPlan()).counts.values)
    return count, layers


@pytest.mark.parametrize("name", ["cortex-m4@qemu", "cortex-m55@qemu", "cortex-m0@qemu"])
def test_the_layers_sum_to_the_whole_but_for_the_same_rest_in_every_model(name, tmp_path):
    profile = mcu_profile(name)
    board = McuBoard(profile, emulated_line(profile))
    board.connect()
    try:
        rests = set()
        for data, nodes in ((tiny_model.int8_dense(), 1), (tiny_model.mnist_cnn(), 3), (chain(31), 31)):
            count, layers = measured(board, data, tmp_path)
            assert layers.unit == "instructions" and [layer.node for layer in layers.layers] == list(range(nodes))
            assert all(layer.count > 100 for layer in layers.layers) and layers.own > 0
            rests.add(count - sum(layer.count for layer in layers.layers))
        # Calling the runtime: so many instructions, whatever the model.
        (rest,) = rests
        assert 40 < rest < 200
    finally:
        board.close()


def test_a_record_has_them_beside_the_nodes(mcu_run, prepare_mcu):
    (record,) = mcu_run(prepare_mcu(tiny_model.mnist_cnn(), samples=2))
    assert record.outcome == "ok", record.reason
    costs = layer_costs(record)
    assert costs is not None and costs.unit == "instructions" and costs.whole == record.instructions
    assert [layer.op for layer in costs.layers] == ["CONV_2D", "MAX_POOL_2D", "FULLY_CONNECTED"]
    assert [layer.macs for layer in costs.layers] == [26 * 26 * 12 * 9, 0, 13 * 13 * 12 * 10]
    conv, pool, dense = costs.layers
    assert conv.macs_per_count == conv.macs / conv.count and pool.macs_per_count is None
    assert sum(layer.share for layer in costs.layers) == pytest.approx(1 - costs.rest / costs.whole)
    assert costs.dearest(1) == (conv,) and costs.edges == 0 < costs.rest < 200
