"""The page of a run: its tables and data say what the records say, its links lead somewhere, and no text becomes markup."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from harness.core.finding import Finding
from harness.explain.document import Advice, Explanation, Layer
from harness.reports.export import export_run
from harness.reports.night_view import MAX_CELLS, view_night
from harness.reports.page.content import content_of
from harness.reports.page.graph import MAX_NODES, graph_of, op_times
from harness.reports.page.page import Script, export_page, json_text, render, write_single_page
from harness.reports.page.samples import histogram
from harness.reports.report import Report
from harness.reports.verdicts.words import headline
from harness.results.objects import ObjectStore
from harness.results.record import FallbackOp
from harness.results.store import Store
from tests.support.fixtures_results import RUN, fill_store, make_info, make_records, raw_latency
from tests.support.nights import RUNTIME, Nights, key, record
from tests.support.pages import Page

HOSTILE = "</script><script>document.title='hacked'</script><img src=x onerror=alert(1)>\x1b[31m\u2028\"'&"


@pytest.fixture(scope="module")
def page(exported_results) -> Page:
    return Page((exported_results / "latest" / "index.html").read_text(encoding="utf-8"))


def stored(results):
    with Store.open(results, create=False) as store:
        return store.cells(run=RUN)


def test_every_cell_is_a_row_with_its_records_figures(page, exported_results):
    by_name = {cell["name"]: cell for cell in page.data["cells"]}
    records = stored(exported_results)
    rows = {e["data-cell"]: e for e in page.all("tr") if e.get("data-cell") is not None}
    assert len(records) == len(by_name) == len(rows)
    for found in records:
        cell = by_name[found.key.text_with_seed]
        row = rows[str(cell["id"])]
        assert cell["outcome"] == found.outcome
        assert (cell["latency_ns"], cell["latency_low_ns"]) == (found.latency_median_ns, found.latency_median_low_ns)
        assert (cell["score"], cell["score_low"], cell["score_high"]) == (
            found.accuracy,
            found.accuracy_low,
            found.accuracy_high,
        )
        assert cell["size_bytes"] == found.size_bytes and cell["ran"] == [op["ran_on"] for op in found.ops]
        assert row["data-score"] == ("" if found.accuracy is None else str(found.accuracy))
        assert row["data-cost"] == ("" if found.latency_median_ns is None else str(found.latency_median_ns))
        assert found.key.text in row.text
        if found.reason:
            assert " ".join(found.reason.split()) in row.text


def test_the_matrix_has_each_outcome_in_its_colour_and_says_what_was_not_run(page, exported_results):
    coloured = [e for e in page.all("td") if e.get("data-cell") is not None]
    cells = {cell["id"]: cell for cell in page.data["cells"]}
    assert coloured and {cells[int(e["data-cell"])]["outcome"] for e in coloured} >= {"ok", "wrong", "unsupported"}
    for field in coloured:
        assert f"o-{cells[int(field['data-cell'])]['outcome']}" in field["class"].split()
    assert [e.text for e in page.all("td", class_="o-none")] == ["not run"]


def test_every_link_leads_to_a_file_or_to_a_cell(page, exported_results):
    folder = exported_results / "latest"
    cells = {cell["id"] for cell in page.data["cells"]}
    links = [e["href"] for e in page.all("a")] + [cell["raw"] for cell in page.data["cells"] if cell["raw"]]
    assert any(link.startswith("raw/") for link in links) and "comparison.xlsx" in links
    for link in links:
        if link.startswith("#cell-"):
            assert int(link.removeprefix("#cell-")) in cells
        elif link != "#cells":
            assert (folder / unquote(link)).is_file(), link
    (script,) = [e["src"] for e in page.all("script") if e.get("src")]
    assert (folder.resolve() / script).resolve().is_file() and (exported_results / "assets").is_dir()


def test_the_raw_samples_and_the_command_of_a_cell_are_its_own(page, exported_results):
    cell = next(c for c in page.data["cells"] if c["name"] == "mnist-cnn/ptq-int8-io/imx8mp/npu")
    samples = np.load(exported_results / "latest" / cell["raw"])["array"]
    assert cell["histogram"]["samples"] == len(samples) == 300
    assert sum(cell["histogram"]["counts"]) + cell["histogram"]["beyond"] == 300
    assert cell["histogram"]["low"] == samples.min()
    assert cell["command"] == ("harness run --workload mnist-cnn --recipe ptq-int8-io --device imx8mp --backend npu")


def test_what_to_ship_is_said_and_its_cell_is_a_star(page, exported_results):
    with Store.open(exported_results, create=False) as store:
        report = Report.of(store.cells(run=RUN), store.run(RUN), results=exported_results)
    picked = {a.pick.record.key.text_with_seed for a in report.answers if a.pick is not None}
    names = {cell["id"]: cell["name"] for cell in page.data["cells"]}
    assert picked and {names[number] for number in page.data["picks"]} == picked
    assert len(page.all("details", class_="answer")) == len(report.answers)


def test_a_run_by_day_says_that_it_has_no_history(page):
    assert not page.all("section", id="verdict") and page.data["nights"] == []
    assert "only nights" in page.inside("footer")


def hostile_report(tmp_path) -> tuple[Store, Report]:
    records = make_records()[:3]
    bad = records[0]
    bad.key = replace(bad.key, recipe=HOSTILE, workload=HOSTILE)
    bad.reason, bad.board_log, bad.delegate_name, bad.dataset_note = HOSTILE, HOSTILE, HOSTILE, HOSTILE
    bad.ops = [{"node": 0, "op": HOSTILE, "ran_on": HOSTILE, "inputs": [HOSTILE], "outputs": [1]}]
    bad.fallback = [FallbackOp(node=0, op=HOSTILE, reason=HOSTILE)]
    bad.findings = [Finding(code="x", severity="error", where=HOSTILE, what=HOSTILE, fix=HOSTILE)]
    bad.fingerprint = replace(bad.fingerprint, runtime=HOSTILE)
    told = Explanation(
        cell=HOSTILE,
        run=RUN,
        asked=HOSTILE,
        answer=HOSTILE,
        device=HOSTILE,
        backend=HOSTILE,
        artifact_sha256=None,
        got=(HOSTILE,),
        advice=(Advice(what=HOSTILE, why=HOSTILE, command=HOSTILE),),
        layers=(Layer(node=0, op=HOSTILE, name=HOSTILE, cause=HOSTILE),),
    )
    bad.explanation_object = ObjectStore(tmp_path / "results").put_json(told.to_json())
    info = make_info(records)
    store = fill_store(tmp_path / "results", records, info)
    return store, Report.of(store.cells(run=RUN), info, results=tmp_path / "results")


def test_nothing_that_boards_or_files_say_becomes_markup_or_a_script(tmp_path):
    store, report = hostile_report(tmp_path)
    with store:
        text = export_page(report, store, tmp_path / "results", tmp_path / "results" / RUN).read_text("utf-8")
    page = Page(text)
    scripts = page.all("script")
    assert len(scripts) == 8 and not page.all("img") and "\x1b" not in text and "\u2028" not in text
    nonce = {e["nonce"] for e in scripts if e.get("type") != "application/json"}
    (policy,) = [e["content"] for e in page.all("meta") if e.get("http-equiv")]
    assert len(nonce) == 1 and f"script-src 'nonce-{nonce.pop()}'" in policy and "default-src 'none'" in policy
    (cell,) = [c for c in page.data["cells"] if "hacked" in c["name"]]
    assert "</script>" in cell["reason"] and "\x1b" not in cell["reason"]
    assert "</script>" in cell["explained"]["answer"] and "\x1b" not in json_text(cell["explained"])
    assert all(not name.startswith("on") for e in page.elements for name in e.attributes)


@pytest.mark.parametrize("text", ["</script>", "<!--<script>", "a&b", "\u2028", "]]>"])
def test_json_in_a_page_ends_nothing_and_reads_back(text):
    import json

    made = json_text({"a": [text]})
    assert not set("<>&\u2028") & set(made) and json.loads(made) == {"a": [text]}


def test_json_in_a_page_takes_no_figure_that_is_no_number():
    with pytest.raises(ValueError):
        json_text({"a": float("nan")})


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    """Eight nights: an arena grows in the last, another runtime from the fifth on, an acceptance in the sixth."""
    found = Nights(tmp_path_factory.mktemp("nights") / "results")
    other = key("ptq-float32")
    for night in range(8):
        runtime = RUNTIME if night < 4 else replace(RUNTIME, runtime="ai_edge_litert 2.4.0")
        times = tuple(t * (1 + 0.001 * night) for t in (100.0, 100.4, 99.7))
        found.run(
            record(
                arena_bytes=140 if night == 7 else 100, starts_us=times, fingerprint=runtime, score=0.5, accuracy=0.5
            ),
            record(other, starts_us=times),
        )
        if night == 5:
            found.history.accept(key(), "latency", "n006", "a <b>new</b> layer")
    yield found
    found.store.close()


@pytest.fixture(scope="module")
def night_page(nights) -> Page:
    folder = export_run(nights.store, "n008", nights.results)
    return Page((folder / "index.html").read_text("utf-8"))


def test_what_got_worse_stands_on_top_with_its_command(night_page, nights):
    text = night_page.inside("section", id="verdict")
    assert headline(nights.last) in text and "arena 100 -> 140 bytes" in text
    assert "harness run --workload mnist-cnn --recipe ptq-int8-io" in text
    sections = [e.get("id") for e in night_page.all("section")]
    assert sections[:3] == ["verdict", "answer", "matrix"]
    cell = next(c for c in night_page.data["cells"] if c["name"] == key().text)
    assert cell["said"] == "worse" and [v["quantity"] for v in cell["verdicts"] if v["open"]] == ["arena"]
    (field,) = night_page.all("td", class_="said-worse", data_cell=str(cell["id"]))
    assert "o-ok" in field["class"]


def test_a_trend_has_the_figures_of_each_night_its_level_and_its_epochs(night_page, nights):
    cell = next(c for c in night_page.data["cells"] if c["name"] == key().text)
    trend, runs = cell["trend"], [night[0] for night in night_page.data["nights"]]
    assert runs == [f"n{i:03d}" for i in range(1, 9)]
    for position, run in enumerate(runs):
        (found,) = [r for r in nights.store.cells(run=run) if r.key == key()]
        assert trend["latency_ns"][position] == found.latency_median_ns
        assert trend["score"][position] == 0.5 and trend["size_bytes"][position] == found.size_bytes
    for row in nights.history.verdicts("s", quantity="latency"):
        if row.key == key():
            assert trend["detectable"][runs.index(row.run)] == row.data["detectable"]
            assert trend["status"][runs.index(row.run)] == row.status
    assert trend["level_ns"][0] is None and trend["level_ns"][1] == trend["latency_ns"][0]
    assert trend["epochs"] == [[4, "runtime ai_edge_litert 2.3.0 -> ai_edge_litert 2.4.0"]]
    assert trend["accepted"] == [[5, "a <b>new</b> layer"]]


def test_a_judgement_at_hand_and_the_stored_one_give_the_same_page_on_top(night_page, nights):
    report = Report.of(nights.store.cells(run="n008"), nights.store.run("n008"), results=nights.results)
    content = content_of(report, nights.results, view_night(report, nights.store, judgement=nights.last), folders=())
    again = Page(render(content, Script(address="x.js")))
    assert again.inside("section", id="verdict") == night_page.inside("section", id="verdict")


def test_one_file_to_send_needs_nothing_beside_it(nights, tmp_path):
    report = Report.of(nights.store.cells(run="n008"), nights.store.run("n008"), results=nights.results)
    path = tmp_path / "page.html"
    write_single_page(report, nights.store, nights.results, path)
    page = Page(path.read_text("utf-8"))
    assert not [e for e in page.all("script") if e.get("src")]
    assert {e["href"][0] for e in page.all("a")} == {"#"} and not any(c["raw"] for c in page.data["cells"])
    assert [e["href"] for e in page.all("link")] == ["data:,"] and path.stat().st_size > 3_000_000


def test_more_cells_than_a_page_holds_are_left_out_and_said(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.reports.page.content.MAX_CELLS", 5)
    records = make_records()
    info = make_info(records)
    with fill_store(tmp_path, records, info) as store:
        report = Report.of(store.cells(run=RUN), info, results=tmp_path)
        content = content_of(report, tmp_path, view_night(report, store), folders=())
        page = Page(render(content, Script(address="x.js")))
    assert len(page.data["cells"]) == len(content.cells) == 5 and MAX_CELLS >= 1000
    assert f"{len(records) - 5} of {len(records)} cells" in page.inside("footer")


def test_the_quality_of_a_latency_stands_beside_it_wherever_the_page_has_one(tmp_path):
    records = [replace(r, quality="noisy", drift=0.04, sensors="simulated") if r.ran else r for r in make_records()]
    info = make_info(records)
    with fill_store(tmp_path, records, info) as store:
        report = Report.of(store.cells(run=RUN), info, results=tmp_path)
        page = Page(render(content_of(report, tmp_path, view_night(report, store), folders=()), Script(address="x.js")))
    timed = [cell for cell in page.data["cells"] if cell["latency_ns"] is not None]
    assert timed and {cell["quality"] for cell in timed} == {"noisy"}
    rows = {row["data-cell"]: row.text for row in page.all("tr") if row.get("data-cell")}
    fields = {field["data-cell"]: field.text for field in page.all("td") if field.get("data-cell")}
    for cell in timed:
        assert "noisy" in rows[str(cell["id"])]
        assert "noisy" in fields.get(str(cell["id"]), "noisy")
    assert ["While timing", "noisy: drift +4.0%, sensors simulated"] in timed[0]["facts"]
    assert [o.text for o in page.all("option") if o.text == "noisy"] == []  # one word: nothing to choose from


def test_samples_that_are_gone_cost_their_histogram_only(tmp_path):
    objects = ObjectStore(tmp_path)
    found = record()
    found.latency_object = objects.put_array(np.array([5, 5, 5]))
    assert histogram(found, objects)["counts"][0] == 3
    objects.path(found.latency_object).unlink()
    assert histogram(found, objects) is None


def test_a_graph_joins_nodes_by_their_tensors_and_stands_in_layers():
    ops = [
        {"node": 0, "op": "A", "ran_on": "npu", "inputs": [0], "outputs": [1]},
        {"node": 1, "op": "B", "ran_on": "npu", "inputs": [1], "outputs": [2]},
        {"node": 2, "op": "C", "ran_on": "cpu", "inputs": [1], "outputs": [3], "vendor_ns": 12},
        {"node": 3, "op": "ADD", "ran_on": "cpu", "inputs": [2, 3], "outputs": [4]},
    ]
    assert graph_of(ops) == {
        "nodes": [[0, "A", 0, 0], [1, "B", 1, 0], [2, "C", 1, 1], [3, "ADD", 2, 0]],
        "edges": [[0, 1], [0, 2], [1, 3], [2, 3]],
        "left": 0,
    }
    assert op_times(ops) == ("measured by the vendor's benchmark, ns", [None, None, 12, None])
    assert graph_of([]) is None and op_times(ops[:1]) is None
    long = graph_of([{"node": i, "op": "X", "ran_on": "cpu"} for i in range(MAX_NODES + 3)])
    assert long["left"] == 3 and long["edges"][0] == [0, 1]


def test_the_script_is_copied_once_and_mended(tmp_path):
    from harness.reports.page.assets import place_script, plotly_script

    path = place_script(tmp_path)
    assert path.read_bytes() == plotly_script().read_bytes()
    before = path.stat().st_mtime_ns
    assert place_script(tmp_path).stat().st_mtime_ns == before
    path.write_bytes(b"cut")
    assert place_script(tmp_path).stat().st_size > 1_000_000


def test_raw_files_are_named_as_the_export_names_them(page):
    for cell in page.data["cells"]:
        assert (cell["raw"] is None) == (cell["latency_ns"] is None)
        assert cell["raw"] is None or Path(cell["raw"]).parent == Path("raw")


def test_a_histogram_has_every_sample(tmp_path):
    found = make_records()[0]
    objects = ObjectStore(tmp_path)
    values = raw_latency(found)
    found.latency_object = objects.put_arrays({"array": values[:200], "start_2": values[200:]})
    made = histogram(found, objects)
    assert made["samples"] == 300 == sum(made["counts"]) + made["beyond"]
    top = made["low"] + made["width"] * len(made["counts"])
    assert made["beyond"] == int((values > top + 0.5).sum())


def test_energy_and_quality_of_each_night_are_in_the_trend_and_the_plot(tmp_path):
    nights = Nights(tmp_path / "results")
    meter = {"energy_nj": 1000.0, "energy_low_nj": 990.0, "energy_high_nj": 1010.0, "energy_instrument": "meter 1"}
    nights.run(record(**{**meter, "energy_instrument": "meter 0"}, quality="quiet"))
    nights.run(record(**meter, quality="noisy"))
    nights.run(record(**{**meter, "energy_nj": 1100.0}, quality="throttled"))
    info = nights.store.run("n003")
    report = Report.of(nights.store.cells(run="n003"), info, results=nights.results)
    content = content_of(report, nights.results, view_night(report, nights.store), folders=())
    (cell,) = content.data["cells"]
    assert cell["trend"]["energy_nj"] == [None, 1000.0, 1100.0], "figures of two instruments share no line"
    assert cell["trend"]["quality"] == ["quiet", "noisy", "throttled"]
    assert (cell["energy_nj"], cell["energy_low_nj"], cell["instrument"]) == (1100.0, 990.0, "meter 1")
    assert dict(cell["facts"])["Energy of an inference"] == "1.1 µJ (990 nJ to 1.01 µJ); by meter 1"
    page = Page(render(content, Script(text="")))
    assert [e["value"] for e in page.all("option", value="energy")] == ["energy"]
    plain = Report.of([record()])
    assert not Page(
        render(content_of(plain, tmp_path, view_night(plain, nights.store), folders=()), Script(text=""))
    ).all("option", value="energy")
