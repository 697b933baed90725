"""The SSH link against a real sshd: whom it trusts, how it logs in, and that the board behind it works like a local one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from harness.boards.base import BackendSpec, Deadlines
from harness.core.errors import StableDeviceError, TransientDeviceError, UserInputError
from harness.links.base import ChannelClosed, ChannelTimeout, Jump, make_link, recv_exact
from harness.links.ssh.link import enroll, hostkeys
from tests.support.fixtures_boards import new_key
from tests.support.tiny_model import float_mlp_reference


@pytest.fixture
def link(pinned_sshd):
    """An open link to the shared server."""
    link = make_link(pinned_sshd.link())
    link.open()
    yield link
    link.close()


def open_link(settings) -> None:
    link = make_link(settings)
    try:
        link.open()
    finally:
        link.close()


# -- trust


def test_an_unknown_host_is_never_trusted(sshd, ssh_config):
    with pytest.raises(StableDeviceError, match=r"unknown: it shows ssh-ed25519 SHA256:.*devices enroll myboard"):
        open_link(sshd.link(device="myboard"))
    assert not (ssh_config / "known_hosts").exists()


def test_enroll_shows_the_fingerprint_that_openssh_shows(sshd, ssh_config):
    key = enroll("127.0.0.1", sshd.port)
    told = subprocess.run(
        ["ssh-keygen", "-lf", sshd.host_key.with_suffix(".pub")], capture_output=True, text=True, check=True
    )
    assert key.fingerprint == told.stdout.split()[1]
    assert not (ssh_config / "known_hosts").exists()


def test_a_pinned_host_is_trusted(sshd, ssh_config):
    hostkeys.pin(enroll("127.0.0.1", sshd.port))
    open_link(sshd.link())
    assert len(hostkeys.known_keys("127.0.0.1", sshd.port)) == 1


def test_pinning_again_replaces_the_old_key_and_leaves_other_hosts_alone(ssh_config, tmp_path):
    kind, first = new_key(tmp_path / "a").with_suffix(".pub").read_text().split()
    _, second = new_key(tmp_path / "b").with_suffix(".pub").read_text().split()
    for host, key in (("one", first), ("two", first), ("one", second)):
        hostkeys.pin(hostkeys.HostKey(host=host, port=2222, key_type=kind, key_base64=key))
    assert [k.get_base64() for k in hostkeys.known_keys("one", 2222)] == [second]
    assert [k.get_base64() for k in hostkeys.known_keys("two", 2222)] == [first]


def test_the_users_own_known_hosts_counts_and_is_not_written(sshd, ssh_config):
    own = Path.home() / ".ssh" / "known_hosts"
    own.parent.mkdir()
    own.write_text(f"# a comment\ndamaged line\n{sshd.known_hosts_line}")
    before = own.stat()
    open_link(sshd.link())
    assert (own.stat().st_mtime_ns, own.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_hashed_names_in_the_users_known_hosts_are_understood(sshd, ssh_config):
    own = Path.home() / ".ssh" / "known_hosts"
    own.parent.mkdir()
    own.write_text(sshd.known_hosts_line)
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", own], check=True, capture_output=True)
    assert "127.0.0.1" not in own.read_text()
    open_link(sshd.link())


def test_a_changed_host_key_is_refused_with_both_fingerprints(make_sshd, ssh_config):
    server = make_sshd()
    server.pin(ssh_config)
    old = enroll("127.0.0.1", server.port).fingerprint
    server.change_host_key()
    new = enroll("127.0.0.1", server.port).fingerprint
    with pytest.raises(StableDeviceError, match="has changed") as caught:
        open_link(server.link())
    assert old in str(caught.value) and new in str(caught.value)
    assert caught.value.hint.endswith("enroll myboard --replace") or caught.value.hint.endswith("enroll NAME --replace")


def test_the_pinned_one_of_several_host_keys_is_asked_for(make_sshd, ssh_config, tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", tmp_path / "ecdsa"], check=True)
    server = make_sshd(f"HostKey {tmp_path / 'ecdsa'}")
    kind, key = (tmp_path / "ecdsa.pub").read_text().split()[:2]
    hostkeys.pin(hostkeys.HostKey(host="127.0.0.1", port=server.port, key_type=kind, key_base64=key))
    open_link(server.link())
    assert enroll("127.0.0.1", server.port).key_type == "ssh-ed25519"


# -- login


def test_a_refused_key_is_told_with_what_was_offered(pinned_sshd, tmp_path):
    stranger = new_key(tmp_path / "stranger")
    with pytest.raises(StableDeviceError, match=r"was refused; offered: .*stranger.*authorized_keys"):
        open_link(pinned_sshd.link(key_files=(str(stranger),)))


def test_no_key_at_all_is_told(pinned_sshd):
    with pytest.raises(StableDeviceError, match="no key: none is named"):
        open_link(pinned_sshd.link(key_files=()))


def test_the_usual_key_in_the_home_is_found(pinned_sshd):
    folder = Path.home() / ".ssh"
    folder.mkdir()
    (folder / "id_ed25519").write_bytes(pinned_sshd.client_key.read_bytes())
    open_link(pinned_sshd.link(key_files=()))
    assert (folder / "id_ed25519").exists()


def test_the_keys_of_the_ssh_agent_log_in(pinned_sshd, ssh_agent):
    subprocess.run(["ssh-add", "-q", pinned_sshd.client_key], check=True, capture_output=True, env=ssh_agent)
    with pytest.raises(StableDeviceError):
        open_link(pinned_sshd.link(key_files=()))
    open_link(pinned_sshd.link(key_files=(), use_agent=True))


@pytest.fixture
def ssh_agent(ssh_config, monkeypatch, tmp_path):
    """A running ssh-agent of the test's own, found by SSH_AUTH_SOCK."""
    import os

    socket_path = tmp_path / "agent.sock"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", socket_path], stdout=subprocess.DEVNULL)
    from tests.support.fixtures_boards import wait_until

    assert wait_until(socket_path.exists)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket_path))
    yield dict(os.environ)
    process.terminate()
    process.wait()


