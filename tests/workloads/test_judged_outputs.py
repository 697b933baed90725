"""Which outputs of a model are judged, by what, and where their labels stand; what misleads is refused."""

from __future__ import annotations

import numpy as np
import pytest

from harness.core.errors import UserInputError
from harness.workloads.metrics.base import Ends
from harness.workloads.outputs import asked_metrics, built_position, joined, label_keys, output_name, position_of
from harness.workloads.user_metric import chosen_metrics

KIND = Ends(name="StatefulPartitionedCall_kind:0", units=3, places=1, squashed=True, squashed_by="softmax")
ANGLE = Ends(name="angle", units=1, places=1, squashed=False)
UNNAMED = Ends(name="", units=2, places=1, squashed=False)
OUTPUTS = (KIND, ANGLE, UNNAMED)


@pytest.fixture
def judged(tmp_path):
    """judged(asked, **arrays) -> what is judged, of four samples whose labels are given."""

    def choose(asked=None, **arrays):
        np.savez(tmp_path / "s.npz", x_test=np.zeros((4, 2), np.float32), **arrays)
        return chosen_metrics(tmp_path / "s.npz", OUTPUTS, asked)

    return choose


CLASSES, NUMBERS = np.array([0, 1, 2, 0]), np.array([0.5, 1.5, 2.5, 0.25], np.float32)


def test_names_of_outputs_are_those_a_reader_knows():
    assert [output_name(OUTPUTS, place) for place in range(3)] == ["kind", "angle", "2"]
    assert [position_of(OUTPUTS, name) for name in ("kind", "StatefulPartitionedCall_kind:0", "1", "2")] == [0, 0, 1, 2]
    with pytest.raises(UserInputError, match="unknown output 'angel'.*the model has kind, angle, 2"):
        position_of(OUTPUTS, "angel")
    assert output_name((ANGLE, ANGLE), 1) == "1"
    digits = tuple(Ends(name=f"StatefulPartitionedCall{end}:0", units=1, squashed=False) for end in ("_1", ""))
    assert position_of(digits, "1") == 1 and output_name(digits, 0) == "0"


def test_a_converter_may_order_outputs_otherwise_than_the_model():
    built = tuple(Ends(name=name, units=1, squashed=False) for name in ("output_1", "output_0"))
    assert [built_position(built, place) for place in range(2)] == [1, 0]
    assert [built_position(OUTPUTS, place) for place in range(3)] == [0, 1, 2]


def test_what_is_asked_for_each_output():
    asked = asked_metrics(joined(["kind=top-2", "rmse(unit=K)", "2=none"]))
    assert [(one.output, one.metric) for one in asked] == [("kind", "top-2"), (None, "rmse(unit=K)"), ("2", "none")]
    assert asked_metrics(None) == () and joined([]) is None
    for text, message in (("a b", "names no metric"), ("rmse; r2", "two metrics for one output.*OUTPUT=NAME"),
                          ("a=rmse; a=r2", "two metrics for the output 'a'")):  # fmt: skip
        with pytest.raises(UserInputError, match=message):
            asked_metrics(text)


def test_labels_are_found_by_the_outputs_name_or_its_position():
    assert label_keys(["y_test", "y_test_angle", "x_test"], "y_test", OUTPUTS) == {0: "y_test", 1: "y_test_angle"}
    assert label_keys(["y_test_2", "y_test_kind"], "y_test", OUTPUTS) == {0: "y_test_kind", 2: "y_test_2"}
    assert label_keys(["y", "y_test", "y_train", "y_val", "y_angle"], "y", OUTPUTS) == {0: "y", 1: "y_angle"}
    assert label_keys(["y_test", "y_test_more"], "y_test", (KIND,)) == {0: "y_test"}
    with pytest.raises(UserInputError, match="unknown output 'angel'"):
        label_keys(["y_test_angel"], "y_test", OUTPUTS)
    with pytest.raises(UserInputError, match="'y_test' and 'y_test_kind' are labels of one output"):
        label_keys(["y_test", "y_test_kind"], "y_test", OUTPUTS)


def test_every_output_with_labels_is_judged_by_what_it_asks_for(judged):
    found = judged(y_test=CLASSES, y_test_angle=NUMBERS)
    assert (found.metric.name, found.output, found.left_out) == ("top1", 0, ())
    assert [(one.output, one.name, one.metric.name) for one in found.further] == [(1, "angle", "mean_absolute_error")]
    alone = judged(y_test_angle=NUMBERS)
    assert (alone.metric.name, alone.output, alone.further) == ("mean_absolute_error", 1, ())


def test_metrics_are_taken_by_the_outputs_name_and_one_without_is_the_main_ones(judged):
    found = judged("f1; angle=rmse(unit=rad)", y_test=CLASSES, y_test_angle=NUMBERS)
    assert found.metric.name == "f1"
    assert (found.further[0].metric.name, found.further[0].metric.unit) == ("rmse", "rad")
    left = judged("kind=none; rmse", y_test=CLASSES, y_test_angle=NUMBERS)
    assert (left.metric.name, left.output, left.left_out) == ("rmse", 1, (0,))
    other = judged("rmse; kind=f1", y_test=CLASSES, y_test_angle=NUMBERS)
    assert (other.metric.name, other.further[0].metric.name) == ("f1", "rmse")
    assert judged("none").metric is None


@pytest.mark.parametrize(
    ("asked", "arrays", "message"),
    [
        ("angle=rmse", {"y_test": CLASSES}, "'rmse' of output 'angle' needs labels, and there is no array 'y_test_angle'"),
        ("rmse", {}, "needs labels, and there is no array 'y_test'"),
        ("angle=top1", {"y_test": CLASSES, "y_test_angle": NUMBERS}, "array 'y_test_angle'"),
        ("kind=rmse", {"y_test": CLASSES}, "'rmse' does not fit.*1 numbers per sample, the model gives 3.*fit: top1, f1"),
        ("rmse; kind=none", {"y_test": CLASSES}, "the metric 'rmse' is no output's"),
        ("wrist=rmse", {"y_test": CLASSES}, "unknown output 'wrist'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(judged, asked, arrays, message):
    with pytest.raises(UserInputError, match=message):
        judged(asked, **arrays)
