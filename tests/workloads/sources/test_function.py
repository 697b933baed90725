"""Samples by a function, and arrays: what they may return, what is refused, and that nothing pickled is taken."""

import os

import numpy as np
import pytest

from harness.core.errors import UserInputError
from harness.workloads.registry import get_workload
from tests.support.sample_files import imported
from tests.support.tiny_model import float_mlp


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))


def module(tmp_path, body):
    (tmp_path / "mydata.py").write_text(
        f"import numpy as np\nx = np.arange(40.0).reshape(20, 2)\ny = np.arange(20) % 2\n{body}\n"
    )
    return tmp_path / "mydata:load"


@pytest.mark.parametrize(
    "returned",
    ["x, y", "{'x': x, 'y': y}", "{'x_test': x, 'y_test': y}", "((x[:0] + 1, y[:0]), (x, y))"],
)
def test_what_a_function_may_return(tmp_path, returned):
    path = module(tmp_path, f"def load():\n    return {returned}")
    if "x[:0]" in returned:
        with pytest.raises(UserInputError, match="array 'x_train'.*at least one sample"):
            imported(path, (2,), finished=True)
        return
    found, arrays = imported(path, (2,), finished=True)
    assert np.array_equal(arrays["x_test"], np.arange(40).reshape(20, 2)) and np.array_equal(
        arrays["y_test"], np.arange(20) % 2
    )
    assert found.note.startswith("mydata:load: mydata:load, 20 test")


def test_a_helper_beside_the_module_is_found_and_an_installed_module_is_not_taken(tmp_path):
    (tmp_path / "helper_of_mine.py").write_text("count = 20\n")
    (tmp_path / "json.py").write_text(
        "import numpy as np\nimport helper_of_mine\ndef load():\n    return np.ones((20, 2))\n"
    )
    found, arrays = imported(tmp_path / "json:load", (2,), finished=True)
    assert arrays["x_test"].shape == (20, 2)


def test_what_a_function_returns_is_read_anew(tmp_path):
    first, _ = imported(module(tmp_path, "def load():\n    return x, y"), (2,))
    again, _ = imported(module(tmp_path, "def load():\n    return x + 1, y"), (2,))
    assert first.path != again.path


