"""A microcontroller under a debugger: an emulated micro:bit (nRF51822, Cortex-M0) with the debug registers that QEMU lacks.

Memory, core and flash controller are QEMU's, reached by its gdb server; the registers by which a probe halts a core and reads its
registers are made of that here (Armv6-M Architecture Reference Manual, chapter C1). So a flash algorithm that a debugger loads
into RAM really runs, and really drives the flash controller. Flash keeps what is in it over a reset.
"""

from __future__ import annotations

import contextlib
import json
import select
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from harness.emulation.mcu.elf import flat_image

_CPUID, _AIRCR, _DHCSR, _DCRSR, _DCRDR, _DEMCR = (
    0xE000ED00,
    0xE000ED0C,
    0xE000EDF0,
    0xE000EDF4,
    0xE000EDF8,
    0xE000EDFC,
)
_SYSTEM = 0xE0000000
_DEBUG_ENABLED, _HALT, _READY, _HALTED, _WAS_RESET = 1, 2, 1 << 16, 1 << 17, 1 << 25
_RESET_REQUEST, _CATCH_RESET = 4, 1
#: QEMU's numbers of r0 to r15, xPSR and the main stack pointer, by those of DCRSR; the others are answered with 0
_QEMU_REGISTERS = {**{n: n for n in range(16)}, 16: 25, 17: 13}
_ROM_TABLE = 0xE00FF000
#: part number and class of what the ROM table lists, and of itself
_COMPONENTS = {
    0xE000E000: (0x008, 0xE0),
    0xE0001000: (0x00A, 0xE0),
    0xE0002000: (0x00B, 0xE0),
    _ROM_TABLE: (0x471, 0x10),
}


def _identity(part: int, kind: int) -> dict[int, int]:
    """The identification words of a component of Arm's (JEP106 4, 0x3B), by their offset."""
    words = [4, 0, 0, 0, part & 0xFF, 0xB0 | part >> 8, 0x0B, 0, 0x0D, kind, 0x05, 0xB1]
    return {0xFD0 + 4 * n: word for n, word in enumerate(words)}


_FIXED = {base + at: word for base, made in _COMPONENTS.items() for at, word in _identity(*made).items()}
_FIXED |= {_ROM_TABLE + 4 * n: (base - _ROM_TABLE) & 0xFFFFFFFF | 3 for n, base in enumerate(list(_COMPONENTS)[:-1])}


class BusFault(Exception):
    """Nothing answers."""


