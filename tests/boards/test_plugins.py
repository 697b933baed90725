"""Links and kinds of boards of other packages: the guides' own examples, installed, and broken ones beside them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from harness.core.errors import MissingPartError
from harness.core.plugins import load_plugin, plugin_names
from harness.results.store import Store
from tests.support import tiny_model
from tests.support.fixtures_devices import CliResult
from tests.support.places import ROOT
from tests.support.plugin_packages import Package, files_of_page, install, unpack

SERIAL, BUILD = "0123456789ABCDEF", "google/oriole/oriole:14/AP1A.240505.004"
#: the bridge of a phone that is this machine: what it is asked to start runs here
ADB = f"""#!/bin/sh
[ "$1" = -s ] && [ "$2" = {SERIAL} ] || {{ echo "error: device '$2' not found" >&2; exit 1; }}
shift 2
case "$1" in
get-state) echo device ;;
shell) [ "$2" = -T ] || exit 1; exec sh -c "$3" ;;
*) exit 1 ;;
esac
"""
GETPROP = f"""#!/bin/sh
[ "$1" = ro.build.fingerprint ] && echo {BUILD}
"""
#: says in a file that it was imported, then fails
BROKEN = """import os, pathlib
pathlib.Path(os.environ["IMPORTED"]).touch()
raise RuntimeError("its own fault")
"""
BROKEN_PACKAGE = Package(
    name="harness-broken",
    version="0.3",
    modules={"harness_broken.py": BROKEN},
    entry_points={
        "harness.links": {"broken": "harness_broken:Link"},
        "harness.boards": {"broken": "harness_broken:KIND"},
    },
)


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A machine with packages of somebody else's, and a folder of profiles."""

    devices: Path
    cli: Callable[..., CliResult]

    def read(self, name: str) -> str:
        """A profile's text."""
        return self.devices.joinpath(f"{name}.yaml").read_text()

    def write(self, name: str, text: str) -> None:
        """Writes a profile."""
        self.devices.joinpath(f"{name}.yaml").write_text(text)

    def rows(self) -> dict[str, dict[str, object]]:
        """`harness devices list` by name."""
        listed = self.cli("devices", "list", "--devices-dir", self.devices, "--json", "-")
        assert listed.code == 0, listed.err
        return {row["name"]: row for row in json.loads(listed.out)["devices"]}

    def reason(self, name: str) -> str:
        """Why a device cannot be used."""
        return str(self.rows()[name]["reason"])


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of both guides and a broken one, installed."""
    target, work = tmp_path_factory.mktemp("packages"), tmp_path_factory.mktemp("wheels")
    for package in (*map(Package.of_page, ("adding-a-link.md", "adding-a-board-kind.md")), BROKEN_PACKAGE):
        install(package, target, work)
    return target


@pytest.fixture
def desk(
    packages: Path,
    devices_dir: Path,
    runtime_cache: Path,
    tflite_python: str,
    harness_cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Desk:
    """A desk with the packages, a phone behind a fake bridge, and the guides' profiles of it."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in (("adb", ADB), ("getprop", GETPROP)):
        programs.joinpath(name).write_text(text)
        programs.joinpath(name).chmod(0o755)
    environment = {
        "PYTHONPATH": str(packages),
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PHONE_SERIAL": SERIAL,
        "HARNESS_AGENT_DIR": str(tmp_path / "phone"),
        "IMPORTED": str(tmp_path / "imported"),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(packages)
    made = Desk(devices=devices_dir, cli=harness_cli)
    for page, name in (("adding-a-link.md", "phone"), ("adding-a-board-kind.md", "pixel")):
        text = files_of_page(page)[f"devices/{name}.yaml"]
        made.write(name, text.replace("/data/local/tmp/python/bin/python3", tflite_python))
    return made


@pytest.fixture
def house() -> Callable[[], str]:
    """A hash of every file of the harness."""

    def digest() -> str:
        files = [f for f in sorted(ROOT.joinpath("harness").rglob("*")) if f.is_file() and "__pycache__" not in f.parts]
        return hashlib.sha256(b"".join(str(f).encode() + f.read_bytes() for f in files)).hexdigest()

    return digest


# ---------------------------------------------------------------------------------------------- the guides' examples


def test_boards_of_other_packages_are_devices_like_any_other(desk: Desk, tmp_path: Path):
    rows = desk.rows()
    phone, pixel = rows["phone"], rows["pixel"]
    assert (phone["kind"], phone["link"], phone["available"]) == ("linux", f"adb {SERIAL}", True)
    assert (pixel["kind"], pixel["link"], pixel["runtime"]) == ("android", f"adb {SERIAL}", "tflite_runtime")
    assert rows["host-litert"]["link"] == "local"
    assert not tmp_path.joinpath("imported").exists(), "a package was imported that no profile names"


def test_a_check_and_cells_run_through_a_link_and_a_kind_of_other_packages(desk: Desk, tmp_path: Path, house):
    before = house()
    program = [sys.executable, "-m", "harness.cli.main"]
    check = [*program, "devices", "check", "pixel", "--devices-dir", desk.devices]
    checked = subprocess.run(check, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"adb {SERIAL}: " in checked.stdout and f"Android {BUILD}" in checked.stdout
    assert "ok   backend cpu: right answers, on the CPU" in checked.stdout
    model = tmp_path / "tiny.tflite"
    model.write_bytes(tiny_model.int8_dense())
    options = ["--devices-dir", desk.devices, "--results", tmp_path / "results", "--samples", "64", "--budget", "2s"]
    measure = [*program, "measure", model, "--device", "phone", "--device", "pixel", *options]
    ran = subprocess.run(measure, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    with Store.open(tmp_path / "results", create=False) as store:
        cells = {cell.key.device: cell for cell in store.cells(run="latest")}
    assert {name: cell.outcome for name, cell in cells.items()} == {"phone": "ok", "pixel": "ok"}
    assert cells["pixel"].fingerprint.bsp == f"Android {BUILD}" != cells["phone"].fingerprint.bsp
    assert all(cell.latency_samples and cell.prediction["loads"] for cell in cells.values())
    assert house() == before


def test_a_kind_of_another_package_may_refuse_its_board(desk: Desk):
    desk.write("pixel", desk.read("pixel").replace(BUILD, "google/another"))
    checked = desk.cli("devices", "check", "pixel", "--devices-dir", desk.devices)
    assert checked.code == 2
    assert f"FAIL agent: pixel: the phone has {BUILD}, the profile wants google/another" in checked.out


def test_fields_of_other_packages_are_checked_with_their_place(desk: Desk):
    text = desk.read("phone")
    desk.write("phone", text.replace("serial_env: PHONE_SERIAL", "serail: x"))
    desk.write("other", text.replace("name: phone", "name: other").replace("serial_env: PHONE", "serial: a b #"))
    rows = desk.rows()
    assert "phone.yaml:5:3: unknown field 'link.serail'; did you mean serial or serial_env?" in str(
        rows["phone"]["reason"]
    )
    assert 'other.yaml:5:11: link.serial: found "a b"; allowed: a serial number as `adb' in str(rows["other"]["reason"])


def test_a_missing_address_says_which_line_to_write(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("PHONE_SERIAL")
    reason = desk.reason("phone")
    assert "no serial number is known: PHONE_SERIAL is not set" in reason
    assert "`phone: {link: {serial: 0123456789ABCDEF}}`" in reason
    monkeypatch.setenv("PHONE_SERIAL", "a;b")
    assert "$PHONE_SERIAL holds 'a;b', which is no serial number" in desk.reason("phone")


# ---------------------------------------------------------------------------------------------- what is not there, or broken


def test_unknown_words_are_told_with_their_place_and_the_known_ones(desk: Desk):
    desk.write("phone", desk.read("phone").replace("type: adb", "type: abd"))
    desk.write("pixel", desk.read("pixel").replace("kind: android", "kind: androit"))
    rows = desk.rows()
    assert "phone.yaml:4:9: link.type: found 'abd'; allowed: 'local', 'ssh', 'adb', 'broken'" in str(
        rows["phone"]["reason"]
    )
    allowed = "'linux', 'mcu', 'android' or 'broken'"
    assert f'pixel.yaml:3:7: kind: found "androit"; allowed: {allowed}' in str(rows["pixel"]["reason"])
    assert "a package can bring others (docs/guides/adding-a-link.md)" in str(rows["phone"]["reason"])
    assert "a package can bring others (docs/guides/adding-a-board-kind.md)" in str(rows["pixel"]["reason"])


def test_a_package_that_does_not_import_costs_its_own_name_only(desk: Desk):
    text = desk.read("phone")
    desk.write("cracked", text.replace("name: phone", "name: cracked").replace("type: adb", "type: broken"))
    text = desk.read("pixel")
    desk.write("split", text.replace("name: pixel", "name: split").replace("kind: android", "kind: broken"))
    rows = desk.rows()
    why = "the plug-in 'broken' of harness-broken 0.3 does not import: RuntimeError: its own fault"
    cracked, split = str(rows["cracked"]["reason"]), str(rows["split"]["reason"])
    assert f"cracked.yaml:4:9: link.type: {why}" in cracked and "allowed" not in cracked
    assert f"split.yaml:3:7: kind: {why}" in split and "allowed" not in split
    assert rows["phone"]["available"] is True and rows["pixel"]["available"] is True


def test_a_link_that_starts_no_programs_is_none_for_a_board_with_linux(desk: Desk):
    text = desk.read("phone")
    desk.write("phone", text.replace("type: adb\n  serial_env: PHONE_SERIAL", "type: serial\n  port: /dev/ttyACM0"))
    assert "needs a link that starts programs" in desk.reason("phone")


def test_two_packages_of_one_name_are_both_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("harness-one", "harness-two"):
        unpack(replace(BROKEN_PACKAGE, name=name), tmp_path / "both", tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "both")
    with pytest.raises(MissingPartError, match="harness-one 0.3 and harness-two 0.3 both bring 'broken'"):
        load_plugin("harness.links", "broken", lambda found: True, "a link")


def test_what_is_no_link_is_said_to_be_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    points = {"harness.links": {"odd": "harness_odd:LINK"}}
    package = Package(name="harness-odd", version="1.0", modules={"harness_odd.py": "LINK = 3\n"}, entry_points=points)
    unpack(package, tmp_path / "odd", tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "odd")
    with pytest.raises(MissingPartError, match="harness-odd 1.0 is not a link: harness_odd:LINK is int"):
        load_plugin("harness.links", "odd", lambda found: isinstance(found, type), "a link")


def test_a_damaged_package_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packages: Path):
    damaged = tmp_path / "site" / "damaged-1.0.dist-info"
    damaged.mkdir(parents=True)
    damaged.joinpath("METADATA").write_text("Name: damaged\nVersion: 1.0\n")
    damaged.joinpath("entry_points.txt").write_text("[harness.links]\nno equals sign\n")
    monkeypatch.syspath_prepend(packages)
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert plugin_names("harness.links") == ("adb", "broken")
