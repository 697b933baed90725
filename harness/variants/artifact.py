"""The artifact: a built .tflite and its manifest, or the reason why the converter refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.core.errors import UnsupportedError
from harness.core.tensor import TensorIo

#: the recipe name of a finished .tflite: nobody quantized it here
AS_IS = "as-is"


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A built variant as it lies in the cache, content-addressed by `key`.

    Exactly one of `path` and `refused` is set. `manifest` is the JSON manifest as stored beside the file: provenance
    (package versions, weights, data, seed), reproducibility note, parameter counts, audit findings.
    """

    key: str
    workload: str
    recipe: str
    seed: int
    path: Path | None
    refused: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    inputs: tuple[TensorIo, ...] = ()
    outputs: tuple[TensorIo, ...] = ()
    manifest: dict[str, Any] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        """The built file, for whoever needs one: `path`, which a refused artifact does not have.

        Raises:
            UnsupportedError: the converter refused.
        """
        if self.path is None:
            raise self._without_file()
        return self.path

    @property
    def file_sha256(self) -> str:
        """Hex SHA-256 of `file`.

        Raises:
            UnsupportedError: the converter refused.
        """
        if self.sha256 is None:
            raise self._without_file()
        return self.sha256

    def _without_file(self) -> UnsupportedError:
        return UnsupportedError(
            f"there is no file: {self.refused or 'it was not built'}", where=f"{self.workload}/{self.recipe}"
        )
