"""Answers from what a run stored: sample by sample, and the file that ships, to the byte."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import jsonschema
import pytest

from harness.reports.answer.compare import Compared
from harness.reports.answer.evidence import Answers, StoredEvidence
from harness.reports.export import export_run
from harness.reports.jsonout import schema
from harness.reports.report import Report
from harness.results.objects import ObjectStore
from harness.results.store import Store
from tests.support.answered_store import LABELS, RUN, answered_store, model_file

PICKED = "w__ptq-int8-io__board__cpu.tflite"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    answered_store(tmp_path / "results", tmp_path / "files")
    return tmp_path / "results"


def exported(results: Path) -> Path:
    with Store.open(results) as store:
        return export_run(store, RUN, results)


def stored(results: Path):
    with Store.open(results, create=False) as store:
        return store.cells(run=RUN)


def test_what_cells_answered_is_read_back_as_their_metric_sees_it(results: Path):
    evidence = StoredEvidence(ObjectStore(results))
    record = next(r for r in stored(results) if r.key.recipe == "ptq-int8-io")
    answers = evidence.answers(record)
    assert isinstance(answers, Answers)
    assert int((answers.answers != LABELS).sum()) == 17 and int((answers.float_answers != LABELS).sum()) == 16
    assert evidence.answers(record) is answers


def test_a_lost_object_costs_a_cell_its_comparisons_and_no_other(results: Path):
    records = stored(results)
    lost = next(r for r in records if r.key.recipe == "ptq-int8-io")
    objects = ObjectStore(results)
    objects.path(lost.outputs_object).unlink()
    answer = Report.of(records, results=results).answers[0]
    compared = {c.recipe: c.to_float for c in answer.candidates}
    # The difference to the float model stands in the record all the same.
    assert all(isinstance(one, Compared) for one in compared.values())
    assert "cannot be read" in str(StoredEvidence(objects).answers(lost))


def test_the_picked_model_lies_beside_the_tables_to_the_byte(results: Path):
    folder = exported(results)
    assert sorted(path.name for path in (folder / "models").iterdir()) == [PICKED, PICKED.replace("board", "other")]
    data = (results / "latest" / "models" / PICKED).read_bytes()
    assert data == model_file("ptq-int8-io")
    record = next(r for r in stored(results) if r.key.recipe == "ptq-int8-io")
    assert hashlib.sha256(data).hexdigest() == record.artifact_sha256


def test_another_export_leaves_only_what_is_picked_now(results: Path):
    folder = exported(results)
    (folder / "models" / "w__old__board__cpu.tflite").write_bytes(b"old")
    exported(results)
    assert not (folder / "models" / "w__old__board__cpu.tflite").exists()
    assert (folder / "models" / PICKED).exists()


def test_a_model_that_cannot_be_had_is_named_with_the_reason(results: Path):
    record = next(r for r in stored(results) if r.key.recipe == "ptq-int8-io")
    ObjectStore(results).path(record.artifact_object).unlink()
    folder = exported(results)
    assert not (folder / "models" / PICKED).exists()
    assert f"{PICKED}: " in (folder / "models" / "missing.txt").read_text()


def test_every_form_of_the_report_says_the_same(results: Path):
    folder = exported(results)
    said = "ship ptq-int8-io on cpu: -0.2 points, 2.1x faster, a quarter of the size"
    document = json.loads((folder / "run.json").read_text())
    assert [answer["sentence"] for answer in document["answers"]] == [said, said]
    assert document["answers"][0]["model_file"] == f"models/{PICKED}"
    assert f"**{said}**" in (folder / "summary.md").read_text()
    jsonschema.validate(document, schema())


def test_the_json_has_every_cell_with_its_role_and_what_qat_gained(results: Path):
    answer = json.loads((exported(results) / "run.json").read_text())["answers"][0]
    assert {(cell["recipe"], cell["role"]) for cell in answer["cells"]} == {
        ("ptq-int8-io", "pick"),
        ("qat-int8-io", "beaten"),
        ("ptq-float32", "control"),
        ("ft-int8-io", "control"),
    }
    [gain] = answer["qat"]
    assert (gain["recipe"], gain["control"], gain["told_apart"]) == ("qat-int8-io", "ft-int8-io", False)
