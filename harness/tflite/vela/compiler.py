"""Vela, Arm's offline compiler for Ethos-U NPUs, as a build step: a .tflite in, a compiled .tflite and estimates out.

Vela runs in an environment of its own (`harness.envs.hostenv`), as a list of arguments and never through a shell.
Results are kept by content under `cache_dir()/vela`: the same model, options and package are compiled once.

Source: Arm, ethos-u-vela 5.2.0 (OPTIONS.md, PERFORMANCE.md).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.core import paths
from harness.core.errors import HarnessError, TransientDeviceError, UnsupportedError, UserInputError
from harness.core.files import sha256_file, sha256_json, write_json_atomic
from harness.envs.hostenv import TextProgress, ensure_runtime_env, parse_tool
from harness.tflite.graph import read_graph
from harness.tflite.vela.nodes import VelaNode, npu_operators, place_nodes
from harness.tflite.vela.output import VelaLayer, VelaRefusal, VelaSummary, parse_layers, parse_log, parse_summary

_DEADLINE_S = 900.0
#: raised when what a cache folder holds changes
_LAYOUT = 1
_MODEL, _SUMMARY, _LAYERS, _LOG, _MANIFEST = "compiled.tflite", "summary.csv", "layers.csv", "log.txt", "manifest.json"
_OPTIMISE = {"performance": "Performance", "size": "Size"}
#: signals by which somebody else ends a process, so that they say nothing about the model
_FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


@dataclass(frozen=True, kw_only=True)
class VelaOptions:
    """What Vela is asked for; the words are those of a profile's `compile:` block (docs/guides/vela.md)."""

    accelerator: str
    system_config: str
    memory_mode: str
    optimise: str = "performance"
    package: str = "ethos-u-vela==5.2.0"

    @property
    def compiler(self) -> str:
        """Name and version, such as `ethos-u-vela 5.2.0`."""
        tool = parse_tool(self.package)
        return f"{tool.name} {tool.version}"

    def arguments(self) -> list[str]:
        """The command line after the model's name."""
        return [
            "--accelerator-config",
            self.accelerator,
            "--config",
            "Arm/vela.ini",
            "--system-config",
            self.system_config,
            "--memory-mode",
            self.memory_mode,
            "--optimise",
            _OPTIMISE[self.optimise],
            "--verbose-performance",
        ]


@dataclass(frozen=True, kw_only=True)
class VelaCompiled:
    """A compiled model.

    Attributes:
        path: the compiled .tflite in the cache, with its hash and size.
        source_sha256: the model it was made from, with its size.
        npu_operators: operators that Vela counts on the NPU after its rewriting, `cpu_operators` likewise.
        partitions: `ethos-u` operators in the compiled file.
        nodes: one entry per node of the original model.
        summary, layers, refusals: what Vela says, as read from its output.
    """

    path: Path
    sha256: str
    size_bytes: int
    source_sha256: str
    source_size_bytes: int
    options: VelaOptions
    npu_operators: int
    cpu_operators: int
    partitions: int
    nodes: tuple[VelaNode, ...]
    summary: VelaSummary
    layers: tuple[VelaLayer, ...]
    refusals: tuple[VelaRefusal, ...]

    @property
    def cpu_nodes(self) -> tuple[VelaNode, ...]:
        """Nodes of the original model that stay on the CPU."""
        return tuple(n for n in self.nodes if n.place == "cpu")

    def node_ns(self, node: VelaNode) -> int | None:
        """The estimate for one node in nanoseconds; None off the NPU."""
        return None if node.cycles is None else round(node.cycles * 1e9 / self.summary.core_clock_hz)


class NothingOnNpu(UnsupportedError):
    """Vela compiled the model, and every op of it stays on the CPU. `nodes` has the reason of each."""

    def __init__(self, what: str, nodes: tuple[VelaNode, ...]) -> None:
        super().__init__(what)
        self.nodes = nodes