def test_an_encrypted_key_file_asks_for_the_agent(pinned_sshd, tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", tmp_path / "locked"], check=True)
    with pytest.raises(StableDeviceError, match=r"is encrypted \(add it to the SSH agent"):
        open_link(pinned_sshd.link(key_files=(str(tmp_path / "locked"),)))


def test_a_key_file_that_is_none_is_told(pinned_sshd, tmp_path):
    (tmp_path / "notes.txt").write_text("not a key")
    with pytest.raises(StableDeviceError, match="no usable private key"):
        open_link(pinned_sshd.link(key_files=(str(tmp_path / "notes.txt"),)))
    with pytest.raises(StableDeviceError, match="cannot be read"):
        open_link(pinned_sshd.link(key_files=(str(tmp_path / "absent"),)))


def test_a_password_variable_that_is_not_set_is_told(pinned_sshd):
    with pytest.raises(StableDeviceError, match="BOARD_PASSWORD is not set"):
        open_link(pinned_sshd.link(password_env="BOARD_PASSWORD"))


# -- reaching it


def test_nobody_listening_is_transient(ssh_config, sshd):
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    from dataclasses import replace

    with pytest.raises(TransientDeviceError, match="cannot be reached: Connection refused"):
        open_link(replace(sshd.link(), port=port))


def test_a_port_that_speaks_no_ssh_is_told_in_time(ssh_config, sshd):
    import socket
    from dataclasses import replace

    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        settings = replace(sshd.link(), port=mute.getsockname()[1], connect_timeout_s=0.3)
        with pytest.raises(TransientDeviceError, match="no SSH connection"):
            open_link(settings)


def test_a_name_that_does_not_resolve_is_told(ssh_config, sshd):
    from dataclasses import replace

    with pytest.raises(TransientDeviceError, match="board.invalid cannot be resolved"):
        open_link(replace(sshd.link(), host="board.invalid"))


def test_a_jump_host_is_a_way_to_the_board(sshd, make_sshd, ssh_config):
    jump = make_sshd()
    jump.pin(ssh_config)
    sshd.pin(ssh_config)
    link = make_link(sshd.link(jump=Jump(host="127.0.0.1", port=jump.port)))
    link.open()
    channel = link.start(["/bin/sh", "-c", "echo $SSH_CONNECTION"])
    assert recv_exact(channel, 9, 10.0) == b"127.0.0.1"
    assert jump.sessions()
    link.close()


def test_a_jump_host_must_be_pinned_too(sshd, make_sshd, ssh_config):
    jump = make_sshd()
    sshd.pin(ssh_config)
    with pytest.raises(StableDeviceError, match=rf"\[127.0.0.1\]:{jump.port} is unknown"):
        open_link(sshd.link(jump=Jump(host="127.0.0.1", port=jump.port)))


# -- the channel


def test_bytes_travel_both_ways(link):
    import os

    data = os.urandom(5_000_000)
    channel = link.start(["/bin/cat"])
    received = bytearray()
    for start in range(0, len(data), 1_000_000):
        channel.send([data[start : start + 1_000_000]], 20.0)
        received += recv_exact(channel, 1_000_000, 20.0)
    assert received == data


def test_words_reach_the_program_as_they_are(link):
    words = ["a b", "$(id)", "`id`", "'", '"', ";", "*", "\\"]
    channel = link.start(["/usr/bin/printf", "%s|", *words])
    expected = "".join(f"{w}|" for w in words).encode()
    assert recv_exact(channel, len(expected), 10.0) == expected


def test_a_silent_program_meets_the_deadline(link):
    with pytest.raises(ChannelTimeout):
        link.start(["/bin/cat"]).recv_some(1, 0.05)


def test_a_program_that_reads_nothing_meets_the_deadline(link):
    channel = link.start(["/bin/sleep", "60"])
    with pytest.raises(ChannelTimeout):
        channel.send([bytes(16 << 20)], 0.5)


def test_the_end_of_the_program_is_told_with_its_status(link):
    channel = link.start(["/bin/sh", "-c", "echo words >&2; exit 9"])
    with pytest.raises(ChannelClosed):
        channel.recv_some(1, 10.0)
    assert channel.exit_code(10.0) == 9
    assert channel.stderr_tail() == "words\n"


# -- the board behind it


def test_a_board_over_ssh_works_like_a_local_one(make_board, pinned_sshd, board_files):
    board = make_board(pinned_sshd.link())
    assert board.connect().runtime == "tflite-runtime 2.14.0"
    for file in (board_files.mlp, board_files.floats):
        assert board.ensure_file(file.path, file.sha256) is True
    worker = board.open_worker(BackendSpec(name="cpu"), Deadlines())
    worker.load(board_files.mlp.sha256)
    result = worker.evaluate([board_files.floats.sha256], 4000)
    np.testing.assert_allclose(result.outputs[0], float_mlp_reference(board_files.float_samples), atol=2e-6)
    assert "XNNPACK" in worker.close()


def test_a_board_without_sftp_gets_its_files(make_board, make_sshd, ssh_config, board_files):
    server = make_sshd("Subsystem sftp /bin/false")
    server.pin(ssh_config)
    board = make_board(server.link())
    board.connect()
    assert board.ensure_file(board_files.floats.path, board_files.floats.sha256) is True


def test_a_board_without_that_python_is_told(make_board, pinned_sshd):
    board = make_board(pinned_sshd.link(), python="/opt/none/python3")
    with pytest.raises(StableDeviceError, match="the board has no /opt/none/python3 that starts"):
        board.connect()


def test_a_python_that_a_shell_could_misread_is_not_sent(make_board, pinned_sshd):
    with pytest.raises(UserInputError, match="no path of a program"):
        make_board(pinned_sshd.link(), python="/usr/bin/python3;reboot").connect()


def test_noise_of_the_login_shell_is_skipped(make_board, make_sshd, ssh_config, board_files, tmp_path):
    shell = tmp_path / "noisy"
    shell.write_text(
        '#!/bin/sh\nseq 1 3000\necho "Welcome!" >&2\nprintf "no end of line"\neval "$SSH_ORIGINAL_COMMAND"\n'
    )
    shell.chmod(0o755)
    server = make_sshd(f"ForceCommand {shell}")
    server.pin(ssh_config)
    board = make_board(server.link())
    assert board.connect().runtime == "tflite-runtime 2.14.0"


def test_an_account_without_a_shell_is_told_in_its_own_words(make_board, make_sshd, ssh_config, tmp_path):
    shell = tmp_path / "nologin"
    shell.write_text('#!/bin/sh\necho "This account is not available."\nexit 1\n')
    shell.chmod(0o755)
    server = make_sshd(f"ForceCommand {shell}")
    server.pin(ssh_config)
    with pytest.raises(StableDeviceError, match="This account is not available"):
        make_board(server.link()).connect()
