"""The tables of arXiv 1806.08342 from records: bits x granularity x symmetry x training, and what is known to show in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.reports.scores import score_of
from harness.results.record import CellRecord
from harness.variants.recipe import parse_recipe
from harness.variants.scheme import Scheme

if TYPE_CHECKING:
    import pandas as pd

#: columns of every table, in the words of the paper
COLUMNS: tuple[tuple[str, bool, bool], ...] = (
    ("asymmetric, per-layer", False, False),
    ("symmetric, per-layer", False, True),
    ("asymmetric, per-channel", True, False),
    ("symmetric, per-channel", True, True),
)
#: rows of every table: the training's name in a recipe, and in words
ROWS = (("ptq", "post-training"), ("ft", "fine-tuned, then post-training (control)"), ("qat", "quantization-aware"))
FLOAT = "floating point"
#: a paired difference this unlikely by chance is shown
SHOWN = 0.01
#: what counts as a collapse, and as staying whole, in points of a hundred against the float model
COLLAPSE, WHOLE = 0.10, 0.03
#: a loss below this leaves nothing to regain
LEAST = 0.01


@dataclass(frozen=True, kw_only=True)
class SchemeTable:
    """One table: weights of so many bits, activations in float or of so many bits.

    Attributes:
        cells: (training, column) -> the cell's record; one that did not run is missing.
        base: the float model's.
        control: that of the float model which was trained on with the steps of quantization-aware training; None: it did not run.
    """

    weight_bits: int
    activation_bits: int | None
    cells: dict[tuple[str, str], CellRecord]
    base: CellRecord
    control: CellRecord | None = None

    @property
    def title(self) -> str:
        """In words, with the number that the paper's table has."""
        what = "weights only" if self.activation_bits is None else f"weights and {self.activation_bits}-bit activations"
        papers = {(8, False): "table 2", (8, True): "tables 3 and 4", (4, True): "table 5"}.get(
            (self.weight_bits, self.activation_bits is not None)
        )
        return f"{self.weight_bits}-bit {what}" + (f" ({papers} of the paper)" if papers else "")

    def to_frame(self) -> pd.DataFrame:
        """Scores: index the training, columns those of the paper and the float model's; missing where nothing ran."""
        import pandas as pd

        rows = [words for name, words in ROWS if any(training == name for training, _ in self.cells)]
        names = {words: name for name, words in ROWS}
        data = {column: [_score(self.cells.get((names[row], column))) for row in rows] for column, _, _ in COLUMNS}
        data[FLOAT] = [score_of(self.base)] * len(rows)
        return pd.DataFrame(data, index=pd.Index(rows, name="training"), dtype="Float64")


def _score(record: CellRecord | None) -> float | None:
    return None if record is None or record.outcome not in ("ok", "undecided") else score_of(record)


def scheme_names(
    weight_bits: Sequence[int] = (8, 4), activation_bits: int = 8, trainings: Sequence[str] = ()
) -> list[str]:
    """The recipes of all tables, the float model (and with the control the trained one) first.

    Args:
        trainings: of `ptq`, `ft` and `qat`, only these; none: all.
    """
    wanted = [training for training, _ in ROWS if not trainings or training in trainings]
    found = ["ptq-float32", *(["ft-float32"] if "ft" in wanted else [])]
    for bits in weight_bits:
        for activations in (None, activation_bits):
            for _, per_channel, symmetric in COLUMNS:
                scheme = Scheme(
                    weight_bits=bits, activation_bits=activations, per_channel=per_channel, symmetric=symmetric
                )
                found += [f"{training}-sim[{scheme.text}]" for training in wanted]
    return found


