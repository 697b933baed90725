"""Downloads a public dataset when, and only when, the user asks for it: checked against a pinned hash, atomic, no pickle."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import numpy as np

from harness import __version__
from harness.core.errors import HarnessError, UserInputError, unknown_name
from harness.core.files import CHUNK_BYTES, write_arrays_atomic
from harness.workloads.datasets import CIFAR10, MNIST, Published, fetched_dir, read_published

_TIMEOUT_S = 30.0
_MAX_BYTES = 1 << 30
#: called with (bytes so far, bytes in total or None)
OnProgress = Callable[[int, int | None], None]


@dataclass(frozen=True, kw_only=True)
class Remote:
    """Where a dataset lives in public, and the SHA-256 its publishers or long use have established."""

    dataset: Published
    url: str
    sha256: str
    form: Literal["npz", "cifar-binary"]
    size_text: str


REMOTES = {
    # The URL and file_hash of keras.datasets.mnist.load_data.
    "mnist": Remote(
        dataset=MNIST,
        form="npz",
        size_text="11 MB",
        url="https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
        sha256="731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
    ),
    # The "binary version" of the CIFAR-10 page (MD5 c32a1d4ab5d03f1284b67883e8d87530), 170,052,171 bytes. The python
    # version that Keras loads is pickled, and pickles are never loaded.
    "cifar10": Remote(
        dataset=CIFAR10,
        form="cifar-binary",
        size_text="170 MB",
        url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What a fetch did: the dataset's file, and whether it was there before."""

    path: Path
    was_there: bool


def fetch_dataset(
    name: str,
    *,
    url: str | None = None,
    sha256: str | None = None,
    folder: Path | None = None,
    force: bool = False,
    on_progress: OnProgress | None = None,
) -> Fetched:
    """Downloads a dataset and puts it as NAME.npz where `DataSource` finds it.

    Args:
        name: `mnist` or `cifar10`.
        url: a mirror instead of the public home; the file must be the same, or `sha256` must say what it is.
        sha256: the expected hash instead of the pinned one.
        folder: instead of the harness' cache.
        force: download also when the file is there.

    Raises:
        UserInputError: unknown dataset, no http(s) URL, or a download that is not the expected file.
        HarnessError: no network, a server's refusal, no space.
    """
    if name not in REMOTES:
        raise unknown_name("dataset", name, REMOTES)
    remote = REMOTES[name]
    expected = (sha256 or remote.sha256).lower()
    if len(expected) != 64 or set(expected) - set("0123456789abcdef"):
        raise UserInputError(f"'{sha256}' is no SHA-256", hint="give 64 hexadecimal digits")
    target = (folder or fetched_dir()) / f"{name}.npz"
    if target.is_file() and not force:
        read_published(target, remote.dataset)
        return Fetched(path=target, was_there=True)
    address = url or remote.url
    if not address.lower().startswith(("http://", "https://")):
        raise UserInputError(f"'{address}' is no http or https address", hint="a file of your own goes into --data-dir")
    try:
        _download_to(target, remote, address, expected, on_progress)
    except OSError as error:
        what = f"cannot be written ({error.strerror or error})"
        hint = "free some space, or name another folder by --to or HARNESS_CACHE_DIR"
        raise HarnessError(what, where=str(target), hint=hint) from error
    return Fetched(path=target, was_there=False)


