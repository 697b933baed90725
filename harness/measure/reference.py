"""What the right answer is: the model's float twin on this machine, and the float model's answers.

A reference must not share the device's defect (design rule 7), and every integer runtime has an integer kernel that errs. So a
device is judged against the model's float twin on LiteRT's float kernels (harness/tflite/fakequant/twin.py). A model that has no
twin is answered by a runtime, and judged coarsely. Beside that, integer models that tflite-runtime 2.14.0's reference kernels
compute rightly are answered by these: their rounding equals TFLite Micro's on Arm, and some boards promise it to the bit.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from harness.boards.base import BackendSpec, Board, Deadlines, WorkerFailure
from harness.core.cached import cached_file, whole_sha256
from harness.core.errors import DeviceError, MissingPartError, UnsupportedError, UserInputError
from harness.core.files import sha256_json
from harness.core.finding import Finding
from harness.core.paths import cache_dir
from harness.measure.alone import Alone
from harness.measure.endless import NoEndError, raise_endless
from harness.measure.judged import judge_cell
from harness.measure.scoring import answers_of
from harness.measure.twins import TWIN_VERSION, scores_model
from harness.prepare.prepared import REFERENCE_SAMPLES, PreparedModel, ReferenceOutputs, with_graph_facts
from harness.tflite.fakequant.twin import Twin, float_twin

#: raise it when references are run differently: what was cached before is asked for again
_RUN_VERSION = 3
#: references of fewer samples are asked of models whose outputs are larger than this in all
_MOST_VALUES, _LEAST_SAMPLES = 16 << 20, 64
#: what costs one answer, and no more
_NO_ANSWER = (WorkerFailure, MissingPartError, DeviceError, UnsupportedError)


@dataclass(frozen=True, kw_only=True)
class Oracle:
    """A pinned runtime with pinned kernels."""

    device: str
    runtime: str
    version: str
    kernels: Literal["reference", "default"]

    @property
    def package(self) -> str:
        return f"{self.runtime} {self.version}"

    @property
    def identity(self) -> str:
        return f"{self.package} {'BUILTIN_REF' if self.kernels == 'reference' else 'default kernels'}"


TFLITE_REF = Oracle(device="host-tflite", runtime="tflite-runtime", version="2.14.0", kernels="reference")
LITERT_REF = Oracle(device="host-litert", runtime="ai-edge-litert", version="2.3.0", kernels="reference")
LITERT_FLOAT = Oracle(device="host-litert", runtime="ai-edge-litert", version="2.3.0", kernels="default")
#: what judges a model that has anything quantized
TWIN_IDENTITY = f"float twin on {LITERT_FLOAT.package}"


class References:
    """Answers of the pinned runtimes, cached by content. Boards are opened when first needed; use as a context manager."""

    def __init__(self, inference_s: float | None = None) -> None:
        """
        Args:
            inference_s: how long one inference may take on this machine; None: as `Deadlines.first_invoke_s` says.
        """
        self._deadlines = Deadlines().of_one_inference(inference_s)
        self._boards: dict[str, Board] = {}
        self._missing: dict[str, str] = {}

    def __enter__(self) -> References:
        return self

    def __exit__(self, *_: object) -> None:
        for board in self._boards.values():
            board.close()
        self._boards.clear()

    def add_reference(self, model: PreparedModel) -> PreparedModel:
        """The model with all that its outputs are judged by, and with findings where references are missing or disagree.

        A model that never ends here is given the reason (`PreparedModel.endless`), and is asked for nothing.
        """
        if model.artifact.path is None:
            return model
        findings: list[Finding] = []
        try:
            model = replace(model, reference=self._reference(model, findings))
            model = replace(model, exact=self._exact(model, findings), scores=self._scores(model, findings))
        except NoEndError as error:
            return replace(model, endless=str(error))
        if model.reference is None:
            findings.append(
                Finding(
                    code="no-reference",
                    severity="warning",
                    where=_where(model),
                    what="no reference runtime on this machine could answer for this model, so `wrong` cannot be told",
                    fix="see the reasons beside this finding; `harness devices check host-litert` shows the runtime",
                )
            )
        return replace(model, findings=(*model.findings, *findings))

    def float_answers(self, float_model: PreparedModel) -> dict[int, np.ndarray]:
        """What LiteRT's float32 model answers on each labelled sample, as the metrics see it: position of each judged output ->
        [N, ...] in `sample_ids` order. Empty where it cannot answer.
        """
        if float_model.artifact.path is None or not float_model.judged or float_model.labels is None:
            return {}
        arrays = self.float_outputs(float_model, len(float_model.labels))
        if arrays is None:
            return {}
        io = float_model.artifact.outputs
        return {
            one.output: answers_of(one.metric, arrays, io, one.output)
            for one in float_model.judged
            if one.metric is not None
        }

    def float_outputs(self, model: PreparedModel, count: int) -> tuple[np.ndarray, ...] | None:
        """LiteRT's outputs of a model on its first samples, [count, ...] each; None where it cannot answer."""
        try:
            return self._ask(LITERT_FLOAT, model, count, [])
        except NoEndError:
            return None

    def float_runner(self, folder: Path) -> Alone:
        """Runs float models on the pinned float kernels; to be closed by the caller.

        Args:
            folder: a temporary one of the caller's.

        Raises:
            MissingPartError: the runtime cannot be had on this machine.
            DeviceError: it does not start.
        """
        return Alone(self._board(LITERT_FLOAT), _backend(LITERT_FLOAT), folder)

    # ------------------------------------------------------------------------------------------------ what is asked

    def _reference(self, model: PreparedModel, findings: list[Finding]) -> ReferenceOutputs | None:
        """The float twin's answers; where there are none, those of a runtime, and why."""
        try:
            return self._twin(model)
        except (*_NO_ANSWER, UserInputError) as error:
            why = f"the model has no float twin that answers here: {error.what}"
        findings.append(
            Finding(
                code="no-float-twin",
                severity="info",
                where=_where(model),
                what=f"{why}; its outputs are judged coarsely, against a runtime",
            )
        )
        found = [
            reference for oracle in _runtimes(model) if (reference := self._by_runtime(oracle, model, why, findings))
        ]
        return next((reference for reference in found if reference.trusted), found[0] if found else None)

    def _twin(self, model: PreparedModel) -> ReferenceOutputs:
        """What the float twin of a model and its companion answer, from the cache or from LiteRT's float kernels."""
        count = reference_count(model)
        path = _answers_path("twin", TWIN_VERSION, LITERT_FLOAT.identity, LITERT_REF.identity, *_question(model, count))
        stored = _stored_answers(path)
        if stored is None:
            stored = self._run_twin(model, count)
            arrays: dict[str, Any] = {}
            for kind, outputs in (("output", stored.outputs), ("companion", stored.companions or ())):
                arrays.update({f"{kind}_{i}": a for i, a in enumerate(outputs)})
            identity = np.frombuffer(stored.identity.encode(), np.uint8)
            cached_file(path, lambda file: np.savez_compressed(file, identity=identity, **arrays))
        return stored

    def _run_twin(self, model: PreparedModel, count: int) -> ReferenceOutputs:
        data = _loadable(model).read_bytes()
        twin = float_twin(data)
        if twin.is_plain:
            # Reference kernels: of a float model the optimized ones may be the device's own.
            outputs = self._run(LITERT_REF, _loadable(model), model, count)
            return ReferenceOutputs(identity=LITERT_REF.identity, outputs=outputs, kind="twin", trusted=True)
        companion = float_twin(data, companion=True)
        outputs = self._run(LITERT_FLOAT, _twin_file(model, "twin", twin), model, count)
        companions = None
        if companion.model != twin.model:
            companions = self._run(LITERT_FLOAT, _twin_file(model, "companion", companion), model, count)
        return ReferenceOutputs(
            identity=TWIN_IDENTITY, outputs=outputs, companions=companions, kind="twin", trusted=True
        )

    def _by_runtime(
        self, oracle: Oracle, model: PreparedModel, why: str, findings: list[Finding]
    ) -> ReferenceOutputs | None:
        arrays = self._ask(oracle, model, reference_count(model), findings)
        if arrays is None:
            return None
        trusted = _is_right(oracle, model)
        return ReferenceOutputs(identity=oracle.identity, outputs=arrays, kind="runtime", trusted=trusted, why=why)

    def _exact(self, model: PreparedModel, findings: list[Finding]) -> ReferenceOutputs | None:
        """The answers of tflite-runtime 2.14.0's reference kernels where they are known right, and the twin agrees."""
        from harness.tflite.features import is_integer_model
        from harness.tflite.graph import read_graph

        if not is_integer_model(read_graph(_loadable(model))) or not _is_right(TFLITE_REF, model):
            return None
        reference = model.reference
        if reference is not None and reference.identity == TFLITE_REF.identity:
            return reference
        arrays = self._ask(TFLITE_REF, model, reference_count(model), findings)
        if arrays is None:
            return None
        judged = judge_cell(model, arrays) if reference is not None and reference.kind == "twin" else None
        if judged is not None and judged.verdict == "wrong":
            findings.append(
                Finding(
                    code="references-disagree",
                    severity="warning",
                    where=_where(model),
                    what=f"{TFLITE_REF.identity} differs from {reference and reference.identity}: {judged.reason}",
                    fix="cells are judged against the twin, and no difference in LSB is told; if the kernels err, "
                    "harness/tflite/runtimes/ should know it",
                )
            )
            return None
        return ReferenceOutputs(identity=TFLITE_REF.identity, outputs=arrays, trusted=True)

    def _scores(self, model: PreparedModel, findings: list[Finding]) -> PreparedModel | None:
        """The model of the scores behind a choice, with its twin's answers; None where it ends in no choice, or has no twin."""
        try:
            data = scores_model(_loadable(model).read_bytes())
            if data is None:
                return None
            path = cache_dir() / "references" / "models" / f"{model.artifact.sha256}.scores.tflite"
            sha256 = cached_file(path, lambda file: _write(file, data))
            from harness.tflite.graph import model_io, read_graph

            inputs, outputs = model_io(read_graph(path))
            artifact = replace(
                model.artifact,
                path=path,
                sha256=sha256,
                size_bytes=len(data),
                inputs=inputs,
                outputs=outputs,
                manifest={},
            )
            scores = replace(
                with_graph_facts(replace(model, artifact=artifact, metric=None, further=())),
                reference=None, exact=None, scores=None, labels=None, sample_ids=None, float_answers=None, findings=(),
            )  # fmt: skip
            return replace(scores, reference=self._twin(scores))
        except (*_NO_ANSWER, UserInputError) as error:
            findings.append(
                Finding(
                    code="no-scores",
                    severity="info",
                    where=_where(model),
                    what=f"the scores before the model's choice cannot be compared ({error.what}): only its answers are",
                )
            )
            return None

    # ------------------------------------------------------------------------------------------------ how it is asked

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
        """Outputs of the model as it is on its first `count` samples, from the cache or from a runtime; None when it cannot
        answer.
        """
        count = min(count, model.inputs[0].count)
        path = _answers_path(oracle.identity, *_question(model, count))
        stored = _stored_answers(path)
        if stored is not None:
            return stored.outputs
        try:
            arrays = self._run(oracle, _loadable(model), model, count)
        except _NO_ANSWER as error:
            findings.append(
                Finding(
                    code="reference-unavailable",
                    severity="warning",
                    where=_where(model),
                    what=f"{oracle.identity} gave no answer: {error}",
                    fix="the next reference in order was used, if any",
                )
            )
            return None
        named: dict[str, Any] = {f"output_{i}": a for i, a in enumerate(arrays)}
        cached_file(path, lambda file: np.savez_compressed(file, **named))
        return arrays

    def _run(self, oracle: Oracle, path: Path, model: PreparedModel, count: int) -> tuple[np.ndarray, ...]:
        """A file's outputs on the first samples of a model.

        Raises:
            WorkerFailure, MissingPartError, DeviceError: the runtime does not answer.
            NoEndError: a loop in it had not ended in time.
        """
        try:
            with Alone(self._board(oracle), _backend(oracle), path.parent, self._deadlines, paced=True) as alone:
                return alone.on_file(path, model.inputs, count, beginnings=model.beginnings)
        except WorkerFailure as failure:
            raise_endless(failure, model.artifact.file, runtime=oracle.package, limit_s=self._deadlines.first_invoke_s)
            raise


