"""`meter: {type: hwmon, ...}` and `{type: iio, ...}`: the power files of the board's own kernel, read on the board.

hwmon gives microwatts, millivolts and milliamperes (Documentation/hwmon/sysfs-interface.rst); IIO gives milliwatts, millivolts
and milliamperes, raw values times their scale (Documentation/ABI/testing/sysfs-bus-iio). A program of the board's own Python
reads them and prints a line for each reading, with the board's own clock.
"""

from __future__ import annotations

import sys
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from harness.core.fields import inconsistent, text
from harness.links.local import start_process
from harness.meters.base import Meter, MeterPlace, MeterProfile
from harness.meters.stream import Sample, StreamMeter

SysfsFile = Annotated[
    str, text(r"(?!.*/\.\.(/|$))(/[A-Za-z0-9._+@:,=-]+)+", "an absolute path of letters, digits and . _ + @ : , = -")
]
#: for Python 3.8 and newer; arguments: seconds between readings, files
_SAMPLER = """
import sys, time
step = float(sys.argv[1])
files = [open(name) for name in sys.argv[2:]]
scales = []
for name in sys.argv[2:]:
    scale = 1.0
    if name.endswith("_raw"):
        try:
            scale = float(open(name[:-4] + "_scale").read())
        except OSError:
            pass
    scales.append(scale)
following = time.monotonic()
while True:
    values = []
    for file, scale in zip(files, scales):
        file.seek(0)
        values.append(float(file.read()) * scale)
    print(time.monotonic(), *values, flush=True)
    following = max(following + step, time.monotonic() - step)
    time.sleep(max(0.0, following - time.monotonic()))
"""


class PowerFilesProfile(MeterProfile):
    """Either a `power` file, or one of `voltage` and one of `current`.

    Attributes:
        rate_hz: readings a second that are tried; what was reached stands in the record.
        maximum: the end of the range of the first file's numbers, as they stand there.
    """

    power: SysfsFile | None = None
    voltage: SysfsFile | None = None
    current: SysfsFile | None = None
    rate_hz: Annotated[float, Field(ge=1, le=10_000, allow_inf_nan=False)] = 100.0
    maximum: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    #: what the kernel's numbers are multiplied by
    power_unit: ClassVar[float]
    voltage_unit: ClassVar[float] = 1e-3
    current_unit: ClassVar[float] = 1e-3

    @model_validator(mode="after")
    def _some_power(self) -> PowerFilesProfile:
        if (self.power is None) == (self.voltage is None) or (self.voltage is None) != (self.current is None):
            raise inconsistent("a meter of files has a `power` file, or a `voltage` and a `current` file")
        if self.window == "mark":
            raise inconsistent("power files have no mark: `window` is `loop`")
        return self

    def make_meter(self, place: MeterPlace) -> Meter:
        """The board's Python with the reader; on this machine where the board runs no programs."""
        files = [name for name in (self.power, self.voltage, self.current) if name is not None]
        arguments = ["-c", _SAMPLER, repr(1.0 / self.rate_hz), *files]

        def start():
            if place.start is not None and place.python is not None:
                return place.start([place.python, *arguments])
            return start_process([sys.executable, *arguments], where=place.device)

        return StreamMeter(self.name, self.rail, start, self._read_line, name=place.device)

    def _read_line(self, line: str) -> Sample:
        at_s, *values = (float(word) for word in line.split())
        if len(values) == 1:
            power = values[0] * self.power_unit
        else:
            voltage, current = values
            power = voltage * self.voltage_unit * current * self.current_unit
        clipped = self.maximum is not None and values[0] >= self.maximum
        return Sample(time_s=at_s, power_w=power, clipped=clipped)


class HwmonProfile(PowerFilesProfile):
    """Such as /sys/class/hwmon/hwmon0/power1_input."""

    power_unit: ClassVar[float] = 1e-6

    type: Literal["hwmon"]


class IioProfile(PowerFilesProfile):
    """Such as /sys/bus/iio/devices/iio:device0/in_power0_raw; its `_scale` file is read where it has one."""

    power_unit: ClassVar[float] = 1e-3

    type: Literal["iio"]
