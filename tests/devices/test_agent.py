"""The agent's start, its end, and its answers to what no well-behaved host sends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.errors import StableDeviceError, TransientDeviceError
from harness.links.base import ChannelClosed, LocalLink, make_link
from harness.links.bootstrap import COMMAND, agent_source, start_agent
from tests.support.fixtures_boards import direct_children, is_running, process_name, wait_until

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


# -- start


def test_the_command_line_is_one_line_without_single_quotes():
    assert "\n" not in COMMAND and "'" not in COMMAND and "!" not in COMMAND


def test_the_agent_is_sent_once_and_then_found(start, tmp_path: Path):
    cached = tmp_path / "agent" / "agents" / f"{agent_source().sha256}.pyz"
    start()
    before = cached.stat().st_ino
    start()
    assert cached.read_bytes() == agent_source().agent
    assert cached.stat().st_ino == before


def test_a_damaged_cached_agent_is_replaced(start, tmp_path: Path):
    cached = tmp_path / "agent" / "agents" / f"{agent_source().sha256}.pyz"
    cached.parent.mkdir(parents=True, mode=0o700)
    cached.write_text("raise SystemExit('tampered')")
    assert ask(start(), **HELLO).header["facts"]["agent_sha256"] == agent_source().sha256
    assert cached.read_bytes() == agent_source().agent


def test_three_agents_stay_for_hosts_with_another_version(start, tmp_path: Path):
    folder = tmp_path / "agent" / "agents"
    folder.mkdir(parents=True, mode=0o700)
    for age, name in enumerate(["a.pyz", "b.py", "c.pyz", "d.py"]):
        (folder / name).touch()
        os.utime(folder / name, (1000 - age, 1000 - age))
    start()
    assert sorted(p.name for p in folder.iterdir()) == sorted([f"{agent_source().sha256}.pyz", "a.pyz", "b.py"])


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
    children = direct_children(pid)
    assert sorted(process_name(child) for child in children) == ["agent-forks", "agent-worker"]
    if how == "closed":
        frames.channel.close()
    else:
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not any(is_running(p) for p in [pid, *children]))


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


def test_a_lost_host_is_a_transient_error(link, tmp_path: Path):
    quiet = tmp_path / "dies"
    quiet.write_text("#!/bin/sh\nkill -9 $$\n")
    quiet.chmod(0o755)
    with pytest.raises(TransientDeviceError, match="lost while the agent started"):
        start_agent(link, str(quiet), agent_dir=str(tmp_path / "agent"))
