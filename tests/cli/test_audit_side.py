"""Several audits beside each other, and what `audit` and `check` take."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from harness.cli.audit_side import print_side_by_side
from harness.core.finding import Finding
from harness.reports.console import make_console
from harness.session.audited import Audited
from harness.variants.audit.report import AuditReport, LayerRow, TensorRow
from tests.support.tiny_model import int8_dense

IGNORED = Finding(
    code="per-axis-ignored", severity="error", where="conv", what="it ignores per_axis", fix="take another"
)
SMALL = Finding(code="float-weights", severity="info", where="conv", what="too few weights", fix="")


def layer(asked: str, got: str) -> LayerRow:
    return LayerRow(
        name="quant_conv",
        layer_class="Conv2D",
        wrapped=True,
        quantize_config="x",
        float_params=10,
        added_params=6,
        params=16,
        running_params=16,
        has_kernel=True,
        weight_quantizer="AllValuesQuantizer 8 bits",
        output_range="",
        asked=asked,
        got=got,
    )


def audited(recipe: str, got: str, findings: list[Finding]) -> Audited:
    """A model whose quantizer was asked for per-channel weights."""
    weights = TensorRow(
        tensor=1,
        name="w",
        role="weights",
        dtype="int8",
        bits=8,
        shape=[4, 3],
        granularity="per-channel (4)",
        scale="0.1",
        zero_point="0",
        size_bytes=12,
    )
    facts = {"size_bytes": 23_376, "nodes": 5, "arithmetic": "integer", "promised": "integer"}
    types = {"inputs": ["int8[1, 28]"], "outputs": ["int8[1, 10]"]}
    training = AuditReport(
        target=recipe, kind="keras", layers=[layer("per-channel, symmetric, 8 bits", got)], findings=findings
    )
    file = AuditReport(target=recipe, kind="tflite", facts={**facts, **types}, tensors=[weights])
    return Audited(name=f"net:{recipe}", reports=[training, file])


PAIR = [
    audited("a", "per-channel, kernel_min [4], symmetric, 8 bits", [SMALL]),
    audited("b", "per-tensor, kernel_min [], symmetric, 8 bits", [IGNORED]),
    audited("c", "per-tensor, kernel_min [], symmetric, 8 bits", [IGNORED]),
]


def shown(**options: bool) -> str:
    console = make_console(file=io.StringIO(), width=120)
    print_side_by_side(console, PAIR, **options)
    return console.file.getvalue()


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_what_each_quantizer_was_asked_and_got_stands_side_by_side():
    rows = lines(shown())
    assert ["a", "AllValues", "conv", "per-channel", "as", "asked", "(kernel_min", "[4])"] in rows
    assert ["b", "AllValues", "conv", "per-channel", "per-tensor", "(kernel_min", "[])"] in rows
    assert ["a", "23,376", "5", "integer", "int8,", "int8", "6", "0", "0", "1"] in rows
    assert ["a", "int8", "per-channel", "4x3"] in rows


def test_a_finding_stands_once_with_the_models_that_have_it():
    text = shown()
    assert text.count("it ignores per_axis") == 1 and "b, c: conv" in text
    assert "1 finding of severity info is not shown" in text and "too few weights" not in text
    assert "too few weights" in shown(all_findings=True)


def test_a_refused_model_says_why():
    console = make_console(file=io.StringIO(), width=120)
    print_side_by_side(console, [*PAIR, Audited(name="net:d", reports=[], refused="TFMOT fails")])
    assert "d was refused: TFMOT fails" in console.file.getvalue()


def test_several_files_are_audited_side_by_side_unless_all_is_wanted(tmp_path: Path, harness_cli):
    paths = [tmp_path / "one.tflite", tmp_path / "two.tflite"]
    for path in paths:
        path.write_bytes(int8_dense())
    beside, full = harness_cli("audit", *paths), harness_cli("audit", *paths, "--full")
    assert beside.out.count("Weights in the files") == 1 and "Tensors" not in beside.out
    assert full.out.count("Tensors") == 2 and "Weights in the files" not in full.out


@pytest.mark.parametrize("command", [("audit",), ("check", "--device", "host-litert")])
def test_samples_are_for_what_is_built(tmp_path: Path, harness_cli, command: tuple[str, ...]):
    path = tmp_path / "one.tflite"
    path.write_bytes(int8_dense())
    done = harness_cli(*command, path, "--data", tmp_path / "samples.npz")
    assert done.code == 1 and "--data and --metric are for what is built" in done.err


@pytest.mark.parametrize("command", [("audit",), ("check", "--device", "host-litert")])
def test_a_model_file_and_its_samples_are_built_from(tmp_path: Path, harness_cli, command: tuple[str, ...]):
    path = tmp_path / "my.keras"
    path.write_bytes(b"no zip")
    done = harness_cli(*command, f"{path}:ptq-int8-io", "--data", tmp_path / "missing.npz")
    assert done.code == 1 and ("my.keras" in done.err or "missing.npz" in done.err)
    if command[0] == "check":
        alone = harness_cli(*command, path)
        assert alone.code == 1 and f"name what to build of it, such as {path}:ptq-int8-io" in alone.err
