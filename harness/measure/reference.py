"""What the right answer is: the pinned reference runtimes on this machine, and the float model's answers.

A reference must not share the device's defect (design rule 7). Integer models whose features it computes rightly are
answered by tflite-runtime 2.14.0's reference kernels, whose rounding equals TFLite Micro's on Arm; everything else by
LiteRT's reference kernels. Hybrid models run there with their weights dequantized, because hybrid kernels are what errs
in silence. Where two references can answer, both are asked, and a disagreement beyond rounding is a finding.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from harness.boards.base import BackendSpec, Board, Deadlines, WorkerFailure
from harness.core.cached import cached_file, whole_sha256
from harness.core.errors import DeviceError, MissingPartError, UnsupportedError
from harness.core.files import sha256_json
from harness.core.finding import Finding
from harness.core.paths import cache_dir
from harness.measure.divergence import compare
from harness.measure.scoring import real_values
from harness.prepare.prepared import REFERENCE_SAMPLES, PreparedModel, ReferenceOutputs

#: raise it when references are run differently: what was cached before is asked for again
_RUN_VERSION = 2


@dataclass(frozen=True, kw_only=True)
class Oracle:
    """A pinned runtime with pinned kernels."""

    device: str
    runtime: str
    version: str
    kernels: Literal["reference", "default"]
    #: runs hybrid models with their weights put back into floats, so that no hybrid kernel is trusted
    dequantized: bool = False

    @property
    def identity(self) -> str:
        kernels = "BUILTIN_REF" if self.kernels == "reference" else "default kernels"
        return f"{self.runtime} {self.version} {kernels}" + (" on dequantized weights" if self.dequantized else "")


TFLITE_REF = Oracle(device="host-tflite", runtime="tflite-runtime", version="2.14.0", kernels="reference")
LITERT_REF = Oracle(device="host-litert", runtime="ai-edge-litert", version="2.3.0", kernels="reference")
LITERT_DEQUANTIZED = dataclasses.replace(LITERT_REF, dequantized=True)
LITERT_FLOAT = Oracle(device="host-litert", runtime="ai-edge-litert", version="2.3.0", kernels="default")


class References:
    """Answers of the pinned runtimes, cached by content. Boards are opened when first needed; use as a context manager."""

    def __init__(self) -> None:
        self._boards: dict[str, Board] = {}
        self._missing: dict[str, str] = {}

    def __enter__(self) -> References:
        return self

    def __exit__(self, *_: object) -> None:
        for board in self._boards.values():
            board.close()
        self._boards.clear()

    def add_reference(self, model: PreparedModel) -> PreparedModel:
        """The model with its reference outputs, and with findings where references are missing or disagree."""
        if model.artifact.path is None:
            return model
        oracles, findings = self._choose(model)
        outputs: list[ReferenceOutputs] = []
        for oracle in oracles:
            arrays = self._ask(oracle, model, REFERENCE_SAMPLES, findings)
            if arrays is not None:
                outputs.append(ReferenceOutputs(identity=oracle.identity, outputs=arrays))
        if len(outputs) == 2:
            findings.extend(_disagreement(model, outputs[0], outputs[1]))
        if not outputs:
            findings.append(
                Finding(
                    code="no-reference",
                    severity="warning",
                    where=f"{model.workload}/{model.recipe}",
                    what="no reference runtime on this machine could answer for this model, so `wrong` cannot be told",
                    fix="see the reasons beside this finding; `harness devices check host-litert` shows the runtime",
                )
            )
        reference = outputs[0] if outputs else None
        return replace(model, reference=reference, findings=(*model.findings, *findings))

    def float_answers(self, float_model: PreparedModel) -> np.ndarray | None:
        """What LiteRT's float32 model answers on each labelled sample, as the metric sees it, [N, ...] in `sample_ids` order."""
        if float_model.artifact.path is None or float_model.labels is None or float_model.metric is None:
            return None
        arrays = self._ask(LITERT_FLOAT, float_model, len(float_model.labels), [])
        if arrays is None:
            return None
        return float_model.metric.answers(real_values(arrays[0], float_model.artifact.outputs[0]))

    def float_outputs(self, model: PreparedModel, count: int) -> tuple[np.ndarray, ...] | None:
        """LiteRT's outputs of a model on its first samples, [count, ...] each; None where it cannot answer."""
        return self._ask(LITERT_FLOAT, model, count, [])

    def _choose(self, model: PreparedModel) -> tuple[list[Oracle], list[Finding]]:
        """The oracles in order of trust, and why the first choice is not there where that is so."""
        from harness.tflite.arithmetic import node_arithmetic
        from harness.tflite.graph import read_graph
        from harness.tflite.support import runtime_supports

        graph = read_graph(_loadable(model)[0])
        if any(node_arithmetic(graph, node) == "hybrid" for node in graph.nodes):
            return [LITERT_DEQUANTIZED, LITERT_REF], []
        if not any(model.lsb):
            return [LITERT_REF], []
        support = runtime_supports(TFLITE_REF.runtime, TFLITE_REF.version, graph)
        if support.loads is False or support.right is False:
            return [LITERT_REF], []
        return [TFLITE_REF, LITERT_REF], []

    def _board(self, oracle: Oracle) -> Board:
        """The connected local board of a pinned runtime.

        Raises:
            MissingPartError: when the runtime cannot be had on this machine.
        """
        if oracle.device in self._missing:
            raise MissingPartError(self._missing[oracle.device], where=oracle.device)
        if oracle.device not in self._boards:
            from harness.boards.connect import connect
            from harness.boards.resolve import packaged_profile

            try:
                board = connect(packaged_profile(oracle.device))
                board.connect()
            except MissingPartError as error:
                self._missing[oracle.device] = str(error)
                raise
            self._boards[oracle.device] = board
        return self._boards[oracle.device]

    def _ask(
        self, oracle: Oracle, model: PreparedModel, count: int, findings: list[Finding]
    ) -> tuple[np.ndarray, ...] | None:
        """Outputs of the first `count` samples, from the cache or from the runtime; None when it cannot answer."""
        count = min(count, model.inputs[0].count)
        beginnings = None if model.beginnings is None else [int(row) for row in model.beginnings if row < count]
        question = [model.artifact.sha256, [i.sha256 for i in model.inputs], count, beginnings]
        key = sha256_json([_RUN_VERSION, *question, oracle.identity])
        path = cache_dir() / "references" / f"{key}.npz"
        stored = _stored_outputs(path)
        if stored is not None:
            return stored
        try:
            arrays = self._run(oracle, model, count)
        except (WorkerFailure, MissingPartError, DeviceError, UnsupportedError) as error:
            findings.append(
                Finding(
                    code="reference-unavailable",
                    severity="warning",
                    where=f"{model.workload}/{model.recipe}",
                    what=f"{oracle.identity} gave no answer: {error}",
                    fix="the next reference in order was used, if any",
                )
            )
            return None
        named: dict[str, Any] = {f"output_{i}": a for i, a in enumerate(arrays)}
        cached_file(path, lambda file: np.savez_compressed(file, **named))
        return arrays

    def _run(self, oracle: Oracle, model: PreparedModel, count: int) -> tuple[np.ndarray, ...]:
        board = self._board(oracle)
        path, sha256 = _model_file(oracle, model)
        board.ensure_file(path, sha256)
        for file in model.inputs:
            board.ensure_file(file.path, file.sha256)
        backend = BackendSpec(name="reference", kernels=oracle.kernels, threads=1)
        worker = board.open_worker(backend, Deadlines())
        try:
            worker.load(sha256)
            return worker.evaluate([i.sha256 for i in model.inputs], count, beginnings=model.beginnings).outputs
        finally:
            worker.close()


