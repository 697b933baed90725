"""The board's file system, put together from packages in a plain folder: nothing of the board runs on this machine."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.core.errors import MissingPartError, TransientDeviceError
from harness.core.pipes import piped
from harness.emulation.linux.keys import KeyPair, write_private
from harness.emulation.linux.spec import BOARD_PYTHON, EmulationSpec
from harness.emulation.tools import find_tool, run_tool

#: what a board is made of; apt adds what these depend on
PACKAGES = ("python3", "busybox-static", "libstdc++6", "libgomp1", "openssh-server")
#: names the kernel package of the day; cloud kernels have virtio and little else
KERNEL_META_PACKAGE = "linux-image-cloud-arm64"

#: address of the board in the network that only it and QEMU see (QEMU's default for user networks)
_ADDRESS = "10.0.2.15/24"
_TIMEOUT_S = 120.0
#: not needed on a board; a third of all files
_EXCLUDED = (
    "./usr/share/doc",
    "./usr/share/man",
    "./usr/share/locale",
    "./usr/share/lintian",
    "./usr/share/bug",
    "./usr/share/info",
    "./usr/lib/python3*/test",
    "./usr/lib/python3*/idlelib",
    "./usr/lib/python3*/lib2to3",
    "./usr/lib/python3*/pydoc_data",
    "./usr/lib/python3*/ensurepip",
    "./usr/lib/python3*/tkinter",
    "./usr/lib/systemd",
    "./lib/systemd",
)

_SSHD_CONFIG = """Port 22
HostKey /etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile /etc/ssh/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
PidFile none
X11Forwarding no
# A board gets little of a busy host's processor while its clock runs on, so no login may depend on that clock; and tries
# that the host gave up while the board booted count as logins under way.
LoginGraceTime 0
MaxStartups 200
Subsystem sftp internal-sftp
"""
_START = f"""#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/sshd
hostname -F /etc/hostname
ip link set lo up
ip addr add {_ADDRESS} dev eth0
ip link set eth0 up
"""
# -r: no exec per connection, which saves linking sshd anew at each login, a good part of a second under emulation
_INITTAB = """::sysinit:/etc/start
::respawn:/usr/sbin/sshd -D -e -r
::shutdown:/bin/umount -a -r
"""
#: removed before the board is saved, so that the first login after each start finds it missing
CLOCK_MARK = "/run/clock-set"
# A resumed board believes that it is still the day it was made, and its real-time clock knows better.
_SSHRC = f"""[ -e {CLOCK_MARK} ] && exit
: > {CLOCK_MARK}
hwclock -s -u
"""
#: applets of busybox that the start script, and a person who logs in, expect on PATH
_APPLETS = (
    "ash",
    "awk",
    "cat",
    "chmod",
    "chown",
    "clear",
    "cp",
    "cut",
    "date",
    "dd",
    "df",
    "dmesg",
    "du",
    "echo",
    "env",
    "find",
    "free",
    "grep",
    "gunzip",
    "gzip",
    "head",
    "hostname",
    "hwclock",
    "id",
    "ip",
    "kill",
    "killall",
    "less",
    "ln",
    "ls",
    "md5sum",
    "mkdir",
    "mktemp",
    "mount",
    "mv",
    "nproc",
    "ping",
    "poweroff",
    "ps",
    "pwd",
    "readlink",
    "reboot",
    "rm",
    "rmdir",
    "sed",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "stat",
    "sync",
    "tail",
    "tar",
    "tee",
    "test",
    "time",
    "timeout",
    "top",
    "touch",
    "tr",
    "true",
    "umount",
    "uname",
    "uptime",
    "usleep",
    "vi",
    "wc",
    "which",
    "whoami",
    "xargs",
)


def recipe() -> list[Any]:
    """Every text and list that a board's file system is made with: part of an image's key, so that no change is forgotten."""
    return [
        PACKAGES,
        KERNEL_META_PACKAGE,
        _EXCLUDED,
        _SSHD_CONFIG,
        _START,
        _INITTAB,
        _SSHRC,
        _APPLETS,
    ]


def unpack_debs(debs: Sequence[Path], root: Path) -> None:
    """Unpacks packages over each other, with /bin, /sbin and /lib merged into /usr as Debian does.

    Raises:
        MissingPartError: a package cannot be unpacked.
    """
    root.mkdir(parents=True, exist_ok=True)
    for name in ("bin", "sbin", "lib"):
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    for deb in debs:
        _extract(deb, root, [f"--exclude={pattern}" for pattern in _EXCLUDED])


def unpack_kernel(deb: Path, folder: Path) -> Path:
    """Takes the kernel and the modules that matter out of its package; returns the kernel's path."""
    folder.mkdir(parents=True, exist_ok=True)
    _extract(deb, folder, ["--wildcards", "./boot/vmlinuz-*", "*/virtio*.ko*", "*/failover.ko*", "*/net_failover.ko*"])
    kernels = sorted((folder / "boot").glob("vmlinuz-*"))
    if len(kernels) != 1:
        raise MissingPartError(f"expected one kernel in the package, found {len(kernels)}", where=deb.name)
    return kernels[0]


