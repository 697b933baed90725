"""A device's report: everything that helps is in it, nothing that names people and places is."""

from __future__ import annotations

import getpass
import json
import platform
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from harness.boards.check import check_device
from harness.boards.kind import CheckStep
from harness.boards.lease import lease
from harness.boards.report.collect import collect
from harness.boards.report.pack import write_report
from harness.boards.resolve import get_profile
from harness.core.errors import UserInputError
from harness.results.record import Finding
from harness.results.store import Store
from tests.support.fixtures_boards import SshServer
from tests.support.fixtures_results import RUN, make_info, make_key, make_records

#: what stands in profile, environment, records and logs below and must not stand in a report
SECRETS = {
    "host": "bench-seventeen.lab.example.org",
    "host's first label": "bench-seventeen",
    "jump host": "gate.corp.example.org",
    "user": "alice-lab",
    "jump user": "bobby",
    "key file": "/srv/keys/lab_rsa_4096",
    "password": "correct-horse",
    "environment value": "licence-1234-5678",
    "delegate option": "/opt/acme/model.blob",
    "power note": "outlet 4 of the cellar",
    "address in a log": "198.51.100.23",
    "mac in a log": "02:00:5e:10:00:ff",
    "user of a home in a log": "carol",
    "mail in a finding": "dave@example.net",
    "token of this machine": "ghx-0123456789",
}
PROFILE = """\
name: desk
title: Raspberry Pi 4, Debian 12
link:
  type: ssh
  host_env: DESK_HOST
  port: 40022
  user: alice-lab
  key_files: [/srv/keys/lab_rsa_4096]
  password_env: DESK_PASSWORD
  jump: {host: gate.corp.example.org, user: bobby}
runtime:
  module: ai_edge_litert
  python: /usr/bin/python3
backends:
  npu:
    threads: 2
    env: {VENDOR_LICENCE: licence-1234-5678, VENDOR_LEVEL: 3}
    delegate:
      path: /usr/lib/libvx_delegate.so
      name: vx
      options: {device_id: 0, blob: /opt/acme/model.blob, mode: driver}
power:
  note: outlet 4 of the cellar
"""
LOG = """\
INFO: vx delegate on bench-seventeen, driver 6.4.3
WARN: eth0 02:00:5e:10:00:ff at 198.51.100.23, alice-lab's /home/carol/cache, port 40022
ERROR: licence licence-1234-5678 not found in /opt/acme/model.blob
"""


