"""The wheel: `harness` works outside the checkout, with its device profiles and board-side files inside."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from tests.support.places import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    # A copy, in which a lab's own addresses stand where a user would write them; git ignores that file.
    source = tmp_path_factory.mktemp("source") / "checkout"
    parts = ("pyproject.toml", "README.md", "LICENSE", ".gitignore", "harness", "devices")
    for part in parts:
        target = source / part
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / part, target)
    (source / "devices" / "local.yaml").write_text("imx8mp: {link: {host: 192.0.2.7}}\n")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """run(*args) -> a `harness` process that sees the unpacked wheel and not the checkout, in an empty folder."""
    site, cwd = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("elsewhere")
    zipfile.ZipFile(wheel).extractall(site)
    # The dependencies come from this environment; the path of the wheel stands before the editable checkout.
    environment = {**os.environ, "PYTHONPATH": str(site), "HARNESS_CONFIG_DIR": str(cwd / "config")}
    environment.pop("HARNESS_DEVICES", None)

    def run(*args):
        command = [sys.executable, "-P", "-m", "harness.cli.main", *args]
        return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=300)

    run.site, run.cwd, run.environment = site, cwd, environment
    return run


def test_profiles_agent_and_kernels_travel_in_the_wheel(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in ("imx8mp.yaml", "host-litert.yaml", "linux/agent/main.py", "linux/boot.py", "kernels/kernels.h"):
        assert f"harness/_devices/{name}" in names
    assert any(n.startswith("harness/results/migrations/versions/") for n in names)
    assert "harness/reports/schema.json" in names
    for name in ("page.html.j2", "page.css", "page.js", "table.js", "plots.js", "graph.js", "detail.js"):
        assert f"harness/reports/page/{name}" in names
    assert any(n.startswith("harness/tflite/runtimes/") for n in names)
    assert "harness/py.typed" in names


def test_the_licence_and_the_mark_of_types_travel_in_the_wheel(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "harness/py.typed" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_nothing_private_or_temporary_is_in_the_wheel(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert not [
        n for n in names if n.endswith(("local.yaml", ".pyc", ".sqlite")) or n.startswith(("tests/", "results/"))
    ]


def test_the_packaged_profiles_are_found(installed):
    result = installed("devices", "list")
    assert result.returncode == 0, result.stderr
    assert "host-litert" in result.stdout and "imx8mp" in result.stdout


def test_a_model_is_measured_outside_the_checkout(installed):
    from tests.support.tiny_model import int8_dense

    (installed.cwd / "tiny.tflite").write_bytes(int8_dense())
    result = installed("measure", "tiny.tflite", "--device", "host-litert", "--backend", "cpu-ref", "--budget", "1s")
    assert result.returncode == 0, result.stdout + result.stderr
    assert (installed.cwd / "results" / "latest" / "comparison.xlsx").is_file()


def test_the_agent_of_the_wheel_is_the_one_that_is_sent(installed):
    from harness.links.bootstrap import agent_source

    code = (
        "from harness.core.paths import packaged_devices_dir\nfrom harness.links.bootstrap import agent_source\n"
        "print(packaged_devices_dir(), agent_source().sha256)"
    )
    result = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, cwd=installed.cwd, env=installed.environment
    )
    # The archive is made of the wheel's sources, and is that of the checkout all the same.
    assert result.stdout.split() == [str(installed.site / "harness" / "_devices"), agent_source().sha256]
