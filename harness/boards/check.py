"""`harness devices check`: every step from the profile to a right answer of each backend, with ok or why not."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.boards.base import Board, WorkerFailure
from harness.boards.check_model import CheckModel, check_model
from harness.boards.connect import backend_spec, connect, link_of
from harness.boards.lease import lease
from harness.boards.mcu.check import check_mcu
from harness.boards.mcu.profile import McuProfile, MlperfTinyProfile
from harness.boards.mlperf_tiny.check import check_mlperf_tiny
from harness.boards.profile.model import Profile
from harness.core.errors import DeviceError, HarnessError, StableDeviceError
from harness.core.files import sha256_bytes, write_bytes_atomic
from harness.envs.hostenv import TextProgress
from harness.tflite.vela.compiler import compile_model

#: below this a board has no room for the agent, a model and a sample file of the published networks
MIN_FREE_BYTES = 64 << 20
#: outputs of an integer backend may differ by this many quantization steps
_TOLERANCE_LSB = 1


@dataclass(frozen=True, kw_only=True)
class CheckStep:
    """One line of the report. `ok` False: `detail` says why, with what to do."""

    name: str
    ok: bool
    detail: str


def check_device(profile: Profile, *, progress: TextProgress | None = None) -> Iterator[CheckStep]:
    """Walks the steps; what can still be tried after a failure is tried, what cannot is left out.

    Args:
        profile: the device.
        progress: told of long waits, such as an environment being made.
    """
    step = "environment"
    if profile.estimated:
        yield from _estimates(profile, progress)
        return
    try:
        board = connect(profile, progress=progress)
        runtime = profile.runtime
        yield CheckStep(
            name=step, ok=True, detail=runtime.package or f"{runtime.module} of {runtime.python or 'the firmware'}"
        )
        step = "lease"
        with lease(profile, 0.0, progress):
            yield CheckStep(name=step, ok=True, detail=f"{profile.lock_name} is free")
            try:
                if isinstance(profile, MlperfTinyProfile):
                    step = "board"
                    yield from check_mlperf_tiny(profile, board)
                    return
                if isinstance(profile, McuProfile):
                    step = "board"
                    yield from check_mcu(profile, board)
                    return
                for step, action in (("login", _login), ("agent", _agent)):
                    yield CheckStep(name=step, ok=True, detail=action(profile, board))
                step = "upload"
                yield from _backends(profile, board)
            finally:
                board.close()
    except HarnessError as error:
        yield CheckStep(name=step, ok=False, detail=str(error))


def _estimates(profile: Profile, progress: TextProgress | None) -> Iterator[CheckStep]:
    """A device on which nothing runs: its compilers, each with the tiny model."""
    with tempfile.TemporaryDirectory(prefix="harness-check-") as folder:
        path = Path(folder, "check.tflite")
        write_bytes_atomic(path, check_model().tflite)
        for name, backend in profile.backends.items():
            try:
                compiled = compile_model(path, backend.compile.vela_options(), progress=progress)
                figures = f"{compiled.summary.cycles_total} cycles; nothing runs, so nothing is measured"
                detail = f"{compiled.options.compiler} compiles the check model: {figures}"
                yield CheckStep(name=f"backend {name}", ok=True, detail=detail)
            except HarnessError as error:
                yield CheckStep(name=f"backend {name}", ok=False, detail=str(error))


def _login(profile: Profile, board: Board) -> str:
    """Opens the link once by itself and looks around, so that a broken Python is told from a refused key."""
    from harness.boards.linux.probe import probe_board
    from harness.envs.hostenv import ensure_runtime_env

    link = link_of(profile)
    try:
        link.open()
        package = profile.runtime.package
        python = str(ensure_runtime_env(package).python) if package else str(profile.runtime.python)
        facts = probe_board(link, python, directory=profile.agent.directory)
        fact = facts.runtimes.get(profile.runtime.module)
        if fact is None or fact.error:
            what = f"{python} has no {profile.runtime.module} that imports{': ' + fact.error if fact else ''}"
            raise StableDeviceError(what, where=profile.name, hint="install it on the board or correct `runtime`")
        free = facts.free_bytes
        if free is not None and free < MIN_FREE_BYTES:
            what = f"{free / 1e6:.0f} MB free in the agent's folder, {MIN_FREE_BYTES / 1e6:.0f} MB are needed"
            hint = "free space, or name another folder with `agent.directory`"
            raise StableDeviceError(what, where=profile.name, hint=hint)
        space = "" if free is None else f", {free / 1e9:.1f} GB free"
        model = facts.board_model or facts.hostname
        return f"{link.description}: {model}, {facts.machine}, {facts.cpu_count} cores, kernel {facts.kernel}{space}"
    finally:
        link.close()


def _agent(profile: Profile, board: Board) -> str:
    fingerprint = board.connect()
    return f"{fingerprint.runtime}, Python {fingerprint.python}, {fingerprint.bsp or 'unknown system'}"


def _backends(profile: Profile, board: Board) -> Iterator[CheckStep]:
    model = check_model()
    with tempfile.TemporaryDirectory(prefix="harness-check-") as folder:
        model_path, samples_path = Path(folder, "check.tflite"), Path(folder, "check.npy")
        write_bytes_atomic(model_path, model.tflite)
        np.save(samples_path, model.inputs)
        hashes = [sha256_bytes(path.read_bytes()) for path in (model_path, samples_path)]
        for path, sha256 in zip((model_path, samples_path), hashes, strict=True):
            board.ensure_file(path, sha256)
        for name in profile.backends:
            try:
                model_sha256 = _compiled(profile, board, name, model_path) or hashes[0]
                detail = _run(profile, board, name, model, model_sha256, hashes[1])
                yield CheckStep(name=f"backend {name}", ok=True, detail=detail)
            except WorkerFailure as failure:
                said = failure.board_log.strip().splitlines()[-1:]
                detail = f"{failure}{'; the board said: ' + said[0] if said else ''}"
                yield CheckStep(name=f"backend {name}", ok=False, detail=detail)
            except HarnessError as error:
                yield CheckStep(name=f"backend {name}", ok=False, detail=str(error))
                if isinstance(error, DeviceError) and not isinstance(error, StableDeviceError):
                    return  # the link is gone, the next backend cannot be asked


def _compiled(profile: Profile, board: Board, name: str, path: Path) -> str | None:
    """Compiles the model for a backend that wants it so and uploads it; the compiled file's hash, else None."""
    block = profile.backends[name].compile
    if block is None:
        return None
    compiled = compile_model(path, block.vela_options())
    board.ensure_file(compiled.path, compiled.sha256)
    return compiled.sha256


def _run(profile: Profile, board: Board, name: str, model: CheckModel, model_sha256: str, samples_sha256: str) -> str:
    worker = board.open_worker(backend_spec(profile, name), profile.deadlines_spec())
    try:
        loaded = worker.load(model_sha256)
        first_ns = worker.first_invoke([samples_sha256])
        outputs = worker.evaluate([samples_sha256], len(model.inputs)).outputs[0]
        placement = worker.placement()
    finally:
        worker.close()
    off = int(np.abs(outputs.astype(int) - model.expected.astype(int)).max())
    if off > _TOLERANCE_LSB:
        what = f"backend {name} runs but its answers are wrong by up to {off} quantization steps"
        raise StableDeviceError(what, where=profile.name, hint="check the delegate and its options")
    delegate = profile.backends[name].delegate
    where = "on the CPU"
    if delegate:
        where = f"{placement.delegated_nodes} of {len(placement.nodes)} nodes on {delegate.name}"
    return f"right answers, {where}; load {loaded.load_ns / 1e6:.1f} ms, first invoke {first_ns / 1e6:.2f} ms"
