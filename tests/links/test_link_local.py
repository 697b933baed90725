"""The local link: a subprocess as a channel."""

from __future__ import annotations

import os
import sys
import time

import pytest

from harness.core.errors import StableDeviceError, UserInputError
from harness.links.base import (
    CHUNK_BYTES,
    ChannelClosed,
    ChannelTimeout,
    LocalLink,
    check_program,
    command_line,
    make_link,
    recv_exact,
)
from tests.support.fixtures_boards import is_running, wait_until


@pytest.fixture
def start():
    """Starts Python programs over a local link."""
    link = make_link(LocalLink(env={"LINK_TEST": "yes"}))
    link.open()
    yield lambda code: link.start([sys.executable, "-c", code])
    link.close()


def test_bytes_travel_both_ways_beyond_the_pipes_size(start):
    channel = start("import sys; d = sys.stdin.buffer.read(3_000_000); sys.stdout.buffer.write(d[::-1])")
    data = os.urandom(3_000_000)
    channel.send([data[:10], bytearray(data[10:CHUNK_BYTES]), memoryview(data)[CHUNK_BYTES:]], 20.0)
    assert recv_exact(channel, len(data), 20.0) == data[::-1]


def test_the_links_environment_reaches_the_program(start):
    channel = start("import os; print(os.environ['LINK_TEST'], end='')")
    assert recv_exact(channel, 3, 20.0) == b"yes"


def test_the_program_runs_in_a_process_group_of_its_own(start):
    channel = start("import os; print(os.getpgrp() == os.getpid(), end='', flush=True); input()")
    assert recv_exact(channel, 4, 20.0) == b"True"


def test_a_silent_program_meets_the_deadline(start):
    channel = start("input()")
    with pytest.raises(ChannelTimeout, match="no answer"):
        channel.recv_some(1, 0.05)


def test_a_program_that_reads_nothing_meets_the_deadline(start):
    channel = start("import time; time.sleep(60)")
    with pytest.raises(ChannelTimeout, match="took no data"):
        channel.send([bytes(4 << 20)], 0.2)


def test_the_end_of_the_program_is_a_closed_channel_with_its_status(start):
    channel = start("import sys; sys.exit(9)")
    with pytest.raises(ChannelClosed):
        channel.recv_some(1, 20.0)
    assert channel.exit_code(20.0) == 9
    with pytest.raises(ChannelClosed):
        channel.send([b"x" * 10], 5.0)


def test_stderr_is_kept_and_bounded(start):
    channel = start("import sys; sys.stderr.write('x' * 300_000 + 'the end'); sys.stderr.flush(); print('k', end='')")
    assert recv_exact(channel, 1, 20.0) == b"k"
    assert wait_until(lambda: channel.stderr_tail().endswith("the end"))
    assert len(channel.stderr_tail()) == 64 << 10


def test_closing_ends_a_program_that_ignores_the_end_of_its_input(start, monkeypatch):
    monkeypatch.setattr("harness.links.local._END_S", 0.1)
    channel = start("import time; print('k', end='', flush=True); time.sleep(60)")
    recv_exact(channel, 1, 20.0)
    channel.close()
    assert not is_running(channel.pid)


def test_a_closed_channel_says_so(start):
    channel = start("input()")
    channel.close()
    channel.close()
    with pytest.raises(ChannelClosed):
        channel.recv_some(1, time.monotonic())


def test_a_missing_program_is_told_by_name():
    with pytest.raises(StableDeviceError, match="/no/such/python"):
        make_link(LocalLink()).start(["/no/such/python", "-c", ""])


@pytest.mark.parametrize("path", ["python3", "/usr/bin/python3.11", "/opt/a-b_c+d/bin/python", "./p", "/a@1/python"])
def test_plain_paths_are_programs(path):
    assert check_program(path) == path


@pytest.mark.parametrize(
    "path", ["", "-c", "python;reboot", "py thon", "$(id)", "python\n", "a'b", "`id`", "python&", "~/p"]
)
def test_nothing_that_a_shell_could_read_is_a_program(path):
    with pytest.raises(UserInputError):
        check_program(path)


def test_every_word_of_a_command_line_is_quoted():
    assert (
        command_line(["/usr/bin/python3", "-c", "print('a b'); $x"])
        == """/usr/bin/python3 -c 'print('"'"'a b'"'"'); $x'"""
    )
