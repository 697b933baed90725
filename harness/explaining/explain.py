"""An explanation from a target to a document: the device is asked, this machine computes, and words are found for both."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.boards.connect import backend_spec, connect
from harness.boards.lease import lease
from harness.core.errors import DeviceError, HarnessError, UserInputError
from harness.explain.advice import Situation, advise
from harness.explain.cause import cause_of
from harness.explain.document import Explanation, Layer
from harness.explain.words import answer_of
from harness.explaining.head import head_of
from harness.explaining.host import HostArithmetic, HostFound
from harness.explaining.probe import OP_SAMPLES, DeviceProbe, Found
from harness.explaining.target import Target, cell_target, file_target
from harness.measure.reference import References
from harness.results.objects import open_objects
from harness.results.store import Store
from harness.run.options import RunOptions
from harness.tflite.arithmetic import weights_of
from harness.tflite.graph import Graph, read_graph
from harness.tflite.macs import node_macs

#: samples of the error per layer
ERROR_SAMPLES = 100
#: random inputs of a model without data
RANDOM_SAMPLES = 128


@dataclass(frozen=True, kw_only=True)
class ExplainOptions:
    """How an explanation is made.

    Attributes:
        samples: for the error of each layer.
        loss_samples: for the loss of each layer; None: as many as are affordable, at most 500.
        on_device: False: only what this machine computes.
        limit_s: when no further op is begun on the device.
        save: a folder for the first op that is wrong alone, with its inputs and outputs; None: nothing is written.
        lease_wait_s: how long another user of the board is waited for.
        note: told what is going on.
    """

    samples: int = ERROR_SAMPLES
    loss_samples: int | None = None
    on_device: bool = True
    limit_s: float = 600.0
    save: Path | None = None
    lease_wait_s: float = 3600.0
    note: Callable[[str], None] = lambda text: None


def explain_cell(
    results: Path,
    cell: str,
    *,
    run: str | None = None,
    devices_dir: str | None = None,
    plain: Path | None = None,
    options: ExplainOptions = ExplainOptions(),
) -> Explanation:
    """Explains a stored cell, keeps the explanation beside its record, and makes page and workbook of its run again.

    Without the device it is half an explanation, and is not kept.

    Args:
        results: the results folder.
        cell: WORKLOAD/RECIPE/DEVICE/BACKEND[/seedN].
        run: None: the newest that has the cell.
        plain: the float .tflite, where it is not that of the run.

    Raises:
        HarnessError: no such cell, what it needs is gone, or the board cannot be reached.
    """
    with ExitStack() as stack:
        store = stack.enter_context(Store.open(results, create=False))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="harness-explain-")))
        target = cell_target(store, cell, folder, run=run, devices_dir=devices_dir, plain=plain, note=options.note)
        explanation = explain(target, folder, options)
    if options.on_device:
        _keep(results, target, explanation)
    return explanation


def explain_model(
    path: Path,
    *,
    run_options: RunOptions,
    backend: str | None = None,
    plain: Path | None = None,
    options: ExplainOptions = ExplainOptions(),
) -> Explanation:
    """Explains a finished .tflite on a device; nothing is stored.

    Args:
        run_options: with one device, and data or None.

    Raises:
        HarnessError: as `explain_cell`.
    """
    target = file_target(
        path, options=run_options, backend=backend, plain=plain, note=options.note, samples=RANDOM_SAMPLES
    )
    with tempfile.TemporaryDirectory(prefix="harness-explain-") as name:
        return explain(target, Path(name), options)


def explain(target: Target, folder: Path, options: ExplainOptions) -> Explanation:
    """Explains a target.

    Args:
        folder: a temporary one of the caller's.
    """
    data = target.model.artifact.file.read_bytes()
    graph = read_graph(data)
    problems: list[str] = []
    (folder / "host").mkdir(exist_ok=True)
    with References() as references, references.float_runner(folder / "host") as run_float:
        found = _ask_device(target, data, graph, run_float, folder, options, problems)
        host = _compute(target, data, graph, run_float, options, problems)
    if options.save is not None:
        if found.proof is not None:
            found.proof.write(options.save, device=target.profile.name, backend=target.backend)
        else:
            problems.append(f"nothing was written to {options.save}: no op is wrong when it runs alone")
    layers = tuple(_layer(graph, node.index, target, found, host) for node in graph.nodes)
    basis = found.basis or target.profile.time_basis
    wrong = [layer.node for layer in layers if any(d is not None and d.is_wrong for d in (layer.alone, layer.inside))]
    wrong += [piece.nodes[0] for piece in found.pieces if piece.verdict == "wrong"] if not wrong else []
    explanation = Explanation(
        cell=target.name,
        run=target.record.run if target.record is not None else None,
        asked=target.asked,
        answer="",
        device=target.profile.name,
        backend=target.backend,
        artifact_sha256=target.model.artifact.sha256,
        layers=layers,
        pieces=tuple(found.pieces),
        first_wrong=min(wrong, default=None),
        compared_with=host.compared_with or None if host is not None else None,
        is_quantized=host is None or bool(host.compared_with),
        metric=None if target.model.metric is None or host is None or host.score is None else target.model.metric.title,
        unit=target.model.metric.unit if target.model.metric is not None else None,
        score=host.score if host is not None else None,
        float_score=host.float_score if host is not None else None,
        **_lost(host),
        loss_samples=host.loss_samples if host is not None else 0,
        error_samples=host.error_samples if host is not None else 0,
        op_samples=found.op_samples,
        cost_unit=found.cost_unit,  # type: ignore[arg-type]
        cost_basis=basis if found.cost_unit == "ns" else None,
        whole_cost=found.whole_cost,
        whole_beside=found.whole_beside,
        beside=_beside(target),
        whole=found.whole,
        whole_reason=found.whole_reason,
        whole_changed=found.whole_changed,
    )
    situation = _situation(target, graph, host)
    return replace(
        explanation,
        answer=answer_of(explanation) if found.refused is None else _refused(explanation, found.refused),
        got=tuple(head_of(target, explanation, found, host, problems)),
        advice=tuple(advise(explanation, situation)),
    )


def _refused(e: Explanation, reason: str) -> str:
    """The answer where the model does not run on the device: what else is known of it comes second."""
    where = f"{e.device}, backend {e.backend}"
    known = (
        f"; {answer_of(e)}" if e.first_wrong is not None or any(layer.alone is not None for layer in e.layers) else ""
    )
    return (
        f"the model does not run on {where}: {reason} (`harness check` says which ops it lacks, and what helps){known}"
    )


# --------------------------------------------------------------------------------------------------------------- parts


def _ask_device(target, data, graph: Graph, run_float, folder: Path, options: ExplainOptions, problems) -> Found:
    """The device's part; what keeps all of it from being asked is a problem, and the rest goes on."""
    if not options.on_device:
        problems.append("the device was not asked (--no-device)")
        return Found()
    profile, spec = target.profile, backend_spec(target.profile, target.backend)
    beside = _beside(target)
    with ExitStack() as stack:
        stack.enter_context(lease(profile, options.lease_wait_s, options.note, run="explain"))
        board = connect(profile, progress=options.note)
        stack.callback(board.close)
        board.connect()
        probe = DeviceProbe(
            board=board,
            backend=spec,
            folder=folder,
            data=data,
            graph=graph,
            inputs=[np.load(f.path, mmap_mode="r", allow_pickle=False)[:OP_SAMPLES] for f in target.model.inputs],
            run_float=run_float,
            deadlines=profile.deadlines_spec(),
            beside=backend_spec(profile, beside) if beside is not None else None,
            ends_s=time.monotonic() + options.limit_s,
            say=options.note,
        )
        try:
            return probe.run()
        except DeviceError as error:
            problems.append(f"the board was lost on the way: {error}")
            return probe.found


