"""Reads what TensorFlow Lite's own `benchmark_model` printed: latency figures, and the table of per-op times.

The tool comes with boards' images (NXP's Yocto: /usr/bin/tensorflow-lite-VERSION/examples/benchmark_model). Its text differs
between versions: `[start]` left the op table in 2.10, `p5`, `median` and `p95` joined the statistics later, lines may carry a
log prefix. So columns are found by their heads and statistics by their names. All its times are wall-clock times.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBER = r"[0-9.]+(?:e[+-]?[0-9]+)?"
_SUMMARY = re.compile(
    rf"Inference timings in us: Init: ({_NUMBER}), First inference: ({_NUMBER}),(?: Warmup \(avg\): ({_NUMBER}),)?"
    rf" Inference \(avg\): ({_NUMBER})"
)
_STATISTICS = re.compile(rf"\bcount=(\d+) ((?:(?:first|curr|min|max|avg|std|p5|median|p95)={_NUMBER} ?)+)")
_OPS_BEGIN = "Operator-wise Profiling Info for Regular Benchmark Runs"
_RUN_ORDER = "= Run Order ="
_NODE = re.compile(r":(\d+)$")


class VendorOutputError(ValueError):
    """The text is not what the tool prints when it has measured; says what is missing."""


@dataclass(frozen=True, kw_only=True)
class VendorOp:
    """One line of the op table, in run order.

    Attributes:
        op: the tool's name of it, such as `CONV_2D`; a delegate has a line per partition, such as `Vx Delegate`.
        name: the tensors it makes, as the tool prints them.
        node: its number in the graph where the line ends with it; delegates' numbers come after the model's own nodes.
        mean_ns: average per inference.
        first_ns: in the first inference.
    """

    op: str
    name: str
    node: int | None
    mean_ns: int
    first_ns: int


@dataclass(frozen=True, kw_only=True)
class VendorFigures:
    """What the tool measured. Times in ns; None where this version does not print it.

    Attributes:
        init_ns: loading the model, applying the delegate, allocating.
        first_invoke_ns: the first inference.
        warmup_mean_ns: mean of the warm-up.
        mean_ns, min_ns, max_ns, std_ns, median_ns: of `count` inferences after the warm-up.
        ops: empty without `--enable_op_profiling=true`.
    """

    init_ns: int
    first_invoke_ns: int
    warmup_mean_ns: int | None
    mean_ns: int
    count: int
    min_ns: int | None
    max_ns: int | None
    std_ns: int | None
    median_ns: int | None
    ops: tuple[VendorOp, ...] = ()


def parse_benchmark_output(text: str) -> VendorFigures:
    """The figures of one run of the tool.

    Args:
        text: everything it printed.

    Raises:
        VendorOutputError: there is no summary line or no statistics before it; or a table cannot be read.
    """
    text = text.replace("\r\n", "\n")
    summaries = list(_SUMMARY.finditer(text))
    if not summaries:
        raise VendorOutputError("it printed no line `Inference timings in us`")
    summary = summaries[0]  # some versions print the same line for every listener
    # Two blocks of statistics come before it: of the warm-up, then of the measured inferences.
    statistics = list(_STATISTICS.finditer(text, 0, summary.start()))
    if not statistics:
        raise VendorOutputError("it printed no line of statistics (`count=...`) before `Inference timings in us`")
    values = dict(part.split("=") for part in statistics[-1][2].split())
    us = {name: round(float(value) * 1000) for name, value in values.items()}
    return VendorFigures(
        init_ns=_us(summary[1]),
        first_invoke_ns=_us(summary[2]),
        warmup_mean_ns=_us(summary[3]) if summary[3] else None,
        mean_ns=_us(summary[4]),
        count=int(statistics[-1][1]),
        min_ns=us.get("min"),
        max_ns=us.get("max"),
        std_ns=us.get("std"),
        median_ns=us.get("median"),
        ops=_ops(text[summary.end() :]),
    )


def _us(text: str) -> int:
    return round(float(text) * 1000)


def _ops(text: str) -> tuple[VendorOp, ...]:
    """The table in run order of the measured inferences; the one of the initialization comes before it and is left out."""
    _, found, rest = text.partition(_OPS_BEGIN)
    if not found:
        return ()
    _, found, rest = rest.partition(_RUN_ORDER)
    lines = iter(rest.split("\n")[1:])
    head = next(lines, "")
    columns = [c.strip().strip("[]") for c in head.strip().split("\t")]
    if not found or not {"node type", "first", "avg ms", "Name"} <= set(columns):
        raise VendorOutputError(f"its table of ops has other columns than expected: {head.strip()[:200]!r}")
    ops = []
    for line in lines:
        cells = [c.strip() for c in line.strip().split("\t")]
        if len(cells) != len(columns):
            break
        row = dict(zip(columns, cells, strict=True))
        try:
            mean_ms, first_ms = float(row["avg ms"]), float(row["first"])
        except ValueError:
            raise VendorOutputError(f"a line of its table of ops has no times: {line.strip()[:200]!r}") from None
        node = _NODE.search(row["Name"])
        ops.append(
            VendorOp(
                op=row["node type"],
                name=row["Name"],
                node=int(node[1]) if node else None,
                mean_ns=round(mean_ms * 1e6),
                first_ns=round(first_ms * 1e6),
            )
        )
    return tuple(ops)
