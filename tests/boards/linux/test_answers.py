"""What a Linux board says is checked once, where it comes in: an answer that makes no sense costs the cell that asked for it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from harness.boards.base import BackendSpec, BenchPlan, Deadlines, WorkerFailure
from harness.boards.linux.answers import MalformedAnswer
from harness.core.errors import DeviceError, StableDeviceError, TransientDeviceError, UserInputError
from tests.support.scripted_agent import OUTPUTS, changed, good_answer, instead, scripted_board

SHA = "1" * 64
#: what stands in the place of a number
NO_NUMBERS = [-1, 10**40, float("nan"), float("inf"), "12", True, None, [1], {"ns": 1}, "x" * 100_000]


def cell(board) -> Iterator[object]:
    """All that a cell asks for, answer by answer."""
    yield board.connect()
    yield board.delegate_text("/usr/lib/libvx_delegate.so")
    worker = board.open_worker(BackendSpec(name="npu", delegate_name="vx"), Deadlines())
    yield worker.load(SHA)
    yield worker.first_invoke([SHA])
    yield worker.bench(BenchPlan(min_ns=1_000_000, warmup_max_ns=1_000_000))
    yield worker.evaluate([SHA], 20, progress=lambda done, total: None)
    yield worker.placement()
    yield worker.stats()
    yield worker.close()


def run_all(board) -> list[object]:
    return list(cell(board))


def test_good_answers_give_the_figures_that_they_hold():
    facts, library, loaded, first_ns, bench, evaluated, placed, stats, _ = run_all(scripted_board())
    assert (facts.runtime, facts.cpu_count) == ("tflite-runtime 2.14.0", 4)
    assert library.endswith("(sha256 cdcdcdcdcdcd, file libvx_delegate.so.1)")
    assert (loaded.load_ns, first_ns, len(bench.samples_ns), bench.warmup_stable) == (1_000_000, 90_000, 300, True)
    assert evaluated.outputs[0].shape == (20, 10) and placed.nodes[0].op == "CONV_2D"
    assert (stats.memory_peak_bytes, stats.temperature_c) == (1 << 20, 48.5)


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: str(value)[:12])
@pytest.mark.parametrize(
    "verb, name",
    [
        ("open", "worker"),
        ("load", "load_ns"),
        ("first_invoke", "first_invoke_ns"),
        ("evaluate", "elapsed_ns"),
        ("bench", "samples"),
        ("bench", "warmup"),
    ],
)
def test_what_is_no_number_never_becomes_a_figure(verb, name, value):
    with pytest.raises(MalformedAnswer, match=f"answer to `{verb}` makes no sense: {name}") as caught:
        run_all(scripted_board(changed(verb, **{name: value})))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("name", ["memory_peak_bytes", "memory_baseline_bytes", "frequency_hz", "temperature_c"])
@pytest.mark.parametrize("value", ["12", True, float("nan"), [1], 10**40], ids=lambda value: str(value)[:12])
def test_conditions_are_numbers_or_not_told(name, value):
    try:
        stats = run_all(scripted_board(changed("stats", **{name: value})))[-2]
    except MalformedAnswer as error:
        assert name in str(error)
    else:  # a sensor that says what no processor can be tells nothing
        assert name == "temperature_c" and stats.temperature_c is None


@pytest.mark.parametrize(
    "verb, fields",
    [
        ("hello", {"facts": ...}),
        ("hello", {"facts": "a Raspberry Pi"}),
        ("hello", {"facts": {"runtime": 214}}),
        ("hello", {"facts": {"runtime": ""}}),
        ("hello", {"facts": {"runtime": "r", "cpu_count": -4}}),
        ("hello", {"facts": {"runtime": "r", "agent_sha256": "../.."}}),
        ("hello", {"vendor_benchmark": "rm -rf /\n"}),
        ("library", {"library": {"sha256": "short", "file": "f"}}),
        ("library", {"library": True}),
        ("open", {"started": "cloned"}),
        ("load", {"inputs": None}),
        ("load", {"inputs": [{"name": "x"}]}),
        ("load", {"outputs": [{"name": "x", "dtype": "float32", "shape": [1, "ten"]}]}),
        ("load", {"outputs": [{"name": "x", "dtype": "__import__('os')", "shape": [1]}]}),
        ("load", {"outputs": [{"name": "x", "dtype": "int8", "shape": [1] * 1000}]}),
        ("bench", {"stable": "yes"}),
        ("bench", {"samples": 299}),
        ("placement", {"nodes": [{"node": 0, "op": "CONV_2D", "on": "gpu"}]}),
        ("placement", {"nodes": [[]] * 100_000}),
        ("placement", {"nodes": {"0": "cpu"}}),
        ("placement", {"external_partitions": -1}),
        ("stats", {"governor": 7}),
        ("close", {"cache_files": "many"}),
    ],
)
def test_answers_that_make_no_sense_are_refused_by_field(verb, fields):
    with pytest.raises(MalformedAnswer, match=f"answer to `{verb}` makes no sense"):
        run_all(scripted_board(changed(verb, **fields)))


def test_fields_that_nobody_knows_are_left_aside():
    script = changed("stats", load_average=[0.1, 0.2], nested={"a": [[[[1]]]]})
    assert run_all(scripted_board(script))[-2].memory_peak_bytes == 1 << 20
    assert run_all(scripted_board(changed("hello", motto="x" * 10_000)))[0].runtime == "tflite-runtime 2.14.0"


def test_after_a_malformed_answer_the_session_is_over_and_the_next_one_works():
    answers = iter([{"type": "ok", "load_ns": "fast"}])

    def script(request):
        said = next(answers, None) if request["verb"] == "load" else None
        return good_answer(request) if said is None else [said]

    board = scripted_board(script)
    with pytest.raises(MalformedAnswer):
        run_all(board)
    with pytest.raises(TransientDeviceError, match="not connected"):
        board.open_worker(BackendSpec(name="cpu"), Deadlines())
    assert run_all(board)[2].load_ns == 1_000_000


@pytest.mark.parametrize(
    "frame",
    [
        {},
        {"type": None},
        {"type": ["ok"]},
        {"type": "ok" * 1000},
        {"type": "error"},
        {"type": "error", "code": 7, "message": "no"},
        {"type": "failure", "message": "crash", "kind": "explosion", "phase": "load"},
        {"type": "failure", "message": 5, "kind": "exit", "phase": "load"},
        {"type": "failure", "message": "m", "kind": "signal", "phase": "load", "signal": "\x1b[31mSIGSEGV"},
        {"type": "failure", "message": "m", "kind": "exit", "phase": "tea"},
    ],
)
def test_answers_of_no_kind_are_refused(frame):
    with pytest.raises(DeviceError, match="makes no sense"):
        run_all(scripted_board(instead("load", frame)))


@pytest.mark.parametrize("raw", [b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe", b"[]", b'"ok"', b"1" * 9000])
def test_headers_that_are_no_json_objects_cost_the_connection(raw):
    head = len(raw).to_bytes(4, "big") + bytes(4)
    with pytest.raises(TransientDeviceError, match="no JSON"):
        run_all(scripted_board(instead("load", head + raw)))


@pytest.mark.parametrize(
    "first", [b"{}", b'{"have": "yes"}', b'{"have": 1}', b"[]", b'"have"', b"[" * 9000, b'{"error": 5}']
)
def test_the_first_line_of_a_board_is_checked_too(first):
    with pytest.raises(DeviceError, match="first answer"):
        scripted_board(first=first).connect()


def test_a_failure_in_a_cell_keeps_its_words_cut_to_a_sane_length():
    said = {"type": "failure", "message": "m" * 1_000_000, "kind": "exception", "phase": "stats"}, b"l" * (8 << 20)
    with pytest.raises(WorkerFailure) as caught:
        run_all(scripted_board(instead("stats", said)))
    assert len(caught.value.what) == 4_000 and len(caught.value.board_log) == 1 << 20


def test_words_that_are_no_whole_characters_stay_words():
    said = {"type": "error", "code": "setting", "message": "there is no /opt/\udcff"}
    with pytest.raises(StableDeviceError, match=r"there is no /opt/\?"):
        run_all(scripted_board(instead("load", said)))


# -- rows


def endless(request):
    if request["verb"] != "evaluate":
        yield from good_answer(request)
        return
    yield {"type": "outputs", "outputs": OUTPUTS}
    while True:
        yield {"type": "rows", "output": 0}, bytes(1 << 20)


def test_endless_rows_are_cut_at_what_was_asked_for():
    with pytest.raises(MalformedAnswer, match="more than the 800 bytes came of output 0"):
        run_all(scripted_board(endless))


def test_endless_times_are_cut_at_what_was_asked_for():
    def script(request):
        while request["verb"] == "bench":
            yield {"type": "rows", "output": -1}, bytes(1 << 20)
        yield from good_answer(request)

    with pytest.raises(MalformedAnswer, match="more than the 40,000 bytes came of output -1"):
        run_all(scripted_board(script))


@pytest.mark.parametrize("kind", ["alive", "progress"])
def test_signs_of_life_without_an_end_are_not_waited_for(kind):
    def script(request):
        while request["verb"] == "stats":
            yield {"type": kind, "done": 1, "total": 2}
        yield from good_answer(request)

    board = scripted_board(script)
    board.connect()
    worker = board.open_worker(BackendSpec(name="cpu"), Deadlines(load_s=-14.9))
    with pytest.raises(TransientDeviceError, match="no end of stats within"):
        worker.stats()


@pytest.mark.parametrize("output", [1, -3, 10**9, "0", True, None])
def test_rows_of_outputs_that_nobody_asked_for_are_refused(output):
    def script(request):
        if request["verb"] == "evaluate":
            yield {"type": "outputs", "outputs": OUTPUTS}
            yield {"type": "rows", "output": output}, b"1234"
        yield from good_answer(request)

    with pytest.raises(MalformedAnswer, match="`evaluate` makes no sense"):
        run_all(scripted_board(script))


@pytest.mark.parametrize(
    "kinds",
    [
        [{"dtype": "object", "shape": [10]}],
        [{"dtype": "<U8", "shape": [10]}],
        [{"dtype": "<f4,<f4", "shape": [10]}],
        [{"dtype": "<f4", "shape": [-1]}],
        [{"dtype": "<f4", "shape": 10}],
        "<f4",
    ],
)
def test_outputs_are_numbers_of_a_known_type(kinds):
    script = instead("evaluate", {"type": "outputs", "outputs": kinds})
    with pytest.raises(MalformedAnswer, match="`evaluate` makes no sense"):
        run_all(scripted_board(script))


def test_outputs_that_would_not_fit_into_memory_are_refused_before_they_come():
    script = instead("evaluate", {"type": "outputs", "outputs": [{"dtype": "<f8", "shape": [2**31 - 1, 2**31 - 1]}]})
    with pytest.raises(UserInputError, match="the outputs of 20 samples would take .* --samples"):
        run_all(scripted_board(script))


@pytest.mark.parametrize("times", [[-5], [2**62], [0] * 300])
def test_times_that_no_clock_gives_are_refused(times):
    def script(request):
        if request["verb"] == "bench":
            yield {"type": "rows", "output": -1}, np.array(times, "<i8").tobytes()
            yield {"type": "ok", "warmup": 0, "samples": len(times), "stable": True}
        yield from good_answer(request)

    with pytest.raises(MalformedAnswer, match="none that an invoke takes|clock stands still"):
        run_all(scripted_board(script))
