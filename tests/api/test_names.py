"""`import harness`: cheap, and the names that it promises, in its table, in its stub and on its page."""

import ast
import inspect
import re
import subprocess
import sys
import types

import pytest

import harness
from tests.support.places import ROOT

PAGE = ROOT / "docs" / "reference" / "python-api.md"


def run_python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_importing_it_imports_no_library():
    heavy = "{'tensorflow', 'pandas', 'numpy', 'scipy', 'sqlalchemy', 'pydantic', 'click'}"
    assert run_python(f"import sys, harness; print(*{heavy} & set(sys.modules))") == []


def test_a_call_is_found_without_pandas_and_tensorflow():
    code = "import sys, harness; harness.load_run; harness.run; harness.recommend; harness.HarnessError; "
    assert run_python(code + "print(*{'tensorflow', 'pandas'} & set(sys.modules))") == []


def test_stub_and_table_name_the_same():
    tree = ast.parse((ROOT / "harness" / "__init__.pyi").read_text())
    stubs = {
        alias.asname: node.module
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    assert stubs == harness.CALLS


@pytest.mark.parametrize("name", sorted(harness.CALLS))
def test_every_name_is_there_and_documented(name):
    found = getattr(importlib_value(name), "__doc__", None)
    assert found and name in dir(harness)
    page = PAGE.read_text()
    assert re.search(rf"`(harness\.)?{name}\b", page), f"{name} is not on the page"


def importlib_value(name):
    import importlib

    return getattr(importlib.import_module(harness.CALLS[name]), name)


def test_a_room_of_the_name_of_a_call_is_both():
    from harness.run.options import RunOptions

    assert isinstance(harness.run, types.ModuleType) and harness.run.options.RunOptions is RunOptions
    assert harness.run.__doc__.startswith("Builds variants, runs them on devices")
    assert callable(harness.run) and "devices" in inspect.signature(harness.run).parameters
    with pytest.raises(harness.UserInputError, match="no device named"):
        harness.run("mnist-cnn", devices=())


def test_a_room_that_is_no_call_stays_a_package():
    import harness.core.errors

    assert not callable(harness.core)


def test_a_name_that_is_none_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'lode_run'"):
        _ = harness.lode_run


def test_every_argument_is_typed_and_every_call_says_what_it_raises_or_returns():
    for name in harness.CALLS:
        value = importlib_value(name)
        if inspect.isclass(value):
            continue
        signature = inspect.signature(inspect.unwrap(value))
        assert signature.return_annotation is not inspect.Signature.empty, name
        assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values()), name
