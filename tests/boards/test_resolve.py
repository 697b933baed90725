"""Profiles are found by name, in order, with the user's overrides, and errors name the file and line to change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.boards.connect import availability, backend_spec, require_address
from harness.boards.resolve import get_profile, get_profiles, list_profiles, packaged_profile
from harness.core.errors import UserInputError
from harness.core.paths import packaged_devices_dir
from tests.support.fixtures_devices import MINIMAL


def link_settings(profile, environ):
    """How the board is reached over SSH, with these environment variables."""
    return profile.link.ssh(profile.place(environ))


def test_the_packaged_profiles_are_all_valid(devices_dir: Path):
    entries = {entry.name: entry for entry in list_profiles(devices_dir)}
    assert {"host-tflite", "host-litert", "host-ssh", "imx8mp"} <= entries.keys()
    assert [str(entry.error) for entry in entries.values() if entry.error] == []


def test_the_option_wins_over_the_environment_and_the_packaged_profile(
    devices_dir: Path, write_profile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    other = tmp_path / "other"
    other.mkdir()
    (other / "imx8mp.yaml").write_text(MINIMAL.replace("name: board", "name: imx8mp"))
    monkeypatch.setenv("HARNESS_DEVICES", str(other))
    assert get_profile("imx8mp").title == "a board"
    write_profile("imx8mp", MINIMAL.replace("name: board", "name: imx8mp").replace("a board", "from the option"))
    assert get_profile("imx8mp", devices_dir).title == "from the option"


def test_an_unknown_device_gets_the_nearest_names(devices_dir: Path):
    with pytest.raises(UserInputError, match="unknown device 'imx8pm'.*did you mean imx8mp"):
        get_profile("imx8pm", devices_dir)


def test_a_profile_named_yml_is_pointed_at(devices_dir: Path):
    (devices_dir / "board.yml").write_text(MINIMAL)
    with pytest.raises(UserInputError, match=r"profiles end in \.yaml.*rename it to board\.yaml"):
        get_profile("board", devices_dir)


def test_a_folder_of_profiles_that_does_not_exist_is_an_error(tmp_path: Path):
    with pytest.raises(UserInputError, match="no such folder"):
        list_profiles(tmp_path / "nowhere")


def test_a_file_name_that_is_not_the_device_name_is_an_error_at_the_name(devices_dir: Path, write_profile):
    write_profile("bench-3")
    with pytest.raises(UserInputError, match=r"bench-3\.yaml:1:7: name: found 'board'"):
        get_profile("bench-3", devices_dir)


def test_a_broken_profile_is_listed_with_its_error_beside_the_good_ones(devices_dir: Path, write_profile):
    write_profile()
    write_profile("bad", "name: bad\n")
    entries = {entry.name: entry for entry in list_profiles(devices_dir)}
    assert "bad.yaml" in str(entries["bad"].error)
    assert entries["board"].profile is not None


def test_local_yaml_overrides_single_fields(devices_dir: Path):
    (devices_dir / "local.yaml").write_text("imx8mp:\n  link: {host: 192.0.2.9, user: lab}\n  samples: all\n")
    profile = get_profile("imx8mp", devices_dir)
    assert (profile.link.host, profile.link.user, profile.samples) == ("192.0.2.9", "lab", "all")
    assert profile.link.host_env == "HARNESS_IMX8MP_HOST"


def test_null_in_local_yaml_removes_a_field(devices_dir: Path):
    (devices_dir / "local.yaml").write_text("imx8mp:\n  backends:\n    npu: null\n")
    assert sorted(get_profile("imx8mp", devices_dir).backends) == ["cpu", "cpu-ref"]


def test_a_fault_in_local_yaml_is_reported_at_its_own_line(devices_dir: Path):
    (devices_dir / "local.yaml").write_text("imx8mp:\n  link:\n    host: 192.0.2.9\n    prot: 22\n")
    with pytest.raises(UserInputError, match=r"local\.yaml:4:5: unknown field 'link\.prot'; did you mean port"):
        get_profile("imx8mp", devices_dir)


def test_a_value_that_is_no_mapping_in_local_yaml_is_reported(devices_dir: Path):
    (devices_dir / "local.yaml").write_text("imx8mp: 192.0.2.9\n")
    with pytest.raises(UserInputError, match=r"local\.yaml:1:9: imx8mp: expected a mapping"):
        get_profile("imx8mp", devices_dir)


def test_an_unknown_device_in_local_yaml_is_listed_as_an_error(devices_dir: Path):
    (devices_dir / "local.yaml").write_text("imx8pm:\n  link: {host: 192.0.2.9}\n")
    errors = [str(entry.error) for entry in list_profiles(devices_dir) if entry.error]
    assert len(errors) == 1
    assert "local.yaml:1:1: no device is called 'imx8pm' (did you mean imx8mp?)" in errors[0]


def test_a_local_yaml_of_comments_alone_is_fine(devices_dir: Path):
    (devices_dir / "local.yaml").write_text("# nothing yet\n")
    assert get_profile("imx8mp", devices_dir).link.host is None


def test_without_an_address_the_error_names_variable_file_and_line(devices_dir: Path):
    with pytest.raises(UserInputError) as caught:
        link_settings(get_profile("imx8mp", devices_dir), {})
    text = str(caught.value)
    assert "HARNESS_IMX8MP_HOST is not set" in text
    assert f"write the line `imx8mp: {{link: {{host: 192.0.2.7}}}}` into {devices_dir / 'local.yaml'}" in text


def test_the_line_that_the_error_proposes_gives_the_board_an_address(devices_dir: Path):
    (devices_dir / "local.yaml").write_text("imx8mp: {link: {host: 192.0.2.7}}\n")
    settings = link_settings(get_profile("imx8mp", devices_dir), {})
    assert (settings.host, settings.port, settings.user, settings.device) == ("192.0.2.7", 22, "root", "imx8mp")


def test_the_environment_wins_over_the_file(devices_dir: Path):
    (devices_dir / "local.yaml").write_text("imx8mp: {link: {host: 192.0.2.7}}\n")
    profile = get_profile("imx8mp", devices_dir)
    assert link_settings(profile, {"HARNESS_IMX8MP_HOST": "board.lab"}).host == "board.lab"


@pytest.mark.parametrize("value", ["-oProxyCommand=id", "a b", "root@board", "board;id", "[::1]"])
def test_an_address_from_the_environment_is_checked_like_one_from_a_file(devices_dir: Path, value: str):
    with pytest.raises(UserInputError, match=r"\$HARNESS_IMX8MP_HOST holds .* which is no host"):
        link_settings(get_profile("imx8mp", devices_dir), {"HARNESS_IMX8MP_HOST": value})


@pytest.mark.parametrize("value", ["0", "70000", "ssh", "-1"])
def test_a_port_from_the_environment_is_checked(devices_dir: Path, value: str):
    with pytest.raises(UserInputError, match=r"\$HARNESS_HOST_SSH_PORT holds"):
        link_settings(get_profile("host-ssh", devices_dir), {"HARNESS_HOST_SSH_PORT": value})


def test_host_ssh_is_unavailable_until_its_port_is_set(devices_dir: Path, monkeypatch: pytest.MonkeyPatch):
    state = availability(get_profile("host-ssh", devices_dir))
    assert not state.ok
    assert "HARNESS_HOST_SSH_PORT is not set" in str(state.reason)
    monkeypatch.setenv("HARNESS_HOST_SSH_PORT", "2222")
    assert "HARNESS_HOST_SSH_PORT" not in str(availability(get_profile("host-ssh", devices_dir)).reason)


def test_a_key_file_that_does_not_exist_is_named(devices_dir: Path):
    environ = {"HARNESS_HOST_SSH_PORT": "2222", "HARNESS_HOST_SSH_KEY": "/nowhere/id"}
    with pytest.raises(UserInputError, match=r"key file /nowhere/id does not exist.*\$HARNESS_HOST_SSH_KEY"):
        link_settings(get_profile("host-ssh", devices_dir), environ)


def test_a_runtime_package_with_an_address_that_is_not_this_machine_is_refused(
    devices_dir: Path, write_profile, monkeypatch: pytest.MonkeyPatch
):
    text = MINIMAL.replace("host: 192.0.2.7", "host_env: BOARD").replace(
        "python: /usr/bin/python3", "package: tflite-runtime==2.14.0"
    )
    write_profile("board", text)
    monkeypatch.setenv("BOARD", "192.0.2.8")
    with pytest.raises(UserInputError, match="installed on this machine, but 192.0.2.8 is not it"):
        require_address(get_profile("board", devices_dir))


@pytest.mark.parametrize(
    ("kind", "found"), [("mlperf-tiny", '"mlperf-tiny"'), ("[linux]", '\\["linux"\\]'), ("3", "3")]
)
def test_an_unknown_kind_is_refused_with_the_known_ones(devices_dir: Path, write_profile, kind: str, found: str):
    write_profile("board", MINIMAL.replace("title: a board", f"title: a board\nkind: {kind}"))
    with pytest.raises(UserInputError, match=f"board.yaml:3:7: kind: found {found}; allowed: 'linux' or 'mcu'"):
        get_profile("board", devices_dir)


def test_emulated_leaves_this_machine_what_it_is_beside_a_board_with_a_twin(devices_dir: Path):
    profiles = get_profiles(["host-tflite", "imx8mp"], devices_dir, emulated=True)
    assert [profile.name for profile in profiles] == ["host-tflite", "imx8mp@qemu"]


def test_emulated_with_nothing_but_this_machine_is_an_error(devices_dir: Path):
    with pytest.raises(UserInputError, match="nothing to emulate: host-tflite is this machine itself"):
        get_profiles(["host-tflite"], devices_dir, emulated=True)


def test_a_board_of_ones_own_may_be_called_host_something(devices_dir: Path, write_profile):
    """What decides is where the runtime is, and not the name."""
    write_profile("host-board", MINIMAL.replace("name: board", "name: host-board"))
    with pytest.raises(UserInputError, match="host-board has no emulated twin"):
        get_profiles(["host-board", "imx8mp"], devices_dir, emulated=True)


@pytest.mark.parametrize(("name", "emulated"), [("board", True), ("board@qemu", False), ("host-tflite@qemu", False)])
def test_a_device_without_an_emulation_block_has_no_twin_and_the_error_says_who_has(
    devices_dir: Path, write_profile, name: str, emulated: bool
):
    write_profile()
    write_profile("twinned", MINIMAL.replace("name: board", "name: twinned") + "emulation: {machine: virt}\n")
    with pytest.raises(UserInputError, match="no emulated twin.*devices with a twin: .*twinned@qemu"):
        get_profile(name, devices_dir, emulated=emulated)


def test_another_suffix_than_qemu_is_an_unknown_device(devices_dir: Path):
    with pytest.raises(UserInputError, match="unknown device 'imx8mp@kvm'.*imx8mp@qemu"):
        get_profile("imx8mp@kvm", devices_dir)


def test_an_empty_suffix_is_an_unknown_device(devices_dir: Path):
    with pytest.raises(UserInputError, match="unknown device 'imx8mp@'"):
        get_profile("imx8mp@", devices_dir)


def test_a_packaged_profile_ignores_the_users_folders(
    devices_dir: Path, write_profile, monkeypatch: pytest.MonkeyPatch
):
    write_profile("host-litert", MINIMAL.replace("name: board", "name: host-litert"))
    monkeypatch.setenv("HARNESS_DEVICES", str(devices_dir))
    assert packaged_profile("host-litert").runtime.package == "ai-edge-litert==2.3.0"


def test_an_unknown_backend_gets_the_nearest_names(devices_dir: Path):
    with pytest.raises(UserInputError, match="unknown backend of imx8mp 'gpu'"):
        backend_spec(get_profile("imx8mp", devices_dir), "gpu")


def test_a_backend_carries_threads_affinity_delegate_and_environment(devices_dir: Path):
    spec = backend_spec(get_profile("imx8mp", devices_dir), "npu")
    assert (spec.threads, spec.affinity) == (4, (0, 1, 2, 3))
    assert (spec.delegate_path, spec.delegate_name) == ("/usr/lib/libvx_delegate.so", "vx")
    assert spec.env["VIV_VX_ENABLE_CACHE_GRAPH_BINARY"] == "1"


def test_profiles_are_found_in_a_copy_of_the_packaged_folder(tmp_path: Path, devices_dir: Path):
    copy = tmp_path / "copy"
    shutil.copytree(packaged_devices_dir(), copy, ignore=shutil.ignore_patterns("local.yaml"))
    assert get_profile("imx8mp", copy).origin.path == copy / "imx8mp.yaml"


def test_a_twin_of_an_unknown_machine_says_so(devices_dir: Path, write_profile):
    write_profile("board", MINIMAL + "emulation: {machine: virt}\n")
    with pytest.raises(UserInputError, match="unknown emulated machine 'virt'"):
        get_profile("board", devices_dir, emulated=True)
