"""`harness devices` on real boards: this machine, and this machine through a real sshd."""

from __future__ import annotations

import getpass
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from harness.boards.lease import lease
from harness.boards.linux.profile import LinuxProfile
from harness.boards.resolve import get_profile
from harness.links.profile import LinkProfile
from harness.links.registry import link_class
from harness.links.ssh import hostkeys
from tests.support.fixtures_boards import SshServer
from tests.support.fixtures_devices import MINIMAL
from tests.support.places import ROOT


def shown_fingerprint(server: SshServer) -> str:
    """The server's host key as OpenSSH itself names it."""
    public = server.host_key.with_suffix(".pub")
    return subprocess.run(["ssh-keygen", "-lf", public], capture_output=True, text=True, check=True).stdout.split()[1]


@pytest.fixture
def add_arguments(sshd: SshServer, tflite_python: str, ssh_client_key: Path) -> list[str]:
    """What `harness devices add` needs to reach the test server and find a runtime there."""
    return [
        f"{getpass.getuser()}@127.0.0.1",
        "--port",
        str(sshd.port),
        "--key",
        str(ssh_client_key),
        "--python",
        tflite_python,
    ]


def test_list_shows_every_device_with_its_state_and_reason(devices_dir: Path, runtime_cache: Path, harness_cli):
    result = harness_cli("devices", "list", "--devices-dir", devices_dir)
    assert result.code == 0
    assert result.out.splitlines()[0].split() == ["device", "state", "what", "it", "is", "link", "backends"]
    assert re.search(r"^host-litert +ready", result.out, re.M) and re.search(r"^imx8mp@qemu +ready", result.out, re.M)
    assert "unavailable: imx8mp: no address is known: HARNESS_IMX8MP_HOST is not set" in result.out


def test_list_as_json_has_one_entry_per_device(devices_dir: Path, write_profile, harness_cli):
    write_profile()
    write_profile("broken", "name: [\n")
    result = harness_cli("devices", "list", "--devices-dir", devices_dir, "--json", "-")
    document = json.loads(result.out)
    rows = {row["name"]: row for row in document["devices"]}
    assert document["schema"] == 1
    assert (rows["board"]["available"], rows["board"]["link"]) == (True, "ssh 192.0.2.7:22")
    assert rows["broken"]["available"] is False
    assert "broken.yaml:2:1: broken YAML" in rows["broken"]["reason"]