def configure(root: Path, spec: EmulationSpec, *, host_key: KeyPair, login_public_line: str) -> None:
    """Writes what makes the packages a board: accounts, start-up, the SSH server with its keys, and the spec's files."""
    etc = root / "etc"
    (etc / "ssh").mkdir(parents=True, exist_ok=True)
    for name, text in {
        "passwd": "root:*:0:0:root:/root:/bin/sh\nsshd:*:100:65534::/run/sshd:/bin/false\nnobody:*:65534:65534::/:/bin/false\n",
        "group": "root:*:0:\nnogroup:*:65534:\n",
        "hostname": "emulated\n",
        "hosts": "127.0.0.1 localhost emulated\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
        "inittab": _INITTAB,
        "start": _START,
        "ssh/sshd_config": _SSHD_CONFIG,
        "ssh/ssh_host_ed25519_key.pub": host_key.public_line + "\n",
        "ssh/authorized_keys": login_public_line + "\n",
        # With icount, time is counted, not told.
        **({} if spec.icount else {"ssh/sshrc": _SSHRC}),
    }.items():
        (etc / name).write_text(text)
        (etc / name).chmod(0o644)
    (etc / "start").chmod(0o755)
    # sshd trusts no file that others could have written, whatever this user's umask made of it.
    for folder in (root, etc, etc / "ssh"):
        folder.chmod(0o755)
    write_private(etc / "ssh/ssh_host_ed25519_key", host_key.private)
    for name in ("dev", "proc", "sys", "run", "root", "tmp", "var/tmp"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "root").chmod(0o700)
    (root / "tmp").chmod(0o1777)
    for applet in _APPLETS:
        link = root / "usr/bin" / applet
        if not link.is_symlink() and not link.exists():
            link.symlink_to("/usr/bin/busybox")
    (root / "sbin/init").unlink(missing_ok=True)
    (root / "sbin/init").symlink_to("/usr/bin/busybox")
    if os.geteuid() != 0:
        (etc / "own-all").touch()
    for file in spec.files:
        target = root / file.path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.source, target)
        target.chmod(0o755)


def packages_dir(root: Path) -> Path:
    """Where the board's Python looks for packages that are not Debian's."""
    return root / f"usr/local/lib/python{BOARD_PYTHON[0]}.{BOARD_PYTHON[1]}/dist-packages"


def can_compile() -> bool:
    """True when this Python writes the same bytecode as the board's; if not, the board compiles what it imports itself."""
    return sys.version_info[:2] == BOARD_PYTHON and importlib.util.MAGIC_NUMBER[2:] == b"\r\n"


def compile_bytecode(root: Path) -> None:
    """Compiles the board's Python files here: minutes under emulation, seconds without."""
    # Neither a file that does not compile (numpy carries templates) nor a slow machine matters: what the runtime needs is
    # imported on the board before it is saved, and compiled there if need be.
    folders = [root / f"usr/lib/python{BOARD_PYTHON[0]}.{BOARD_PYTHON[1]}", packages_dir(root)]
    command = [
        sys.executable,
        "-I",
        "-m",
        "compileall",
        "-qq",
        "-j",
        "2",
        "-s",
        str(root),
        "-p",
        "/",
        *map(str, folders),
    ]
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_S, check=False)


def make_disk(root: Path, disk: Path, size_mib: int) -> None:
    """An ext4 disk of the folder's content. Without a journal: every start has a fresh copy, there is nothing to recover."""
    run_tool(
        [
            "mke2fs",
            "-q",
            "-t",
            "ext4",
            "-O",
            "^has_journal,^metadata_csum",
            "-m",
            "0",
            "-E",
            "root_owner=0:0",
            "-L",
            "board",
            "-d",
            root,
            disk,
            f"{size_mib}M",
        ],
        "the disk of the emulated board could not be made",
        timeout_s=_TIMEOUT_S,
    )


def _extract(deb: Path, folder: Path, options: Sequence[str]) -> None:
    """dpkg-deb | tar, as two processes without a shell."""
    unpack = [find_tool("tar"), "-x", "-p", "--keep-directory-symlink", "--no-same-owner", "-C", str(folder), *options]
    with subprocess.Popen([find_tool("dpkg-deb"), "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as source:
        listing = piped(source.stdout)
        try:
            done = subprocess.run(
                unpack, stdin=listing, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            source.kill()
            raise TransientDeviceError(
                f"a package was not unpacked within {_TIMEOUT_S:.0f} s", where=str(deb)
            ) from None
        finally:
            listing.close()
    if source.returncode or done.returncode:
        detail = done.stderr.strip()[-500:] or f"exit status {source.returncode}"
        raise MissingPartError(f"a package could not be unpacked: {detail}", where=str(deb), hint="remove the file")
