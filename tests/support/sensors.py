"""Sensors of boards for tests: the files of a sysfs."""

from __future__ import annotations

from pathlib import Path

#: a Raspberry Pi 4 that is hot: the files of its sysfs, as the kernel writes them
PI = {
    "class/thermal/thermal_zone0/type": "battery\n",
    "class/thermal/thermal_zone0/temp": "25000\n",
    "class/thermal/thermal_zone1/type": "cpu-thermal\n",
    "class/thermal/thermal_zone1/temp": "81250\n",
    "class/thermal/cooling_device0/type": "cpufreq-cpu0\n",
    "class/thermal/cooling_device0/cur_state": "2\n",
    "class/thermal/cooling_device1/type": "Fan\n",
    "class/thermal/cooling_device1/cur_state": "4\n",
    "class/hwmon/hwmon0/name": "cpu_thermal\n",
    "class/hwmon/hwmon1/name": "rpi_volt\n",
    "class/hwmon/hwmon1/in0_lcrit_alarm": "1\n",
    "devices/platform/soc/soc:firmware/get_throttled": "50005\n",
    "devices/system/cpu/cpu3/cpufreq/scaling_governor": "ondemand\n",
    "devices/system/cpu/cpu3/cpufreq/scaling_cur_freq": "600000\n",
    "devices/system/cpu/cpu3/cpufreq/scaling_max_freq": "1400000\n",
    "devices/system/cpu/cpu3/cpufreq/cpuinfo_max_freq": "1500000\n",
}


def write_files(root: Path, files: dict[str, str]) -> str:
    """Writes the files below a root; returns it."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return str(root)
