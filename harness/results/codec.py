"""Records to JSON values and back, without loss.

What JSON cannot hold never gets lost in silence: a NaN or infinity that a board produced becomes null, and a finding
in the same record says so.
"""

from __future__ import annotations

import dataclasses
import json
import math
from functools import cache
from typing import Any

from harness.core.finding import Finding
from harness.core.fingerprint import Fingerprint
from harness.results.record import CellKey, CellRecord, FallbackOp, RunInfo

_CELL_FIELDS = {f.name for f in dataclasses.fields(CellRecord)}
#: types that JSON has as they are; a record has a hundred thousand values of them
_PLAIN = frozenset({str, int, bool, type(None)})
_RUN_FIELDS = {f.name for f in dataclasses.fields(RunInfo)}


def _plain(value: Any, path: str, odd: list[str]) -> Any:
    """The value in JSON's own types; numpy scalars become Python's, paths of non-finite numbers are added to `odd`."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, dict):
        if all(type(v) in _PLAIN for v in value.values()):
            return {str(k): v for k, v in value.items()}
        return {str(k): _plain(v, f"{path}.{k}", odd) for k, v in value.items()}
    if isinstance(value, list | tuple):
        if all(type(v) in _PLAIN for v in value):
            return list(value)
        return [_plain(v, f"{path}[{i}]", odd) for i, v in enumerate(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name), f"{path}.{f.name}", odd) for f in dataclasses.fields(value)}
    if hasattr(value, "tolist"):  # numpy arrays and scalars
        return _plain(value.tolist(), path, odd)
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        odd.append(f"{path} = {value}")
        return None
    if isinstance(value, int):
        return value
    raise TypeError(f"{path}: {type(value).__name__} cannot be stored in a record")


def plain_json(value: Any) -> Any:
    """Any record-like value in JSON's own types; NaN and infinity become null."""
    return _plain(value, "", [])


def record_to_json(record: CellRecord) -> dict[str, Any]:
    """The record as JSON values, nested like the dataclass. NaN never gets out."""
    odd: list[str] = []
    # Not `asdict`, which copies a thousand nodes to throw the copies away.
    data = {f.name: _plain(getattr(record, f.name), f.name, odd) for f in dataclasses.fields(record)}
    if odd:
        finding = Finding(
            code="not-a-number",
            severity="warning",
            where=record.key.text,
            what=f"The measurement gave no finite number: {', '.join(odd)}. The value is left empty.",
            fix="Look at the model's raw outputs: a float overflow or a division by zero is the usual cause.",
        )
        data["findings"].append(dataclasses.asdict(finding))
    return data


def record_from_json(data: dict[str, Any]) -> CellRecord:
    """The record that `record_to_json` wrote. Fields of a later harness are left aside."""
    fields = {name: value for name, value in data.items() if name in _CELL_FIELDS}
    fields["key"] = _make(CellKey, fields["key"])
    if fields.get("fingerprint") is not None:
        fields["fingerprint"] = _make(Fingerprint, fields["fingerprint"])
    fields["fallback"] = [_make(FallbackOp, op) for op in fields.get("fallback", [])]
    fields["findings"] = [_make(Finding, finding) for finding in fields.get("findings", [])]
    return CellRecord(**fields)


def _make(kind: type, data: dict[str, Any]) -> Any:
    known = _names(kind)
    return kind(**{name: value for name, value in data.items() if name in known})


@cache
def _names(kind: type) -> frozenset[str]:
    """The fields of a dataclass, which thousands of records ask for."""
    return frozenset(f.name for f in dataclasses.fields(kind))


def run_to_json(info: RunInfo) -> dict[str, Any]:
    """The run as JSON values."""
    return plain_json(dataclasses.asdict(info))


def run_from_json(data: dict[str, Any]) -> RunInfo:
    """The run that `run_to_json` wrote."""
    fields = {name: value for name, value in data.items() if name in _RUN_FIELDS}
    fields["planned"] = [_make(CellKey, key) for key in fields.get("planned", [])]
    return RunInfo(**fields)


def dumps(value: Any) -> str:
    """Compact JSON in ASCII: undecodable bytes in a board's log survive as escapes."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
