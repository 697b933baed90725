"""What Vela 5.2.0 says of a model, read from its printed text and its two CSV files.

The files are written by `--verbose-performance`: `NAME_summary_SYSTEM.csv` (one row) and `NAME_per-layer.csv` (one row per
operation that Vela made, in running order). Memory is given there in KiB and time in seconds; here it is bytes and ns.
"""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass

from harness.core.errors import HarnessError

_OPERATORS = re.compile(r"^(CPU|NPU) operators = (\d+)\b", re.MULTILINE)
_REFUSAL = re.compile(r"^Warning \(supported operators\) operator: (\S+), ofm: '(.*)'$")
_REASON_LIMIT = 200
#: columns of the per-layer CSV; the last is a tensor's name, in which anything may stand
_LAYER_COLUMNS = (
    "Original Operator",
    "NNG Operator",
    "Target",
    "Staging Usage",
    "Peak% (Staging)",
    "Op Cycles",
    "Network% (cycles)",
    "NPU",
    "SRAM AC",
    "DRAM AC",
    "OnFlash AC",
    "OffFlash AC",
    "MAC Count",
    "Network% (MAC)",
    "Util% (MAC)",
    "Name",
)


@dataclass(frozen=True, kw_only=True)
class VelaSummary:
    """Vela's estimate of the NPU's part of one inference. Work that stays on the CPU is not in any of it.

    Attributes:
        inference_ns: cycles_total at the clock of the system configuration; None when nothing is on the NPU.
        core_clock_hz: that clock.
        cycles_total: what one inference takes; the other cycles overlap in it.
        cycles_npu: computing alone. `cycles_*_access`: moving data over that memory.
        sram_used_bytes: peak use of the memory that the NPU works in; likewise DRAM and both kinds of flash.
        macs: multiply-accumulates of one inference.
        weights_original_bytes: weights on the NPU before Vela's compression, `weights_encoded_bytes` after.
    """

    inference_ns: int | None
    core_clock_hz: int
    cycles_total: int
    cycles_npu: int
    cycles_sram_access: int
    cycles_dram_access: int
    cycles_on_chip_flash_access: int
    cycles_off_chip_flash_access: int
    sram_used_bytes: int
    dram_used_bytes: int
    on_chip_flash_used_bytes: int
    off_chip_flash_used_bytes: int
    macs: int
    weights_original_bytes: int
    weights_encoded_bytes: int


@dataclass(frozen=True, kw_only=True)
class VelaLayer:
    """One operation that Vela made. A node of the model can become many (SOFTMAX 29), or none (RESHAPE).

    Attributes:
        original: Vela's name for the kind of node it came from, such as `Conv2D`.
        operation: what it became, such as `Conv2D` or `LUT`.
        on_npu: False for what is left to the CPU.
        cycles: its share of `cycles_total`.
        macs: multiply-accumulates.
        mac_utilisation: share of the NPU's multipliers in use, 0..1.
        sram_bytes: working memory while it runs.
        tensor: name of the tensor it writes.
    """

    original: str
    operation: str
    on_npu: bool
    cycles: int
    macs: int
    mac_utilisation: float
    sram_bytes: int
    tensor: str


@dataclass(frozen=True, kw_only=True)
class VelaRefusal:
    """An operator that Vela does not put on the NPU as it stands, the tensor it writes, and why.

    The operator may be an activation fused into a node. A refused operator can still vanish from the compiled model, when
    its result turns out to be constant.
    """

    op: str
    tensor: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class VelaLog:
    """What the printed text says. Operators are Vela's own count, after its rewriting."""

    npu_operators: int
    cpu_operators: int
    refusals: tuple[VelaRefusal, ...]


class VelaOutputError(HarnessError):
    """Vela ended well but wrote something this harness cannot read: another version, most likely."""


