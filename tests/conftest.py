"""Shared set-up of the tests: each part of the project brings its fixtures in a file of its own."""

_FIXTURES = (
    "session", "build", "audit", "boards", "results", "kernels", "devices", "emulation", "vela", "npu", "firmware", "serial",
    "plan", "mcu_board", "wrong",
)  # fmt: skip
pytest_plugins = [f"tests.support.fixtures_{name}" for name in _FIXTURES]
