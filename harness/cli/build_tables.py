"""What `harness build` prints and writes: the table of built models, the list of recipes, the JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.variants.recipe import Recipe

if TYPE_CHECKING:
    from harness.variants.build.build import BuildOutcome, BuildRequest

JSON_SCHEMA = 1

_TRAINING_TEXT = {
    "float": "float model",
    "finetune": "float model trained on with QAT's steps",
    "qat": "quantization-aware",
}


def print_outcomes(outcomes: Sequence[BuildOutcome]) -> None:
    """One row per artifact, and below what the data was and where the files are."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from harness.reports.console import make_console

    many_seeds = len({outcome.artifact.seed for outcome in outcomes}) > 1
    console = make_console()
    for workload in dict.fromkeys(outcome.artifact.workload for outcome in outcomes):
        rows = [outcome for outcome in outcomes if outcome.artifact.workload == workload]
        table = Table(title=workload, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("recipe", no_wrap=True)
        for name in (["seed"] if many_seeds else []) + ["bytes", "seconds"]:
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("sha256", no_wrap=True)
        table.add_column("outcome", overflow="fold")
        for outcome in rows:
            artifact = outcome.artifact
            size = f"{artifact.size_bytes:,}" if artifact.size_bytes is not None else "-"
            seconds = f"{outcome.seconds:.1f}" if outcome.seconds is not None else "-"
            result = (
                Text(f"unsupported: {artifact.refused}", style="yellow") if artifact.refused else Text(state(outcome))
            )
            table.add_row(
                Text(artifact.recipe),
                *([str(artifact.seed)] if many_seeds else []),
                size,
                seconds,
                (artifact.sha256 or "-")[:12],
                result,
            )
        console.print(table)
        dataset = next((o.artifact.manifest["dataset"] for o in rows if o.artifact.manifest.get("dataset")), None)
        if dataset:
            console.print(Text(f"data: {dataset['name']}: {dataset['note']}", style="dim"), soft_wrap=True)
    built = sum(not outcome.cached for outcome in outcomes)
    noun = "model" if len(outcomes) == 1 else "models"
    console.print(f"{len(outcomes)} {noun}: {built} built, {len(outcomes) - built} cached", highlight=False)


def state(outcome: BuildOutcome) -> str:
    """How an artifact came about in this command: `built`, `cached`, or `as it is` for a finished file."""
    if outcome.artifact.recipe == "as-is":
        return "as it is"
    return "cached" if outcome.cached else "built"


def print_recipes(requests: Sequence[BuildRequest], cached: Sequence[BuildOutcome | None]) -> None:
    """What each recipe is, and for each workload whether it is built."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from harness.reports.console import make_console

    workloads = list(dict.fromkeys(request.workload.name for request in requests))
    states: dict[tuple[str, str], str] = {}
    for request, outcome in zip(requests, cached, strict=True):
        place = (request.recipe.name, request.workload.name)
        if outcome is None:
            states[place] = "-"
        else:
            artifact = outcome.artifact
            states.setdefault(place, "unsupported" if artifact.refused else f"{artifact.size_bytes:,} bytes")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("recipe", no_wrap=True)
    table.add_column("what it is", overflow="fold")
    for workload in workloads:
        table.add_column(workload, justify="right")
    for recipe in dict.fromkeys(request.recipe for request in requests):
        cells = [states.get((recipe.name, workload), "") for workload in workloads]
        table.add_row(Text(recipe.name), Text(recipe_text(recipe)), *cells)
    console = make_console()
    console.print(table)
    console.print("- is not built yet; docs/reference/recipes.md explains every recipe", highlight=False)


def recipe_text(recipe: Recipe) -> str:
    """A recipe in words."""
    training, conversion = recipe.training, recipe.conversion
    words = [_TRAINING_TEXT[training.base]]
    if training.scope == "dense":
        words[0] += ", Dense layers only"
    if training.quantizer:
        words[0] += f", weights by {training.quantizer.text}"
    if training.scope == "layers":
        words[0] += f", {', '.join(training.layers)} only"
    if training.simulated:
        words[0] += f", rounding as {training.simulated.text}"
    if conversion.mix is not None:
        words.append(f"each layer by AI Edge Quantizer as the brackets say: {conversion.mix.text}")
    elif conversion.simulated:
        words.append(f"rounded as {conversion.simulated.text} and computed in float")
    elif conversion.converter == "aeq":
        words.append(f"AI Edge Quantizer {conversion.aeq_recipe}")
    elif conversion.float16:
        words.append("float16 weights")
    elif conversion.int16_activations:
        words.append("int8 weights, int16 activations")
    elif conversion.integer_only:
        words.append(f"integer kernels only, {conversion.io_type} in and out")
    elif conversion.optimize:
        words.append("Optimize.DEFAULT without data")
    else:
        words.append("not quantized by the converter")
    if not conversion.per_channel:
        words.append("per-tensor weights")
    elif not conversion.per_channel_dense:
        words.append("per-tensor Dense weights")
    if recipe.dynamic_batch:
        words.append("open batch")
    if recipe.calibration:
        words.append(f"calibrated by {recipe.calibration.words}")
    return "; ".join([*words, f"promises {recipe.promised_arithmetic} arithmetic"])


def outcomes_json(outcomes: Sequence[BuildOutcome]) -> dict[str, Any]:
    """The JSON of `--json` (docs/reference/recipes.md): every key always there, null where a value does not apply."""
    return {"schema": JSON_SCHEMA, "artifacts": [_artifact_json(outcome) for outcome in outcomes]}


def _artifact_json(outcome: BuildOutcome) -> dict[str, Any]:
    artifact, manifest = outcome.artifact, outcome.artifact.manifest
    dataset = manifest.get("dataset") or {}
    return {
        "workload": artifact.workload,
        "recipe": artifact.recipe,
        "seed": artifact.seed,
        "key": artifact.key,
        "outcome": "unsupported" if artifact.refused else "ok",
        "reason": artifact.refused,
        "cached": outcome.cached,
        "path": str(artifact.path) if artifact.path else None,
        "sha256": artifact.sha256,
        "size_bytes": artifact.size_bytes,
        "seconds": outcome.seconds,
        "dataset": dataset.get("digest"),
        "dataset_name": dataset.get("name"),
        "dataset_note": dataset.get("note"),
        "inputs": manifest.get("inputs"),
        "outputs": manifest.get("outputs"),
        "ops": manifest.get("ops"),
        "packages": manifest.get("packages"),
        "reproducible": manifest.get("reproducible"),
        "reproducible_why": manifest.get("reproducible_why"),
        "findings": (manifest.get("audit") or {}).get("findings", []),
    }
