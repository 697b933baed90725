"""An explanation on the terminal: its head, what to try, a table with one row per layer, and the numbers behind a wrong op."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.printable import one_line
from harness.explain.cause import worst_layers
from harness.explain.document import Explanation, Layer
from harness.reports.explained import advice_lines, cost_text, head_lines, histogram_text, kind_text, told

if TYPE_CHECKING:
    from rich.console import Console

#: layers whose causes are told in words
_CAUSES = 3
_LINE = 400


def print_explanation(e: Explanation, console: Console) -> None:
    """Prints everything but the raw numbers, which `--json` has."""
    from rich.text import Text

    asked, answer, *got = head_lines(e)
    console.print(Text(one_line(asked, _LINE), style="bold"))
    console.print(Text(one_line(answer), style="bold"))
    for line in got:
        console.print(Text(f"  {one_line(line)}", style="dim"))
    for what, command in advice_lines(e):
        console.print(Text(f"Try: {one_line(what)}"))
        if command:
            console.print(Text(f"     {one_line(command)}"), soft_wrap=True)
    if not e.advice:
        console.print(Text("Try: nothing that this shows needs trying"))
    _print_layers(e, console)
    for line in (*_wrong_lines(e), *_piece_lines(e), *_cause_lines(e)):
        console.print(Text(f"{' ' * (len(line) - len(line.lstrip()))}{one_line(line)}"))


def _print_layers(e: Explanation, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    columns = [(head, [cell(layer) for layer in e.layers]) for head, cell in _columns(e)]
    shown = [(head, cells) for head, cells in columns if any(cells)]
    table = Table(box=None, pad_edge=False, header_style="dim")
    for head, _ in shown:
        table.add_column(head, justify="left" if head in _LEFT else "right", no_wrap=head not in ("ran on", _COST))
    for row in zip(*(cells for _, cells in shown), strict=True):
        table.add_row(*(Text(one_line(text)) for text in row))
    console.print(table)


_COST = "cost"
_LEFT = ("op", "ran on", "on the device")


def _columns(e: Explanation):
    total = sum(layer.cost.value for layer in e.layers if layer.cost is not None)
    unit = "" if e.cost_unit in (None, "ns") else f", {e.cost_unit}"
    return (
        ("node", lambda layer: str(layer.node)),
        ("op", lambda layer: layer.op),
        ("ran on", lambda layer: layer.ran_on or ""),
        ("on the device", kind_text),
        ("adds dB", lambda layer: _db(layer.error and layer.error.own_db)),
        ("in all dB", lambda layer: _db(layer.error and layer.error.sqnr_db)),
        ("saturated", lambda layer: _share(layer.error and layer.error.saturated)),
        ("range used", lambda layer: _share(layer.error and layer.error.used)),
        ("error left", _left_text),
        ("back in float", _regained),
        (f"cost{unit}", lambda layer: cost_text(e, layer.cost.value) if layer.cost else ""),
        ("share", lambda layer: f"{layer.cost.value / total:.0%}" if layer.cost and total > 0 else ""),
        ("no delegate", lambda layer: cost_text(e, layer.cost.beside) if layer.cost else ""),
    )


def _db(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}" if 0 < value < 0.1 else f"{value:.0%}"


def _left_text(layer: Layer) -> str:
    return "" if layer.loss is None or layer.loss.error_left is None else f"{layer.loss.error_left:.0%}"


def _regained(layer: Layer) -> str:
    loss = layer.loss
    if loss is None or loss.regained is None:
        return ""
    if loss.low is None or loss.high is None:
        return _signed(loss.regained, 4)
    return f"{_signed(loss.regained, 4)} [{_signed(loss.low, 3)},{_signed(loss.high, 3)}]"


def _signed(value: float, digits: int) -> str:
    """Shares as tables here write them: `+.0123`."""
    text = f"{value:+.{digits}f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def _wrong_lines(e: Explanation) -> list[str]:
    """The numbers behind the first op that is wrong."""
    layer = next((layer for layer in e.layers if layer.node == e.first_wrong), None)
    d = told(layer) if layer is not None else None
    if layer is None or d is None or not d.is_wrong:
        return []
    unit = "steps" if d.unit == "steps" else "times its rounding noise"
    lines = [f"{layer.title} '{layer.name}', {d.values:,} outputs of {d.samples} samples:"]
    if d.histogram:
        lines.append(f"  steps off: {histogram_text(d)}")
    if d.gain is not None and d.offset is not None and d.correlation is not None:
        lines.append(
            f"  line: {d.gain:.4g} times the right value {d.offset:+.3g} {unit}, correlation {d.correlation:.4f}"
        )
    if d.worst_channel is not None:
        lines.append(f"  worst channel {d.worst_channel}: RMS {d.worst_channel_error:.3g} {unit}")
    if d.worst_sample is not None:
        lines.append(f"  worst sample {d.worst_sample}: RMS {d.worst_sample_error:.3g} {unit}")
    return lines


def _piece_lines(e: Explanation) -> list[str]:
    """Each partition as a whole, where a delegate has any."""
    lines = []
    for piece in e.pieces:
        if e.first_wrong is not None and piece.verdict != "wrong":
            continue  # few outputs of a whole partition hide what its ops show
        nodes = (
            f"nodes {piece.nodes[0]} to {piece.nodes[1]}"
            if piece.nodes[0] != piece.nodes[1]
            else f"node {piece.nodes[0]}"
        )
        reason = f": {piece.reason}" if piece.reason else ""
        lines.append(f"partition {piece.partition} ({nodes}) as a whole: {piece.verdict or 'not run'}{reason}")
    return lines


def _cause_lines(e: Explanation) -> list[str]:
    return [f"{layer.title} '{layer.name}': {layer.cause}" for layer in worst_layers(e.layers)[:_CAUSES] if layer.cause]