def parse_summary(text: str) -> VelaSummary:
    """Reads the summary CSV.

    Raises:
        VelaOutputError: a column is missing or is no number.
    """
    rows = list(csv.DictReader(io.StringIO(text)))
    if len(rows) != 1:
        raise VelaOutputError(f"Vela's summary has {len(rows)} rows instead of one")
    row = rows[0]
    seconds = _number(row, "inference_time")
    cycles = _count(row, "cycles_total")
    return VelaSummary(
        inference_ns=round(seconds * 1e9) if seconds > 0 and cycles > 0 else None,
        core_clock_hz=_count(row, "core_clock"),
        cycles_total=cycles,
        cycles_npu=_count(row, "cycles_npu"),
        cycles_sram_access=_count(row, "cycles_sram_access"),
        cycles_dram_access=_count(row, "cycles_dram_access"),
        cycles_on_chip_flash_access=_count(row, "cycles_on_chip_flash_access"),
        cycles_off_chip_flash_access=_count(row, "cycles_off_chip_flash_access"),
        sram_used_bytes=_count(row, "sram_memory_used", 1024),
        dram_used_bytes=_count(row, "dram_memory_used", 1024),
        on_chip_flash_used_bytes=_count(row, "on_chip_flash_memory_used", 1024),
        off_chip_flash_used_bytes=_count(row, "off_chip_flash_memory_used", 1024),
        macs=_count(row, "nn_macs"),
        weights_original_bytes=_count(row, "total_original_weights"),
        weights_encoded_bytes=_count(row, "total_npu_encoded_weights"),
    )


def parse_layers(text: str) -> tuple[VelaLayer, ...]:
    """Reads the per-layer CSV.

    Raises:
        VelaOutputError: other columns than expected, or a cell that is no number.
    """
    rows = list(csv.reader(io.StringIO(text)))
    if not rows or tuple(rows[0]) != _LAYER_COLUMNS:
        raise VelaOutputError("Vela's per-layer table has other columns than those of version 5.2.0")
    layers = []
    for cells in rows[1:]:
        if len(cells) < len(_LAYER_COLUMNS):
            raise VelaOutputError(f"a row of Vela's per-layer table is cut short: {','.join(cells)[:80]}")
        last = len(_LAYER_COLUMNS) - 1
        row = dict(zip(_LAYER_COLUMNS, [*cells[:last], ",".join(cells[last:])], strict=True))
        layers.append(
            VelaLayer(
                original=row["Original Operator"],
                operation=row["NNG Operator"],
                on_npu=row["Target"] == "NPU",
                cycles=_count(row, "Op Cycles"),
                macs=_count(row, "MAC Count"),
                mac_utilisation=_number(row, "Util% (MAC)") / 100,
                sram_bytes=_count(row, "Staging Usage"),
                tensor=row["Name"],
            )
        )
    return tuple(layers)


def parse_log(text: str) -> VelaLog:
    """Reads the operator counts and the refusals from what Vela printed.

    Raises:
        VelaOutputError: no operator counts in it.
    """
    counts = {where: int(count) for where, count in _OPERATORS.findall(text)}
    if set(counts) != {"CPU", "NPU"}:
        raise VelaOutputError("Vela printed no operator counts")
    refusals = []
    lines = iter(text.splitlines())
    for line in lines:
        found = _REFUSAL.match(line)
        if found:
            said = []
            for following in lines:
                if not following.strip():
                    break
                said.append(following.strip().rstrip("."))
            refusals.append(VelaRefusal(op=found[1], tensor=found[2], reason=shorten(said)))
    return VelaLog(npu_operators=counts["NPU"], cpu_operators=counts["CPU"], refusals=tuple(refusals))


def shorten(said: list[str]) -> str:
    """Vela's reason on one line, without the tensor's name (which can fill a page) and without quotes.

    `unsupported DataType Float32; Feature-map dataTypes must be one of {INT16, ...}`.
    """
    lines = [re.sub(r"^Reason:\s*", "", line) for line in said]
    if lines:
        # Greedy: tensor names contain brackets themselves.
        lines[0] = re.sub(r"\s*\(.*\)$", "", lines[0]).removeprefix("Operation has tensor with ")
    text = "; ".join(line for line in lines if line).replace('"', "") or "Vela gives no reason"
    return text if len(text) <= _REASON_LIMIT else text[: _REASON_LIMIT - 1].rstrip() + "…"


def _number(row: dict[str, str], column: str) -> float:
    try:
        value = float(row[column])
    except (KeyError, TypeError, ValueError):
        raise VelaOutputError(f"Vela's table has no number in '{column}'") from None
    return value if math.isfinite(value) else 0.0


def _count(row: dict[str, str], column: str, factor: int = 1) -> int:
    return round(_number(row, column) * factor)
