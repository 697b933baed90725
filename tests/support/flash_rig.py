"""A board that is flashed by a program: an emulated one behind a TCP port that stays, started from whatever lies in its flash."""

from __future__ import annotations

import contextlib
import shutil
import socket
import threading
from dataclasses import replace
from pathlib import Path

from harness.emulation.mcu.firmware import Firmware, build_firmware
from harness.emulation.mcu.machine import McuMachine

#: what the programs of the tests do with the image; each notes first that it was called
TOOLS = {
    "good": "shutil.copyfile(sys.argv[1], sys.argv[2])",
    "liar": "print('verified OK')",
    "refuses": "print('Error: flash is write-protected'); sys.exit(3)",
    "hangs": "import time; time.sleep(600)",
    "kills": "open(sys.argv[2], 'wb').write(b'')",
    "other": "shutil.copyfile(sys.argv[3], sys.argv[2])",
}


class FlashRig:
    """Serves one connection after another, each with a machine of its own."""

    def __init__(self, folder: Path, name: str = "mps2-an386") -> None:
        self.folder = folder
        self.firmware: Firmware = build_firmware(name)
        self.old: Firmware = build_firmware(name, test_faults=True)
        self.flash = folder / "flash.elf"
        shutil.copyfile(self.old.elf, self.flash)
        self.calls = folder / "calls"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = f"socket://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def command(self, tool: str) -> list[str]:
        """The arguments of `flash.command` for one of the tools."""
        script = self.folder / f"{tool}.py"
        script.write_text(f"import shutil, sys\nopen({str(self.calls)!r}, 'a').write('x')\n{TOOLS[tool]}\n")
        third = self.folder / "third.elf"
        if tool == "other":
            shutil.copyfile(build_firmware(self.firmware.board, ops=["FULLY_CONNECTED"]).elf, third)
        return [shutil.which("python3") or "python3", str(script), "{elf}", str(self.flash), str(third)]

    def called(self) -> int:
        """How often a tool was started."""
        return len(self.calls.read_text()) if self.calls.exists() else 0

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.flash.stat().st_size == 0:
                client.close()  # a port that is there, and nothing behind it
                continue
            with McuMachine(replace(self.firmware, elf=self.flash)) as machine, client:
                with socket.create_connection((machine.host, machine.port)) as board:
                    back = threading.Thread(target=_copy, args=(board, client), daemon=True)
                    back.start()
                    _copy(client, board)
                    with contextlib.suppress(OSError):
                        board.shutdown(socket.SHUT_RDWR)
                    back.join(5)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