def compile_model(
    model: Path, options: VelaOptions, *, sha256: str | None = None, progress: TextProgress | None = None
) -> VelaCompiled:
    """Compiles a model for an Ethos-U, or takes the compiled one from the cache.

    Args:
        model: the .tflite to compile.
        options: for which NPU, and how.
        sha256: the model's hash, where it is known already.
        progress: told when the compiler's environment has to be made (about 15 s, once).

    Raises:
        UserInputError: the file is no readable model; the cache folder cannot be written.
        UnsupportedError: Vela refuses the model or crashes on it, with its reason; as NothingOnNpu when it leaves every op
            on the CPU.
        MissingPartError: Vela cannot be installed on this machine.
        VelaOutputError: a version of Vela whose output is not understood.
        TransientDeviceError: Vela was killed from outside, or did not end.
    """
    import filelock

    original = read_graph(model)
    digest = sha256 or sha256_file(model)
    key = sha256_json(["vela", _LAYOUT, digest, asdict(options)])
    folder = paths.cache_dir() / "vela" / key
    try:
        if not _is_whole(folder):
            environment = ensure_runtime_env(options.package, progress=progress)
            folder.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(folder.with_suffix(".lock")):
                if not _is_whole(folder):
                    _make(folder, model, digest, options, environment.python)
    except OSError as error:
        raise UserInputError(
            f"the compiled model cannot be kept: {error.strerror or error}",
            where=str(error.filename or folder),
            hint="free space or point HARNESS_CACHE_DIR at a folder that can be written",
        ) from error
    log = parse_log((folder / _LOG).read_text(encoding="utf-8", errors="replace"))
    layers = parse_layers((folder / _LAYERS).read_text(encoding="utf-8", errors="replace"))
    compiled_path = folder / _MODEL
    compiled = read_graph(compiled_path)
    nodes = place_nodes(original, compiled, log.refusals, layers)
    partitions = len(npu_operators(compiled))
    if partitions == 0:
        raise NothingOnNpu(_nothing_placed(nodes, options), nodes)
    return VelaCompiled(
        path=compiled_path,
        sha256=json.loads((folder / _MANIFEST).read_text())["sha256"],
        size_bytes=compiled_path.stat().st_size,
        source_sha256=digest,
        source_size_bytes=model.stat().st_size,
        options=options,
        npu_operators=log.npu_operators,
        cpu_operators=log.cpu_operators,
        partitions=partitions,
        nodes=nodes,
        summary=parse_summary((folder / _SUMMARY).read_text(encoding="utf-8", errors="replace")),
        layers=layers,
        refusals=log.refusals,
    )


def _nothing_placed(nodes: tuple[VelaNode, ...], options: VelaOptions) -> str:
    """`unsupported` in one sentence: the distinct reasons first, with the ops they are about."""
    by_reason: dict[str, list[str]] = {}
    for node in nodes:
        if node.reason and node.op not in by_reason.setdefault(node.reason, []):
            by_reason[node.reason].append(node.op)
    shown = "; ".join(f"{reason} ({', '.join(ops)})" for reason, ops in list(by_reason.items())[:2])
    return f"no op for the NPU: {shown}; {options.compiler} leaves all {len(nodes)} ops to the CPU"


def _is_whole(folder: Path) -> bool:
    """A folder takes its name only when all files are in it; the hash guards against what happened to it later."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text())
        return sha256_file(folder / _MODEL) == manifest["sha256"] and all(
            (folder / name).is_file() for name in (_SUMMARY, _LAYERS, _LOG)
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _make(folder: Path, model: Path, digest: str, options: VelaOptions, python: Path) -> None:
    """Runs Vela in a folder beside the final one and gives it its name last; called with the lock held."""
    work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".tmp-"))
    try:
        # A name of our own: Vela names its files after the model, and the user's name may be anything.
        shutil.copyfile(model, work / "model.tflite")
        _run(python, work, options)
        # Vela writes the system configuration's name into one file's name.
        made = {_MODEL: "model_vela.tflite", _LAYERS: "model_per-layer.csv", _SUMMARY: "model_summary_*.csv"}
        for name, pattern in made.items():
            found = sorted((work / "out").glob(pattern))
            if len(found) != 1:
                raise HarnessError(f"{options.compiler} ended well but left no {pattern}", where=str(model))
            os.replace(found[0], work / name)
        (work / "model.tflite").unlink()
        shutil.rmtree(work / "out")
        manifest = {
            "sha256": sha256_file(work / _MODEL),
            "source_sha256": digest,
            "options": asdict(options),
            "layout": _LAYOUT,
        }
        write_json_atomic(work / _MANIFEST, manifest)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(work, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _run(python: Path, work: Path, options: VelaOptions) -> None:
    """Runs the compiler in `work`; what it prints is in log.txt afterwards."""
    command = [str(python), "-I", "-m", "ethosu.vela", str(work / "model.tflite"), *options.arguments()]
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    with open(work / _LOG, "wb") as log:
        try:
            ended = subprocess.run(
                [*command, "--output-dir", str(work / "out")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=work,
                env=env,
                timeout=_DEADLINE_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise TransientDeviceError(f"{options.compiler} did not end within {_DEADLINE_S:.0f} s") from None
    if ended.returncode == 0:
        return
    said = _last_words((work / _LOG).read_text(encoding="utf-8", errors="replace"))
    if ended.returncode < 0:
        name = signal.Signals(-ended.returncode).name
        if -ended.returncode in _FROM_OUTSIDE:
            raise TransientDeviceError(f"{options.compiler} was killed ({name})", hint="free memory, then try again")
        raise UnsupportedError(f"{options.compiler} crashes on this model with {name}: {said}")
    if "CliOptionError" in said or "ConfigOptionError" in said:
        raise UserInputError(f"{options.compiler} refuses its options: {said}", hint="correct the `compile:` block")
    raise UnsupportedError(f"{options.compiler} refuses the model: {said}")


def _last_words(text: str) -> str:
    """The last line that Vela printed, without the exception's module; a compiler error stands there."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = re.sub(r"^(\w+\.)*(\w+: )", r"\2", lines[-1]) if lines else "no message"
    return last.removeprefix("RuntimeError: ").removeprefix("Compilation failed: ")[:300]
