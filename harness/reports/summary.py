"""The summary of a workload: recipes down, devices and backends across; the model behind every form of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.reports.scores import (
    ACCURACY,
    SCORE,
    is_share,
    lower_is_better,
    main_head,
    score_head,
    score_of,
    title_of,
)
from harness.reports.values import BASIS_MEANING, BASIS_TEXT, count_of, threads_text
from harness.results.record import CellKey, CellRecord
from harness.variants.recipe import ALL


@dataclass(frozen=True, kw_only=True)
class Column:
    """A device's backend with one time basis. Latencies of two bases never share a column."""

    device: str
    backend: str
    time_basis: str | None
    threads: int | None = None

    @property
    def name(self) -> str:
        return f"{self.device} / {self.backend}"

    @property
    def detail(self) -> str:
        """What the latencies below mean: `1 thread, device clock`."""
        # The profile's threads mean nothing where nothing ran.
        parts = [threads_text(self.threads)] if self.threads and self.time_basis != "estimate" else []
        if self.time_basis:
            parts.append(BASIS_TEXT[self.time_basis])
        return ", ".join(parts)

    @property
    def text(self) -> str:
        return f"{self.name} ({self.detail})" if self.detail else self.name


#: in the place of a cell whose record cannot be read any more
DAMAGED = "record damaged"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One recipe: its size, and its cell in each column; None where nothing ran."""

    recipe: str
    cells: tuple[CellRecord | None, ...]
    #: how many seeds of each cell ended otherwise than the one shown, such as "1 of 4 seeds wrong"; why there is no cell, where
    #: that is not that nothing ran
    seed_notes: tuple[str, ...]

    @property
    def sizes_bytes(self) -> list[int]:
        return sorted({c.size_bytes for c in self.cells if c is not None and c.size_bytes is not None})


@dataclass(frozen=True, kw_only=True)
class Summary:
    """All cells of one workload on one dataset."""

    workload: str
    dataset: str
    dataset_name: str
    dataset_note: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def title(self) -> str:
        return f"{self.workload} on {self.dataset_name}" if self.dataset_name else self.workload

    @property
    def scored(self) -> list[CellRecord]:
        """The cells shown that have a score."""
        return [record for record in self.records() if score_of(record) is not None]

    @property
    def score_head(self) -> str:
        """What the scores are: `accuracy`, `mean absolute error (K, lower is better)`."""
        return score_head(self.scored)

    @property
    def main_head(self) -> str:
        """The same of the one figure that charts show: of several outputs the main one's."""
        return main_head(self.scored)

    @property
    def score_name(self) -> str:
        """The same without unit and direction."""
        if self.score_head in (ACCURACY, SCORE):
            return self.score_head
        if any(record.output_scores for record in self.scored):
            return SCORE
        return title_of(self.scored[0])

    @property
    def is_share(self) -> bool:
        """Whether all scores are shares of 1."""
        return all(map(is_share, self.scored))

    @property
    def lower_is_better(self) -> bool:
        """Whether less is better, for every score."""
        return bool(self.scored) and all(map(lower_is_better, self.scored))

    def records(self) -> list[CellRecord]:
        """The cells shown."""
        return [cell for row in self.rows for cell in row.cells if cell is not None]


def recipe_order(recipe: str) -> tuple[int, str]:
    """Sorts recipes as the recipe table lists them, others after it by name."""
    return (_ORDER.get(recipe, len(_ORDER)), recipe)


_ORDER = {name: position for position, name in enumerate(ALL)}


def newest(records: Iterable[CellRecord]) -> list[CellRecord]:
    """One record per cell key, the last one given: records come oldest first."""
    return list({record.key: record for record in records}.values())


def summaries(
    records: Iterable[CellRecord], planned: Iterable[CellKey] = (), damaged: Collection[CellKey] = ()
) -> list[Summary]:
    """One summary per workload and dataset, in the order of first appearance.

    Args:
        records: cells, oldest first; of several records of a key the last one counts.
        planned: cells that were to run; those without a record are shown as not run.
        damaged: those of them whose records cannot be read any more, which are shown as that.
    """
    groups: dict[tuple[str, str], tuple[list[CellRecord], list[CellKey]]] = {}
    for key in planned:
        groups.setdefault((key.workload, key.dataset), ([], []))[1].append(key)
    for record in newest(records):
        groups.setdefault((record.key.workload, record.key.dataset), ([], []))[0].append(record)
    return [_summary(name, digest, *group, damaged) for (name, digest), group in groups.items()]


