"""Whole nights on a fake board: control cells, artifacts confirmed beside the accepted one, failing boards, exit codes."""

import time
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from harness.boards.base import BenchResult
from harness.boards.profile.model import ConnectProfile
from harness.boards.resolve import packaged_profile
from harness.cli.main import cli
from harness.core.errors import TransientDeviceError
from harness.core.fingerprint import Fingerprint
from harness.judge.stored import finisher
from harness.meters.simulated import SimulatedProfile
from harness.nightly import night as night_module
from harness.nightly import sessions as sessions_module
from harness.nightly.night import Night, NightOptions, series_of_plan
from harness.prepare.samples import random_inputs
from harness.results.history import History
from harness.results.objects import ObjectStore
from harness.results.record import RunInfo
from harness.results.store import Store
from harness.run import device as device_module
from harness.run.execute import execute
from harness.run.jobs import DeviceJob, Execution, PlannedCell
from harness.run.matrix import key_of
from harness.run.options import RunOptions
from harness.session.session import RunResult
from harness.variants.build.build import artifact_from_file
from tests.support.cells import IO, LABELS, OUTPUTS, model
from tests.support.fake_board import FakeBoard, FakeWorker
from tests.support.tiny_model import int8_dense

ACCEPTED = int8_dense()
OPTIONS = RunOptions(workloads=("w",), devices=("host-litert",), backends=("cpu",))


class TimedWorker(FakeWorker):
    """Takes as long as its board says for the model's bytes."""

    def load(self, model_sha256):
        self.sha256 = model_sha256
        return super().load(model_sha256)

    def evaluate(self, input_sha256s, count, *, start=0, progress=None, beginnings=None):
        data = self.board.files[self.sha256]
        self.outputs = next((o for first, o in self.board.answers.items() if data.startswith(first)), self.outputs)
        return super().evaluate(input_sha256s, count, start=start, progress=progress, beginnings=beginnings)

    def bench(self, plan):
        us = self.board.pace_us(self.sha256)
        if plan.min_samples == 1:  # a loop under an instrument, which lasts as long as it is to
            begun_ns = time.monotonic_ns()
            time.sleep(plan.min_ns / 1e9)
            data = self.board.files[self.sha256]
            thirst = next((f for start, f in self.board.thirsts.items() if data.startswith(start)), 1.0)
            # As many as fit into the time that it really took: a busy machine wakes a sleeper late.
            count = round((time.monotonic_ns() - begun_ns) / (1000 * us * thirst))
            return BenchResult(
                samples_ns=np.full(count, round(1000 * us)), warmup_ns=np.array([], np.int64), warmup_stable=True
            )
        noise = np.exp(0.003 * self.board.rng.standard_normal())
        samples = (1000 * us * noise * np.exp(0.002 * self.board.rng.standard_normal(plan.min_samples))).astype(
            np.int64
        )
        return BenchResult(samples_ns=samples, warmup_ns=samples[:2], warmup_stable=True)


class TimedBoard(FakeBoard):
    """100 us for every model, times what `factors` says for the first bytes of its file; all of it times `shift`."""

    def __init__(self):
        super().__init__(name="host-litert", outputs=OUTPUTS)
        self.rng = np.random.default_rng(1)
        self.factors: dict[bytes, float] = {}
        self.shift = 1.0
        #: the same for its energy: so many fewer inferences in a loop that takes what it took
        self.thirsts: dict[bytes, float] = {}
        self.files: dict[str, bytes] = {}
        #: what it says of itself, and what models answer whose files begin so, in place of `outputs`
        self.facts = {"runtime": "fake 1.0"}
        self.answers: dict[bytes, np.ndarray] = {}

    def connect(self):
        super().connect()
        return Fingerprint(**self.facts)

    def ensure_file(self, source, sha256, *, progress=None):
        self.files[sha256] = source.read_bytes()
        return True

    def pace_us(self, sha256):
        data = self.files[sha256]
        return 100 * self.shift * next((f for start, f in self.factors.items() if data.startswith(start)), 1.0)

    def open_worker(self, backend, deadlines):
        self.opened += 1
        worker = TimedWorker(fault=self.faults.pop(0) if self.faults else {}, outputs=self.outputs)
        worker.board = self
        return worker


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """night(artifact bytes, **options) -> NightResult of one cell on a board that the test can slow down."""
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    board = TimedBoard()
    monkeypatch.setattr(device_module, "connect", lambda profile, progress: board)
    monkeypatch.setattr(sessions_module, "connect", lambda profile, progress: board)
    impatient = ConnectProfile(first_s=0.0, again_s=0.0)
    profile = packaged_profile("host-litert").model_copy(update={"connect": impatient})
    results = tmp_path / "results"
    count = 0

    def run(data=ACCEPTED, **options):
        nonlocal count
        count += 1
        folder = tmp_path / f"build{count}"
        folder.mkdir()
        base = model(folder)
        path = folder / "net.tflite"
        path.write_bytes(data)
        prepared = replace(base, artifact=artifact_from_file(path), inputs=random_inputs((IO,), 300, seed=0))
        key = key_of(prepared, "host-litert", "cpu")
        night = Night(options=OPTIONS, results=results, night=NightOptions(**options))
        night._models = {("w", prepared.recipe, 0): prepared}
        night._cells = (key,)
        night.before()
        with Store.open(results) as store:
            name = f"r{count:02d}"
            info = RunInfo(
                run=name, started_utc="2026-01-01T00:00:00+00:00", command=["test"], planned=[key], series=night.series
            )
            store.begin_run(info)
            night.begun(name)
            execution = Execution(run=name, store=store, finish=finisher(ObjectStore(results)))
            job = DeviceJob(
                profile=profile, device="host-litert", cells=(PlannedCell(key=key, model=prepared),), samples=None
            )
            execute([job], execution)
            store.finish_run(name)
            records = tuple(store.cells(run=name))
            result = RunResult(run=name, info=store.run(name), records=records, results=results, export=None)
        return night.judge(result)

    def give_a_meter():
        nonlocal profile
        meter = SimulatedProfile(type="simulated", seconds=0.05, windows=3, idle_s=0.05, noise=0.001)
        profile = profile.model_copy(update={"meter": meter})
        chosen = night_module.choose_devices(OPTIONS)
        with_meter = [replace(one, profile=profile) for one in chosen]
        monkeypatch.setattr(night_module, "choose_devices", lambda options: with_meter)

    run.board, run.results, run.give_a_meter = board, results, give_a_meter
    return run


