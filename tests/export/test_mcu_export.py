"""An exported C library: built by its CMake file and by its listed line, run by a program that is not the harness's."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.core.errors import HarnessError, UserInputError
from harness.core.files import sha256_file
from harness.core.fingerprint import Fingerprint
from harness.core.tensor import TensorIo
from harness.export.export import export
from harness.export.mcu import library
from harness.export.mcu.library import library_name
from harness.export.shipped import ship
from harness.results.objects import ObjectStore
from tests.export.test_shipped import shipped
from tests.support import tiny_model
from tests.support.bare_metal_build import BOARDS
from tests.support.exported import link_user_program, run_user_program


def run(command: list[str] | str, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, shell=isinstance(command, str))
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def listed(readme: str, start: str) -> str:
    """The line of a README's code block that begins so."""
    return next(line.strip() for line in readme.splitlines() if line.startswith(f"    {start}"))


def test_a_users_own_program_gets_the_bits_and_the_counts_that_were_measured(mcu_run, prepare_mcu, tmp_path: Path):
    (record,) = mcu_run(prepare_mcu(tiny_model.mnist_cnn(), samples=6))
    assert record.outcome == "ok", record.reason
    made = export(ship(record, ObjectStore(tmp_path / "results")), tmp_path / "tiny", name="tiny")
    folder, board = made.folder, BOARDS["cortex-m4"]
    readme, manifest = (folder / "README.md").read_text(), json.loads((folder / "export.json").read_text())
    assert manifest["model"]["sha256"] == record.artifact_sha256 and record.artifact_sha256 in readme
    assert all(sha256_file(folder / name) == sha256 for name, sha256 in manifest["files"].items())
    # Without CMake: the listed line, warnings as errors.
    objects_folder = shutil.copytree(folder, tmp_path / "by-hand")
    line = listed(readme, "arm-none-eabi-gcc")
    assert "-Werror" in line and "-Wextra" in line
    run(line, objects_folder)
    built = sorted(objects_folder.glob("*.o"))
    # Every name begins with the library's own: several of them fit into one program.
    names = run(["arm-none-eabi-nm", "-g", "--defined-only", *map(str, built)], folder)
    assert {n.split("_")[0] for n in re.findall(r" [A-Z] (\w+)$", names, re.MULTILINE)} == {"tiny"}
    kernels = {path.name for path in (folder / "src").glob("*.c")}
    assert (
        "resize.c" not in kernels
        and "softmax.c" not in kernels
        and "svdf.c" not in kernels
        and "plan_run_more.c" not in kernels
    )
    # With CMake, and the header in C++.
    core = " ".join([*board.core_flags, f"-mcpu={board.core}", "-mthumb"])
    cmake = ["cmake", "-G", "Unix Makefiles", "-DCMAKE_SYSTEM_NAME=Generic", "-DCMAKE_C_COMPILER=arm-none-eabi-gcc"]
    cmake += [f"-DCMAKE_C_FLAGS={core}", "-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY"]
    run([*cmake, "-S", str(folder), "-B", "cmake"], tmp_path)
    run(["cmake", "--build", "cmake"], tmp_path)
    (tmp_path / "main.cpp").write_text('#include "tiny.h"\nint main() { return tiny_output_0() != nullptr; }\n')
    run(
        ["arm-none-eabi-g++", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{folder / 'include'}", "-c", "main.cpp"],
        tmp_path,
    )
    # The program: start-up, counter and main are not the harness's.
    link_user_program(board, folder, [tmp_path / "cmake" / "libtiny.a"], tmp_path / "user.elf")
    rows = run_user_program(board, tmp_path / "user.elf")
    assert [apart for apart, _ in rows] == [0] * 4
    # To the instruction, once what reading each program's own counter takes is off.
    reading = manifest["counter_instructions"]
    assert 0 < reading < 64 and f"of which {reading} instructions are these readings" in readme
    assert [count for _, count in rows] == [count - reading for count in manifest["example_counts"]]
    assert manifest["example_counts"][0] == record.instructions
    # The listed lines of the example, too: they print what was measured.
    run(_example_line(readme), folder)
    assert (folder / "tiny-example.elf").is_file()


def test_a_float_model_is_exported_with_its_kernels(mcu_run, prepare_mcu, tmp_path: Path):
    """Writing it runs the library under QEMU: the same bits and the same counts, or an error."""
    (record,) = mcu_run(prepare_mcu(tiny_model.float_mlp(), samples=4))
    assert record.outcome == "ok", record.reason
    made = export(ship(record, ObjectStore(tmp_path / "results")), tmp_path / "tiny", name="tiny")
    manifest = json.loads((made.folder / "export.json").read_text())
    assert manifest["ops"] == ["FLOAT_CONV_2D", "FLOAT_SOFTMAX"]
    kernels = {path.name for path in (made.folder / "src").glob("*.c")}
    assert {"float_conv.c", "float_reduce.c", "float_math.c", "plan_run_float.c"} <= kernels
    assert not {"float_pairs.c", "float_recurrent.c", "conv.c", "svdf.c"} & kernels
    assert any("to the bit" in line for line in made.lines)


def _example_line(readme: str) -> str:
    return next(line.strip() for line in readme.splitlines() if "example/main.c" in line and line.startswith("    arm"))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64", "float32", "bool"])
def test_every_type_of_an_input_has_its_word_in_c(dtype: str):
    found = library._tensor(TensorIo(name="x", dtype=dtype, shape=(1, 3)))
    assert found["bytes"] == 3 * np.dtype(dtype).itemsize and found["ctype"]


def test_what_is_not_what_was_measured_is_not_exported(tmp_path: Path):
    """Of a record that says other outputs than the model's, and of one with another firmware than is built here."""
    fingerprint = Fingerprint(runtime="plan 1 (dsp)", board_model="mps2-an386", machine="arm")
    base = shipped()
    record = replace(base.record, fingerprint=fingerprint, time_basis="guest-instructions")
    samples = replace(base.samples, counts=np.array([1, 1]))
    told = "does not do what was measured: sample 0: [1-9][0-9]* bytes differ, [0-9]+ instructions, measured 1;"
    with pytest.raises(HarnessError, match=told):
        export(replace(base, record=record, samples=samples), tmp_path / "tiny")
    other = replace(fingerprint, firmware="0123456789abcdef, gcc 1")
    with pytest.raises(UserInputError, match="is the build 0123456789abcdef"):
        export(replace(base, record=replace(record, fingerprint=other, code_bytes=1)), tmp_path / "tiny")
    assert not (tmp_path / "tiny").exists() and not list(tmp_path.glob(".tmp-*"))


@pytest.mark.parametrize(
    ("wanted", "workload", "name"),
    [
        (None, "kws_ref_model.tflite", "kws_ref_model"),
        (None, "3-Dense (Ünï)", "net_3_dense_n"),
        (None, "int", "int_net"),
        (None, "***", "net"),
        ("kws", "x", "kws"),
    ],
)
def test_names_of_libraries(wanted: str | None, workload: str, name: str):
    assert library_name(wanted, workload) == name


@pytest.mark.parametrize("wanted", ["", "Kws", "2nd", "a-b", "while", "x" * 40, "a;rm"])
def test_what_is_no_name_of_c_is_refused(wanted: str):
    with pytest.raises(UserInputError, match="cannot begin the names"):
        library_name(wanted, "x")
