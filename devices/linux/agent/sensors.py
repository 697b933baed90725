"""What the board's sensors say: the processor's clock and heat, whether it is held back, whether the supply holds.

All of it lies under one root, `/sys` of a real board. A profile may name another one, or list the files that there would be
(`sensors` in docs/reference/devices.md); what is read there is simulated, and every answer says so.
"""

import os
import posixpath

from agent.errors import Refused

SYSFS = "/sys"
CPU = "devices/system/cpu/cpu%d"
THERMAL = "class/thermal"
HWMON = "class/hwmon"
#: a Raspberry Pi's firmware: under-voltage, clock capped, throttled, soft limit of heat (bits 0 to 3 now, 16 to 19 since boot)
PI_THROTTLED = "devices/platform/soc/soc:firmware/get_throttled"
#: the same firmware's alarm of the supply, as the driver raspberrypi-hwmon has it
PI_VOLTAGE = "rpi_volt"
#: words in the type of a thermal zone that is the processor's, and of a cooling device that slows it
PROCESSOR_ZONES = ("cpu", "soc", "pkg")
PROCESSOR_COOLING = ("cpufreq", "cpu-", "processor", "thermal-idle")
#: nobody reads more zones or devices than this: each takes a slow board some tenths of a millisecond
MOST_ENTRIES = 64


class Files:
    """A sysfs that is there."""

    def __init__(self, root):
        self.root = root

    def text(self, path, limit=4096):
        """A small file without its end, or None."""
        try:
            with open(os.path.join(self.root, path), "rb") as file:
                return file.read(limit).decode("utf-8", "replace").strip("\0 \n") or None
        except OSError:
            return None

    def names(self, folder):
        """What is in a folder, in order; nothing where there is none."""
        try:
            return sorted(os.listdir(os.path.join(self.root, folder)))
        except OSError:
            return []


class Listed:
    """A sysfs of which a profile lists the files: {path below the root: what it holds}."""

    def __init__(self, files):
        self.files = files

    def text(self, path, limit=4096):
        return self.files.get(path, "").strip("\0 \n")[:limit] or None

    def names(self, folder):
        inside = [posixpath.relpath(path, folder) for path in self.files if path.startswith(folder + "/")]
        return sorted({path.split("/")[0] for path in inside})


def number(text, base=10):
    """A file's text as a whole number, or None."""
    try:
        return int(text, base) if text else None
    except ValueError:
        return None


class Sensors:
    """Reads them. Which files a board has is found once; after that a reading takes a file each.

    Attributes:
        simulated: True where they are not the board's own.
    """

    def __init__(self, settings=None):
        """
        Args:
            settings: {"sysfs": a root on the board} or {"simulated": {path: text}}; None: the board's own.

        Raises:
            Refused: there is no such root.
        """
        settings = settings or {}
        root = settings.get("sysfs") or SYSFS
        if settings.get("simulated") is not None:
            self.tree, self.simulated = Listed(settings["simulated"]), True
        else:
            self.tree, self.simulated = Files(root), os.path.realpath(root) != SYSFS
            if not os.path.isdir(root) and root != SYSFS:
                raise Refused("setting", "sensors.sysfs names %s, which is no folder on the board" % root)
        self.found = None

    def number(self, path, base=10):
        return number(self.tree.text(path), base)

    def governor(self, cpu=0):
        return self.tree.text(CPU % cpu + "/cpufreq/scaling_governor")

    def clock_hz(self, cpu, name):
        khz = self.number(CPU % cpu + "/cpufreq/" + name)
        return khz * 1000 if khz else None

    def reading(self, cpu=0):
        """All of it now, as the host's `Reading`; None for what the board does not tell.

        Args:
            cpu: the processor whose clock it is.
        """
        if self.found is None:
            self.found = self.find()
        zone, cooling, events, alarms = self.found
        millidegrees = self.number(zone) if zone else None
        return {
            "cpu": cpu,
            "governor": self.governor(cpu),
            "frequency_hz": self.clock_hz(cpu, "scaling_cur_freq"),
            "frequency_limit_hz": self.clock_hz(cpu, "scaling_max_freq"),
            "frequency_max_hz": self.clock_hz(cpu, "cpuinfo_max_freq"),
            "temperature_c": None if millidegrees is None else millidegrees / 1000.0,
            "throttle_events": self.total(events),
            # A device that is off may say -1.
            "cooling_state": max([n for n in map(self.number, cooling) if n is not None and n >= 0], default=None),
            "firmware_flags": self.number(PI_THROTTLED, 16),
            "under_voltage": any(self.number(path) for path in alarms) if alarms else None,
        }

    def total(self, paths):
        values = [n for n in map(self.number, paths) if n is not None]
        return sum(values) if values else None

    def find(self):
        """(the processor's thermal zone, cooling devices that slow it, counters of throttling, alarms of the supply)."""
        thermal = self.tree.names(THERMAL)
        zones = [self.zone(name) for name in thermal if name.startswith("thermal_zone")][:MOST_ENTRIES]
        usable = [zone for zone in zones if zone is not None]
        cooling = [
            posixpath.join(THERMAL, name, "cur_state")
            for name in thermal
            if name.startswith("cooling_device") and self.is_of(posixpath.join(THERMAL, name), PROCESSOR_COOLING)
        ]
        cpus = [name for name in self.tree.names("devices/system/cpu") if name[3:].isdigit()][:MOST_ENTRIES]
        counters = [
            "devices/system/cpu/%s/thermal_throttle/core_throttle_count" % name
            for name in cpus
            if name.startswith("cpu")
        ]
        counters = [path for path in counters if self.number(path) is not None]
        alarms = [
            posixpath.join(HWMON, name, "in0_lcrit_alarm")
            for name in self.tree.names(HWMON)[:MOST_ENTRIES]
            if self.tree.text(posixpath.join(HWMON, name, "name")) == PI_VOLTAGE
        ]
        return min(usable)[1] if usable else None, cooling[:MOST_ENTRIES], counters, alarms

    def zone(self, name):
        """(whether it is something else than the processor's, its file) of a zone that tells a temperature, else None."""
        folder = posixpath.join(THERMAL, name)
        path = posixpath.join(folder, "temp")
        return None if self.number(path) is None else (not self.is_of(folder, PROCESSOR_ZONES), path)

    def is_of(self, folder, words):
        kind = (self.tree.text(posixpath.join(folder, "type")) or "").lower()
        return any(word in kind for word in words)
