"""`harness audit`: what a model's quantization really is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.audit_side import Audited
from harness.cli.options import data_options, metric_option
from harness.cli.targets import Target

if TYPE_CHECKING:
    from harness.variants.artifact import Artifact
    from harness.variants.audit.report import AuditReport
    from harness.variants.recipe import Recipe
    from harness.workloads.base import Workload

_MODEL_SUFFIXES = (".tflite", ".keras", ".h5", ".hdf5")


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
    from harness.reports.console import make_console
    from harness.variants.recipe import parse_recipe

    recipe = parse_recipe(recipe_name) if recipe_name else None
    # With JSON on stdout nothing else may stand there.
    console = make_console(stderr=True) if json_file == "-" else make_console()
    found: list[tuple[Audited, dict[str, Any]]] = []
    for target in _resolve(targets, recipe, Path(data) if data else None, metric):
        if isinstance(target, Path):
            found.append(_audit_file(target, recipe))
        else:
            found += [_audit_artifact(artifact, dataset) for artifact, dataset in _build(target, data_dir, seed)]
    models = [model for model, _ in found]
    if len(models) > 1 and not full:
        from harness.cli.audit_side import print_side_by_side

        print_side_by_side(console, models, findings_only=findings_only, all_findings=all_findings)
    else:
        for model in models:
            _show(console, model, findings_only=findings_only, all_findings=all_findings)
    if json_file:
        from harness.reports.jsonout import write_json

        write_json(json_file, None, [_cell(model.reports, known) for model, known in found])
    return 0


@dataclass(frozen=True, kw_only=True)
class _Variants:
    """Recipes of one workload, to be built before they are audited."""

    workload: Workload
    recipes: list[Recipe]


def _resolve(
    targets: tuple[str, ...], recipe: Recipe | None, data: Path | None, metric: str | None
) -> list[Path | _Variants]:
    """Each target as the file or the variants that it names; wrong ones are refused before anything is built."""
    from harness.core.errors import UserInputError
    from harness.variants.recipe import select_recipes
    from harness.workloads.finished import is_finished
    from harness.workloads.registry import get_workload, workload_names

    resolved: list[Path | _Variants] = []
    for target in targets:
        name, colon, rest = target.rpartition(":")
        if (
            Path(target).exists()
            or is_finished(Path(target))
            or (not colon and Path(target).suffix.lower() in _MODEL_SUFFIXES)
        ):
            resolved.append(Path(target))
        elif colon:
            workload = get_workload(name, data=data, metric=metric)
            resolved.append(_Variants(workload=workload, recipes=select_recipes([rest])))
        elif recipe is not None:
            workload = get_workload(target, data=data, metric=metric)
            resolved.append(_Variants(workload=workload, recipes=[recipe]))
        elif target in workload_names():
            hint = f"such as {target}:qat-default"
            raise UserInputError("names a workload without a recipe", where=target, hint=hint)
        else:
            raise UserInputError(
                "is neither WORKLOAD:RECIPE nor a model file",
                where=target,
                hint=f"workloads: {', '.join(workload_names())}; files end in {', '.join(_MODEL_SUFFIXES)}",
            )
    if (data is not None or metric is not None) and not any(isinstance(target, _Variants) for target in resolved):
        raise UserInputError(
            "--data and --metric are for what is built, and a file is audited as it is",
            where=str(resolved[0]),
            hint=f"name what to build of it, such as {resolved[0]}:ptq-int8-io, or leave them out",
        )
    return resolved


def _audit_file(path: Path, recipe: Recipe | None) -> tuple[Audited, dict[str, Any]]:
    from harness.core.files import sha256_file
    from harness.tflite.graph import model_io, read_graph
    from harness.variants.audit.audit import audit_file
    from harness.workloads.finished import finished_model

    target, model = path, finished_model(path)
    path = model.path
    report = audit_file(path, recipe)
    known: dict[str, Any] = {"recipe": recipe.name if recipe else None}
    if report.kind == "tflite":
        inputs, outputs = model_io(read_graph(path))
        sha256 = sha256_file(path)
        report = replace(report, target=str(target), findings=[*model.findings(sha256), *report.findings])
        known |= {
            "artifact_sha256": sha256,
            "size_bytes": path.stat().st_size,
            "input_dtype": inputs[0].dtype if inputs else None,
            "output_dtype": outputs[0].dtype if outputs else None,
            "total_nodes": len(report.ops),
        }
    return Audited(name=str(target), reports=[report]), known


def _build(variants: _Variants, data_dir: str | None, seed: int) -> list[tuple[Artifact, dict[str, Any]]]:
    """The artifacts of one workload, with what the JSON says of their data."""
    from harness.cli.progress import RunProgress
    from harness.core.errors import UserInputError
    from harness.variants.build.build import BuildRequest, build_artifacts
    from harness.workloads.datasets import DataSource

    workload = variants.workload
    if workload.build_model is None:
        raise UserInputError(
            "is a finished .tflite, which no recipe applies to", where=workload.name, hint="audit the file"
        )
    source = DataSource.default(data_dir)
    with RunProgress() as progress:
        artifacts = build_artifacts(
            [BuildRequest(workload=workload, recipe=recipe, source=source, seed=seed) for recipe in variants.recipes],
            progress=lambda *a: progress.say("building", *a[-2:]),
        )
    dataset = {"dataset": workload.dataset_digest(source), "seed": seed}
    return [(artifact, dataset) for artifact in artifacts]


def _audit_artifact(artifact: Artifact, dataset: dict[str, Any]) -> tuple[Audited, dict[str, Any]]:
    from harness.variants.audit.audit import audit_built

    refused = artifact.path is None
    reports = audit_built(artifact)
    name = f"{artifact.workload}:{artifact.recipe}"
    return Audited(name=name, reports=reports, refused=artifact.refused if refused else None), {
        **dataset,
        "workload": artifact.workload,
        "recipe": artifact.recipe,
        "artifact_sha256": artifact.sha256,
        "outcome": "unsupported" if refused else "ok",
        "reason": artifact.refused,
        "size_bytes": artifact.size_bytes,
        "input_dtype": artifact.inputs[0].dtype if artifact.inputs else None,
        "output_dtype": artifact.outputs[0].dtype if artifact.outputs else None,
        "total_nodes": next((len(report.ops) for report in reports if report.kind == "tflite"), None),
    }


def _show(console: Any, model: Audited, *, findings_only: bool, all_findings: bool) -> None:
    from harness.cli.audit_tables import print_audit

    if model.refused is not None:
        console.print(f"{model.name} was refused: {model.refused}", markup=False)
    for report in model.reports:
        print_audit(console, report, findings_only=findings_only, all_findings=all_findings)


def _cell(reports: Sequence[AuditReport], known: dict[str, Any]) -> dict[str, Any]:
    """One entry of the published JSON: the fields that apply, and the full reports under `audit`."""
    from harness.reports.jsonout import partial_cell

    documents = [report.to_json() for report in reports]
    findings = [finding for document in documents for finding in document["findings"]]
    return partial_cell({**known, "findings": findings, "audit": documents})
