"""A record as the store keeps it: compact JSON, what repeats apart and once, and a checksum over the text.

A night measures what the night before measured: placements, fallback tables, fingerprints and findings are mostly the same
to the byte. They stand once in the table `part`, and the record's JSON names them by their number there. So do, all together, the
fields that say what was measured and how good it was: identity, model, score, reference, names of objects.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any

from harness.core.files import sha256_bytes
from harness.results import codec
from harness.results.faults import CorruptStoreError
from harness.results.record import CellRecord
from harness.results.sections import Model, Placement, Reference, Score

#: the fields that may stand in `part`
PARTS = (
    "dataset_note",
    "compiled",
    "prediction",
    "fallback",
    "ops",
    "reference_rule",
    "fingerprint",
    "findings",
)
#: in `parts`: the fields of `TOGETHER`
TOGETHER_KEY = "together"
#: fields that are the same night after night, as long as the artifact is; one of which that is not known stays with its record
TOGETHER = frozenset(
    {f.name for section in (Model, Score, Reference, Placement) for f in dataclasses.fields(section)}
    | {
        "key",
        "outcome",
        "reason",
        "attempts",
        "time_basis",
        "rules_version",
        "threads",
        "affinity",
        "kernels",
        "worker_start",
    }
    | {"sample_ids_object", "outputs_object", "labels_object", "float_answers_object", "reference_object"}
    | {"tensors_object", "artifact_object", "recipe_object"}
).difference(PARTS)
#: the fields that are empty lists where there is nothing
_LISTS = ("fallback", "ops", "findings")
#: a text shorter than this costs less where it is
_LEAST_CHARACTERS = 80
#: in a record's JSON: field -> number of its part
PARTS_KEY = "parts"


def pack(data: Mapping[str, Any], keep: Callable[[str], int]) -> str:
    """A record's JSON text for the store.

    Args:
        data: the record as `codec.record_to_json` gives it.
        keep: stores a part's text, once, and gives its number.
    """
    kept: dict[str, Any] = {}
    together: dict[str, Any] = {}
    parts: dict[str, int] = {}
    for name, value in data.items():
        if value is None or (value == [] and name in _LISTS):
            continue  # what is not there needs no room: reading gives the field's default
        text = codec.dumps(value) if name in PARTS else ""
        if len(text) >= _LEAST_CHARACTERS:
            parts[name] = keep(text)
        elif name in TOGETHER:
            together[name] = value
        else:
            kept[name] = value
    if together:
        parts[TOGETHER_KEY] = keep(codec.dumps(together))
    if parts:
        kept[PARTS_KEY] = parts
    return codec.dumps(kept)


def checksum(text: str) -> str:
    """Hex SHA-256 of a stored text; bytes of it that are no UTF-8 any more are surrogates (`harness.results.engine`)."""
    return sha256_bytes(text.encode(errors="surrogateescape"))


def whole(text: str, stated: str | None, part: Callable[[int], str]) -> str:
    """A stored text with its parts put back: the record's JSON, which needs nothing else.

    Raises:
        CorruptStoreError: as `unpack`.
    """
    return codec.dumps(_data(text, stated, part))


def pack_whole(text: str, keep: Callable[[str], int]) -> str:
    """What `whole` gave as a text for another store."""
    return pack(json.loads(text), keep)


def unpack(text: str, stated: str | None, part: Callable[[int], str]) -> CellRecord:
    """The record of a stored text.

    Args:
        stated: the checksum beside the text.
        part: a part's text by its number; raises KeyError where there is none, or a damaged one.

    Raises:
        CorruptStoreError: text and checksum do not belong together, a part is lost, or the text is no record.
    """
    data = _data(text, stated, part)
    try:
        return codec.record_from_json(data)
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptStoreError(f"it is no record ({type(error).__name__}: {error})") from error


def _data(text: str, stated: str | None, part: Callable[[int], str]) -> dict[str, Any]:
    if not isinstance(text, str) or checksum(text) != stated:
        raise CorruptStoreError("its text does not match its checksum")
    try:
        data = json.loads(text)
        for name, number in data.pop(PARTS_KEY, {}).items():
            value = json.loads(part(number))
            data |= value if name == TOGETHER_KEY else {name: value}
    except KeyError as error:
        raise CorruptStoreError(f"a part of it is lost or damaged ({error})") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptStoreError(f"it is no record ({type(error).__name__}: {error})") from error
    return dict(data)
