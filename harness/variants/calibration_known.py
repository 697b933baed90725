"""What a calibration study found of a model, kept in the cache for the audits of the same model and conversion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

from harness.core.files import sha256_json, write_json_atomic
from harness.core.finding import Finding
from harness.core.paths import cache_dir
from harness.variants.artifact import Artifact
from harness.variants.build.keys import KeyMaker
from harness.variants.build.tasks import BuildRequest
from harness.variants.calibration import Calibration
from harness.variants.recipe import Recipe, parse_recipe

_SCHEMA = 1


class _Found(Protocol):
    """What is kept of `harness.verdict.enough.CalibrationFound`, which this room does not know."""

    @property
    def device(self) -> str: ...
    @property
    def backend(self) -> str: ...
    @property
    def total(self) -> int: ...
    @property
    def samples(self) -> int: ...
    @property
    def unit(self) -> str | None: ...
    @property
    def enough(self) -> tuple[Any, ...]: ...


def _place(training_key: str, conversion: str) -> Path:
    return cache_dir() / "studies" / f"calibration-{sha256_json([training_key, conversion])[:24]}.json"


def remember(request: BuildRequest, found: _Found, run: str) -> None:
    """Keeps what a study found; a later study of the same model takes its place."""
    keys = KeyMaker().keys(request.workload, request.recipe, request.source, request.seed)
    place = _place(keys.training_key, request.recipe.conversion.name)
    place.parent.mkdir(parents=True, exist_ok=True)
    write_json_atomic(
        place,
        {
            "schema": _SCHEMA,
            "run": run,
            "device": found.device,
            "backend": found.backend,
            "total": found.total,
            "samples": found.samples,
            "unit": found.unit,
            "enough": [
                {"choice": one.choice, "count": one.count, "detectable": one.detectable} for one in found.enough
            ],
        },
    )


def study_findings(artifact: Artifact) -> list[Finding]:
    """What a study says of the calibration of an artifact; nothing where there was none, or none of this choice of samples.

    `calibration-enough` (info) or `calibration-too-few` (warning).
    """
    manifest = artifact.manifest
    recipe = parse_recipe(artifact.recipe)
    used = manifest.get("representative")
    if not used or "training_key" not in manifest:
        return []
    place = _place(manifest["training_key"], recipe.conversion.name)
    try:
        study = json.loads(place.read_bytes())
        if study["schema"] != _SCHEMA:
            return []
        finding = _finding(recipe, used["count"], study, f"{artifact.workload}:{artifact.recipe}")
    except (OSError, ValueError, KeyError, TypeError):
        return []  # no study, or one that nobody can read: an audit says nothing of it
    return [] if finding is None else [finding]


def _finding(recipe: Recipe, used: int | None, study: dict[str, Any], where: str) -> Finding | None:
    total = study["total"]
    told = f"a study (run {study['run']}, {study['device']}/{study['backend']}, {study['samples']:,} test samples)"
    if used is None or used >= total:
        what = f"all {total:,} training samples calibrate it, which is what {told} compared the others with"
        return Finding(code="calibration-enough", severity="info", where=where, what=what)
    choice = "stratified" if recipe.calibration is None else recipe.calibration.choice
    found = next((one for one in study["enough"] if one["choice"] == choice), None)
    if found is None:
        return None
    by = (recipe.calibration or Calibration(count=used)).words
    head = f"{by} of {total:,} calibrate{'s' if used == 1 else ''} it; {told}"
    if found["count"] is not None and used >= found["count"]:
        what = (
            f"{head} found {found['count']:,} enough: from there on no test tells the score from that of all of them"
            f"{_seen(found['detectable'], study['unit'])}"
        )
        return Finding(code="calibration-enough", severity="info", where=where, what=what)
    least = "all of them" if found["count"] is None else f"at least {found['count']:,}"
    return Finding(
        code="calibration-too-few",
        severity="warning",
        where=where,
        what=f"{head} found that it takes {least}: with fewer the score is another",
        fix="calibrate with more samples (-cal[all]), or with a better choice of them",
    )


def _seen(detectable: float | None, unit: str | None) -> str:
    if detectable is None:
        return ", though no loss would have been told by so few test samples"
    text = (
        f"{100 * detectable:.1f} points"
        if unit is None and detectable <= 1
        else f"{detectable:.3g} {unit or ''}".strip()
    )
    return f" (a loss of {text} would have been told)"
