"""Runs on a board, sent as text over stdin: what is there? One magic line, then one line of JSON, then it ends.

`exec` gives it CONFIG: {"nonce", "delegates": [path, ...], "directory": the agent's folder or null}. Python 3.8,
standard library only; it changes nothing. See docs/guides/adding-a-board.md.
"""

import json
import os
import platform
import subprocess
import sys

#: imported in a process of its own: a wheel built for another CPU dies of an illegal instruction
IMPORT = """
import sys
name = sys.argv[1]
if name == "numpy":
    import numpy
    print("VERSION", numpy.__version__)
else:
    module = __import__(name + ".interpreter")
    try:
        from importlib.metadata import version
        print("VERSION", version(name.replace("_", "-")))
    except Exception:
        print("VERSION", getattr(module, "__version__", "unknown"))
"""


def module(name):
    """{"version"} of an importable module, {"error"} of one that is there but broken, None of one that is not there."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", IMPORT, name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=120,
            cwd="/",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"error": str(error)}
    lines = [line for line in done.stdout.decode("utf-8", "replace").splitlines() if line.startswith("VERSION ")]
    if done.returncode == 0 and lines:
        return {"version": lines[-1][len("VERSION ") :]}
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
    if said and "No module named '%s'" % name in said[0]:
        return None
    return {"error": said[0] if said else "ended with status %d" % done.returncode}


def text_of(path):
    """A small text file of the system, or None."""
    try:
        with open(path, "rb") as file:
            return file.read(65536).replace(b"\0", b"").decode("utf-8", "replace").strip() or None
    except OSError:
        return None


def field(text, name, separator):
    """The value of the first `name separator value` line."""
    for line in (text or "").splitlines():
        key, found, value = line.partition(separator)
        if found and key.strip() == name:
            return value.strip().strip('"') or None
    return None


def free_bytes(wanted):
    """Room where the agent keeps its files (or will: the nearest folder that exists counts); the rule is boot.py's."""
    path = wanted or os.environ.get("HARNESS_AGENT_DIR")
    path = path or os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    path = os.path.abspath(os.path.expanduser(path))
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    space = os.statvfs(path)
    return space.f_bavail * space.f_frsize


def main(config):
    memory = (field(text_of("/proc/meminfo"), "MemTotal", ":") or "").split()
    facts = {
        "machine": platform.machine(),
        "hostname": platform.node(),
        "kernel": platform.release(),
        "python": sys.executable,
        "python_version": platform.python_version(),
        "cpu_count": os.cpu_count(),
        "cpu_model": field(text_of("/proc/cpuinfo"), "model name", ":"),
        "board_model": text_of("/proc/device-tree/model") or text_of("/sys/class/dmi/id/product_name"),
        "system": field(text_of("/etc/os-release"), "PRETTY_NAME", "="),
        "memory_bytes": int(memory[0]) * 1024 if memory else None,
        "free_bytes": free_bytes(config["directory"]),
        "numpy": module("numpy"),
        "runtimes": {name: module(name) for name in ("ai_edge_litert", "tflite_runtime")},
        "delegates": [path for path in config["delegates"] if os.path.exists(path)],
    }
    data = ("\n" + config["nonce"] + "\n" + json.dumps(facts) + "\n").encode()
    while data:
        data = data[os.write(1, data) :]


main(CONFIG)  # noqa: F821 - given by exec
