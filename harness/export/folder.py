"""The exported folder: it appears whole, by one rename, or not at all; only an export is ever replaced by another one."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness import __version__
from harness.core.errors import UserInputError
from harness.core.files import sha256_file
from harness.results.faults import storage_faults

#: what makes a folder an export
MANIFEST = "export.json"
_SCHEMA = 1


def require_place(folder: Path, *, force: bool) -> None:
    """Refuses, before anything is worked out, a place that cannot be written or holds something.

    Raises:
        UserInputError: it says what is in the way.
    """
    where = str(folder)
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UserInputError("is there and is no folder", where=where, hint="choose another name")
    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / MANIFEST).is_file():
            raise UserInputError(
                "holds something else than an export, which nothing here replaces",
                where=where,
                hint="choose a new or empty folder",
            )
        if not force:
            raise UserInputError(
                "is there already", where=where, hint="choose another folder, or replace it with --force"
            )
    holder = folder.parent
    if not holder.is_dir():
        raise UserInputError(f"there is no folder {holder}", where=where, hint=f"make it: mkdir -p {holder}")
    if not os.access(holder, os.W_OK | os.X_OK):
        raise UserInputError(f"the folder {holder} cannot be written", where=where, hint="choose another place")


@contextlib.contextmanager
def new_folder(folder: Path, *, force: bool) -> Iterator[Path]:
    """A folder beside `folder` that takes its place if the block ends well, and vanishes otherwise.

    Raises:
        UserInputError: as `require_place`.
        HarnessError: the disk is full.
    """
    require_place(folder, force=force)
    with storage_faults(folder, option="DIR"):
        making = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".tmp-{folder.name}-"))
        try:
            os.chmod(making, 0o755)
            yield making
            _take_place(making, folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)


def _take_place(making: Path, folder: Path) -> None:
    if not folder.exists():
        os.rename(making, folder)
        return
    old = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".tmp-{folder.name}-old-"))
    os.rename(folder, old / "export")
    try:
        os.rename(making, folder)
    except OSError:
        os.rename(old / "export", folder)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """A text file of the export, its folder made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_manifest(folder: Path, facts: Mapping[str, Any]) -> None:
    """`export.json`: what the export is, and every file's SHA-256. Written last."""
    files = {str(p.relative_to(folder)): sha256_file(p) for p in sorted(folder.rglob("*")) if p.is_file()}
    document = {"schema": _SCHEMA, "harness": __version__, **facts, "files": files}
    write_text(folder / MANIFEST, json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n")


def licence_text() -> str:
    """The licence of the harness, whose loader, runtime and kernels an export holds.

    Raises:
        UserInputError: the installation is not whole.
    """
    import importlib.metadata

    checkout = Path(__file__).resolve().parents[2] / "LICENSE"
    if checkout.is_file():
        return checkout.read_text(encoding="utf-8")
    text = importlib.metadata.distribution("tflite-hil-harness").read_text("licenses/LICENSE")
    if text is None:
        raise UserInputError("the licence's text is not there", hint="install the harness anew")
    return text