def _beside(target: Target) -> str | None:
    """The backend that has the cell's runtime and not its delegate; None where there is no delegate to leave out."""
    spec = backend_spec(target.profile, target.backend)
    if not spec.delegate_path:
        return None
    for name in target.profile.backends:
        other = backend_spec(target.profile, name)
        if not other.delegate_path and not other.compiler and other.kernels == spec.kernels:
            return name
    return None


def _compute(target: Target, data, graph: Graph, run_float, options: ExplainOptions, problems) -> HostFound | None:
    """This machine's part; None where the model has no float twin."""
    model = target.model
    host = HostArithmetic(
        data=data,
        graph=graph,
        inputs=[np.load(f.path, mmap_mode="r", allow_pickle=False) for f in model.inputs],
        run_float=run_float,
        plain=target.plain,
        no_plain=target.no_plain,
        metric=model.metric,
        labels=model.labels,
        say=options.note,
    )
    try:
        found = host.prepare()
        if not found.compared_with:
            problems.append("nothing in the model is quantized, so there is no error and no loss to tell")
            return found
        host.errors(found, options.samples)
    except HarnessError as error:
        if isinstance(error, DeviceError):
            raise
        problems.append(f"the error of its layers cannot be computed: {error.what}")
        return None
    try:
        host.losses(found, options.loss_samples)
    except HarnessError as error:
        if isinstance(error, DeviceError):
            raise
        problems.append(f"the loss of its layers cannot be computed: {error.what}")
    return found


