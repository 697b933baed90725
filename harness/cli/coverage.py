"""`harness devices coverage`: which operators the delegates of a device take, from their tables."""

from __future__ import annotations

from string import Formatter
from typing import TYPE_CHECKING, Any

import click

from harness.cli.targets import Target

if TYPE_CHECKING:
    from rich.console import Console

    from harness.tflite.delegates.table import DelegateTable, Rule


@click.command("coverage")
@click.argument("name")
@click.option("--devices-dir", type=click.Path(), help="A folder with device profiles, searched first.")
@click.option("--emulated", is_flag=True, help="Use the device's emulated twin.")
@click.option("--json", "json_file", type=Target(), help="Also write the tables as JSON to this file (- is stdout).")
def coverage_command(name: str, devices_dir: str | None, emulated: bool, json_file: str | None) -> int:
    """Which operators the delegates of a device take, and when they refuse one that they have.

    Says what the data files know (docs/guides/adding-a-delegate.md); `harness check MODEL --device NAME` applies it to a model.
    Exits with 1 where a delegate of the device has no table.
    """
    from harness.boards.resolve import get_profile
    from harness.cli.check import write_json_document
    from harness.core.errors import ExitCode, UserInputError
    from harness.core.names import near_names
    from harness.reports.console import make_console
    from harness.tflite.delegates.table import known_delegates, load_delegate_table

    profile = get_profile(name, devices_dir, emulated=emulated)
    delegates = {b.delegate.name: backend for backend, b in profile.backends.items() if b.delegate}
    if not delegates:
        raise UserInputError(
            f"no backend of {profile.name} has a delegate", hint="`harness devices list` shows the others"
        )
    console = make_console(stderr=True) if json_file == "-" else make_console()
    known = known_delegates(devices_dir)
    documents: list[dict[str, Any]] = []
    for delegate, backend in delegates.items():
        if delegate not in known:
            near = near_names(delegate, known, most=1)
            meant = (
                f"; did the profile mean {near[0]}?" if near else f"; there are tables of {', '.join(sorted(known))}"
            )
            console.print(
                f"{backend}: there is no table of the delegate {delegate} (docs/guides/adding-a-delegate.md){meant}",
                markup=False,
            )
            documents.append({"backend": backend, "delegate": delegate, "table": None})
            continue
        table = load_delegate_table(delegate, devices_dir)
        _print(console, backend, table)
        documents.append({"backend": backend, "delegate": delegate, "table": table.model_dump(exclude_defaults=True)})
    if json_file:
        write_json_document({"schema": 1, "device": profile.name, "delegates": documents}, json_file)
    return ExitCode.WRONG_INPUT if any(document["table"] is None for document in documents) else ExitCode.DONE


def _print(console: Console, backend: str, table: DelegateTable) -> None:
    from rich.table import Table
    from rich.text import Text

    console.print(Text(f"{backend}: {table.title} ({table.name})", style="bold"))
    console.print(Text(f"source: {table.source}", style="dim"))
    general = [condition(rule) for rule in table.rules if not rule.ops]
    console.print(Text("any operator is refused when " + "; ".join(general)) if general else Text("no general rules"))
    grid = Table(box=None, pad_edge=False, header_style="dim")
    grid.add_column("operator")
    grid.add_column("taken")
    grid.add_column("refused when", overflow="fold")
    for op in sorted({*table.taken, *table.refused}):
        taken = op in table.taken
        rules = [condition(rule) for rule in table.rules if op in rule.ops] if taken else []
        grid.add_row(op, "yes" if taken else "no", Text("; ".join(dict.fromkeys(rules))))
    console.print(grid)
    console.print(Text("any operator that is not listed is refused too", style="dim"))
    if table.taken_custom:
        console.print(Text(f"custom operators taken: {', '.join(table.taken_custom)}", style="dim"))


_POSITIONS = ("first", "second", "third", "fourth")


def condition(rule: Rule) -> str:
    """What a rule says when there is no node at hand, whose types its text would name."""
    used = [name for _, name, _, _ in Formatter().parse(rule.why) if name]
    if rule.types_differ and used:
        first, second = (_position(index) for index in rule.types_differ)
        text = _compared(rule, f"its {first} and {second} input are of different types")
    elif rule.output_type_differs is not None and used:
        text = _compared(rule, f"its output is of another type than its {_position(rule.output_type_differs)} input")
    else:
        text = _filled(rule)
    return text + (f" (not {', '.join(rule.except_ops)})" if rule.except_ops else "")


def _position(index: int) -> str:
    return _POSITIONS[index] if index < len(_POSITIONS) else f"{index + 1}th"


def _compared(rule: Rule, comparison: str) -> str:
    """A comparison of two types, after the word that the rule's text begins with (`hybrid:`)."""
    topic, colon, _ = rule.why.partition(": ")
    types = _types(rule.input_dtype, rule.input_dtype_not)
    inputs = f"its {_position(rule.inputs[0])} input" if len(rule.inputs) == 1 else "an input"
    return (f"{topic}: " if colon and "{" not in topic else "") + comparison + (f", {inputs} {types}" if types else "")


def _filled(rule: Rule) -> str:
    """The rule's text with the types that its conditions name, and without those that may be any."""
    inputs, output = _types(rule.input_dtype, rule.input_dtype_not), _types(rule.output_dtype, rule.output_dtype_not)
    known = {"op": "the operator", "offender": inputs, "output0": output}
    for index in range(len(_POSITIONS)):
        known[f"input{index}"] = inputs if not rule.inputs or index in rule.inputs else ""
    text = rule.why
    for name, words in known.items():
        # "input is {offender} without quantization" says enough without a type.
        text = text.replace(f"{{{name}}} without", f"{words} without" if words else "without")
        text = text.replace(f"{{{name}}}", words or "any type")
    return text


def _types(among: tuple[str, ...], but: tuple[str, ...]) -> str:
    return _listed(among) if among else f"anything but {_listed(but)}" if but else ""


def _listed(names: tuple[str, ...]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
