"""An answer as JSON values (docs/reference/json-schema.md): the same figures and words as everywhere else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.reports.answer.answer import Answer
from harness.reports.answer.compare import Compared
from harness.reports.answer.models import model_name
from harness.reports.answer.rows import AnswerRow, answer_rows
from harness.reports.answer.words import lines, sentence
from harness.results.codec import plain_json
from harness.results.record import CellRecord


def answers_json(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """One object per workload, dataset and device."""
    return [answer_json(answer, answers) for answer in answers]


def answer_json(answer: Answer, beside: Sequence[Answer] = ()) -> dict[str, Any]:
    """The answer: its pick, its sentence, every cell with its role and reason, and what QAT itself gained."""
    chosen = answer.pick
    return plain_json(
        {
            "workload": answer.workload,
            "dataset": answer.dataset,
            "device": answer.device,
            "sentence": sentence(answer),
            "pick": None if chosen is None else _name(chosen.record),
            "why_none": answer.why_none or None,
            "model_file": None if chosen is None else f"models/{model_name(answer, beside)}",
            "artifact_sha256": None if chosen is None else chosen.record.artifact_sha256,
            "limits": {
                "max_drop": answer.limits.max_drop,
                "max_latency_ns": answer.limits.max_latency_ns,
                "max_size_bytes": answer.limits.max_size_bytes,
                "prefer": answer.limits.prefer,
            },
            "no_times": answer.no_times or None,
            "lines": [{"head": head, "text": text} for head, text in lines(answer)],
            "cells": [_row(row) for row in answer_rows(answer)],
            "qat": [
                {
                    **_name(gain.record),
                    "control": None if gain.control is None else gain.control.key.recipe,
                    **_tested(gain.tested),
                }
                for gain in answer.gains
            ],
        }
    )


def _name(record: CellRecord) -> dict[str, Any]:
    return {"recipe": record.key.recipe, "backend": record.key.backend, "seed": record.key.seed}


def _row(row: AnswerRow) -> dict[str, Any]:
    return {
        **_name(row.record),
        "role": row.role,
        "group": row.group,
        "to_float": None if row.to_float is None else _tested(row.to_float),
        "why": row.why or None,
    }


def _tested(tested: Compared | str) -> dict[str, Any]:
    if isinstance(tested, str):
        return {"not_compared": tested}
    return {
        "samples": tested.samples,
        "delta": tested.delta,
        "low": tested.low,
        "high": tested.high,
        "p": tested.p,
        "p_holm": tested.p_holm,
        "told_apart": tested.told_apart,
        "test": tested.test,
    }