def reference_count(model: PreparedModel) -> int:
    """How many samples a model's reference answers: fewer where its outputs are large."""
    values = sum(math.prod(max(1, d) for d in io.sample_shape) for io in model.artifact.outputs)
    count = max(_LEAST_SAMPLES, min(REFERENCE_SAMPLES, _MOST_VALUES // max(1, values)))
    return min(count, model.inputs[0].count)


def _backend(oracle: Oracle) -> BackendSpec:
    return BackendSpec(name="reference", kernels=oracle.kernels, threads=1)


def _runtimes(model: PreparedModel) -> Sequence[Oracle]:
    """The runtimes that may answer for a model as it is, in order of trust."""
    return (TFLITE_REF, LITERT_REF) if any(model.lsb) else (LITERT_REF,)


def _is_right(oracle: Oracle, model: PreparedModel) -> bool:
    """Whether a runtime loads a model and nothing known speaks against its outputs."""
    from harness.tflite.graph import read_graph
    from harness.tflite.support import runtime_supports

    support = runtime_supports(
        oracle.runtime,
        oracle.version,
        read_graph(_loadable(model)),
        kernels=oracle.kernels,
        machine=platform.machine(),
    )
    return bool(support.loads) and bool(support.right)


def _question(model: PreparedModel, count: int) -> tuple[Any, ...]:
    """What tells one question to a reference from another."""
    beginnings = None if model.beginnings is None else [int(row) for row in model.beginnings if row < count]
    return model.artifact.sha256, [i.sha256 for i in model.inputs], count, beginnings


def _answers_path(*question: Any) -> Path:
    return cache_dir() / "references" / f"{sha256_json([_RUN_VERSION, *question])}.npz"


def _twin_file(model: PreparedModel, name: str, twin: Twin) -> Path:
    """The file of a twin, made once."""
    path = cache_dir() / "references" / "models" / f"{model.artifact.sha256}.{name}{TWIN_VERSION}.tflite"
    cached_file(path, lambda file: _write(file, twin.model))
    return path


def _loadable(model: PreparedModel) -> Path:
    """The artifact, or a copy without what keeps the runtimes here from loading it and means nothing."""
    from harness.tflite.dimensions import with_possible_dimensions
    from harness.tflite.graph import read_graph

    data = model.artifact.file.read_bytes()
    copy = with_possible_dimensions(read_graph(data), data)
    if copy is None:
        return model.artifact.file
    path = cache_dir() / "references" / "models" / f"{model.artifact.sha256}.dimensions.tflite"
    cached_file(path, lambda file: _write(file, copy))
    return path


def _write(file: IO[bytes], data: bytes) -> None:
    file.write(data)


def _stored_answers(path: Path) -> ReferenceOutputs | None:
    """What a reference answered before; None when it is not there, or not whole."""
    if whole_sha256(path) is None:
        return None
    with np.load(path, allow_pickle=False) as stored:
        outputs, companions = (
            tuple(stored[f"{kind}{i}"] for i in range(sum(name.startswith(kind) for name in stored.files)))
            for kind in ("output_", "companion_")
        )
        identity = stored["identity"].tobytes().decode() if "identity" in stored.files else ""
    return ReferenceOutputs(
        identity=identity, outputs=outputs, companions=companions or None, kind="twin", trusted=True
    )


def _where(model: PreparedModel) -> str:
    return f"{model.workload}/{model.recipe}"
