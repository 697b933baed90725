"""Finds metrics by name: those of this package, those of other packages (entry point `harness.metrics`), those of workloads.

Nothing is imported before it is asked for, and a package that does not import costs its own name only.
"""

from __future__ import annotations

import dataclasses
import importlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.core.errors import UserInputError, unknown_name
from harness.workloads.metrics.base import Metric

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINT_GROUP = "harness.metrics"

#: name -> (module of this package, what in it)
_OWN: dict[str, tuple[str, str]] = {
    "top1": ("top1", "METRIC"),
    "binary": ("binary", "METRIC"),
    "class_number": ("class_number", "METRIC"),
    "mean_absolute_error": ("mean_absolute_error", "METRIC"),
    "f1": ("f1", "METRIC"),
    "f1_positive": ("f1", "POSITIVE"),
    "top-5": ("top_k", "METRIC"),
    "multilabel_f1_macro": ("multilabel_f1", "METRIC"),
    "multilabel_f1_micro": ("multilabel_f1", "MICRO"),
    "auc": ("auc", "METRIC"),
    "autoencoder_auc": ("autoencoder_auc", "METRIC"),
    "rmse": ("rmse", "METRIC"),
    "r2": ("r2", "METRIC"),
    "mean_iou": ("mean_iou", "METRIC"),
    "class_map_iou": ("mean_iou", "CLASS_MAP"),
    "detection_map": ("detection", "METRIC"),
    "detection_map_50": ("detection", "AT_50"),
    "ssd_map": ("detection_heads", "SSD"),
    "yolo_map": ("detection_heads", "YOLO"),
}
#: the metrics that are one for every number in their name
_TOP_K = re.compile(r"top-([1-9]\d{0,5})")
#: a metric with settings, as users write it: `rmse(unit=K)`
_WRITTEN = re.compile(r"(?P<name>[^()=\s]+)\((?P<settings>[^()]*)\)")


#: metrics of this very process, by name
_HERE: dict[str, Metric] = {}


def use_metric(metric: Metric) -> None:
    """Makes a metric known in this process by its name, for notebooks. Another one of that name is replaced.

    Raises:
        UserInputError: it is no metric, or it would hide one that comes with the harness or with a package.
    """
    if not isinstance(metric, Metric):
        raise UserInputError(
            f"expected a harness Metric, found {type(metric).__name__}",
            hint="derive from harness.workloads.metrics.base.Metric; see docs/guides/adding-a-workload.md",
        )
    if metric.name in _OWN or metric.name in _plugins():
        raise UserInputError(f"the metric name '{metric.name}' is taken", hint="give yours another name")
    _HERE[metric.name] = metric


def metric_names() -> list[str]:
    """Every metric that can be asked for by name, sorted. Imports none."""
    return sorted({*_OWN, *_plugins(), *_HERE})


def get_metric(name: str, **settings: Any) -> Metric:
    """A metric by its name.

    Args:
        name: as `metric_names` has it; `top-K` for any K; with settings behind it where they come as text: `rmse(unit=K)`.
        settings: its dataclass fields, such as `unit`, where they are not the usual ones.

    Raises:
        UserInputError: an unknown name or setting, or a package that does not give what it promises.
    """
    if written := _WRITTEN.fullmatch(name):
        metric = get_metric(written["name"])
        return _with_settings(metric, _read_settings(metric, written["settings"]) | settings)
    if top := _TOP_K.fullmatch(name):
        return _with_settings(_top_k(int(top[1])), settings)
    if name in _OWN:
        module, attribute = _OWN[name]
        metric = getattr(importlib.import_module(f"harness.workloads.metrics.{module}"), attribute)
    elif name in _HERE:
        metric = _HERE[name]
    else:
        plugins = _plugins()
        if name not in plugins:
            raise unknown_name("metric", name, metric_names())
        metric = _load(name, plugins[name])
    return _with_settings(metric, settings)


def described(metric: Metric | None) -> dict[str, Any] | None:
    """A metric as JSON: what `restored` needs to find it again."""
    return None if metric is None else {"name": metric.name, "settings": dataclasses.asdict(metric)}


def restored(data: Mapping[str, Any] | None, workload: str) -> Metric | None:
    """The metric that `described` told of.

    Args:
        workload: the name of the workload that was judged by it: its file may bring the metric along.

    Raises:
        UserInputError: nobody here knows it.
    """
    if data is None:
        return None
    try:
        return get_metric(data["name"], **data["settings"])
    except UserInputError as error:
        metric = _of_workload(workload)
        if metric is None or metric.name != data["name"]:
            raise UserInputError(
                f"the metric '{data['name']}' of workload '{workload}' is not known here ({error.what})",
                hint="install the package that brings it",
            ) from error
        return _with_settings(metric, data["settings"])


def _of_workload(name: str) -> Metric | None:
    from harness.workloads.registry import get_workload

    try:
        return get_workload(name).metric
    except UserInputError:
        return None


def _plugins() -> dict[str, list[EntryPoint]]:
    """Entry points by name; a list, because two packages may take the same."""
    from importlib.metadata import entry_points

    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.name not in _OWN:
            found.setdefault(point.name, []).append(point)
    return found


def _load(name: str, points: list[EntryPoint]) -> Metric:
    if len({point.value for point in points}) > 1:
        raise UserInputError(
            f"the metric name '{name}' is taken by {' and '.join(sorted(point.value for point in points))}",
            hint="uninstall one of the packages that bring it",
        )
    point = points[0]
    try:
        metric = point.load()
    except Exception as error:
        raise UserInputError(
            f"the metric '{name}' cannot be loaded ({type(error).__name__}: {error})",
            where=point.value,
            hint="repair or uninstall the package that brings it",
        ) from error
    if not isinstance(metric, Metric) or metric.name != name:
        found = f"the metric '{metric.name}'" if isinstance(metric, Metric) else type(metric).__name__
        what = f"expected a harness Metric called '{name}', found {found}"
        raise UserInputError(what, where=point.value, hint="see docs/guides/adding-a-workload.md")
    return metric


def _top_k(k: int) -> Metric:
    from harness.workloads.metrics.top_k import top_k

    return get_metric("top1") if k == 1 else top_k(k)


def _read_settings(metric: Metric, text: str) -> dict[str, Any]:
    """`unit=K, ignore=0` by the types of the metric's settings.

    Raises:
        UserInputError: no such setting, or a value that is none of it.
    """
    known: dict[str, Any] = {f.name: f.default for f in dataclasses.fields(metric)}
    found: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, sign, value = (word.strip() for word in part.partition("="))
        if not sign or not value:
            raise UserInputError(f"'{part}' is no setting of the metric {metric.name}", hint="write NAME=VALUE")
        if name not in known:
            raise unknown_name(f"setting of the metric {metric.name}", name, known)
        kind = type(known[name]) if isinstance(known[name], int | float) else str
        try:
            found[name] = kind(value)
        except ValueError:
            what = f"'{value}' is no {kind.__name__} for the setting '{name}' of the metric {metric.name}"
            raise UserInputError(what, hint=f"usual: {known[name]}") from None
    return found


def _with_settings(metric: Metric, settings: Mapping[str, Any]) -> Metric:
    known = {f.name for f in dataclasses.fields(metric)}
    for name in settings:
        if name not in known:
            raise unknown_name(f"setting of the metric {metric.name}", name, known)
    return dataclasses.replace(metric, **settings) if settings else metric
