"""Files that somebody named: regular ones only, names that no file can have, long names in file names."""

from __future__ import annotations

import errno
import os

import pytest

from harness.core.errors import UserInputError
from harness.core.faults import environment_error
from harness.core.files import exists, open_regular, short_name
from harness.core.located_yaml import load_yaml
from harness.tflite.graph import read_graph


@pytest.mark.parametrize("read", [open_regular, load_yaml, read_graph])
def test_a_pipe_is_refused_at_once_wherever_a_file_is_wanted(tmp_path, read):
    place = tmp_path / "pipe.tflite"
    os.mkfifo(place)
    with pytest.raises(UserInputError, match="is a pipe, expected a file.*write the content to a file"):
        read(place)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_name_that_no_file_can_have_is_not_there(tmp_path, name):
    assert not exists(tmp_path / name)
    with pytest.raises(UserInputError, match="cannot be read"):
        read_graph(tmp_path / name)


def test_long_names_are_cut_and_stay_different():
    one, two = short_name("a" * 240), short_name("a" * 239 + "b")
    assert len(one) == len(two) == 80 and one != two
    assert short_name("plain") == "plain"


@pytest.mark.parametrize(
    "number, words",
    [
        (errno.ENAMETOOLONG, "longer than a file's name can be"),
        (errno.ENOSPC, "no space left"),
        (errno.EROFS, "not permitted"),
        (errno.EIO, "the file system failed"),
    ],
)
def test_what_the_system_refuses_is_an_error_with_a_readable_place(number, words):
    error = environment_error(OSError(number, os.strerror(number), "/data/" + "x" * 300))
    assert error is not None and words in str(error)
    assert len(str(error)) < 300


def test_a_defect_keeps_its_traceback():
    assert environment_error(FileNotFoundError(errno.ENOENT, "gone", "x")) is None