def latency(done):
    return next(v for v in done.judgement.verdicts if v.quantity == "latency")


def other_bytes():
    data = bytearray(int8_dense())
    weights = data.find(bytes(np.random.default_rng(2).integers(-127, 128, (10, 16), dtype=np.int8).tobytes()))
    assert weights > 0
    data[weights] ^= 1
    return bytes(data)


def test_the_first_night_ends_well_and_leaves_control_cells(lab):
    done = lab()
    assert done.exit_code == 0 and done.judgement.first
    with Store.open(lab.results, create=False) as store:
        rows = History(store).controls("host-litert", series_of_plan(OPTIONS))
    assert len({row.name for row in rows}) == 5 and {row.position for row in rows} == {"before", "after"}


def test_a_slower_artifact_is_confirmed_on_the_board_and_stays_open(lab):
    for _ in range(6):
        assert lab().exit_code == 0
    slower = other_bytes()
    lab.board.factors[slower] = 1.12
    done = lab(slower)
    found = latency(done)
    assert done.exit_code == 3 and found.cause == "artifact" and found.numbers["p"] < 0.005
    assert found.numbers["confirmed_change"] == pytest.approx(0.12, abs=0.02)
    assert lab(slower).exit_code == 3 and lab(slower, new_only=True).exit_code == 0
    assert lab().exit_code == 0


def energy(done):
    return [v for v in done.judgement.verdicts if v.quantity == "energy"]


def test_an_artifact_that_takes_more_energy_is_confirmed_under_the_instrument(lab):
    lab.give_a_meter()
    for _ in range(2):
        assert lab(controls=False).exit_code == 0
    thirsty = other_bytes()
    lab.board.thirsts[thirsty] = 1.3
    done = lab(thirsty, controls=False)
    (found,) = energy(done)
    assert (done.exit_code, found.status, found.cause, found.gates) == (3, "worse", "artifact", True)
    assert found.numbers["p"] < 0.005 and 0.2 < found.numbers["confirmed_change"] < 0.32
    assert "under the instrument" in found.reason and "nobody measured" not in found.reason
    assert lab(thirsty, controls=False).exit_code == 3 and lab(thirsty, controls=False, new_only=True).exit_code == 0
    done = lab(controls=False)
    assert done.exit_code == 0 and [v.numbers.get("fixed") for v in energy(done)] == [True]


def test_the_same_bytes_that_take_more_energy_are_not_the_models_fault(lab):
    lab.give_a_meter()
    lab(controls=False)
    lab.board.thirsts[ACCEPTED] = 1.3
    done = lab(controls=False)
    (found,) = energy(done)
    assert (done.exit_code, found.status, found.gates) == (0, "suspect", False)
    assert "the same bytes as then" in found.reason


def test_other_bytes_of_the_same_speed_are_no_alarm(lab):
    for _ in range(6):
        lab()
    assert lab(other_bytes()).exit_code == 0


def test_a_slower_board_is_told_as_a_board(lab):
    for _ in range(6):
        lab()
    lab.board.shift = 1.15
    done = lab()
    assert done.exit_code == 0 and done.judgement.boards[0].changed and latency(done).status == "same"


