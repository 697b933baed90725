"""An emulated board for the tests: the image that the product itself uses, and one running board for the whole session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness.emulation.linux.aarch64 import RunningBoard
    from harness.emulation.linux.image import BoardImage

#: device-tree model of the i.MX 8M Plus EVK, as in Linux' imx8mp-evk.dts
MODEL = "NXP i.MX8MPlus EVK board"


@pytest.fixture(scope="session")
def board_image() -> BoardImage:
    """The image of an emulated board in the user's cache: made by the first test run, found by later ones."""
    from harness.emulation.linux.image import ensure_image
    from harness.emulation.linux.spec import EmulationSpec

    return ensure_image(EmulationSpec(model=MODEL))


@pytest.fixture(scope="session")
def emulated_board(board_image: BoardImage) -> Iterator[RunningBoard]:
    """A running board. Tests may write to it, under names of their own."""
    from harness.emulation.linux.aarch64 import start_image

    with start_image(board_image) as board:
        yield board


@pytest.fixture(scope="session")
def counting_board_image() -> BoardImage:
    """A board with the other runtime and with deterministic time."""
    from harness.emulation.linux.image import ensure_image
    from harness.emulation.linux.spec import EmulationSpec

    return ensure_image(EmulationSpec(runtime="ai-edge-litert==2.3.0", icount=True, model=MODEL))