@pytest.fixture
def desk(write_profile, devices_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A board that nobody can reach, in a lab with secrets."""
    monkeypatch.setenv("DESK_HOST", SECRETS["host"])
    monkeypatch.setenv("DESK_PASSWORD", SECRETS["password"])
    monkeypatch.setenv("FORGE_TOKEN", SECRETS["token of this machine"])
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    write_profile("desk", PROFILE)
    return get_profile("desk", devices_dir)


@pytest.fixture
def desk_results(tmp_path: Path) -> Path:
    """Two records of the board, the older one with a log that tells too much; one of another device."""
    records = make_records()
    first = make_key("mnist-cnn", "ptq-int8-io", "desk", "npu")
    second = replace(first, recipe="ptq-float32")
    template = next(record for record in records if record.outcome == "ok")
    finding = Finding(
        code="seen", severity="info", where=first.text, what=f"ask {SECRETS['mail in a finding']}", fix="wait"
    )
    reason = f"evaluate: the connection to {SECRETS['host']}:40022 was lost, said {SECRETS['token of this machine']}"
    cells = [
        replace(template, key=first, board_log=LOG, findings=[finding]),
        replace(template, key=second, outcome="failed", reason=reason, board_log=None),
        replace(template, key=replace(first, device="other")),
    ]
    results = tmp_path / "results"
    with Store.open(results) as store:
        store.begin_run(make_info(cells))
        for cell in cells:
            store.add_cell(cell)
    return results


def members(path: Path) -> dict[str, str]:
    """Name -> text of every file in a report."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_no_secret_of_profile_environment_records_or_logs_is_in_the_file(desk, desk_results, tmp_path):
    report = collect(desk, results=desk_results, ask=False)
    write_report(report, tmp_path / "desk.zip")
    found = [
        (what, name)
        for name, text in members(tmp_path / "desk.zip").items()
        for what, secret in SECRETS.items()
        if secret.lower() in text.lower() or secret.lower() in name.lower()
    ]
    assert not found
    assert all("40022" not in text for text in members(tmp_path / "desk.zip").values())


def test_what_helps_a_reader_is_in_the_file(desk, desk_results, tmp_path):
    write_report(collect(desk, results=desk_results, ask=False), tmp_path / "desk.zip")
    files = members(tmp_path / "desk.zip")
    profile = json.loads(files["profile.json"])
    npu = profile["backends"]["npu"]
    assert (profile["name"], profile["title"]) == ("desk", "Raspberry Pi 4, Debian 12")
    assert profile["link"]["host_env"] == "DESK_HOST"
    assert npu["delegate"]["path"] == "/usr/lib/libvx_delegate.so"
    assert npu["delegate"]["options"] == {"device_id": "0", "blob": "[value]", "mode": "[value]"}
    assert npu["env"] == {"VENDOR_LICENCE": "[environment value]", "VENDOR_LEVEL": "[environment value]"}
    newest, older = json.loads(files["records.json"])
    assert newest["key"]["device"] == older["key"]["device"] == "desk"
    assert newest["reason"] == "evaluate: the connection to [host]:[port] was lost, said [secret]"
    assert older["latency_median_ns"] > 0 and "board_log" not in older
    [log] = [text for name, text in files.items() if name.startswith("logs/")]
    assert log.startswith("INFO: vx delegate on [host], driver 6.4.3\n")
    assert json.loads(files["versions.json"])["packages"]["numpy"]


def test_the_report_says_what_is_in_it_and_what_was_taken_out(desk, desk_results, tmp_path):
    report = collect(desk, results=desk_results, ask=False)
    write_report(report, tmp_path / "desk.zip")
    files = members(tmp_path / "desk.zip")
    assert report.taken["host"] >= 3 and report.taken["port"] >= 2 and report.taken["key file"] == 1
    assert all(name in files["README.txt"] for name in files if name != "README.txt")
    assert f"host {report.taken['host']}" in files["README.txt"]
    assert "the board was not asked" in files["README.txt"]


def test_an_unreachable_board_is_told_of_and_the_rest_is_packed(desk, tmp_path, harness_cli, devices_dir, ssh_config):
    """The key file does not exist, so that no connection is even tried: the check's first step says so."""
    result = harness_cli("devices", "report", "desk", "--devices-dir", devices_dir, "--results", tmp_path / "none")
    assert result.code == 0
    assert "note: the board could not be used: environment: " in result.out
    assert "note: no records: " in result.out
    files = members(Path("desk-report.zip"))
    assert files["check.txt"].startswith("FAIL environment: ")
    assert "Not to be had:" in files["README.txt"]
    assert json.loads(files["board.json"]) == {"seen": "never", "fingerprint": None}
    assert not [s for s in SECRETS.values() for text in (*files.values(), result.out, result.err) if s in text]


def test_a_board_that_others_use_is_not_waited_for(desk_results, devices_dir, runtime_cache, tmp_path, write_profile):
    write_profile("here", HERE)
    profile = get_profile("here", devices_dir)
    with lease(profile, run="run-7"):
        report = collect(profile, results=desk_results)
    assert any("in use by process" in problem for problem in report.problems)


HERE = """\
name: here
title: this machine
link: {type: local}
runtime: {module: ai_edge_litert, package: ai-edge-litert==2.3.0}
backends: {cpu: {}}
exclusive: report-test
"""


def test_a_file_that_exists_is_not_replaced(desk, tmp_path, harness_cli, devices_dir):
    target = tmp_path / "mine.zip"
    target.write_text("precious")
    result = harness_cli("devices", "report", "desk", "--devices-dir", devices_dir, "--output", target)
    assert result.code == 1 and "exists already" in result.err
    with pytest.raises(UserInputError, match="exists already"):
        write_report(collect(desk, results=tmp_path, ask=False), target)
    assert target.read_text() == "precious"


def test_a_damaged_store_costs_the_records_only(desk, tmp_path):
    results = tmp_path / "damaged"
    results.mkdir()
    (results / "store.sqlite").write_bytes(b"no database at all" * 100)
    report = collect(desk, results=results, ask=False)
    assert any(problem.startswith("no records: ") for problem in report.problems)
    assert [file.name for file in report.files] == ["profile.json", "board.json", "versions.json"]


def test_a_real_board_over_ssh_is_checked_and_says_what_it_is(
    pinned_sshd: SshServer, ssh_client_key, devices_dir, write_profile, runtime_cache, tmp_path
):
    write_profile(
        "real",
        f"""\
name: real
title: this machine over SSH
link: {{type: ssh, host: 127.0.0.1, port: {pinned_sshd.port}, user: {getpass.getuser()}, key_files: [{ssh_client_key}]}}
runtime: {{module: ai_edge_litert, package: ai-edge-litert==2.3.0}}
backends: {{cpu-ref: {{kernels: reference}}, cpu: {{}}}}
agent: {{directory: {tmp_path / "agent"}}}
""",
    )
    report = collect(get_profile("real", devices_dir), results=tmp_path / "none")
    files = {file.name: file.text for file in report.files}
    assert "ok   backend cpu: right answers" in files["check.txt"]
    board = json.loads(files["board.json"])
    assert board["seen"] == "now" and board["fingerprint"]["runtime"] == "ai-edge-litert 2.3.0"
    assert str(pinned_sshd.port) not in "".join(files.values())
    assert str(ssh_client_key) not in "".join(files.values())


def test_the_newest_records_come_first_and_no_more_than_asked_for(desk, desk_results):
    [file] = [f for f in collect(desk, results=desk_results, records=1, ask=False).files if f.name == "records.json"]
    [record] = json.loads(file.text)
    assert record["key"]["recipe"] == "ptq-float32" and record["run"] == RUN


def test_the_board_is_what_its_newest_record_says_where_it_was_not_asked(desk, desk_results):
    [file] = [f for f in collect(desk, results=desk_results, ask=False).files if f.name == "board.json"]
    board = json.loads(file.text)
    assert board["seen"].startswith(f"in run {RUN}") and board["fingerprint"]["runtime"]


def test_a_host_name_that_only_the_board_knows_is_taken_out(desk, desk_results, monkeypatch):
    """A board without a model of its own is called by its host name, which stands in no profile."""
    steps = [
        CheckStep(
            name="login", ok=True, detail="ssh desk: nine-of-bench, aarch64, 4 cores", private=("nine-of-bench",)
        ),
        CheckStep(name="agent", ok=False, detail="nine-of-bench closed the connection"),
    ]
    monkeypatch.setattr("harness.boards.report.collect.check_device", lambda profile, progress: iter(steps))
    report = collect(desk, results=desk_results)
    files = {file.name: file.text for file in report.files}
    assert files["check.txt"].startswith("ok   login: ssh desk: [host], aarch64, 4 cores\n")
    assert not [name for name, text in files.items() if "nine-of-bench" in text]
    assert report.problems[0] == "the board could not be used: agent: [host] closed the connection"


def test_the_check_of_a_board_with_linux_says_its_host_name(devices_dir, runtime_cache, write_profile):
    write_profile("here", HERE)
    login = next(step for step in check_device(get_profile("here", devices_dir)) if step.name == "login")
    assert login.private == (platform.node(),)
