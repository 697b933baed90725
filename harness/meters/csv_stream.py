"""`meter: {type: csv, command: [...]}`: a program of the user's, such as the client of an instrument, that prints CSV.

The first line names the columns. Power is a column, or voltage times current. The program is an argument list, no shell.
"""

from __future__ import annotations

import csv
import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from harness.core.fields import Line, Part, inconsistent, text
from harness.core.programs import find_program
from harness.links.local import start_process
from harness.meters.base import Meter, MeterPlace, MeterProfile
from harness.meters.stream import Sample, StreamMeter

Argument = Annotated[str, text(r"[^\x00-\x1f\x7f]{1,4096}", "text without control characters")]
Scale = Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False)]


class CsvColumns(Part):
    """Names of columns, as they stand in the first line."""

    time: Line | None = None
    power: Line | None = None
    voltage: Line | None = None
    current: Line | None = None
    mark: Line | None = None


class CsvScales(Part):
    """What a column's numbers are multiplied by to be seconds, watts, volts and amperes."""

    time: Scale = 1.0
    power: Scale = 1.0
    voltage: Scale = 1.0
    current: Scale = 1.0


class CsvRanges(Part):
    """Ends of the instrument's ranges in watts, volts and amperes: a sample there is clipped."""

    power: Scale | None = None
    voltage: Scale | None = None
    current: Scale | None = None


class CsvMeterProfile(MeterProfile):
    """The program, and what its columns are."""

    type: Literal["csv"]
    command: Annotated[tuple[Argument, ...], Field(min_length=1)]
    columns: CsvColumns
    scale: CsvScales = Field(default_factory=CsvScales)
    range: CsvRanges = Field(default_factory=CsvRanges)
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","

    @model_validator(mode="after")
    def _some_power(self) -> CsvMeterProfile:
        columns = self.columns
        if columns.power is None and (columns.voltage is None or columns.current is None):
            raise inconsistent("`columns` name a `power`, or a `voltage` and a `current`")
        if self.window == "mark" and columns.mark is None:
            raise inconsistent("`window: mark` needs the name of the column with the mark: `columns: {mark: ...}`")
        return self

    def make_meter(self, place: MeterPlace) -> Meter:
        """The program, started when the meter is opened."""
        program = find_program(self.command[0], hint="install it, or correct `meter.command` in the profile")
        argv = [program, *self.command[1:]]
        return StreamMeter(
            self.name,
            self.rail,
            lambda: start_process(argv, where=place.device, hint="correct `meter.command` in the profile"),
            CsvReader(self),
            name=place.device,
        )


class CsvReader:
    """Lines to samples: the first one that is no comment names the columns."""

    def __init__(self, profile: CsvMeterProfile) -> None:
        self._profile = profile
        self._places: dict[str, int] | None = None

    def __call__(self, line: str) -> Sample | None:
        """A sample; None for comments and headings, also those that are repeated.

        Raises:
            ValueError: a column is missing, or a value is no number.
        """
        if line.startswith("#"):
            return None
        (cells,) = csv.reader([line], delimiter=self._profile.separator)
        cells = [cell.strip() for cell in cells]
        wanted = {what: name for what, name in self._profile.columns.model_dump().items() if name is not None}
        if all(name in cells for name in wanted.values()):
            self._places = {what: cells.index(name) for what, name in wanted.items()}
            return None
        if self._places is None:
            missing = ", ".join(name for name in wanted.values() if name not in cells)
            raise ValueError(f"no column {missing}")
        if len(cells) <= max(self._places.values()):
            raise ValueError("too few columns")
        values = {what: self._number(what, cells[place]) for what, place in self._places.items()}
        return self._sample(values)

    def _number(self, what: str, cell: str) -> float:
        value = float(cell)
        if not math.isfinite(value):
            raise ValueError(f"{what} is {cell}")
        return value * getattr(self._profile.scale, what, 1.0)

    def _sample(self, values: dict[str, float]) -> Sample:
        ranges = self._profile.range
        limits = {name: getattr(ranges, name) for name in ("power", "voltage", "current")}
        power = values["power"] if "power" in values else values["voltage"] * values["current"]
        return Sample(
            time_s=values.get("time"),
            power_w=power,
            marked=values["mark"] > 0.5 if "mark" in values else None,
            clipped=any(
                limit is not None and abs(values.get(name, 0.0)) >= 0.999 * limit for name, limit in limits.items()
            ),
        )
