"""Tables: which column is the label, what a row holds, and which cell is wrong."""

import re

import numpy as np
import pytest

from harness.core.errors import UserInputError
from tests.support.sample_files import imported


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))


def table(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def rows(count=20, label=lambda n: ("a", "b")[n % 2]):
    return "".join(f"{n},{n / 2},{-n},{label(n)}\n" for n in range(count))


def test_texts_are_classes_and_rows_are_samples(tmp_path):
    found, arrays = imported(table(tmp_path, "u,v,w,species\n" + rows()), (3,), finished=True)
    assert found.classes == ("a", "b")
    assert arrays["x_test"].dtype == np.float32
    assert np.array_equal(arrays["x_test"], [[n, n / 2, -n] for n in range(20)])
    assert np.array_equal(arrays["y_test"], np.arange(20) % 2)
    assert found.evidence["data.label"] == "'species' is the one column of texts"


def test_the_order_of_texts_can_be_given(tmp_path):
    path = table(tmp_path, "u,v,w,species\n" + rows())
    _, arrays = imported(path, (3,), finished=True, data={"classes": ["b", "a"]})
    assert np.array_equal(arrays["y_test"], 1 - np.arange(20) % 2)
    with pytest.raises(UserInputError, match="holds 'a', which data.classes does not name"):
        imported(path, (3,), data={"classes": ["b", "c"]})


def test_a_row_takes_the_shape_of_the_models_input(tmp_path):
    text = "label," + ",".join(f"p{n}" for n in range(4)) + "\n" + "".join(f"{n % 2},{n},1,2,3\n" for n in range(9))
    _, arrays = imported(table(tmp_path, text), (2, 2), finished=True)
    assert np.array_equal(arrays["x_test"][8], [[8, 1], [2, 3]]) and arrays["y_test"].dtype == np.int64


def test_numbers_to_be_met_stay_numbers(tmp_path):
    found, arrays = imported(table(tmp_path, "a,b,c,target\n" + rows(label=lambda n: n / 4)), (3,), finished=True)
    assert found.classes == () and arrays["y_test"].dtype == np.float32 and arrays["y_test"][3] == 0.75


def test_a_column_may_say_the_part(tmp_path):
    lines = "".join(f"{n},{n % 2},{'test' if n < 6 else 'train'}\n" for n in range(30))
    found, arrays = imported(table(tmp_path, "a,label,split\n" + lines), (1,))
    assert found.counts == {"train": 22, "calibration": 2, "test": 6} and not found.split
    assert sorted(arrays["x_test"][:, 0]) == [0, 1, 2, 3, 4, 5]


def test_semicolons_tabs_and_a_byte_order_mark(tmp_path):
    for name, sep in (("s.csv", ";"), ("t.tsv", "\t")):
        text = "\ufeff" + ("a,b,c,label\n" + rows(label=lambda n: n % 2)).replace(",", sep)
        _, arrays = imported(table(tmp_path, text, name), (3,), finished=True)
        assert arrays["x_test"].shape == (20, 3)


def test_columns_can_be_chosen(tmp_path):
    text = "id,a,b,label\n" + "".join(f"s{n},{n},{-n},{n % 2}\n" for n in range(8))
    with pytest.raises(UserInputError, match="has 3 columns of numbers beside the label 'label', the model takes 2"):
        imported(table(tmp_path, text), (2,))
    _, arrays = imported(table(tmp_path, text), (2,), finished=True, data={"features": ["b", "a"]})
    assert np.array_equal(arrays["x_test"][3], [-3, 3])


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "is empty"),
        ("a,b,label\n", "has names and no rows"),
        ("1,2,3\n4,5,6\n", "has no line of names on top"),
        ("a,b,label\n1,2,0\n3,,1\n", "row 3, column 'b': found an empty cell"),
        ("a,b,label\n1,2,0\n3,x,1\n", "row 3, column 'b': found 'x', expected a number"),
        ("a,b,label\n1,inf,0\n3,1,1\n", "row 2, column 'b': found inf"),
        ("a,b,label\n1,2,0\n3,1,\n", "row 3, column 'label': no label"),
        ("a,b,label\n1,2,0\n3,1,1,7,8\n", "is no table that can be read"),
        ("a,a,label\n1,2,0\n", "has two columns 'a'"),
        ("a;b;label\n1,5;2;0\n", "found '1,5', expected a number (write numbers with a point"),
        ('a,b,label\n"1,000.5",2,0\n', "found '1,000.5', expected a number (write numbers with a point"),
        ("a,b,label,split\n1,2,0,train\n3,1,1,tset\n", "row 3, column 'split': found 'tset', expected train"),
        ("a,b,label,split\n1,2,0,train\n3,1,1,train\n", "a table of 2 columns has no test part, only train"),
        ("a,b,c\n1,2,3\n4,5,6\n", "does not say which column holds the labels: a, b, c"),
    ],
)
def test_what_is_wrong_is_named_with_row_and_column(tmp_path, text, words):
    with pytest.raises(UserInputError, match=re.escape(words)) as caught:
        imported(table(tmp_path, text), (2,) if "c\n" not in text else None)
    assert str(tmp_path / "t.csv") in str(caught.value)


def test_a_binary_file_is_no_table(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"a,b\n\0\0\0")
    with pytest.raises(UserInputError, match="is no text"):
        imported(tmp_path / "t.csv", (2,))


def test_an_unknown_column_is_told_with_those_there_are(tmp_path):
    path = table(tmp_path, "a,b,label\n1,2,0\n")
    with pytest.raises(UserInputError, match="unknown column 'lable'.*the columns are a, b, label"):
        imported(path, (2,), data={"label": "lable"})
