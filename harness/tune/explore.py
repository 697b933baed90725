"""The cheap half of a search: every candidate's error on calibration samples, and what the device is given for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from harness.core.errors import UserInputError
from harness.prepare.prepared import FLOAT_RECIPE
from harness.tflite.graph import read_graph
from harness.tune.candidates import Explored, Explorer, chosen
from harness.tune.scorers import ScorerProcess
from harness.variants.artifact import Artifact
from harness.variants.audit.mixed import layer_names_of
from harness.variants.build.build import BuildRequest, build_artifacts
from harness.variants.calibration import calibration_part
from harness.variants.convert.layers import layer_ops
from harness.variants.convert.units import Unit
from harness.variants.mix import LayerKind
from harness.variants.recipe import parse_recipe
from harness.workloads.base import Dataset, Workload, stratified_order
from harness.workloads.datasets import DataSource
from harness.workloads.rows import Arrays

#: candidates are scored on this many of the calibration samples: enough to order them
_SCORED_SAMPLES = 64


@dataclass(frozen=True, kw_only=True)
class Exploration:
    """What cheap errors said.

    Attributes:
        scored: how many candidates were scored, and how many different files they are.
        common: the best settings that all layers have in common, as a recipe; None where nothing could be scored.
        units: the layers that were tried out of int8, with what that gained, dB, the best first.
        chosen: the recipes that the device is given, the most promising first.
        errors_db: of each of them, the SQNR of the output.
        classes: Keras class of each layer, by name.
        samples: how many calibration samples they were scored on.
        stopped: whether time ended it.
    """

    scored: int
    files: int
    common: str | None
    units: tuple[tuple[Unit, float], ...]
    chosen: tuple[str, ...]
    errors_db: dict[str, float] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)
    samples: int = 0
    stopped: bool = False

    def to_json(self) -> dict[str, Any]:
        """As the run's environment keeps it."""
        return {
            "scored": self.scored,
            "files": self.files,
            "common": self.common,
            "units": [[unit.layer, list(unit.layers), gain] for unit, gain in self.units],
            "chosen": list(self.chosen),
            "errors_db": self.errors_db,
            "classes": self.classes,
            "samples": self.samples,
            "stopped": self.stopped,
        }

    @staticmethod
    def from_json(stored: dict[str, Any]) -> Exploration:
        """What `to_json` gave."""
        units = tuple((Unit(layer=name, layers=tuple(layers)), float(gain)) for name, layers, gain in stored["units"])
        return Exploration(**{**stored, "units": units, "chosen": tuple(stored["chosen"])})


def explore(
    workload: Workload,
    source: DataSource,
    dataset: Dataset,
    *,
    most: int,
    max_size_bytes: float | None,
    without: frozenset[LayerKind],
    until_s: float,
    note: Callable[[str], None] = lambda text: None,
) -> Exploration:
    """Scores the search space of a workload's float model.

    Args:
        most: how many recipes the device is given.
        max_size_bytes: larger ones are left out.
        without: kinds of layers that the device is known not to run.
        until_s: when to stop, on the monotonic clock.
        note: told what is going on.

    Raises:
        UserInputError: the float model is refused, or there are no calibration samples.
    """
    artifact = _float_artifact(workload, source)
    samples = _samples(workload, dataset)
    graph = read_graph(artifact.file)
    summary = artifact.manifest.get("training_summary")
    layers = layer_names_of(summary)
    ops = layer_ops(graph, layers)
    note(f"scoring variants of {len(ops)} ops by their error on {len(samples)} calibration samples")
    with ScorerProcess(artifact.file, samples, layers) as scorers:
        explorer = Explorer(
            lambda recipe, by_layer: scorers.score(recipe, by_layer=by_layer),
            graph,
            ops,
            lambda: time.monotonic() < until_s,
        )
        found = explorer.explore()
    picked = chosen(found, most, max_size_bytes, without)
    return Exploration(
        scored=len(found.scored),
        files=len(found.good),
        common=_common(found),
        units=tuple(found.units),
        chosen=tuple(one.recipe for one in picked),
        errors_db={one.recipe: round(one.sqnr_db, 3) for one in picked},
        classes={layer: row["class"] for layer, row in zip(layers, (summary or {}).get("layers", ()), strict=True)},
        samples=len(samples),
        stopped=found.stopped,
    )


def _common(found: Explored) -> str | None:
    """The settings that layers were taken out of, which every candidate of a single layer has beside it."""
    good = [one for one in found.scored.values() if one.refused is None and one.layers_db]
    return good[0].recipe if good else None


def _float_artifact(workload: Workload, source: DataSource) -> Artifact:
    request = BuildRequest(workload=workload, recipe=parse_recipe(FLOAT_RECIPE), source=source)
    (artifact,) = build_artifacts([request])
    if artifact.path is None:
        raise UserInputError(
            f"the float model cannot be converted, so nothing can be searched: {artifact.refused}",
            where=workload.model_path or workload.name,
        )
    return artifact


def _samples(workload: Workload, dataset: Dataset) -> Arrays:
    """The first of the calibration samples, of which `harness.variants.build.worker_jobs` keeps more."""
    samples, labels = calibration_part(dataset)
    if samples is None or samples is dataset.x_test:
        raise UserInputError(
            "the data has no training samples, and calibration takes these: the test samples are for judging",
            where=dataset.origin or workload.name,
            hint="give x_train (and y_train) in the .npz",
        )
    order = stratified_order(workload.strata(labels), len(samples))
    return samples[order[:_SCORED_SAMPLES]]
