"""Makes schema.json and the table of docs/reference/json-schema.md from the field table.

`python -m harness.reports.schema_gen` rewrites both in a checkout; a test holds them to what this module makes.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, get_args

from harness.core.finding import Severity
from harness.core.fingerprint import Fingerprint, TimeBasis
from harness.reports.fields import FIELDS, Field
from harness.results.record import SCHEMA_VERSION, Direction, Kernels, Outcome, Quality, SensorSource, WorkerStart

#: marks in docs/reference/json-schema.md between which the table stands
BEGIN, END = "<!-- fields: begin -->", "<!-- fields: end -->"

#: what a cell is to an answer
_ROLES = ["pick", "front", "beaten", "control", "left out"]

_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}


def _object(required: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": required, "required": list(required)}


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


_KINDS: dict[str, dict[str, Any]] = {
    "text": _TEXT,
    "count": _COUNT,
    "ns": _COUNT,
    "bytes": _COUNT,
    "hz": _COUNT,
    "share": {"type": "number", "minimum": 0, "maximum": 1},
    "number": {"type": "number"},
    "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    "outcome": {"enum": list(get_args(Outcome))},
    "time_basis": {"enum": list(get_args(TimeBasis))},
    "direction": {"enum": list(get_args(Direction))},
    "worker_start": {"enum": list(get_args(WorkerStart))},
    "kernels": {"enum": list(get_args(Kernels))},
    "quality": {"enum": list(get_args(Quality))},
    "sensors": {"enum": list(get_args(SensorSource))},
    "integers": {"type": "array", "items": _COUNT},
    "fingerprint": _object(
        {
            f.name: _TEXT
            if f.name == "runtime"
            else _nullable(_COUNT if f.name in ("cpu_count", "clock_hz") else _TEXT)
            for f in dataclasses.fields(Fingerprint)
        }
    ),
    "fallback": {
        "type": "array",
        "items": _object(
            {"node": _COUNT, "op": _TEXT, "reason": _nullable(_TEXT), "predicted": _nullable({"type": "boolean"})}
        ),
    },
    "ops": {"type": "array", "items": _object({"node": _COUNT, "op": _TEXT, "ran_on": _TEXT})},
    "prediction": {"type": "object"},
    "figures": {"type": "array", "items": {"type": "object"}},
    "output_scores": {
        "type": "array",
        "items": _object({"output": _TEXT, "metric": _TEXT, "score": {"type": "number"}}),
    },
    "op_check": _object(
        {"verdict": _TEXT, "right": _COUNT, "wrong": {"type": "array"}, "not_checked": {"type": "array"}}
    ),
    "settings": {"type": "object"},
    "mlperf": {"type": "object"},
    "vendor": _object({"program": _TEXT, "mean_ns": _COUNT, "count": _COUNT, "ops": {"type": "array"}}),
    "compiled": _object(
        {
            "compiler": _TEXT,
            "options": {"type": "object"},
            "source_sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            "source_size_bytes": _COUNT,
            "npu_operators": _COUNT,
            "cpu_operators": _COUNT,
            "partitions": _COUNT,
            "inference_ns": _nullable(_COUNT),
            "cycles_total": _COUNT,
        }
    ),
    "findings": {
        "type": "array",
        "items": _object(
            {"code": _TEXT, "severity": {"enum": list(get_args(Severity))}, "where": _TEXT, "what": _TEXT, "fix": _TEXT}
        ),
    },
}


def _choices(words: Any) -> str:
    return ", ".join(f"`{word}`" for word in get_args(words))


_KIND_TEXT = {
    "text": "string",
    "count": "integer",
    "ns": "integer, nanoseconds",
    "bytes": "integer, bytes",
    "hz": "integer, hertz",
    "share": "number, 0 to 1",
    "number": "number",
    "sha256": "string, SHA-256",
    "integers": "list of integers",
    "outcome": _choices(Outcome),
    "time_basis": _choices(TimeBasis),
    "direction": _choices(Direction),
    "worker_start": _choices(WorkerStart),
    "kernels": _choices(Kernels),
    "quality": _choices(Quality),
    "sensors": _choices(SensorSource),
    "fingerprint": "object",
    "fallback": "list of objects",
    "ops": "list of objects",
    "compiled": "object",
    "prediction": "object",
    "figures": "list of objects",
    "output_scores": "list of objects",
    "op_check": "object",
    "settings": "object",
    "mlperf": "object",
    "vendor": "object",
    "findings": "list of objects",
}


def kind_text(field: Field) -> str:
    """The field's type in words, for documents and the About sheet."""
    return _KIND_TEXT[field.kind]


def build_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the published document. Unknown fields are allowed: readers skip them."""
    properties = {}
    for field in FIELDS:
        kind = _nullable(_KINDS[field.kind]) if field.null else dict(_KINDS[field.kind])
        properties[field.name] = {"description": field.meaning, **kind}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Cells of a tflite-hil-harness run",
        **_with_answers(
            _object(
                {
                    "schema": {"const": SCHEMA_VERSION},
                    "run": _nullable(_TEXT),
                    "cells": {"type": "array", "items": _object(properties)},
                }
            )
        ),
    }


def _with_answers(document: dict[str, Any]) -> dict[str, Any]:
    """The document with what to ship, which only documents of whole runs have."""
    document["properties"]["answers"] = {
        "description": "What to ship, one per workload, dataset and device (docs/guides/what-to-ship.md).",
        "type": "array",
        "items": _object(
            {
                "workload": _TEXT,
                "dataset": _TEXT,
                "device": _TEXT,
                "sentence": _TEXT,
                "pick": _nullable(_object({"recipe": _TEXT, "backend": _TEXT, "seed": _COUNT})),
                "why_none": _nullable(_TEXT),
                "model_file": _nullable(_TEXT),
                "artifact_sha256": _nullable(_KINDS["sha256"]),
                "limits": {"type": "object"},
                "no_times": _nullable(_TEXT),
                "lines": {"type": "array", "items": _object({"head": _TEXT, "text": _TEXT})},
                "cells": {
                    "type": "array",
                    "items": _object({"recipe": _TEXT, "backend": _TEXT, "role": {"enum": _ROLES}}),
                },
                "qat": {"type": "array", "items": _object({"recipe": _TEXT, "control": _nullable(_TEXT)})},
            }
        ),
    }
    return document


def field_table() -> str:
    """The Markdown table of all fields."""
    lines = ["| Field | Type | Meaning | `null` when |", "|---|---|---|---|"]
    lines += [f"| `{f.name}` | {kind_text(f)} | {f.meaning} | {f.null or 'never'} |" for f in FIELDS]
    return "\n".join(lines)


def main() -> None:
    """Rewrites the two files of a checkout."""
    package = Path(__file__).resolve().parent
    (package / "schema.json").write_text(json.dumps(build_schema(), indent=1) + "\n", encoding="utf-8")
    page = package.parent.parent / "docs" / "reference" / "json-schema.md"
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{field_table()}\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
