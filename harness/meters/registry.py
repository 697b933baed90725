"""Which types of meters there are: those that come with the harness, and those of other packages (group `harness.meters`)."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any, cast

from pydantic import SerializeAsAny, ValidationError, WrapValidator
from pydantic_core import InitErrorDetails

from harness.core.errors import MissingPartError
from harness.core.fields import broken
from harness.core.plugins import load_plugin, plugin_names
from harness.meters.base import MeterProfile

#: entry points of this group are classes derived from MeterProfile; an entry point's name is the `type:` in a profile
GROUP = "harness.meters"

_BUILT_IN = {
    "hwmon": ("harness.meters.power_files", "HwmonProfile"),
    "iio": ("harness.meters.power_files", "IioProfile"),
    "csv": ("harness.meters.csv_stream", "CsvMeterProfile"),
    "simulated": ("harness.meters.simulated", "SimulatedProfile"),
}


def meter_class(name: Any) -> type[MeterProfile] | None:
    """The class of a `type:`; None when there is none of this name. Only its own module is imported.

    Raises:
        MissingPartError: another package offers the name, and does not import or is no meter.
    """
    if not isinstance(name, str):
        return None
    if name in _BUILT_IN:
        module, attribute = _BUILT_IN[name]
        return getattr(import_module(module), attribute)
    return cast("type[MeterProfile] | None", load_plugin(GROUP, name, _is_meter, "a class derived from MeterProfile"))


def meter_types() -> list[str]:
    """The names that a profile may use: the harness's own, and whatever other packages offer."""
    return [*_BUILT_IN, *(name for name in plugin_names(GROUP) if name not in _BUILT_IN)]


def _is_meter(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, MeterProfile)


def _choose(value: Any, handler: Callable[[Any], Any]) -> Any:
    """Validates a block as the class of its `type:`."""
    if isinstance(value, MeterProfile) or not isinstance(value, dict):
        return handler(value)
    found = None
    if "type" not in value:
        raise _complaint(value, "union_tag_not_found", {"discriminator": "'type'"})
    try:
        found = meter_class(value["type"])
    except MissingPartError as error:
        details = InitErrorDetails(type=broken(str(error)), loc=("type",), input=value["type"])
        raise ValidationError.from_exception_data("meter", [details]) from None
    if found is None:
        known = ", ".join(f"'{name}'" for name in meter_types())
        tags = f"{known}; a package can bring others (docs/guides/energy.md)"
        context = {"discriminator": "'type'", "tag": str(value["type"]), "expected_tags": tags}
        raise _complaint(value, "union_tag_invalid", context)
    return found.model_validate_json(json.dumps(value), strict=True)


def _complaint(block: dict[str, Any], kind: str, context: dict[str, Any]) -> ValidationError:
    details = InitErrorDetails(type=kind, loc=(), input=block, ctx=context)
    return ValidationError.from_exception_data("meter", [details])


#: a profile's field for any of them
MeterBlock = Annotated[SerializeAsAny[MeterProfile], WrapValidator(_choose)]
