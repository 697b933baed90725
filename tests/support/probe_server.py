"""A debug probe for the real pyOCD: a server of its remote-probe protocol (a line of JSON each way) in front of an emulated chip.

What it answers is what a probe of the vendor-command kind does: registers of the debug port and of one AHB access port (ADIv5),
and blocks of memory. Spoken by pyOCD's `--probe remote:HOST:PORT`.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from typing import Any

from tests.support.debugged_chip import BusFault, DebuggedChip

_PROBE_ERROR, _TRANSFER_FAULT = 3, 12
_DP_IDR, _CTRL_STAT = 0x0, 0x4
_POWER_REQUESTS = 1 << 28 | 1 << 30
_AP_IDR, _AP_CSW, _AP_BASE = 0xFC, 0x00, 0xF8
#: a Cortex-M0's debug port, its AHB access port and its ROM table
_IDENTITIES = {_AP_IDR: 0x04770021, _AP_BASE: 0xE00FF003}
_CSW_ENABLED = 1 << 6
_PROPERTIES = {
    "vendor_name": "Test",
    "product_name": "probe of the tests",
    "supported_wire_protocols": ["DEFAULT", "SWD"],
    "wire_protocol": "SWD",
    "capabilities": ["MANAGED_AP_SELECTION", "MANAGED_DPBANKSEL", "BANKED_DP_REGISTERS"],
}


class ProbeServer:
    """Listens on loopback; `id` is the probe's for `flash.probe`.

    Attributes:
        refuses: what it says in place of opening the probe; None: nothing.
        chip_answers: False: nothing but silence comes from the chip.
        unplugged_after: the number of requests after which it is gone.
        asked: the requests so far.
    """

    def __init__(self, chip: DebuggedChip) -> None:
        self.refuses: str | None = None
        self.chip_answers = True
        self.unplugged_after: int | None = None
        self.asked: list[str] = []
        self._chip = chip
        self._power = 0
        self._csw = _CSW_ENABLED
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.id = "remote:{}:{}".format(*self._listener.getsockname())
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, client.makefile("rw") as lines:
                for line in lines:
                    asked = json.loads(line)
                    self.asked.append(asked["request"])
                    if self.unplugged_after is not None and len(self.asked) > self.unplugged_after:
                        break
                    lines.write(json.dumps({"id": asked["id"], **self._answer(asked)}) + "\n")
                    lines.flush()

    def _answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = asked["request"]
        if name == "open" and self.refuses is not None:
            return {"status": _PROBE_ERROR, "error": self.refuses}
        answer: Callable[..., Any] = getattr(self, f"_do_{name}", lambda *_: None)
        try:
            return {"status": 0, "result": answer(*asked.get("arguments", ()))}
        except BusFault as fault:
            return {"status": _TRANSFER_FAULT, "error": str(fault)}

    # ------------------------------------------------------------------------------------------------- the requests

    def _do_readprop(self, name: str) -> Any:
        return _PROPERTIES[name]

    def _do_reset(self) -> None:
        self._chip.reset()

    def _do_is_reset_asserted(self) -> bool:
        return False

    def _do_read_dp(self, address: int) -> int:
        if not self.chip_answers:
            raise BusFault("no acknowledge")
        return {_DP_IDR: 0x0BB11477, _CTRL_STAT: self._power | self._power << 1}.get(address, 0)

    def _do_write_dp(self, address: int, value: int) -> None:
        if address == _CTRL_STAT:
            self._power = value & _POWER_REQUESTS

    def _do_read_ap(self, address: int) -> int:
        """One access port, of the number 0; the others read as zero, which says that there is none."""
        return self._csw if address == _AP_CSW else _IDENTITIES.get(address, 0)

    def _do_write_ap(self, address: int, value: int) -> None:
        if address == _AP_CSW:
            self._csw = value | _CSW_ENABLED

    def _do_get_memory_interface_for_ap(self, version: int, address: int) -> int:
        return 0

    def _do_read_mem(self, handle: int, address: int, bits: int) -> int:
        return int.from_bytes(self._chip.read(address, bits // 8), "little")

    def _do_write_mem(self, handle: int, address: int, value: int, bits: int) -> None:
        self._chip.write(address, value.to_bytes(bits // 8, "little"))

    def _do_read_block8(self, handle: int, address: int, count: int) -> list[int]:
        return list(self._chip.read(address, count))

    def _do_write_block8(self, handle: int, address: int, data: list[int]) -> None:
        self._chip.write(address, bytes(data))

    def _do_read_block32(self, handle: int, address: int, count: int) -> list[int]:
        data = self._chip.read(address, 4 * count)
        return [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]

    def _do_write_block32(self, handle: int, address: int, data: list[int]) -> None:
        self._chip.write(address, b"".join(word.to_bytes(4, "little") for word in data))
