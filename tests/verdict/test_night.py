"""Nights in a row: what is first, worse, fixed, accepted, vanished; whose fault it is, and since when."""

import math
from dataclasses import replace

import numpy as np
import pytest

from harness.reports.verdicts.junit import junit
from harness.reports.verdicts.text import markdown, plain_lines
from harness.results.record import RunInfo
from harness.verdict.command import bisection, reproduction
from harness.verdict.confirm import look
from harness.verdict.latency import Evidence
from harness.verdict.recall import recall
from tests.support.nights import RUNTIME, SERIES, Nights, answered, key, record

OTHER = "b" * 64
RNG = np.random.default_rng(3)


@pytest.fixture
def nights(tmp_path):
    found = Nights(tmp_path / "results")
    yield found
    found.store.close()


def noisy(scale=1.0, **fields):
    """A night's record: three starts around 100 us with the usual noise between nights and starts."""
    night = 0.005 * RNG.standard_normal()
    starts = 100 * scale * np.exp(night + 0.003 * RNG.standard_normal(3))
    return record(starts_us=starts.tolist(), **fields)


def both(change):
    """What eight sessions a side give."""
    old = (math.log(100_000) + 0.003 * RNG.standard_normal(8)).tolist()
    new = (math.log(100_000) + change + 0.003 * RNG.standard_normal(8)).tolist()
    return Evidence(old=tuple(old), new=tuple(new), look=look(old, new, 0.005))


def fresh(change):
    return Evidence(new=tuple((math.log(100_000) + change + 0.003 * RNG.standard_normal(5)).tolist()))


def test_the_first_night_says_that_it_is_the_first(nights):
    judgement = nights.run(record())
    assert judgement.first and judgement.open == [] and nights.said("cell").status == "first"
    assert nights.said("latency").status == "first"


def test_unchanged_nights_are_the_same(nights):
    for _ in range(8):
        judgement = nights.run(noisy())
    assert judgement.open == [] and judgement.suspects == []
    assert {v.status for v in judgement.verdicts} == {"same"}
    seen = nights.said("latency")
    assert 0.02 < seen.detectable < 0.08 and f"{seen.detectable:.1%}" in seen.reason


def test_a_regression_stays_open_until_it_is_fixed_and_says_since_when(nights):
    nights.run(record(arena_bytes=100))
    nights.run(record(arena_bytes=120, artifact_sha256=OTHER))
    assert nights.said("arena").since == "n002" and [v.quantity for v in nights.last.new()] == ["arena"]
    newer = replace(RUNTIME, runtime="ai_edge_litert 9")
    judgement = nights.run(record(arena_bytes=120, artifact_sha256=OTHER, fingerprint=newer))
    assert nights.said("arena").since == "n002" and judgement.open and judgement.new() == []
    assert "runtime" not in nights.said("arena").reason  # what changed later is not to blame
    nights.run(record(arena_bytes=100))
    fixed = nights.said("arena")
    assert fixed.status == "better" and not fixed.open and "fixed" in fixed.reason and "n002" in fixed.reason
    assert nights.run(record(arena_bytes=100)).open == [] and nights.said("arena").status == "same"


def test_a_regression_stays_open_while_its_board_fails(nights):
    nights.run(record(arena_bytes=100))
    nights.run(record(arena_bytes=120))
    judgement = nights.run(record(outcome="failed", starts_us=()))
    assert [v.since for v in judgement.open] == ["n002"] and "not measured tonight" in judgement.open[0].reason
    assert len(judgement.failed) == 1
    assert nights.run(record(arena_bytes=120)).open[0].since == "n002"


def test_a_failed_cell_is_counted_and_never_a_regression(nights):
    nights.run(record())
    judgement = nights.run(record(outcome="failed", reason="the connection was lost", starts_us=()))
    assert judgement.open == [] and [r.key for r in judgement.failed] == [key()]
    assert nights.run(record()).open == []


def test_an_accepted_level_closes_what_was_open_and_is_told_once(nights):
    nights.run(record(arena_bytes=100))
    nights.run(record(arena_bytes=120))
    nights.history.accept(key(), "*", "n002", "needed for the new layer")
    judgement = nights.run(record(arena_bytes=120))
    told = nights.said("cell")
    assert judgement.open == [] and told.status == "new level" and "needed for the new layer" in told.reason
    nights.run(record(arena_bytes=120))
    assert nights.said("cell") is None and nights.said("arena").status == "same"
    assert nights.run(record(arena_bytes=121)).open


