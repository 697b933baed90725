"""PostgreSQL gone in the middle of a night: the night goes on in the results folder, and what it left is merged, once."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.core.errors import UserInputError
from harness.nightly.night import Night, NightOptions
from harness.reports.verdicts.export import export_verdict
from harness.reports.verdicts.words import headline
from harness.results import shared as shared_module
from harness.results.faults import StoreGoneError
from harness.results.history import History
from harness.results.layout import UNMERGED_NAME
from harness.results.merge import merge_unmerged
from harness.results.objects import ObjectStore, open_objects
from harness.results.running import is_running, one_night, only_one
from harness.results.store import Store
from harness.verdict.past import load_past
from tests.nightly.test_night import OPTIONS, lab, other_bytes  # noqa: F401
from tests.support.cells import OUTPUTS
from tests.support.nights import SERIES, Nights, record

#: a night in a process of its own: cells of seeds 0 to 5, stopping to be told to go on after two of them
_NIGHT = """
import sys
from dataclasses import replace
from pathlib import Path
import numpy as np
from harness.results.history import History
from harness.results.objects import open_objects
from harness.results.record import RunInfo
from harness.results.shared import lost_stores
from harness.results.store import Store
from tests.support.nights import SERIES, key, record
results, run = Path(sys.argv[1]), sys.argv[2]
with Store.open(results) as store:
    cells = [key(seed=seed) for seed in range(6)]
    store.begin_run(RunInfo(run=run, started_utc="2026-01-01T00:00:00+00:00", command=[], planned=cells, series=SERIES))
    for number, cell in enumerate(cells):
        if number == 2:
            print("two", flush=True)
            sys.stdin.readline()
        outputs = open_objects(results).put_array(np.full(3, number))
        store.add_cell(replace(record(cell), run=run, outputs_object=outputs))
    History(store).put_controls(run, "host-litert", "cpu", "before", {"c1": 5e4}, "e")
    assert len(store.cells(run=run)) == 6 and store.pending(run) == []
    assert open_objects(results).get_array(store.cells(run=run)[0].outputs_object).tolist() == [0, 0, 0]
    store.finish_run(run)
