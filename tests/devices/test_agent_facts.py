"""What the agent tells of the board."""

from __future__ import annotations

import pytest
from agent import facts


@pytest.mark.parametrize(
    "cpuinfo, name",
    [
        ("processor\t: 0\nmodel name\t: ARMv7 Processor rev 4 (v7l)\n", "ARMv7 Processor rev 4 (v7l)"),
        ("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd03\n", "Cortex-A53"),
        ("processor\t: 0\nCPU part\t: 0xfff\n", "Arm part 0xfff"),
        ("processor\t: 0\nHardware\t: Some SoC\n", "Some SoC"),
        ("", None),
    ],
)
def test_the_processor_is_named_on_any_architecture(monkeypatch, cpuinfo, name):
    monkeypatch.setattr(facts, "read_text", lambda path: cpuinfo)
    assert facts.cpu_model() == name
