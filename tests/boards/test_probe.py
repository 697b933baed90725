"""What a board tells of itself becomes a valid profile; what makes no sense becomes an error."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from harness.boards.check_model import check_model
from harness.boards.linux import probe
from harness.boards.linux.add import ssh_link
from harness.boards.linux.probe import (
    BoardFacts,
    KnownDelegate,
    probe_board,
    profile_text,
    suggested_name,
    write_profile,
)
from harness.core.errors import StableDeviceError, TransientDeviceError, UserInputError
from harness.links.base import LocalLink, SshLink, make_link
from harness.tflite.graph import read_graph

LINK = SshLink(host="192.0.2.7", user="root", key_files=("/home/me/my key",))


@pytest.fixture(scope="module")
def facts(tflite_python: str) -> BoardFacts:
    """This machine, as a board."""
    return probe_board(make_link(LocalLink()), tflite_python)


def fake_python(folder: Path, text: str) -> str:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\nread -r line\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_this_machine_tells_its_python_runtime_and_cores(facts: BoardFacts, tflite_python: str):
    assert facts.python == tflite_python
    assert facts.module == "tflite_runtime"
    assert facts.runtimes["tflite_runtime"].version == "2.14.0"
    assert "ai_edge_litert" not in facts.runtimes
    assert facts.problem is None
    assert facts.cpu_count >= 1 and facts.free_bytes > 0


def test_the_newer_runtime_is_preferred_where_both_are(facts: BoardFacts):
    both = {**facts.runtimes, "ai_edge_litert": probe.ModuleFact(version="2.3.0")}
    assert dataclasses.replace(facts, runtimes=both).module == "ai_edge_litert"


def test_a_runtime_that_does_not_import_is_told_apart_from_one_that_is_not_there(facts: BoardFacts):
    broken = {"tflite_runtime": probe.ModuleFact(error="ended with status -4")}
    assert dataclasses.replace(facts, runtimes=broken).problem == (
        "tflite_runtime is there but does not import: ended with status -4"
    )


def test_a_python_that_is_too_old_is_a_problem(facts: BoardFacts):
    assert "the agent needs 3.8 or newer" in str(dataclasses.replace(facts, python_version="3.7.9").problem)


def test_a_delegate_at_a_known_path_becomes_a_backend_once(
    tflite_python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("libvx_delegate.so", "libvx_delegate.so.2"):
        (tmp_path / name).touch()
    known = tuple(
        KnownDelegate(
            path=str(tmp_path / name), name="vx", title="VX", env=(("VIV_VX_ENABLE_CACHE_GRAPH_BINARY", "1"),)
        )
        for name in ("libvx_delegate.so", "libvx_delegate.so.2", "libvx_delegate.so.3")
    )
    monkeypatch.setattr(probe, "KNOWN_DELEGATES", known)
    found = probe_board(make_link(LocalLink()), tflite_python)
    profile = write_profile(profile_text(found, "bench", LINK), tmp_path / "bench.yaml")
    assert sorted(profile.backends) == ["cpu", "cpu-ref", "npu"]
    assert profile.backends["npu"].delegate.path == str(tmp_path / "libvx_delegate.so")
    assert profile.backends["npu"].env == {"VIV_VX_ENABLE_CACHE_GRAPH_BINARY": "1"}


@pytest.mark.parametrize(
    "model", ['Board "2": {x}\n# y', "Платa №1", "- ~ !tag &a *b", "", "a" * 500, "\x1b[31mred\x07"]
)
def test_whatever_a_board_calls_itself_the_profile_stays_valid(facts: BoardFacts, tmp_path: Path, model: str):
    named = dataclasses.replace(facts, board_model=probe._line(model), system=probe._line(model))
    profile = write_profile(profile_text(named, "bench", LINK), tmp_path / "bench.yaml")
    assert profile.link.key_files == ("/home/me/my key",)
    assert suggested_name(named)


def test_a_name_is_made_of_the_boards_model(facts: BoardFacts):
    assert (
        suggested_name(dataclasses.replace(facts, board_model="NXP i.MX8MPlus EVK board")) == "nxp-i-mx8mplus-evk-board"
    )


def test_a_profile_that_would_not_be_valid_is_not_written(facts: BoardFacts, tmp_path: Path):
    odd = dataclasses.replace(facts, python="/opt/my python/bin/python")
    with pytest.raises(UserInputError, match=r"bench\.yaml:\d+:\d+: runtime\.python"):
        write_profile(profile_text(odd, "bench", LINK), tmp_path / "bench.yaml")
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_makes_no_sense_is_an_error(tmp_path: Path):
    echo = (
        'nonce=$(printf %s "$line" | sed \'s/.*"nonce": "\\([^"]*\\)".*/\\1/\'); printf \'\\n%s\\n[1, 2]\\n\' "$nonce"'
    )
    with pytest.raises(StableDeviceError, match="answer makes no sense"):
        probe_board(make_link(LocalLink()), fake_python(tmp_path, echo))


def test_a_program_that_ends_without_an_answer_is_quoted(tmp_path: Path):
    with pytest.raises(TransientDeviceError, match="ended the probe: no more room"):
        probe_board(make_link(LocalLink()), fake_python(tmp_path, "echo no more room >&2; exit 3"))


@pytest.mark.parametrize(
    ("jump", "host", "port", "user"),
    [
        ("gate", "gate", 22, None),
        ("me@gate:2222", "gate", 2222, "me"),
        ("[2001:db8::1]:22", "2001:db8::1", 22, None),
    ],
)
def test_a_jump_host_is_written_like_for_ssh(jump: str, host: str, port: int, user: str | None):
    hop = ssh_link("board", jump=jump).jump
    assert (hop.host, hop.port, hop.user) == (host, port, user)


@pytest.mark.parametrize("jump", ["gate:x", "a b", "gate:99999", ":22", "-oProxyCommand=id"])
def test_what_is_no_jump_host_is_refused(jump: str):
    with pytest.raises(UserInputError):
        ssh_link("board", jump=jump)


def test_two_different_users_are_refused():
    with pytest.raises(UserInputError, match="two users"):
        ssh_link("root@board", user="lab")


def test_the_check_model_is_a_valid_model_with_distinct_answers(tmp_path: Path):
    model = check_model()
    path = tmp_path / "check.tflite"
    path.write_bytes(model.tflite)
    graph = read_graph(path)
    assert len(graph.nodes) == 1
    assert len(np.unique(model.expected)) > 8
