"""The first wrong op as files that stand for themselves: for whoever wrote the kernel, or a colleague without this harness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.core.files import write_bytes_atomic
from harness.explain.document import OpDivergence
from harness.explain.words import divergence_words
from harness.measure.op_cases import OpCase
from harness.results.faults import storage_faults

_TEXT = """\
{op} (node {node} of the model), cut out: {name}.tflite
On {device}, backend {backend}: {words}.

inputs.npz   input_0 ...: {samples} samples of each input, as stored, without the batch axis
right.npz    output_0 ...: real values that the op must give, before they are rounded to the output's type
device.npz   output_0 ...: what the device gave, as stored

A right kernel is within one step of right.npz: output = scale * (stored - zero point).
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Proof:
    """One op that a device gets wrong, with what it was fed and what it gave."""

    case: OpCase
    outputs: tuple[np.ndarray, ...]
    divergence: OpDivergence

    def write(self, folder: Path, *, device: str, backend: str) -> Path:
        """Writes the op's model, its inputs, right values and the device's outputs; returns the folder.

        Raises:
            UserInputError: it cannot be written. HarnessError: the disk is full.
        """
        case = self.case
        name = f"node_{case.node}_{case.op}"
        with storage_faults(folder, option="--save"):
            folder.mkdir(parents=True, exist_ok=True)
            write_bytes_atomic(folder / f"{name}.tflite", case.model)
            _save(folder / "inputs.npz", "input", case.inputs)
            _save(folder / "right.npz", "output", case.expected)
            _save(folder / "device.npz", "output", self.outputs)
            text = _TEXT.format(
                op=case.op,
                node=case.node,
                name=name,
                device=device,
                backend=backend,
                words=divergence_words(self.divergence),
                samples=len(case.inputs[0]),
            )
            write_bytes_atomic(folder / "README.txt", text.encode())
        return folder


def _save(path: Path, name: str, arrays: Sequence[np.ndarray]) -> None:
    import io

    buffer = io.BytesIO()
    named = {f"{name}_{number}": np.asarray(array) for number, array in enumerate(arrays)}
    np.savez(buffer, allow_pickle=False, **named)
    write_bytes_atomic(path, buffer.getvalue())
