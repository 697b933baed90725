"""Parts of data: disjoint by content, the same every time, each class in proportion."""

import numpy as np
import pytest

from harness.core.errors import UserInputError
from harness.workloads.rows import InputRows
from harness.workloads.sources.parts import Part, Places
from harness.workloads.sources.split import contents, split, without_overlap


def samples(count=200, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    return Part(
        x=rng.random((count, 5), dtype=np.float32),
        y=np.arange(count) % classes,
        places=Places(key="x", total=count),
    )


def cut(whole, **shares):
    return split(whole, **{"test": 0.2, "calibration": 0.1, **shares}, strata=whole.y)


def test_parts_hold_every_sample_once_and_each_class_in_proportion():
    parts = cut(samples())
    assert {name: len(part.x) for name, part in parts.items()} == {"train": 144, "calibration": 16, "test": 40}
    assert all(set(np.bincount(part.y)) == {len(part.y) // 4} for part in parts.values())
    assert len({key for part in parts.values() for key in contents(part.x)}) == 200


def test_the_order_of_the_samples_changes_nothing():
    whole = samples()
    order = np.random.default_rng(3).permutation(200)
    ours, theirs = cut(whole), cut(whole.rows(order))
    assert {n: sorted(contents(p.x)) for n, p in ours.items()} == {n: sorted(contents(p.x)) for n, p in theirs.items()}


def test_equal_samples_stay_together():
    whole = samples(60)
    twice = Part(x=np.concatenate([whole.x] * 3), y=np.tile(whole.y, 3), places=Places(key="x", total=180))
    parts = cut(twice)
    keys = [set(contents(part.x)) for part in parts.values()]
    assert sum(map(len, keys)) == len(set().union(*keys)) == 60


def test_everything_is_tested_where_that_is_asked():
    assert list(cut(samples(), test=1.0)) == ["test"]


def test_one_sample_is_a_test_part():
    assert len(cut(samples(1))["test"].x) == 1


def parts_with(shared):
    train, test = samples(50), samples(30, seed=1)
    test.x[:shared] = train.x[:shared]
    test.places, train.places = [f"test/{i}.png" for i in range(30)], [f"train/{i}.png" for i in range(50)]
    return {"train": train, "test": test}


def test_an_overlap_is_an_error_that_names_the_samples():
    with pytest.raises(UserInputError) as caught:
        without_overlap(parts_with(5), overlap="error", where="data")
    assert "share 5 samples: test/0.png is train/0.png" in str(caught.value) and "and 2 more" in str(caught.value)
    assert 'overlap = "drop"' in str(caught.value)


def test_an_overlap_is_dropped_from_the_training_part():
    parts, dropped = without_overlap(parts_with(5), overlap="drop", where="data")
    assert (dropped, len(parts["train"].x), len(parts["test"].x)) == (5, 45, 30)
    assert not set(contents(parts["train"].x)) & set(contents(parts["test"].x))


def test_an_overlap_is_left_where_that_was_chosen():
    parts, dropped = without_overlap(parts_with(5), overlap="allow", where="data")
    assert (dropped, len(parts["train"].x)) == (0, 50)


def test_a_coarse_input_does_not_make_samples_of_a_finer_one_equal():
    coarse = np.zeros((1, 2), np.float16)
    parts = {
        name: Part(
            x=InputRows({"a": coarse, "b": np.array([[value]], np.float32)}), y=None, places=Places(key=name, total=1)
        )
        for name, value in (("train", 1.0001), ("test", 1.0002))
    }
    assert without_overlap(parts, overlap="error", where="x.npz")[1] == 0


def test_no_overlap_is_no_error_and_a_type_is_no_difference():
    parts = parts_with(0)
    assert without_overlap(parts, overlap="error", where="data") == (parts, 0)
    assert contents(np.array([[1, 0]], np.uint8)) == contents(np.array([[1.0, -0.0]], np.float32))


def test_a_training_part_that_is_the_test_part_leaves_nothing():
    part = samples(40)
    with pytest.raises(UserInputError, match="all samples of the train part"):
        without_overlap({"train": part, "test": part}, overlap="drop", where="data")


@pytest.mark.parametrize("types", [("f4", "f8"), ("f8", "f4"), ("f2", "f4"), ("f8", "f8")])
def test_a_sample_that_was_rounded_on_the_way_is_the_same_one(types):
    rng = np.random.default_rng(0)
    values = rng.random((40, 5))
    train, test = values[:30].astype(types[0]), np.concatenate([values[:2], rng.random((9, 5))]).astype(types[1])
    parts = {
        name: Part(x=x, y=None, places=Places(key=f"x_{name}", total=len(x)))
        for name, x in (("train", train), ("test", test))
    }
    with pytest.raises(UserInputError, match=r"share 2 samples: x_test\[0\] is x_train\[0\]"):
        without_overlap(parts, overlap="error", where="s.npz")
    _, dropped = without_overlap(parts | {"test": parts["test"].rows(np.arange(2, 11))}, overlap="error", where="s.npz")
    assert dropped == 0
