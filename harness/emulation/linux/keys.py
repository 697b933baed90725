"""Keys of one image: the board's host key, and the login key of the harness. Made here, used nowhere else."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class KeyPair:
    """An ed25519 key in OpenSSH's formats. `public_line` is `ssh-ed25519 BASE64`, without a comment."""

    private: bytes
    public_line: str


def new_key_pair() -> KeyPair:
    """A fresh ed25519 key without a passphrase."""
    # cryptography comes with paramiko.
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return KeyPair(private=private, public_line=public.decode("ascii"))


def write_private(path: Path, data: bytes) -> None:
    """Writes a file that only its owner can read, from its first byte on."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