def _model_file(oracle: Oracle, model: PreparedModel) -> tuple[Path, str]:
    """The file that an oracle runs, and its hash: the artifact, its copy with possible quantized dimensions, or its twin with
    dequantized weights.

    Raises:
        UnsupportedError: weights that cannot be put back into floats.
    """
    if not oracle.dequantized:
        return _loadable(model)
    from harness.tflite.dequantize import dequantize_hybrid_weights

    path = cache_dir() / "references" / "models" / f"{model.artifact.sha256}.dequantized.tflite"

    def write(file: IO[bytes]) -> None:
        twin = dequantize_hybrid_weights(_loadable(model)[0].read_bytes())
        if twin is None:
            raise UnsupportedError("the model has no hybrid weights")
        file.write(twin)

    return path, cached_file(path, write)


def _loadable(model: PreparedModel) -> tuple[Path, str]:
    """The artifact, or a copy without what keeps the runtimes here from loading it and means nothing."""
    from harness.tflite.dimensions import with_possible_dimensions
    from harness.tflite.graph import read_graph

    data = model.artifact.file.read_bytes()
    copy = with_possible_dimensions(read_graph(data), data)
    if copy is None:
        return model.artifact.file, model.artifact.file_sha256
    path = cache_dir() / "references" / "models" / f"{model.artifact.sha256}.dimensions.tflite"

    def write(file: IO[bytes]) -> None:
        file.write(copy)

    return path, cached_file(path, write)


def _stored_outputs(path: Path) -> tuple[np.ndarray, ...] | None:
    """What a reference answered before; None when it is not there, or not whole."""
    if whole_sha256(path) is None:
        return None
    with np.load(path, allow_pickle=False) as stored:
        return tuple(stored[f"output_{i}"] for i in range(len(stored.files)))


def _disagreement(model: PreparedModel, first: ReferenceOutputs, second: ReferenceOutputs) -> list[Finding]:
    """A finding when two references differ by more than the model's tolerance for rounding."""
    verdict = compare(
        second.outputs,
        first.outputs,
        metric=model.metric,
        tolerance=model.tolerance,
        io=model.artifact.outputs,
        lsb=model.lsb,
        steps=model.rounding_steps,
        on_npu=False,
    )
    if not verdict.wrong:
        return []
    return [
        Finding(
            code="references-disagree",
            severity="warning",
            where=f"{model.workload}/{model.recipe}",
            what=f"{second.identity} differs from {first.identity}: {verdict.reason}",
            fix="cells are judged against the first; if the difference is rounding that you accept, widen the "
            "workload's tolerance (docs/reference/outcomes.md)",
        )
    ]
