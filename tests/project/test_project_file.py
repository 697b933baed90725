"""`harness.toml`: found upward from a folder, read strictly, every complaint with file, line and key."""

from pathlib import Path

import pytest

from harness.core.errors import UserInputError
from harness.project.project import FILE_NAME, find_project, load_project, project_path


def written(folder: Path, text: str) -> Path:
    path = folder / FILE_NAME
    path.write_text(text)
    return path


def complaint(folder: Path, text: str) -> str:
    with pytest.raises(UserInputError) as caught:
        load_project(written(folder, text))
    return str(caught.value)


def test_the_nearest_file_upward_is_found(tmp_path):
    outer = written(tmp_path, '[model]\npath = "outer.keras"\n')
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert project_path(tmp_path / "a" / "b") == outer
    inner = written(tmp_path / "a", '[model]\npath = "inner.keras"\n')
    assert project_path(tmp_path / "a" / "b") == inner
    found = find_project(tmp_path / "a" / "b")
    assert found is not None and found.model == tmp_path / "a" / "inner.keras"


def test_a_folder_of_that_name_is_no_project(tmp_path):
    (tmp_path / FILE_NAME).mkdir()
    assert project_path(tmp_path) != tmp_path / FILE_NAME


def test_paths_start_from_the_file(tmp_path):
    project = load_project(written(tmp_path, '[model]\npath = "../net.h5"\n[data]\npath = "mine:load"\n'))
    assert project.model == tmp_path.parent / "net.h5"
    assert project.data == tmp_path / "mine:load"
    assert load_project(written(tmp_path, '[model]\npath = "/a/net.h5"\n')).model == Path("/a/net.h5")


@pytest.mark.parametrize(
    "text, place, words",
    [
        ('[model]\npath = "a"\nsignatur = "b"\n', "3:1", "unknown field 'model.signatur'; did you mean signature?"),
        ("# nothing\n", "1:1", "the field 'model' is missing"),
        ("[model]\npath = 3\n", "2:8", "model.path: found 3"),
        ('[model]\npath = "a"\n[run]\ndevices = "x"\n', "4:11", 'run.devices: found "x"; allowed: a list'),
        ('[model]\npath = "a"\n[run]\n# how long\nbudget = "8 minutes"\n', "5:10", '"8 minutes"; allowed: a duration'),
        ('[model]\npath = "a"\n[run]\ndevices = [\n "b",\n 3]\n', "4:11", "run.devices.1: found 3"),
        ('[model]\npath = "a"\n[preprocessing]\nscale = 0\n', "3:2", "a scale of 0 makes all samples the same"),
        ('[model]\npath = "a"\n[preprocessing]\nscale = inf\n', "4:9", "preprocessing.scale: found inf"),
        ('[model]\npath = "a"\n[run]\nsamples = 2026-01-01\n', "4:11", "run.samples: found a date"),
        ('version = 2\n[model]\npath = "a"\n', "1:11", "version: found 2; allowed: 1"),
        ('[model]\npath = "a"\n[data]\npath = "b"\ntest = 1.5\n', "5:8", "data.test: found 1.5; allowed: at most 1"),
        ("[model\n", "1:7", "is no TOML: Expected ']'"),
        ("[model]\npath = \n", "2:8", "is no TOML"),
    ],
)
def test_what_is_wrong_is_named_with_line_and_key(tmp_path, text, place, words):
    told = complaint(tmp_path, text)
    assert told.startswith(f"{tmp_path / FILE_NAME}:{place}: ")
    assert words in told


def test_every_problem_is_told_at_once(tmp_path):
    told = complaint(tmp_path, '[model]\npath = "a"\n[run]\nsamples = -1\nbudget = "soon"\nbackend = ["cpu"]\n')
    assert f"{FILE_NAME}:4:11: run.samples: found -1; allowed: at least 0" in told
    assert f'{FILE_NAME}:5:10: run.budget: found "soon"' in told
    assert f"{FILE_NAME}:6:1: unknown field 'run.backend'; did you mean backends?" in told


def test_no_text_and_no_file_at_all(tmp_path):
    (tmp_path / FILE_NAME).write_bytes(b'[model]\npath = "\xff"\n')
    with pytest.raises(UserInputError, match="harness.toml:2: is not UTF-8 text"):
        load_project(tmp_path / FILE_NAME)
    with pytest.raises(UserInputError, match="cannot be read: No such file"):
        load_project(tmp_path / "else.toml")


def test_a_file_of_megabytes_is_not_parsed(tmp_path):
    assert "larger than 64 KiB" in complaint(tmp_path, "# " + "x" * (70 << 10))