@pytest.mark.parametrize(
    "body, words",
    [
        ("def other(): pass", "the module has no function 'load'"),
        ("load = 3", "the module has no function 'load'"),
        ("def load():\n    return 3", "returned int, no samples"),
        ("def load():\n    return None", "returned NoneType, no samples"),
        ("def load():\n    return {'images': x}", "has neither 'x_test' nor 'x'; found images"),
        ("def load():\n    return x, y[:5]", "array 'y' has 5 labels for 20 samples"),
        ("def load():\n    return x / 0 * 0, y", r"array 'x' has NaN or infinite values in 20 of 20 samples"),
        ("def load():\n    return np.array([{}, {}]), y", "'x' is an array of object, expected numbers"),
        ("def load():\n    return np.array(['a', 'b']), y", "'x' is an array of <U1, expected numbers"),
        ("def load():\n    raise KeyError('train')", r"raised KeyError: 'train' \(line 5 of mydata.py\)"),
        ("def load():\n    return np.ma.masked_less(x, 3), y", "'x' masks [0-9]+ values, and a model takes all"),
        ("import nothing_of_this_name", "does not import: ModuleNotFoundError: .*nothing_of_this_name"),
        ("def load(:", "does not import: SyntaxError"),
        ("import sys; sys.exit(3)", "does not import: SystemExit"),
        ("import sys\ndef load():\n    sys.exit(0)", "raised SystemExit: 0"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path, body, words):
    with pytest.raises(UserInputError, match=words) as caught:
        imported(module(tmp_path, body), (2,))
    assert str(tmp_path / "mydata.py") in str(caught.value)


def test_no_such_module(tmp_path):
    with pytest.raises(UserInputError, match="no such module.*write nothing.py"):
        imported(tmp_path / "nothing:load", (2,))


def test_a_strangers_project_chooses_no_code_to_run(tmp_path, monkeypatch):
    (tmp_path / "net.tflite").write_bytes(float_mlp())
    (tmp_path / "mydata.py").write_text(
        "import numpy as np\ndef load():\n    return np.random.default_rng(0).random((40, 4))\n"
    )
    (tmp_path / "harness.toml").write_text('[model]\npath = "net.tflite"\n[data]\npath = "mydata:load"\n')
    assert get_workload(str(tmp_path / "harness.toml")).metric is None
    mine = (tmp_path / "harness.toml").stat().st_uid
    monkeypatch.setattr("os.getuid", lambda: mine + 1)
    if mine == 0:  # what root wrote is trusted
        os.chown(tmp_path / "harness.toml", 12345, -1)
    with pytest.raises(UserInputError, match="belongs to another user.*--no-project"):
        get_workload(str(tmp_path / "harness.toml"))


def npz(tmp_path, **arrays):
    np.savez(tmp_path / "s.npz", **arrays)
    return tmp_path / "s.npz"


def test_channels_in_front_are_moved_where_the_project_says_so(tmp_path):
    x = np.arange(4 * 3 * 5 * 5).reshape(4, 3, 5, 5).astype(np.uint8)
    _, arrays = imported(npz(tmp_path, x_test=x), (5, 5, 3), preprocessing={"layout": "nchw"})
    assert np.array_equal(arrays["x_test"], x.transpose(0, 2, 3, 1))
    _, planes = imported(npz(tmp_path, x_test=x.reshape(4, 5, 5, 3)), (5, 5, 3), preprocessing={"layout": "planes"})
    assert np.array_equal(planes["x_test"], x.transpose(0, 2, 3, 1))
    turned = x.transpose(0, 3, 2, 1)
    _, back = imported(npz(tmp_path, x_test=turned), (5, 5, 3), preprocessing={"layout": "nwhc"})
    assert np.array_equal(back["x_test"], x.transpose(0, 2, 3, 1))
    with pytest.raises(UserInputError, match='layout = "nchw" is for images'):
        imported(npz(tmp_path, x_test=x.reshape(4, -1)), (75,), preprocessing={"layout": "nchw"})


def test_scales_of_file_and_project_follow_each_other(tmp_path):
    x = np.arange(20, dtype=np.float32).reshape(10, 2)
    path = npz(tmp_path, x_test=x, scale=2.0, offset=1.0)
    _, arrays = imported(path, (2,), preprocessing={"scale": 10.0, "offset": 5.0})
    assert (float(arrays["scale"]), float(arrays["offset"])) == (20.0, 15.0)


def test_scaled_values_of_the_inputs_own_integers_are_not_taken_for_its_own(tmp_path):
    x = np.arange(20, dtype=np.uint8).reshape(10, 2)
    _, arrays = imported(npz(tmp_path, x_test=x), (2,), dtype="uint8", finished=True, preprocessing={"scale": 0.5})
    assert arrays["x_test"].dtype == np.float32 and arrays["x_test"][9, 1] == 9.5 and "scale" not in arrays


def test_pickled_objects_are_refused_before_they_are_read(tmp_path):
    np.savez(tmp_path / "s.npz", x_test=np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    with pytest.raises(UserInputError, match="holds pickled Python objects"):
        imported(tmp_path / "s.npz", (2,))


def test_what_there_is_not(tmp_path):
    with pytest.raises(UserInputError, match="no such file or folder"):
        imported(tmp_path / "nothing.npz", (2,))


def test_what_a_function_prints_stays_off_stdout(tmp_path, capsys):
    imported(module(tmp_path, "print('importing')\ndef load():\n    print('loading')\n    return x, y"), (2,))
    said = capsys.readouterr()
    assert said.out == "" and "importing" in said.err and "loading" in said.err