def test_an_improvement_is_the_level_from_then_on(nights):
    nights.run(record(arena_bytes=100))
    nights.run(record(arena_bytes=80))
    assert nights.said("arena").status == "better"
    assert nights.run(record(arena_bytes=90)).open  # less than the first night, more than the best


def test_a_cell_that_begins_to_run_has_its_level_from_then_on(nights):
    nights.run(record(outcome="unsupported", starts_us=(), ops=[], partitions=None))
    nights.run(record(arena_bytes=80))
    assert nights.said("outcome").status == "better"
    nights.run(record(arena_bytes=90))
    assert nights.said("arena").open
    assert nights.run(record(outcome="unsupported", reason="op version", starts_us=())).open[0].quantity in (
        "arena",
        "outcome",
    )


def test_a_planned_cell_that_is_gone_has_vanished_until_it_is_back(nights):
    other = key("ptq-float32")
    nights.run(record(), record(other))
    judgement = nights.run(record())
    assert [(v.status, v.key) for v in judgement.open] == [("vanished", other)]
    assert nights.run(record()).open[0].since == "n002"
    judgement = nights.run(record(), record(other))
    assert judgement.open == [] and nights.said("cell", other).reason.startswith("it is back")


def test_a_cell_that_was_planned_and_not_run_is_no_regression(nights):
    other = key("ptq-float32")
    nights.run(record(), record(other))
    judgement = nights.run(record(), planned=[key(), other])
    assert judgement.open == [] and judgement.not_run == [other]


def test_another_dataset_begins_a_new_history(nights):
    nights.run(record())
    judgement = nights.run(record(key(dataset="d2" * 32)))
    assert judgement.open == []
    assert "another dataset" in nights.said("cell", key(dataset="d2" * 32)).reason


def test_a_slower_artifact_is_confirmed_beside_the_accepted_one(nights):
    for _ in range(8):
        nights.run(noisy())
    judgement = nights.run(noisy(1.1, artifact_sha256=OTHER), evidence=both(math.log(1.1)))
    found = nights.said("latency")
    assert len(nights.suspects) == 1 and nights.suspects[0].reference.run == "n001"
    assert (
        found.open and found.cause == "artifact" and "this artifact is slower" in found.reason and found.since == "n009"
    )
    assert found.command == ("harness run --workload mnist-cnn --recipe ptq-int8-io --device host-litert --backend cpu")
    judgement = nights.run(noisy(1.1, artifact_sha256=OTHER))  # the same bytes: nothing has to be confirmed again
    assert judgement.open[0].since == "n009" and nights.suspects == []
    nights.run(noisy())
    assert nights.said("latency").status == "better" and "n009" in nights.said("latency").reason
    assert nights.run(noisy()).open == []


def test_a_refuted_suspect_is_the_same_and_restarts_the_reference(nights):
    for _ in range(8):
        nights.run(noisy())
    nights.run(noisy(1.06, artifact_sha256=OTHER), evidence=both(0.0))
    assert nights.said("latency").status == "same" and "not confirmed" in nights.said("latency").reason
    for _ in range(3):
        nights.run(noisy(1.06, artifact_sha256=OTHER))
    assert nights.suspects == [] and nights.last.open == []


def test_the_same_bytes_in_the_same_environment_are_never_blamed(nights):
    for _ in range(8):
        nights.run(noisy())
    judgement = nights.run(noisy(1.2), evidence=fresh(math.log(1.2)))
    found = nights.said("latency")
    assert (
        judgement.open == [] and found.status == "worse" and found.cause == "board" and "not the model" in found.reason
    )
    assert nights.run(noisy(1.2)).verdicts and nights.suspects == []  # told once


def test_the_same_bytes_on_another_runtime_are_worse_since_it_came(nights):
    for _ in range(8):
        nights.run(noisy())
    newer = replace(RUNTIME, runtime="ai_edge_litert 2.4.0")
    nights.run(noisy(1.2, fingerprint=newer), evidence=fresh(math.log(1.2)))
    found = nights.said("latency")
    assert found.open and found.cause == "environment"
    assert "since runtime ai_edge_litert 2.3.0 -> ai_edge_litert 2.4.0" in found.reason
    assert nights.run(noisy(1.2, fingerprint=newer)).open[0].since == "n009"
    nights.history.accept(key(), "latency", "n010", "the new runtime is needed")
    assert nights.run(noisy(1.2, fingerprint=newer)).open == []


