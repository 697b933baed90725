"""Published figures: read from the user's file with clear complaints, and set beside the measured ones."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli.report import command
from harness.core.errors import UserInputError
from harness.reports.published import PUBLISHED, published_table, read_published
from harness.reports.published_store import keep_published, kept_published
from harness.reports.report import Report
from harness.reports.workbook import write_workbook
from harness.results.objects import ObjectStore
from harness.results.prune import Keep, prune
from harness.results.record import RunInfo
from harness.results.store import Store
from tests.support.fixtures_results import RUN, fill_store, make_info, make_records
from tests.support.pages import Page
from tests.support.workbooks import read, rows_of, table_of

CSV = """\
workload,recipe,device,backend,quantity,value,unit,source
mnist-cnn,ptq-int8-io,,,accuracy,95.8,%,TensorFlow's guide
mnist-cnn,ptq-int8-io,,,size,23560,bytes,TensorFlow's guide
mnist-cnn,ptq-*,imx8mp,npu,latency,0.5,ms,=a page
other,,,,latency,1,s,nobody
"""


def figures(tmp_path: Path, text: str = CSV, name: str = "figures.csv"):
    (tmp_path / name).write_text(text)
    return read_published(tmp_path / name)


def test_figures_are_kept_in_the_units_of_records(tmp_path):
    accuracy, size, latency, _ = figures(tmp_path)
    assert (accuracy.value, size.value, latency.value) == (pytest.approx(0.958), 23_560, 500_000)
    assert accuracy.of_every_device and not latency.of_every_device and latency.row == 4


def test_yaml_and_the_heads_of_published_tables_are_read_alike(tmp_path):
    text = "- {model: net, variant: int8, device: imx8mp, backend: npu, metric: throughput, value: 200, unit: inf/s}\n"
    (found,) = figures(tmp_path, text, "figures.yaml")
    assert (found.workload, found.recipe, found.quantity, found.value) == ("net", "int8", "throughput", 5_000_000)
    (same,) = figures(tmp_path, "model,variant,metric,value,unit\nnet,int8,throughput,200,inf/s\n")
    assert same.value == found.value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("workload,quantity,value\nw,latency,1\n", "'' is no unit of a latency"),
        ("workload,quantity,value,unit\nw,speed,1,ms\n", "'speed' is no quantity"),
        ("workload,quantity,value,unit\nw,latency,fast,ms\n", "found 'fast', a number is wanted"),
        ("workload,quantity,value,unit\nw,latency,nan,ms\n", "found 'nan'"),
        ("workload,quantity,value,unit,colour\nw,latency,1,ms,red\n", "unknown column 'colour'"),
        ("workload,quantity,value,unit\nw,latency,1\n", "another number of fields"),
        ("workload,quantity,value,unit\nw,throughput,0,inf/s\n", "above 0"),
    ],
)
def test_a_wrong_row_is_named_with_its_line_and_what_is_allowed(tmp_path, text, words):
    with pytest.raises(UserInputError, match="figures.csv:2") as caught:
        figures(tmp_path, text)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["a: [", "a: 1", "- 1", "- [1]"])
def test_what_is_no_list_of_figures_is_refused(tmp_path, text):
    with pytest.raises(UserInputError, match="figures.yaml"):
        figures(tmp_path, text, "figures.yaml")


def test_files_that_are_no_text_or_not_there_are_refused(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserInputError, match="no UTF-8"):
        read_published(tmp_path / "x.csv")
    with pytest.raises(UserInputError):
        read_published(tmp_path / "nowhere.csv")


def test_each_figure_stands_beside_each_cell_that_it_is_of(tmp_path):
    table = published_table(make_records(), figures(tmp_path))
    of_size = table[table["quantity"] == "size_bytes"]
    assert set(of_size["difference"].dropna()) == {0}
    score = table[(table["quantity"] == "score") & (table["device"] == "host-litert")].iloc[0]
    assert score["difference"] == pytest.approx(score["measured"] - 0.958)
    times = table[table["quantity"] == "latency_median_ns"]
    known = times[times["device"] == "imx8mp"].dropna(subset=["measured"])
    assert len(known) and (known["difference_share"] == known["difference"] / 500_000).all()
    assert times.iloc[-1]["outcome"] == "no such cell in this run"


def test_the_workbook_has_a_column_beside_the_sizes_and_a_sheet_of_differences(tmp_path):
    write_workbook(replace(Report.of(make_records()), given=tuple(figures(tmp_path))), tmp_path / "x.xlsx")
    book = read(tmp_path / "x.xlsx")
    rows = {row[0]: row for row in rows_of(book["Summary mnist-cnn"])}
    assert rows_of(book["Summary mnist-cnn"])[3][:3] == ["recipe", "size (bytes)", "published"]
    assert rows["ptq-int8-io"][2] == "accuracy 0.958; size 23,560 B; imx8mp/npu: latency 500 µs"
    assert rows["ft-float32"][2] is None and rows["ptq-int8-io"][3] == "ok"
    assert "published" not in rows_of(book["Summary sensor-cnn"])[3]
    sheet = table_of(book[PUBLISHED], "workload")
    assert {"published", "measured", "difference"} <= set(sheet[0])
    source = next(row for row in sheet if row["source"] == "=a page")
    assert source["quantity"] == "latency_median_ns"


def test_the_report_takes_the_file_for_the_workbook_alone(exported_results, tmp_path):
    (tmp_path / "f.csv").write_text(CSV)
    options = [RUN, "--results", str(exported_results), "--published", str(tmp_path / "f.csv")]
    done = CliRunner().invoke(command, [*options, "--format", "xlsx", "--output", str(tmp_path / "x.xlsx")])
    assert done.exit_code == 0 and PUBLISHED in read(tmp_path / "x.xlsx").sheetnames
    refused = CliRunner().invoke(command, options)
    assert isinstance(refused.exception, UserInputError) and "--format xlsx" in str(refused.exception)


def test_figures_that_a_night_was_begun_with_are_there_whenever_its_tables_are_made_again(tmp_path):
    results, given = tmp_path / "results", figures(tmp_path)
    records = make_records()
    store = fill_store(results, records, make_info(records))
    noted = keep_published(given, store.objects)
    environment = store.run(RUN).environment
    store.set_environment(RUN, {**environment, **noted})
    store.close()
    done = CliRunner().invoke(command, [RUN, "--results", str(results), "--export"])
    assert done.exit_code == 0, done.output
    assert PUBLISHED in read(results / RUN / "comparison.xlsx").sheetnames
    page = Page((results / RUN / "index.html").read_text(encoding="utf-8"))
    table = page.all("section", id="published")[0].text
    assert "23,560 B" in table and "500 µs" in table and "no such cell in this run" in table
    facts = [dict(cell["facts"]).get("Published", "") for cell in page.data["cells"]]
    assert any(text.startswith("accuracy 0.958") and " here, " in text for text in facts)
    with Store.open(results) as opened:
        keep = Keep(runs={name: "test" for name in opened.run_ids()})
        for path in opened.objects.root.rglob("*.npz"):
            os.utime(path, (0, 0))
        prune(opened, keep)
        assert opened.objects.has(noted["published_object"])
        opened.objects.path(noted["published_object"]).unlink()
    again = CliRunner().invoke(
        command, [RUN, "--results", str(results), "--format", "xlsx", "--output", str(tmp_path / "y.xlsx")]
    )
    assert again.exit_code == 0 and "cannot be read any more" in again.output


@pytest.mark.parametrize(
    "spoilt", [{"quantity": "speed"}, {"value": "1"}, {"value": True}, {"source": 3}, {"row": "x"}]
)
def test_kept_figures_are_checked_like_those_of_a_file(tmp_path, spoilt):
    objects = ObjectStore(tmp_path)
    row = {"quantity": "size", "value": 1.0, "source": "", "row": 1, **spoilt}
    name = objects.put_json([row])
    info = RunInfo(run="r", started_utc="", command=[], environment={"published_object": name})
    found, problem = kept_published(info, objects)
    assert found == () and "cannot be read any more" in problem
