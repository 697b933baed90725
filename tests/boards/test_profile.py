"""A profile is checked field by field, and every complaint points at its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.boards.linux.profile import LinuxProfile
from harness.core.errors import UserInputError
from harness.core.located_errors import validate
from harness.core.located_yaml import load_yaml, parse_yaml
from tests.support.fixtures_devices import MINIMAL


def parse(text: str) -> LinuxProfile:
    return validate(LinuxProfile, parse_yaml(text, Path("board.yaml")))


def complaint(text: str) -> str:
    with pytest.raises(UserInputError) as caught:
        parse(text)
    return str(caught.value)


def test_a_minimal_profile_gets_the_documented_defaults():
    profile = parse(MINIMAL)
    assert profile.samples_count is None
    assert profile.time_basis == "device"
    assert profile.lock_name == "board"
    assert profile.deadlines_spec().first_invoke_s == 120.0


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("  host: 192.0.2.7", "  hosst: board", "board.yaml:5:3: unknown field 'link.hosst'; did you mean host"),
        ("threads: 2", 'threads: "2"', 'board.yaml:11:14: backends.cpu.threads: found "2"; allowed: a whole number'),
        ("threads: 2", "threads: 0", "board.yaml:11:14: backends.cpu.threads: found 0; allowed: at least 1"),
        ("threads: 2", "threads: 2.5", "backends.cpu.threads: found 2.5; allowed: a whole number"),
        ("threads: 2", "kernels: fast", "allowed: 'reference', 'default' or 'no-default-delegate'"),
        ("type: ssh", "type: telnet", "board.yaml:4:9: link.type: found 'telnet'; allowed: 'local', 'ssh'"),
        ("type: ssh", "type: [ssh]", "board.yaml:4:9: link.type: found '['ssh']'; allowed: 'local', 'ssh'"),
        ("  type: ssh\n", "", "board.yaml:4:3: the field 'link.type' is missing"),
        (
            "  type: ssh\n  host: 192.0.2.7",
            "  - ssh",
            'board.yaml:4:3: link: found ["ssh"]; allowed: a mapping of fields',
        ),
        ("title: a board\n", "", "board.yaml:1:1: the field 'title' is missing"),
        ("name: board", "name: My Board", 'board.yaml:1:7: name: found "My Board"; allowed: 1 to 63 small letters'),
        ("  cpu:", "  CPU!:", 'board.yaml:10:3: backends.CPU!: found "CPU!"; allowed: 1 to 32 small letters'),
        ("192.0.2.7", "root@board", "board.yaml:5:9: link.host"),
        ("/usr/bin/python3", "python3", 'board.yaml:8:11: runtime.python: found "python3"; allowed: an absolute path'),
        ("  cpu:\n    threads: 2\n", "  {}\n", "backends: found {}; allowed: at least one entry"),
        ("threads: 2", "affinity: [0, 0]", "backends.cpu.affinity: found [0, 0]; allowed: each CPU number once"),
        ("threads: 2", "affinity: [0, -1]", "board.yaml:11:19: backends.cpu.affinity.1: found -1; allowed: at least 0"),
        ("threads: 2", "affinity: 3", "backends.cpu.affinity: found 3; allowed: a list"),
        ("title: a board", "title: [a]", 'title: found ["a"]; allowed: text'),
        ("title: a board", "title: a\nsamples: some", 'samples: found "some"; allowed: `all` or a whole number from 1'),
        ("title: a board", "title: a\nsamples: true", "samples: found true; allowed: `all` or a whole number from 1"),
        ("title: a board", "title: a\ndeadlines: {load_s: .inf}", "deadlines.load_s"),
        ("  python: /usr/bin/python3\n", "", "runtime: a runtime needs one of `package`"),
        ("  host: 192.0.2.7\n", "", "link: an SSH link needs `host`, or `host_env`"),
        ("python: /usr/bin/python3", "package: tflite-runtime==2.14.0", "192.0.2.7 is not it; use `runtime.python`"),
    ],
)
def test_a_wrong_field_is_named_with_its_place_what_was_found_and_what_is_allowed(old: str, new: str, expected: str):
    assert old in MINIMAL
    assert expected in complaint(MINIMAL.replace(old, new))


def test_all_problems_of_a_file_are_listed_at_once_in_order():
    text = complaint(MINIMAL.replace("threads: 2", "thread: 2").replace("type: ssh", "type: ssh\n  port: 70000"))
    assert "2 problems" in text
    assert text.index("board.yaml:5:9: link.port: found 70000; allowed: at most 65535") < text.index(
        "backends.cpu.thread'"
    )


@pytest.mark.parametrize(
    "path",
    [
        "/usr/lib/../../etc/x.so",
        "/usr/lib/x;reboot",
        "/usr/lib/$(id).so",
        "lib.so",
        "/usr/lib/a b.so",
        "/x\nrm",
        "/lib/`id`",
    ],
)
def test_a_delegate_path_that_could_mean_something_to_a_shell_is_refused(path: str):
    import json

    text = MINIMAL.replace("threads: 2", f"delegate: {{name: vx, path: {json.dumps(path)}}}")
    assert "backends.cpu.delegate.path" in complaint(text)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=100)
@given(st.text(max_size=20))
def test_no_host_that_passes_can_be_an_option_or_a_second_word(host: str):
    import json

    text = MINIMAL.replace("192.0.2.7", json.dumps(host))
    try:
        accepted = parse(text).link.host
    except UserInputError:
        return
    assert accepted and not accepted.startswith("-")
    assert not set(accepted) & set(" \t\n'\"\\$`;|&<>(){}@/")


def test_numbers_as_delegate_options_and_environment_become_text():
    text = MINIMAL.replace(
        "threads: 2", "delegate: {name: vx, path: /usr/lib/x.so, options: {device_id: 0}}\n    env: {CACHE: 1}"
    )
    backend = parse(text).backends["cpu"]
    assert backend.delegate.options == {"device_id": "0"}
    assert backend.env == {"CACHE": "1"}


def test_a_runtime_package_must_provide_the_module():
    text = MINIMAL.replace("192.0.2.7", "127.0.0.1").replace(
        "python: /usr/bin/python3", "package: ai-edge-litert==2.3.0"
    )
    assert "provides the module ai_edge_litert, not tflite_runtime" in complaint(text)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "1:1: expected a mapping of fields, found nothing"),
        (b"- a\n- b\n", "1:1: expected a mapping of fields, found a list"),
        (b"name: board\nname: other\n", "2:1: duplicate key"),
        (b"name: board\nlink:\n\ttype: ssh\n", "3:1: a tab, where YAML allows only spaces"),
        (b"name: [board\n", "broken YAML"),
        (b"name: board\ntitle: \xff\xfe\n", "2:8: the file is not UTF-8 text"),
        (b"name: !!python/object/apply:os.system [id]\n", "has no meaning here"),
        (b"name: !secret x\n", "1:7: found the tag !secret"),
        (b"title: 2024-01-01\n", "which a profile cannot hold"),
        (b"title: 2024-13-01\n", "not readable YAML"),
        (b"1: x\n", "the key 1 is not text"),
        (b"a: 1\n---\nb: 2\n", "broken YAML"),
        (b"[" * 5000, "more values or levels"),
        (b"".join(b" " * i + b"a:\n" for i in range(30)), "more values or levels"),
        (b"a: " + b"x" * (1 << 20), "larger than 256 KiB"),
    ],
)
def test_a_file_that_is_no_readable_mapping_gives_a_clear_error(tmp_path: Path, raw: bytes, expected: str):
    path = tmp_path / "board.yaml"
    path.write_bytes(raw)
    with pytest.raises(UserInputError, match="board.yaml") as caught:
        load_yaml(path)
    assert expected in str(caught.value)


def test_a_billion_laughs_file_is_refused_before_it_fills_memory(tmp_path: Path):
    path = tmp_path / "board.yaml"
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    path.write_text("\n".join(levels))
    with pytest.raises(UserInputError, match="more values"):
        load_yaml(path)


def test_a_folder_in_place_of_a_file_is_called_a_folder(tmp_path: Path):
    with pytest.raises(UserInputError, match="this is a folder"):
        load_yaml(tmp_path)
