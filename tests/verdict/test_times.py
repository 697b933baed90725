"""Of a long history only the rows are read that make a difference: the reference comes out as from all of them."""

from __future__ import annotations

import random

import pytest

from harness.results.history import History
from harness.results.record import RunInfo
from harness.results.store import Store
from harness.results.times import TimeRow
from harness.verdict.past import USUAL, times_of
from harness.verdict.screen import REFERENCE_NIGHTS
from tests.support.nights import SERIES, key

NIGHTS = 150
CELLS = [key(seed=seed) for seed in range(8)]


def numbers_of(rng, cell):
    """What a night says of a cell's time; each cell has troubles of its own."""
    numbers = {"epoch": f"e{rng.randrange(3)}", "artifact_sha256": "a" * 64, "scale": rng.random()}
    if rng.random() > 0.1 * cell.seed:
        numbers["sessions_ns"] = [100.0 + rng.random() for _ in range(3)]
    numbers["restart"] = rng.random() < 0.03 * (cell.seed % 4)
    numbers["unconfirmed"] = rng.random() < (0.95 if cell.seed in (5, 6) else 0.1)
    return numbers


@pytest.fixture(scope="module", params=["file", "server"])
def history(request, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "server":
            patch.setenv("HARNESS_STORE", request.getfixturevalue("server").new_database())
        rng = random.Random(7)
        with Store.open(tmp_path_factory.mktemp("times")) as store:
            found = History(store)
            for number in range(NIGHTS):
                run = f"n{number:03d}"
                store.begin_run(RunInfo(run=run, started_utc="2026-01-01T00:00:00+00:00", command=[], series=SERIES))
                statuses = ("same", "same", "same", "worse", "suspect", "better")
                rows = [
                    (cell, "latency", rng.choice(statuses), False, {"numbers": numbers_of(rng, cell)}) for cell in CELLS
                ]
                found.put_verdicts(run, [row for row in rows if rng.random() < 0.9])
            yield found


def from_all(history, cell, start, before):
    rows = []
    for row in history.verdicts(SERIES, quantity="latency"):
        if row.key == cell and start <= row.number < before:
            numbers = row.data["numbers"]
            sessions = numbers.get("sessions_ns")
            rows.append(
                TimeRow(
                    row.run,
                    row.number,
                    row.status,
                    None if sessions is None else str(sessions),
                    numbers["artifact_sha256"],
                    numbers["epoch"],
                    numbers["restart"],
                    numbers["scale"],
                    numbers["unconfirmed"],
                )
            )
    return times_of(rows, start)


@pytest.mark.parametrize("before", [2, 20, 100, NIGHTS + 1])
def test_the_reference_is_that_of_all_rows(history, before):
    rng = random.Random(before)
    starts = {cell: rng.randrange(1, before) for cell in CELLS}
    read = history.times(SERIES, starts, before=before, usual=USUAL, most=REFERENCE_NIGHTS)
    for cell, start in starts.items():
        ours, whole = times_of(read.get(cell, []), start), from_all(history, cell, start, before)
        assert ours.nights == whole.nights and ours.unconfirmed == whole.unconfirmed
        assert ours.newest_epoch == whole.newest_epoch
        assert ours.kept_scale == whole.kept_scale or (
            ours.kept_scale != ours.kept_scale and whole.kept_scale != whole.kept_scale
        )


def test_what_makes_no_difference_is_not_read(history):
    (cell,) = [cell for cell in CELLS if cell.seed == 0]
    read = history.times(SERIES, {cell: 1}, before=NIGHTS + 1, usual=USUAL, most=REFERENCE_NIGHTS)[cell]
    assert REFERENCE_NIGHTS < len(read) < NIGHTS / 2
