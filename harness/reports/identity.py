"""Two different models of one name are told apart before any table, chart or spread is made of them.

A workload's name is its file's, and files change. Where records of one name come from several models, each model gets a name of
its own, such as `net [3f2a9c01]`, so that no table groups the two, whatever it groups by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from harness.results.record import CellKey, CellRecord

#: digits of the hash in a name, as in the names of exported files
_DIGITS = 8
UNKNOWN = "unknown model"

#: what one model is called by in records: workload and model_sha256
_Name = tuple[str, str]


def newest_per_model(records: Iterable[CellRecord]) -> list[CellRecord]:
    """One record per cell key and model, the last one given: records come oldest first.

    A record that does not say its model gives way to any later one of its key.
    """
    newest: dict[tuple[CellKey, str | None], CellRecord] = {}
    for record in records:
        newest.pop((record.key, None), None)
        newest[record.key, record.model_sha256] = record
    return list(newest.values())


def told_apart(records: Sequence[CellRecord]) -> list[CellRecord]:
    """The records, those of a name that several models have under names of their own; their order is kept.

    Seeds of a published workload are models of their own and belong together all the same: models that one run has under one
    name, each with a seed of its own, are one. A record that does not say its model belongs to the only one there is.
    """
    name_of = _namer(records)
    return [
        record if (name := name_of(record)) == record.key.workload else _renamed(record, name) for record in records
    ]


def models_note(workload: str, shown: Iterable[CellRecord]) -> str | None:
    """What a table says under a name that stands for one of several models; None for any other."""
    hashes = sorted({r.model_sha256 or "not recorded" for r in shown if r.key.workload == workload})
    if not workload.endswith("]") or not hashes:
        return None
    return (
        f"Other records here come from another model of the same name; no figure of theirs is in this table. SHA-256 of this "
        f"model: {', '.join(hashes)}."
    )


def _renamed(record: CellRecord, name: str) -> CellRecord:
    return replace(record, key=replace(record.key, workload=name))


def _namer(records: Sequence[CellRecord]) -> Callable[[CellRecord], str]:
    """What each record's workload is called in tables."""
    families = _families(records)
    several: dict[str, set[str]] = {}
    for (workload, _), family in families.items():
        several.setdefault(workload, set()).add(family)

    def name_of(record: CellRecord) -> str:
        workload = record.key.workload
        if len(several.get(workload, ())) < 2:
            return workload
        family = families.get((workload, record.model_sha256)) if record.model_sha256 else None
        return f"{workload} [{family[:_DIGITS] if family else UNKNOWN}]"

    return name_of


def _families(records: Sequence[CellRecord]) -> dict[_Name, str]:
    """Of each known model, the family that it belongs to, named by the hash of its lowest seed."""
    parents: dict[_Name, _Name] = {}

    def root(name: _Name) -> _Name:
        while parents[name] != name:
            name = parents[name]
        return name

    seeds: dict[_Name, int] = {}
    of_run: dict[tuple[str, str], dict[_Name, set[int]]] = {}
    for record in records:
        if record.model_sha256 is None:
            continue
        name = (record.key.workload, record.model_sha256)
        parents.setdefault(name, name)
        seeds[name] = min(record.key.seed, seeds.get(name, record.key.seed))
        of_run.setdefault((record.run, record.key.workload), {}).setdefault(name, set()).add(record.key.seed)
    for models in of_run.values():
        # Two models under one seed are two models: a run that was resumed with another file has such.
        if sum(map(len, models.values())) == len(set().union(*models.values())):
            first, *others = models
            for other in others:
                parents[root(other)] = root(first)
    members: dict[_Name, list[_Name]] = {}
    for name in parents:
        members.setdefault(root(name), []).append(name)
    lowest = {key: min(names, key=lambda name: (seeds[name], name[1])) for key, names in members.items()}
    return {name: lowest[root(name)][1] for name in parents}
