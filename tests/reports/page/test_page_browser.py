"""The page in a headless browser, from disk: it logs no error, its scripts draw, and no text of a board runs."""

import struct

import pytest

from harness.reports.page.page import export_page, write_single_page
from harness.results.record import CellRecord
from tests.reports.page.test_page import HOSTILE, hostile_report
from tests.support.fixtures_results import RUN
from tests.support.pages import browser, open_in_browser


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A page of three cells, one of which has markup wherever a text can be."""
    browser()
    folder = tmp_path_factory.mktemp("hostile")
    store, report = hostile_report(folder)
    with store:
        path = export_page(report, store, folder / "results", folder / "results" / RUN)
        write_single_page(report, store, folder / "results", folder / "single.html")
    record: CellRecord = next(r for r in report.sorted_records if r.reason == HOSTILE)
    return path, folder / "single.html", report.sorted_records.index(record)


@pytest.mark.parametrize("single", [False, True], ids=["beside its script", "one file"])
def test_the_page_draws_without_an_error_whatever_the_records_say(hostile, single):
    path = hostile[1] if single else hostile[0]
    seen = open_in_browser(f"{path.as_uri()}#cell-{hostile[2]}", dark=single)
    assert seen.console == []
    assert "<title>hacked" not in seen.document and "<img" not in seen.document
    panel = seen.document.partition('<dialog id="detail"')[2]
    assert 'open=""' in panel.partition(">")[0]
    assert "ran on" in panel and "<rect" in panel, "the graph of the model is not drawn"
    assert 'class="main-svg"' in panel, "no plot is drawn"
    assert seen.picture[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">I", seen.picture[16:20]) == (1200,)
    assert len(seen.picture) > 30_000, "the picture is all but empty"


def test_an_error_in_a_page_would_be_seen(tmp_path):
    page = tmp_path / "broken.html"
    page.write_text("<script>nothing.there()</script>")
    assert any("nothing is not defined" in line for line in open_in_browser(page.as_uri()).console)
