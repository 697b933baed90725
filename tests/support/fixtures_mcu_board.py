"""Emulated microcontrollers for tests: a rig that runs cells of small models on QEMU boards, and lines that inject faults."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.boards.mcu.board import McuBoard
from harness.boards.mcu.profile import McuProfile
from harness.boards.mcu.twin import EmulatedLineProfile
from harness.boards.resolve import get_profile
from harness.emulation.mcu.firmware import build_firmware
from harness.emulation.mcu.line import EmulatedLine
from harness.judge.stored import finisher
from harness.links.serial.port import SerialSettings
from harness.links.serial.window import Request
from harness.measure.reference import References
from harness.prepare.prepared import PreparedModel, random_inputs, with_graph_facts
from harness.results.objects import ObjectStore
from harness.results.record import CellKey, CellRecord, RunInfo
from harness.results.store import Store
from harness.run import device as device_module
from harness.run.execute import execute
from harness.run.jobs import DeviceJob, Execution, PlannedCell
from harness.session.conclude import add_cross_findings
from harness.variants.build.build import artifact_from_file
from tests.support.judged import assert_judged_the_same


@pytest.fixture
def mcu_cache(tflite_python: str, litert_python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, so that nobody else holds its leases; runtimes and compiled firmware are those of all tests."""
    shared = Path(tflite_python).parents[3]
    assert Path(litert_python).is_relative_to(shared)
    folder = tmp_path / "cache"
    folder.mkdir()
    for name in ("envs", "firmware"):
        (shared / name).mkdir(exist_ok=True)
        (folder / name).symlink_to(shared / name)
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def prepare_mcu(mcu_cache: Path, tmp_path: Path) -> Callable[..., PreparedModel]:
    """`prepare(bytes, recipe, samples=, reference=)`: a model with random inputs, and the reference's answers if wanted."""

    def prepare(data: bytes, recipe: str = "as-is", *, samples: int = 40, reference: bool = False) -> PreparedModel:
        path = tmp_path / f"{recipe}.tflite"
        path.write_bytes(data)
        artifact = artifact_from_file(path)
        model = with_graph_facts(
            PreparedModel(
                workload="w",
                metric=None,
                recipe=recipe,
                seed=0,
                artifact=artifact,
                dataset_name="random",
                dataset_note="made for this test",
                dataset_digest="d" * 64,
                sample_ids=np.arange(samples),
                inputs=random_inputs(artifact.inputs, samples, 0),
            )
        )
        if reference:
            with References() as references:
                model = references.add_reference(model)
        return model

    return prepare


def mcu_profile(name: str = "cortex-m4@qemu", **changes: object) -> McuProfile:
    """A packaged profile with some fields changed."""
    profile = get_profile(name)
    assert isinstance(profile, McuProfile)
    return profile.model_copy(update=changes)


def emulated_line(profile: McuProfile, kind: type[EmulatedLine] = EmulatedLine, **options: object) -> EmulatedLine:
    """The line of a twin, or one of a test's own kind to the same machine."""
    assert isinstance(profile.link, EmulatedLineProfile)
    return kind(profile.name, profile.link.board, **options)


@pytest.fixture
def mcu_run(mcu_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[CellRecord]]:
    """`run(*models, profiles=, samples=, make=)`: the records of a run, devices after one another, cross-checks included.

    `make(profile)` gives the board in place of the real `connect`.
    """

    def run(
        *models: PreparedModel,
        profiles: tuple[McuProfile, ...] | None = None,
        samples: int | None = None,
        make: Callable[[McuProfile], McuBoard] | None = None,
        **asked: bool,
    ) -> list[CellRecord]:
        profiles = profiles or (mcu_profile(),)
        if make is not None:
            monkeypatch.setattr(device_module, "connect", lambda profile, progress: make(profile))
        jobs, keys = [], []
        for profile in profiles:
            cells = []
            for model in models:
                key = CellKey(
                    workload="w",
                    recipe=model.recipe,
                    device=profile.name,
                    backend="cpu",
                    dataset=model.dataset_digest,
                    seed=0,
                )
                keys.append(key)
                cells.append(PlannedCell(key=key, model=model))
            job = DeviceJob(profile=profile, device=profile.name, cells=tuple(cells), samples=samples, **asked)
            jobs.append(job)
        with Store.open(tmp_path / "results") as store:
            run_id = f"r{len(store.runs())}"
            store.begin_run(
                RunInfo(run=run_id, started_utc="2026-01-01T00:00:00+00:00", command=["test"], planned=keys)
            )
            execute(
                jobs,
                Execution(run=run_id, store=store, finish=finisher(ObjectStore(tmp_path / "results")), lease_wait_s=0),
            )
            add_cross_findings(store, run_id)
            assert_judged_the_same(store, run_id)
            by_key = {record.key: record for record in store.cells(run=run_id)}
        return [by_key[key] for key in keys]

    return run


class KilledLine(EmulatedLine):
    """A board that loses power: `strike()` kills QEMU, as often as `lives` says; later boards live on."""

    def __init__(self, *arguments: object, lives: int = 1, **options: object) -> None:
        super().__init__(*arguments, **options)
        self.lives = lives
        self.started = 0

    def open(self) -> SerialSettings:
        self.started += 1
        return super().open()

    def strike(self) -> None:
        """Ends the machine, if it is one that is to lose its power."""
        if self.lives > 0 and self._machine is not None:
            self.lives -= 1
            self._machine.stop()


#: a request of firmware that is built for tests, and what it is told: the next inference hangs
_TEST_FAULT, _HANG_NEXT = 0x70, 6


def breakable_line(profile: McuProfile) -> EmulatedLine:
    """The line of a twin whose firmware can be told to fail."""
    line = emulated_line(profile)
    line.load_program(build_firmware(profile.link.board, test_faults=True).elf)
    return line


def hang_next(board: McuBoard) -> None:
    """Makes the next inference of a board on a `breakable_line` hang, from within."""
    board.session._ask(Request(type=_TEST_FAULT, payload=struct.pack("<I", _HANG_NEXT)))
