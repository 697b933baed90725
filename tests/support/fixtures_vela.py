"""Vela for tests: its real environment, a cache of compiled models of the test's own, and small models as files."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core import paths
from harness.envs.hostenv import ensure_runtime_env
from harness.tflite.vela.compiler import VelaOptions
from tests.support import tiny_model, vela_models
from tests.support.places import SUPPORT

VELA_PACKAGE = "ethos-u-vela==5.2.0"
U65 = VelaOptions(accelerator="ethos-u65-256", system_config="Ethos_U65_High_End", memory_mode="Dedicated_Sram_384KB")


@pytest.fixture(scope="session")
def vela_env() -> Path:
    """The interpreter of an environment with Vela 5.2.0."""
    return ensure_runtime_env(VELA_PACKAGE).python


def _cache_with_environments(own: Path) -> Path:
    """A cache folder that is empty but for the environments, which are made once."""
    real = paths.cache_dir()
    own.mkdir(parents=True, exist_ok=True)
    (own / "envs").symlink_to(real / "envs")
    return own


@pytest.fixture
def vela_cache(vela_env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of compiled models in a cache of this test's own."""
    own = _cache_with_environments(tmp_path / "cache")
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(own))
    return own / "vela"


@pytest.fixture(scope="session")
def _shared_cache(vela_env: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _cache_with_environments(tmp_path_factory.mktemp("vela") / "cache")


@pytest.fixture
def vela_shared(_shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same in a cache that tests share: for those that only read what Vela made."""
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(_shared_cache))
    return _shared_cache / "vela"


@pytest.fixture(scope="session")
def vela_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`vela_model("float_io")`: the file of a small model."""
    folder = tmp_path_factory.mktemp("vela-models")
    makers = {
        "mnist_cnn": tiny_model.mnist_cnn,
        "int8_dense": tiny_model.int8_dense,
        "float_mlp": tiny_model.float_mlp,
        "float_io": vela_models.float_io,
        "split_by_float": vela_models.split_by_float,
        "softmax": vela_models.softmax,
    }

    def file(name: str) -> Path:
        path = folder / f"{name}.tflite"
        if not path.exists():
            path.write_bytes(makers[name]())
        return path

    return file


@pytest.fixture(scope="session")
def ethosu_stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An external delegate that takes `ethos-u` operators and computes nothing."""
    library = tmp_path_factory.mktemp("ethosu") / "libethosu_stub.so"
    compiler = shutil.which("cc") or "cc"
    source = SUPPORT / "ethosu_stub.c"
    headers = paths.packaged_devices_dir() / "npu"
    flags = ["-std=c11", "-O1", "-shared", "-fPIC", "-fvisibility=hidden", f"-I{headers}"]
    subprocess.run([compiler, *flags, "-o", str(library), str(source)], check=True, stdin=subprocess.DEVNULL)
    return library