def _summary(
    workload: str, dataset: str, records: list[CellRecord], planned: list[CellKey], damaged: Collection[CellKey]
) -> Summary:
    columns = _columns(records, planned)
    recipes = sorted({r.key.recipe for r in records} | {k.recipe for k in planned}, key=recipe_order)
    lost_places = {(key.recipe, key.device, key.backend) for key in planned if key in damaged}
    places: dict[tuple[str, str, str], list[CellRecord]] = {}
    for record in records:
        places.setdefault((record.key.recipe, record.key.device, record.key.backend), []).append(record)
    rows = []
    for recipe in recipes:
        cells, notes = [], []
        for column in columns:
            several = sorted(_of_column(places, column, columns, recipe), key=lambda r: r.key.seed)
            cells.append(several[0] if several else None)
            lost = (recipe, column.device, column.backend) in lost_places
            notes.append(_seed_note(several) if several or not lost else DAMAGED)
        rows.append(Row(recipe=recipe, cells=tuple(cells), seed_notes=tuple(notes)))
    named = next((r for r in records if r.dataset_name), None)
    return Summary(
        workload=workload,
        dataset=dataset,
        dataset_name=(named.dataset_name if named else "") or "",
        dataset_note=next((r.dataset_note for r in records if r.dataset_note), "") or "",
        columns=tuple(columns),
        rows=tuple(rows),
        notes=tuple(_notes(records, columns)),
    )


def _columns(records: Sequence[CellRecord], planned: Sequence[CellKey]) -> list[Column]:
    """Device and backend pairs in planned order; a pair with latencies of two bases gives two columns."""
    pairs = dict.fromkeys([(k.device, k.backend) for k in planned] + [(r.key.device, r.key.backend) for r in records])
    by_pair: dict[tuple[str, str], list[CellRecord]] = {}
    for record in records:
        by_pair.setdefault((record.key.device, record.key.backend), []).append(record)
    columns = []
    for device, backend in pairs:
        here = by_pair.get((device, backend), [])
        bases: list[str | None] = list(dict.fromkeys(r.time_basis for r in here if r.time_basis))
        threads = {r.threads for r in here if r.threads}
        common = threads.pop() if len(threads) == 1 else None
        for basis in bases or [None]:
            columns.append(Column(device=device, backend=backend, time_basis=basis, threads=common))
    return columns


def _of_column(
    places: Mapping[tuple[str, str, str], Sequence[CellRecord]], column: Column, columns: Sequence[Column], recipe: str
) -> list[CellRecord]:
    """The recipe's cells of a column, all seeds. A cell without any time basis stands in the pair's first column."""
    first = next(c for c in columns if (c.device, c.backend) == (column.device, column.backend))
    return [
        r
        for r in places.get((recipe, column.device, column.backend), ())
        if r.time_basis == column.time_basis or (r.time_basis is None and column is first)
    ]


def _seed_note(seeds: Sequence[CellRecord]) -> str:
    """Tells of seeds that ended otherwise than the one shown."""
    others = [r.outcome for r in seeds if r.outcome != seeds[0].outcome]
    words = [f"{others.count(outcome)} of {len(seeds)} seeds {outcome}" for outcome in dict.fromkeys(others)]
    return ", ".join(words)


def _notes(records: Sequence[CellRecord], columns: Sequence[Column]) -> list[str]:
    notes = []
    bases = list(dict.fromkeys(c.time_basis for c in columns if c.time_basis))
    if len(bases) > 1:
        meanings = "; ".join(f"{BASIS_TEXT[b]}: {BASIS_MEANING[b]}" for b in bases)
        notes.append(f"Latencies of different time bases stand in this table and must not be compared. {meanings}.")
    elif bases and bases[0] != "device":
        what = "count" if any(count_of(r) is not None for r in records) else "latency"
        notes.append(f"Every {what} here is: {BASIS_MEANING[bases[0]]}.")
    seeds = sorted({r.key.seed for r in records})
    if len(seeds) > 1:
        notes.append(f"Seed {seeds[0]} of {len(seeds)} is shown; the spread over seeds stands in the table of seeds.")
    elif seeds and seeds[0] != 0:
        notes.append(f"Seed {seeds[0]}.")
    return notes
