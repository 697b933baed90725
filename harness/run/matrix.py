"""Which cells a run has: the devices and backends that were asked for, and what runs on them. Nothing is built here."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.boards.connect import install_runtime
from harness.boards.profile.model import Profile
from harness.boards.registry import kind_of
from harness.boards.resolve import get_profiles
from harness.boards.runtimes import split_runtime
from harness.core.errors import MissingPartError, UserInputError, unknown_name
from harness.prepare.prepared import PreparedModel, Say
from harness.results.record import CellKey
from harness.run.jobs import samples_per_cell
from harness.run.options import RunOptions
from harness.workloads.base import Workload


@dataclass(frozen=True, kw_only=True)
class ChosenDevice:
    """A device and the backends of it that a run wants."""

    device: str
    profile: Profile
    backends: tuple[str, ...]


def choose_devices(options: RunOptions) -> list[ChosenDevice]:
    """The profiles and backends of `--device`, `--runtime` and `--backend`.

    Raises:
        UserInputError: no device named, an unknown one, or a backend that none of the devices has.
    """
    if not options.devices:
        raise UserInputError("no device named", hint="add --device host-litert, or see `harness devices list`")
    chosen = []
    for profile in get_profiles(
        options.devices, options.devices_dir, emulated=options.emulated, runtimes=options.runtimes
    ):
        _require_available(profile)
        backends = tuple(b for b in profile.backends if not options.backends or b in options.backends)
        chosen.append(ChosenDevice(device=profile.name, profile=profile, backends=backends))
    for backend in options.backends:
        known = {b for c in chosen for b in c.profile.backends}
        if backend not in known:
            raise unknown_name("backend", backend, known)
    chosen = [c for c in chosen if c.backends]
    if options.flash and not any(kind_of(c.profile).can_flash(c.profile) for c in chosen):
        raise UserInputError(
            "none of the devices has a firmware that the harness flashes",
            where="--flash",
            hint="a microcontroller's profile says by `flash:` how (docs/guides/cortex-m.md)",
        )
    return chosen


def install_named_runtimes(devices: Sequence[ChosenDevice], note: Callable[[str], None]) -> None:
    """Installs the releases that the command line names, so that one which does not exist ends the command at once. What
    cannot be had now fails the cells of its device, and no others.

    Args:
        note: told what is going on.

    Raises:
        UserInputError: a release that does not exist.
    """
    for chosen in devices:
        if split_runtime(chosen.device)[1] is not None:
            with contextlib.suppress(MissingPartError):
                install_runtime(chosen.profile, progress=note)


def _require_available(profile: Profile) -> None:
    """Ends the command before anything is built when a device cannot even be tried: no address, no runtime here."""
    from harness.boards.connect import availability, require_address

    require_address(profile)
    state = availability(profile)
    if not state.ok:
        raise MissingPartError(f"unavailable: {state.reason}", where=profile.name, hint="see `harness devices list`")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Cells in running order, and a way to prepare their models (which may train and convert for minutes)."""

    keys: tuple[CellKey, ...]
    prepare: Callable[[Say], list[PreparedModel]]


def make_plan(options: RunOptions, devices: Sequence[ChosenDevice]) -> Plan:
    """The matrix of a run, from workloads and recipes or from a bundle. Nothing is built yet."""
    targets = [(c.device, c.backends) for c in devices]
    if options.bundle is not None:
        from harness.run.bundled import bundle_models

        if options.metric is not None:
            raise UserInputError("--metric does not apply to a bundle, whose models were packed with theirs")
        models = bundle_models(Path(options.bundle), options.workloads, options.recipes)
        keys = tuple(key_of(m, device, b) for device, backends in targets for m in models for b in backends)
        return Plan(keys=keys, prepare=lambda say: models)
    from harness.run.plan import cell_keys, expand, prepare_requests
    from harness.variants.recipe import select_recipes
    from harness.workloads.datasets import DataSource
    from harness.workloads.registry import get_workload, usual_workload_names

    source = replace(DataSource.default(options.data_dir), samples=most_samples(devices, options.samples))
    data = Path(options.data) if options.data else None
    names = options.workloads or usual_workload_names()
    workloads = distinct([get_workload(name, data=data, metric=options.metric) for name in names])
    _refuse_recipes_of_finished(options, workloads)
    requests = expand(workloads, select_recipes(options.recipes), range(options.seeds))
    keys = tuple(cell_keys(requests, source, targets))
    return Plan(
        keys=keys,
        prepare=lambda say: prepare_requests(
            requests, source, jobs=options.jobs, say=say, deadline_s=options.deadline_s
        ),
    )


def _refuse_recipes_of_finished(options: RunOptions, workloads: Sequence[Workload]) -> None:
    """A recipe that was asked for must not become a run of the file as it is, under whose figures it would be read.

    Raises:
        UserInputError: recipes were named, and there is nothing that they could be applied to.
    """
    if options.recipes in ((), RunOptions().recipes) or any(w.build_model is not None for w in workloads):
        return
    names = ", ".join(str(w.model_path or w.name) for w in workloads)
    raise UserInputError(
        f"--recipe {' --recipe '.join(options.recipes)} does not apply: a finished .tflite runs as it is ({names})",
        hint="leave --recipe out, or give the float model (.keras, .h5, SavedModel) that the file was made of",
    )


def most_samples(devices: Sequence[ChosenDevice], asked: int | None) -> int | None:
    """The largest number of samples that any cell evaluates; None where one takes all. `asked` is the command line's."""
    counts = [samples_per_cell(c.profile, backend, asked) for c in devices for backend in c.backends]
    return None if None in counts else max((count for count in counts if count is not None), default=None)


def distinct(workloads: Sequence[Workload]) -> list[Workload]:
    """The workloads, each once.

    Raises:
        UserInputError: two different model files that would go by the same name in every table.
    """
    chosen: dict[str, Workload] = {}
    for workload in workloads:
        other = chosen.setdefault(workload.name, workload)
        if other.model_path != workload.model_path:
            raise UserInputError(
                f"{other.model_path} and {workload.model_path} would both be called '{workload.name}'",
                hint="rename one",
            )
    return list(chosen.values())


def key_of(model: PreparedModel, device: str, backend: str) -> CellKey:
    """The cell of a prepared model on a device's backend."""
    return CellKey(
        workload=model.workload,
        recipe=model.recipe,
        device=device,
        backend=backend,
        dataset=model.dataset_digest,
        seed=model.seed,
    )
