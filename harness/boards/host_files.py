"""Files and models of a cell that stay on this machine until a board wants them: for boards too small to keep any.

Microcontrollers have room for one model and one batch of samples, or hold their model in the firmware; what
`Board.ensure_file` promises is then that this machine knows where the file lies.
"""

from __future__ import annotations

from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np

from harness.core.errors import UserInputError


class Announced(Protocol):
    """A model with the hash by which a worker asks for it."""

    @property
    def sha256(self) -> str: ...


Model = TypeVar("Model", bound=Announced)


class HostFiles(Generic[Model]):
    """Where the files of one board's cells lie on this machine, and the model that the next cell is about.

    Args:
        where: the board's name, for errors.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._paths: dict[str, Path] = {}
        self._arrays: dict[str, np.ndarray] = {}
        self._model: Model | None = None

    def note(self, source: Path, sha256: str) -> None:
        """Remembers a file.

        Raises:
            UserInputError: there is no such file.
        """
        if not Path(source).is_file():
            raise UserInputError("there is no such file", where=str(source))
        self._paths[sha256] = Path(source)

    def announce(self, model: Model) -> None:
        """Tells what the next cell is about."""
        self._model = model

    def expected(self, sha256: str) -> Model:
        """The model of that hash that was announced.

        Raises:
            UserInputError: it was not announced.
        """
        if self._model is None or self._model.sha256 != sha256:
            raise UserInputError(f"no model of the hash {sha256[:12]} was announced", where=self._where)
        return self._model

    def samples(self, sha256: str) -> np.ndarray:
        """A file of samples, mapped: [N, ...] in the input's dtype.

        Raises:
            UserInputError: it is no .npy file.
        """
        if sha256 not in self._arrays:
            path = self._paths[sha256]
            try:
                self._arrays[sha256] = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise UserInputError(f"cannot be read as samples: {error}", where=str(path)) from error
        return self._arrays[sha256]

    def unmap(self) -> None:
        """Lets go of the mapped samples; they are mapped again when they are wanted."""
        self._arrays.clear()
