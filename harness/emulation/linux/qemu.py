"""QEMU's command line for a board. The same devices in the same order at build, boot and resume: migration needs that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.emulation.linux.spec import EmulationSpec

#: 2 ns per instruction while it computes, the host's own time while it idles. Not `sleep=off`: an idle guest's clock then
#: leaps to its next timer, so that seconds pass in it while it waits for a disk block or for its SSH client, and every limit
#: that counts on its clock runs out (measured: 1,900 guest seconds per idle second, 270 in the reading of 200 MiB).
ICOUNT = "shift=1,sleep=on,align=off"
#: the guest's console goes to this file of the run's folder
CONSOLE_LOG = "console.log"


@dataclass(frozen=True, kw_only=True)
class BootFiles:
    """What a board starts from. `device_tree` None leaves QEMU's own."""

    disk: Path
    kernel: Path
    initrd: Path
    device_tree: Path | None


def machine_arguments(spec: EmulationSpec) -> list[str]:
    """The part that makes the device tree: machine, CPU, memory."""
    return ["-M", "virt,gic-version=2", "-cpu", spec.cpu, "-smp", str(spec.cpus), "-m", str(spec.memory_mib)]


def board_arguments(spec: EmulationSpec, files: BootFiles, *, run_dir: Path, qmp_fd: int, pristine: bool) -> list[str]:
    """All arguments of a board, without the program's name.

    Args:
        run_dir: where the console log goes.
        qmp_fd: QEMU's end of the control socket.
        pristine: writes go to a temporary overlay and are gone at the end; False only while an image is made.
    """
    # Loopback names one port of the kernel's choice; `info usernet` tells which.
    net = "user,id=net0,restrict=on,ipv6=off,hostfwd=tcp:127.0.0.1:0-:22"
    drive = f"if=none,id=disk0,format=raw,cache=unsafe,discard=unmap,file={option_value(files.disk)}"
    return [
        *machine_arguments(spec),
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        *(("-icount", ICOUNT) if spec.icount else ()),
        "-kernel",
        str(files.kernel),
        "-initrd",
        str(files.initrd),
        *(("-dtb", str(files.device_tree)) if files.device_tree else ()),
        "-append",
        "console=ttyAMA0 loglevel=4 panic=-1 random.trust_bootloader=on rdinit=/init",
        "-drive",
        drive + (",snapshot=on" if pristine else ""),
        "-device",
        "virtio-blk-device,drive=disk0",
        "-netdev",
        net,
        "-device",
        "virtio-net-device,netdev=net0",
        "-object",
        "rng-random,id=rng0,filename=/dev/urandom",
        "-device",
        "virtio-rng-device,rng=rng0",
        "-serial",
        f"file:{run_dir / CONSOLE_LOG}",
        "-chardev",
        f"socket,id=qmp0,fd={qmp_fd}",
        "-mon",
        "chardev=qmp0,mode=control",
    ]


def option_value(path: Path) -> str:
    """A path inside an option list, where QEMU wants commas doubled."""
    return str(path).replace(",", ",,")
