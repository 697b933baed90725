"""Nights that do not go as planned: interrupted and resumed, two at once, a clock that was set back, nobody's verdict."""

import json
import threading

import numpy as np
import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.core.errors import UserInputError
from harness.nightly.night import Night
from harness.results.history import History
from harness.results.running import one_night
from harness.results.store import Store
from harness.run.device import DeviceRunner
from tests.support.nights import Nights, record
from tests.support.tiny_model import int8_dense


def call(*words):
    """(exit code, what was printed)."""
    found = CliRunner().invoke(cli, [str(word) for word in words], standalone_mode=False)
    code = getattr(found.exception, "exit_code", None)
    if found.exception is not None and code is None:
        raise found.exception
    return int(found.return_value or 0) if code is None else code, found.output


@pytest.fixture
def nightly(tmp_path, litert_python):
    """Runs a night of two small models on this machine; `cut` ends it after so many cells."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "x.npz", x_test=rng.normal(size=(20, 16)).astype(np.float32), y_test=np.arange(20) % 10)
    words = ["nightly", "--data", tmp_path / "x.npz", "--device", "host-litert", "--backend", "cpu", "--series", "s"]
    words += ["--budget", "1s", "--results", tmp_path / "results"]
    for name in ("a", "b"):
        (tmp_path / f"{name}.tflite").write_bytes(int8_dense() + name.encode())
        words += ["--workload", tmp_path / f"{name}.tflite"]

    def run(cut=None, *more):
        if cut is None:
            return call(*words, *more)
        whole, done = DeviceRunner.run_one, []

        def cut_short(self, cell):
            whole(self, cell)
            done.append(cell)
            if len(done) == cut:
                raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(DeviceRunner, "run_one", cut_short)
            return call(*words, *more)

    run.results = tmp_path / "results"
    return run


def verdict(results):
    return json.loads((results / "latest" / "verdict.json").read_text())


def test_a_night_that_was_interrupted_and_resumed_has_its_verdict_as_one_night(nightly):
    code, text = nightly(1)
    assert code == 130 and "harness run --resume" in text
    code, text = call("run", "--resume", "--results", nightly.results)
    assert code == 0 and "1 of 2 cells are left" in text and "the first night of the series 's'" in text
    found = verdict(nightly.results)
    assert {v["cell"].split("/")[0] for v in found["verdicts"]} == {"a", "b"} and found["nights"] == 0
    with Store.open(nightly.results, create=False) as store:
        history = History(store)
        (night,) = history.nights("s")
        assert history.is_judged(night.run) and store.run(night.run).state == "finished"
        # Of before the interruption and of after it: nothing of what the board showed is lost.
        positions = [row.position for row in history.controls("host-litert", "s")]
        assert (positions.count("before"), positions.count("after")) == (10, 5)
    code, text = nightly(None, "--no-controls")
    assert code == 0 and "nothing got worse: 2 cells, 1 earlier night" in text and "note:" not in text


def test_a_night_that_ends_before_its_verdict_is_judged_by_resuming_it(nightly):
    def interrupted(*args):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Night, "judge", interrupted)
        code, text = nightly(None, "--no-controls")
    assert code == 130 and "interrupted before the night's verdict" in text
    with Store.open(nightly.results, create=False) as store:
        run = store.run("latest").run
    code, text = nightly(None, "--no-controls")
    assert code == 0 and f"note: the night before, run {run}, has no verdict" in text
    code, text = call("run", "--resume", run, "--results", nightly.results)
    assert code == 0 and "all of its 2 cells have run" in text and "the first night of the series 's'" in text
    with Store.open(nightly.results, create=False) as store:
        assert all(History(store).artifact(cell.artifact_sha256) for cell in store.cells(run=run))
    assert "note: a later night of this series was judged without this one" in text


def test_a_resumed_night_keeps_how_it_was_to_be_judged(nightly):
    assert nightly(1, "--no-controls", "--new-only", "--no-confirm")[0] == 130
    with Store.open(nightly.results, create=False) as store:
        kept = store.run("latest").environment["night"]
    assert (kept["controls"], kept["new_only"], kept["confirm"]) == (False, True, False)
    assert call("run", "--resume", "--results", nightly.results)[0] == 0
    with Store.open(nightly.results, create=False) as store:
        assert History(store).controls("host-litert", "s") == []


def test_two_nights_of_one_series_follow_each_other(tmp_path):
    told, order = [], []
    inside, leave = threading.Event(), threading.Event()

    def first():
        with one_night(tmp_path, "s"):
            inside.set()
            leave.wait(30)
            order.append("first")

    def second():
        with one_night(tmp_path, "s", note=lambda text: (told.append(text), leave.set())):
            order.append("second")

    threads = [threading.Thread(target=work) for work in (first, second)]
    threads[0].start()
    assert inside.wait(30)
    with one_night(tmp_path, "another", wait_s=0.0):
        pass  # a series of its own waits for nobody
    with pytest.raises(UserInputError, match="another night of the series 's' is running.*--series"):
        with one_night(tmp_path, "s", wait_s=0.0):
            pass
    threads[1].start()
    for thread in threads:
        thread.join(30)
    assert order == ["first", "second"] and "waiting for its end" in told[0]


@pytest.fixture
def nights(tmp_path):
    found = Nights(tmp_path / "results")
    yield found
    found.store.close()


def test_a_clock_that_was_set_back_changes_no_order_and_is_told(nights):
    nights.run(record(arena_bytes=100), started_utc="2026-03-01T00:00:00+00:00")
    judgement = nights.run(record(arena_bytes=120), started_utc="2026-02-01T00:00:00+00:00")
    assert nights.said("arena").open and nights.said("arena").reference == "n001"
    assert "clock of this machine was set back" in judgement.notes[0] and "n001" in judgement.notes[0]
    judgement = nights.run(record(arena_bytes=120), started_utc="2026-02-02T00:00:00+00:00")
    assert judgement.notes == [] and judgement.open[0].since == "n002"


def test_a_night_beside_one_that_has_no_verdict_says_so_and_is_judged(nights):
    nights.run(record(arena_bytes=100))
    nights.run(record(arena_bytes=100), judged=False)  # another machine is still at it, or it was killed
    judgement = nights.run(record(arena_bytes=120))
    assert judgement.open[0].since == "n003" and judgement.open[0].reference == "n001"
    assert "run n002, has no verdict" in judgement.notes[0] and "harness run --resume n002" in judgement.notes[0]
    stored = nights.store.cells(run="n002")
    late = nights.judge("n002", stored, [stored[0].key])
    assert late.open == [], "the night before sees nothing of the night after it"
    assert nights.run(record(arena_bytes=120)).open[0].since == "n003"
