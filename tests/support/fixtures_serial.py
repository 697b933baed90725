"""Fixtures of the serial protocol's tests: the board's end, compiled for this machine."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import pytest

from tests.support.serial_host import Board, load_library


@pytest.fixture(scope="session")
def serial_library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return load_library(tmp_path_factory.mktemp("serial"))


@pytest.fixture
def serial_board(serial_library: ctypes.CDLL) -> Iterator[Board]:
    board = Board(serial_library)
    yield board
    board.close()