with Store.open(results) as store:
    History(store).put_verdicts(run, [(cells[0], "latency", "same", False, {"numbers": {"scale": 0.5}})])
    print(store.lost, lost_stores(), flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def results(breakable, tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_STORE", breakable.new_store())
    with Store.open(tmp_path / "results"):
        pass
    yield tmp_path / "results"
    shared_module._OPEN.clear()  # this process knows no server that is gone


class NightProcess:
    """A night that runs, and goes on when it is told."""

    def __init__(self, results: Path, run: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _NIGHT, str(results), run], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.said() == "two"

    def said(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def close(self) -> None:
        self.process.communicate("\n", timeout=60)
        assert self.process.returncode == 0


def test_a_night_goes_on_without_the_server_and_is_merged_once(results, breakable):
    with closing(NightProcess(results, "n1")) as night:
        breakable.stop()
        night.go_on()
        told = night.said()
        assert "does not answer" in told and UNMERGED_NAME in told and "s3cret" not in told
        breakable.start()
        # It may still write: nobody takes the file away under it.
        with Store.open(results) as store:
            assert len(store.cells(run="n1")) == 2 and merge_unmerged(store).waiting
    with Store.open(results, create=False) as store:
        assert [r.key.seed for r in store.cells(run="n1")] == list(range(6))
        assert store.run("n1").state == "finished" and store.run_ids() == ["n1"]
        history = History(store)
        assert len(history.verdicts(SERIES)) == 1 and len(history.controls("host-litert", SERIES)) == 1
        assert not (results / UNMERGED_NAME).exists()
    # Another host has all of its objects.
    elsewhere = results.parent / "elsewhere"
    with Store.open(elsewhere, create=True) as store:
        names = [str(r.outputs_object) for r in store.cells(run="n1")]
    assert [int(open_objects(elsewhere).get_array(name)[0]) for name in names] == list(range(6))


def test_whoever_is_killed_between_merging_and_forgetting_merges_again_without_doubling(results, breakable):
    with closing(NightProcess(results, "n1")) as night:
        breakable.stop()
        night.go_on()
        night.said()
    breakable.start()
    kept = {path: path.read_bytes() for path in results.glob(f"{UNMERGED_NAME}*")}
    assert kept
    Store.open(results).close()
    assert not (results / UNMERGED_NAME).exists()
    for path, data in kept.items():
        path.write_bytes(data)
    found = CliRunner().invoke(cli, ["results", "merge", "--results", str(results)], standalone_mode=False)
    assert found.exception is None and "run n1 is in postgresql://harness:***@" in found.output, found.output
    with Store.open(results) as store:
        assert len(store.cells(run="n1")) == 6 and store.run_ids() == ["n1"]
        assert len(History(store).controls("host-litert", SERIES)) == 1 and len(History(store).verdicts(SERIES)) == 1


def test_a_night_is_compared_with_the_past_as_it_was(results, breakable):
    from tests.support.nights import key

    nights = Nights(results)
    for _ in range(3):
        nights.run(record())
    nights.store.close()
    past = load_past(nights.history, SERIES, None, [key()])
    assert len(past.nights) == 3 and past.times[key()].nights and past.references


def test_two_nights_that_ran_without_the_server_are_both_merged(results, breakable):
    with closing(NightProcess(results, "n1")) as one, closing(NightProcess(results, "n2")) as two:
        breakable.stop()
        for night in (one, two):
            night.go_on()
            assert "does not answer" in night.said()
    breakable.start()
    with Store.open(results) as store:
        assert sorted(store.run_ids()) == ["n1", "n2"]
        assert [len(store.cells(run=run)) for run in ("n1", "n2")] == [6, 6]


def test_a_server_that_is_gone_before_a_run_begins_is_an_error(results, breakable):
    breakable.stop()
    with pytest.raises(StoreGoneError, match="does not answer.*leave --store and HARNESS_STORE out"):
        Store.open(results)
    assert not (results / UNMERGED_NAME).exists()


def test_a_resumed_run_takes_what_it_had_along(results, breakable):
    nights = Nights(results)
    nights.run(record())
    nights.store.finish_run("n001", "interrupted")
    store = nights.store
    store.resume_run("n001")
    breakable.stop()
    store.finish_run("n001")
    assert store.lost is not None and [r.run for r in store.cells()] == ["n001"]
    assert len(History(store).verdicts(SERIES)) == len(nights.last.stored())
    shared_module._OPEN.clear()
    breakable.start()


def test_an_object_that_cannot_be_sent_waits_in_the_folder(results, breakable):
    breakable.stop()
    name = open_objects(results).put_array(np.arange(4))
    assert ObjectStore(results).get_array(name).tolist() == [0, 1, 2, 3]
    breakable.start()
    open_objects(results).send(name)
    (results / "objects" / name[:2] / f"{name}.npz").unlink()
    assert open_objects(results).get_array(name).tolist() == [0, 1, 2, 3]


def end_process() -> None:
    """What the end of a process does to its lost stores."""
    for one in shared_module._OPEN.values():
        one._held.close()
        one.close()
    shared_module._OPEN.clear()


def test_a_night_without_its_server_is_compared_with_nothing_merged_and_judged_later(
    lab,  # noqa: F811
    breakable,
    monkeypatch,
    tmp_path,
):
    monkeypatch.setenv("HARNESS_STORE", breakable.new_store())
    for _ in range(2):
        assert lab().exit_code == 0
    end_process()
    breakable.stop()
    worse = other_bytes()
    lab.board.answers[worse] = np.roll(OUTPUTS, 1, axis=1)
    gone = Night.without_server(lab.results)
    assert gone is not None and "does not answer" in gone and "s3cret" not in gone
    with one_night(lab.results, "some series"), only_one(lab.results, "r99"):
        assert not is_running(lab.results, "r98")
    done = lab(worse)
    said = done.judgement
    assert done.exit_code == 2 and said.verdicts == [] and not said.first and not said.open
    assert headline(said).startswith("no history could be read") and "`harness run --resume r03`" in headline(said)
    export_verdict(tmp_path / "out", said, done.result.records, exit_code=done.exit_code)
    assert 'message="not compared: no history could be read"' in (tmp_path / "out" / "verdict.xml").read_text()
    assert "no history could be read" in (tmp_path / "out" / "verdict.md").read_text()
    end_process()
    breakable.start()
    with Store.open(lab.results) as store:
        history = History(store)
        info = store.run("r03")
        assert store.run_ids() == ["r01", "r02", "r03"] and not history.is_judged("r03")
        assert len(history.controls("host-litert", str(info.series), run="r03")) == 10
        past = load_past(history, str(info.series), None, info.planned)
        assert any("run r03, has no verdict" in note for note in past.notes)
        assert {record.run for record in past.references.values()} == {"r01"}, "it moved no level"
    night = Night(options=OPTIONS, results=lab.results, night=NightOptions(series=info.series, controls=False))
    judged = night.judge(replace(done.result, info=info))
    assert judged.exit_code == 3 and {v.quantity for v in judged.judgement.open} >= {"score"}
    with Store.open(lab.results) as store:
        assert History(store).is_judged("r03")
    end_process()


def test_merging_needs_a_shared_store(tmp_path):
    found = CliRunner().invoke(cli, ["results", "merge", "--results", str(tmp_path)], standalone_mode=False)
    assert isinstance(found.exception, UserInputError) and "no shared store" in str(found.exception)
