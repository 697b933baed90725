"""Makes the page of a run: what got worse, what to ship, and every cell with its plots, in one HTML file.

Texts of boards and files reach it in two ways only: through the template, which escapes every value, and as JSON in which
`<`, `>` and `&` stand as escapes, so that nothing in it can end its element. Scripts put texts into the page as text, never
as markup, and the page's own policy lets no other script run and nothing be loaded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from harness.core.files import sha256_bytes, write_bytes_atomic
from harness.core.memory import collection_paused
from harness.core.printable import printable
from harness.reports.export_names import PAGE_NAME
from harness.reports.night_view import NightView, view_night
from harness.reports.page.assets import asset_name, place_script, plotly_script
from harness.reports.page.content import Content, content_of
from harness.reports.report import Report
from harness.results.faults import storage_faults
from harness.results.layout import ASSETS_NAME
from harness.results.store import Store

_TEMPLATE, _STYLES = "page.html.j2", "page.css"
#: in the order in which they are read
_SCRIPTS = ("page.js", "table.js", "plots.js", "graph.js", "explain.js", "detail.js")
#: what would end a JSON element early, or a line of script
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


@dataclass(frozen=True, kw_only=True)
class Script:
    """Where the page has plotly's script from: an address beside it, or the text itself."""

    address: str | None = None
    text: str | None = None


def export_page(
    report: Report,
    store: Store,
    results_dir: Path,
    folder: Path,
    *,
    view: NightView | None = None,
    beside: Iterable[Path] = (),
) -> Path:
    """Writes a run's page, and the script that its plots need into `results/assets/`.

    Args:
        folder: where it is written; it is shown from the run's folder in the results folder.
        view: the run among its nights; None: as the store has it.
        beside: other folders whose files will lie beside it.

    Raises:
        UserInputError: a folder that cannot be written.
        HarnessError: the disk is full.
    """
    place_script(results_dir)
    with collection_paused():
        content = content_of(report, results_dir, view or view_night(report, store), folders=(folder, *beside))
    path = folder / PAGE_NAME
    with storage_faults(path):
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes_atomic(path, render(content, Script(address=f"../{ASSETS_NAME}/{asset_name()}")).encode())
    return path


def write_single_page(report: Report, store: Store, results_dir: Path, path: Path) -> None:
    """Writes a run's page as one file that needs no other: the script is inside, and nothing beside it is linked.

    Raises:
        UserInputError: a file that cannot be written.
        HarnessError: the disk is full.
    """
    content = content_of(report, results_dir, view_night(report, store), folders=())
    text = render(content, Script(text=plotly_script().read_text(encoding="utf-8")))
    with storage_faults(path, option="--output"):
        write_bytes_atomic(path, text.encode())


def render(content: Content, script: Script) -> str:
    """The HTML text."""
    import jinja2

    folder = resources.files("harness.reports.page")
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    data = json_text(content.data)
    return environment.from_string((folder / _TEMPLATE).read_text(encoding="utf-8")).render(
        page=content,
        # It is known to nobody who gave a text to the page: it depends on all of them.
        nonce=sha256_bytes(data.encode())[:32],
        data=_safe(data),
        plotly=script.address,
        plotly_text=None if script.text is None else _safe(script.text),
        styles=_safe((folder / _STYLES).read_text(encoding="utf-8")),
        scripts=[_safe((folder / name).read_text(encoding="utf-8")) for name in _SCRIPTS],
    )


def json_text(value: Any) -> str:
    """A JSON text that can stand inside a script element, whatever texts are in it.

    Raises:
        ValueError: a figure that is no number.
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text


def _safe(text: str) -> Any:
    """A text of the project's own, or escaped before, that goes into the page as it is."""
    import markupsafe

    return markupsafe.Markup(text)


def _shown(value: Any) -> Any:
    """What the template makes of a value: texts without control characters; None is a mistake."""
    import markupsafe

    if value is None:
        raise ValueError("the page's template was given nothing where it shows a value")
    return printable(value) if isinstance(value, str) and not isinstance(value, markupsafe.Markup) else value
