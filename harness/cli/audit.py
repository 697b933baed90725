"""`harness audit`: what a model's quantization really is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import data_options, metric_option
from harness.cli.targets import Target

if TYPE_CHECKING:
    from harness.session.audited import Audited


@click.command("audit")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@click.option("--recipe", "recipe_name", help="The recipe whose promise a file is checked against.")
@data_options
@metric_option
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of the training to audit.")
@click.option("--findings-only", is_flag=True, help="Leave out the tables.")
@click.option("--all-findings", is_flag=True, help="Also findings of severity info, not only their number.")
@click.option("--full", is_flag=True, help="Every table of every model, one after the other, instead of side by side.")
@click.option("--json", "json_file", type=Target(), help="Also write the audits as JSON to this file (`-`: stdout).")
def command(targets, recipe_name, data_dir, data, metric, seed, findings_only, all_findings, full, json_file) -> int:
    """Explain what a model's quantization really is.

    A TARGET is WORKLOAD:RECIPE, built first if it is not there yet (the recipe may be a glob, `core` or `all`; the workload
    may be a .keras or .h5 file or a SavedModel of your own, with --data), or a .tflite, .keras or .h5 file as it is. Several
    models are shown side by side. Shows every parameter that quantization-aware training added and what it is for, the
    types, scales and zero points of a .tflite beside those that the affine equations give, and findings: what is not
    what it seems, and how to fix it.

    \b
    harness audit sensor-cnn:qat-default
    harness audit mnist-cnn:qat-dense-default mnist-cnn:ptq-aeq-dyn8
    harness audit my_model.tflite --recipe ptq-int8-io
    harness audit 'my_model.keras:qat-*' --data samples.npz
    """
    from harness.cli.progress import RunProgress
    from harness.reports.console import make_console
    from harness.session.audited import audit_targets

    # With JSON on stdout nothing else may stand there.
    console = make_console(stderr=True) if json_file == "-" else make_console()
    with RunProgress() as progress:
        models = audit_targets(
            targets, recipe=recipe_name, data=Path(data) if data else None, metric=metric, data_dir=data_dir, seed=seed,
            say=progress.say,
        )  # fmt: skip
    if len(models) > 1 and not full:
        from harness.cli.audit_side import print_side_by_side

        print_side_by_side(console, models, findings_only=findings_only, all_findings=all_findings)
    else:
        for model in models:
            _show(console, model, findings_only=findings_only, all_findings=all_findings)
    if json_file:
        from harness.reports.jsonout import write_json

        write_json(json_file, None, [model.to_json() for model in models])
    return 0


def _show(console: Any, model: Audited, *, findings_only: bool, all_findings: bool) -> None:
    from harness.cli.audit_tables import print_audit

    if model.refused is not None:
        console.print(f"{model.name} was refused: {model.refused}", markup=False)
    for report in model.reports:
        print_audit(console, report, findings_only=findings_only, all_findings=all_findings)
