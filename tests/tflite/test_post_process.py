"""TFLite_Detection_PostProcess is known: its options are read and checked, it is foretold, and cut off to be judged."""

from __future__ import annotations

import numpy as np
import pytest

from harness.core.errors import UnsupportedError, UserInputError
from harness.measure.twins import scores_model
from harness.tflite.graph import read_graph
from harness.tflite.plan.reasons import refuse_op
from harness.tflite.post_process import ends_in_suppression, post_process_node, read_post_process
from harness.tflite.support import runtime_supports
from tests.support.detector_models import OPTIONS, detector


def test_its_options_are_read_from_their_flexbuffer():
    node = post_process_node(read_graph(detector()))
    options = read_post_process(node)
    assert (options.max_detections, options.num_classes, options.scales) == (10, 2, (10.0, 10.0, 5.0, 5.0))
    assert options.nms_iou_threshold == pytest.approx(0.6) and not options.use_regular_nms
    assert options.words.startswith(
        "at most 10 boxes of 2 classes, suppressed by each box's best class from an overlap of 0.6"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (b"", "no FlexBuffer"),
        (b"\x07\x01\x02", "no FlexBuffer|no map"),
        ({key: value for key, value in OPTIONS.items() if key != "num_classes"}, "lack 'num_classes'"),
        ({**OPTIONS, "y_scale": "wide"}, "not what the kernel takes"),
    ],
)
def test_damaged_options_are_told_before_the_push(options, message):
    graph = read_graph(detector(options=options))
    with pytest.raises(UserInputError, match=message):
        read_post_process(post_process_node(graph))
    support = runtime_supports("tflite-runtime", "2.14.0", graph)
    assert support.loads is False and any("TFLite_Detection_PostProcess" in reason for reason in support.reasons)


def test_runtimes_that_have_it_are_foretold_to_run_it_and_plans_say_why_they_do_not():
    graph = read_graph(detector(int8=True))
    for runtime, version in (("tflite-runtime", "2.14.0"), ("ai-edge-litert", "2.3.0")):
        assert runtime_supports(runtime, version, graph).loads is True
    with pytest.raises(UnsupportedError, match="decodes and suppresses boxes in float.*SsdMap"):
        refuse_op(post_process_node(graph))


@pytest.mark.parametrize("int8", [False, True])
def test_what_stands_before_suppression_is_a_model_of_its_own(int8):
    model = detector(int8=int8)
    assert ends_in_suppression(read_graph(model))
    before = read_graph(scores_model(model))
    names = [before.tensors[index].name for index in before.outputs]
    assert names == (["encodings_real", "scores_real"] if int8 else ["encodings", "scores"])
    assert not ends_in_suppression(before) and scores_model(detector(post_process=False)) is None
    assert np.prod(before.tensors[before.outputs[0]].shape) == 64
