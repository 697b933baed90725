"""Fixtures of the tests around `wrong`: runtimes of this machine that run any model, and small networks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.host_runtime import HostRuntime


@pytest.fixture(scope="session")
def litert(litert_python: str) -> Iterator[HostRuntime]:
    """LiteRT 2.3.0."""
    with HostRuntime(litert_python) as runtime:
        yield runtime


@pytest.fixture(scope="session")
def tflite_runtime(tflite_python: str) -> Iterator[HostRuntime]:
    """tflite-runtime 2.14.0."""
    with HostRuntime(tflite_python) as runtime:
        yield runtime
