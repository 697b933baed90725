"""One device with several releases of a runtime: ids, what is installed, and who cannot."""

from __future__ import annotations

import pytest

from harness.boards.linux.twin import twin_machine
from harness.boards.predict import predict
from harness.boards.resolve import get_profile, get_profiles
from harness.boards.runtimes import runtime_id, split_runtime
from harness.core.errors import UserInputError
from harness.run.matrix import choose_devices
from harness.run.options import RunOptions

OLD = "ai-edge-litert==1.2.0"


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("host-litert", ("host-litert", None)),
        ("host-litert@ai-edge-litert-1.2.0", ("host-litert", OLD)),
        ("imx8mp@qemu", ("imx8mp@qemu", None)),
        ("imx8mp@qemu@tflite-runtime-2.14.0", ("imx8mp@qemu", "tflite-runtime==2.14.0")),
        ("ai-edge-litert-1.2.0", ("ai-edge-litert-1.2.0", None)),
        ("host-litert@ai-edge-litert", ("host-litert@ai-edge-litert", None)),
    ],
)
def test_an_id_tells_its_release(device, expected):
    assert split_runtime(device) == expected
    if expected[1]:
        assert runtime_id(*expected) == device


def test_each_release_is_a_device_of_its_own():
    options = RunOptions(
        devices=("host-litert",), runtimes=(OLD, "ai-edge-litert==2.3.0", "tflite-runtime==2.14.0", OLD)
    )
    chosen = choose_devices(options)
    assert [(c.device, c.profile.runtime.package, c.profile.runtime.module) for c in chosen] == [
        ("host-litert@ai-edge-litert-1.2.0", OLD, "ai_edge_litert"),
        ("host-litert", "ai-edge-litert==2.3.0", "ai_edge_litert"),  # its own release: the device itself
        ("host-litert@tflite-runtime-2.14.0", "tflite-runtime==2.14.0", "tflite_runtime"),
    ]
    assert {c.profile.lock_name for c in chosen} == {"host-cpu"}


def test_an_id_names_the_same_device_as_the_option():
    """A stored run, a report or a lease knows a device by its id alone."""
    [by_option] = get_profiles(["host-litert"], runtimes=[OLD])
    by_id = get_profile("host-litert@ai-edge-litert-1.2.0")
    assert by_id == by_option and by_id.title.endswith("with ai-edge-litert 1.2.0")
    assert by_id.where == get_profile("host-litert").where


def test_the_image_of_a_twin_gets_the_release():
    [twin] = get_profiles(["imx8mp"], emulated=True, runtimes=[OLD])
    assert twin.name == "imx8mp@qemu@ai-edge-litert-1.2.0"
    assert (twin.link.spec.runtime, twin.runtime.module, twin.runtime.python) == (
        OLD,
        "ai_edge_litert",
        "/usr/bin/python3",
    )
    assert twin_machine(get_profile("imx8mp")).runtime == "tflite-runtime==2.14.0"


def test_what_is_predicted_is_of_the_release():
    from harness.boards.connect import backend_spec
    from harness.tflite.graph import read_graph
    from tests.support.tiny_model import float_mlp

    graph = read_graph(float_mlp())
    profile = get_profile("host-litert@tflite-runtime-2.14.0")
    assert predict(graph, graph.size_bytes, profile, backend_spec(profile, "cpu")).runtime == "tflite-runtime 2.14.0"


@pytest.mark.parametrize("device", ["imx8mp", "cortex-m4", "cortex-m4@qemu", "imx93@vela"])
def test_boards_that_bring_their_own_are_refused(device):
    with pytest.raises(UserInputError, match="brings its own runtime.*host-litert.*imx8mp@qemu"):
        get_profiles([device], runtimes=[OLD])


@pytest.mark.parametrize("package", ["ai-edge-litert", "tensorflow==2.21.0", "ai-edge-litert==1.2.0; x"])
def test_what_is_no_pinned_runtime_is_refused(package):
    with pytest.raises(UserInputError, match="not a pinned runtime|unknown runtime package"):
        get_profiles(["host-litert"], runtimes=[package])


def test_a_release_is_named_once():
    with pytest.raises(UserInputError, match="names a runtime already"):
        get_profiles(["host-litert@ai-edge-litert-1.2.0"], runtimes=[OLD])


def test_nightly_takes_the_host_device_of_each_release():
    from harness.nightly.defaults import _default_devices

    assert _default_devices(True, (OLD, "tflite-runtime==2.14.0")) == (
        "host-litert@ai-edge-litert-1.2.0",
        "host-tflite@tflite-runtime-2.14.0",
        "imx8mp@qemu@ai-edge-litert-1.2.0",
        "imx8mp@qemu@tflite-runtime-2.14.0",
    )
