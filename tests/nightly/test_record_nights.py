"""The recorder of nights: what it writes is what bench_verdict.py reads."""

import json

import numpy as np
import pytest

from benchmarks.record_nights import Recorder, cells_of, runnable
from benchmarks.verdict.series import recorded
from harness.boards.resolve import packaged_profile
from harness.core.errors import UserInputError
from harness.nightly import sessions as sessions_module
from harness.nightly.sessions import BoardSessions, SessionError
from tests.nightly.test_night import TimedBoard


@pytest.fixture
def sessions(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    board = TimedBoard()
    monkeypatch.setattr(sessions_module, "connect", lambda profile, progress: board)
    with BoardSessions(profile=packaged_profile("host-litert"), run="test") as opened:
        yield opened


def test_recorded_nights_are_read_by_the_bench(sessions, tmp_path):
    cells = runnable(sessions, cells_of(("cpu-ref", "cpu"), ()))
    recorder = Recorder(sessions=sessions, cells=cells, folder=tmp_path / "out", seed=1)
    for _ in range(4):
        recorder.night()
    recorder.block()
    again = Recorder(sessions=sessions, cells=cells, folder=tmp_path / "out", seed=2)
    again.night()
    again.block()
    assert (again.nights, again.blocks) == (5, 2)
    with np.load(tmp_path / "out" / "nights_a.npz", allow_pickle=False) as data:
        assert data["wall_ns"].shape == (10, 5, 3, 300) and data["wall_ns"].dtype == np.int32
        assert data["facts"].shape == (10, 5, 3, 9) and data["cpu_ns"].shape == data["wall_ns"].shape
        meta = json.loads(str(data["meta"]))
        assert meta["models"][0] == "control-0" and set(meta["backends"]) == {"cpu", "cpu-ref"}
        median = data["facts"][..., meta["facts_columns"].index("wall_median_ns")]
        assert median == pytest.approx(100_000, rel=0.05)
    series = recorded(tmp_path / "out", loads="quiet")
    assert series.sessions.shape == (5, 5, 3) and series.controls.shape == (5, 5)
    assert np.exp(series.sessions) == pytest.approx(100_000, rel=0.05) and series.fresh(0, 3).shape == (2, 16)


def test_a_recording_of_other_cells_is_not_mixed_in(sessions, tmp_path):
    Recorder(sessions=sessions, cells=cells_of(("cpu",), ()), folder=tmp_path).night()
    with pytest.raises(UserInputError, match="of other cells.*--name"):
        Recorder(sessions=sessions, cells=cells_of(("cpu-ref",), ()), folder=tmp_path).night()


def test_a_cell_that_gives_no_time_is_left_out(sessions, monkeypatch):
    told, cells = [], cells_of(("cpu",), ())
    sessions.note = told.append
    real = BoardSessions.time

    def time(self, model, backend):
        if model.workload == "control-3":
            raise SessionError("the board tells no time")
        return real(self, model, backend)

    monkeypatch.setattr(BoardSessions, "time", time)
    assert len(runnable(sessions, cells)) == 4 and told == ["left out: control-3 on cpu: the board tells no time"]