def test_an_artifact_that_is_slow_only_because_of_its_runtime_is_told_so(nights):
    for _ in range(8):
        nights.run(noisy())
    newer = replace(RUNTIME, runtime="ai_edge_litert 2.4.0")
    shifted = [tuple(y + math.log(1.2) for y in side) for side in (both(0.0).old, both(0.0).new)]
    evidence = Evidence(old=shifted[0], new=shifted[1], look=look(shifted[0], shifted[1], 0.005))
    nights.run(noisy(1.2, fingerprint=newer, artifact_sha256=OTHER), evidence=evidence)
    assert nights.said("latency").cause == "environment" and nights.said("latency").open


def test_without_a_board_a_suspect_stays_one_and_persists(nights):
    for _ in range(8):
        nights.run(noisy())
    for count in range(1, 5):
        judgement = nights.run(noisy(1.15, artifact_sha256=OTHER))
        found = nights.said("latency")
        assert found.status == "suspect" and judgement.open == []
        assert ("persisting for 4 nights, unconfirmed" in found.reason) == (count == 4)


def test_a_whole_board_that_changes_is_told_as_that(nights):
    cells = [key(f"r{i}") for i in range(6)]
    for _ in range(8):
        level = (100_000 * np.exp(0.003 * RNG.standard_normal(5))).tolist()
        nights.run(*(replace(noisy(), key=cell) for cell in cells), controls={"host-litert": level})
    slow = [ns * 1.1 for ns in (100_000,) * 5]
    judgement = nights.run(*(replace(noisy(1.1), key=cell) for cell in cells), controls={"host-litert": slow})
    assert nights.suspects == [] and judgement.open == []
    assert judgement.boards[0].changed and "a step" in judgement.boards[0].reason
    assert judgement.boards[0].shift == pytest.approx(0.1, abs=0.01)


def test_a_creeping_artifact_is_found_against_the_accepted_level(nights):
    for _ in range(10):
        nights.run(noisy())
    for night in range(1, 25):
        change = 0.003 * night
        nights.run(noisy(math.exp(change), artifact_sha256=f"{night:064x}"), evidence=both(change))
        if nights.last.open:
            break
    assert nights.said("latency").open and night < 20


def test_worse_weights_under_the_same_name_lose_score(nights):
    labels = RNG.integers(0, 10, 1000)
    good = np.where(RNG.random(1000) < 0.95, labels, (labels + 1) % 10)
    bad = good.copy()
    bad[:60] = (labels[:60] + 2) % 10
    nights.run(answered(record(), nights.objects, good, labels))
    nights.run(answered(record(), nights.objects, good, labels))
    assert nights.said("score").status == "same" and nights.said("score").numbers["p"] == 1.0
    nights.run(answered(record(artifact_sha256=OTHER), nights.objects, bad, labels))
    found = nights.said("score")
    assert found.open and found.cause == "artifact" and "exact McNemar" in found.reason
    # A budget that cuts the samples tonight does not close what more of them showed.
    nights.run(answered(record(artifact_sha256=OTHER), nights.objects, bad[:20], labels[:20]))
    nights.run(answered(record(), nights.objects, good, labels))
    assert nights.said("score").status == "better" and nights.last.open == []


def test_a_few_other_answers_are_not_told_from_chance(nights):
    labels = RNG.integers(0, 10, 1000)
    nights.run(answered(record(), nights.objects, labels, labels))
    changed = labels.copy()
    changed[:3] = (labels[:3] + 1) % 10
    nights.run(answered(record(artifact_sha256=OTHER), nights.objects, changed, labels))
    found = nights.said("score")
    assert found.status == "same" and "would have been" in found.reason and found.numbers["smallest_loss"] > 0.003


def test_a_damaged_object_costs_its_own_comparison(nights):
    labels = RNG.integers(0, 10, 100)
    nights.run(answered(record(), nights.objects, labels, labels))
    cell = answered(record(), nights.objects, (labels + 1) % 10, labels)
    nights.objects.path(cell.outputs_object).write_bytes(b"damaged")
    judgement = nights.run(cell)
    assert judgement.open == [] and "cannot be read" in nights.said("score").reason


def test_a_night_that_nobody_judged_is_history_all_the_same(nights):
    nights.run(record(arena_bytes=100))
    nights.history.put_verdicts("n001", [])
    assert nights.run(record(arena_bytes=120)).open[0].reference == "n001"


