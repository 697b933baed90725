"""Arrays by content: stored once, checked on every read, whole or not there."""

from __future__ import annotations

import resource

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from harness.core.errors import HarnessError, UserInputError
from harness.results.faults import CorruptStoreError
from harness.results.objects import ObjectStore

_DTYPES = hnp.integer_dtypes() | hnp.unsigned_integer_dtypes() | hnp.floating_dtypes() | hnp.boolean_dtypes()


@pytest.fixture
def objects(tmp_path):
    return ObjectStore(tmp_path)


@pytest.fixture(scope="module")
def shared_objects(tmp_path_factory):
    return ObjectStore(tmp_path_factory.mktemp("objects"))


@settings(max_examples=60, deadline=None)
@given(array=hnp.arrays(_DTYPES, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)))
def test_any_array_comes_back_with_its_shape_and_type(shared_objects, array):
    again = shared_objects.get_array(shared_objects.put_array(array))
    assert again.dtype == array.dtype and again.shape == array.shape
    assert again.tobytes() == array.tobytes()


@settings(max_examples=20, deadline=None)
@given(names=st.lists(st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True), min_size=1, max_size=4, unique=True))
def test_named_arrays_come_back_under_their_names(shared_objects, names):
    arrays = {name: np.full(3, position, np.int8) for position, name in enumerate(names)}
    again = shared_objects.get_arrays(shared_objects.put_arrays(arrays))
    assert sorted(again) == sorted(names)
    assert all(np.array_equal(again[name], arrays[name]) for name in names)


def test_equal_arrays_are_stored_once(objects):
    first = objects.put_array(np.arange(1000))
    assert objects.put_array(np.arange(1000)) == first
    assert len([p for p in objects.root.rglob("*") if p.is_file()]) == 1


def test_the_layout_in_memory_does_not_change_the_name(objects):
    array = np.arange(12).reshape(3, 4)
    assert objects.put_array(np.asfortranarray(array)) == objects.put_array(array)


@pytest.mark.parametrize("other", [np.arange(6, dtype=np.int32), np.arange(6).reshape(2, 3), np.arange(7)])
def test_another_type_shape_or_content_is_another_object(objects, other):
    assert objects.put_array(np.arange(6)) != objects.put_array(other)


def test_numpy_alone_can_read_an_object(objects):
    sha256 = objects.put_arrays({"output_0": np.eye(2)})
    with np.load(objects.path(sha256), allow_pickle=False) as archive:
        assert np.array_equal(archive["output_0"], np.eye(2))


def test_an_object_lies_where_its_name_says(objects, tmp_path):
    sha256 = objects.put_array(np.zeros(3))
    assert objects.path(sha256) == tmp_path / "objects" / sha256[:2] / f"{sha256}.npz"


def test_python_objects_are_refused(objects):
    with pytest.raises(ValueError, match="[Oo]bject"):
        objects.put_array(np.array([{"a": 1}], dtype=object))
    assert not objects.root.exists()


@pytest.mark.parametrize("name", ["../evil", "", "a/b", ".hidden"])
def test_a_name_that_is_a_path_is_refused(objects, name):
    with pytest.raises(ValueError, match="cannot name an array"):
        objects.put_arrays({name: np.zeros(1)})


def test_an_unknown_object_says_where_it_should_be(objects):
    with pytest.raises(UserInputError, match="no stored object 0{12}.*copy results/objects/"):
        objects.get_array("0" * 64)


@pytest.mark.parametrize("sha256", ["", "../../etc/passwd", "A" * 64, "0" * 63])
def test_what_is_no_hash_is_never_looked_up(objects, sha256):
    with pytest.raises(UserInputError, match="not the SHA-256"):
        objects.get_array(sha256)


def _truncate(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _flip(data: bytes) -> bytes:
    middle = len(data) // 3
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


@pytest.mark.parametrize("damage", [_truncate, _flip, lambda data: b"", lambda data: b"PK not a zip at all"])
def test_a_damaged_object_is_an_error_and_heals_when_put_again(objects, damage):
    array = np.random.default_rng(0).integers(0, 255, 5000, dtype=np.uint8)
    sha256 = objects.put_array(array)
    path = objects.path(sha256)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CorruptStoreError, match="is damaged.*run the cell again"):
        objects.get_array(sha256)
    assert objects.put_array(array) == sha256
    assert np.array_equal(objects.get_array(sha256), array)


def test_an_object_under_another_objects_name_is_found_out(objects):
    first, second = objects.put_array(np.zeros(3)), objects.put_array(np.ones(3))
    objects.path(first).write_bytes(objects.path(second).read_bytes())
    with pytest.raises(CorruptStoreError, match="does not match its name"):
        objects.get_array(first)


def test_a_full_disk_leaves_no_part_of_a_file(objects):
    noise = np.random.default_rng(0).integers(0, 255, 200_000, dtype=np.uint8)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(HarnessError, match="no space left"):
            objects.put_array(noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [p for p in objects.root.rglob("*") if p.is_file()] == []
    assert np.array_equal(objects.get_array(objects.put_array(noise)), noise)


def test_several_arrays_are_not_taken_for_one(objects):
    sha256 = objects.put_arrays({"a": np.zeros(1), "b": np.zeros(1)})
    with pytest.raises(HarnessError, match="holds the arrays a, b"):
        objects.get_array(sha256)


def test_a_json_value_comes_back_and_equal_ones_are_one_object(objects):
    value = {"outputs": [{"name": "probs", "scale": 0.00390625, "zero_point": -128}], "labels": None}
    name = objects.put_json(value)
    assert objects.get_json(name) == value
    assert objects.put_json(dict(reversed(value.items()))) == name
    with pytest.raises(HarnessError, match="holds no JSON value"):
        objects.get_json(objects.put_array(np.arange(3)))
