"""Facts as JSON values and back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from harness.core.plain import from_plain, to_plain


@dataclass(frozen=True, kw_only=True)
class Leaf:
    name: str
    kind: Literal["a", "b"] = "a"
    scale: float = 1.0
    count: int | None = None


@dataclass(kw_only=True, eq=False)
class Tree:
    leaves: tuple[Leaf, ...] = ()
    pair: tuple[int, str] = (0, "")
    values: np.ndarray | None = None
    several: tuple[np.ndarray, ...] = ()
    options: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None
    flag: bool = False


def there_and_back(tree: Tree) -> Tree:
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(to_plain(tree, arrays, "tree"), allow_nan=False)
    return from_plain(Tree, json.loads(text), arrays)


def test_what_went_there_comes_back():
    tree = Tree(
        leaves=(Leaf(name="x", kind="b", scale=0.1 + 0.2, count=3), Leaf(name="y")),
        pair=(7, "seven"),
        values=np.array([1, 2], dtype=np.int64),
        several=(np.zeros((2, 3), np.int8), np.ones(1, bool)),
        options={"$array": "a text of the user's"},
        facts={"nested": [{"a": None}, 1.5], "count": np.int64(4)},
        flag=True,
    )
    back = there_and_back(tree)
    assert (back.leaves, back.pair, back.options, back.flag) == (tree.leaves, tree.pair, tree.options, True)
    assert back.facts == {"nested": [{"a": None}, 1.5], "count": 4}
    assert back.values.dtype == np.int64 and back.values.tolist() == [1, 2]
    assert [a.dtype.name for a in back.several] == ["int8", "bool"] and back.several[0].shape == (2, 3)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_has_no_word_for_come_back(value):
    (leaf,) = there_and_back(Tree(leaves=(Leaf(name="x", scale=value),))).leaves
    assert repr(leaf.scale) == repr(value)


def test_a_path_of_this_machine_is_not_kept():
    assert there_and_back(Tree(path=Path("/some/where"))).path is None


def test_fields_of_a_later_harness_are_left_aside_and_those_of_an_earlier_one_take_their_defaults():
    assert from_plain(Leaf, {"name": "x", "colour": "red"}, {}) == Leaf(name="x")


@pytest.mark.parametrize(
    "data, where",
    [
        ({}, "Leaf: "),
        ({"name": 1}, "Leaf.name: found '1'"),
        ({"name": "x", "kind": "c"}, "Leaf.kind: found 'c'"),
        ({"name": "x", "scale": "wide"}, "Leaf.scale: found 'wide'"),
        ({"name": "x", "count": True}, "Leaf.count: found 'True'"),
        ({"name": "x", "count": [1]}, "Leaf.count: found"),
        ("x", "Leaf: found 'x'"),
    ],
)
def test_data_that_are_no_such_value_are_refused_with_their_place(data, where):
    with pytest.raises(ValueError, match=where.replace("[", r"\[")):
        from_plain(Leaf, data, {})


def test_a_missing_array_is_named():
    with pytest.raises(ValueError, match=r"Tree.values: the array tree.values is missing"):
        from_plain(Tree, {"values": {"$array": "tree.values"}}, {})


def test_what_cannot_be_kept_is_an_error_with_its_path():
    with pytest.raises(TypeError, match=r"tree.facts.odd: a set cannot be kept"):
        to_plain(Tree(facts={"odd": {1}}), {}, "tree")
