"""The results folder: names that stay inside it, and the link to the newest run."""

from __future__ import annotations

import os
import re

import pytest

from harness.core.errors import UserInputError
from harness.results.layout import ensure_writable, latest_dir, point_latest, run_dir, utc_now
from tests.support.fixtures_results import RUN


def test_latest_leads_to_the_newest_export(tmp_path):
    for run in ("20260101-000000-aaaa", "20260102-000000-bbbb"):
        run_dir(tmp_path, run).mkdir()
        point_latest(tmp_path, run)
        assert latest_dir(tmp_path).name == run
    assert [p for p in tmp_path.iterdir() if p.name.startswith(".tmp")] == []


def test_latest_is_a_text_file_where_links_are_not_possible(tmp_path, monkeypatch):
    def refuse(*_args, **_options):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "symlink", refuse)
    run_dir(tmp_path, RUN).mkdir()
    point_latest(tmp_path, RUN)
    assert (tmp_path / "latest").read_text() == f"{RUN}\n"
    assert latest_dir(tmp_path).name == RUN


@pytest.mark.parametrize("name, words", [("latest", "a real folder stands where the link"), ("objects", "objects")])
def test_what_stands_in_the_way_of_a_run_is_told_before_the_run(tmp_path, name, words):
    if name == "latest":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_text("a file")
    with pytest.raises(UserInputError, match=words):
        ensure_writable(tmp_path)


def test_an_earlier_link_or_file_called_latest_is_in_nobodys_way(tmp_path):
    ensure_writable(tmp_path)
    (tmp_path / "latest").symlink_to("a-run-that-is-gone")
    ensure_writable(tmp_path)
    (tmp_path / "latest").unlink()
    (tmp_path / "latest").write_text("20260101-000000-aaaa\n")
    ensure_writable(tmp_path)


@pytest.mark.parametrize("name", ["", "..", "../elsewhere", "latest", "a/b", ".tmp-x", "objects"])
def test_a_run_name_never_leaves_the_results_folder(tmp_path, name):
    with pytest.raises(UserInputError, match="cannot be the name of a run"):
        run_dir(tmp_path, name)


def test_times_are_utc_and_sortable():
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", utc_now())
