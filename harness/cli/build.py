"""`harness build`: build the quantized variants, list them, pack them, clean up."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import data_options, deadline_option, metric_option
from harness.cli.out import echo
from harness.cli.project import ProjectCommand
from harness.cli.targets import Target

if TYPE_CHECKING:
    from harness.variants.build.build import BuildOutcome, BuildRequest


@click.command("build", cls=ProjectCommand)
@click.argument("names", nargs=-1, metavar="[WORKLOAD|MODEL_FILE]...")
@click.option(
    "--recipe",
    "recipes",
    multiple=True,
    default=("core",),
    show_default=True,
    help="A recipe, a glob, `core` or `all`; repeatable.",
)
@click.option(
    "--seeds",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Repeat training with seeds 0..N-1, to show the spread.",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Build workers, one thread each. Default: one per core.")
@deadline_option
@data_options
@metric_option
@click.option("--cache-dir", type=click.Path(), help="Where built models live. Default: $HARNESS_CACHE_DIR or yours.")
@click.option("--quota", help="Keep the cache below this size, such as 2G. Default: $HARNESS_CACHE_QUOTA or 4G.")
@click.option("--bundle", type=Target("folder"), help="Pack models, samples and reference outputs into this folder.")
@click.option("--json", "json_file", type=Target(), help="Also write the result as JSON to this file (- is stdout).")
@click.option(
    "--list", "list_only", is_flag=True, help="Say what each recipe is and whether it is built; build nothing."
)
@click.option("--clean", is_flag=True, help="Remove built models and trainings (with --quota: only down to that size).")
def command(
    names: tuple[str, ...],
    recipes: tuple[str, ...],
    seeds: int,
    jobs: int | None,
    deadline: str | None,
    data_dir: str | None,
    data: str | None,
    metric: str | None,
    cache_dir: str | None,
    quota: str | None,
    bundle: str | None,
    json_file: str | None,
    list_only: bool,
    clean: bool,
) -> int:
    """Build the variants of workloads, or of your own .keras, .h5 or SavedModel. Default: the published three.

    \b
    harness build mnist-cnn --recipe 'ptq-*'
    harness build model.h5 --data samples.npz --recipe qat-int8-io
    harness build --recipe all --bundle lab/
    """
    if cache_dir:
        # Everything that a build caches, in workers too, goes below one folder that the environment names.
        os.environ["HARNESS_CACHE_DIR"] = str(Path(cache_dir).expanduser().absolute())
    if clean:
        return _clean(quota)
    from harness.run.budget import parse_duration
    from harness.variants.build.requests import make_requests

    deadline_s = parse_duration(deadline, "--deadline") if deadline else None
    requests = make_requests(names, recipes, range(seeds), data_dir, data, metric)
    if list_only:
        return _list(requests)
    outcomes = _build(requests, jobs, quota, deadline_s)
    if json_file != "-":
        from harness.cli.build_tables import print_outcomes

        print_outcomes(outcomes)
    if json_file:
        _write_json(outcomes, json_file)
    if bundle:
        _bundle(requests, bundle, jobs, deadline_s)
    return 0


def _build(
    requests: list[BuildRequest], jobs: int | None, quota: str | None, deadline_s: float | None
) -> list[BuildOutcome]:
    from harness.cli.build_progress import BuildBar
    from harness.variants.build.build import build_outcomes

    with BuildBar() as bar:
        return build_outcomes(requests, jobs=jobs, progress=bar.update, quota=quota, deadline_s=deadline_s)


def _list(requests: list[BuildRequest]) -> int:
    from harness.cli.build_tables import print_recipes
    from harness.variants.build.build import cached_outcomes

    print_recipes(requests, cached_outcomes(requests))
    return 0


def _write_json(outcomes: list[BuildOutcome], json_file: str) -> None:
    import json

    from harness.cli.build_tables import outcomes_json
    from harness.core.errors import UserInputError
    from harness.core.files import write_named_json

    content = outcomes_json(outcomes)
    if json_file == "-":
        echo(json.dumps(content, indent=1, sort_keys=True))
        return
    try:
        write_named_json(Path(json_file), content)
    except OSError as error:
        raise UserInputError(f"cannot be written ({error.strerror})", where=json_file) from error


def _bundle(requests: list[BuildRequest], folder: str, jobs: int | None, deadline_s: float | None) -> None:
    """Adds samples and references to what was built, and packs it."""
    from harness.cli.build_progress import BuildBar
    from harness.prepare.bundle import write_bundle
    from harness.run.plan import ModelRequest, prepare_requests
    from harness.variants.build.build import AS_IS

    wanted = [
        ModelRequest(workload=r.workload, recipe=r.recipe.name if r.workload.build_model else AS_IS, seed=r.seed)
        for r in requests
    ]
    with BuildBar() as bar:
        models = prepare_requests(wanted, requests[0].source, jobs=jobs, say=bar.update, deadline_s=deadline_s)
    path = write_bundle(folder, models)
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    echo(f"bundle: {path} ({len(models)} models, {size:,} bytes)")
    echo(f"next, on the lab host: harness run --bundle {path.name} --device NAME")


def _clean(quota: str | None) -> int:
    from harness.variants.build.cache import BuildCache, parse_size

    with BuildCache() as cache:
        report = cache.shrink(parse_size(quota) if quota else 0)
    freed = report.removed_bytes + report.leftover_bytes
    echo(
        f"removed {report.removed_artifacts} artifacts and {report.removed_trainings} trainings, {freed:,} bytes"
        + (f" ({report.leftover_bytes:,} of them left behind by killed builds)" if report.leftover_bytes else "")
    )
    if report.kept_bytes:
        in_use = f", {report.kept_in_use} entries in use by other commands" if report.kept_in_use else ""
        echo(f"kept {report.kept_bytes:,} bytes{in_use}")
    return 0
