"""`harness audit`: what a model's quantization really is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from harness.variants.artifact import Artifact
    from harness.variants.audit.report import AuditReport
    from harness.variants.recipe import Recipe
    from harness.workloads.base import Workload

_MODEL_SUFFIXES = (".tflite", ".keras", ".h5", ".hdf5")


@click.command("audit")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@click.option("--recipe", "recipe_name", help="The recipe whose promise a file is checked against.")
@click.option("--data-dir", envvar="HARNESS_DATA_DIR", type=click.Path(), help="Folder with mnist.npz, cifar10*.npz.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of the training to audit.")
@click.option("--findings-only", is_flag=True, help="Leave out the tables.")
@click.option(
    "--json", "json_file", type=click.Path(), help="Also write the audits as JSON to this file (`-`: stdout)."
)
def command(targets, recipe_name, data_dir, seed, findings_only, json_file) -> int:
    """Explain what a model's quantization really is.

    A TARGET is WORKLOAD:RECIPE, built first if it is not there yet (the recipe may be a glob, `core` or `all`), or a
    .tflite, .keras or .h5 file. Shows every parameter that quantization-aware training added and what it is for, the
    types, scales and zero points of a .tflite beside those that the affine equations give, and findings: what is not
    what it seems, and how to fix it.

    \b
    harness audit sensor-cnn:qat-default
    harness audit mnist-cnn:qat-dense-default mnist-cnn:ptq-aeq-dyn8
    harness audit my_model.tflite --recipe ptq-int8-io
    """
    from harness.reports.console import make_console
    from harness.variants.recipe import parse_recipe

    recipe = parse_recipe(recipe_name) if recipe_name else None
    cells: list[dict[str, Any]] = []
    # With JSON on stdout nothing else may stand there.
    console = make_console(stderr=True) if json_file == "-" else make_console()
    for target in _resolve(targets, recipe):
        if isinstance(target, Path):
            reports, known = _audit_file(target, recipe)
            _show(console, reports, findings_only)
            cells.append(_cell(reports, known))
            continue
        for artifact, dataset in _build(target, data_dir, seed):
            reports, known = _audit_artifact(artifact, dataset, console)
            _show(console, reports, findings_only)
            cells.append(_cell(reports, known))
    if json_file:
        from harness.reports.jsonout import write_json

        write_json(json_file, None, cells)
    return 0


@dataclass(frozen=True, kw_only=True)
class _Variants:
    """Recipes of one workload, to be built before they are audited."""

    workload: Workload
    recipes: list[Recipe]


def _resolve(targets: tuple[str, ...], recipe: Recipe | None) -> list[Path | _Variants]:
    """Each target as the file or the variants that it names; wrong ones are refused before anything is built."""
    from harness.core.errors import UserInputError
    from harness.variants.recipe import select_recipes
    from harness.workloads.registry import get_workload, workload_names

    resolved: list[Path | _Variants] = []
    for target in targets:
        name, colon, rest = target.rpartition(":")
        if Path(target).exists() or (not colon and Path(target).suffix.lower() in _MODEL_SUFFIXES):
            resolved.append(Path(target))
        elif colon:
            resolved.append(_Variants(workload=get_workload(name), recipes=select_recipes([rest])))
        elif recipe is not None:
            resolved.append(_Variants(workload=get_workload(target), recipes=[recipe]))
        elif target in workload_names():
            hint = f"such as {target}:qat-default"
            raise UserInputError("names a workload without a recipe", where=target, hint=hint)
        else:
            raise UserInputError(
                "is neither WORKLOAD:RECIPE nor a model file",
                where=target,
                hint=f"workloads: {', '.join(workload_names())}; files end in {', '.join(_MODEL_SUFFIXES)}",
            )
    return resolved


def _audit_file(path: Path, recipe: Recipe | None) -> tuple[list[AuditReport], dict[str, Any]]:
    from harness.core.files import sha256_file
    from harness.tflite.graph import model_io, read_graph
    from harness.variants.audit.audit import audit_file

    report = audit_file(path, recipe)
    known: dict[str, Any] = {"recipe": recipe.name if recipe else None}
    if report.kind == "tflite":
        inputs, outputs = model_io(read_graph(path))
        known |= {
            "artifact_sha256": sha256_file(path),
            "size_bytes": path.stat().st_size,
            "input_dtype": inputs[0].dtype if inputs else None,
            "output_dtype": outputs[0].dtype if outputs else None,
            "total_nodes": len(report.ops),
        }
    return [report], known


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


def _audit_artifact(
    artifact: Artifact, dataset: dict[str, Any], console: Any
) -> tuple[list[AuditReport], dict[str, Any]]:
    from harness.variants.audit.audit import audit_built

    refused = artifact.path is None
    if refused:
        console.print(f"{artifact.workload}:{artifact.recipe} was refused: {artifact.refused}", markup=False)
    reports = audit_built(artifact)
    return reports, {
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


def _show(console: Any, reports: list[AuditReport], findings_only: bool) -> None:
    from harness.cli.audit_tables import print_audit

    for report in reports:
        print_audit(console, report, findings_only=findings_only)


def _cell(reports: list[AuditReport], known: dict[str, Any]) -> dict[str, Any]:
    """One entry of the published JSON: the fields that apply, and the full reports under `audit`."""
    from harness.reports.jsonout import partial_cell

    documents = [report.to_json() for report in reports]
    findings = [finding for document in documents for finding in document["findings"]]
    return partial_cell({**known, "findings": findings, "audit": documents})