def _download_to(target: Path, remote: Remote, address: str, sha256: str, on_progress: OnProgress | None) -> None:
    """Downloads beside `target`, checks, converts, and only then gives the result its name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".tmp-{target.name}.part")
    try:
        with open(part, "w+b") as file:
            got = _download(address, file, target, on_progress)
            if got != sha256:
                raise UserInputError(
                    f"the download has SHA-256 {got}, expected {sha256}",
                    where=address,
                    hint="the server sent another file: try again, or give --sha256 if this version is the one you want",
                )
            file.flush()
            os.fsync(file.fileno())
            if remote.form == "cifar-binary":
                file.seek(0)
                arrays = read_cifar_binary(file, where=address)
                write_arrays_atomic(target, arrays)
                return
        try:
            read_published(part, remote.dataset)
        except UserInputError as error:
            raise UserInputError(f"the download {error.what}", where=address, hint=error.hint) from error
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def _download(address: str, file: IO[bytes], target: Path, on_progress: OnProgress | None) -> str:
    """Streams `address` into `file`; returns the hex SHA-256 of what came."""
    import http.client
    import urllib.error
    import urllib.request

    request = urllib.request.Request(address, headers={"User-Agent": f"tflite-hil-harness/{__version__}"})
    hint = f"check the network; or download it elsewhere and put it at {target}, or into the folder of --data-dir"
    digest, count = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
            length = response.headers.get("Content-Length")
            total = int(length) if length and length.isdigit() else None
            while chunk := response.read(CHUNK_BYTES):
                count += len(chunk)
                if count > _MAX_BYTES:
                    raise UserInputError("the server sends more than 1 GiB", where=address)
                digest.update(chunk)
                _write(file, chunk, target)
                if on_progress:
                    on_progress(count, total)
    except urllib.error.HTTPError as error:
        raise HarnessError(f"the server answered {error.code} {error.reason}", where=address, hint=hint) from error
    except (OSError, http.client.HTTPException) as error:  # URLError, timeouts and TLS errors are OSErrors
        reason = getattr(error, "reason", None) or error
        raise HarnessError(f"cannot be downloaded ({reason})", where=address, hint=hint) from error
    if total is not None and count != total:
        raise HarnessError(f"the download ended after {count:,} of {total:,} bytes", where=address, hint="try again")
    return digest.hexdigest()


def _write(file: IO[bytes], chunk: bytes, target: Path) -> None:
    """Writes, and tells a full disk from a broken connection: both are OSError."""
    try:
        file.write(chunk)
    except OSError as error:
        hint = "free some space, or name another folder by --to or HARNESS_CACHE_DIR"
        raise HarnessError(f"cannot be written ({error.strerror})", where=str(target), hint=hint) from error


def read_cifar_binary(file: IO[bytes], *, where: str) -> dict[str, np.ndarray]:
    """Reads the binary version of CIFAR-10 (.tar.gz) without unpacking or unpickling.

    Each record is one label byte and 3,072 pixel bytes: 1,024 red, 1,024 green, 1,024 blue, row by row (the CIFAR-10
    page, "Binary version").

    Returns:
        `x_*`: uint8 [N, 32, 32, 3]; `y_*`: uint8 [N].

    Raises:
        UserInputError: not that archive, or damaged.
    """
    import tarfile

    batches: dict[str, list[np.ndarray]] = {"train": [], "test": []}
    wanted = {f"data_batch_{i}.bin": "train" for i in range(1, 6)} | {"test_batch.bin": "test"}
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=file, mode="r:gz") as archive:
            for member in archive:
                name = member.name.rpartition("/")[2]
                if name in wanted and member.isfile() and member.size <= 100 << 20:
                    found[name] = archive.extractfile(member).read()  # type: ignore[union-attr]
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise UserInputError(f"is not a .tar.gz archive that can be read ({error})", where=where) from error
    for name, part in wanted.items():
        data = found.get(name, b"")
        if not data or len(data) % 3073:
            what = f"'{name}' is missing" if not data else f"'{name}' is not made of 3,073-byte records"
            raise UserInputError(what, where=where, hint="the binary version (cifar-10-binary.tar.gz) is wanted")
        batches[part].append(np.frombuffer(data, dtype=np.uint8).reshape(-1, 3073))
    arrays: dict[str, np.ndarray] = {}
    for part, records in batches.items():
        table = np.concatenate(records)
        if table[:, 0].max() > 9:
            raise UserInputError(f"holds the label {table[:, 0].max()}, expected 0..9", where=where)
        arrays[f"x_{part}"] = np.ascontiguousarray(table[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        arrays[f"y_{part}"] = np.ascontiguousarray(table[:, 0])
    return arrays
