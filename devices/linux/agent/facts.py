"""Facts about the board: what the host's `Fingerprint` holds. What changes while it works is `agent.sensors`."""

import glob
import os
import platform
import re
import subprocess
import sys

from agent.errors import Refused

#: distributions that provide a runtime's module
DISTRIBUTIONS = {"tflite_runtime": "tflite-runtime", "ai_edge_litert": "ai-edge-litert", "numpy": "numpy"}
#: part numbers of /proc/cpuinfo on Arm, from the kernel's arch/arm64/include/asm/cputype.h
ARM_PARTS = {
    0xD03: "Cortex-A53",
    0xD04: "Cortex-A35",
    0xD05: "Cortex-A55",
    0xD07: "Cortex-A57",
    0xD08: "Cortex-A72",
    0xD09: "Cortex-A73",
    0xD0A: "Cortex-A75",
    0xD0B: "Cortex-A76",
    0xD0C: "Neoverse-N1",
    0xD0D: "Cortex-A77",
    0xD41: "Cortex-A78",
    0xD42: "Cortex-A78AE",
    0xC07: "Cortex-A7",
    0xC09: "Cortex-A9",
    0xC0F: "Cortex-A15",
}


def read_text(path, limit=1 << 20):
    """A small file of /proc or /sys without its end, or None."""
    try:
        with open(path, "rb") as file:
            return file.read(limit).decode("utf-8", "replace").strip("\0 \n") or None
    except OSError:
        return None


def cpu_model():
    """The processor's name as /proc/cpuinfo tells it; on Arm by its part number."""
    found = {}
    for line in (read_text("/proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    for key in ("model name", "cpu model", "Processor", "uarch"):
        if found.get(key):
            return found[key]
    try:
        part = int(found.get("CPU part", "0"), 0)
    except ValueError:
        part = 0
    return ARM_PARTS.get(part) or (part and "Arm part 0x%x" % part) or found.get("Hardware")


def os_name():
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        match = re.search(r'^PRETTY_NAME="?([^"\n]*)"?$', read_text(path) or "", re.MULTILINE)
        if match:
            return match.group(1)
    return None


def installed_version(module):
    """The version of an installed package without importing it when possible; None when it is not installed."""
    import importlib.util
    from importlib import metadata

    try:
        if importlib.util.find_spec(module) is None:
            return None
        return metadata.version(DISTRIBUTIONS[module])
    except metadata.PackageNotFoundError:
        # Images of a vendor install the module without its metadata.
        code = "import sys, %s as m; sys.stderr.write(m.__version__)" % module
        ran = subprocess.run(
            [sys.executable, "-c", code], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        return ran.stderr.decode().strip() if ran.returncode == 0 else "unknown"


#: where vendors' images keep TensorFlow Lite's own benchmark (NXP's Yocto)
VENDOR_BENCHMARKS = "/usr/bin/tensorflow-lite-*/examples/benchmark_model"


def vendor_benchmark():
    """The newest of them, by the numbers in its path, or None."""
    found = [path for path in glob.glob(VENDOR_BENCHMARKS) if os.access(path, os.X_OK)]
    return max(found, key=lambda path: [int(n) for n in re.findall(r"\d+", path)], default=None)


def board_facts(module, agent_sha256, sensors):
    """Everything of the host's `Fingerprint` that the board knows."""
    if module not in ("tflite_runtime", "ai_edge_litert"):
        raise Refused("protocol", "unknown runtime module %r" % (module,))
    for name in ("numpy", module):
        if installed_version(name) is None:
            what = "%s is not installed for %s" % (DISTRIBUTIONS[name], sys.executable)
            raise Refused("missing", "%s; run: %s -m pip install %s" % (what, sys.executable, DISTRIBUTIONS[name]))
    return {
        "runtime": "%s %s" % (DISTRIBUTIONS[module], installed_version(module)),
        "python": platform.python_version(),
        "kernel": "%s %s" % (platform.system(), platform.release()),
        "machine": platform.machine(),
        "cpu_model": cpu_model(),
        "cpu_count": os.cpu_count(),
        "board_model": read_text("/proc/device-tree/model") or read_text("/sys/class/dmi/id/product_name"),
        "bsp": os_name(),
        "governor": sensors.governor(),
        "agent_sha256": agent_sha256,
    }
