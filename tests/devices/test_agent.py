"""The agent by itself: its start, its store, its answers to what no well-behaved host sends."""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.errors import StableDeviceError, TransientDeviceError
from harness.core.paths import packaged_devices_dir
from harness.links.base import ChannelClosed, LocalLink, make_link
from harness.links.bootstrap import COMMAND, agent_source, start_agent
from tests.support.fixtures_boards import direct_children, is_running, wait_until

HELLO = {"verb": "hello", "module": "tflite_runtime", "cache_limit_bytes": 1 << 30, "heartbeat_s": 5}
BACKEND = {
    "name": "cpu",
    "kernels": "default",
    "threads": 1,
    "affinity": [],
    "delegate_path": None,
    "delegate_options": {},
    "env": {},
}


@pytest.fixture(scope="module")
def agent():
    """The agent's file as a module."""
    spec = importlib.util.spec_from_file_location("board_agent", packaged_devices_dir() / "linux" / "agent.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def store(agent, tmp_path: Path):
    """An empty store with room for 1000 bytes."""
    (tmp_path / "files").mkdir()
    store = agent.Store(str(tmp_path))
    store.limit_bytes = 1000
    return store


@pytest.fixture
def link():
    link = make_link(LocalLink())
    yield link
    link.close()


@pytest.fixture
def start(link, tflite_python, tmp_path: Path):
    """Starts an agent in a folder; returns its frames."""
    return lambda folder=tmp_path / "agent": start_agent(link, tflite_python, agent_dir=str(folder))


def ask(frames, **request):
    frames.send(request, deadline_s=10.0)
    return frames.receive(30.0)


def put(store, data: bytes) -> str:
    sha256 = hashlib.sha256(data).hexdigest()
    store.make_room(len(data))
    store.receive(sha256, lambda: iter([data]))
    return sha256


# -- start


def test_the_command_line_is_one_line_without_single_quotes():
    assert "\n" not in COMMAND and "'" not in COMMAND and "!" not in COMMAND


def test_the_agent_is_sent_once_and_then_found(start, tmp_path: Path):
    cached = tmp_path / "agent" / "agents" / f"{agent_source().sha256}.py"
    start()
    before = cached.stat().st_ino
    start()
    assert cached.read_bytes() == agent_source().agent
    assert cached.stat().st_ino == before


def test_a_damaged_cached_agent_is_replaced(start, tmp_path: Path):
    cached = tmp_path / "agent" / "agents" / f"{agent_source().sha256}.py"
    cached.parent.mkdir(parents=True, mode=0o700)
    cached.write_text("raise SystemExit('tampered')")
    assert ask(start(), **HELLO).header["facts"]["agent_sha256"] == agent_source().sha256
    assert cached.read_bytes() == agent_source().agent


def test_its_folder_is_private(start, tmp_path: Path):
    start()
    assert (tmp_path / "agent").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_can_write_is_refused(start, tmp_path: Path):
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(StableDeviceError, match="written by other users"):
        start(folder)


def test_a_link_in_place_of_its_folder_is_refused(start, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StableDeviceError, match="is a link"):
        start(tmp_path / "link")


def test_the_board_can_choose_the_folder_by_its_environment(tflite_python, tmp_path: Path):
    link = make_link(LocalLink(env={"HARNESS_AGENT_DIR": str(tmp_path / "chosen")}))
    start_agent(link, tflite_python)
    link.close()
    assert list((tmp_path / "chosen" / "agents").iterdir())


def test_a_python_that_is_none_is_told(link, tmp_path: Path):
    with pytest.raises(StableDeviceError, match="did not start.*exit status 1"):
        start_agent(link, "/bin/false", agent_dir=str(tmp_path / "agent"))


def test_it_runs_on_python_3_8_syntax():
    for name in ("agent.py", "boot.py"):
        source = (packaged_devices_dir() / "linux" / name).read_text()
        import ast

        assert ast.parse(source, feature_version=(3, 8)).body


# -- requests


def test_hello_tells_what_the_board_is(start):
    facts = ask(start(), **HELLO).header["facts"]
    assert facts["runtime"] == "tflite-runtime 2.14.0"
    assert facts["machine"] == os.uname().machine
    assert facts["cpu_count"] == os.cpu_count()
    assert facts["kernel"].endswith(os.uname().release)


def test_a_missing_runtime_is_told_with_the_command_that_installs_it(start):
    answer = ask(start(), **{**HELLO, "module": "ai_edge_litert"}).header
    assert answer["code"] == "missing"
    assert "pip install ai-edge-litert" in answer["message"]


@pytest.mark.parametrize(
    "request_, words",
    [
        ({"verb": "reboot"}, "unknown verb"),
        ({"no": "verb"}, "unknown verb"),
        ({"verb": "have", "sha256": "../../etc/passwd"}, "no SHA-256"),
        ({"verb": "have"}, "sha256"),
        ({"verb": "load", "worker": 99, "deadline_s": 1}, "no worker"),
        ({"verb": "open", "backend": BACKEND, "deadline_s": 1}, "before hello"),
        ({"verb": "hello", "module": "os", "cache_limit_bytes": 1, "heartbeat_s": 1}, "unknown runtime module"),
    ],
)
def test_a_wrong_request_gets_an_answer_and_the_agent_lives_on(start, request_, words):
    frames = start()
    answer = ask(frames, **request_).header
    assert answer["type"] == "error" and words in answer["message"]
    assert ask(frames, **HELLO).header["type"] == "ok"


def test_garbage_instead_of_a_frame_ends_the_agent_with_a_word(start):
    frames = start()
    frames.channel.send([b"GET / HTTP/1.1\r\n\r\n"], 5.0)
    with pytest.raises(ChannelClosed):
        frames.receive(20.0)
    assert "no frame" in frames.channel.stderr_tail()


def test_quit_ends_it(start):
    frames = start()
    frames.send({"verb": "quit"}, deadline_s=5.0)
    with pytest.raises(ChannelClosed):
        frames.receive(20.0)
    assert frames.channel.exit_code(10.0) == 0


def test_an_upload_that_arrives_damaged_is_refused_and_leaves_nothing(start, tmp_path: Path):
    frames = start()
    assert ask(frames, verb="put", sha256="0" * 64, size=5).header["go"]
    answer = ask_with_data(frames, b"12345").header
    assert answer["code"] == "corrupt"
    assert list((tmp_path / "agent" / "files").iterdir()) == []


def ask_with_data(frames, data: bytes):
    frames.send({"verb": "data"}, data, deadline_s=5.0)
    return frames.receive(20.0)


# -- the end of the host


def agent_pid(frames) -> int:
    return frames.channel.pid


@pytest.mark.parametrize("how", ["closed", "killed"])
def test_no_process_is_left_when_the_agent_ends(start, how):
    frames = start()
    ask(frames, **HELLO)
    assert ask(frames, verb="open", backend=BACKEND, deadline_s=60).header["worker"] == 1
    pid = agent_pid(frames)
    workers = direct_children(pid)
    assert len(workers) == 1
    if how == "closed":
        frames.channel.close()
    else:
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not any(is_running(p) for p in [pid, *workers]))


