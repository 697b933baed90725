"""`imx8mp@qemu`: the real board's profile with its `emulation:` block laid over it, on a real emulated board."""

import pytest

from harness.boards.linux.twin import EmulatedLinkProfile
from harness.boards.resolve import get_profile
from harness.core.errors import UserInputError
from harness.emulation.linux.link import STANDIN_PATH

PROFILE = """
name: toy
title: a board for this test
link: {{type: ssh, host_env: TOY_HOST}}
runtime: {{module: tflite_runtime, python: /usr/bin/python3}}
backends:
  cpu: {{threads: 4, affinity: [0, 1, 2, 3]}}
emulation:
  machine: qemu-aarch64
{extra}
"""


@pytest.fixture
def toy(tmp_path):
    def write(extra=""):
        (tmp_path / "toy.yaml").write_text(PROFILE.format(extra=extra))
        return tmp_path

    return write


def test_the_twin_is_a_device_of_its_own():
    twin = get_profile("imx8mp", emulated=True)
    assert twin.name == "imx8mp@qemu" and isinstance(twin.link, EmulatedLinkProfile)
    assert twin == get_profile("imx8mp@qemu")
    assert twin.time_basis == "host-emulated"
    assert not isinstance(get_profile("imx8mp").link, EmulatedLinkProfile)


def test_the_stand_in_has_its_own_name_and_place():
    npu = get_profile("imx8mp@qemu").backends["npu"]
    assert (npu.delegate.name, npu.delegate.path) == ("npu-standin", STANDIN_PATH)
    assert npu.affinity == () and npu.env == {}


def test_the_stand_in_cannot_be_given_another_name(toy):
    extra = "  backends: {npu: {delegate: {path: /usr/lib/libnpu_standin.so, name: mynpu}}}"
    with pytest.raises(UserInputError, match="found 'mynpu', but .* is the NPU stand-in"):
        get_profile("toy", toy(extra), emulated=True)


def test_a_twin_needs_no_address(monkeypatch):
    from harness.boards.connect import availability

    monkeypatch.delenv("HARNESS_IMX8MP_HOST", raising=False)
    assert availability(get_profile("imx8mp@qemu")).ok


def test_without_overrides_the_cpu_backends_stay_and_their_pinning_goes(toy):
    twin = get_profile("toy@qemu", toy())
    assert list(twin.backends) == ["cpu"]
    assert (twin.backends["cpu"].threads, twin.backends["cpu"].affinity) == (1, ())


def test_deterministic_time_has_its_own_basis(toy):
    assert get_profile("toy@qemu", toy("  icount: true")).time_basis == "guest-instructions"


@pytest.mark.parametrize(
    "extra, words",
    [
        ("  backends: {cpu: {threads: none}}", "backends.cpu.threads"),
        ("  samples: some", "samples"),
        ("  cpu: z80", "z80"),
        ("  colour: red", "colour"),
    ],
)
def test_a_wrong_block_names_the_field(toy, extra, words):
    with pytest.raises(UserInputError, match=words):
        get_profile("toy@qemu", toy(extra))


def test_a_model_runs_on_all_backends_of_the_emulated_board(tmp_path, monkeypatch):
    from click.testing import CliRunner

    from harness.cli.main import cli
    from harness.results.store import Store
    from tests.support.tiny_model import mnist_cnn

    model = tmp_path / "tiny.tflite"
    model.write_bytes(mnist_cnn())
    arguments = ["measure", str(model), "--device", "imx8mp", "--emulated", "--budget", "5s", "--samples", "64"]
    result = CliRunner().invoke(cli, [*arguments, "--results", str(tmp_path / "results")], catch_exceptions=False)
    with Store.open(tmp_path / "results", create=False) as store:
        cells = {c.key.backend: c for c in store.cells(run="latest")}
    assert {b: c.outcome for b, c in cells.items()} == {"cpu-ref": "ok", "cpu": "ok", "npu": "ok"}, result.output
    assert {c.key.device for c in cells.values()} == {"imx8mp@qemu"}
    assert {c.time_basis for c in cells.values()} == {"host-emulated"}
    assert {c.worker_start for c in cells.values()} == {"forked"}
    assert cells["npu"].delegate_name == "npu-standin"
    assert cells["npu"].delegated_nodes == cells["npu"].total_nodes == 3
    assert cells["cpu"].fingerprint.machine == "aarch64"
    assert cells["cpu"].fingerprint.board_model == "NXP i.MX8MPlus EVK board"
    # The first invoke of the stand-in compiles its graph: 3 nodes at 20 ms each.
    assert cells["npu"].first_invoke_ns > 60_000_000
    # A fresh worker finds it in the agent's own cache folder; the CPU backends have none.
    assert cells["npu"].first_invoke_cached_ns > 0 and cells["npu"].load_cached_ns > 0
    assert cells["cpu"].first_invoke_cached_ns is None
    assert cells["npu"].fingerprint.delegate.startswith(f"{STANDIN_PATH} (sha256 ")