def test_series_are_apart(nights):
    nights.run(record())
    assert [night.run for night in nights.history.nights(SERIES)] == ["n001"]
    assert nights.history.nights("another") == []


def test_a_score_that_is_no_number_is_worse(nights):
    labels = RNG.integers(0, 10, 100)
    good = answered(record(), nights.objects, labels, labels)
    nights.run(good)
    odd = replace(good, score=float("nan"), accuracy=None, artifact_sha256=OTHER)
    nights.store.begin_run(RunInfo(run="x", started_utc="2026-01-01T00:00:00+00:00", command=["test"]))
    nights.store.add_cell(replace(odd, run="x"))
    (stored,) = nights.store.cells(run="x")  # as a store gives it back: null, and a finding
    assert nights.run(stored).open[0].quantity == "score"
    found = nights.said("score")
    assert "-> not a number with another artifact" in found.reason and found.cause == "artifact"
    nights.run(replace(stored, findings=[]))
    assert nights.last.open[0].since == "n002", "a night without labels closes nothing"
    assert nights.run(good).open == []
    nights.run(replace(stored, findings=[]))
    assert nights.last.open == [] and nights.said("score").status == "vanished"


def test_times_that_are_no_numbers_are_no_times(nights):
    for _ in range(3):
        nights.run(noisy())
    nights.run(replace(record(), latency_start_medians_ns=[math.nan, None, 0], latency_median_ns=None))
    found = nights.said("latency")
    assert (found.status, found.open) == ("vanished", False) and "no numbers" in found.reason
    assert nights.run(noisy()).open == [] and nights.said("latency").status == "same"
    assert nights.said("latency").numbers["nights"] == 3


def metered(nj, instrument="meter 1", **fields):
    return record(
        energy_nj=nj, energy_low_nj=0.99 * nj, energy_high_nj=1.01 * nj, energy_instrument=instrument, **fields
    )


def test_energy_is_compared_by_one_instrument_and_blocks_nothing_unconfirmed(nights):
    nights.run(metered(1000.0))
    nights.run(metered(1010.0))
    same = nights.said("energy")
    assert same.status == "same" and 0.02 < same.detectable < 0.1 and "would have been seen" in same.reason
    judgement = nights.run(metered(1300.0, artifact_sha256=OTHER))
    found = nights.said("energy")
    assert (found.status, judgement.open) == ("suspect", []) and "1 µJ -> 1.3 µJ (+30.0%), by meter 1" in found.reason
    assert "nobody measured the accepted artifact beside it" in found.reason and found.cause == "artifact"
    nights.run(metered(700.0))
    assert nights.said("energy").status == "better"
    nights.run(record())
    assert nights.said("energy").status == "vanished" and nights.last.open == []


def test_energies_of_two_instruments_are_never_compared(nights):
    nights.run(metered(1000.0))
    judgement = nights.run(metered(1500.0, "meter 2"))
    found = nights.said("energy")
    assert judgement.open == [] and found.status == "first" and "the level was measured by meter 1" in found.reason
    nights.run(metered(1500.0, "meter 2"))
    assert nights.said("energy").status == "same" and nights.said("energy").reference == "n002"


def test_an_energy_that_is_first_measured_has_nothing_to_compare_with(nights):
    nights.run(record())
    nights.run(metered(1000.0))
    assert nights.said("energy").status == "first" and "for the first time" in nights.said("energy").reason
    nights.run(metered(math.nan))
    assert nights.said("energy").status == "vanished"


def test_an_alarm_says_how_to_find_what_did_it(nights):
    for _ in range(8):
        nights.run(noisy())
    nights.run(noisy(1.1, artifact_sha256=OTHER), evidence=both(math.log(1.1)))
    command = "harness bisect mnist-cnn/ptq-int8-io/host-litert/cpu --quantity latency"
    assert bisection(nights.said("latency")) == command
    assert f"find what did it: {command}" in "\n".join(plain_lines(nights.last)) and command in markdown(nights.last)
    assert command in junit(nights.last, []).decode()
    nights.run(noisy())
    assert bisection(nights.said("latency")) is None


