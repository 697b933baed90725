"""The published JSON: as documented, valid for every record, and never NaN."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace

import jsonschema
import pytest

from harness.reports import jsonout, schema_gen
from harness.reports.fields import FIELDS, NAMES
from harness.results.record import SECTIONS, CellKey, CellRecord
from tests.support.fixtures_results import RUN, make_key, make_records
from tests.support.places import ROOT

DOCS = ROOT / "docs" / "reference" / "json-schema.md"

#: the names that other tools were promised
PROMISED = (
    "workload",
    "recipe",
    "device",
    "backend",
    "dataset",
    "seed",
    "samples",
    "outcome",
    "reason",
    "time_basis",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "accuracy_delta",
    "metric",
    "score",
    "score_low",
    "score_high",
    "score_delta",
    "model_sha256",
    "rules_version",
    "size_bytes",
    "load_ns",
    "first_invoke_ns",
    "latency_median_ns",
    "latency_p90_ns",
    "latency_samples",
    "threads",
    "delegate_name",
    "delegated_nodes",
    "total_nodes",
    "partitions",
    "fallback",
    "reference",
    "max_lsb_diff",
    "mismatch_share",
)


@pytest.fixture(scope="module")
def validator():
    schema = jsonout.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def problems(validator, document):
    return [f"{list(e.absolute_path)}: {e.message}" for e in validator.iter_errors(document)]


def test_every_record_gives_a_valid_document(validator):
    text = jsonout.dumps(RUN, make_records(with_twin=True))
    assert problems(validator, json.loads(text)) == []


def test_the_document_says_its_schema_and_run():
    document = jsonout.document(RUN, [])
    assert document == {"schema": 2, "run": RUN, "cells": []}


def test_a_cell_that_never_ran_is_valid_and_full_of_nulls(validator):
    record = CellRecord(key=make_key("w", "r", "d", "cpu"), run=RUN, outcome="failed", reason="no answer")
    document = jsonout.document(RUN, [record])
    assert problems(validator, document) == []
    assert document["cells"][0]["latency_median_ns"] is None and document["cells"][0]["fallback"] == []


def test_a_cell_of_a_build_or_audit_is_valid_with_the_fields_it_has(validator):
    cell = jsonout.partial_cell({"workload": "mnist-cnn", "recipe": "ptq-int8", "size_bytes": 23_856})
    assert problems(validator, jsonout.document(None, [cell])) == []
    assert cell["device"] is None and cell["outcome"] == "ok"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("outcome", "maybe"),
        ("time_basis", "guess"),
        ("accuracy", 1.2),
        ("latency_median_ns", "5 ms"),
        ("latency_samples", -1),
        ("artifact_sha256", "abc"),
        ("fallback", None),
        ("attempts", None),
    ],
)
def test_the_schema_refuses_what_is_not_promised(validator, field, value):
    cell = {**jsonout.cell_json(make_records()[0]), field: value}
    assert problems(validator, jsonout.document(RUN, [cell]))


@pytest.mark.parametrize("field", NAMES)
def test_the_schema_asks_for_every_field(validator, field):
    cell = jsonout.cell_json(make_records()[0])
    del cell[field]
    assert problems(validator, jsonout.document(RUN, [cell]))


def test_promised_names_are_there():
    assert set(PROMISED) <= set(NAMES)


def test_every_field_of_a_record_is_published():
    record_fields = {f.name for f in dataclasses.fields(CellRecord)} - {"key"}
    key_fields = {f.name for f in dataclasses.fields(CellKey)}
    assert set(NAMES) == record_fields | key_fields
    assert len(NAMES) == len(set(NAMES))


def test_every_section_of_a_record_is_part_of_it_and_no_field_stands_in_two():
    names = [f.name for section in SECTIONS.values() for f in dataclasses.fields(section)]
    assert len(names) == len(set(names))
    assert set(names) < {f.name for f in dataclasses.fields(CellRecord)}
    assert all(issubclass(CellRecord, section) for section in SECTIONS.values())


def test_fallback_entries_have_node_op_reason_and_whether_it_was_predicted():
    cell = next(c for c in map(jsonout.cell_json, make_records()) if c["fallback"])
    assert set(cell["fallback"][0]) == {"node", "op", "reason", "predicted"}


def test_a_nan_never_gets_out():
    record = replace(make_records()[0], nrmse=float("nan"), temperature_c=float("-inf"))
    text = jsonout.dumps(RUN, [record])
    cell = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in the JSON"))["cells"][0]
    assert cell["nrmse"] is None and cell["temperature_c"] is None


def test_undecodable_bytes_of_a_board_log_survive_as_escapes():
    record = replace(make_records()[0], board_log="bad \udcff byte")
    assert jsonout.dumps(RUN, [record]).isascii()


def test_the_shipped_schema_is_that_of_the_field_table():
    assert jsonout.schema() == schema_gen.build_schema()


def test_the_documentation_lists_every_field_as_it_is():
    page = DOCS.read_text(encoding="utf-8")
    assert page.split(schema_gen.BEGIN)[1].split(schema_gen.END)[0].strip() == schema_gen.field_table()


def test_every_field_that_may_be_null_says_when(validator):
    for field in FIELDS:
        cell = {**jsonout.cell_json(make_records()[0]), field.name: None}
        assert bool(problems(validator, jsonout.document(RUN, [cell]))) is (not field.null), field.name


def test_writing_replaces_a_file_whole_and_a_dash_is_stdout(tmp_path, capsys):
    path = tmp_path / "new" / "cells.json"
    jsonout.write_json(path, RUN, make_records())
    jsonout.write_json("-", RUN, make_records())
    assert json.loads(path.read_text()) == json.loads(capsys.readouterr().out)
