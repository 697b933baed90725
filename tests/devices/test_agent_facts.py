"""What the agent tells of the board."""

from __future__ import annotations

from pathlib import Path

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


def test_the_processors_own_thermal_zone_is_preferred(monkeypatch, tmp_path: Path):
    for number, (kind, temp) in enumerate([("battery", "25000"), ("cpu-thermal", "48250")]):
        zone = tmp_path / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "type").write_text(kind + "\n")
        (zone / "temp").write_text(temp + "\n")
    (tmp_path / "cooling_device0").mkdir()
    monkeypatch.setattr(facts, "THERMAL", str(tmp_path))
    assert facts.temperature_c() == 48.25
