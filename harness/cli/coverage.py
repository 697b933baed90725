"""`harness devices coverage`: which operators the delegates of a device take, from their tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from harness.tflite.coverage import DelegateTable


@click.command("coverage")
@click.argument("name")
@click.option("--devices-dir", type=click.Path(), help="A folder with device profiles, searched first.")
@click.option("--emulated", is_flag=True, help="Use the device's emulated twin.")
@click.option("--json", "json_file", type=click.Path(), help="Also write the tables as JSON to this file (- is stdout).")
def coverage_command(name: str, devices_dir: str | None, emulated: bool, json_file: str | None) -> int:
    """Which operators the delegates of a device take, and when they refuse one that they have.

    Says what the data files know (docs/adding-a-delegate.md); `harness check MODEL --device NAME` applies it to a model.
    """
    from harness.boards.resolve import get_profile
    from harness.cli.check import write_json_document
    from harness.errors import UserInputError
    from harness.reports.console import make_console
    from harness.tflite.coverage import known_delegates, load_delegate_table

    profile = get_profile(name, devices_dir, emulated=emulated)
    delegates = {b.delegate.name: backend for backend, b in profile.backends.items() if b.delegate}
    if not delegates:
        raise UserInputError(f"no backend of {profile.name} has a delegate", hint="`harness devices list` shows the others")
    console = make_console(stderr=True) if json_file == "-" else make_console()
    known = known_delegates(devices_dir)
    documents = []
    for delegate, backend in delegates.items():
        if delegate not in known:
            console.print(f"{backend}: there is no table of the delegate {delegate}; see docs/adding-a-delegate.md", markup=False)
            documents.append({"backend": backend, "delegate": delegate, "table": None})
            continue
        table = load_delegate_table(delegate, devices_dir)
        _print(console, backend, table)
        documents.append({"backend": backend, "delegate": delegate, "table": table.model_dump(exclude_defaults=True)})
    if json_file:
        write_json_document({"schema": 1, "device": profile.name, "delegates": documents}, json_file)
    return 0


def _print(console: Console, backend: str, table: DelegateTable) -> None:
    from rich.table import Table
    from rich.text import Text

    console.print(Text(f"{backend}: {table.title} ({table.name})", style="bold"))
    console.print(Text(f"source: {table.source}", style="dim"))
    general = [_condition(rule) for rule in table.rules if not rule.ops]
    console.print(Text("any operator is refused when " + "; ".join(general)) if general else Text("no general rules"))
    grid = Table(box=None, pad_edge=False, header_style="dim")
    grid.add_column("operator")
    grid.add_column("taken")
    grid.add_column("refused when", overflow="fold")
    for op in sorted({*table.taken, *table.refused}):
        taken = op in table.taken
        rules = [_condition(rule) for rule in table.rules if op in rule.ops] if taken else []
        grid.add_row(op, "yes" if taken else "no", Text("; ".join(dict.fromkeys(rules))))
    console.print(grid)


class _Words(dict):
    """Placeholders of a rule's text, said in general: `{input0}` is "one type"."""

    def __missing__(self, key: str) -> str:
        return {"op": "the operator", "input0": "one type", "output0": "another"}.get(key, "another type")


def _condition(rule: Any) -> str:
    """A rule's text without a node at hand; types that it names are said by it."""
    words = _Words()
    if rule.input_dtype:
        words["offender"] = words["input0"] = " or ".join(rule.input_dtype)
    elif rule.input_dtype_not:
        words["offender"] = words["input0"] = f"not {' or '.join(rule.input_dtype_not)}"
    if rule.output_dtype:
        words["output0"] = " or ".join(rule.output_dtype)
    text = rule.why.format_map(words)
    if rule.except_ops:
        text += f" (not {', '.join(rule.except_ops)})"
    return text