def test_every_cell_says_what_it_would_have_seen(nights):
    cells = [key(f"r{i}") for i in range(60)]
    for _ in range(3):
        nights.run(*(replace(noisy(), key=cell) for cell in cells))
    text = markdown(nights.last)
    assert "<summary>60 cells</summary>" in text
    assert all(f"| mnist-cnn/{cell.recipe}/host-litert/cpu | " in text for cell in cells)
    assert "and 20 more, which see more: see verdict.md" in "\n".join(plain_lines(nights.last))


def test_what_is_as_it_was_accepted_is_fixed_whatever_the_board_does(nights):
    for _ in range(8):
        nights.run(noisy())
    newer = replace(RUNTIME, runtime="ai_edge_litert 2.4.0")
    assert nights.run(noisy(1.3, fingerprint=newer), evidence=fresh(math.log(1.3))).open
    assert nights.run(noisy(1.3, fingerprint=newer)).open
    # The runtime is back, on a night on which the board is slow: nothing is left that could be worse but the board.
    assert nights.run(noisy(1.1)).open == []
    found = nights.said("latency")
    assert found.status == "better" and found.numbers["fixed"] and "what is left is the board's" in found.reason


def test_partitions_are_told_by_the_placement_where_a_delegate_takes_nothing(nights):
    gone = {"ops": [{"node": i, "op": op, "ran_on": "cpu"} for i, op in enumerate(("CONV_2D", "FULLY_CONNECTED"))]}
    nights.run(record())
    nights.run(record(partitions=0, **gone))
    assert nights.said("placement").open and nights.said("partitions") is None
    assert nights.run(record()).open == [] and nights.said("partitions").status == "same"
    assert nights.run(record(partitions=2)).open[0].quantity == "partitions"


def test_what_got_better_while_something_else_got_worse_is_no_level(nights):
    nights.run(record(arena_bytes=100, partitions=2))
    nights.run(record(arena_bytes=120, partitions=1, artifact_sha256=OTHER))
    found = nights.said("partitions")
    assert found.status == "better" and "no new level while arena is worse" in found.reason
    assert nights.run(record(arena_bytes=100, partitions=2)).open == [], "mended, and nothing else is worse for it"
    nights.run(record(arena_bytes=100, partitions=1))
    assert nights.run(record(arena_bytes=100, partitions=2)).open[0].quantity == "partitions"


def test_a_night_of_which_all_is_the_same_is_judged_all_the_same(tmp_path):
    nights = Nights(tmp_path / "results")
    counted = {"starts_us": (), "time_basis": "guest-instructions", "instructions": 1000}
    for _ in range(2):
        nights.run(record(**counted))
    assert nights.history.verdicts(run="n002") == [] and nights.history.is_judged("n002")
    assert nights.run(record(**counted)).notes == []
    info = nights.store.run("n002")
    assert recall(nights.history, info, nights.store.cells(run="n002")).nights == 1
    nights.run(record(**counted), judged=False)
    assert not nights.history.is_judged("n004")
    assert "has no verdict" in nights.run(record(**counted)).notes[0]


def test_every_alarm_can_be_reproduced_as_it_was_called():
    own = key(recipe="as-is").__class__(**{**vars(key(recipe="as-is")), "workload": "net"})
    options = {"workloads": ["/models/net.tflite"], "data": "/d.npz", "metric": "f1", "samples": 0}
    assert reproduction(own, options) == (
        "harness run --workload /models/net.tflite --device host-litert --backend cpu --data /d.npz --metric f1 --samples all"
    )
    assert "--recipe as-is" in reproduction(own, {"bundle": "/b"}) and "--bundle /b" in reproduction(
        own, {"bundle": "/b"}
    )
    assert "--recipe ptq-int8-io" in reproduction(key(), {}) and "--seeds 3" in reproduction(key(seed=2), {})


def test_suspects_and_changed_boards_say_what_to_type(nights):
    for _ in range(6):
        nights.run(noisy(), controls={"host-litert": [1e5] * 5})
    nights.run(noisy(1.3), controls={"host-litert": [1e5] * 5})
    said = nights.last
    said.place = " --results /srv/results"
    assert said.open == [] and nights.said("latency").status == "suspect"
    assert any("reproduce: harness run" in line for line in plain_lines(said)) and "harness run" in markdown(said)
    nights.run(noisy(1.2), controls={"host-litert": [1.2e5] * 5})
    nights.last.place = " --results /srv/results"
    (board,) = [line for line in plain_lines(nights.last) if line.startswith("board ")]
    assert board.endswith("harness accept --board host-litert --why TEXT --results /srv/results")