def test_the_agent_ends_when_its_host_process_is_killed(tflite_python, tmp_path: Path):
    code = (
        "import sys, time\nfrom harness.links.base import LocalLink, make_link\n"
        "from harness.links.bootstrap import start_agent\n"
        f"f = start_agent(make_link(LocalLink()), {tflite_python!r}, agent_dir={str(tmp_path / 'agent')!r})\n"
        "print(f.channel.pid, flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as host:
        pid = int(host.stdout.readline())
        assert is_running(pid)
        host.kill()
    assert wait_until(lambda: not is_running(pid))


# -- store


def test_what_is_stored_is_found_again(store):
    sha256 = put(store, b"model")
    assert store.have(sha256, lambda: None)
    assert not store.have("f" * 64, lambda: None)


def test_a_file_that_rotted_on_the_disk_is_removed(store):
    sha256 = put(store, b"model")
    Path(store.path(sha256)).write_bytes(b"mod3l")
    assert not store.have(sha256, lambda: None)
    assert not Path(store.path(sha256)).exists()


def test_the_files_unused_for_longest_go_first(store):
    old, new = put(store, b"o" * 400), put(store, b"n" * 400)
    os.utime(store.path(old), (1, 1))
    third = put(store, b"t" * 400)
    assert [Path(store.path(s)).exists() for s in (old, new, third)] == [False, True, True]


def test_files_in_use_by_any_agent_stay(agent, store, tmp_path: Path):
    used = put(store, b"u" * 400)
    other_agent = agent.Store(str(tmp_path))
    assert other_agent.have(used, lambda: None)
    os.utime(store.path(used), (1, 1))
    free = put(store, b"f" * 400)
    put(store, b"t" * 400)
    assert Path(store.path(used)).exists()
    assert not Path(store.path(free)).exists()


def test_a_file_over_the_limit_is_refused(agent, store):
    with pytest.raises(agent.Refused, match="cache limit"):
        store.make_room(1001)


def test_a_file_that_the_disk_has_no_room_for_is_refused(agent, store):
    store.limit_bytes = 1 << 62
    with pytest.raises(agent.Refused) as caught:
        store.make_room(1 << 60)
    assert caught.value.args[0] == "no_space"


def test_two_uploads_of_the_same_file_at_once_are_both_right(agent, store, tmp_path: Path):
    other = agent.Store(str(tmp_path))
    data = b"same" * 50
    sha256 = hashlib.sha256(data).hexdigest()

    def pieces():
        yield data[:100]
        other.receive(sha256, lambda: iter([data]))
        yield data[100:]

    store.receive(sha256, pieces)
    assert Path(store.path(sha256)).read_bytes() == data
    assert [p.name for p in (tmp_path / "files").iterdir()] == [sha256]


def test_an_abandoned_upload_is_cleared_away_a_running_one_is_not(agent, tmp_path: Path):
    (tmp_path / "files").mkdir()
    stale, fresh = tmp_path / "files" / ".tmp-stale", tmp_path / "files" / ".tmp-fresh"
    stale.touch()
    fresh.touch()
    os.utime(stale, (1, 1))
    agent.Store(str(tmp_path))
    assert (stale.exists(), fresh.exists()) == (False, True)


# -- facts


@pytest.mark.parametrize(
    "cpuinfo, name",
    [
        ("processor\t: 0\nmodel name\t: ARMv7 Processor rev 4 (v7l)\n", "ARMv7 Processor rev 4 (v7l)"),
        ("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd03\n", "Cortex-A53"),
        ("processor\t: 0\nCPU part\t: 0xfff\n", "Arm part 0xfff"),
        ("processor\t: 0\nHardware\t: Some SoC\n", "Some SoC"),
        ("", None),
    ],
)
def test_the_processor_is_named_on_any_architecture(agent, monkeypatch, cpuinfo, name):
    monkeypatch.setattr(agent, "read_text", lambda path: cpuinfo)
    assert agent.cpu_model() == name


def test_the_processors_own_thermal_zone_is_preferred(agent, monkeypatch, tmp_path: Path):
    for number, (kind, temp) in enumerate([("battery", "25000"), ("cpu-thermal", "48250")]):
        zone = tmp_path / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "type").write_text(kind + "\n")
        (zone / "temp").write_text(temp + "\n")
    monkeypatch.setattr(agent.glob, "glob", lambda pattern: [str(p) for p in tmp_path.glob("thermal_zone*")])
    assert agent.temperature_c() == 48.25


