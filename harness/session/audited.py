"""Audits of what was asked for by name: files as they are, and variants that are built first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.finding import Finding
from harness.variants.audit.report import AuditReport

if TYPE_CHECKING:
    from harness.variants.artifact import Artifact
    from harness.variants.recipe import Recipe
    from harness.workloads.base import Workload

Say = Callable[[str, int, int], None]
"""Told how builds go: (what, done, total)."""

_MODEL_SUFFIXES = (".tflite", ".keras", ".h5", ".hdf5")


@dataclass(frozen=True, kw_only=True)
class Audited:
    """One model's audits: of its training, of its file, or of both.

    Attributes:
        name: what it is called in the tables.
        refused: why there is no file.
        known: what the published JSON says of it besides: workload, recipe, hash, size, types.
    """

    name: str
    reports: Sequence[AuditReport]
    refused: str | None = None
    known: dict[str, Any] = field(default_factory=dict)

    def of(self, kind: str) -> AuditReport | None:
        """Its audit of a kind, `keras` or `tflite`."""
        return next((report for report in self.reports if report.kind == kind), None)

    @property
    def documents(self) -> list[dict[str, Any]]:
        """Its audits as JSON."""
        return [report.to_json() for report in self.reports]

    def to_json(self) -> dict[str, Any]:
        """One entry of the published JSON: the fields that apply, and the full reports under `audit`."""
        from harness.reports.jsonout import partial_cell

        findings = [finding for document in self.documents for finding in document["findings"]]
        return partial_cell({**self.known, "findings": findings, "audit": self.documents})

    @property
    def findings(self) -> list[Finding]:
        return [finding for report in self.reports for finding in report.findings]


def audit_targets(
    targets: Sequence[str],
    *,
    recipe: str | None = None,
    data: Path | None = None,
    metric: str | None = None,
    data_dir: str | None = None,
    seed: int = 0,
    say: Say = lambda what, done, total: None,
) -> list[Audited]:
    """Audits each target, in their order.

    Args:
        targets: `WORKLOAD:RECIPE` (the recipe may be a glob, `core` or `all`), or .tflite, .keras and .h5 files.
        recipe: the one whose promise a file is checked against.
        data, metric, data_dir, seed: what variants are built with.

    Raises:
        UserInputError: a target that is neither, or an option that none of them takes.
        HarnessError: a build that cannot be done here.
    """
    from harness.variants.recipe import parse_recipe

    promised = parse_recipe(recipe) if recipe else None
    found: list[Audited] = []
    for target in _resolve(targets, promised, data, metric):
        if isinstance(target, Path):
            found.append(_audit_file(target, promised))
        else:
            found += [_audit_artifact(artifact, dataset) for artifact, dataset in _build(target, data_dir, seed, say)]
    return found


@dataclass(frozen=True, kw_only=True)
class _Variants:
    """Recipes of one workload, to be built before they are audited."""

    workload: Workload
    recipes: list[Recipe]


def _resolve(
    targets: Sequence[str], recipe: Recipe | None, data: Path | None, metric: str | None
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


def _audit_file(path: Path, recipe: Recipe | None) -> Audited:
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
    return Audited(name=str(target), reports=[report], known=known)


def _build(variants: _Variants, data_dir: str | None, seed: int, say: Say) -> list[tuple[Artifact, dict[str, Any]]]:
    """The artifacts of one workload, with what the JSON says of their data."""
    from harness.core.errors import UserInputError
    from harness.variants.build.build import BuildRequest, build_artifacts
    from harness.workloads.datasets import DataSource

    workload = variants.workload
    if workload.build_model is None:
        raise UserInputError(
            "is a finished .tflite, which no recipe applies to", where=workload.name, hint="audit the file"
        )
    source = DataSource.default(data_dir)
    artifacts = build_artifacts(
        [BuildRequest(workload=workload, recipe=recipe, source=source, seed=seed) for recipe in variants.recipes],
        progress=lambda *a: say("building", *a[-2:]),
    )
    dataset = {"dataset": workload.dataset_digest(source), "seed": seed}
    return [(artifact, dataset) for artifact in artifacts]


def _audit_artifact(artifact: Artifact, dataset: dict[str, Any]) -> Audited:
    from harness.variants.audit.audit import audit_built

    refused = artifact.path is None
    reports = audit_built(artifact)
    name = f"{artifact.workload}:{artifact.recipe}"
    known = {
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
    return Audited(name=name, reports=reports, refused=artifact.refused if refused else None, known=known)
