"""Shared set-up of the tests: each part of the project brings its fixtures in a file of its own."""

import importlib.util

_FIXTURES = (
    "fixtures_build",
    "fixtures_audit",
    "fixtures_boards",
    "fixtures_results",
    "fixtures_kernels",
    "fixtures_devices",
    "fixtures_emulation",
    "fixtures_vela",
    "fixtures_npu",
    "fixtures_firmware",
    "fixtures_serial",
    "fixtures_plan",
    "fixtures_mcu_board",
)
pytest_plugins = [f"tests.{name}" for name in _FIXTURES if importlib.util.find_spec(f"tests.{name}")]
