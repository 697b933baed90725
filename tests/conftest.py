"""Shared set-up of the tests: each part of the project brings its fixtures in a file of its own."""

import os

import hypothesis
import pytest

from tests.support.selection import longest_first, mark_slow

_FIXTURES = (
    "session", "build", "audit", "boards", "results", "kernels", "devices", "emulation", "vela", "npu", "firmware", "serial",
    "plan", "mcu_board", "wrong", "keras3", "kinds", "server", "inputs",
)  # fmt: skip
pytest_plugins = [f"tests.support.fixtures_{name}" for name in _FIXTURES]

# A busy machine is no finding: no test asserts on wall-clock time, nor may a test tool in its place.
# The same examples every time, so that a run says the same of the same tree; HARNESS_FUZZ_S=8 looks for others.
hypothesis.settings.register_profile("harness", deadline=None, derandomize="HARNESS_FUZZ_S" not in os.environ)
hypothesis.settings.load_profile("harness")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="Leave out what tests/support/selection.py calls slow.")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    mark_slow(items)
    if config.getoption("fast"):
        slow = [item for item in items if item.get_closest_marker("slow") is not None]
        items[:] = [item for item in items if item.get_closest_marker("slow") is None]
        config.hook.pytest_deselected(items=slow)
    if "PYTEST_XDIST_WORKER" in os.environ:
        items[:] = longest_first(items)
