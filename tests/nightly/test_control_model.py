"""Control models: the same bytes everywhere, and every runtime runs them, also with bytes behind their end."""

import numpy as np
import pytest

from harness.core.files import sha256_bytes
from harness.nightly.control_model import CONTROLS, control_model
from harness.tflite.graph import read_graph

#: what later nights are compared with: a change of these bytes would begin every board's history anew
SHA256 = (
    "6d854cafb34dce54f368733856baa3fcfd72c2f88a6619953af04cccfd0f312d",
    "f0b6968f2e0e9259f91a28928118381e7241a6ff6e6bfcf9df317bcc81c0e59e",
    "e45d97833cc1607c4808c768165de8f8cfd3bc9462b833ca17d95f7176d20989",
    "5a3708e6a3b65fdfe1bd2e4e165c2af67c83c1a0592c66302ba97931be5df4c9",
    "f75e092e2c60079ff90512d8ac85851d2642b17c123d42971d3c3972ed7ce229",
)


def test_they_are_the_same_bytes_for_ever():
    assert tuple(sha256_bytes(control_model(i)) for i in range(CONTROLS)) == SHA256


@pytest.mark.parametrize("index", range(CONTROLS))
def test_they_are_whole_int8_models_that_differ(index, tmp_path):
    path = tmp_path / "control.tflite"
    path.write_bytes(control_model(index))
    graph = read_graph(path)
    assert [node.op for node in graph.nodes][-2:] == ["FULLY_CONNECTED", "FULLY_CONNECTED"]


@pytest.mark.parametrize("index", range(CONTROLS))
def test_a_runtime_runs_them_also_with_bytes_behind_their_end(index, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    outputs = []
    for tail in (b"", b"0123456789abcdef"):
        path = tmp_path / f"control-{len(tail)}.tflite"
        path.write_bytes(control_model(index) + tail)
        interpreter = Interpreter(model_path=str(path))
        interpreter.allocate_tensors()
        io = interpreter.get_input_details()[0]
        values = np.random.default_rng(0).integers(-128, 128, io["shape"]).astype(np.int8)
        interpreter.set_tensor(io["index"], values)
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    assert (outputs[0] == outputs[1]).all() and len(np.unique(outputs[0])) > 1
