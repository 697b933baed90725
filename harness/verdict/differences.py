"""What differs between two nights of a cell, one by one: what could have made its figures others."""

from __future__ import annotations

from dataclasses import dataclass

from harness.results.record import CellRecord
from harness.verdict.epoch import FIELDS, changes

__all__ = ["Difference", "differences", "program_hashes"]

#: recorded beside the fields that begin an epoch: they run the board or the comparison, and no figure should hang on them
_RECORDED = {"agent_sha256": "agent", "firmware_sha256": "program", "harness_version": "harness", "python": "Python"}
#: characters of a hash that are shown
_SHORT = 12


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Something that is another one in the later of two nights.

    Attributes:
        name: `artifact`, or a field of the fingerprint.
        title: in sentences.
        before, after: as the two records have it.
        detail: more about it; empty: nothing.
    """

    name: str
    title: str
    before: str
    after: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.title} {self.before} -> {self.after}"


def differences(before: CellRecord, after: CellRecord) -> list[Difference]:
    """The differences, the artifact first, then what it ran on, then what is only recorded."""
    found = []
    if before.artifact_sha256 != after.artifact_sha256:
        found.append(
            Difference(
                name="artifact",
                title="artifact",
                before=_hash(before.artifact_sha256),
                after=_hash(after.artifact_sha256),
                detail=_made_of(before, after),
            )
        )
    for change in changes(before.fingerprint, after.fingerprint):
        found.append(
            Difference(
                name=change.field,
                title=FIELDS[change.field],
                before=change.before,
                after=change.after,
                detail=_programs(before, after) if change.field == "firmware" else "",
            )
        )
    told = {difference.name for difference in found}
    for name, title in _RECORDED.items():
        old, new = (getattr(record.fingerprint, name, None) for record in (before, after))
        if old != new and None not in (old, new) and not (name == "firmware_sha256" and "firmware" in told):
            found.append(Difference(name=name, title=title, before=_shown(name, old), after=_shown(name, new)))
    return found


def program_hashes(before: CellRecord, after: CellRecord, name: str) -> tuple[str | None, str | None]:
    """The hashes of what ran the board in two nights: its agent, or a microcontroller's program. None where one is not known.

    Args:
        name: of the difference; of any other than these two there are no hashes.
    """
    field = "firmware_sha256" if name == "firmware" else name
    if field not in ("agent_sha256", "firmware_sha256"):
        return None, None
    return getattr(before.fingerprint, field, None), getattr(after.fingerprint, field, None)


def _programs(before: CellRecord, after: CellRecord) -> str:
    """The hashes of two firmwares, as far as they are known."""
    old, new = program_hashes(before, after, "firmware")
    if old is None and new is None:
        return "of neither is the program known: it was built elsewhere"
    return f"program {_hash(old) if old else 'not known'} -> {_hash(new) if new else 'not known'}"


def _made_of(before: CellRecord, after: CellRecord) -> str:
    """Whether the float model is another one too; where it is not, the recipe or its converter made another file of it."""
    old, new = before.model_sha256, after.model_sha256
    if None in (old, new) or before.key.recipe == "as-is":
        return ""
    if old == new:
        by = {before.recipe_object, after.recipe_object}
        if len(by) == 1 and None not in by:
            return (
                f"of the same float model ({_hash(new)}) by the same recipe and packages: a build that does not repeat"
            )
        return f"of the same float model ({_hash(new)}): the recipe or its converter made another file"
    return f"of another float model ({_hash(old)} -> {_hash(new)}), by whatever recipe and converter were there"


def _hash(sha256: str | None) -> str:
    return sha256[:_SHORT] if sha256 else "none"


def _shown(name: str, value: object) -> str:
    return _hash(str(value)) if name.endswith("sha256") else str(value)
