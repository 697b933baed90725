"""The first thing the emulated kernel runs: busybox, the virtio modules, and a script that mounts the disk.

Written as a newc cpio archive (Linux: Documentation/driver-api/early-userspace/buffer-format.rst), so that neither cpio nor
root is needed. Not compressed: unpacking costs more under emulation than reading.
"""

from __future__ import annotations

import lzma
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from harness.core.errors import MissingPartError

#: everything the board's disk, network and random numbers need; built into some kernels, so a missing file is no error
MODULES = ("virtio_mmio", "virtio_blk", "virtio_net", "virtio_rng")

INIT = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in {modules}; do /bin/busybox insmod /modules/$module.ko; done
tries=0
while ! /bin/busybox test -b /dev/vda; do
  tries=$((tries + 1))
  if /bin/busybox test $tries -gt 500; then echo "no disk"; exec /bin/busybox poweroff -f; fi
  /bin/busybox usleep 10000
done
/bin/busybox mount -t ext4 -o rw,noatime /dev/vda /root
# Without root, the maker of the image could only give files to itself.
if /bin/busybox test -e /root/etc/own-all; then
  /bin/busybox chown -Rh 0:0 /root
  /bin/busybox rm /root/etc/own-all
fi
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /sbin/init
"""


def build_initrd(kernel_tree: Path, busybox: Path) -> bytes:
    """The archive.

    Args:
        kernel_tree: unpacked kernel package.
        busybox: statically linked busybox of the board's architecture.

    Raises:
        MissingPartError: a module needs another one that is not in the package.
    """
    modules = _load_order(kernel_tree)
    entries: list[tuple[str, int, bytes]] = [
        *((name, stat.S_IFDIR | 0o755, b"") for name in ("bin", "dev", "modules", "root")),
        ("bin/busybox", stat.S_IFREG | 0o755, busybox.read_bytes()),
        *((f"modules/{name}.ko", stat.S_IFREG | 0o644, data) for name, data in modules.items()),
        ("init", stat.S_IFREG | 0o755, INIT.format(modules=" ".join(modules)).encode()),
    ]
    return cpio_newc(entries)


def cpio_newc(entries: Iterable[tuple[str, int, bytes]]) -> bytes:
    """A newc archive of (name, mode, content), all owned by root. A console device is added: init needs its streams."""
    out = bytearray()
    numbered = [*entries, ("dev/console", stat.S_IFCHR | 0o600, b""), ("TRAILER!!!", 0, b"")]
    for inode, (name, mode, data) in enumerate(numbered, start=1):
        device = (5, 1) if stat.S_ISCHR(mode) else (0, 0)
        links = 2 if stat.S_ISDIR(mode) else 1
        encoded = name.encode() + b"\0"
        fields = (inode, mode, 0, 0, links, 0, len(data), 0, 0, *device, len(encoded), 0)
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        out += b"\0" * (-len(out) % 4) + data
        out += b"\0" * (-len(out) % 4)
    return bytes(out)


def _load_order(kernel_tree: Path) -> dict[str, bytes]:
    """The modules and what they depend on, dependencies first."""
    files = {_plain(path): path for path in kernel_tree.rglob("*.ko*")}
    order: dict[str, bytes] = {}

    def visit(name: str, needed_by: str) -> None:
        if name in order:
            return
        if name not in files:
            raise MissingPartError(f"the kernel module {name}, which {needed_by} needs, is not in the kernel package")
        data = files[name].read_bytes()
        if files[name].suffix == ".xz":
            data = lzma.decompress(data)
        found = re.search(rb"(?:^|\0)depends=([^\0]*)\0", data)
        for dependency in (found[1].decode() if found else "").split(","):
            if dependency:
                visit(dependency.replace("-", "_"), name)
        order[name] = data

    for name in MODULES:
        if name in files:
            visit(name, "the board")
    return order


def _plain(path: Path) -> str:
    return path.name.split(".", 1)[0].replace("-", "_")
