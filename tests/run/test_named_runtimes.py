"""Releases that the command line names: one that does not exist ends the command, one that cannot be had fails its cells."""

from __future__ import annotations

import pytest

from harness.core.errors import MissingPartError, UserInputError
from harness.envs import hostenv
from harness.envs.pip_said import no_such_version
from harness.run.matrix import choose_devices, install_named_runtimes
from harness.run.options import RunOptions


@pytest.fixture
def pip(tmp_path, monkeypatch):
    """Makes the installation end with an error; the environment before it is not made either."""
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path))

    def ends_with(error: Exception) -> None:
        def run(*_command: object, **_settings: object) -> list[str]:
            raise error

        monkeypatch.setattr(hostenv, "_run", run)

    return ends_with


def devices(*runtimes: str):
    return choose_devices(RunOptions(devices=("host-tflite",), runtimes=runtimes))


def test_a_release_that_does_not_exist_ends_the_command_before_anything_is_built(pip):
    pip(no_such_version("satisfies the requirement tflite-runtime==99 (from versions: 2.13.0, 2.14.0)"))
    with pytest.raises(UserInputError, match="the package index has no tflite-runtime 99") as caught:
        install_named_runtimes(devices("tflite-runtime==2.14.0", "tflite-runtime==99"), lambda text: None)
    assert caught.value.hint == "it has 2.13.0, 2.14.0"


def test_one_that_cannot_be_had_now_is_left_to_its_cells_and_the_devices_own_is_not_looked_at(pip):
    pip(MissingPartError("no network"))
    install_named_runtimes(devices("tflite-runtime==99"), lambda text: None)
    pip(AssertionError("nothing is installed"))
    install_named_runtimes(devices(), lambda text: None)
