"""A quantized input says which values it was made for."""

from __future__ import annotations

import numpy as np
import pytest

from harness.tflite.graph import read_graph
from harness.workloads.checks.inputs import InputRange, input_range, range_finding
from tests.support import question_models as models
from tests.support import tiny_model
from tests.support.tiny_model import Node, Tensor

UNIT = InputRange(low=0.0, high=1.0, what="the int8 input spans 0 to 1")
PIXELS = InputRange(low=0.0, high=255.0, what="the uint8 input spans 0 to 255")
GREY = np.random.default_rng(0).random((100, 64)).astype(np.float32)
#: as handwritten digits are: most of it black
SPARSE = np.where(np.random.default_rng(1).random((100, 64)) < 0.02, GREY, 0).astype(np.float32)


def test_the_range_is_that_of_the_input_or_of_the_op_that_quantizes_it():
    held = input_range(read_graph(models.int8_classifier()))
    assert held is not None and (held.low, held.high) == (pytest.approx(0), pytest.approx(1, rel=1e-5))
    tensors = [
        Tensor(name="in", shape=(1, 4), dtype="float32"),
        Tensor(name="q", shape=(1, 4), dtype="int8", scale=0.5),
    ]
    graph = read_graph(
        tiny_model.build(tensors, [Node(op="QUANTIZE", inputs=(0,), outputs=(1,))], inputs=(0,), outputs=(1,))
    )
    held = input_range(graph)
    assert held is not None and (held.low, held.high) == (-64, 63.5)
    assert input_range(read_graph(models.classifier())) is None


@pytest.mark.parametrize(
    "samples, held",
    [
        (GREY * 255, UNIT),
        (SPARSE * 255, UNIT),
        (GREY * 16, UNIT),
        ((GREY - GREY.mean()) / GREY.std(), UNIT),
        (GREY, PIXELS),
        (GREY * 2 - 1, PIXELS),
        (SPARSE, PIXELS),
        (np.zeros((10, 4), np.float32), UNIT),
    ],
)
def test_another_scale_is_told(samples, held):
    finding = range_finding(samples.astype(np.float32), held, "w")
    assert finding is not None and finding.code == "input-range"
    assert held.what in finding.what


@pytest.mark.parametrize(
    "samples, held",
    [
        (GREY, UNIT),
        (SPARSE, UNIT),
        (GREY * 1.2, UNIT),
        (GREY * 0.3, UNIT),
        (GREY * 255, PIXELS),
        (SPARSE * 255, PIXELS),
        (GREY * 40, PIXELS),
        # One outlier in a thousand is none of another scale.
        (np.where(np.random.default_rng(2).random(GREY.shape) < 0.0005, GREY * 50, GREY), UNIT),
    ],
)
def test_the_same_scale_is_none(samples, held):
    assert range_finding(samples.astype(np.float32), held, "w") is None
