"""The folder for a board with Linux: the .tflite, a loader with the measured settings, samples, a self-test, a README."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from harness import __version__
from harness.core.errors import UnsupportedError
from harness.core.tensor import TensorIo
from harness.envs.hostenv import DISTRIBUTIONS, numpy_version
from harness.export.facts import against_lines, manifest_facts, measured_lines
from harness.export.folder import licence_text, write_manifest, write_text
from harness.export.shipped import Shipped
from harness.export.templates import comment_words, fill, table_cell
from harness.reports.values import placement_text
from harness.workloads.input_names import argument_names, plain_name

_PACKAGE = "harness.export.linux"
#: a backend's kernels in the runtime's words (devices/linux/agent/loading.py)
_RESOLVERS = {
    "reference": "BUILTIN_REF",
    "default": "AUTO",
    "no-default-delegate": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
}
#: how far apart outputs may be on another processor: rounding, and no more
_MOST_STEPS, _MOST_SHARE = 1, 1e-3


def runtime_package(runtime: str) -> str | None:
    """`ai-edge-litert==2.3.0` of a fingerprint's `ai-edge-litert 2.3.0`; None for what is no runtime of Python."""
    name, _, version = runtime.partition(" ")
    name = name.replace("_", "-")
    return f"{name}=={version}" if name in DISTRIBUTIONS and version else None


def write_linux(shipped: Shipped, folder: Path) -> list[str]:
    """Fills an empty folder.

    Returns:
        What is in it, a line each.

    Raises:
        UnsupportedError: the cell did not run on a runtime of Python.
    """
    package = runtime_package(shipped.runtime)
    if package is None:
        raise UnsupportedError(f"the runtime '{shipped.runtime}' is no Python package", where=shipped.record.key.text)
    (folder / "model.tflite").write_bytes(shipped.tflite)
    write_text(folder / "load.py", _loader(shipped, package))
    write_text(folder / "LICENSE", licence_text())
    if shipped.samples is not None:
        _write_samples(shipped, folder / "samples.npz")
        write_text(folder / "selftest.py", _selftest(shipped, package))
    write_text(folder / "README.md", _readme(shipped, package))
    write_manifest(
        folder, {"kind": "linux", **manifest_facts(shipped), "package": package, "settings": _settings(shipped)}
    )
    tested = f" and a self-test, samples: {len(shipped.samples)}" if shipped.samples is not None else ""
    return [f"model.tflite ({len(shipped.tflite):,} bytes), a loader for {package}{tested}"]


def _loader(shipped: Shipped, package: str) -> str:
    backend = shipped.backend
    return fill(
        _PACKAGE,
        "load.py.txt",
        runtime=comment_words(shipped.runtime),
        backend=comment_words(f"backend {backend.name}"),
        module=_module(package),
        threads=backend.threads,
        cpus=list(backend.affinity),
        kernels=_RESOLVERS[backend.kernels],
        delegate=backend.delegate_path,
        delegate_options={str(name): str(value) for name, value in sorted(backend.delegate_options.items())},
        environment={str(name): str(value) for name, value in sorted(backend.env.items())},
    )


def _selftest(shipped: Shipped, package: str) -> str:
    record = shipped.record
    return fill(
        _PACKAGE,
        "selftest.py.txt",
        module=_module(package),
        sha256=shipped.sha256,
        runtime=package.replace("==", " "),
        placement=comment_words(placement_text(record)),
        delegated_nodes=record.delegated_nodes or 0,
        keeps_state=shipped.keeps_state,
        most_steps=_MOST_STEPS,
        most_share=_MOST_SHARE,
    )


def _module(package: str) -> str:
    return DISTRIBUTIONS[package.partition("==")[0]].module


def _write_samples(shipped: Shipped, path: Path) -> None:
    assert shipped.samples is not None
    arrays = {f"input_{i}": array for i, array in enumerate(shipped.samples.inputs)}
    arrays |= {f"output_{i}": array for i, array in enumerate(shipped.samples.outputs)}
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def _readme(shipped: Shipped, package: str) -> str:
    record = shipped.record
    return fill(
        _PACKAGE,
        "README.md.txt",
        title=table_cell(f"{record.key.workload} / {record.key.recipe} for {record.key.device}"),
        against=against_lines(shipped),
        harness=__version__,
        measured=measured_lines(shipped),
        selftest=shipped.samples is not None,
        samples=len(shipped.samples) if shipped.samples is not None else 0,
        package=package,
        numpy=f"numpy=={numpy_version(package)}",
        keeps_state=shipped.keeps_state,
        inputs=_input_variables(shipped),
        settings=[(table_cell(name), table_cell(value)) for name, value in _settings(shipped).items()],
        tensors=[_tensor_row(f"input {i}", io) for i, io in enumerate(shipped.inputs)]
        + [_tensor_row(f"output {i}", io) for i, io in enumerate(shipped.outputs)],
        notes=_notes(shipped),
    )


def _input_variables(shipped: Shipped) -> tuple[str, ...]:
    """What the samples of each input are called in the README's program."""
    names = [plain_name(io.name) for io in shipped.inputs]
    return ("sample",) if len(names) == 1 else argument_names(names)


def _settings(shipped: Shipped) -> dict[str, str]:
    """What the interpreter was made with, in words."""
    backend = shipped.backend
    options = ", ".join(f"{name}={value}" for name, value in sorted(backend.delegate_options.items()))
    environment = ", ".join(f"{name}={value}" for name, value in sorted(backend.env.items()))
    return {
        "runtime": shipped.runtime,
        "kernels": f"{backend.kernels} ({_RESOLVERS[backend.kernels]})",
        "threads": str(backend.threads),
        "bound to CPUs": ", ".join(map(str, backend.affinity)) or "none in particular",
        "external delegate": backend.delegate_path or "none",
        "its options": options or "none",
        "environment": environment or "nothing of its own",
    }


def _tensor_row(what: str, io: TensorIo) -> list[str]:
    quantized = [f"{io.scale!r}", str(io.zero_point)] if io.scale else ["-", "-"]
    return [what, table_cell(io.name), io.dtype, " x ".join(map(str, io.shape)), *quantized]


def _notes(shipped: Shipped) -> list[str]:
    record, notes = shipped.record, []
    if record.key.device.endswith("@qemu"):
        stand_in = " and a stand-in in the place of its delegate" if shipped.backend.delegate_path else ""
        notes.append(
            f"It was measured on an emulated board{stand_in}: outputs and settings are of that board. Measure it on the real "
            "one before it ships."
        )
    if shipped.backend.uses_cache:
        notes.append(
            "The delegate compiles the model at its first inference and keeps the result in `graph-cache/`, which `load.py` "
            "makes: let the folder be writable, and run the model once when the board is set up."
        )
    if shipped.samples is None:
        notes.append("There is no self-test: the export was asked for without samples (`--samples 0`).")
    return notes