def test_list_tells_who_uses_a_device_and_which_board_is_not_enrolled(
    devices_dir: Path, ssh_config: Path, write_profile, harness_cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    write_profile()
    with lease(get_profile("board", devices_dir), run="run-7"):
        result = harness_cli("devices", "list", "--devices-dir", devices_dir)
    assert f"in use by process {os.getpid()} (run-7) on board since" in result.out
    assert "its host key is not pinned yet: harness devices enroll board" in result.out


def test_check_runs_a_model_on_every_backend_of_this_machine(devices_dir: Path, runtime_cache: Path, harness_cli):
    result = harness_cli("devices", "check", "host-litert")
    assert result.code == 0
    assert "ok   agent: ai-edge-litert 2.3.0" in result.out
    assert "ok   backend cpu-ref: right answers, on the CPU" in result.out
    assert "ok   backend cpu: right answers, on the CPU" in result.out


def test_check_of_an_unknown_device_is_wrong_input(devices_dir: Path, harness_cli):
    result = harness_cli("devices", "check", "host-lite")
    assert result.code == 1
    assert "unknown device 'host-lite'" in result.err
    assert "host-litert" in result.err


def test_check_of_a_backend_whose_delegate_is_not_there_fails_that_backend_alone(
    devices_dir: Path, write_profile, runtime_cache: Path, tflite_python: str, harness_cli
):
    delegate = "\n  npu:\n    delegate: {path: /usr/lib/libnone_delegate.so, name: none}\n"
    write_profile(
        "here",
        f"name: here\ntitle: here\nlink: {{type: local}}\nruntime: {{module: tflite_runtime, "
        f"package: tflite-runtime==2.14.0}}\nbackends:\n  cpu: {{}}{delegate}",
    )
    result = harness_cli("devices", "check", "here", "--devices-dir", devices_dir)
    assert result.code == 2
    assert "ok   backend cpu: right answers" in result.out
    assert "FAIL backend npu" in result.out
    assert "libnone_delegate.so" in result.out


def test_check_of_a_board_without_the_runtime_says_so(
    devices_dir: Path, write_profile, runtime_cache: Path, harness_cli
):
    python = os.path.realpath("/usr/bin/python3")
    write_profile(
        "bare",
        f"name: bare\ntitle: bare\nlink: {{type: local}}\nruntime: {{module: tflite_runtime, "
        f"python: {python}}}\nbackends:\n  cpu: {{}}\n",
    )
    result = harness_cli("devices", "check", "bare", "--devices-dir", devices_dir)
    assert result.code == 2
    assert f"FAIL login: bare: {python} has no tflite_runtime that imports" in result.out


def test_check_of_a_board_that_does_not_answer_fails_at_the_login(
    devices_dir: Path, write_profile, runtime_cache: Path, ssh_config: Path, make_sshd, harness_cli
):
    server = make_sshd()
    server.stop()
    write_profile(
        "gone", MINIMAL.replace("name: board", "name: gone").replace("192.0.2.7", f"127.0.0.1\n  port: {server.port}")
    )
    result = harness_cli("devices", "check", "gone", "--devices-dir", devices_dir)
    assert result.code == 2
    assert "FAIL login" in result.out
    assert "cannot be reached" in result.out


def test_host_ssh_passes_its_check_once_its_key_is_pinned(
    devices_dir: Path,
    runtime_cache: Path,
    ssh_config: Path,
    sshd: SshServer,
    ssh_client_key: Path,
    harness_cli,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("HARNESS_HOST_SSH_PORT", str(sshd.port))
    monkeypatch.setenv("HARNESS_HOST_SSH_USER", getpass.getuser())
    monkeypatch.setenv("HARNESS_HOST_SSH_KEY", str(ssh_client_key))
    refused = harness_cli("devices", "check", "host-ssh")
    assert refused.code == 2
    assert "harness devices enroll host-ssh" in refused.out
    enrolled = harness_cli("devices", "enroll", "host-ssh", "--fingerprint", shown_fingerprint(sshd))
    assert enrolled.code == 0
    assert f"ssh-ed25519 {shown_fingerprint(sshd)} (pinned in {ssh_config / 'known_hosts'})" in enrolled.out
    checked = harness_cli("devices", "check", "host-ssh")
    assert checked.code == 0
    assert "ok   agent: tflite-runtime 2.14.0" in checked.out
    assert "ok   backend cpu-ref: right answers" in checked.out


def test_enroll_without_a_terminal_and_without_a_fingerprint_stores_nothing(
    devices_dir: Path, ssh_config: Path, sshd: SshServer, write_profile, harness_cli
):
    write_profile("board", MINIMAL.replace("192.0.2.7", f"127.0.0.1\n  port: {sshd.port}"))
    result = harness_cli("devices", "enroll", "board", "--devices-dir", devices_dir)
    assert result.code == 1
    assert f"--fingerprint {shown_fingerprint(sshd)}" in result.err
    assert not hostkeys.pins_file().exists()


def test_enroll_with_another_fingerprint_stores_nothing(
    devices_dir: Path, ssh_config: Path, sshd: SshServer, write_profile, harness_cli
):
    write_profile("board", MINIMAL.replace("192.0.2.7", f"127.0.0.1\n  port: {sshd.port}"))
    result = harness_cli(
        "devices", "enroll", "board", "--devices-dir", devices_dir, "--fingerprint", "SHA256:" + "A" * 43
    )
    assert result.code == 2
    assert "nothing was stored" in result.err
    assert not hostkeys.pins_file().exists()


def test_a_changed_host_key_is_pinned_with_replace_only(
    devices_dir: Path, ssh_config: Path, make_sshd, write_profile, harness_cli
):
    server = make_sshd()
    write_profile("board", MINIMAL.replace("192.0.2.7", f"127.0.0.1\n  port: {server.port}"))
    enroll = ["devices", "enroll", "board", "--devices-dir", devices_dir, "--fingerprint"]
    old = shown_fingerprint(server)
    assert harness_cli(*enroll, old).code == 0
    server.change_host_key()
    new = shown_fingerprint(server)
    refused = harness_cli(*enroll, new)
    assert refused.code == 2
    assert f"has changed: pinned is ssh-ed25519 {old}, it shows {new}" in refused.err
    assert harness_cli(*enroll, new, "--replace").code == 0
    assert new in harness_cli(*enroll, new).out
    assert hostkeys.pins_file().read_text().count("ssh-ed25519") == 1


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1)])
def test_enroll_asks_on_a_terminal_and_pins_after_a_yes_only(
    devices_dir: Path, ssh_config: Path, sshd: SshServer, write_profile, answer: str, code: int
):
    write_profile("board", MINIMAL.replace("192.0.2.7", f"127.0.0.1\n  port: {sshd.port}"))
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.cli.main", "devices", "enroll", "board", "--devices-dir", str(devices_dir)],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    os.close(theirs)
    os.write(ours, f"{answer}\n".encode())
    out, _ = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == code
    assert f"shows the host key ssh-ed25519 {shown_fingerprint(sshd)}" in out
    assert hostkeys.pins_file().exists() == (answer == "y")


def test_enroll_of_a_local_device_has_nothing_to_do(devices_dir: Path, harness_cli):
    result = harness_cli("devices", "enroll", "host-litert")
    assert result.code == 1
    assert "not reached over SSH" in result.err


