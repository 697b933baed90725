"""Finished models by what a user calls them: `FILE.tflite`, or `FILE.tflite#SIGNATURE` for one of several signatures.

A signature is cut out of its file into one of its own, which is then what is audited, measured, compared and shipped: same bytes
on every kind of board. Its hash is the artifact's; which file and signature it is of, with that file's hash, is a finding of it.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import HarnessError, UserInputError
from harness.core.files import read_regular, sha256_bytes, short_name, write_bytes_atomic
from harness.core.finding import Finding
from harness.core.formats import has_tflite_name
from harness.core.paths import cache_dir
from harness.workloads.keras.signature import split_signature

SUFFIX = ".tflite"
#: the finding of a signature that became a file of its own
CUT_OUT = "signature-cut-out"


@dataclass(frozen=True, kw_only=True)
class FinishedModel:
    """A .tflite as it runs.

    Attributes:
        path: of the file that runs: the user's own, or the one that the signature was cut into.
        source: the user's file.
        source_sha256: of `source`, where a signature was cut out of it; None where `path` is `source`.
        signature: the name that the user gave.
    """

    path: Path
    source: Path
    source_sha256: str | None = None
    signature: str | None = None

    def findings(self, sha256: str) -> tuple[Finding, ...]:
        """`signature-cut-out` (`CUT_OUT`), of a file that was made here.

        Args:
            sha256: of `path`.
        """
        if self.source_sha256 is None:
            return ()
        what = (
            f"what ran is signature '{self.signature}' alone, cut out of {self.source.name} (SHA-256 {self.source_sha256}) into "
            f"a file of its own (SHA-256 {sha256}), with the same nodes and weights"
        )
        return (Finding(code=CUT_OUT, severity="info", where="model", what=what),)


def is_finished(path: Path) -> bool:
    """Whether a path, with or without a signature behind it, is called like a .tflite."""
    return has_tflite_name(split_signature(path)[0])


def names_file(text: str) -> bool:
    """Whether an argument names a model's file, rather than a cell or a recipe."""
    path = Path(text).expanduser()
    return is_finished(path) or path.is_file()


def finished_model(path: Path) -> FinishedModel:
    """The file that stands for `FILE.tflite` or `FILE.tflite#SIGNATURE`: the user's own, where it has no other signature.

    Raises:
        UserInputError: with a signature: the file cannot be read, or has no such signature; names those that there are.
        UnsupportedError: tables that this harness cannot copy.
    """
    path = path.expanduser().absolute()
    source, name = split_signature(path)
    if name is None or not is_finished(path):
        return FinishedModel(path=path, source=path)
    try:
        data = read_regular(source)
    except (OSError, ValueError) as error:
        what = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        raise UserInputError(what, where=str(source)) from None
    sha256 = sha256_bytes(data)
    made = _cut(source, name, sha256, cache_dir())
    return FinishedModel(
        path=made or source, source=source, source_sha256=None if made is None else sha256, signature=name
    )


def model_stem(path: Path) -> str:
    """What a model is called: its file's stem, and the signature that is named behind it."""
    file, signature = split_signature(path)
    return file.stem if signature is None else f"{file.stem}-{signature}"


def plain_name(text: str) -> str:
    """A text in the characters of a test id and of a file name."""
    return short_name(re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "model")


@functools.lru_cache(maxsize=64)
def _cut(source: Path, name: str, sha256: str, cache: Path) -> Path | None:
    """The signature's own file, made once per process; None where the whole file is no more than it.

    What lies in the cache already is not believed: it is made again and replaced where it is not the same.

    Args:
        sha256: of what `source` holds now.
    """
    from harness.tflite.cut.signature import one_signature
    from harness.tflite.graph import read_graph

    graph = read_graph(source)
    if set(graph.signatures) == {name} and graph.signatures[name] == 0:
        return None
    try:
        data = one_signature(read_regular(source), name, description=f"signature '{name}' of the file {sha256}")
    except HarnessError as error:
        raise type(error)(error.what, where=str(source), hint=error.hint) from None
    stem = plain_name(f"{source.stem}-{name}")
    path = cache / "signatures" / f"{sha256[:16]}-{sha256_bytes(data)[:16]}" / f"{stem}{SUFFIX}"
    if not path.is_file() or read_regular(path) != data:
        write_bytes_atomic(path, data)
    return path