def test_the_accepted_artifact_that_was_pruned_leaves_a_suspect(lab):
    for _ in range(6):
        lab()
    with Store.open(lab.results, create=False) as store:
        kept = History(store)
        record = store.cells(run="r01")[0]
        assert kept.artifact(record.artifact_sha256) == int8_dense()
        for path in ObjectStore(lab.results).root.rglob("*.npz"):
            if int8_dense()[:64] in _array_bytes(path):
                path.unlink()
    slower = other_bytes()
    lab.board.factors[slower] = 1.2
    done = lab(slower)
    assert done.exit_code == 0 and latency(done).status == "suspect" and "not kept any more" in latency(done).reason


def _array_bytes(path):
    arrays = np.load(path)
    return b"".join(arrays[name].tobytes()[:4096] for name in arrays.files)


def test_a_board_that_changed_is_accepted_as_it_is(lab):
    for _ in range(6):
        lab()
    lab.board.shift = 1.15
    assert lab().judgement.boards[0].changed and lab().judgement.boards[0].changed
    words = ["accept", "--board", "host-litert", "--why", "a new SD card", "--results", str(lab.results)]
    assert "as it was in run r08 accepted" in CliRunner().invoke(cli, words, standalone_mode=False).stdout
    assert not lab().judgement.boards[0].changed
    lab.board.shift = 1.35
    board = lab().judgement.boards[0]
    assert board.changed and "than in run r08 (accepted: a new SD card)" in board.reason


def test_a_session_without_a_number_is_no_time(lab):
    lab.board.pace_us = lambda sha256: -1.0  # samples of integers: what is no number arrives as less than nothing
    done = lab()
    assert done.exit_code in (0, 2) and done.judgement.open == []
    with Store.open(lab.results, create=False) as store:
        assert History(store).controls("host-litert", series_of_plan(OPTIONS)) == []


def test_no_confirmation_leaves_a_suspect(lab):
    for _ in range(6):
        lab()
    slower = other_bytes()
    lab.board.factors[slower] = 1.2
    assert latency(lab(slower, confirm=False)).status == "suspect"


def test_time_for_confirmation_ends(lab):
    for _ in range(6):
        lab()
    slower = other_bytes()
    lab.board.factors[slower] = 1.2
    assert "--confirm-budget" in latency(lab(slower, confirm_s=0.0)).reason


def test_a_board_that_is_off_costs_no_verdict_on_a_model(lab):
    for _ in range(3):
        lab()
    lab.board.connects = [TransientDeviceError("no route")] * 9
    done = lab()
    assert done.exit_code == 2 and len(done.judgement.failed) == 1 and done.judgement.open == []


def test_the_series_of_a_plan_does_not_depend_on_time_and_place():
    name = series_of_plan(OPTIONS)
    assert name == series_of_plan(replace(OPTIONS, budget_s=5.0, jobs=3, data_dir="/elsewhere"))
    assert name != series_of_plan(replace(OPTIONS, devices=("host-tflite",)))
    assert series_of_plan(replace(OPTIONS, workloads=("/a/m.tflite",))) == series_of_plan(
        replace(OPTIONS, workloads=("/b/m.tflite",))
    )
    assert night_module.CONFIRM_SHARE <= 0.1 and len(LABELS) == 300


def test_a_night_whose_server_is_gone_is_judged_by_the_past_as_it_was(lab, breakable, monkeypatch):
    from harness.results import shared

    monkeypatch.setenv("HARNESS_STORE", breakable.new_store())
    for _ in range(2):
        lab(controls=False)

    real = execute

    def execute_and_lose(jobs, execution):
        real(jobs, execution)
        breakable.stop()

    monkeypatch.setattr("tests.nightly.test_night.execute", execute_and_lose)
    done = lab(controls=False)
    assert not done.judgement.first and done.judgement.nights == 2 and done.exit_code == 0
    assert [text for text in shared.lost_stores() if "does not answer" in text]
    shared._OPEN.popitem()[1]._held.close()  # as the end of the process does
    breakable.start()
    with Store.open(lab.results) as store:
        history = History(store)
        nights = history.nights(done.judgement.series)
        assert [night.run for night in nights] == ["r01", "r02", "r03"]
        assert store.cells(run="r03") == list(done.result.records)
        assert history.verdicts(done.judgement.series, run="r03") != []
    shared._OPEN.clear()


def test_the_agent_that_a_board_ran_is_kept(tmp_path):
    from harness.links.bootstrap import agent_source
    from harness.nightly.kept import keep_programs
    from tests.support.nights import RUNTIME, record

    agent = agent_source()
    with Store.open(tmp_path) as store:
        history = History(store)
        keep_programs(history, [record(fingerprint=replace(RUNTIME, agent_sha256="0" * 64))])
        assert history.artifact(agent.sha256) is None
        keep_programs(history, [record(fingerprint=replace(RUNTIME, agent_sha256=agent.sha256))])
        assert history.artifact(agent.sha256) == agent.agent
