"""What a model's quantization really is: `harness.audit`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api.calls import Data, Names, PathLike, data_file, names, text, told

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from harness.session.audited import Audited


@dataclass(frozen=True, eq=False)
class Audits:
    """The audits of one or several models, in the order in which they were asked for."""

    models: tuple[Audited, ...]

    def __repr__(self) -> str:
        graver = sum(finding.severity != "info" for model in self for finding in model.findings)
        return f"<harness audits: {len(self)} models, {graver} findings above info>"

    def __len__(self) -> int:
        return len(self.models)

    def __iter__(self) -> Iterator[Audited]:
        return iter(self.models)

    def to_frame(self, table: str = "findings") -> pd.DataFrame:
        """A table over all models; the column `model` says which.

        Args:
            table: `findings` (severity, code, where, what, fix), `layers` (what training put around each layer), `tensors` (type,
                scale and zero point of each), `theory` (what the affine equations give), `ops`, or `facts`.

        Raises:
            UserInputError: no such table.
        """
        from harness.reports.audit_frames import audit_frame

        return audit_frame([(model.name, report) for model in self for report in model.reports], table)


@told
def audit(
    targets: Names,
    *,
    recipe: str | None = None,
    data: Data | None = None,
    metric: str | None = None,
    seed: int = 0,
    data_dir: PathLike | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Audits:
    """What quantization made of models, read from their files, and what is not what it seems: `harness audit`.

    Args:
        targets: `WORKLOAD:RECIPE`, built first where it is not there yet (the recipe may be a glob, `core` or `all`; the workload
            a float model of your own with `data`), or .tflite, .keras and .h5 files as they are.
        recipe: the one whose promise a file is checked against.
        data, metric, data_dir, seed: what variants are built with.
        progress: called with (what, done, total) while models are built.

    Raises:
        HarnessError: a target that is neither, a damaged file, or a build that cannot be done here.
    """
    from harness.session.audited import audit_targets

    file = data_file(data)
    found = audit_targets(
        names(targets), recipe=recipe, data=Path(file) if file else None, metric=metric, data_dir=text(data_dir),
        seed=seed, say=progress or (lambda what, done, total: None),
    )  # fmt: skip
    return Audits(tuple(found))
