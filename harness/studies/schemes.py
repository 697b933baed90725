"""The study of schemes: what bits, ranges and training do to a score, in the tables of arXiv 1806.08342."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.core.errors import UserInputError
from harness.prepare.prepared import Say
from harness.reports.studies.schemes import Effect, SchemeTable, known_effects, scheme_names, scheme_tables
from harness.results.record import CellRecord
from harness.run.jobs import Watcher
from harness.run.options import RunOptions
from harness.session.session import RunResult, run_session
from harness.studies.asked import studied
from harness.studies.backends import usual_backends


@dataclass(frozen=True, kw_only=True, eq=False)
class SchemeStudy:
    """A study that has run.

    Attributes:
        result: the run; each scheme is a cell of it.
        tables: of the first backend.
        effects: what is known to show in them, and whether it did.
    """

    result: RunResult
    tables: tuple[SchemeTable, ...]
    effects: tuple[Effect, ...]


def study_schemes(
    options: RunOptions,
    results: Path,
    *,
    weight_bits: Sequence[int] = (8, 4),
    trainings: Sequence[str] = (),
    watcher: Watcher | None = None,
    say: Say | None = None,
    command: Sequence[str] = (),
    planned: Callable[[int], None] = lambda count: None,
) -> SchemeStudy:
    """Runs every scheme of one workload or model.

    Args:
        options: what to study and where; its recipes are put in here. One device and one backend are enough: all compute the
            same model in float.
        weight_bits: a pair of tables for each.
        trainings: of `ptq`, `ft` and `qat`, only these; none: all.
        watcher, say, command, planned: as `run_session` takes them.

    Raises:
        UserInputError: several workloads or devices, bits that cannot be simulated, or the float model did not run.
    """
    if len(options.workloads) != 1 or len(options.devices) != 1:
        raise UserInputError(
            "a study is of one workload or model on one device",
            hint="such as: harness study schemes cifar-separable --device host-litert",
        )
    names = tuple(scheme_names(weight_bits, trainings=trainings))
    studied(options, names[0])
    options = replace(options, recipes=names, backends=options.backends[:1] or usual_backends(options))
    result = run_session(options, results, watcher=watcher, say=say, command=command, planned=planned)
    return study_of(result)


def study_of(result: RunResult) -> SchemeStudy:
    """What the records of a run say.

    Raises:
        UserInputError: the float model did not run.
    """
    tables = tables_of(result.records)
    return SchemeStudy(result=result, tables=tuple(tables), effects=tuple(known_effects(tables)))


def tables_of(records: Sequence[CellRecord]) -> list[SchemeTable]:
    """The tables of the first workload, device and backend among records."""
    first = records[0].key if records else None
    mine = [
        r for r in records
        if first is not None and (r.key.workload, r.key.device, r.key.backend, r.key.seed)
        == (first.workload, first.device, first.backend, first.seed)
    ]  # fmt: skip
    base = next((r for r in mine if r.key.recipe == "ptq-float32"), None)
    if base is None or base.score is None:
        raise UserInputError(
            "the float model has no score, so that there is nothing to hold the schemes against",
            where=base.key.text if base is not None else None,
            hint="" if base is None else base.reason,
        )
    return scheme_tables(mine)