def test_add_writes_a_profile_that_passes_its_check_unchanged(
    devices_dir: Path,
    runtime_cache: Path,
    ssh_config: Path,
    sshd: SshServer,
    add_arguments: list[str],
    tflite_python: str,
    harness_cli,
):
    added = harness_cli(
        "devices",
        "add",
        *add_arguments,
        "--name",
        "bench",
        "--write",
        devices_dir,
        "--fingerprint",
        shown_fingerprint(sshd),
    )
    assert added.code == 0, added.err
    profile = get_profile("bench", devices_dir)
    assert (profile.runtime.module, profile.runtime.python) == ("tflite_runtime", tflite_python)
    assert (profile.link.host, profile.link.port, profile.link.user) == ("127.0.0.1", sshd.port, getpass.getuser())
    checked = harness_cli("devices", "check", "bench", "--devices-dir", devices_dir)
    assert checked.code == 0, checked.out


def test_add_never_overwrites_a_profile_without_force(
    devices_dir: Path, pinned_sshd: SshServer, write_profile, add_arguments: list[str], harness_cli
):
    path = write_profile("bench", MINIMAL.replace("name: board", "name: bench"))
    before = path.read_text()
    add = ["devices", "add", *add_arguments, "--name", "bench", "--write", devices_dir]
    refused = harness_cli(*add)
    assert refused.code == 1
    assert "exists already" in refused.err
    assert path.read_text() == before
    assert harness_cli(*add, "--force").code == 0
    assert path.read_text() != before


def test_add_of_a_board_without_a_runtime_writes_nothing_and_says_what_to_install(
    devices_dir: Path, pinned_sshd: SshServer, add_arguments: list[str], harness_cli
):
    bare = [*add_arguments[:-1], os.path.realpath("/usr/bin/python3")]
    result = harness_cli("devices", "add", *bare, "--name", "bare", "--write", devices_dir)
    assert result.code == 2
    assert "has neither ai_edge_litert nor tflite_runtime" in result.err
    assert "install numpy and ai-edge-litert" in result.err
    assert list(devices_dir.iterdir()) == []


def test_add_with_an_interpreter_that_does_not_exist_names_the_option(
    devices_dir: Path, pinned_sshd: SshServer, add_arguments: list[str], harness_cli
):
    result = harness_cli("devices", "add", *add_arguments[:-1], "/opt/none/python", "--write", devices_dir)
    assert result.code == 2
    assert "--python" in result.err


@pytest.mark.parametrize("address", ["-oProxyCommand=id", "board;id", "a b", "root@", "@board"])
def test_add_refuses_what_is_no_address(devices_dir: Path, harness_cli, address: str):
    result = harness_cli("devices", "add", "--write", str(devices_dir), "--", address)
    assert result.code == 1
    assert list(devices_dir.iterdir()) == []


def test_add_through_a_jump_host_pins_both_keys(
    devices_dir: Path, ssh_config: Path, sshd: SshServer, make_sshd, add_arguments: list[str], harness_cli
):
    jump = make_sshd("AllowTcpForwarding yes")
    result = harness_cli(
        "devices",
        "add",
        *add_arguments,
        "--name",
        "far",
        "--write",
        devices_dir,
        "--jump",
        f"{getpass.getuser()}@127.0.0.1:{jump.port}",
        "--jump-fingerprint",
        shown_fingerprint(jump),
        "--fingerprint",
        shown_fingerprint(sshd),
    )
    assert result.code == 0, result.err
    assert get_profile("far", devices_dir).link.jump.port == jump.port
    assert hostkeys.pins_file().read_text().count("ssh-ed25519") == 2


def test_the_profile_that_the_documentation_shows_is_valid(devices_dir: Path, write_profile):
    page = ROOT.joinpath("docs", "guides", "adding-a-board.md").read_text()
    block = page.split("`devices/bench-1.yaml`:\n\n", 1)[1].split("    harness devices enroll", 1)[0]
    write_profile("bench-1", "".join(line[4:] for line in block.splitlines(keepends=True) if line.strip()))
    assert get_profile("bench-1", devices_dir).backends["cpu"].affinity == (0, 1, 2, 3)


def test_every_field_of_a_profile_is_documented():
    page = ROOT.joinpath("docs", "reference", "devices.md").read_text()
    links = [link_class(name, LinkProfile) for name in ("local", "ssh")]
    sections = [(name, section.annotation) for name, section in LinuxProfile.model_fields.items()]
    for name, part in [*sections, *(("link", link) for link in links)]:
        fields = part.model_fields if isinstance(part, type) and issubclass(part, BaseModel) else {"": None}
        for field in fields:
            words = (f"`{name}.{field}`", f"`{name}.{field}.", f"`.{field}`") if field else (f"`{name}",)
            assert any(word in page for word in words), (name, field)