def _lost(host: HostFound | None) -> dict[str, Any]:
    """What quantization takes in all: the other way round than what putting everything back to float gives."""
    whole = host.whole if host is not None else None
    if whole is None or whole.regained is None:
        return {}
    low, high = (None if end is None else -end for end in (whole.high, whole.low))
    return {"lost": -whole.regained, "lost_low": low, "lost_high": high, "lost_p": whole.p}


def _layer(graph: Graph, number: int, target: Target, found: Found, host: HostFound | None) -> Layer:
    node = graph.nodes[number]
    tensor = graph.tensors[node.outputs[0]] if node.outputs else None
    error = host.errors.get(number) if host is not None else None
    weights = weights_of(graph, node)
    dtype = tensor.dtype if tensor is not None else ""
    cause = cause_of(error, dtype=dtype, weight_dtype=weights.dtype if weights else None) if error is not None else None
    return Layer(
        node=number,
        op=node.op,
        name=tensor.name if tensor is not None else "",
        shape=tensor.shape if tensor is not None else (),
        dtype=dtype,
        called=host.called.get(number) if host is not None else None,
        ran_on=found.ran_on.get(number) or _stored_place(target, number),
        macs=node_macs(graph, node),
        alone=found.alone.get(number),
        inside=found.inside.get(number),
        error=error,
        loss=host.losses.get(number) if host is not None else None,
        cost=found.costs.get(number),
        cause=None if cause is None else cause.words,
    )


def _stored_place(target: Target, number: int) -> str | None:
    for row in target.record.ops if target.record is not None else ():
        if row.get("node") == number:
            return row.get("ran_on")
    return None


def _situation(target: Target, graph: Graph, host: HostFound | None) -> Situation:
    spec = backend_spec(target.profile, target.backend)
    return Situation(
        workload=target.model.workload,
        recipe=target.model.recipe,
        device=target.profile.name,
        backend=target.backend,
        backends=tuple(target.profile.backends),
        delegate=spec.delegate_name,
        key=target.record.key if target.record is not None else None,
        options=dict(target.options),
        seen={(r.key.recipe, r.key.backend): r.outcome for r in target.siblings},
        weight_types=tuple(sorted({w.dtype for n in graph.nodes if (w := weights_of(graph, n)) is not None})),
        units=dict(host.units) if host is not None else {},
    )


def _keep(results: Path, target: Target, explanation: Explanation) -> None:
    """Stores the explanation by content, names it in the record, and makes the run's tables again."""
    from harness.reports.export import export_run

    assert target.record is not None
    with Store.open(results) as store:
        sha256 = open_objects(results).put_json(explanation.to_json())
        store.add_cell(replace(target.record, explanation_object=sha256))
        if store.run(target.record.run).state in ("finished", "interrupted"):
            export_run(store, target.record.run, results)


__all__ = ["ERROR_SAMPLES", "ExplainOptions", "UserInputError", "explain", "explain_cell", "explain_model"]
