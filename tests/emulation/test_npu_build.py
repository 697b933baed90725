"""Building the NPU stand-in: once per source and compiler, and clear words where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.core.errors import MissingPartError, UserInputError
from harness.emulation.npu import build as npu_build
from harness.emulation.npu.build import build_standin


def test_the_library_is_built_once(standin: Path, monkeypatch):
    monkeypatch.setattr(npu_build, "_compile", lambda *_: pytest.fail("it was compiled again"))
    assert build_standin("native") == standin


@pytest.mark.parametrize("target, packages", [("native", "gcc libc6-dev"), ("aarch64", "gcc-aarch64-linux-gnu")])
def test_a_missing_compiler_names_its_debian_package(monkeypatch, target, packages):
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(npu_build.platform, "machine", lambda: "x86_64")
    with pytest.raises(MissingPartError, match=packages):
        build_standin(target)


def test_what_the_compiler_says_is_quoted_and_nothing_is_left(monkeypatch, tmp_path):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "npu").mkdir()
    (tmp_path / "npu" / "broken.c").write_text("int broken(void) { return nothing; }\n")
    monkeypatch.setattr(npu_build.paths, "packaged_devices_dir", lambda: tmp_path)
    with pytest.raises(MissingPartError, match="nothing"):
        build_standin("native")
    assert not list((tmp_path / "cache").rglob("*.so"))


def test_other_sources_make_another_library(standin, monkeypatch, tmp_path):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "npu").mkdir()
    (tmp_path / "npu" / "other.c").write_text("int other(void);\nint other(void) { return 1; }\n")
    monkeypatch.setattr(npu_build.paths, "packaged_devices_dir", lambda: tmp_path)
    assert build_standin("native").parent.name != standin.parent.name


def test_an_unknown_target_names_those_that_are_known():
    with pytest.raises(UserInputError, match="aarch64"):
        build_standin("arm64")
