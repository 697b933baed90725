"""Commands on files that are none: pipes, sockets, devices, bombs, headers that lie, long names. One sentence each."""

from __future__ import annotations

import os
import socket
import zipfile

import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.core.errors import HarnessError
from tests.support.npz_files import npy_header, write_zip

LONG = "n" * 240


def refused(*arguments: object) -> HarnessError:
    """The error of a command; a traceback or a success is none."""
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert isinstance(done.exception, HarnessError), (done.output, done.exc_info)
    return done.exception


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def commands(path):
    """Every command that takes a file, on this one."""
    return [
        ("data", "check", path),
        ("audit", path),
        ("check", path, "--device", "imx8mp"),
        ("measure", path, "--device", "host-tflite"),
        ("run", "--workload", path, "--data", path, "--device", "host-tflite"),
        ("run", "--bundle", path, "--device", "host-tflite"),
    ]


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("suffix", [".npz", ".tflite", ".h5"])
def test_a_pipe_keeps_no_command_waiting(pipe, number, suffix):
    path = pipe.rename(pipe.with_suffix(suffix))
    assert str(refused(*commands(path)[number]))


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null"])
def test_a_device_is_no_data(path):
    assert "is a device, expected a file" in str(refused("data", "check", path))


def test_a_socket_is_no_data(tmp_path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.npz"))
        assert "s.npz" in str(refused("data", "check", tmp_path / "s.npz"))


def test_a_folder_is_no_data(tmp_path):
    assert "folder" in str(refused("data", "check", tmp_path))


@pytest.mark.parametrize("name", [f"{LONG}.npz", f"{LONG * 9}.npz", "\udcff.npz", ""])
def test_names_that_no_file_can_have(tmp_path, name):
    done = CliRunner().invoke(cli, ["data", "check", str(tmp_path / name) if name else ""])
    assert done.exit_code != 0 and not isinstance(done.exception, UnicodeError | ValueError | TypeError), done.exc_info


def test_data_with_a_long_name_that_is_there_is_checked(tmp_path):
    path = write_zip(tmp_path / f"{LONG}.npz", {"x_test.npy": npy_header("(2, 3)") + bytes(24)})
    done = CliRunner().invoke(cli, ["data", "check", str(path)])
    assert done.exception is None or isinstance(done.exception, SystemExit | HarnessError), done.exc_info


HOSTILE = {
    "a header of 2^33 samples": {"x_test.npy": npy_header("(8589934592, 28, 28)") + bytes(64)},
    "a header with code": {"x_test.npy": npy_header("(__import__('os').system('true'),)") + bytes(64)},
    "a shape that is negative": {"x_test.npy": npy_header("(-5, 3)") + bytes(64)},
    "a member that is no array": {"x_test.npy": b"#!/bin/sh\n"},
    "a member outside of the folder": {"../../x_test.npy": npy_header("(2,)") + bytes(8)},
    "pickled objects": {"x_test.npy": npy_header("(1,)", descr="'|O'") + b"cos\nsystem\n(S'true'\ntR."},
    "no member at all": {},
}


@pytest.mark.parametrize("members", HOSTILE.values(), ids=HOSTILE)
def test_archives_that_lie(tmp_path, members):
    path = write_zip(tmp_path / "samples.npz", members)
    assert "samples.npz" in str(refused("data", "check", path))


def test_a_bomb_is_refused_by_its_header(tmp_path):
    path = tmp_path / "samples.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x_test.npy", "w", force_zip64=True) as file,
    ):
        file.write(npy_header(f"({1 << 38},)", descr="'|u1'"))
        file.write(bytes(1 << 20))
    assert "samples.npz" in str(refused("data", "check", path))


def test_profiles_that_are_pipes_cost_their_own_name_only(pipe):
    pipe.rename(pipe.with_name("pipe.yaml"))
    done = CliRunner().invoke(cli, ["devices", "list", "--devices-dir", str(pipe.parent)])
    assert done.exit_code == 0 and "is a pipe, expected a file" in done.output and "host-litert" in done.output
    assert "is a pipe" in str(refused("devices", "check", "pipe", "--devices-dir", pipe.parent))


def test_a_binary_tag_in_a_profile_is_told_at_its_line(tmp_path):
    (tmp_path / "odd.yaml").write_text("name: odd\ntitle: !!binary aGVsbG8=\n")
    error = refused("devices", "check", "odd", "--devices-dir", tmp_path)
    assert "odd.yaml:2" in str(error)