# -- timing


class Instant:
    """An interpreter that takes no time."""

    def invoke(self) -> None:
        pass

    set_tensor = invoke


def test_more_samples_than_one_frame_holds_leave_in_pieces(agent, tmp_path: Path):
    count = agent.MAX_PAYLOAD_BYTES // 8 + 1
    with open(tmp_path / "frames", "wb") as file:
        worker = agent.Worker(file.fileno())
        worker.interpreter, worker.feeds = Instant(), []
        answer = worker.bench({"warmup_max_ns": 1, "min_samples": count, "min_ns": 1, "max_ns": 1 << 62})
    buffer = agent.FrameBuffer()
    buffer.data += (tmp_path / "frames").read_bytes()
    frames = list(iter(buffer.pop, None))
    assert answer["samples"] == count
    assert sum(len(payload) for header, payload in frames if header["output"] == -1) == 8 * count


def test_warm_up_ends_when_three_windows_agree(agent):
    worker = agent.Worker(-1)
    windows = iter([100_000, 50_000, 40_000, 40_300, 40_500, 1])
    worker.sample = lambda *_: agent.array.array("q", [next(windows)] * 10)
    samples, stable = worker.warm_up(10**12)
    assert stable
    assert samples[-1] == 40_500


def test_a_warm_up_that_never_settles_says_so(agent):
    worker = agent.Worker(-1)
    medians = itertools.cycle([100_000, 200_000])
    worker.sample = lambda *_: agent.array.array("q", [next(medians)] * 10)
    assert worker.warm_up(20_000_000)[1] is False


# -- placement


def placement_of(agent, before, after):
    worker = agent.Worker(-1)
    worker.interpreter, worker.nodes_before, worker.nodes_after = object(), before, after
    answer = worker.placement({})
    return [(row["on"], row["partition"]) for row in answer["nodes"]], answer["external_partitions"]


CHAIN = [("CONV_2D", [0, 10, 11], [1]), ("RESIZE", [1], [2]), ("CONV_2D", [2, 12, 13], [3]), ("SOFTMAX", [3], [4])]


def test_a_delegate_there_before_allocation_is_the_external_one(agent):
    both = [*CHAIN, ("DELEGATE", [0, 10, 11], [1]), ("DELEGATE", [2, 12, 13], [4])]
    places, partitions = placement_of(agent, both, both)
    assert places == [("external", 0), ("cpu", None), ("external", 1), ("external", 1)]
    assert partitions == 2


def test_xnnpack_takes_what_the_external_delegate_left(agent):
    before = [*CHAIN, ("DELEGATE", [0, 10, 11], [1])]
    places, partitions = placement_of(agent, before, [*before, ("DELEGATE", [2, 12, 13], [4])])
    assert places == [("external", 0), ("cpu", None), ("xnnpack", 1), ("xnnpack", 1)]
    assert partitions == 1


def test_a_delegate_that_claims_nothing_leaves_all_nodes_on_the_cpu(agent):
    places, partitions = placement_of(agent, CHAIN, CHAIN)
    assert places == [("cpu", None)] * 4
    assert partitions == 0


def test_a_runtime_that_does_not_list_its_nodes_says_so(agent):
    worker = agent.Worker(-1)
    worker.interpreter, worker.nodes_before, worker.nodes_after = object(), agent.Worker.node_list(object()), None
    assert worker.placement({})["nodes"] is None


def test_a_lost_host_is_a_transient_error(link, tmp_path: Path):
    quiet = tmp_path / "dies"
    quiet.write_text("#!/bin/sh\nkill -9 $$\n")
    quiet.chmod(0o755)
    with pytest.raises(TransientDeviceError, match="lost while the agent started"):
        start_agent(link, str(quiet), agent_dir=str(tmp_path / "agent"))
