"""Reading a training's summary: which ranges a layer recorded, and what their shapes and values tell."""

from __future__ import annotations

from typing import Any


def short_name(name: str) -> str:
    """The last part of a variable's name: `quant_conv2d/kernel_min:0` -> `kernel_min`."""
    return name.split(":")[0].split("/")[-1]


def kernel_range_shape(layer: dict[str, Any]) -> list[int] | None:
    """The shape of `kernel_min`: [] is one range for the whole kernel, [N] one per channel; None without one."""
    for variable in layer["variables"]:
        if variable["added"] and short_name(variable["name"]) in ("kernel_min", "depthwise_kernel_min"):
            return variable["shape"]
    return None


def range_values(layer: dict[str, Any], kind: str) -> tuple[list[float], list[float]]:
    """The values of a layer's `..._min` and `..._max` variables whose name ends so; empty when not recorded."""
    found: list[list[float]] = []
    for end in ("min", "max"):
        values: list[float] = []
        for variable in layer["variables"]:
            if variable["added"] and short_name(variable["name"]).endswith(f"{kind}_{end}"):
                value = variable.get("value")
                values = value if isinstance(value, list) else [] if value is None else [value]
        found.append([v for v in values if v is not None])
    return found[0], found[1]


def is_symmetric(low: list[float], high: list[float]) -> bool:
    return all(abs(a + b) <= 1e-6 * max(abs(a), abs(b), 1e-30) for a, b in zip(low, high, strict=True))