class DebuggedChip:
    """It runs as soon as it is made; `url` is its serial line.

    Args:
        folder: for a socket.
        elf: what its flash holds.
    """

    def __init__(self, folder: Path, elf: Path) -> None:
        line = socket.create_server(("127.0.0.1", 0))
        self.url = "socket://{}:{}".format(*line.getsockname())
        monitor, far_end = socket.socketpair()
        qemu = shutil.which("qemu-system-arm")
        assert qemu is not None, "apt-get install qemu-system-arm"
        command = [
            qemu,
            "-M",
            "microbit",
            "-nodefaults",
            "-display",
            "none",
            "-icount",
            "shift=8,align=off,sleep=on",
            "-S",
        ]
        command += [
            "-chardev",
            f"socket,id=line,fd={line.fileno()},server=on,wait=off,nodelay=on",
            "-serial",
            "chardev:line",
        ]
        command += ["-chardev", f"socket,id=qmp,fd={far_end.fileno()}", "-mon", "chardev=qmp,mode=control"]
        command += ["-gdb", f"unix:{folder / 'gdb'},server=on,wait=off"]
        with line, far_end:
            keep = (line.fileno(), far_end.fileno())
            self._process = subprocess.Popen(command, pass_fds=keep, stdin=subprocess.DEVNULL)
        self._monitor = monitor.makefile("rw")
        self._say_to_monitor("qmp_capabilities", until="return")
        self._gdb = socket.socket(socket.AF_UNIX)
        self._gdb.settimeout(20)
        self._gdb.connect(str(folder / "gdb"))
        self._received = b""
        self._runs = False
        self._bkpt: int | None = None
        self._words = {_AIRCR: 0xFA050000, _DCRDR: 0, _DEMCR: 0}
        self._debugged = self._was_reset = False
        self._ask("qXfer:features:read:target.xml:0,10")  # only then it tells single registers
        self._store(*flat_image(elf))
        self.reset()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._gdb.close()
        self._monitor.close()

    # ------------------------------------------------------------------------------------- what a probe does to it

    def read(self, address: int, size: int) -> bytes:
        """Raises BusFault."""
        if address == _DHCSR:
            return self._status().to_bytes(4, "little")
        if address >= _SYSTEM and address != _CPUID:
            known = _FIXED | self._words
            return b"".join(known.get(at, 0).to_bytes(4, "little") for at in range(address & ~3, address + size, 4))[
                :size
            ]
        with self._stopped():
            return self._load(address, size)

    def write(self, address: int, data: bytes) -> None:
        """Raises BusFault."""
        if address < _SYSTEM:
            with self._stopped():
                self._store(address, data)
            return
        value = int.from_bytes(data, "little")
        if address == _DHCSR:
            self._debugged = bool(value & _DEBUG_ENABLED)
            self._halt() if value & _HALT and self._debugged else self._resume()
        elif address == _DCRSR:
            self._move_register(value)
        elif address == _AIRCR and value & _RESET_REQUEST:
            self.reset()
        elif address in self._words and address != _AIRCR:
            self._words[address] = value

    def reset(self) -> None:
        """Core and peripherals start anew; flash and debug registers stay."""
        self._halt()
        self._say_to_monitor("system_reset", until="RESET")
        self._was_reset = True
        if not (self._debugged and self._words[_DEMCR] & _CATCH_RESET):
            self._resume()

    # ------------------------------------------------------------------------------------------------- the registers

    def _status(self) -> int:
        self._notice_stop(wait=False)
        status = _READY | (_DEBUG_ENABLED if self._debugged else 0) | (0 if self._runs else _HALTED | _HALT)
        if self._was_reset:
            status |= _WAS_RESET
            self._was_reset = False
        return status

    def _move_register(self, selected: int) -> None:
        number = _QEMU_REGISTERS.get(selected & 0x7F)
        if selected >> 16 & 1:
            if number is not None:
                self._ask(f"P{number:x}={self._words[_DCRDR].to_bytes(4, 'little').hex()}")
        else:
            self._words[_DCRDR] = 0 if number is None else self._register(number)

    def _register(self, number: int) -> int:
        return int.from_bytes(bytes.fromhex(self._ask(f"p{number:x}")), "little")

    # ------------------------------------------------------------------------------------------------------ running

    def _resume(self) -> None:
        """QEMU takes a BKPT for a fault and not for the end of an algorithm: where one waits to be returned to, it stops, too."""
        if self._runs:
            return
        returns_to = self._register(14) & ~1
        with contextlib.suppress(BusFault):
            if self._load(returns_to, 2)[1] == 0xBE:
                self._ask(f"Z0,{returns_to:x},2")
                self._bkpt = returns_to
        self._send("c")
        self._runs = True

    def _halt(self) -> None:
        if self._runs:
            self._gdb.sendall(b"\x03")
            self._notice_stop(wait=True)

    def _notice_stop(self, *, wait: bool) -> None:
        if not self._runs:
            return
        while not self._has_packet():
            if not wait and not select.select([self._gdb], [], [], 0)[0]:
                return
            self._receive()
        self._packet()
        self._runs = False
        if self._bkpt is not None and self._register(15) == self._bkpt:
            self._ask(f"z0,{self._bkpt:x},2")
            self._bkpt = None

    @contextlib.contextmanager
    def _stopped(self) -> Iterator[None]:
        """QEMU tells nothing of a core that runs; one that was running goes on afterwards, unless it has come to its end."""
        self._notice_stop(wait=False)
        ran, waits = self._runs, self._bkpt is not None
        self._halt()
        try:
            yield
        finally:
            if ran and (self._bkpt is not None or not waits):
                self._send("c")
                self._runs = True

    # ----------------------------------------------------------------------------------------------- QEMU's languages

    def _load(self, address: int, size: int) -> bytes:
        found = b""
        while len(found) < size:
            answer = self._ask(f"m{address + len(found):x},{min(1024, size - len(found)):x}")
            if answer.startswith("E"):
                raise BusFault(f"{address:#010x}")
            found += bytes.fromhex(answer)
        return found

    def _store(self, address: int, data: bytes) -> None:
        for at in range(0, len(data), 1024):
            piece = data[at : at + 1024]
            if self._ask(f"M{address + at:x},{len(piece):x}:{piece.hex()}") != "OK":
                raise BusFault(f"{address + at:#010x}")

    def _ask(self, command: str) -> str:
        self._send(command)
        return self._packet()

    def _send(self, command: str) -> None:
        self._gdb.sendall(f"${command}#{sum(command.encode()) & 0xFF:02x}".encode())

    def _packet(self) -> str:
        """The next answer of the gdb server, acknowledged."""
        while not self._has_packet():
            self._receive()
        packet, _, rest = self._received.partition(b"$")[2].partition(b"#")
        self._received = rest[2:]
        self._gdb.sendall(b"+")
        return packet.decode()

    def _has_packet(self) -> bool:
        """Signs that it has received ours may stand before it, and two digits follow each."""
        return b"#" in self._received[:-2]

    def _receive(self) -> None:
        piece = self._gdb.recv(65536)
        if not piece:
            raise BusFault("the core is locked up")  # where QEMU ends
        self._received += piece

    def _say_to_monitor(self, command: str, *, until: str) -> None:
        """Returns once QEMU has answered, or told of the event `until`."""
        self._monitor.write(json.dumps({"execute": command}))
        self._monitor.flush()
        while True:
            said = json.loads(self._monitor.readline())
            assert "error" not in said, said
            if until in said or said.get("event") == until:
                return