def scheme_tables(records: Sequence[CellRecord]) -> list[SchemeTable]:
    """The tables of one workload on one backend, from the records that are there.

    Args:
        records: of one workload, seed and backend of a device; recipes other than `sim[...]` and the float model are left aside.

    Raises:
        ValueError: the float model is not among them.
    """
    base = next((r for r in records if r.key.recipe == "ptq-float32"), None)
    if base is None:
        raise ValueError("the float model is not among the records")
    found: dict[tuple[int, int | None], dict[tuple[str, str], CellRecord]] = {}
    for record in records:
        recipe = parse_recipe(record.key.recipe)
        scheme = recipe.conversion.simulated
        if scheme is None:
            continue
        training = "qat" if recipe.training.simulated is not None else recipe.training.name
        column = next(
            name
            for name, channel, symmetric in COLUMNS
            if (channel, symmetric) == (scheme.per_channel, scheme.symmetric)
        )
        found.setdefault((scheme.weight_bits, scheme.activation_bits), {})[training, column] = record
    control = next((r for r in records if r.key.recipe == "ft-float32"), None)
    order = sorted(found, key=lambda key: (-key[0], key[1] is not None))
    return [
        SchemeTable(
            weight_bits=bits, activation_bits=activations, cells=found[bits, activations], base=base, control=control
        )
        for bits, activations in order
    ]


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A published effect, and whether it shows here.

    Attributes:
        appears: None where it cannot show: its cells did not run, or nothing was lost that could be regained.
        what: the effect; `seen`: the figures.
    """

    name: str
    what: str
    appears: bool | None
    seen: str


def known_effects(tables: Sequence[SchemeTable]) -> list[Effect]:
    """What the paper reports of depthwise-separable networks, held against the tables of weights and activations."""
    found = []
    for table in tables:
        if table.activation_bits is None:
            continue
        bits = table.weight_bits
        layer = table.cells.get(("ptq", "asymmetric, per-layer"))
        channel = table.cells.get(("ptq", "symmetric, per-channel"))
        found.append(_collapse(bits, layer))
        found.append(_whole(bits, channel))
        found.append(_better(bits, layer, channel))
        found.append(_recovery(table))
    return found


def _loss(record: CellRecord | None) -> float | None:
    """How much worse than the float model, on the same samples."""
    if record is None or record.score_delta is None or _score(record) is None:
        return None
    return record.score_delta if record.metric_direction == "lower" else -record.score_delta


def _points(loss: float | None) -> str:
    return "did not run" if loss is None else f"{-100 * loss:+.1f} points against the float model"


def _collapse(bits: int, layer: CellRecord | None) -> Effect:
    loss = _loss(layer)
    return Effect(
        name=f"per-layer-collapses-{bits}",
        what=f"post-training, {bits}-bit weights with one range per layer lose at least {100 * COLLAPSE:.0f} points",
        appears=None if loss is None else loss >= COLLAPSE,
        seen=_points(loss),
    )


def _whole(bits: int, channel: CellRecord | None) -> Effect:
    loss = _loss(channel)
    return Effect(
        name=f"per-channel-holds-{bits}",
        what=f"post-training, {bits}-bit weights with one range per channel lose at most {100 * WHOLE:.0f} points",
        appears=None if loss is None else loss <= WHOLE,
        seen=_points(loss),
    )


def _better(bits: int, layer: CellRecord | None, channel: CellRecord | None) -> Effect:
    first, second = _loss(layer), _loss(channel)
    return Effect(
        name=f"per-channel-beats-per-layer-{bits}",
        what=f"post-training, {bits}-bit weights lose more with one range per layer than with one per channel",
        appears=None if first is None or second is None else first > second and _is_shown(layer),
        seen=f"per-layer {_points(first)}, per-channel {_points(second)}",
    )


def _is_shown(record: CellRecord | None) -> bool:
    p = None if record is None else (record.mcnemar_p if record.score_p is None else record.score_p)
    return p is not None and p <= SHOWN


def _recovery(table: SchemeTable) -> Effect:
    """Held against the control where it ran: more training is not quantization-aware training."""
    column = "asymmetric, per-layer"
    base, training = (table.base, "ptq") if table.control is None else (table.control, "ft")
    lost, left = (_below(base, table.cells.get((name, column))) for name in (training, "qat"))
    words = dict(ROWS)
    of = "the float model" if table.control is None else "the float model trained on as long"
    figures = ", ".join(
        f"{words[name]} {'did not run' if loss is None else f'{-100 * loss:+.1f} points'}"
        for name, loss in ((training, lost), ("qat", left))
    )
    small = lost is not None and lost < LEAST
    return Effect(
        name=f"qat-recovers-{table.weight_bits}",
        what=f"quantization-aware training of the per-layer {table.weight_bits}-bit model regains at least half of what it lost",
        appears=None if lost is None or left is None or small else left <= lost / 2,
        seen=f"against {of}: {figures}" + ("; nothing was lost that could be regained" if small else ""),
    )


def _below(base: CellRecord, record: CellRecord | None) -> float | None:
    """How much worse a score is than a float model's, which ran on the same samples."""
    mine, other = _score(record), _score(base)
    if mine is None or other is None:
        return None
    return mine - other if base.metric_direction == "lower" else other - mine
